"""A kept table shows what the formulas of the standard give for each value."""

from itertools import product
from typing import Any

import numpy as np
import pytest

from pacs.pixels.tables import Map, Rescale, through, windowed
from pacs.pixels.window import Function, Window, apply_window

CELLS = ("u1", "i1", "u2", "i2")
RESCALES = (
    Rescale(1.0, 0.0), Rescale(1.0, -1024.0), Rescale(-1.0, 4095.0), Rescale(0.25, 3.7), Rescale(117.3, -9.0),
    Rescale(-0.001, 0.5), Rescale(1e-300, 0.0), Rescale(1e300, -1e300),
)  # fmt: skip
STRAIGHT: tuple[Function, ...] = ("LINEAR", "LINEAR_EXACT")
WINDOWS = (
    *(Window(center, width, function) for (center, width), function in
      product(((40.0, 400.0), (0.0, 1.0), (127.5, 256.0), (-600.5, 1500.0), (2047.0, 65536.0), (1e9, 2.0)), STRAIGHT)),
    Window(0.3, 0.01, "LINEAR_EXACT"), Window(-70_000.0, 3.0, "LINEAR"),
)  # fmt: skip


def formulas(rescale: Rescale, window: Window) -> Map:
    return lambda values: apply_window(window, rescale(values))


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_a_kept_table_is_what_the_formulas_give(kind: str, window: Window) -> None:
    can = np.iinfo(kind)
    values: Any = np.arange(can.min, can.max + 1, dtype=kind).reshape(16, -1)
    for rescale in RESCALES:
        expected = through(values, formulas(rescale, window))
        np.testing.assert_array_equal(windowed(values, rescale, window), expected, str(rescale))
        np.testing.assert_array_equal(windowed(values[:, ::-2], rescale, window), expected[:, ::-2])


def test_what_is_shown_may_be_changed_and_the_table_stays() -> None:
    values: Any = np.arange(256, dtype=np.uint8).reshape(16, 16)
    window, rescale = Window(100.0, 50.0), Rescale(1.0, 0.0)
    first = windowed(values, rescale, window)
    kept = first.copy()
    first[:] = 7
    np.testing.assert_array_equal(windowed(values, rescale, window), kept)


def test_a_sigmoid_has_no_ends() -> None:
    assert Window(40.0, 400.0, "SIGMOID").ends is None
    assert Window(40.0, 401.0).ends == (-160.5, 239.5)
