"""STOW-RS (PS3.18 10.5): dicomweb-client stores, and hand-made bodies of every brokenness: what is answered for is
there, what is not is told, and nothing is half stored."""

from __future__ import annotations

import gzip
import hashlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from dicomweb_client.api import DICOMwebClient
from pydicom import dcmread
from pydicom.uid import generate_uid

from tests.support.pdu import Made, made
from tests.support.server import Server
from tests.support.studies import ct_study, ultrasound_study
from tests.support.watch import settled, sop_uids

DICOM = "application/dicom"
FAILED, STORED, OTHERS, REASON = "00081198", "00081199", "0008119A", "00081197"


def body(*files: bytes, boundary: str = "frontier", kind: str = DICOM) -> bytes:
    parts = (f"--{boundary}\r\nContent-Type: {kind}\r\n\r\n".encode() + f + b"\r\n" for f in files)
    return b"".join(parts) + f"--{boundary}--\r\n".encode()


def post(
    server: Server, content: Any, path: str = "", boundary: str = "frontier", **headers: str
) -> httpx.Response:
    kind = f'multipart/related; type="{DICOM}"; boundary={boundary}'
    given = {"Content-Type": kind} | {name.replace("_", "-"): value for name, value in headers.items()}
    return server.client.post(f"/dicom-web/studies{path}", content=content, headers=given)


def references(answer: httpx.Response, tag: str) -> list[str]:
    return [item["00081155"]["Value"][0] for item in answer.json().get(tag, {}).get("Value", [])]


def problem(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return str(answer.json().get("detail") or answer.json()["title"])


def stored(server: Server, one: Made) -> bool:
    settled(server)
    return sop_uids(server, one.study) == [one.instance]


def test_dicomweb_client_stores_and_reads_what_it_stored(server: Server, tmp_path: Path) -> None:
    study = ct_study(tmp_path / "ct")
    bearer = {"Authorization": server.client.headers["Authorization"]}
    client = DICOMwebClient(f"{server.url}/dicom-web", headers=bearer)
    answer = client.store_instances([dcmread(f) for f in study.files])
    assert len(answer.ReferencedSOPSequence) == len(study.files)
    assert "FailedSOPSequence" not in answer
    settled(server)
    again = client.store_instances([dcmread(f) for f in study.files], study_instance_uid=study.uid)
    assert str(again.RetrieveURL).endswith(f"/studies/{study.uid}")
    settled(server)
    (found,) = client.search_for_studies(search_filters={"StudyInstanceUID": study.uid})
    assert found["00201208"]["Value"] == [len(study.files)], "once, however often it was stored"
    assert len(client.retrieve_study(study.uid)) == len(study.files)


def test_bytes_come_back_as_they_were_stored(server: Server, tmp_path: Path) -> None:
    (loop,) = ultrasound_study(tmp_path / "us").files
    sent = loop.read_bytes()
    answer = post(server, body(sent))
    assert answer.status_code == 200
    settled(server)
    url = answer.json()[STORED]["Value"][0]["00081190"]["Value"][0]
    back = (
        server.client.get(url, headers={"Accept": f"{DICOM}; transfer-syntax=*"}).raise_for_status().content
    )
    assert _data_set(back) == _data_set(sent)


def _data_set(part10: bytes) -> str:
    group = int.from_bytes(part10[140:144], "little")
    return hashlib.sha256(part10[144 + group :]).hexdigest()


def test_one_file_without_parts(server: Server) -> None:
    one = made()
    answer = post(server, one.part10, f"/{one.study}", Content_Type=DICOM)
    assert answer.status_code == 200
    assert references(answer, STORED) == [one.instance]
    assert stored(server, one)


@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_pieces_of_any_length(server: Server, piece: int) -> None:
    """Boundaries, headers and heads fall anywhere between them."""
    several = [made(), made(pixels=os.urandom(700))]
    whole = b"preamble\r\n" + body(*(one.part10 for one in several)) + b"epilogue"

    def pieces() -> Iterator[bytes]:
        yield from (whole[n : n + piece] for n in range(0, len(whole), piece))

    answer = post(server, pieces())
    assert answer.status_code == 200, answer.text
    assert references(answer, STORED) == [one.instance for one in several]
    assert all(stored(server, one) for one in several)


def test_a_boundary_within_the_data(server: Server) -> None:
    """What only begins like one, and one that is not at the beginning of a line."""
    one = made(pixels=b"\r\n--fronti" + b"--frontier--" + b"\r\n--frontie\r\n" * 50)
    assert post(server, body(one.part10)).status_code == 200
    assert stored(server, one)


def test_one_bad_file_does_not_lose_the_others(server: Server) -> None:
    good, last = made(), made()
    bad = made().part10[:132] + os.urandom(500)
    answer = post(server, body(good.part10, b"no DICOM at all", bad, last.part10))
    assert answer.status_code == 202
    assert references(answer, STORED) == [good.instance, last.instance]
    reasons = [item[REASON]["Value"][0] for item in answer.json()[OTHERS]["Value"]]
    assert reasons == [0xC000, 0xC000]
    assert stored(server, good)
    assert stored(server, last)


def test_what_is_of_another_study_than_the_url_says(server: Server) -> None:
    one, other = made(), made()
    answer = post(server, body(one.part10, other.part10), f"/{one.study}")
    assert answer.status_code == 202
    assert references(answer, STORED) == [one.instance]
    assert references(answer, FAILED) == [other.instance]
    assert post(server, body(other.part10), f"/{generate_uid()}").status_code == 409
    settled(server)
    assert sop_uids(server, other.study) == []


@pytest.mark.parametrize("piece", [0.3, 0.9])
def test_a_body_that_ends_too_soon(server: Server, piece: float) -> None:
    """What came whole before is stored and told; what did not is not."""
    first, cut = made(), made(pixels=bytes(400_000))
    both = body(first.part10, cut.part10)
    answer = post(server, both[: int(len(both) * piece)])
    assert answer.status_code == 202, answer.text
    assert references(answer, STORED) == [first.instance]
    assert stored(server, first)
    assert sop_uids(server, cut.study) == []
    alone = body(cut.part10)
    assert "ends" in problem(post(server, alone[: int(len(alone) * piece)]), 400)
    settled(server)
    assert sop_uids(server, cut.study) == []


def test_gzip(server: Server) -> None:
    one = made(pixels=bytes(100_000))
    assert post(server, gzip.compress(body(one.part10)), Content_Encoding="gzip").status_code == 200
    assert stored(server, one)


def test_a_gzip_bomb(server: Server) -> None:
    one = made(pixels=bytes(500_000_000))
    bomb = gzip.compress(body(one.part10), 1)  # a two hundredth; better takes long
    assert "compressed" in problem(post(server, bomb, Content_Encoding="gzip"), 413)
    settled(server)
    assert sop_uids(server, one.study) == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content_Type": "text/plain"}, 415),
        ({"Content_Type": 'multipart/related; type="image/jpeg"; boundary=frontier'}, 415),
        ({"Content_Type": f'multipart/related; type="{DICOM}"'}, 400),
        ({"Content_Type": f'multipart/related; type="{DICOM}"; boundary={"x" * 201}'}, 400),
        ({"Content_Type": f'multipart/related; type="{DICOM}"; boundary=another'}, 400),
        ({"Content_Encoding": "br"}, 415),
        ({"Content_Encoding": "gzip"}, 400),
        ({"Accept": "image/png"}, 406),
    ],
)
def test_headers_that_cannot_be(server: Server, headers: dict[str, str], status: int) -> None:
    one = made()
    assert problem(post(server, body(one.part10), **headers), status)
    settled(server)
    assert sop_uids(server, one.study) == []


@pytest.mark.parametrize("content", [b"", b"--frontier--\r\n", b"\r\n", b"--frontier\r\nbad header\r\n\r\nx"])
def test_nothing_in_it(server: Server, content: bytes) -> None:
    assert problem(post(server, content), 400)


def test_who_is_not_signed_in_stores_nothing(server: Server) -> None:
    one = made()
    kind = f'multipart/related; type="{DICOM}"; boundary=frontier'
    answer = httpx.post(
        f"{server.url}/dicom-web/studies", content=body(one.part10), headers={"Content-Type": kind}
    )
    problem(answer, 401)
    settled(server)
    assert sop_uids(server, one.study) == []


@pytest.mark.parametrize("length", [48, 73, 200])
def test_any_boundary(server: Server, length: int) -> None:
    """All characters that RFC 2046 5.1.1 allows in one, and more of them than it allows: Orthanc sends 73."""
    one, boundary = made(), ("aZ09'()+_,-./:=?" + uuid.uuid4().hex).ljust(length, "x")
    kind = f'multipart/related; type="{DICOM}"; boundary="{boundary}"'
    assert post(server, body(one.part10, boundary=boundary), Content_Type=kind).status_code == 200
    assert stored(server, one)
