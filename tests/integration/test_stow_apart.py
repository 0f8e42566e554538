"""STOW-RS of metadata and bulk data (PS3.18 10.5.1.4): what is stored comes back as it was given, metadata by metadata
and pixels bit for bit, in DCMTK's eyes too."""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import re
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.encaps import generate_frames
from pydicom.uid import generate_uid

from pacs.encoded import read_head
from pacs.transcode import transcoded
from tests.support.apart import (
    JSON,
    OCTETS,
    STORED,
    XML,
    Apart,
    apart,
    body,
    bulk,
    file_of,
    location,
    metadata,
    names,
    post,
    stored,
)
from tests.support.files import package_file
from tests.support.server import Server
from tests.support.studies import ultrasound_study
from tests.support.watch import memory_watched, settled, sop_uids, whole

MIB = 1024 * 1024
ROOT = "1.2.840.10008.1.2.4."
RLE, EXPLICIT = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.1"


@pytest.fixture(scope="module", autouse=True)
def _whole_at_the_end(server: Server) -> Iterator[None]:
    yield
    whole(server)


def comes_back(server: Server, one: Apart, syntax: str = EXPLICIT) -> None:
    """The metadata, and the pixels bit for bit; DCMTK finds nothing amiss."""
    settled(server)
    (back,) = server.get(one.path + "/metadata")
    given = {tag: element for tag, element in one.attributes.items() if tag[:4] != "7FE0"}
    assert back.pop("7FE00010", {}).get("vr") in ((None, "OB", "OW") if syntax == EXPLICIT else ("OB",))
    assert plain(back) == plain(given)
    file = file_of(server, one)
    read = dcmread(io.BytesIO(file))
    assert read.file_meta.TransferSyntaxUID == syntax
    assert read.SpecificCharacterSet == "ISO_IR 192"
    if syntax == EXPLICIT:
        assert read.get("PixelData", b"") == b"".join(one.frames)
    else:
        frames = generate_frames(read.PixelData, number_of_frames=len(one.frames))
        assert list(frames) == [frame + b"\0" * (len(frame) % 2) for frame in one.frames]
        if len(one.frames) > 1:
            assert read.PixelData[:4] == b"\xfe\xff\x00\xe0"
            assert int.from_bytes(read.PixelData[4:8], "little") == 4 * len(one.frames), (
                "a Basic Offset Table"
            )
    if syntax != f"{ROOT}201":  # which Debian's DCMTK does not know
        dumped = subprocess.run(["dcmdump", "+fo", "-"], input=file, capture_output=True, check=True)
        assert not dumped.stderr, dumped.stderr
    if syntax == EXPLICIT:
        text = subprocess.run(["dcm2json", "+fo", "-"], input=file, capture_output=True, check=True).stdout
        assert plain({k: v for k, v in json.loads(text).items() if k != "7FE00010"}) == plain(given)


def plain(attributes: Any) -> Any:
    """As values are compared: empty ones at the end and large binary ones aside, numbers as numbers."""
    found = {}
    for tag, element in attributes.items():
        values = element.get("Value") or []
        if element["vr"] == "SQ":
            values = [plain(item or {}) for item in values]
        elif element["vr"] == "PN":
            values = [{k: v for k, v in name.items() if v} if name else None for name in values]
        elif element["vr"] in ("DS", "IS", "FD", "FL"):
            values = [None if v in (None, "") else pytest.approx(float(v), rel=1e-6) for v in values]
        elif element["vr"] not in ("US", "UL", "SS", "SL", "AT"):
            values = [None if v is None else str(v).strip() or None for v in values]
        found[tag] = (element["vr"], [] if set(map(str, values)) <= {"None", "{}"} else values)
    return found


@pytest.mark.parametrize("kind", [JSON, XML])
@pytest.mark.parametrize("source", ["CT_small.dcm", "MR_small_implicit.dcm", "examples_palette.dcm"])
def test_native_pixels(server: Server, source: str, kind: str) -> None:
    one = apart(source, PatientName="Wang^Fang=王^芳=ワン^ファン", PatientComments="第一行\r\n<b>&amp;\\")
    answer = post(server, body(metadata(one.attributes, xml=kind == XML) + one.parts()), kind)
    assert answer.status_code == 200, answer.text
    assert names(answer, STORED) == [one.instance]
    comes_back(server, one)


COMPRESSED = [
    ("SC_rgb_jpeg_dcmtk.dcm", "image/jpeg", f"{ROOT}50"),
    ("JPEG-LL.dcm", "image/jpeg", f"{ROOT}70"),
    ("JPGExtended.dcm", "image/jpeg", f"{ROOT}51"),
    ("MR_small_RLE.dcm", "image/dicom-rle", RLE),
    ("MR_small_jpeg_ls_lossless.dcm", "image/jls", f"{ROOT}80"),
    ("MR_small_jp2klossless.dcm", "image/jp2", f"{ROOT}90"),
    ("JPEG2000.dcm", "image/jp2", f"{ROOT}91"),
    ("CT_small.dcm", "image/jphc", f"{ROOT}201"),  # which is transcoded before
    ("SC_rgb_rle_2frame.dcm", "image/dicom-rle", RLE),
    ("emri_small_jpeg_ls_lossless.dcm", "image/jls", f"{ROOT}80"),
    ("examples_ybr_color.dcm", "image/jpeg", f"{ROOT}50"),
]


@pytest.mark.parametrize("declared", [False, True])
@pytest.mark.parametrize(("source", "media_type", "syntax"), COMPRESSED)
def test_compressed_pixels(
    server: Server, tmp_path: Path, source: str, media_type: str, syntax: str, declared: bool
) -> None:
    """Each frame a part; the transfer syntax is declared, or what the frames say (PS3.18 table 8.7.3-5)."""
    one = apart(in_syntax(source, syntax, tmp_path))
    kind = f"{media_type}; transfer-syntax={syntax}" if declared else media_type
    answer = post(server, body(metadata(one.attributes) + one.parts(kind)))
    assert answer.status_code == 200, answer.text
    comes_back(server, one, syntax)


def in_syntax(source: str, syntax: str, folder: Path) -> Path:
    """A packaged file, or what it is in another lossless transfer syntax."""
    part10 = package_file(source).read_bytes()
    if read_head(part10).transfer_syntax != syntax:
        (folder / source).write_bytes(transcoded(part10, syntax))
        return folder / source
    return package_file(source)


def test_frames_by_their_numbers(server: Server) -> None:
    """In any order, as Retrieve names them; and native ones, each in a part."""
    one, native = apart("examples_ybr_color.dcm"), apart("SC_rgb_2frame.dcm")
    uri = one.attributes["7FE00010"]["BulkDataURI"]
    numbered = [bulk(f"{uri}/frames/{n}", frame, "image/jpeg") for n, frame in enumerate(one.frames, 1)]
    half = len(native.frames[0]) // 2
    native_uri = native.attributes["7FE00010"]["BulkDataURI"]
    halves = [bulk(native_uri, native.frames[0][:half]), bulk(native_uri, native.frames[0][half:])]
    several = metadata(one.attributes, native.attributes) + numbered[::-1] + halves
    assert post(server, body(several)).status_code == 200
    comes_back(server, one, f"{ROOT}50")
    comes_back(server, native)


@pytest.mark.parametrize("source", ["SC_rgb_jpeg_dcmtk.dcm", "MR_small_jp2klossless.dcm", "JPEG2000.dcm"])
def test_what_the_frames_say_may_be_left_out(server: Server, source: str) -> None:
    """The Image Pixel Description Macro (PS3.18 10.5.1.4)."""
    one = apart(source)
    shape = (
        "00280002",
        "00280004",
        "00280006",
        "00280010",
        "00280011",
        "00280100",
        "00280101",
        "00280102",
        "00280103",
    )
    some = {tag: element for tag, element in one.attributes.items() if tag not in shape}
    kind = {s: m for s, m, _ in COMPRESSED}[source]
    assert post(server, body(metadata(some) + one.parts(kind))).status_code == 200
    settled(server)
    (back,) = server.get(one.path + "/metadata")
    for tag in set(shape) - {"00280004"}:
        if tag in one.attributes:
            assert back[tag]["Value"] == one.attributes[tag]["Value"], tag
    accept = {"Accept": "image/png"}
    assert server.client.get(one.path + "/rendered", headers=accept).status_code == 200


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("xml", [False, True])
def test_all_inline(server: Server, xml: bool, alone: bool) -> None:
    """Without bulk data; also as a body without parts."""
    one = apart("CT_small.dcm")
    inline = {"vr": "OW", "InlineBinary": base64.b64encode(one.frames[0]).decode()}
    kind, ((_, document),) = XML if xml else JSON, metadata(one.attributes | {"7FE00010": inline}, xml=xml)
    content = document if alone else body([({"Content-Type": kind}, document)])
    headers = {"Content_Type": kind} if alone else {}
    answer = post(server, content, kind, f"/{one.study}", **headers)
    assert answer.status_code == 200, answer.text
    comes_back(server, one)


def test_what_dcmtk_writes(server: Server, tmp_path: Path) -> None:
    """dcm2xml's Native DICOM Model, with its pixels beside it; and its dcm2json, which has them inline."""
    one = apart("CT_small.dcm", PatientName="Wang^Fang=王^芳")
    path = tmp_path / "one.dcm"
    one.dataset.save_as(path)
    xml = subprocess.run(["dcm2xml", "-nat", str(path)], capture_output=True, check=True).stdout
    beside = re.findall('tag="([0-9A-F]{8})"[^>]*>\\s*<BulkData uuid="([^"]+)"', xml.decode())
    parts = [({"Content-Type": XML}, xml), *(bulk(uuid, value(one, tag)) for tag, uuid in beside)]
    answer = post(server, body(parts), XML)
    assert answer.status_code == 200, answer.text
    comes_back(server, one)
    text = subprocess.run(["dcm2json", str(path)], capture_output=True, check=True).stdout
    other, new = generate_uid(), text.replace(one.instance.encode(), b"%s")
    answer = post(server, body([({"Content-Type": JSON}, new.replace(b"%s", other.encode()))]))
    assert answer.status_code == 200, answer.text
    settled(server)
    assert set(sop_uids(server, one.study)) == {one.instance, other}


def value(one: Apart, tag: str) -> bytes:
    """Of an attribute; DCMTK leaves the block out of private tags."""
    return bytes(one.dataset[tag if tag in one.dataset else f"{tag[:4]}10{tag[6:]}"].value)


def test_what_we_tell_can_be_stored_again(server: Server, tmp_path: Path) -> None:
    """Metadata and bulk data as Retrieve gives them, under new UIDs."""
    (loop,) = ultrasound_study(tmp_path / "us").files
    one = apart(loop)
    assert post(server, body(metadata(one.attributes) + one.parts("image/jpeg"))).status_code == 200
    settled(server)
    (again,) = server.get(one.path + "/metadata")
    new = Apart(one.dataset, again, one.frames)
    again["00080018"]["Value"] = [generate_uid()]
    answer = post(server, body(metadata(again) + new.parts("image/jpeg")))
    assert answer.status_code == 200, answer.text
    one.dataset.SOPInstanceUID = again["00080018"]["Value"][0]
    comes_back(server, new, f"{ROOT}50")


def test_bulk_data_of_other_attributes(server: Server) -> None:
    """Of any media type, in sequences too; a URI may be relative where the other is not."""
    one = apart("rtplan.dcm")
    values = {
        "00420011": ("OB", b"%PDF-1.4 \0\xff odd", "application/pdf"),
        "0040A160": ("UT", "一份很长的报告".encode() * 5000, "text/plain; charset=utf-8"),
        "00660016": ("OF", struct.pack("<20000f", *range(20000)), OCTETS),
        "00720074": ("FD", struct.pack("<3d", 0.1, -2.5, 1e300), OCTETS),
    }
    root = f"{server.url}/dicom-web"
    for tag, (vr, _, _) in values.items():
        one.attributes[tag] = {"vr": vr, "BulkDataURI": f"{root}/some/{tag}"}
    item = {"00420011": {"vr": "OB", "BulkDataURI": f"/dicom-web/some/{one.instance}"}}
    one.attributes["00081140"] = {"vr": "SQ", "Value": [{}, item]}
    parts = [bulk(f"/dicom-web/some/{tag}", content, kind) for tag, (_, content, kind) in values.items()]
    parts.append(bulk(f"{root}/some/{one.instance}", b"nested"))
    answer = post(server, body(metadata(one.attributes) + parts))
    assert answer.status_code == 200, answer.text
    settled(server)
    read = dcmread(io.BytesIO(file_of(server, one)))
    assert read[0x00420011].value == values["00420011"][1] + b"\0"
    assert read[0x0040A160].value.encode() == values["0040A160"][1]
    assert read[0x00660016].value == values["00660016"][1]
    assert read[0x00720074].value == [0.1, -2.5, 1e300]
    assert read.ReferencedImageSequence[1][0x00420011].value == b"nested"


@pytest.mark.parametrize(
    "media_type", ["video/mp4", f"video/mp4; transfer-syntax={ROOT}102.1", "video/mpeg2"]
)
def test_video_is_one_part_of_all_frames(server: Server, media_type: str) -> None:
    one, film = apart("examples_ybr_color.dcm"), os.urandom(70_001)
    (uri,) = location(one)
    assert post(server, body([*metadata(one.attributes), bulk(uri, film, media_type)])).status_code == 200
    settled(server)
    read = dcmread(io.BytesIO(file_of(server, one)))
    number = {"video/mp4": "102", "video/mpeg2": "100"}.get(media_type, "102.1")
    assert read.file_meta.TransferSyntaxUID == ROOT + number
    assert read.NumberOfFrames == 30
    assert list(generate_frames(read.PixelData, number_of_frames=1)) == [film + b"\0"]


def test_gzip(server: Server) -> None:
    one = apart("CT_small.dcm")
    content = gzip.compress(body(metadata(one.attributes) + one.parts()))
    assert post(server, content, Content_Encoding="gzip").status_code == 200
    stored(server, one)


def test_memory_stays_flat_whatever_comes(server: Server) -> None:
    """Pixels of 256 MiB wait in a file until all is there, and are indexed as all others."""
    shape: dict[str, Any] = {"Rows": 1024, "Columns": 1024, "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
    one = apart("CT_small.dcm", NumberOfFrames=256, PixelRepresentation=0, **shape)
    (uri,) = location(one)
    head = body([*metadata(one.attributes), bulk(uri, b"")])[: -len(b"\r\n--frontier--\r\n")]
    piece = bytes(range(256)) * 4096

    def pieces() -> Iterator[bytes]:
        yield head
        yield from (piece for _ in range(256))
        yield b"\r\n--frontier--\r\n"

    with memory_watched(server) as risen:
        answer = post(server, pieces())
        assert answer.status_code == 200, answer.text
        assert risen()["viewer_api"] < 64 * MIB, risen()
    stored(server, one)
    ranged = server.client.get(one.path + "/bulkdata/7FE00010", headers={"Accept": OCTETS})
    assert len(ranged.content) == 256 * MIB
    assert ranged.content[-MIB:] == piece
