"""Broken, cut and lying frames raise PixelError: no picture, no crash, no memory by their word."""

import random
import struct
import tracemalloc
import zlib
from dataclasses import replace
from itertools import permutations
from typing import Any

import imagecodecs
import numpy as np
import pytest
from pydicom.encaps import generate_frames

from pacs.pixels.decode import decode_frame
from pacs.pixels.description import PixelDescription, PixelError, describe
from pacs.pixels.headers import TILES_MAX

from .samples import EXPLICIT, gradient, packaged, photo

GREY = PixelDescription(48, 64, bits_stored=12, high_bit=11)
COLOUR = PixelDescription(48, 64, 3, 8, 8, 7, photometric="RGB")
SHADES = gradient(48, 64).astype(np.uint16) * 16

JPEG, JPEG_12, JPEG_LOSSLESS, JPEG_LS = (f"1.2.840.10008.1.2.4.{last}" for last in (50, 51, 57, 80))
J2K, HTJ2K, RLE = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.5"
SEED, FLIPS = 20_260, 60
MEMORY_MAX = 64 << 20  # bytes


def rle(array: np.ndarray[Any, Any]) -> bytes:
    """An RLE frame of an 8 or 16 bit grey array (PS3.5 annex G)."""
    planes = array.astype(array.dtype.newbyteorder(">")).view(np.uint8).reshape(-1, array.itemsize).T
    segments = [bytes(imagecodecs.packbits_encode(plane.tobytes())) for plane in planes]
    offsets = np.cumsum([64, *map(len, segments)])[:-1]
    return struct.pack("<16I", *([len(segments), *offsets] + [0] * 15)[:16]) + b"".join(segments)


def lossless_jpeg(predictor: int) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(SHADES, lossless=True, predictor=predictor, bitspersample=12))


def j2k(container: str) -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(SHADES, level=0, codecformat=container, reversible=True))


FRAMES: dict[str, tuple[PixelDescription, bytes, str]] = {
    "native": (GREY, SHADES.tobytes(), EXPLICIT),
    "rle": (GREY, rle(SHADES), RLE),
    "jpeg": (COLOUR, bytes(imagecodecs.jpeg8_encode(photo(), 90)), JPEG),
    "jpeg-12": (GREY, bytes(imagecodecs.jpeg8_encode(SHADES, 95, bitspersample=12)), JPEG_12),
    "jpeg-lossless": (GREY, lossless_jpeg(4), JPEG_LOSSLESS),
    "jpeg-ls": (GREY, bytes(imagecodecs.jpegls_encode(SHADES)), JPEG_LS),
    "j2k": (GREY, j2k("j2k"), J2K),
    "htj2k": (GREY, bytes(imagecodecs.htj2k_encode(SHADES)), HTJ2K),
}
LOSSLESS = sorted(set(FRAMES) - {"jpeg", "jpeg-12"})


def decode(name: str, frame: bytes) -> np.ndarray[Any, Any]:
    description, _, syntax = FRAMES[name]
    return decode_frame(description, frame, syntax).array


@pytest.mark.parametrize("name", FRAMES)
def test_whole_frames_decode(name: str) -> None:
    description, frame, _ = FRAMES[name]
    difference = np.abs(decode(name, frame).astype(int) - (SHADES if description is GREY else photo()))
    assert difference.max() == 0 if name in LOSSLESS else difference.mean() < 8


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize("part", [0.0, 0.02, 0.3, 0.6, 0.9, 0.98])
def test_cut_frames_are_refused(name: str, part: float) -> None:
    frame = FRAMES[name][1]
    with pytest.raises(PixelError):
        decode(name, frame[: int(len(frame) * part)])


@pytest.mark.parametrize("name", FRAMES)
def test_flipped_bytes_give_a_frame_of_the_right_size_or_an_error(name: str) -> None:
    chance = random.Random(SEED)
    description, frame, _ = FRAMES[name]
    for _ in range(FLIPS):
        broken = bytearray(frame)
        for _ in range(chance.randint(1, 5)):
            broken[chance.randrange(len(broken) - 2 if name == "jpeg-ls" else len(broken))] = (
                chance.randrange(256)
            )
        try:
            assert decode(name, bytes(broken)).shape == description.shape
        except PixelError:
            continue


@pytest.mark.parametrize("name", sorted(set(FRAMES) - {"native", "rle"}))  # these tell no size of their own
@pytest.mark.parametrize(
    "change", [{"rows": 47}, {"columns": 65}, {"rows": 64, "columns": 48}, {"rows": 4_000}]
)
def test_a_frame_of_another_size_is_refused(name: str, change: dict[str, Any]) -> None:
    description, frame, syntax = FRAMES[name]
    with pytest.raises(PixelError):
        decode_frame(replace(description, **change), frame, syntax)


@pytest.mark.parametrize("name", sorted(set(FRAMES) - {"native", "jpeg"}))
def test_a_grey_frame_is_no_colour_frame(name: str) -> None:
    with pytest.raises(PixelError):
        decode_frame(COLOUR, FRAMES[name][1], FRAMES[name][2])


def test_the_wrong_family_is_refused() -> None:
    for own, other in permutations(["native", "rle", "jpeg-12", "jpeg-ls", "j2k"], 2):
        with pytest.raises(PixelError):
            decode_frame(GREY, FRAMES[own][1], FRAMES[other][2])


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.102", "1.2.840.10008.1.2.4.107", "1.2.3"])
def test_video_and_unknown_syntaxes_are_refused(syntax: str) -> None:
    with pytest.raises(PixelError, match="cannot be decoded"):
        decode_frame(GREY, b"\0" * 100, syntax)


def _j2k_header(rows: int, columns: int, tile: int) -> bytes:
    frame = bytearray(FRAMES["j2k"][1])
    struct.pack_into(">2I", frame, 8, columns, rows)
    struct.pack_into(">2I", frame, 24, tile, tile)
    return bytes(frame)


def _jpeg_header(name: str, rows: int, columns: int) -> bytes:
    frame = FRAMES[name][1]
    at = next(i for i in range(len(frame)) if frame[i] == 0xFF and frame[i + 1] in (0xC0, 0xC1, 0xC3, 0xF7))
    return frame[: at + 5] + struct.pack(">2H", rows, columns) + frame[at + 9 :]


def _told(side: int) -> PixelDescription:
    return PixelDescription(side, side, bits_stored=12, high_bit=11)


@pytest.mark.parametrize("is_told", [True, False])
@pytest.mark.parametrize(
    ("frame", "syntax"),
    [
        (_j2k_header(60_000, 60_000, 60_000), J2K),
        (_jpeg_header("jpeg-ls", 60_000, 60_000), JPEG_LS),
        (_jpeg_header("jpeg-12", 60_000, 60_000), JPEG_12),
        (_jpeg_header("jpeg-lossless", 60_000, 60_000), JPEG_LOSSLESS),
    ],
)
def test_a_header_that_claims_a_huge_image_takes_no_memory(is_told: bool, frame: bytes, syntax: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(PixelError):
            decode_frame(_told(60_000 if is_told else 64), frame, syntax)
        assert tracemalloc.get_traced_memory()[1] < MEMORY_MAX
    finally:
        tracemalloc.stop()


def test_tiny_tiles_are_refused() -> None:
    with pytest.raises(PixelError, match=f"limit of {TILES_MAX}"):
        decode_frame(PixelDescription(4_000, 4_000), _j2k_header(4_000, 4_000, 1), J2K)


@pytest.mark.parametrize(("syntax", "ratio"), [(RLE, 64), (JPEG_LOSSLESS, 8), (JPEG_12, 1_024)])
def test_bytes_that_cannot_hold_the_frame_are_refused_before_any_array(syntax: str, ratio: int) -> None:
    description = PixelDescription(16_000, 16_000)
    frames = {
        RLE: struct.pack("<16I", 2, 64, 66, *[0] * 13) + b"\x81\0\x81\0",
        JPEG_LOSSLESS: _jpeg_header("jpeg-lossless", 16_000, 16_000),
        JPEG_12: _jpeg_header("jpeg-12", 16_000, 16_000),
    }
    tracemalloc.start()
    try:
        with pytest.raises(PixelError, match="cannot hold"):
            decode_frame(description, frames[syntax], syntax)
        assert tracemalloc.get_traced_memory()[1] < MEMORY_MAX
    finally:
        tracemalloc.stop()
    assert len(frames[syntax]) * ratio < description.cells


@pytest.mark.parametrize(
    "header",
    [
        struct.pack("<16I", 2, 64, 64, *[0] * 13),
        struct.pack("<16I", 2, 64, 1 << 31, *[0] * 13),
        struct.pack("<16I", 2, 0, 64, *[0] * 13),
        struct.pack("<16I", 3, 64, 70, 80, *[0] * 12),
        struct.pack("<16I", 0, *[0] * 15),
    ],
)
def test_rle_headers_that_point_elsewhere_are_refused(header: bytes) -> None:
    with pytest.raises(PixelError, match="RLE"):
        decode("rle", header + FRAMES["rle"][1][64:])


def test_an_rle_bomb_gives_its_frame_and_no_more() -> None:
    segment = b"\x81\xff" * 100_000  # 12.8 MB
    frame = struct.pack("<16I", 1, 64, *[0] * 14) + segment
    with pytest.raises(PixelError):
        decode_frame(PixelDescription(64, 64, 1, 8, 8, 7), frame, RLE)


def test_deflated_frames_stop_at_their_size() -> None:
    deflated = "1.2.840.10008.1.2.8.1"
    small = PixelDescription(8, 8, 1, 8, 8, 7)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = packer.compress(bytes(50_000_000)) + packer.flush()
    with pytest.raises(PixelError):
        decode_frame(small, bomb, deflated)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    good = packer.compress(bytes(range(64))) + packer.flush()
    assert decode_frame(small, good, deflated).array[7, 7] == 63
    with pytest.raises(PixelError):
        decode_frame(small, b"no deflate", deflated)


def test_jp2_boxes_are_taken_off() -> None:
    boxed = j2k("jp2")
    assert boxed[4:8] == b"jP  "
    assert np.array_equal(decode("j2k", boxed), SHADES)
    with pytest.raises(PixelError):
        decode("j2k", boxed[:40])


def test_the_scan_header_that_some_modalities_get_wrong_still_decodes() -> None:
    """JPEG-lossy.dcm ends its spectral selection at 0, which baseline does not allow."""
    dataset = packaged("JPEG-lossy.dcm")
    frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
    array = decode_frame(describe(dataset), frame, str(dataset.file_meta.TransferSyntaxUID)).array
    assert array.max() == 264


@pytest.mark.parametrize("predictor", range(1, 8))
def test_every_predictor_of_lossless_jpeg(predictor: int) -> None:
    assert np.array_equal(decode("jpeg-lossless", lossless_jpeg(predictor)), SHADES)
