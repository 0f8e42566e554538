"""What modalities and accidents do to files: the readable part is read, and what was wrong is noted."""

import time
import zlib
from struct import pack

import pytest

from pacs.encoded import EncodedError, Instance, Limits, inflate_dataset, part10_header, read_instance

from .samples import (
    CT,
    EXPLICIT,
    IMPLICIT,
    ITEM_END,
    SEQUENCE_END,
    element,
    implicit,
    item,
    packaged,
    part10,
    undefined,
)

NAME = element(0x00100010, "PN", b"A^B")
ID = element(0x00100020, "LO", b"17")
DEFLATED = "1.2.840.10008.1.2.1.99"


def _read(*elements: bytes, syntax: str = EXPLICIT) -> Instance:
    return read_instance(part10(*elements, syntax=syntax))


def _id(instance: Instance) -> list[str]:
    return list(instance.attributes["00100020"]["Value"])


@pytest.mark.parametrize("data", [b"", b"\0", b"DICM", bytes(200), b"<html>" * 50, bytes(128) + b"DICM"])
def test_no_dicom_at_all(data: bytes) -> None:
    with pytest.raises(EncodedError):
        read_instance(data)


def test_half_a_value_is_left_out() -> None:
    instance = read_instance(part10(NAME, ID)[:-1])
    assert "00100010" in instance.attributes
    assert "00100020" not in instance.attributes
    assert instance.notes == ("truncated:00100020", "truncated")


def test_duplicates_and_order() -> None:
    instance = _read(ID, NAME, element(0x00100020, "LO", b"18"))
    assert list(instance.attributes)[-2:] == ["00100010", "00100020"]
    assert _id(instance) == ["17"]
    assert instance.notes == ("order:00100010", "duplicate:00100020")


def test_garbage_behind() -> None:
    assert _id(_read(ID, bytes(5))) == ["17"]
    assert _read(ID, bytes(4000)).notes == ("garbage",)
    assert _read(ID, b"\r\n").notes == ("garbage",)
    assert _id(_read(ID, b"\x05" * 300)) == ["17"]


def test_unknown_vr_letters() -> None:
    wrong = pack("<HH2sH", 0x0010, 0x0010, b"XX", 4) + b"A^B "
    instance = _read(wrong, ID)
    assert instance.attributes["00100010"] == {"vr": "PN", "Value": [{"Alphabetic": "A^B"}]}
    assert (_id(instance), instance.notes) == (["17"], ("vr:00100010",))
    long = pack("<HH2sHI", 0x0009, 0x1001, b"ZZ", 0, 2) + b"ab"
    assert _id(_read(long, ID)) == ["17"]


def test_implicit_element_among_explicit_ones() -> None:
    instance = _read(implicit(0x00100010, b"A^B "), ID)
    assert instance.attributes["00100010"]["Value"] == [{"Alphabetic": "A^B"}]
    assert _id(instance) == ["17"]


def test_implicit_items_in_an_explicit_sequence() -> None:
    instance = _read(undefined(0x00081115, "SQ", item(implicit(0x0020000E, b"1.2\0"))), ID)
    assert instance.attributes["00081115"]["Value"] == [{"0020000E": {"vr": "UI", "Value": ["1.2"]}}]
    assert _id(instance) == ["17"]


@pytest.mark.parametrize(("declared", "is_"), [(EXPLICIT, IMPLICIT), (IMPLICIT, EXPLICIT)])
def test_another_encoding_than_declared(declared: str, is_: str) -> None:
    body = part10(syntax=is_)[len(part10_header(CT, "1.2.3.4", is_, source_ae="TEST")) :]
    instance = read_instance(part10_header(CT, "1.2.3.4", declared, source_ae="TEST") + body)
    assert instance.attributes["00080018"]["Value"] == ["1.2.3.4"]
    assert instance.notes == (f"syntax:declared->{is_}",)
    assert instance.transfer_syntax == declared


def test_no_head_at_all() -> None:
    for syntax in (EXPLICIT, IMPLICIT):
        body = part10(syntax=syntax)[len(part10_header(CT, "1.2.3.4", syntax, source_ae="TEST")) :]
        instance = read_instance(body)
        assert (instance.transfer_syntax, instance.dataset_offset) == (syntax, 0)
    assert read_instance(packaged("ExplVR_BigEndNoMeta.dcm")).transfer_syntax == "1.2.840.10008.1.2.2"


def test_item_without_its_delimiter() -> None:
    open_item = pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    first, second = element(0x0020000E, "UI", b"1.2\0"), element(0x0020000E, "UI", b"1.3\0")
    instance = _read(undefined(0x00081115, "SQ", open_item, first, open_item, second), ID)
    assert [found["0020000E"]["Value"] for found in instance.attributes["00081115"]["Value"]] == [
        ["1.2"],
        ["1.3"],
    ]
    assert (_id(instance), instance.notes) == (["17"], ("unclosed",))


def test_sequence_without_its_delimiter() -> None:
    sequence = undefined(0x00081115, "SQ", item(element(0x0020000E, "UI", b"1.2\0")))
    instance = _read(sequence.removesuffix(SEQUENCE_END), ID)
    assert (_id(instance), instance.notes) == (["17"], ("item:00081115",))


def test_stray_delimiters() -> None:
    instance = _read(ITEM_END, SEQUENCE_END, ID)
    assert (_id(instance), instance.notes) == (["17"], ("un-nested",))


def test_damaged_item_of_known_length_does_not_spoil_what_follows() -> None:
    broken = pack("<HH2sH", 0x0020, 0x000E, b"UI", 900) + b"1.2\0"
    sequence = element(0x00081115, "SQ", item(broken))
    instance = _read(sequence, ID)
    assert _id(instance) == ["17"]
    assert "length:0020000E" in instance.notes


def _nested(levels: int) -> bytes:
    head = pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF) + pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    return head * levels


def test_nesting_is_bounded() -> None:
    deep = _read(_nested(60) + (ITEM_END + SEQUENCE_END) * 60, ID)
    assert (_id(deep), deep.notes) == (["17"], ())
    start = time.thread_time()
    bomb = _read(_nested(100_000))
    assert time.thread_time() - start < 1
    assert "nesting" in bomb.notes
    assert bomb.attributes["00080018"]["Value"] == ["1.2.3.4"]


def test_the_number_of_elements_is_bounded() -> None:
    many = b"".join(element(0x00090000 + number, "LO", b"") for number in range(0x1000, 0x3000))
    instance = read_instance(part10(many), limits=Limits(elements_max=1000))
    assert len(instance.attributes) == 1000
    assert instance.notes == ("elements",)


def _deflated(data: bytes) -> bytes:
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    head = part10_header(CT, "1.2.3.4", DEFLATED, source_ae="TEST")
    return head + deflater.compress(data) + deflater.flush()


def test_deflated() -> None:
    body = element(0x00080018, "UI", b"1.2.3.4\0") + element(0x00420011, "OB", bytes(range(256)) * 40)
    data = _deflated(body)
    instance = read_instance(data)
    assert instance.deflated
    assert instance.dataset_offset == len(part10_header(CT, "1.2.3.4", DEFLATED, source_ae="TEST"))
    (bulk,) = instance.bulk
    assert inflate_dataset(data)[bulk.offset : bulk.offset + bulk.length] == bytes(range(256)) * 40
    cut = read_instance(data[:-9])
    assert cut.attributes["00080018"]["Value"] == ["1.2.3.4"]


def test_deflate_bombs_are_refused() -> None:
    bomb = _deflated(element(0x00420011, "OB", bytes(30 << 20)))
    assert len(bomb) < 64 << 10
    limits = Limits(inflate_bytes_max=1 << 20)
    with pytest.raises(EncodedError):
        read_instance(bomb, limits=limits)
    with pytest.raises(EncodedError):
        inflate_dataset(bomb, limits)


def test_declared_deflated_but_not() -> None:
    head = part10_header(CT, "1.2.3.4", DEFLATED, source_ae="TEST")
    instance = read_instance(head + element(0x00080018, "UI", b"1.2.3.4\0") + ID)
    assert (_id(instance), instance.deflated) == (["17"], False)
    assert instance.notes == ("syntax:not-deflated",)


def test_notes_are_bounded() -> None:
    many = b"".join(element(0x00090000 + number, "US", b"abc") for number in range(0x3000, 0x1000, -1))
    assert len(_read(many).notes) == Limits().notes_max


def test_memoryviews_of_any_shape() -> None:
    data = part10(ID)
    for view in (memoryview(data), memoryview(bytearray(data)), memoryview(data).cast("b")):
        assert _id(read_instance(view)) == ["17"]


def test_noise_is_no_data_set() -> None:
    """Four bytes of a tag and a length that happens to fit are not enough where nothing is declared."""
    with pytest.raises(EncodedError):
        read_instance(implicit(0x00090010, b"ab") + b"\xff" * 40)
