"""Frame ranges are those of pydicom, byte for byte, and of the standard where pydicom has none."""

import logging
import warnings
from io import BytesIO
from pathlib import Path
from struct import pack

import pydicom
import pytest
from pydicom.encaps import encapsulate, encapsulate_extended, generate_frames

from pacs.encoded import Instance, PixelLayout, inflate_dataset, read_instance

from .samples import element, name_of, packaged_files, part10, shared_files, undefined

JPEG = "1.2.840.10008.1.2.4.50"
RLE = "1.2.840.10008.1.2.5"
VIDEO = "1.2.840.10008.1.2.4.102"
PIXELS = (0x7FE00010, 0x7FE00008, 0x7FE00009)
SKIPPED = ("badVR.dcm", "no_meta.dcm", "emri_small_jpeg_2k_lossless_too_short.dcm", "MR_truncated.dcm")


def _frames(instance: Instance, data: bytes) -> list[bytes]:
    pixels = _layout(instance)
    source = inflate_dataset(data) if instance.deflated else data
    return [b"".join(source[offset : offset + size] for offset, size in frame) for frame in pixels.frames]


def _layout(instance: Instance) -> PixelLayout:
    assert instance.pixels is not None
    return instance.pixels


def _expected(dataset: pydicom.Dataset, raw: bytes, *, encapsulated: bool) -> list[bytes]:
    count = int(dataset.get("NumberOfFrames") or 1)
    if not encapsulated:
        size = dataset.Rows * dataset.Columns * dataset.get("SamplesPerPixel", 1) * dataset.BitsAllocated
        if dataset.get("PhotometricInterpretation") == "YBR_FULL_422":
            size = size * 2 // 3
        return [raw[index * size // 8 : -(-(index + 1) * size // 8)] for index in range(count)]
    tables = (
        (dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths)
        if "ExtendedOffsetTable" in dataset
        else None
    )
    return list(generate_frames(raw, number_of_frames=count, extended_offsets=tables))


def _compare(path: Path) -> None:
    data = path.read_bytes()
    instance = read_instance(data)
    logging.disable(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(BytesIO(data), force=True)
        raw = next(
            (dataset[tag].value for tag in (0x7FE00010, 0x7FE00008, 0x7FE00009) if tag in dataset), None
        )
        if raw is None or "Rows" not in dataset:
            return
        assert _frames(instance, data) == _expected(dataset, raw, encapsulated=_layout(instance).encapsulated)


@pytest.mark.parametrize("path", packaged_files(), ids=name_of)
def test_packaged_file(path: Path) -> None:
    if path.name not in SKIPPED:
        _compare(path)


@pytest.mark.skipif(not shared_files(), reason="the real files beside the repository are not here")
def test_shared_files() -> None:
    for path in shared_files():
        _compare(path)


def _multi_frame(count: int, pixels: bytes, *, syntax: str, tables: bytes = b"", bits: int = 8) -> bytes:
    return part10(
        element(0x00280002, "US", pack("<H", 1)),
        element(0x00280004, "CS", b"MONOCHROME2"),
        element(0x00280008, "IS", str(count).encode()),
        element(0x00280010, "US", pack("<H", 3)),
        element(0x00280011, "US", pack("<H", 5)),
        element(0x00280100, "US", pack("<H", bits)),
        tables,
        pixels,
        syntax=syntax,
    )


def _encapsulated(value: bytes) -> bytes:
    return undefined(0x7FE00010, "OB", value)


def _jpeg(number: int, size: int) -> bytes:
    return b"\xff\xd8" + bytes([number]) * size + b"\xff\xd9"


FRAMES = [_jpeg(number, 40 + number) for number in range(1, 5)]
PADDED = [frame + b"\0" * (len(frame) % 2) for frame in FRAMES]


@pytest.mark.parametrize("fragments", [1, 2, 3])
@pytest.mark.parametrize("with_table", [True, False])
def test_fragments_of_jpeg_frames(fragments: int, with_table: bool) -> None:
    value = encapsulate(FRAMES, fragments_per_frame=fragments, has_bot=with_table)
    data = _multi_frame(4, _encapsulated(value), syntax=JPEG)
    instance = read_instance(data)
    assert _frames(instance, data) == PADDED
    assert all(len(frame) == fragments for frame in _layout(instance).frames)
    assert instance.notes == ()


def test_layout_spans_from_the_first_item_to_the_end_of_the_delimiter() -> None:
    data = _multi_frame(4, _encapsulated(encapsulate(FRAMES)), syntax=JPEG)
    pixels = _layout(read_instance(data))
    assert data[pixels.offset : pixels.offset + 4] == b"\xfe\xff\x00\xe0"
    assert pixels.frames[0][0][0] == pixels.offset + 8
    assert pixels.offset + pixels.length == len(data)
    assert data.endswith(b"\xfe\xff\xdd\xe0\0\0\0\0")


def test_extended_offset_table_gives_lengths_without_padding() -> None:
    value, offsets, _ = encapsulate_extended(FRAMES)
    lengths = pack("<4Q", *(len(frame) for frame in FRAMES))
    tables = element(0x7FE00001, "OV", offsets) + element(0x7FE00002, "OV", lengths)
    data = _multi_frame(4, _encapsulated(value), syntax=JPEG, tables=tables)
    assert _frames(read_instance(data), data) == FRAMES


def test_wrong_extended_offset_table_is_not_believed() -> None:
    value, _, lengths = encapsulate_extended(FRAMES)
    shifted = element(0x7FE00001, "OV", pack("<4Q", 2, 4, 6, 8)) + element(0x7FE00002, "OV", lengths)
    data = _multi_frame(4, _encapsulated(value), syntax=JPEG, tables=shifted)
    instance = read_instance(data)
    assert _frames(instance, data) == PADDED
    assert "frames:extended-table" in instance.notes


def test_wrong_basic_offset_table_is_not_believed() -> None:
    value = bytearray(encapsulate(FRAMES))
    value[12:16] = pack("<I", 7)
    data = _multi_frame(4, _encapsulated(bytes(value)), syntax=JPEG)
    instance = read_instance(data)
    assert _frames(instance, data) == PADDED
    assert "frames:table" in instance.notes


def test_frames_that_cannot_be_told_apart() -> None:
    value = encapsulate(FRAMES[:2], fragments_per_frame=2, has_bot=False)
    instance = read_instance(_multi_frame(3, _encapsulated(value), syntax=RLE))
    assert _layout(instance).frames == ()
    assert "frames:unknown" in instance.notes


def test_video_is_one_stream() -> None:
    value = encapsulate([b"stream part 1 ", b"stream part 2 "], has_bot=False)
    data = _multi_frame(240, _encapsulated(value), syntax=VIDEO)
    instance = read_instance(data)
    assert _frames(instance, data) == [b"stream part 1 stream part 2 "]
    assert instance.notes == ()


def test_fragments_under_a_defined_length() -> None:
    value = encapsulate(FRAMES, has_bot=False)
    data = _multi_frame(4, element(0x7FE00010, "OB", value), syntax=JPEG)
    assert _frames(read_instance(data), data) == PADDED


def test_fragment_cut_off() -> None:
    value = encapsulate(FRAMES, has_bot=False)
    data = _multi_frame(4, _encapsulated(value), syntax=JPEG)[:-20]
    instance = read_instance(data)
    assert _frames(instance, data)[:3] == PADDED[:3]
    assert "fragments:7FE00010" in instance.notes


def test_bits_packed_over_frames_share_their_bytes() -> None:
    """15 bits a frame: frame i starts at bit 15 * i % 8 of its range."""
    frames = [0b101010101010101, 0b000111000111000, 0b111111100000001]
    packed = sum(frame << 15 * index for index, frame in enumerate(frames)).to_bytes(6, "little")
    data = _multi_frame(3, element(0x7FE00010, "OB", packed), syntax="1.2.840.10008.1.2.1", bits=1)
    for index, part in enumerate(_frames(read_instance(data), data)):
        assert int.from_bytes(part, "little") >> 15 * index % 8 & 0x7FFF == frames[index]


def test_native_frames_that_are_missing() -> None:
    data = _multi_frame(4, element(0x7FE00010, "OB", bytes(40)), syntax="1.2.840.10008.1.2.1")
    instance = read_instance(data)
    assert len(_layout(instance).frames) == 2
    assert "frames:missing" in instance.notes
    cut = read_instance(data[:-15])
    assert (_layout(cut).length, len(_layout(cut).frames)) == (25, 1)
    assert "truncated:7FE00010" in cut.notes


def test_deflated_offsets_count_in_the_inflated_data_set() -> None:
    path = next(path for path in packaged_files() if path.name == "image_dfl.dcm")
    data = path.read_bytes()
    instance = read_instance(data)
    assert instance.deflated
    pixels = _layout(instance)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = pydicom.dcmread(path).PixelData
    assert inflate_dataset(data)[pixels.offset : pixels.offset + pixels.length] == expected


def test_fragments_under_a_native_transfer_syntax() -> None:
    data = _multi_frame(4, _encapsulated(encapsulate(FRAMES)), syntax="1.2.840.10008.1.2.1")
    instance = read_instance(data)
    assert _frames(instance, data) == PADDED
    assert instance.notes == ("pixels:encapsulated",)
