"""Bodies of STOW-RS that are wrong in any way: the answer is 2xx or a problem, soon; and what is stored is whole.

The count of examples is bounded, and they are the same each time; more of them with `TONGYING_FUZZ=20`.
"""

from __future__ import annotations

import gzip
import json
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, currently_in_test_context, event, given, settings
from hypothesis import strategies as st

from tests.support.apart import JSON, OCTETS, OTHERS, STORED, XML, apart, body, bulk, metadata
from tests.support.pdu import made
from tests.support.server import Server
from tests.support.watch import settled, sop_uids, use, whole

DICOM, PROBLEM = "application/dicom", "application/problem+json"
SECONDS_MAX = 15.0  # of an answer, on a machine that others use too
TIMES = int(os.environ.get("TONGYING_FUZZ", "1"))
MEMORY_BYTES_MAX = 150 * 1024 * 1024  # that all of it together may cost the API


def fuzz(examples: int) -> settings:
    return settings(
        max_examples=examples * TIMES, deadline=None, derandomize=True, database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Seed:
    """A good body and its type."""

    kind: str
    content: bytes


def seeds() -> tuple[Seed, ...]:
    files = [made(pixels=bytes(range(256)) * 2), made(pixels=b"\r\n--frontie\r\n--fronties" * 9)]
    parts = [({"Content-Type": DICOM}, one.part10) for one in files]
    some = [apart("CT_small.dcm"), apart("SC_rgb_rle_2frame.dcm")]
    pixels = some[0].parts() + some[1].parts("image/dicom-rle")
    shape = {tag: element for tag, element in some[0].attributes.items() if tag < "0029"}
    small = apart("CT_small.dcm", Rows=4, Columns=4)
    return (
        Seed(DICOM, body(parts)),
        Seed(JSON, body(metadata(*(one.attributes for one in some)) + pixels)),
        Seed(XML, body(metadata(*(one.attributes for one in some), xml=True) + pixels)),
        Seed(JSON, body(metadata(shape | {"00080018": small.attributes["00080018"]}))),
    )


SEEDS = seeds()


_told_stored: set[str] = (
    set()
)  # of metadata and bulk data; of Part 10 files some cannot be read, and are incidents


@pytest.fixture(scope="module", autouse=True)
def _as_it_was_at_the_end(server: Server) -> Iterator[None]:
    """The API has neither died nor grown, and the archive is whole."""
    before = use(server, "viewer_api")
    yield
    whole(server)
    for url in _told_stored:
        assert server.client.get(url + "/metadata").status_code == 200, "it was said to be stored"
    after = use(server, "viewer_api")
    assert after.pids == before.pids, "a process of the API died"
    assert after.rss_bytes - before.rss_bytes < MEMORY_BYTES_MAX


def send(
    server: Server, content: Any, kind: str, boundary: str = "frontier", **headers: str
) -> httpx.Response:
    """Post it, and look at the answer."""
    given = {"Content-Type": f'multipart/related; type="{kind}"; boundary="{boundary}"'} | headers
    began = time.monotonic()
    answer = server.client.post("/dicom-web/studies", content=content, headers=given)
    assert time.monotonic() - began < SECONDS_MAX, "a hang"
    if currently_in_test_context():
        event(f"{kind} {answer.status_code}")  # shown by --hypothesis-show-statistics
    assert answer.status_code in (200, 202, 400, 408, 409, 413, 415), answer.text[:500]
    if answer.status_code in (200, 202, 409):
        said = answer.json()
        assert (STORED in said) == (answer.status_code != 409)
        if kind != DICOM and STORED in said:
            _told_stored.update(item["00081190"]["Value"][0] for item in said[STORED]["Value"])
        return answer
    assert answer.headers["content-type"] == PROBLEM
    assert answer.json()["status"] == answer.status_code
    return answer


def in_pieces(content: bytes, places: list[int]) -> Iterator[bytes]:
    """As chunks of HTTP."""
    cuts = sorted({place % (len(content) + 1) for place in places})
    for start, stop in zip([0, *cuts], [*cuts, len(content)], strict=True):
        if stop > start:
            yield content[start:stop]


CHUNKS = st.one_of(
    st.sampled_from(
        (b"--frontier", b"\r\n--frontier\r\n", b"--frontier--", b"\r\n--frontier--\r\n", b"\r\n", b"\n", b"\r",
         b"\r\n\r\n", b"--", b"\0", b"\xff", b'"', b"{", b"}", b"[", b"]", b"\\u0000", b"\\ud800", b"null", b"1e999",
         b"-", b"<", b">", b"&x;", b"<!DOCTYPE x>", b"Content-Type: application/dicom+json\r\n", b"DICM", b'"vr":"SQ"',
         b"Content-Type: multipart/related; boundary=frontier\r\n", b"\xfe\xff\x00\xe0", b"\xff\xff\xff\xff", b": ",
         b"Content-Transfer-Encoding: base64\r\n", b"Content-Encoding: gzip\r\n", b"Content-Location: x\r\n",
         b"x" * 9000)
    ),
    st.binary(max_size=20),
)  # fmt: skip
EDITS = st.lists(
    st.tuples(st.sampled_from(("over", "insert", "delete", "twice")), st.integers(0, 1 << 20), CHUNKS),
    max_size=6,
)


def edited(content: bytes, edits: list[tuple[str, int, bytes]]) -> bytes:
    """Edits lie mostly where the structure is: within the first bytes, or anywhere."""
    data = bytearray(content)
    for number, (how, place, chunk) in enumerate(edits):
        at = place % min(len(data) + 1, 2000 if number % 2 else 1 << 20)
        if how == "twice":
            data[at:at] = data[at : at + 50 * len(chunk)]
        else:
            stop = {"over": at + len(chunk), "insert": at, "delete": at + len(chunk) * 2}[how]
            data[at:stop] = b"" if how == "delete" else chunk
    return bytes(data)


@fuzz(120)
@given(st.sampled_from(SEEDS), EDITS, st.lists(st.integers(0, 1 << 20), max_size=4))
def test_edited_bodies(
    server: Server, seed: Seed, edits: list[tuple[str, int, bytes]], cuts: list[int]
) -> None:
    send(server, in_pieces(edited(seed.content, edits), cuts), seed.kind)


@fuzz(40)
@given(st.sampled_from(SEEDS), st.floats(0, 1), st.booleans())
def test_bodies_that_end_too_soon(server: Server, seed: Seed, share: float, zipped: bool) -> None:
    """Also within their gzip. The last line of a body needs no end."""
    content = gzip.compress(seed.content) if zipped else seed.content
    cut = content[: int(len(content) * share)]
    headers = {"Content-Encoding": "gzip"} if zipped else {}
    answer = send(server, cut, seed.kind, **headers)
    if len(cut) < len(content) - 2 and seed.kind != DICOM:
        assert answer.status_code == 400, "of metadata and bulk data all is stored or nothing"


@fuzz(40)
@given(st.sampled_from(SEEDS), EDITS)
def test_edited_gzip(server: Server, seed: Seed, edits: list[tuple[str, int, bytes]]) -> None:
    """Garbage within, behind it, and none at all."""
    content = edited(gzip.compress(seed.content, 1), edits)
    send(server, content, seed.kind, **{"Content-Encoding": "gzip"})


@fuzz(40)
@given(
    st.sampled_from((DICOM, JSON, XML)),
    st.lists(CHUNKS, max_size=30),
    st.sampled_from(("frontier", "x", "--")),
)
def test_any_pieces(server: Server, kind: str, chunks: list[bytes], boundary: str) -> None:
    send(server, b"--frontier\r\n" + b"".join(chunks), kind, boundary)


LEAVES = (
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(("../x", "AAAA")),
)
VALUES = st.recursive(
    st.one_of(*LEAVES),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
ELEMENTS = st.one_of(
    VALUES,
    st.fixed_dictionaries(
        {"vr": st.sampled_from(("PN", "US", "DS", "SQ", "OB", "UI", "AT", "FD", "UN", "LT", "XX", 5))},
        optional={"Value": VALUES, "InlineBinary": VALUES, "BulkDataURI": VALUES},
    ),
)
TAGS = st.sampled_from(
    ("00080005", "00080016", "00080018", "0020000D", "0020000E", "00100010", "00280010", "00280008", "7FE00010", "x",
     "7fe00010", "7FE00001", "00081140", "00091001", "00020010", "FFFEE000")
)  # fmt: skip


@fuzz(60)
@given(st.dictionaries(TAGS, ELEMENTS, max_size=4), st.sampled_from((OCTETS, "image/jpeg", "video/mp4", "x")))
def test_any_metadata(server: Server, changes: dict[str, Any], media_type: str) -> None:
    """JSON that is well formed: each instance is told of, whatever stands in it."""
    one = apart("CT_small.dcm")
    uri = one.attributes["7FE00010"]["BulkDataURI"]
    document = json.dumps([one.attributes | changes]).encode()
    answer = send(
        server, body([({"Content-Type": JSON}, document), bulk(uri, one.frames[0], media_type)]), JSON
    )
    assert (
        answer.status_code in (200, 202, 409) or "NaN" in document.decode() or "Infinity" in document.decode()
    )


def nested(levels: int) -> bytes:
    inner = b"x"
    for level in range(levels):
        head = b"Content-Type: multipart/related; boundary=b%d" % (level - 1)
        inner = b"--b%d\r\n%s\r\n\r\n%s\r\n--b%d--\r\n" % (level, head, inner, level)
    return inner


@pytest.mark.parametrize("kind", [DICOM, JSON, XML])
def test_nested_multiparts(server: Server, kind: str) -> None:
    """They are parts like others: none that we read."""
    assert send(server, nested(200), kind, "b199").status_code in (400, 409)


@cache
def bomb(piece: bytes, times: int) -> bytes:
    return gzip.compress(b"--frontier\r\n\r\n" + piece * times, 6)


@pytest.mark.parametrize("kind", [DICOM, JSON, XML])
@pytest.mark.parametrize(
    "content",
    [(b"\0", 100_000_000), (b"[", 100_000_000), (b"--frontier\r\n\r\n", 5_000_000)],
    ids=["nothing", "arrays", "parts"],
)
def test_gzip_bombs(server: Server, kind: str, content: tuple[bytes, int]) -> None:
    """Of nothing, of what JSON would make much of, of parts without number."""
    answer = send(server, bomb(*content), kind, **{"Content-Encoding": "gzip"})
    assert answer.status_code in (400, 413)


def raw(server: Server, head: str, *pieces: bytes) -> bytes:
    """The first answer to a request sent by hand, piece by piece."""
    authorization = server.client.headers["authorization"]
    start = f"POST /dicom-web/studies HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\n{head}\r\n"
    with socket.create_connection(("127.0.0.1", server.http_port), 20) as connection:
        connection.sendall(start.encode())
        for piece in pieces:
            connection.sendall(piece)
        return connection.recv(65536)


TYPE = f'Content-Type: multipart/related; type="{DICOM}"; boundary=frontier\r\n'


def test_a_body_is_asked_for_when_it_is_expected(server: Server) -> None:
    """100 (RFC 9110 10.1.1); but not for one that would be refused."""
    one = made()
    content = body([({"Content-Type": DICOM}, one.part10)])
    head = TYPE + f"Content-Length: {len(content)}\r\nExpect: 100-continue\r\nConnection: close\r\n"
    assert raw(server, head).startswith(b"HTTP/1.1 100 ")
    for refused in (
        head.replace(DICOM, "text/plain"),
        head + "Content-Encoding: br\r\n",
        head + "Accept: image/png\r\n",
    ):
        assert raw(server, refused)[:12] in (b"HTTP/1.1 415", b"HTTP/1.1 406")
    authorization = server.client.headers["authorization"]
    request = f"POST /dicom-web/studies HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\n{head}\r\n".encode()
    with socket.create_connection(("127.0.0.1", server.http_port), 20) as connection:
        connection.sendall(request)
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
        connection.sendall(content)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
    settled(server)
    assert sop_uids(server, one.study) == [one.instance]


@pytest.mark.parametrize("length", [10, 100_000])
def test_a_length_that_is_not_kept(server: Server, length: int) -> None:
    """The client goes away before it has sent what it announced: nothing is stored."""
    one = made()
    content = body([({"Content-Type": DICOM}, one.part10)])[:length]
    raw_head = TYPE + f"Content-Length: {len(content) + 500}\r\n"
    authorization = server.client.headers["authorization"]
    with socket.create_connection(("127.0.0.1", server.http_port), 20) as connection:
        start = (
            f"POST /dicom-web/studies HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\n{raw_head}\r\n"
        )
        connection.sendall(start.encode() + content[: len(content) // 2])
    settled(server)
    assert sop_uids(server, one.study) == []


@pytest.mark.parametrize(
    "chunk", [b"zz\r\nx\r\n0\r\n\r\n", b"-5\r\nx\r\n", b"ffffffffffffffffff\r\nx", b"5\r\nhello0\r\n\r\n"]
)
def test_broken_chunks(server: Server, chunk: bytes) -> None:
    answer = raw(server, TYPE + "Transfer-Encoding: chunked\r\nConnection: close\r\n", chunk)
    assert not answer or answer[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 413"), answer[:200]


def test_what_is_answered_for_is_there(server: Server) -> None:
    """After all of this: good bodies are stored, each to the last instance."""
    for seed in seeds()[:3]:
        answer = send(server, seed.content, seed.kind)
        assert answer.status_code == 200, answer.text
        assert OTHERS not in answer.json()
        settled(server)
        for item in answer.json()[STORED]["Value"]:
            assert server.client.get(item["00081190"]["Value"][0] + "/metadata").status_code == 200
