"""PS3.18 8.4, 8.5, 8.6, 8.9: header fields, status codes, payloads, capabilities."""

from __future__ import annotations

import io
import zipfile
from xml.etree import ElementTree

import httpx
import pytest
from pydicom import dcmread

from tests.support.ps318 import DICOM, JSON, OCTETS, PROBLEM, SLICES, Held, multipart, parts


@pytest.mark.clause("8.4.1")
@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("image/*", "image/jpeg"), ("*/*", "image/jpeg"), ("image/png;q=0.5, image/webp;q=0.7", "image/webp"),
        ("image/jpeg;q=0.1, image/*;q=0.5", "image/png"), ("image/jpeg;q=0, */*", "image/png"),
        ("text/html, image/gif;q=0.1", "image/gif"),
    ],
)  # fmt: skip
def test_accept(held: Held, accept: str, kind: str) -> None:
    assert held.get(held.ct.path + "/rendered", accept).headers["content-type"] == kind


@pytest.mark.clause("8.4.1")
def test_accept_encoding(held: Held) -> None:
    answer = held.server.client.get(held.ct.series + "/metadata", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    plain = held.server.client.get(held.ct.series + "/metadata", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.json() == answer.json()


@pytest.mark.clause("8.4.2")
@pytest.mark.parametrize(
    ("tail", "kind"), [("", DICOM), ("/metadata", JSON), ("/rendered", "image/jpeg"), ("/frames/1", OCTETS)]
)
def test_representations_say_what_and_where_they_are(held: Held, tail: str, kind: str) -> None:
    answer = held.get(held.ct.path + tail, kind, x="1")
    assert answer.headers["content-type"].partition(";")[0] == kind
    assert answer.headers["content-location"] == f"{held.ct.path}{tail}?x=1"
    found = held.get("/dicom-web/studies", PatientID=held.patient)
    assert found.headers["content-location"] == f"/dicom-web/studies?PatientID={held.patient}"
    assert "content-location" not in held.get(held.ct.path + "9").headers


@pytest.mark.clause("8.4.3")
def test_lengths_and_ranges(held: Held) -> None:
    for tail, accept in (("", f"{DICOM}; transfer-syntax=*"), ("/frames/1", OCTETS), ("/metadata", JSON)):
        answer = held.server.client.get(
            held.ct.path + tail, headers={"Accept": accept, "Accept-Encoding": "identity"}
        )
        assert int(answer.headers["content-length"]) == len(answer.content)
    size = len(held.get(held.ct.path + "/frames/1", OCTETS).content)
    headers = {"Accept": OCTETS, "Range": "bytes=2-9"}
    part = held.server.client.get(held.ct.path + "/frames/1", headers=headers)
    assert (part.status_code, part.headers["content-range"]) == (206, f"bytes 2-9/{size}")


@pytest.mark.clause("8.5")
def test_status_codes(held: Held) -> None:
    held.refused(held.get(held.ct.path + "/frames/x"), 400)
    unknown = httpx.get(f"{held.server.url}{held.ct.study}")
    assert (unknown.status_code, unknown.headers["www-authenticate"]) == (401, "Bearer")
    held.refused(held.get("/dicom-web/studies/1.2.3"), 404)
    wrong = held.server.client.put(held.ct.study)
    held.refused(wrong, 405)
    assert {"GET", "HEAD", "POST", "OPTIONS"} <= set(wrong.headers["allow"].split(", "))
    assert "image/jpeg" in held.refused(held.get(held.ct.path + "/rendered", "text/html"), 406)


@pytest.mark.clause("8.6.1.2")
def test_parts(held: Held) -> None:
    """Each with its Content-Type and where it is by itself, whence the same comes."""
    for path, kind, count in (
        (held.ct.series, multipart(DICOM), SLICES),
        (held.us.path + "/frames/1,3", multipart("image/jpeg"), 2),
        (held.us.path + "/frames/1,3", multipart(OCTETS), 2),
        (held.ct.path + "/bulkdata/7FE00010", multipart(OCTETS), 1),
        (held.us.path + "/frames/2,4/rendered", multipart("image/png"), 2),
    ):
        found = parts(held.get(path, kind))
        assert len({part["content-location"] for part, _ in found}) == len(found) == count
        for part, content in found:
            alone = held.get(part["content-location"], part["content-type"])
            assert alone.headers["content-type"] == part["content-type"]
            assert alone.content == content


@pytest.mark.clause("8.6.1.3")
def test_a_zip_file(held: Held) -> None:
    answer = held.get(held.ct.study, "application/zip")
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        files = [name for name in archive.namelist() if name != "DICOMDIR"]
        assert {str(dcmread(archive.open(name)).StudyInstanceUID) for name in files} == {
            held.ct.sent.StudyInstanceUID
        }
        records = dcmread(archive.open("DICOMDIR")).DirectoryRecordSequence
    assert sum(record.DirectoryRecordType == "IMAGE" for record in records) == len(files) == SLICES


@pytest.mark.clause("8.9")
def test_capabilities(held: Held) -> None:
    """PS3.18 H: WADL of the service with all its resources, to whoever asks."""
    answer = httpx.request("OPTIONS", f"{held.server.url}/dicom-web")
    assert answer.headers["content-type"] == "application/vnd.sun.wadl+xml"
    wadl = ElementTree.fromstring(answer.content)
    names = {e.get("id") for e in wadl.iter("{http://wadl.dev.java.net/2009/02}method")}
    assert {"SearchForStudies", "RetrieveFrames", "StoreInstances", "RetrieveFrameThumbnail"} <= names
    one = httpx.request(
        "OPTIONS", f"{held.server.url}{held.ct.study}", headers={"Accept": "application/json"}
    )
    assert (one.status_code, one.headers["content-type"]) == (200, "application/json")
    wrong = httpx.request("OPTIONS", f"{held.server.url}/dicom-web", headers={"Accept": "text/html"})
    assert (wrong.status_code, wrong.headers["content-type"]) == (406, PROBLEM)
