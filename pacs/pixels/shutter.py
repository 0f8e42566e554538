"""Display shutters (PS3.3 C.7.6.11): what a modality wants hidden around the part that was exposed."""

import numpy as np
from numpy.typing import NDArray

from pacs.pixels import _json
from pacs.pixels._json import Attributes

VERTICES_MAX = 1_024

Mask = NDArray[np.bool_]


def hidden(attributes: Attributes, rows: int, columns: int, step: int = 1) -> Mask | None:
    """Which pixels the shutters hide, (rows, columns), each `step`-th of them; None without a shutter or with broken
    ones only.

    Positions are those of the standard: rows and columns counted from 1, edges still visible.
    """
    shapes = {str(shape).strip().upper() for shape in _json.values(attributes, "00181600")}
    readers = (("RECTANGULAR", _rectangle), ("CIRCULAR", _circle), ("POLYGONAL", _polygon))
    visible: Mask | None = None
    for shape, read in readers:
        opening = read(attributes, rows, columns, step) if shape in shapes else None
        if opening is not None:
            visible = opening if visible is None else visible & opening
    # A shutter over everything is a mistake in the header, not a wish to see nothing.
    return ~visible if visible is not None and visible.any() else None


def presentation_value(attributes: Attributes) -> int:
    """The display value, 0 to 255, of what is hidden: P-values of 16 bits there (PS3.3 C.7.6.11.1), else black."""
    value = _json.integer(attributes, "00181622") or 0
    return min(max(value, 0), 0xFFFF) >> 8


def _rectangle(attributes: Attributes, rows: int, columns: int, step: int) -> Mask | None:
    edges = [_json.integer(attributes, tag) for tag in ("00181602", "00181604", "00181606", "00181608")]
    if None in edges:
        return None
    left, right, upper, lower = (edge or 0 for edge in edges)
    row, column = np.ogrid[1 : rows + 1 : step, 1 : columns + 1 : step]
    return np.asarray((row >= upper) & (row <= lower) & (column >= left) & (column <= right))


def _circle(attributes: Attributes, rows: int, columns: int, step: int) -> Mask | None:
    centre, radius = _json.numbers(attributes, "00181610"), _json.number(attributes, "00181612")
    if len(centre) != 2 or radius is None:
        return None
    row, column = np.ogrid[1 : rows + 1 : step, 1 : columns + 1 : step]
    return np.asarray((row - centre[0]) ** 2 + (column - centre[1]) ** 2 <= radius**2)


def _polygon(attributes: Attributes, rows: int, columns: int, step: int) -> Mask | None:
    """The inside by the even-odd rule: each edge turns in and out the pixels right of it."""
    numbers = _json.numbers(attributes, "00181620")
    if len(numbers) % 2 or not 6 <= len(numbers) <= 2 * VERTICES_MAX:
        return None
    vertices = np.asarray(numbers).reshape(-1, 2)
    row = np.arange(1, rows + 1, step)
    turns = np.zeros((len(row), columns + 1), np.bool_)
    for (row_a, column_a), (row_b, column_b) in zip(vertices, np.roll(vertices, -1, axis=0), strict=True):
        crossed = np.flatnonzero((row_a <= row) != (row_b <= row))
        at = column_a + (row[crossed] - row_a) * (column_b - column_a) / ((row_b - row_a) or 1)
        turns[crossed, np.clip(np.ceil(at) - 1, 0, columns).astype(np.intp)] ^= True
    return np.logical_xor.accumulate(turns, axis=1)[:, :columns:step]
