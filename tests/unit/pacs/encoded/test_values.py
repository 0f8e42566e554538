"""Value fields as DICOM JSON (PS3.18 F.2), one case a rule."""

import base64
import json
from struct import pack
from typing import Any

import pytest

from pacs.encoded import Instance, Limits, read_instance

from .samples import EXPLICIT, IMPLICIT, element, implicit, item, part10, undefined

US, DS = 0x00280010, 0x00281050


def _read(*elements: bytes, syntax: str = EXPLICIT, **options: Any) -> Instance:
    return read_instance(part10(*elements, syntax=syntax), bulk_uri="b", **options)


def _one(tag: int, vr: str, value: bytes) -> Any:
    return _read(element(tag, vr, value)).attributes[f"{tag:08X}"]


@pytest.mark.parametrize(
    ("vr", "raw", "values"),
    [
        ("AE", b" STORE ", ["STORE"]),
        ("CS", b"A \\ B\\", ["A", "B", None]),
        ("CS", b"\\", [None, None]),
        ("LO", b"  text \0", ["text"]),
        ("LO", b"text\0left in the buffer", ["text"]),
        ("SH", b"   ", None),
        ("DA", b"20260101", ["20260101"]),
        ("UI", b"1.2.3\0", ["1.2.3"]),
        ("UI", b"1.2.3 ", ["1.2.3"]),
        ("UI", b"1.2\\1.3\0", ["1.2", "1.3"]),
        ("ST", b" a\\b ", [" a\\b"]),
        ("UC", b"a\\b ", ["a", "b"]),
        ("UR", b"http://x/?a\\b ", ["http://x/?a\\b"]),
        ("PN", b"A^B=C=D", [{"Alphabetic": "A^B", "Ideographic": "C", "Phonetic": "D"}]),
        ("PN", b"=C", [{"Ideographic": "C"}]),
        ("PN", b"A^B\\\\C", [{"Alphabetic": "A^B"}, None, {"Alphabetic": "C"}]),
        ("PN", b"==", None),
        ("DS", b" 1.5\\-2e3\\\\3 ", [1.5, -2000.0, None, 3.0]),
        ("DS", b"NaN\\inf\\1e999\\1_0\\1,5", ["NaN", "inf", "1e999", "1_0", "1,5"]),
        ("DS", b"9" * 70, ["9" * 70]),
        ("DS", b"  ", None),
        ("IS", b" 12\\+3\\-4 ", [12, 3, -4]),
        ("IS", b"1.0\\1.5\\1A\\", [1, "1.5", "1A", None]),
        ("IS", b"9007199254740993", ["9007199254740993"]),
        ("US", pack("<2H", 1, 65535), [1, 65535]),
        ("SS", pack("<2h", 1, -1), [1, -1]),
        ("UL", pack("<I", 2**32 - 1), [2**32 - 1]),
        ("SL", pack("<i", -5), [-5]),
        ("UV", pack("<2Q", 5, 2**63), [5, str(2**63)]),
        ("SV", pack("<q", -(2**62)), [str(-(2**62))]),
        ("FL", pack("<2f", 1.5, float("nan")), [1.5, "NaN"]),
        ("FD", pack("<3d", 0.1, float("inf"), float("-inf")), [0.1, "inf", "-inf"]),
        ("AT", pack("<4H", 0x0018, 0x1063, 0x7FE0, 0x0010), ["00181063", "7FE00010"]),
    ],
)
def test_values(vr: str, raw: bytes, values: list[Any] | None) -> None:
    found = _one(0x00091010, vr, raw)
    json.dumps(found, allow_nan=False)
    assert found == ({"vr": vr, "Value": values} if values is not None else {"vr": vr})


def test_empty_values_have_no_value() -> None:
    for vr in ("PN", "DS", "US", "OB", "UN", "SQ", "AT", "FD"):
        assert _one(0x00091010, vr, b"") == {"vr": vr}


def test_wrong_lengths() -> None:
    instance = _read(element(US, "US", b"\1\0\2 "[:3] + b"\0"), element(DS, "FD", b"1234"))
    assert instance.attributes["00281050"] == {"vr": "UN", "InlineBinary": base64.b64encode(b"1234").decode()}
    assert instance.notes == ("length:00281050",)


def test_short_binary_stands_inline_and_long_is_pointed_to() -> None:
    instance = _read(element(0x00420011, "OB", b"%PDF" * 10), element(0x00420013, "OB", b"x" * 5000))
    assert instance.attributes["00420011"]["InlineBinary"] == base64.b64encode(b"%PDF" * 10).decode()
    assert instance.attributes["00420013"] == {"vr": "OB", "BulkDataURI": "b/00420013"}
    (bulk,) = instance.bulk
    assert (bulk.path, bulk.vr, bulk.length) == ("00420013", "OB", 5000)


def test_palettes_stand_inline_and_pixels_never() -> None:
    palette = bytes(2 * 65536)
    instance = _read(element(0x00281201, "OW", palette), element(0x7FE00010, "OW", b"\0\0"))
    assert len(base64.b64decode(instance.attributes["00281201"]["InlineBinary"])) == len(palette)
    assert instance.attributes["7FE00010"] == {"vr": "OW", "BulkDataURI": "b/7FE00010"}
    assert instance.bulk == ()
    assert instance.pixels is not None


def test_long_text_is_pointed_to_and_long_numbers_are_not() -> None:
    contour = b"\\".join([b"-123.456"] * 20_000)
    data = part10(implicit(0x0040A160, b"x" * 70_000), implicit(0x30060050, contour + b" "), syntax=IMPLICIT)
    instance = read_instance(data, bulk_uri="b")
    assert instance.attributes["0040A160"] == {"vr": "UT", "BulkDataURI": "b/0040A160"}
    assert instance.attributes["30060050"]["Value"] == [-123.456] * 20_000


def test_paths_into_sequences() -> None:
    waveform = item(element(0x54001010, "OW", bytes(6000)))
    instance = _read(undefined(0x54000100, "SQ", item(), waveform))
    assert instance.bulk[0].path == "54000100/1/54001010"
    assert instance.attributes["54000100"]["Value"][1]["54001010"]["BulkDataURI"] == "b/54000100/1/54001010"


def test_all_that_is_over_the_sum_is_pointed_to() -> None:
    texts = [element(0x00090000 + number, "LT", b"x" * 30_000) for number in range(0x1010, 0x1020)]
    instance = _read(*texts, limits=Limits(json_bytes_max=100_000))
    assert sum("Value" in found for found in instance.attributes.values()) < 8
    assert "json" in instance.notes


@pytest.mark.parametrize(("signed", "expected"), [(0, [65000, 0, 16]), (1, [65000, -1, 16])])
def test_words_are_signed_by_pixel_representation(signed: int, expected: list[int]) -> None:
    third = pack("<H", 65535 if signed else 0)
    instance = _read(
        implicit(0x00280103, pack("<H", signed)),
        implicit(0x00281101, pack("<H", 65000) + third + pack("<H", 16)),
        syntax=IMPLICIT,
    )
    assert instance.attributes["00281101"] == {"vr": "SS" if signed else "US", "Value": expected}


def test_private_attributes_by_their_creator() -> None:
    instance = _read(
        implicit(0x00190010, b"SIEMENS MR HEADER "),
        implicit(0x0019100C, b"1000"),
        implicit(0x00210010, b"NOBODY KNOWS "),
        implicit(0x00211001, b"ab"),
        syntax=IMPLICIT,
    )
    assert instance.attributes["0019100C"] == {"vr": "IS", "Value": [1000]}
    assert instance.attributes["00211001"] == {"vr": "UN", "InlineBinary": "YWI="}


def test_un_is_read_by_the_dictionary() -> None:
    sequence = undefined(0x00081115, "UN", item(implicit(0x0020000E, b"1.2\0")))
    instance = _read(element(0x00080060, "UN", b"CT"), sequence, element(0x00100020, "UN", b"ID"))
    assert instance.attributes["00080060"] == {"vr": "CS", "Value": ["CT"]}
    assert instance.attributes["00081115"]["Value"] == [{"0020000E": {"vr": "UI", "Value": ["1.2"]}}]
    assert instance.attributes["00100020"] == {"vr": "LO", "Value": ["ID"]}


def test_group_lengths_and_padding_are_left_out() -> None:
    instance = _read(element(0x00090000, "UL", pack("<I", 9)), element(0xFFFCFFFC, "OB", bytes(20)))
    assert list(instance.attributes) == ["00080016", "00080018"]
