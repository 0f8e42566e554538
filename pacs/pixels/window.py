"""VOI windows (PS3.3 C.11.2.1.2): which values become black, which white, and the curve between."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pacs.pixels import _json
from pacs.pixels._json import Attributes
from pacs.pixels.description import PixelError

WHITE = 255.0  # the output range is that of 8 bit display values

Function = Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"]
_FUNCTIONS: dict[str, Function] = {"LINEAR_EXACT": "LINEAR_EXACT", "SIGMOID": "SIGMOID"}
_EXPONENT_MAX = 700.0  # e to this still fits a double


@dataclass(frozen=True, slots=True)
class Window:
    """Window Center, Width and VOI LUT Function (PS3.3 C.11.2), in units of the modality LUT's output.

    Raises PixelError where the width is below 1 (LINEAR), not above 0 (others), or a number is not finite.
    """

    center: float
    width: float
    function: Function = "LINEAR"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.center) and math.isfinite(self.width)):
            raise PixelError("the window is not finite")
        if self.width <= 0 or (self.function == "LINEAR" and self.width < 1):
            raise PixelError(f"a {self.function} window cannot be {self.width} wide")

    @property
    def ends(self) -> tuple[float, float] | None:
        """Up to where all is black, and from where on white; None of a curve that has no ends."""
        center, width = self.straight
        return None if self.function == "SIGMOID" else (center - width / 2, center + width / 2)

    @property
    def straight(self) -> tuple[float, float]:
        """Center and width of the slope (PS3.3 C.11.2.1.2.1, C.11.2.1.3.2)."""
        return (self.center - 0.5, self.width - 1) if self.function == "LINEAR" else (self.center, self.width)


def window_of(attributes: Attributes) -> Window | None:
    """The first window of the attributes that is possible (PS3.3 C.11.2.1.2.1), None without one."""
    function = _FUNCTIONS.get(_json.text(attributes, "00281056"), "LINEAR")
    centers, widths = _json.numbers(attributes, "00281050"), _json.numbers(attributes, "00281051")
    for center, width in zip(centers, widths, strict=False):
        if width >= 1 or (width > 0 and function != "LINEAR"):
            return Window(center, width, function)
    return None


def spanning(low: float, high: float) -> Window | None:
    """The window from `low` (black) to `high` (white), None where they are equal."""
    width = high - low
    return Window(low + width / 2, width, "LINEAR_EXACT") if 0 < width < math.inf else None


def apply_window(window: Window, values: NDArray[Any]) -> NDArray[np.float64]:
    """Values of any shape to display values from 0 to 255, not rounded, NaN staying NaN."""
    x = values.astype(np.float64)
    if window.function == "SIGMOID":  # PS3.3 C.11.2.1.3.1
        exponent = np.clip(-4 * (x - window.center) / window.width, -_EXPONENT_MAX, _EXPONENT_MAX)
        return np.asarray(WHITE / (1 + np.exp(exponent)))
    center, width = window.straight
    if width == 0:
        return np.where(x > center, WHITE, 0.0)
    return np.clip((x - center) / width + 0.5, 0, 1) * WHITE
