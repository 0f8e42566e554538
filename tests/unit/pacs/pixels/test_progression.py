"""HTJ2K Lossless RPCL (PS3.5 10.18): what a cut codestream still shows."""

from __future__ import annotations

import struct

import imagecodecs
import numpy as np
import pytest

from pacs.pixels.description import Frame, PixelDescription, PixelError
from pacs.pixels.encode import encode_frame
from pacs.pixels.progression import BASE_SIDE_MAX, decompositions, resolution_ends

RPCL = "1.2.840.10008.1.2.4.202"
SHAPES = [(512, 512, 1, 16), (1, 1, 1, 8), (64, 70, 3, 8), (4100, 300, 1, 16), (2048, 2049, 1, 8)]


def encoded(rows: int, columns: int, samples: int, bits: int) -> tuple[bytes, np.ndarray]:
    photometric = "RGB" if samples == 3 else "MONOCHROME2"
    description = PixelDescription(rows, columns, samples, bits, bits, bits - 1, photometric=photometric)
    y, x = np.ogrid[:rows, :columns]
    plane = ((np.sin(x / 19) + np.cos(y / 23) + 2) * (1 << bits - 3)).astype(description.dtype)
    array = np.repeat(plane[..., None], 3, axis=2) if samples == 3 else plane
    return encode_frame(Frame(array, photometric), description, RPCL), array


@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_what_the_standard_says(shape: tuple[int, int, int, int]) -> None:
    """RPCL, lengths of tile parts in front (TLM), and a base of no more than 64 pixels."""
    data, _ = encoded(*shape)
    coding = data.index(b"\xff\x52")
    order, levels = data[coding + 5], data[coding + 9]
    assert order == 2
    assert b"\xff\x55" in data[: resolution_ends(data)[0]]
    assert max(shape[:2]) / 2**levels <= BASE_SIDE_MAX
    assert levels == decompositions(*shape[:2])
    assert len(resolution_ends(data)) == levels + 1


@pytest.mark.parametrize("shape", SHAPES)
def test_each_resolution_is_whole_where_it_ends(shape: tuple[int, int, int, int]) -> None:
    """A decoder of the first bytes gives what one of all bytes gives at that resolution."""
    data, array = encoded(*shape)
    ends = resolution_ends(data)
    assert ends[-1] == len(data)
    assert list(ends) == sorted(set(ends))
    for level, end in enumerate(ends):
        skipped = len(ends) - 1 - level
        small = imagecodecs.htj2k_decode(data[:end], skipres=skipped, resilient=True)
        assert np.array_equal(small, imagecodecs.htj2k_decode(data, skipres=skipped))
    whole = small if array.ndim == 2 else np.moveaxis(small, 0, -1)
    assert np.array_equal(whole, array)


@pytest.mark.parametrize("cut", [0, 1, 2, 30, 150, 300, -3])
def test_what_is_cut_or_no_codestream(cut: int) -> None:
    data, _ = encoded(64, 70, 3, 8)
    with pytest.raises(PixelError):
        resolution_ends(data[:cut])


def test_tile_parts_that_are_no_resolutions() -> None:
    data, _ = encoded(512, 512, 1, 16)
    at = resolution_ends(data)[0]
    assert data[at : at + 2] == b"\xff\x90"
    for head in (struct.pack(">HIB", 1, 99, 1), struct.pack(">HIB", 0, 3, 1), struct.pack(">HIB", 0, 99, 4)):
        with pytest.raises(PixelError):
            resolution_ends(data[: at + 4] + head + data[at + 11 :])
    with pytest.raises(PixelError):
        resolution_ends(b"\xff\x4f" + b"\xff\x52\x00\x00" * 9)
