"""Native cells of every form the standard has (PS3.5 8.1, annex D)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pacs.pixels import native
from pacs.pixels.decode import decode_frame
from pacs.pixels.description import PixelDescription, PixelError

from .samples import BIG_ENDIAN, EXPLICIT


@settings(deadline=None)  # other work may hold the cores
@given(
    st.integers(1, 16),
    st.integers(0, 15),
    st.booleans(),
    st.lists(st.integers(0, 65_535), min_size=1, max_size=20),
)
def test_only_the_stored_bits_count(stored: int, high_bit: int, is_signed: bool, cells: list[int]) -> None:
    if high_bit < stored - 1:
        high_bit = stored - 1
    description = PixelDescription(1, len(cells), 1, 16, stored, high_bit, is_signed)
    for syntax, order in ((EXPLICIT, "<u2"), (BIG_ENDIAN, ">u2")):
        found = decode_frame(description, np.array(cells, order).tobytes(), syntax).array
        for cell, value in zip(cells, found[0].tolist(), strict=True):
            bits = cell >> (high_bit + 1 - stored) & ((1 << stored) - 1)
            assert value == (bits - (1 << stored) if is_signed and bits >> (stored - 1) else bits)
        assert found.dtype == (np.int16 if is_signed else np.uint16)


@pytest.mark.parametrize(("allocated", "kind"), [(8, "u1"), (16, "u2"), (32, "u4"), (64, "u8")])
@pytest.mark.parametrize("columns", [3, 4])
def test_widths_orders_and_odd_sizes(allocated: int, kind: str, columns: int) -> None:
    values = np.arange(5 * columns).reshape(5, columns).astype(kind)
    description = PixelDescription(5, columns, 1, allocated, allocated, allocated - 1)
    little = values.tobytes() + b"\0" * (values.nbytes % 2)
    assert np.array_equal(decode_frame(description, little, EXPLICIT).array, values)
    if allocated > 8:
        big = values.astype(f">{kind}").tobytes()
        assert np.array_equal(decode_frame(description, big, BIG_ENDIAN).array, values)


def test_bytes_in_words_of_a_big_endian_file_are_swapped() -> None:
    description = PixelDescription(1, 3, 1, 8, 8, 7, is_word=True)
    assert decode_frame(description, b"\2\1\0\3", BIG_ENDIAN).array.tolist() == [[1, 2, 3]]
    as_bytes = PixelDescription(1, 3, 1, 8, 8, 7, is_word=False)
    assert decode_frame(as_bytes, b"\1\2\3\0", BIG_ENDIAN).array.tolist() == [[1, 2, 3]]


@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_float_frames(kind: str) -> None:
    values = np.array([[0.5, -2.25, np.nan]], kind)
    bits = values.itemsize * 8
    description = PixelDescription(1, 3, 1, bits, bits, bits - 1, is_float=True)
    for syntax, order in ((EXPLICIT, "<"), (BIG_ENDIAN, ">")):
        found = decode_frame(description, values.astype(order + kind).tobytes(), syntax).array
        np.testing.assert_array_equal(found, values)


@settings(deadline=None)  # other work may hold the cores
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 5), st.randoms())
def test_packed_bits_of_frames_that_share_a_byte(
    rows: int, columns: int, frames: int, chance: object
) -> None:
    size = rows * columns
    bits = np.random.default_rng(rows * 100 + columns).integers(0, 2, frames * size).astype(np.uint8)
    packed = np.packbits(bits, bitorder="little").tobytes()
    description = PixelDescription(rows, columns, 1, 1, 1, 0, frames=frames)
    for index in range(frames):
        encoded = packed[index * size // 8 : -(-(index + 1) * size // 8)]
        start = native.first_bit(description, index)
        found = decode_frame(description, encoded, EXPLICIT, start).array
        assert found.tolist() == bits[index * size : (index + 1) * size].reshape(rows, columns).tolist()


def test_cells_of_twelve_bits() -> None:
    description = PixelDescription(1, 3, 1, 12, 12, 11)
    assert decode_frame(description, bytes([0x23, 0x61, 0x45, 0x89, 0x07]), EXPLICIT).array.tolist() == [
        [0x123, 0x456, 0x789]
    ]
    signed = PixelDescription(1, 2, 1, 12, 12, 11, True)
    assert decode_frame(signed, bytes([0xFF, 0x1F, 0x00]), EXPLICIT).array.tolist() == [[-1, 1]]


def test_planes_become_pixels() -> None:
    values = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    planar = PixelDescription(2, 4, 3, 8, 8, 7, photometric="RGB", planar_configuration=1)
    encoded = np.moveaxis(values, -1, 0).tobytes()
    assert np.array_equal(decode_frame(planar, encoded, EXPLICIT).array, values)


def test_422_shares_its_colour() -> None:
    description = PixelDescription(1, 4, 3, 8, 8, 7, photometric="YBR_FULL_422")
    frame = decode_frame(description, bytes([1, 2, 90, 91, 3, 4, 92, 93]), EXPLICIT)
    assert frame.photometric == "YBR_FULL"
    assert frame.array.tolist() == [[[1, 90, 91], [2, 90, 91], [3, 92, 93], [4, 92, 93]]]


def test_422_that_is_none_is_taken_as_it_is() -> None:
    description = PixelDescription(1, 4, 3, 8, 8, 7, photometric="YBR_FULL_422")
    assert decode_frame(description, bytes(range(12)), EXPLICIT).array.reshape(-1).tolist() == list(range(12))


@pytest.mark.parametrize("size", [0, 1, 31, 34, 64])
def test_other_lengths_are_refused(size: int) -> None:
    with pytest.raises(PixelError, match=f"{size} bytes where 32 are needed"):
        decode_frame(PixelDescription(4, 4), bytes(size), EXPLICIT)
