"""What the attributes say of one frame: functional groups laid flat, pixel shape, the frame to show first."""

from typing import Any

from pacs.pixels import _json
from pacs.pixels._json import Attributes

FRAME_TIME_MS = 100.0  # where nothing tells it
ASPECT_MAX = 8.0  # a pixel taller or wider than this many times is an error in the header

_SHARED, _PER_FRAME = "52009229", "52009230"
_MACROS = (  # functional groups that change how a frame looks (PS3.3 C.7.6.16.2)
    "00289110",  # Pixel Measures
    "00189472",  # Frame Display Shutter
    "00289132",  # Frame VOI LUT
    "00289145",  # Pixel Value Transformation
)
_FRAME_TYPES = (  # hold Pixel Presentation of CT, MR and PET frames (PS3.3 C.8.16.2)
    "00189226",  # MR Image Frame Type
    "00189329",  # CT Image Frame Type
    "00189751",  # PET Frame Type
)
_SPACINGS = ("00280030", "00181164", "00182010")  # Pixel, Imager Pixel, Nominal Scanned Pixel Spacing


def of_frame(attributes: Attributes, index: int) -> Attributes:
    """The attributes of frame `index` (from 0): the instance's own under its functional groups.

    A frame's own group goes before the shared one (PS3.3 C.7.6.16.1).
    """
    groups = _json.items(attributes, _SHARED)[:1] + _json.items(attributes, _PER_FRAME)[index : index + 1]
    flat: dict[str, Any] = {}
    for group in groups:
        for macro in (*_MACROS, *_FRAME_TYPES):
            flat |= _json.first_item(group, macro) or {}
    return {**attributes, **flat} if flat else attributes


def whole_frame(attributes: Attributes, index: int) -> Attributes:
    """The attributes of frame `index` (from 0) with those of all its functional groups, for who shows them as text."""
    groups = _json.items(attributes, _SHARED)[:1] + _json.items(attributes, _PER_FRAME)[index : index + 1]
    flat: dict[str, Any] = {}
    for group in groups:
        for macro in group:
            flat |= _json.first_item(group, macro) or {}
    return {**attributes, **flat} if flat else attributes


def pixel_aspect(attributes: Attributes, index: int = 0) -> float:
    """Height of a pixel over its width, 1.0 where it is not told or absurd (PS3.3 C.7.6.3.1.7, 10.7.1.3)."""
    attributes = of_frame(attributes, index)
    for tag in ("00280034", *_SPACINGS):
        found = _json.numbers(attributes, tag)
        if len(found) == 2 and min(found) > 0 and 1 / ASPECT_MAX <= found[0] / found[1] <= ASPECT_MAX:
            return found[0] / found[1]
    return 1.0


def representative_frame(attributes: Attributes) -> int:
    """The frame (from 0) to show for the instance: the one it names (PS3.3 C.7.6.6), or the middle one."""
    count = max(1, _json.integer(attributes, "00280008") or 1)
    named = _json.integer(attributes, "00286010")
    return named - 1 if named is not None and 1 <= named <= count else count // 2


def frame_time_ms(attributes: Attributes) -> float:
    """How long a frame of a loop is shown, in milliseconds, by what tells it best (PS3.3 C.7.6.5, C.12.1): the rate
    that is recommended, that of the cine, the time between frames as they were taken; else 100."""
    for tag in ("00082144", "00180040"):
        rate = _json.number(attributes, tag)
        if rate is not None and rate > 0:
            return 1000 / rate
    taken = _json.number(attributes, "00181063")
    return taken if taken is not None and taken > 0 else FRAME_TIME_MS
