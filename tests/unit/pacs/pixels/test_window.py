"""Windows are those of PS3.3 C.11.2.1.2 and .3, by its own words and by pydicom's numbers."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_windowing

from pacs.pixels.description import PixelError
from pacs.pixels.window import Function, Window, apply_window, window_of

from .samples import grey

FUNCTIONS: tuple[Function, ...] = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
centers = st.floats(-2_000, 4_000, allow_nan=False)
widths = st.floats(1, 8_000, allow_nan=False)
values = st.lists(st.floats(-5_000, 5_000, allow_nan=False), min_size=1, max_size=30)


@settings(deadline=None)  # other work may hold the cores
@given(st.sampled_from(FUNCTIONS), centers, widths, values)
def test_as_pydicom(function: Function, center: float, width: float, points: list[float]) -> None:
    dataset = Dataset()
    dataset.WindowCenter, dataset.WindowWidth, dataset.VOILUTFunction = center, width, function
    dataset.PhotometricInterpretation, dataset.BitsStored, dataset.PixelRepresentation = "MONOCHROME2", 8, 0
    center, width = float(dataset.WindowCenter), float(dataset.WindowWidth)
    if function == "LINEAR" and 1 < width < 1 + 1e-6:
        width = dataset.WindowWidth = 1.0  # the slope of so narrow a window is noise in both
    found = apply_window(Window(center, width, function), np.array(points))
    with np.errstate(over="ignore"):  # pydicom's sigmoid
        expected = apply_windowing(np.array(points), dataset)
    np.testing.assert_allclose(found, expected, atol=1e-3)


@settings(deadline=None)  # other work may hold the cores
@given(centers, st.floats(1.001, 8_000), st.floats(-9_000, 9_000))
def test_linear_as_the_standard_writes_it(center: float, width: float, x: float) -> None:
    if x <= center - 0.5 - (width - 1) / 2:
        expected = 0.0
    elif x > center - 0.5 + (width - 1) / 2:
        expected = 255.0
    else:
        expected = ((x - (center - 0.5)) / (width - 1) + 0.5) * 255
    assert apply_window(Window(center, width), np.array([x]))[0] == pytest.approx(expected, abs=1e-6)


def test_the_examples_of_the_standard() -> None:
    """The notes of PS3.3 C.11.2.1.2.1: c=2048 w=4096, c=0 w=100, and windows of width 1."""
    full = Window(2_048, 4_096)
    assert apply_window(full, np.array([0, 4_095])).tolist() == [0, 255]
    assert apply_window(Window(0, 100), np.array([-50, 49])).tolist() == [0, 255]
    assert apply_window(Window(0, 1), np.array([-1, 0])).tolist() == [0, 255]
    assert apply_window(Window(2_048, 1), np.array([2_047, 2_048])).tolist() == [0, 255]


@settings(deadline=None)  # other work may hold the cores
@given(st.sampled_from(FUNCTIONS), centers, widths, values)
def test_more_is_never_darker(function: Function, center: float, width: float, points: list[float]) -> None:
    shown = apply_window(Window(center, width, function), np.sort(points))
    assert (np.diff(shown) >= 0).all()
    assert shown.min() >= 0
    assert shown.max() <= 255


@pytest.mark.parametrize(
    ("center", "width", "function"),
    [(0, 0.5, "LINEAR"), (0, 0, "LINEAR_EXACT"), (0, -5, "SIGMOID"), (float("nan"), 5, "LINEAR")],
)
def test_impossible_windows(center: float, width: float, function: Function) -> None:
    with pytest.raises(PixelError):
        Window(center, width, function)


@pytest.mark.parametrize(
    ("center", "width", "function", "expected"),
    [
        (["40"], ["80"], "", Window(40, 80)),
        ([40, 600], [80, 2_000], "SIGMOID", Window(40, 80, "SIGMOID")),
        ([40, 600], [0, 2_000], "LINEAR", Window(600, 2_000)),
        ([40], [0.5], "LINEAR_EXACT", Window(40, 0.5, "LINEAR_EXACT")),
        ([40], [0.5], "UNKNOWN", None),
        ([], [80], "", None),
        ([None], ["x"], "", None),
    ],
)
def test_the_first_possible_window_counts(
    center: list[Any], width: list[Any], function: str, expected: Window | None
) -> None:
    assert window_of(grey(x00281050=center, x00281051=width, x00281056=function)) == expected
