"""The study manifest: small however large the study is, and two requests from the first image."""

from __future__ import annotations

import pytest
from pydicom.uid import generate_uid

from pacs.encoded import part10_header
from tests.support.pdu import CT, EXPLICIT, made
from tests.support.server import Server
from tests.support.watch import settled

IMAGES, BYTES_MAX = 2000, 100_000


@pytest.fixture(scope="module")
def study(server: Server) -> str:
    """Two thousand images, each with a UID that begins like no other's: they hardly shrink."""
    uid = generate_uid()
    parts = []
    for number in range(IMAGES):
        more = {0x00200013: ("IS", str(number).encode())}
        one = made(study=uid, series=f"{uid[:50]}.{number % 4}", instance=generate_uid(None), more=more)
        head = part10_header(CT, one.instance, EXPLICIT, source_ae="")
        parts.append(b"--x\r\nContent-Type: application/dicom\r\n\r\n" + head + one.data + b"\r\n")
    kind = 'multipart/related; type="application/dicom"; boundary=x'
    body = b"".join(parts) + b"--x--\r\n"
    server.client.post("/dicom-web/studies", content=body, headers={"Content-Type": kind}).raise_for_status()
    settled(server)
    return uid


def test_it_is_small(server: Server, study: str) -> None:
    with server.client.stream("GET", f"/api/studies/{study}", headers={"Accept-Encoding": "gzip"}) as answer:
        sent = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == "gzip"
    print(len(sent), "bytes for", IMAGES, "images")
    assert len(sent) <= BYTES_MAX


def test_the_first_image_is_two_requests_away(server: Server, study: str) -> None:
    """What the manifest tells is enough to ask for the first image's metadata and its pixels."""
    manifest = server.get(f"/api/studies/{study}")
    assert sum(len(series["instances"]) for series in manifest["series"]) == IMAGES
    series = manifest["series"][0]
    first = series["instances"][0]
    path = f"/dicom-web/studies/{study}/series/{series['series_uid']}"
    metadata = server.client.get(f"{path}/instances/{first['sop_uid']}/metadata").json()
    pixels = server.client.get(
        f"{path}/instances/{first['sop_uid']}/frames/1", headers={"Accept": "application/octet-stream"}
    )
    assert metadata[0]["00280010"]["Value"] == [first["rows"]]
    assert len(pixels.content) == first["rows"] * first["columns"] * 2
