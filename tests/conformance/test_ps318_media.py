"""PS3.18 8.7: media types and transfer syntaxes, and which of them an answer is in."""

from __future__ import annotations

import io
import os
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import generate_frames

from tests.support.apart import apart, body, bulk, location, metadata, post
from tests.support.ps318 import DICOM, EXPLICIT, JSON, OCTETS, ROOT, SLICES, XML, Held, multipart, parts
from tests.support.watch import settled

BASELINE, JPEG_LS, HTJ2K = f"{ROOT}50", f"{ROOT}80", f"{ROOT}201"


@pytest.mark.clause("8.7.3.1")
def test_application_dicom(held: Held) -> None:
    """Alone and in parts, in Explicit VR Little Endian also what came in JPEG."""
    for one in (held.ct, held.us, held.odd):
        answer = held.get(one.path, DICOM)
        assert answer.headers["content-type"] == f"{DICOM}; transfer-syntax={EXPLICIT}"
        ((part, content),) = parts(held.get(one.path, multipart(DICOM)))
        assert part["content-type"] == answer.headers["content-type"]
        assert content == answer.content
        assert dcmread(io.BytesIO(content)).file_meta.TransferSyntaxUID == EXPLICIT
    held.refused(held.get(held.ct.series, DICOM), 406)


@pytest.mark.clause("8.7.3.2", "F.2.1")
def test_metadata(held: Held) -> None:
    """JSON is one array, XML a part for each."""
    for path in (held.ct.study, held.ct.series):
        answer = held.get(path + "/metadata")
        assert answer.headers["content-type"] == JSON
        assert len(answer.json()) == SLICES
        assert held.get(path + "/metadata", "application/json").headers["content-type"] == JSON
        found = parts(held.get(path + "/metadata", multipart(XML)))
        assert {part["content-type"] for part, _ in found} == {XML}
        assert len([ElementTree.fromstring(content) for _, content in found]) == SLICES
    assert isinstance(held.get(held.ct.path + "/metadata").json(), list)


@pytest.mark.clause("8.7.3.3.1")
def test_native_bulk_data(held: Held) -> None:
    """Little endian, one part a value; what came compressed is decoded."""
    for one in (held.ct, held.us):
        ((part, content),) = parts(held.get(one.path + "/bulkdata/7FE00010", multipart(OCTETS)))
        assert part["content-type"] == f"{OCTETS}; transfer-syntax={EXPLICIT}"
        decoded = dcmread(io.BytesIO(held.get(one.path, DICOM).content))
        assert content == decoded.pixel_array.tobytes()
        ranged = held.server.client.get(
            one.path + "/bulkdata/7FE00010", headers={"Accept": OCTETS, "Range": "bytes=1000-400000"}
        )
        assert (ranged.status_code, ranged.content) == (206, content[1000:400001])


@pytest.mark.clause("8.7.3.3.2")
def test_compressed_bulk_data(held: Held) -> None:
    """A frame a part, as it is encoded, without fragments."""
    wanted = [f.rstrip(b"\0") for f in generate_frames(held.us.sent.PixelData, number_of_frames=30)]
    accept = multipart("image/jpeg", "*")
    for path in ("/bulkdata/7FE00010", "/frames/" + ",".join(str(n) for n in range(1, 31))):
        found = parts(held.get(held.us.path + path, accept))
        assert {part["content-type"] for part, _ in found} == {f"image/jpeg; transfer-syntax={BASELINE}"}
        assert [content.rstrip(b"\0") for _, content in found] == wanted
    held.refused(held.get(held.us.path + "/bulkdata/7FE00010", "image/jpeg"), 406)


@pytest.mark.clause("8.7.3.3.2")
def test_a_video_is_one_part(held: Held) -> None:
    one, film = apart("examples_ybr_color.dcm"), os.urandom(70_000)
    (uri,) = location(one)
    assert (
        post(held.server, body([*metadata(one.attributes), bulk(uri, film, "video/mp4")])).status_code == 200
    )
    settled(held.server)
    for path in ("/bulkdata/7FE00010", "/frames/1"):
        ((part, content),) = parts(held.get(one.path + path, multipart("video/mp4")))
        assert part["content-type"] == f"video/mp4; transfer-syntax={ROOT}102"
        assert content == film


@pytest.mark.clause("8.7.3.5.2")
def test_transfer_syntaxes(held: Held) -> None:
    for syntax in (JPEG_LS, HTJ2K, EXPLICIT):
        answer = held.get(held.ct.path, f"{DICOM}; transfer-syntax={syntax}")
        assert dcmread(io.BytesIO(answer.content)).file_meta.TransferSyntaxUID == syntax
    answer = held.get(held.us.path, f"{DICOM}; transfer-syntax=*")
    assert answer.headers["content-type"] == f"{DICOM}; transfer-syntax={BASELINE}"
    for wrong in ("1.2.3", f"{ROOT}102"):
        held.refused(held.get(held.ct.path, f"{DICOM}; transfer-syntax={wrong}"), 406)


@pytest.mark.clause("8.7.3.5.3")
def test_the_character_set_of_a_media_type(held: Held) -> None:
    path = held.ct.path + "/metadata"
    assert held.get(path, f"{JSON}; charset=utf-8").headers["content-type"] == JSON
    held.refused(held.get(path, f"{JSON}; charset=iso-8859-1"), 406)
    both = held.get(path, f"{JSON}; charset=iso-8859-1, {multipart(XML)}")
    assert both.headers["content-type"].startswith("multipart/related")


@pytest.mark.clause("8.7.4")
def test_rendered_media_types(held: Held) -> None:
    """At most 8 bits a channel; JPEG is baseline."""
    for kind in ("jpeg", "png", "gif", "webp"):
        picture = Image.open(io.BytesIO(held.get(held.ct.path + "/rendered", f"image/{kind}").content))
        assert (picture.format, picture.size) == (kind.upper(), (128, 128))
        assert picture.mode in ("L", "P", "RGB")
        assert not picture.info.get("progressive")
    loop = Image.open(io.BytesIO(held.get(held.us.path + "/rendered", "image/gif").content))
    assert loop.n_frames > 1  # type: ignore[attr-defined]
    document = held.get(held.pdf.path + "/rendered", "application/pdf")
    assert (document.headers["content-type"], document.content[:8]) == ("application/pdf", b"%PDF-1.4")


@pytest.mark.clause("8.7.8.1")
def test_the_selected_media_type(held: Held) -> None:
    """The parameter, then the header, then what its wildcard allows."""

    def kind(accept: str, parameter: str) -> str:
        answer = held.server.client.get(
            held.ct.path + "/rendered", params={"accept": parameter}, headers={"Accept": accept}
        )
        return str(answer.headers["content-type"])

    assert kind("image/jpeg", "image/png") == "image/png"
    assert kind("image/jpeg", "image/png;q=0.2,image/webp;q=0.4") == "image/webp"
    assert kind("image/gif", "video/mp4") == "image/gif"
    assert kind("*/*", "video/mp4") == "image/jpeg"
    assert kind("text/html", "video/mp4") == "application/problem+json"


@pytest.mark.clause("8.7.8.2")
def test_the_selected_transfer_syntax(held: Held) -> None:
    """Of several the first that is possible, by their weights."""
    impossible, possible = multipart(DICOM, f"{ROOT}102"), multipart(DICOM, HTJ2K)
    for accept in (f"{impossible}, {possible};q=0.5", f"{possible};q=0.5, {impossible}"):
        ((part, _),) = parts(held.get(held.ct.path, accept))
        assert part["content-type"] == f"{DICOM}; transfer-syntax={HTJ2K}"
    frames = f"{multipart('image/jls', f'{ROOT}81')}, {multipart('image/jphc', HTJ2K)};q=0.9"
    ((part, _),) = parts(held.get(held.ct.path + "/frames/1", frames))
    assert part["content-type"] == f"image/jphc; transfer-syntax={HTJ2K}"
    ((part, content),) = parts(held.get(held.ct.path + "/frames/1", multipart(OCTETS)))
    assert part["content-type"] == f"{OCTETS}; transfer-syntax={EXPLICIT}"
    assert np.array_equal(np.frombuffer(content, "<i2"), held.ct.sent.pixel_array.ravel())
