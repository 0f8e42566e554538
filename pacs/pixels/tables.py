"""Functions of single values, applied to whole images by way of tables where those are shorter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacs.pixels import colour
from pacs.pixels.window import Window, apply_window

Map = Callable[[NDArray[Any]], NDArray[Any]]
Shown = NDArray[np.uint8]
KEPT_MAX = 128  # tables of at most 64 kB: the windows of the series that are looked at just now


@dataclass(frozen=True, slots=True)
class Rescale:
    """Stored values to the modality's (PS3.3 C.11.1)."""

    slope: float  # not 0
    intercept: float

    def __call__(self, values: NDArray[Any]) -> NDArray[np.float64]:
        return np.asarray(values.astype(np.float64) * self.slope + self.intercept)


def has_table(array: NDArray[Any]) -> bool:
    """Whether all values that a cell can hold make a table."""
    return array.dtype.kind in "iu" and array.dtype.itemsize <= 2


def through(array: NDArray[Any], function: Map) -> Shown:
    """What a function gives for each value, rounded."""
    if has_table(array):
        low, high = int(array.min()), int(array.max())
        return _looked_up(array, _whole(rounded(function(np.arange(low, high + 1))), low, array.dtype))
    out = np.empty(array.shape, np.uint8)
    for rows in colour.chunks(array):
        out[rows] = rounded(function(array[rows]))
    return out


def windowed(array: NDArray[Any], rescale: Rescale, window: Window) -> Shown:
    """The same for cells that have a table and a window that has ends. The table is kept: the next slice has the same
    one. And nothing is asked of the image: each step of numpy lets other threads go on, and then waits for its turn."""
    return _looked_up(array, _of_window(rescale, window, array.dtype.str))


@lru_cache(KEPT_MAX)
def _of_window(rescale: Rescale, window: Window, kind: str) -> Shown:
    """Only the slope is reckoned, and an end of each side."""
    assert window.ends is not None
    can = np.iinfo(kind)
    ends = ((end - rescale.intercept) / rescale.slope for end in window.ends)
    low, high = (int(min(max(end, can.min), can.max)) for end in sorted(ends))
    low, high = max(low - 1, can.min), min(high + 1, can.max)
    shown = np.empty(can.max - can.min + 1, np.uint8)
    slope = slice(low - can.min, high - can.min + 1)
    shown[slope] = rounded(apply_window(window, rescale(np.arange(low, high + 1))))
    shown[: slope.start], shown[slope.stop :] = rounded(
        apply_window(window, rescale(np.array([can.min, can.max])))
    )
    table = _whole(shown, int(can.min), np.dtype(kind))
    table.setflags(write=False)
    return table


def _whole(shown: Shown, low: int, kind: np.dtype[Any]) -> Shown:
    """A table with a place for each value that a cell can hold, of a piece that begins with what is shown for `low`."""
    size = 1 << 8 * kind.itemsize
    table = np.zeros(size, np.uint8)
    first = low % size
    upper = shown[: size - first]
    table[first : first + len(upper)] = upper
    table[: len(shown) - len(upper)] = shown[len(upper) :]
    return table


def _looked_up(array: NDArray[Any], table: Shown) -> Shown:
    """Negative values stand last in the table, so that cells are indexes as they are and none is outside."""
    return np.take(table, array.view(f"u{array.dtype.itemsize}"), mode="clip")  # "raise" would look twice


def rounded(values: NDArray[Any]) -> Shown:
    """To whole display values; what is no number is black."""
    return np.asarray(np.nan_to_num(values) + 0.5).astype(np.uint8)
