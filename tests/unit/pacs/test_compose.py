"""What is made of metadata says what they say: real files as JSON and XML and back; and what cannot be is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pacs.dicomjson import NODES_MAX, from_json
from pacs.encoded import EncodedError, Instance, inflate_dataset, part10_header, read_instance
from pacs.encoded.compose import EXTENDED_FROM_BYTES, LEVELS_MAX, Bulk, compose
from pacs.errors import BadAttributes
from pacs.nativexml import from_xml, to_xml
from tests.unit.pacs.encoded.samples import packaged

EXPLICIT, JPEG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.50"
SAMPLES = ("CT_small.dcm", "MR_small_implicit.dcm", "reportsi.dcm", "rtplan.dcm", "rtstruct.dcm", "chrH32.dcm",
           "chrX1.dcm", "chrKoreanMulti.dcm", "SC_rgb_jpeg_dcmtk.dcm", "nested_priv_SQ.dcm", "waveform_ecg.dcm",
           "liver.dcm", "examples_overlay.dcm", "emri_small_RLE.dcm", "examples_ybr_color.dcm")  # fmt: skip


def bulk_of(instance: Instance) -> Any:
    """Where the values are that its JSON only points to."""
    places = {value.path: Bulk(value.offset, value.length) for value in instance.bulk}

    def find(_path: str, _vr: str, uri: str) -> list[Bulk]:
        pixels = instance.pixels
        whole = [Bulk(pixels.offset, pixels.length)] if pixels else []
        return [places[uri.lstrip("/")]] if uri.lstrip("/") in places else whole

    return find


def again(attributes: Any, instance: Instance, stored: bytes) -> Instance:
    """The instance made of these attributes and the bulk data of another, read."""
    pixels = instance.pixels
    frames = [Bulk(*frame[0]) for frame in pixels.frames] if pixels and pixels.encapsulated else None
    made = compose(attributes, bulk_of(instance), frames)
    data = b"".join(
        p if isinstance(p, bytes) else stored[p.offset : p.offset + p.length] for p in made.pieces
    )
    assert len(data) == made.length
    syntax = instance.transfer_syntax if frames is not None else EXPLICIT
    return read_instance(part10_header("1.2.3", "1.2.4", syntax, source_ae="") + data)


def plain(attributes: Any, *, xml: bool) -> Any:
    """Attributes without what may change: group lengths, character sets, OB for OW of compressed pixels, lengths
    made even; and what XML cannot say: empty values and components at the end."""
    found = {}
    for tag, element in attributes.items():
        if tag[4:] == "0000" or tag in ("00080005", "7FE00010"):
            continue
        one = {k: v for k, v in element.items() if k not in ("BulkDataURI", "InlineBinary")}
        values = [plain(v or {}, xml=xml) if one["vr"] == "SQ" else v for v in one.get("Value", ())]
        while xml and values and values[-1] in (None, {"Alphabetic": "^^^^"}):
            values.pop()
        found[tag] = {
            "vr": one["vr"],
            "Value": json.loads(json.dumps(values).replace("^^^^", "")) if xml else values,
        }
    return found


@pytest.mark.parametrize("xml", [False, True])
@pytest.mark.parametrize("name", SAMPLES)
def test_real_files_come_back(name: str, xml: bool) -> None:
    stored = packaged(name)
    instance = read_instance(stored)
    stored = inflate_dataset(stored) if instance.deflated else stored
    given = instance.attributes
    (read,) = [from_xml(to_xml(given))] if xml else from_json(json.dumps(given).encode())
    back = again(read, instance, stored)
    assert plain(back.attributes, xml=xml) == plain(given, xml=xml)
    assert back.attributes["00080005"]["Value"] == ["ISO_IR 192"]
    if instance.pixels is not None:
        assert back.pixels is not None
        assert len(back.pixels.frames) == len(instance.pixels.frames)


def made(attributes: Any) -> Any:
    """What is read of what was made of these."""
    whole = compose(attributes, bulk_of(read_instance(b"\x08\0\x05\0CS\0\0\x08\0\x16\0UI\0\0")))
    data = b"".join(piece for piece in whole.pieces if isinstance(piece, bytes))
    return read_instance(part10_header("1.2.3", "1.2.4", EXPLICIT, source_ae="") + data).attributes


@pytest.mark.parametrize(
    ("vr", "given", "read"),
    [
        ("US", ["512", 7, 8.0], [512, 7, 8]), ("SL", ["-5"], [-5]), ("UV", [str(2**64 - 1)], [str(2**64 - 1)]),
        ("FD", ["1.5", 2, "NaN", "-inf"], [1.5, 2.0, "NaN", "-inf"]), ("FL", [0.5], [0.5]),
        ("DS", ["1.50", 2, 0.25], [1.5, 2.0, 0.25]), ("IS", ["007", 8, 9.0], [7, 8, 9]),
        ("DS", ["1", None, "3"], [1.0, None, 3.0]), ("AT", ["00100010"], ["00100010"]),
        ("LO", [12, "b", None], ["12", "b", None]), ("LO", ["王"], ["王"]), ("LT", ["a\\b\nc"], ["a\\b\nc"]),
        ("PN", [{"Alphabetic": "A^B", "Ideographic": "王^芳"}], [{"Alphabetic": "A^B", "Ideographic": "王^芳"}]),
        ("PN", [{"Phonetic": "x"}, None], [{"Phonetic": "x"}, None]),
        ("PN", ["A^B=王"], [{"Alphabetic": "A^B", "Ideographic": "王"}]), ("PN", [{"Alphabetic": None}], None),
        ("CS", [], None), ("CS", [None], None), ("SQ", [None, {}], [{}, {}]),
    ],
)  # fmt: skip
def test_values(vr: str, given: list[Any], read: Any) -> None:
    assert made({"00091010": {"vr": vr, "Value": given}})["00091010"].get("Value") == read


DEEP: Any = {}
for _ in range(LEVELS_MAX + 1):
    DEEP = {"00081140": {"vr": "SQ", "Value": [DEEP]}}


@pytest.mark.parametrize(
    "attributes",
    [
        {"00100010": {"vr": "XX"}}, {"00100010": {"vr": "PN", "Value": "A"}}, {"00100010": {"vr": "PN", "Value": [[]]}},
        {"00100010": {"vr": "PN", "Value": [{"Family": "A"}]}},
        {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "A=B"}]}},
        {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "A\\B"}]}}, {"00100010": {"vr": "PN", "Value": ["\ud800"]}},
        {"0010001": {"vr": "PN"}}, {"PatientName": {"vr": "PN"}}, {"FFFEE00D": {"vr": "UN"}}, {"00100010": []},
        {"0020000d": {"vr": "UI"}, "0020000D": {"vr": "UI"}},
        {"00280010": {"vr": "US", "Value": [65536]}}, {"00280010": {"vr": "US", "Value": [1.5]}},
        {"00280010": {"vr": "US", "Value": [None]}}, {"00280010": {"vr": "US", "Value": [True]}},
        {"00280010": {"vr": "US", "Value": ["1_0"]}}, {"00280010": {"vr": "US", "Value": ["٣"]}},
        {"00280010": {"vr": "US", "Value": [10**400]}}, {"00180050": {"vr": "DS", "Value": [10**400]}},
        {"00180050": {"vr": "DS", "Value": [1e999]}}, {"00180050": {"vr": "FL", "Value": [1e300]}},
        {"00180050": {"vr": "FD", "Value": ["one"]}}, {"00280009": {"vr": "AT", "Value": ["0010"]}},
        {"00080060": {"vr": "CS", "Value": ["王"]}}, {"00080060": {"vr": "CS", "Value": ["C\\T"]}},
        {"00104000": {"vr": "LT", "Value": ["a", "b"]}}, {"00104000": {"vr": "LT", "Value": ["a\0b"]}},
        {"00104000": {"vr": "LO", "Value": ["a\x1b$B"]}}, {"00104000": {"vr": "LO", "Value": [{}]}},
        {"00420011": {"vr": "OB", "Value": [1]}}, {"00420011": {"vr": "OB", "InlineBinary": "!"}},
        {"00420011": {"vr": "OB", "InlineBinary": 5}}, {"00420011": {"vr": "OW", "InlineBinary": "AAAA"}},
        {"00420011": {"vr": "LO", "InlineBinary": "AAAA"}}, {"00420011": {"vr": "OB", "BulkDataURI": 5}},
        {"00420011": {"vr": "OB", "InlineBinary": "AAAA", "BulkDataURI": "x"}},
        {"00420011": {"vr": "OB", "twice": True}},
        {"00281101": {"Value": [1]}}, {"00091010": {"Value": [1]}},
        {"00081140": {"vr": "SQ", "Value": [5]}}, {"00081140": {"vr": "SQ", "BulkDataURI": "x"}}, DEEP,
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(attributes: Any) -> None:
    with pytest.raises(BadAttributes):
        made(attributes)


def test_frames_have_a_table_that_has_room_for_them() -> None:
    """Of odd lengths, and of more than 32 bits together (PS3.5 A.4)."""
    pixels, none = {"7FE00010": {"vr": "OW"}}, bulk_of(read_instance(packaged("rtplan.dcm")))
    small = compose(pixels, none, [Bulk(0, 3), Bulk(3, 4)])
    items = [p for p in small.pieces if isinstance(p, bytes) and p.startswith(b"\xfe\xff\x00\xe0")]
    assert items[0][4:] == bytes([8, 0, 0, 0, 0, 0, 0, 0, 12, 0, 0, 0])
    assert b"\0" in small.pieces, "the odd frame is padded"
    half = EXTENDED_FROM_BYTES // 2
    large = compose(pixels, none, [Bulk(0, half), Bulk(half, half), Bulk(2 * half, 5)])
    heads = [p[:4] for p in large.pieces if isinstance(p, bytes) and p[:2] == b"\xe0\x7f"]
    assert heads == [b"\xe0\x7f\x01\x00", b"\xe0\x7f\x02\x00", b"\xe0\x7f\x10\x00"]
    assert b"\xfe\xff\x00\xe0\0\0\0\0" in large.pieces, "and then the basic one is empty"


@pytest.mark.parametrize(
    "document",
    [b"", b"{", b"5", b"[5]", b'"x"', b"[" * 100_000, b'{"a":' * 100_000, b"\xff\xfe[\0]\0", b"[{}]\xff", b'{"a": NaN}',
     b'[{"a": ' + b"9" * 5000 + b"}]", b"[" + b"{}," * NODES_MAX + b"{}]"],
)  # fmt: skip
def test_json_that_is_none(document: bytes) -> None:
    with pytest.raises(EncodedError):
        from_json(document)


def test_a_name_that_comes_twice_is_told() -> None:
    (dataset,) = from_json(b'{"00100010": {"vr": "PN"}, "00100010": {"vr": "PN", "Value": ["x"]}}')
    with pytest.raises(BadAttributes):
        made(dataset)


def native(inner: str, namespace: str = ' xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM"') -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?><NativeDicomModel{namespace}>{inner}</NativeDicomModel>'.encode()


def attribute(inner: str, tag: str = "00100020", vr: str = "LO", more: str = "") -> str:
    return f'<DicomAttribute tag="{tag}" vr="{vr}"{more}>{inner}</DicomAttribute>'


BOMB = (
    b"""<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>"""
)
NESTED = "".join(['<DicomAttribute tag="00081140" vr="SQ"><Item number="1">'] * (LEVELS_MAX + 2))
NESTED += "".join(["</Item></DicomAttribute>"] * (LEVELS_MAX + 2))


@pytest.mark.parametrize(
    "document",
    [
        b"", b"<a>", b"<a/>", native("<Item/>"), native(attribute("", tag="1")),
        BOMB + b"<NativeDicomModel>&b;</NativeDicomModel>", b"\xef\xbb\xbf" + BOMB + b"<NativeDicomModel/>",
        (BOMB + b"<NativeDicomModel/>").decode().encode("utf-16"), BOMB.decode().encode("utf-16-le"),
        BOMB.replace(b'"aaaaaaaaaa"', b'SYSTEM "file:///etc/passwd"') + b"<NativeDicomModel>&a;</NativeDicomModel>",
        native("", ' xmlns="urn:other"'), native(attribute("") + attribute("")), native(NESTED),
        native(attribute("")).decode().encode("utf-16"),
        native(attribute('<Value number="1">é</Value>')).decode().encode("latin-1"),
        native(attribute('<Value number="0">x</Value>')), native(attribute('<Value number="1000">x</Value>')),
        native(attribute('<Value number="1">x</Value><Value number="1">y</Value>')),
        native(attribute("<Value>x</Value><InlineBinary>AA==</InlineBinary>")), native(attribute("<Klingon/>")),
        native(attribute("<InlineBinary/><InlineBinary/>")), native(attribute("", more=' privateCreator="X"')),
        native(attribute("<PersonName><Alphabetic><Nickname>x</Nickname></Alphabetic></PersonName>")),
        native(attribute("", "00091001", more=' privateCreator="A"') + attribute("<Value>B</Value>", "00090010")),
        native("<a/>" * (NODES_MAX + 1)),
    ],
)  # fmt: skip
def test_xml_that_is_none(document: bytes) -> None:
    with pytest.raises((EncodedError, BadAttributes)):
        from_xml(document)


def test_private_attributes_in_xml_have_their_blocks() -> None:
    """Whether their tags name one, as ours and DCMTK's do, or not, as those in the examples of PS3.19 A.1."""
    some = [("00090002", "A"), ("00091103", "B"), ("00090004", "A"), ("00090005", "C")]
    inner = "".join(attribute(f"<Value>{c}</Value>", tag, more=f' privateCreator="{c}"') for tag, c in some)
    found = from_xml(native(inner))
    assert {tag: one["Value"][0] for tag, one in found.items()} == {
        "00090010": "A", "00091002": "A", "00091004": "A", "00090011": "B", "00091103": "B", "00090012": "C",
        "00091205": "C",
    }  # fmt: skip
