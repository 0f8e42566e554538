"""Our Caddyfile in front of `tongying up`: HTTP/2 and what must pass through it as it is. Caddy is the real one, with a
certificate of its own CA; everything stays on the loopback address."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import shutil
import socket
import ssl
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from pydicom import dcmread

from storage.tokens import FAILURES_MAX
from tests.support.dicom import dataset_sha256, dcmsend
from tests.support.pdu import Made, made
from tests.support.server import PASSWORD, ROOT, Server
from tests.support.services import Caddy
from tests.support.studies import Study, ct_study
from tests.support.watch import settled, sop_uids, whole
from viewer_api.__main__ import IDLE_SECONDS

MIB = 1024 * 1024
SLICES, AT_ONCE = 4, 200
UPLOAD_FRAMES = 20  # of 2 MiB
RISE_BYTES_MAX = 20 * MIB  # of Caddy, while twice as much passes each way


@pytest.fixture(scope="module")
def caddy(server: Server, workspace: Path) -> Iterator[Caddy]:
    program = shutil.which("caddy")
    if program is None:
        pytest.skip("caddy is not installed: deploy/test-tools.sh")
    folder = workspace / "front"
    folder.mkdir()
    front = Caddy(program, folder, server.http_port)
    front.service.start()
    yield front
    front.service.stop()


@pytest.fixture(scope="module")
def study(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Study:
    found = ct_study(tmp_path_factory.mktemp("front") / "ct", slices=SLICES)
    dcmsend(server.dicom_port, found.files[0].parent)
    settled(server)
    return found


def trusted(caddy: Caddy) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(caddy.root_certificate))


def options(server: Server, caddy: Caddy) -> dict[str, Any]:
    """Of a client that speaks HTTP/2 and is signed in."""
    bearer = {"Authorization": server.client.headers["Authorization"]}
    return {"base_url": caddy.url, "http2": True, "verify": trusted(caddy), "headers": bearer, "timeout": 60}


@pytest.fixture
def client(server: Server, caddy: Caddy) -> Iterator[httpx.Client]:
    with httpx.Client(**options(server, caddy)) as one:
        yield one


def path(study: Study, number: int = 0) -> str:
    one = dcmread(study.files[number], stop_before_pixels=True)
    return f"/dicom-web/studies/{study.uid}/series/{one.SeriesInstanceUID}/instances/{one.SOPInstanceUID}"


@pytest.mark.parametrize(("offered", "chosen"), [(["h2", "http/1.1"], "h2"), (["http/1.1"], "http/1.1")])
def test_http_2_is_chosen_by_alpn(caddy: Caddy, offered: list[str], chosen: str) -> None:
    context = trusted(caddy)
    context.set_alpn_protocols(offered)
    with (
        socket.create_connection(("127.0.0.1", caddy.https_port), 10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as tls,
    ):
        assert tls.selected_alpn_protocol() == chosen
        assert tls.version() == "TLSv1.3"


def test_many_frames_at_once_over_one_connection(server: Server, caddy: Caddy, study: Study) -> None:
    async def frames() -> list[httpx.Response]:
        async with httpx.AsyncClient(**options(server, caddy)) as many:
            await many.get("/healthz")
            urls = [f"{path(study, n % SLICES)}/frames/1" for n in range(AT_ONCE)]
            accept = {"Accept": "application/octet-stream"}
            found = await asyncio.gather(*(many.get(url, headers=accept) for url in urls))
            assert connections(caddy) == 1
            return found

    wanted = [dcmread(file).PixelData for file in study.files]
    for number, answer in enumerate(asyncio.run(frames())):
        assert (answer.http_version, answer.status_code) == ("HTTP/2", 200)
        assert answer.content == wanted[number % SLICES]


def connections(caddy: Caddy) -> int:
    """Of this process to Caddy."""
    found = psutil.Process().net_connections("tcp")
    return sum(c.status == "ESTABLISHED" and c.raddr.port == caddy.https_port for c in found)


def large() -> Made:
    side = struct.pack("<H", 1024)
    more = {
        0x00280008: ("IS", f"{UPLOAD_FRAMES}".encode()),
        0x00280010: ("US", side),
        0x00280011: ("US", side),
    }
    return made(more=more, pixels=bytes(range(256)) * (UPLOAD_FRAMES * 2 * MIB // 256))


def test_a_large_object_passes_both_ways_and_is_never_held(
    server: Server, caddy: Caddy, client: httpx.Client
) -> None:
    one = large()
    process = psutil.Process(caddy.service.process.pid) if caddy.service.process else None
    assert process is not None
    before, most, reached = process.memory_info().rss, 0, 0

    def pieces() -> Iterator[bytes]:
        nonlocal most, reached
        for start in range(0, len(one.part10), MIB):
            yield one.part10[start : start + MIB]
            most = max(most, process.memory_info().rss)
            reached = max(reached, arrived(server))

    kind = {"Content-Type": "application/dicom", "Accept": "application/dicom+json"}
    answer = client.post("/dicom-web/studies", content=pieces(), headers=kind)
    assert (answer.http_version, answer.status_code) == ("HTTP/2", 200), answer.text
    assert reached > len(one.part10) // 2, "most of it was at the API before the last of it was sent"
    settled(server)
    assert sop_uids(server, one.study) == [one.instance]

    url = f"/dicom-web/studies/{one.study}/series/{one.series}/instances/{one.instance}"
    accept = {"Accept": "application/dicom; transfer-syntax=*"}
    with client.stream("GET", url, headers=accept) as stream:
        received = bytearray()
        for piece in stream.iter_raw(MIB):
            received += piece
            most = max(most, process.memory_info().rss)
    assert dataset_sha256(bytes(received)) == dataset_sha256(one.part10)
    assert most - before < RISE_BYTES_MAX


def arrived(server: Server) -> int:
    """Bytes of the largest file that the API has in its spool."""
    sizes = [0]
    for file in (server.data / "spool").rglob("*"):
        try:
            sizes.append(file.stat().st_size)
        except FileNotFoundError:
            continue
    return max(sizes)


def test_ranges_and_tags_pass(client: httpx.Client, study: Study) -> None:
    accept = {"Accept": "application/dicom; transfer-syntax=*"}
    file = study.files[0].read_bytes()
    whole_file = client.get(path(study), headers=accept)
    assert whole_file.headers["content-length"] == str(len(whole_file.content))
    part = client.get(path(study), headers=accept | {"Range": "bytes=200-299"})
    assert (part.status_code, part.headers["content-range"]) == (
        206,
        f"bytes 200-299/{len(whole_file.content)}",
    )
    assert part.content == whole_file.content[200:300]
    beyond = client.get(path(study), headers=accept | {"Range": f"bytes={len(file) * 9}-"})
    assert beyond.status_code == 416
    same = client.get(path(study), headers=accept | {"If-None-Match": whole_file.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")


def test_json_is_zipped_once_and_only_for_who_takes_it(client: httpx.Client, study: Study) -> None:
    url = path(study).rpartition("/instances")[0] + "/metadata"
    with client.stream("GET", url, headers={"Accept-Encoding": "gzip"}) as zipped:
        raw = b"".join(zipped.iter_raw())
    assert zipped.headers["content-encoding"] == "gzip"
    assert len(json.loads(gzip.decompress(raw))) == SLICES
    del client.headers["Accept-Encoding"]
    plain = client.get(url)
    assert "content-encoding" not in plain.headers
    assert plain.headers["content-length"] == str(len(plain.content)), (
        "as the API made it: nothing was unzipped on the way"
    )
    assert plain.json() == json.loads(gzip.decompress(raw))


@pytest.mark.parametrize("announced", [True, False])
def test_limits_and_problems_pass(server: Server, caddy: Caddy, announced: bool) -> None:
    """By HTTP/1.1: httpx waits for ever where an HTTP/2 server answers before it has read the whole body."""
    form = b"username=" + b"x" * 3 * MIB
    content: Any = form if announced else (form[n : n + 65536] for n in range(0, len(form), 65536))
    with httpx.Client(**options(server, caddy) | {"http2": False}) as one:
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = one.post("/api/auth/token", content=content, headers=kind)
        assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")
        none = one.get("/dicom-web/studies/1.2.3/metadata")
        assert (none.status_code, none.headers["content-type"]) == (404, "application/problem+json")
        assert one.get("/healthz", headers={"X-Long": "x" * 100_000}).status_code == 431


def test_the_callers_own_address_is_what_tries_are_counted_by(caddy: Caddy) -> None:
    """The one at the other end of the line, whatever it says of itself."""

    def tries(address: str, count: int, **forged: str) -> list[int]:
        transport = httpx.HTTPTransport(verify=trusted(caddy), http2=True, local_address=address)
        url = f"https://localhost:{caddy.https_port}/api/auth/token"
        form = {"username": "nobody-at-all", "password": "wrong"}
        with httpx.Client(transport=transport, headers=forged, timeout=30) as one:
            return [one.post(url, data=form).status_code for _ in range(count)]

    assert tries("127.0.0.2", FAILURES_MAX) == [401] * FAILURES_MAX
    assert tries("127.0.0.2", 1) == [429]
    forged = {"X-Forwarded-For": "10.1.2.3", "Forwarded": "for=10.1.2.3", "X-Real-IP": "10.1.2.3"}
    assert tries("127.0.0.2", 1, **forged) == [429]
    assert tries("127.0.0.3", 1, **{"X-Forwarded-For": "127.0.0.2"}) == [401]


def test_the_api_knows_by_which_name_it_is_called(client: httpx.Client, caddy: Caddy) -> None:
    told = client.options("/dicom-web", headers={"Accept": "application/json"}).json()
    assert told["application"]["resources"][0]["base"] == f"{caddy.url}/dicom-web"


def test_plain_http_leads_to_tls(caddy: Caddy) -> None:
    answer = httpx.get(f"http://localhost:{caddy.http_port}/?a=b", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"].endswith("/?a=b")) == (308, True)
    assert answer.headers["location"].startswith("https://localhost")


def test_sign_in_and_the_page(caddy: Caddy) -> None:
    with httpx.Client(base_url=caddy.url, http2=True, verify=trusted(caddy)) as one:
        form = {"username": "admin", "password": PASSWORD}
        assert one.post("/api/auth/token", data=form).json()["token_type"] == "bearer"
        page = one.get("/")
        assert (page.status_code, "content-security-policy" in page.headers) == (200, True)
        assert "server" not in page.headers


def test_connections_are_closed_here_before_the_api_closes_them() -> None:
    """Else a request that must not be sent twice may go out on one that is closed that moment: 502."""
    text = (ROOT / "deploy" / "Caddyfile").read_text(encoding="utf-8")
    (kept,) = re.findall(r"^\s*keepalive (\d+)s$", text, re.MULTILINE)
    assert int(kept) < IDLE_SECONDS


def test_the_archive_is_whole(server: Server) -> None:
    whole(server)
