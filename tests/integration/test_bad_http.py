"""Requests that are wrong, by mistake or on purpose: a problem that says so, never a 500, never a hang."""

from __future__ import annotations

import base64
import json
import random
import re
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tests.support.pdu import CT, Made, associated, explicit, made
from tests.support.server import Server
from tests.support.watch import settled, use, whole

MIB = 1024 * 1024
PROBLEM = "application/problem+json"
JPEG = "1.2.840.10008.1.2.4.50"
FRAMES = 3


@pytest.fixture(scope="module", autouse=True)
def _whole_at_the_end(server: Server) -> Iterator[None]:
    yield
    whole(server)


@pytest.fixture(scope="module")
def three(server: Server) -> Made:
    """An instance of three frames."""
    one = made(more={0x00280008: ("IS", b"3")}, pixels=bytes(range(256)) * 6)
    return sent(server, one)


@pytest.fixture(scope="module")
def corrupt(server: Server) -> Made:
    """Three JPEG frames, of which the second is none."""
    from pydicom import dcmread
    from pydicom.encaps import generate_frames

    from tests.support.files import package_file

    file = dcmread(package_file("SC_rgb_jpeg_dcmtk.dcm"))
    good = next(generate_frames(file.PixelData, number_of_frames=1))
    bad = good[:30] + random.Random(5).randbytes(len(good) - 30)
    items = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(f)) + f for f in (b"", good, bad, good))
    items += struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    more = {
        0x00280002: ("US", struct.pack("<H", 3)),
        0x00280004: ("CS", file.PhotometricInterpretation.encode()),
        0x00280006: ("US", struct.pack("<H", 0)),
        0x00280008: ("IS", b"3"),
        0x00280010: ("US", struct.pack("<H", file.Rows)),
        0x00280011: ("US", struct.pack("<H", file.Columns)),
        0x00280100: ("US", struct.pack("<H", 8)),
        0x00280101: ("US", struct.pack("<H", 8)),
        0x00280102: ("US", struct.pack("<H", 7)),
    }
    base = made(more=more, without=[0x7FE00010])
    data = base.data + explicit(0x7FE00010, "OB", items, length=0xFFFFFFFF)
    return sent(server, Made(base.study, base.series, base.instance, data), JPEG)


def sent(server: Server, one: Made, syntax: str = "1.2.840.10008.1.2.1") -> Made:
    with associated(server.dicom_port, [(CT, (syntax,))]) as caller:
        assert caller.store(one.instance, one.data) == 0
        caller.release()
    settled(server)
    return one


def instance_path(one: Made, tail: str = "") -> str:
    return f"/dicom-web/studies/{one.study}/series/{one.series}/instances/{one.instance}{tail}"


def get(server: Server, path: str, accept: str = "*/*", **params: Any) -> httpx.Response:
    began = time.monotonic()
    answer = server.client.get(path, params=params or None, headers={"Accept": accept})
    assert time.monotonic() - began < 20, "a hang"
    return answer


def is_problem(answer: httpx.Response, status: int, word: str) -> None:
    assert answer.status_code == status, answer.text[:500]
    assert answer.headers["content-type"] == PROBLEM
    body = answer.json()
    assert body["type"].endswith("/problems/" + word), body
    assert body["status"] == status


# Frames and pictures


@pytest.mark.parametrize("frame", ["4", "1,4", "999999999"])
def test_frames_that_do_not_exist(server: Server, three: Made, frame: str) -> None:
    for tail in ("", "/rendered"):
        if tail and "," in frame:
            continue
        is_problem(get(server, instance_path(three, f"/frames/{frame}{tail}")), 404, "not-found")


@pytest.mark.parametrize(
    "frame", ["0", "-1", "1e3", "1.0", "+1", "٣", "1,", ",1", "1,,2", "1-3", "all", " 1", "1;2", "0x1", "1" * 12,
              "1," * 5000 + "1", "%00", "1%2C0", "¹"]
)  # fmt: skip
def test_frames_that_are_no_numbers(server: Server, three: Made, frame: str) -> None:
    for tail in ("", "/rendered"):
        answer = get(server, instance_path(three, f"/frames/{quote(frame, safe='%,')}{tail}"))
        is_problem(answer, 400, "bad-query")


def test_frames_many_times(server: Server, three: Made) -> None:
    accept = 'multipart/related; type="application/octet-stream"'
    answer = get(server, instance_path(three, "/frames/3,1,3"), accept)
    assert answer.status_code == 200
    assert len(answer.content) > 3 * 512


@pytest.mark.parametrize("path", ["/frames/1/rendered", "/frames/3/rendered"])
def test_good_frames_of_a_corrupt_instance_are_shown(server: Server, corrupt: Made, path: str) -> None:
    assert get(server, instance_path(corrupt, path), "image/jpeg").status_code == 200


def test_a_corrupt_frame_is_named(server: Server, corrupt: Made) -> None:
    answer = get(server, instance_path(corrupt, "/frames/2/rendered"), "image/jpeg")
    is_problem(answer, 422, "cannot-render")
    assert re.search(r"\b2\b", answer.json()["detail"]), answer.text


def test_the_bytes_of_a_corrupt_frame_are_given_as_they_are(server: Server, corrupt: Made) -> None:
    accept = f'multipart/related; type="image/jpeg"; transfer-syntax={JPEG}'
    assert get(server, instance_path(corrupt, "/frames/2"), accept).status_code == 200


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("window", "nan,nan"), ("window", "inf,1"), ("window", "1e308,1e308"), ("window", "1,0"), ("window", "1,-5"),
        ("window", ","), ("window", "1"), ("window", "1,2,klingon"), ("window", "1,2,linear,4"), ("window", "0x10,4"),
        ("viewport", "0,0"), ("viewport", "-1,5"), ("viewport", "99999,99999"), ("viewport", "5"), ("viewport", "a,b"),
        ("viewport", "000000001999999999,1"), ("viewport", "٣,٣"),
        ("quality", "0"), ("quality", "101"), ("quality", "-1"), ("quality", "high"), ("quality", "1e1"),
        ("quality", "00000000099999"), ("quality", "9" * 5000),
    ],
)  # fmt: skip
def test_rendered_with_impossible_parameters(server: Server, three: Made, name: str, value: str) -> None:
    answer = get(server, instance_path(three, "/rendered"), "image/jpeg", **{name: value})
    assert answer.status_code in (200, 400, 422), answer.text
    if (name, value) != ("window", "1e308,1e308"):
        assert answer.status_code != 200
    if answer.status_code != 200:
        assert answer.headers["content-type"] == PROBLEM


def test_a_huge_viewport_takes_no_huge_memory(server: Server, three: Made) -> None:
    before = most_memory(server)
    answer = get(server, instance_path(three, "/rendered"), "image/png", viewport="16384,16384")
    assert answer.status_code in (200, 400)
    assert most_memory(server) - before < 200 * MIB


def most_memory(server: Server) -> int:
    """The most that the API's processes ever had, bytes."""
    most = 0
    for pid in use(server, "viewer_api").pids:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        most += int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024
    return most


# Negotiation


@pytest.mark.parametrize(
    ("path", "accept", "possible"),
    [
        ("", "text/html", "application/dicom"),
        ("", 'multipart/related; type="image/jpeg"', "application/dicom"),
        ("", "application/dicom; transfer-syntax=1.2.840.10008.1.2.4.91", "transfer-syntax"),
        ("/metadata", "application/xml", "application/dicom+json"),
        ("/frames/1", "text/plain", "application/octet-stream"),
        ("/rendered", "application/dicom", "image/jpeg"),
        ("/rendered", "image/jpeg;q=0", "image/png"),
    ],
)
def test_what_cannot_be_answered_so_says_how_it_can(
    server: Server, three: Made, path: str, accept: str, possible: str
) -> None:
    answer = get(server, instance_path(three, path), accept)
    is_problem(answer, 406, "not-acceptable")
    assert possible in answer.json()["detail"]


@pytest.mark.parametrize(
    "accept", ["", ",", ";", ";;;", "a/b/c", "*/*;q=nan", "*/*;q=-1", '"', 'multipart/related; type="', "x" * 4000,
               "image/*;q=0.5, */*;q=0.1", ",".join(["image/x"] * 500), "\xff\xfe", "application/dicom;=;="]
)  # fmt: skip
@pytest.mark.parametrize("path", ["", "/metadata", "/frames/1", "/rendered"])
def test_odd_accept_headers(server: Server, three: Made, path: str, accept: str) -> None:
    headers: Any = [(b"Accept", accept.encode("latin-1"))]
    answer = server.client.get(instance_path(three, path), headers=headers)
    assert answer.status_code in (200, 406), answer.text
    assert get(server, instance_path(three, path), accept="*/*", accept_=accept).status_code == 200


# Searching

BIG = "9" * 30
QUERIES: list[tuple[str, dict[str, str], set[int]]] = [
    ("/dicom-web/studies", {"Nonsense": "1"}, {400}),
    ("/dicom-web/studies", {"00000000": "1"}, {400}),
    ("/dicom-web/studies", {"x" * 5000: "1"}, {400}),
    ("/dicom-web/studies", {"StudyDate": "yesterday"}, {400}),
    ("/dicom-web/studies", {"StudyDate": "-"}, {400}),
    ("/dicom-web/studies", {"StudyDate": "20260101-20260102-20260103"}, {400}),
    ("/dicom-web/studies", {"StudyDate": "00000000"}, {400}),
    ("/dicom-web/studies", {"StudyTime": "99"}, {200, 400}),
    ("/dicom-web/studies", {"PatientID": "x" * 50_000}, {400, 414}),
    ("/dicom-web/studies", {"PatientID": "a\0b"}, {200, 400}),
    ("/dicom-web/studies", {"PatientName": "*" * 1000}, {200}),
    ("/dicom-web/studies", {"PatientName": "*a" * 500}, {200, 400}),
    ("/dicom-web/studies", {"PatientName": "%_\\'\";--"}, {200}),
    ("/dicom-web/studies", {"PatientName": "[a-z]*"}, {200}),
    ("/dicom-web/studies", {"PatientName": "\ud7ff\U0010ffff\x7f"}, {200}),
    ("/dicom-web/studies", {"StudyInstanceUID": ",".join(["1.2"] * 1001)}, {400}),
    ("/dicom-web/studies", {"StudyInstanceUID": ",,,"}, {200, 400}),
    ("/dicom-web/studies", {"StudyInstanceUID": "1.2\0"}, {200, 400}),
    ("/dicom-web/studies", {"ModalitiesInStudy": "*"}, {200}),
    ("/dicom-web/studies", {"SOPInstanceUID": "1.2"}, {400}),
    ("/dicom-web/studies", {"limit": "0"}, {200}),
    ("/dicom-web/studies", {"limit": "-1"}, {400}),
    ("/dicom-web/studies", {"limit": "999999999999"}, {200}),
    ("/dicom-web/studies", {"limit": BIG}, {400}),
    ("/dicom-web/studies", {"limit": "1.5"}, {400}),
    ("/dicom-web/studies", {"limit": ""}, {400}),
    ("/dicom-web/studies", {"limit": "٣"}, {400}),
    ("/dicom-web/studies", {"offset": "-1"}, {400}),
    ("/dicom-web/studies", {"offset": "999999999999"}, {200}),
    ("/dicom-web/studies", {"includefield": "klingon"}, {200, 400}),
    ("/dicom-web/series", {"SeriesNumber": BIG}, {200, 400}),
    ("/dicom-web/series", {"SeriesNumber": "-" + BIG}, {200, 400}),
    ("/dicom-web/series", {"SeriesNumber": "1e5"}, {400}),
    ("/dicom-web/series", {"SeriesNumber": "9" * 6000}, {400, 414}),
    ("/dicom-web/series", {"NumberOfSeriesRelatedInstances": BIG}, {200, 400}),
    ("/dicom-web/series", {"Modality": "C?"}, {200}),
    ("/dicom-web/instances", {"limit": "0"}, {200}),
    ("/dicom-web/instances", {"limit": "2", "offset": "999999999999"}, {200}),
    ("/dicom-web/instances", {"InstanceNumber": BIG}, {200, 400}),
    ("/dicom-web/instances", {"SOPInstanceUID": "[" * 500}, {200, 400}),
    ("/api/studies", {"q": "\0"}, {200, 400}),
    ("/api/studies", {"q": "a\0b"}, {200, 400}),
    ("/api/studies", {"q": "%" * 200}, {200}),
    ("/api/studies", {"q": "x" * 201}, {400}),
    ("/api/studies", {"q": "\\"}, {200}),
    ("/api/studies", {"patient_id": "\0"}, {200, 400}),
    ("/api/studies", {"modality": "C\0T"}, {200, 400}),
    ("/api/studies", {"date_from": "0000-00-00"}, {400}),
    ("/api/studies", {"date_from": "99999-01-01"}, {400}),
    ("/api/studies", {"date_from": "-0001-01-01"}, {400}),
    ("/api/studies", {"limit": "0"}, {400}),
    ("/api/studies", {"limit": "201"}, {400}),
    ("/api/studies", {"limit": BIG}, {400}),
    ("/api/incidents", {"before": BIG}, {200, 400}),
    ("/api/incidents", {"before": "-" + BIG}, {200, 400}),
    ("/api/incidents", {"limit": "0"}, {400}),
    (f"/api/incidents/{BIG}/instance", {}, {400, 404}),
    ("/api/incidents/-1/instance", {}, {404}),
    ("/api/incidents/x/instance", {}, {400}),
]


@pytest.mark.parametrize("number", range(len(QUERIES)))
def test_odd_queries(server: Server, three: Made, number: int) -> None:
    path, params, expected = QUERIES[number]
    answer = get(server, path, **params)
    assert answer.status_code in expected, answer.text[:300]
    if answer.status_code == 200 and params.get("limit") == "0":
        assert answer.json() == []
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == PROBLEM


def cursor(content: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "text",
    ["x", "====", "%00", "é", "A" * 200, cursor(None), cursor([]), cursor([1, 2, 3]), cursor(["2026-01-01", None]),
     cursor(["2026-13-01", 1]), cursor([None, 10**30]), cursor([None, -(10**30)]), cursor([None, float("inf")]),
     cursor([None, float("nan")]), cursor([None, "1"]), cursor([20260101, 1]), cursor([[[]], {}]), cursor({"a": 1}),
     cursor([None, True]), cursor([None, "9" * 100])],
)  # fmt: skip
def test_cursors_that_the_list_never_gave(server: Server, text: str) -> None:
    answer = get(server, "/api/studies", cursor=text)
    assert answer.status_code in (200, 400), answer.text
    if answer.status_code == 400:
        assert answer.headers["content-type"] == PROBLEM


# Paths

ODD_UIDS = ["1.2.3", "..", "%2e%2e", "%00", "1.2%00", "1.2%0a", "%ff%fe", "*", "?", "%3f", "1.2,1.3", "1.2%5c1.3", "'",
            "a" * 3000, "<script>", "%F0%9F%92%A9", "1.2 ", "%20", "..%2f..%2fetc%2fpasswd", "{}",
            "1.2;a=b"]  # fmt: skip


@pytest.mark.parametrize("uid", ODD_UIDS)
def test_odd_uids_in_paths(server: Server, three: Made, uid: str) -> None:
    for path in (
        f"/dicom-web/studies/{uid}",
        f"/dicom-web/studies/{uid}/metadata",
        f"/dicom-web/studies/{uid}/thumbnail",
        f"/dicom-web/studies/{three.study}/series/{uid}",
        f"/dicom-web/studies/{three.study}/series/{three.series}/instances/{uid}",
        f"/dicom-web/studies/{three.study}/series/{three.series}/instances/{uid}/rendered",
        instance_path(three, f"/bulkdata/{uid}"),
        f"/api/studies/{uid}",
    ):
        code = get_raw(server, path)[0]
        assert code in (400, 404, 406) or (code == 200 and uid in ("?", "..", "%2e%2e")), f"{path}: {code}"


@pytest.mark.parametrize("uid", ODD_UIDS)
def test_odd_uids_list_nothing(server: Server, three: Made, uid: str) -> None:
    """Neither a wildcard nor a list in a path finds what was not named."""
    for path in (f"/dicom-web/studies/{uid}/series", f"/dicom-web/studies/{uid}/instances"):
        code, body = get_raw(server, path)
        assert code in (200, 400, 404), f"{path}: {code}"
        assert code != 200 or body == b"[]" or uid in ("?", "..", "%2e%2e"), f"{path} lists something"


def get_raw(server: Server, target: str, method: str = "GET") -> tuple[int, bytes]:
    """A request whose target is sent as it is; httpx would tidy it up."""
    authorization = server.client.headers["authorization"]
    head = f"{method} {target} HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.http_port), 30) as connection:
        connection.sendall(head.encode("latin-1"))
        data = b""
        while piece := connection.recv(65536):
            data += piece
    head_bytes, _, body = data.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" in head_bytes.lower():
        body = unchunked(body)
    return int(head_bytes.split(b" ")[1]), body


def unchunked(body: bytes) -> bytes:
    whole_body = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size, 16)
        whole_body += rest[:length]
        body = rest[length + 2 :]
    return whole_body


@pytest.mark.parametrize(
    "target",
    ["/..%2f..%2f..%2fetc/passwd", "/../../../etc/passwd", "/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd",
     "/%2fetc/passwd", "/assets/..%2f..%2f..%2f..%2f..%2f..%2fetc/passwd", "/..%5c..%5cetc/passwd", "/assets/%00",
     "/%00", "/index.html%00.js", "/" + "a" * 5000, "/" + "a/" * 2000, "/.env", "/..%2fpackage.json",
     "/..%2fsrc%2fmain.tsx", "/proc/self/environ", "/%2fproc%2fself%2fenviron", "/~root", "/%ff"],
)  # fmt: skip
def test_no_path_leads_out_of_the_pages(server: Server, target: str) -> None:
    code, body = get_raw(server, target)
    assert code in (200, 400, 404, 414) or (code == 503 and b"make web" in body), f"{code} {body[:200]!r}"
    assert b"root:" not in body
    assert b"TONGYING_" not in body
    assert b'"devDependencies"' not in body


def test_unknown_and_hidden_give_the_same_answer(server: Server) -> None:
    """404, and nothing of the question in the answer."""
    answer = get(server, "/dicom-web/studies/1.2.3.4.5")
    is_problem(answer, 404, "not-found")
    assert "1.2.3.4.5" not in answer.text


@pytest.mark.parametrize(
    "path", ["/api/nothing", "/dicom-web/nothing", "/fhir/nothing", "/cds-services/nothing", "/wado/x"]
)
def test_unknown_resources_are_problems_not_pages(server: Server, path: str) -> None:
    is_problem(get(server, path), 404, "not-found")


# Methods


def paths(server: Server) -> list[tuple[str, str, dict[str, Any]]]:
    document = server.get("/api/openapi.json")
    return [
        (method, path, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in ("get", "post", "put", "patch", "delete")
    ]


def test_head_is_get_without_a_body(server: Server, three: Made) -> None:
    """RFC 9110 9.3.2: general-purpose servers answer GET and HEAD."""
    for path in (
        "/",
        "/healthz",
        "/api/me",
        "/dicom-web/studies",
        instance_path(three, "/metadata"),
        instance_path(three),
    ):
        head, got = server.client.head(path), server.client.get(path)
        assert head.status_code == got.status_code, path
        assert head.content == b""


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "KLINGON"])
def test_methods_that_are_not_there(server: Server, method: str) -> None:
    told = (
        "/wado" if method == "OPTIONS" else "/dicom-web/studies/1.2.3/metadata"
    )  # OPTIONS there: its capabilities
    for path in ("/api/me", "/healthz", told, "/nothing"):
        answer = server.client.request(method, path)
        if method == "KLINGON" and answer.status_code == 400:
            continue  # the HTTP server itself does not know it
        assert answer.status_code in (404, 405), f"{method} {path}"
        assert answer.headers["content-type"] == PROBLEM


# HTTP itself


@pytest.mark.parametrize(
    "request_bytes",
    [b"\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\0\x01\0\x01\xfc",
     b"GET / HTTP/1.1\r\n" + b"A: " + b"b" * 100_000,
     b"POST /api/auth/token HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
     b"POST /api/auth/token HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     b"POST /api/auth/token HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n"],
)  # fmt: skip
def test_what_is_no_http(server: Server, request_bytes: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.http_port), 10) as connection:
        connection.sendall(request_bytes)
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(65536)
    assert answer == b"" or answer[:12].split(b" ")[1][:1] == b"4", answer[:100]
    assert httpx.get(f"{server.url}/healthz").status_code == 200


# Everything in the OpenAPI document, with parameters made up

TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    st.sampled_from(["", "0", "-1", BIG, "1e9", "nan", "\0", "*", "%", "\\", "../..", "20260101-", "null", "[]", "{}",
                     "'", "1.2.3"]),
)  # fmt: skip
NAMES = ["limit", "offset", "accept", "q", "cursor", "window", "viewport", "quality", "includefield", "fuzzymatching",
         "PatientName", "PatientID", "StudyDate", "StudyTime", "StudyInstanceUID", "SeriesNumber", "InstanceNumber",
         "ModalitiesInStudy", "SOPInstanceUID", "PatientBirthDate", "Modality", "before", "charset"]  # fmt: skip
EXAMPLES_SEED = random.SystemRandom().randrange(10**6)


def test_nothing_in_the_api_fails_inside(server: Server, three: Made) -> None:
    """Each route with real and made-up path parameters and query parameters: no 5xx."""
    ours = ("/api/auth/", "/api/me/sessions/")  # the client's own session goes on
    operations = [o for o in paths(server) if not o[1].startswith(ours)]
    known = {"study_uid": three.study, "series_uid": three.series, "sop_instance": three.instance}

    @seed(EXAMPLES_SEED)
    @settings(max_examples=300, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def holds(data: st.DataObject) -> None:
        method, path, operation = data.draw(st.sampled_from(operations))
        names = [p["name"] for p in operation.get("parameters", []) if p["in"] == "query"]
        for name in re.findall(r"{(\w+)(?::\w+)?}", path):
            real = known.get(name, "1")
            value = data.draw(st.one_of(st.just(real), st.just(real), TEXTS))
            path = re.sub(rf"{{{name}(:\w+)?}}", quote(value, safe="").replace("\\", "") or "x", path)
        chosen = data.draw(st.dictionaries(st.sampled_from(NAMES + names), TEXTS, max_size=3))
        answer = server.client.request(method, path, params=chosen)
        assert answer.status_code < 500, f"{method} {path} {chosen}: {answer.status_code} {answer.text[:300]}"
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == PROBLEM

    print("seed", EXAMPLES_SEED)
    holds()
