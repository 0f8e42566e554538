"""One frame as a picture file, as PS3.18 8.3.5.1 and 9.1.2.2 let their callers ask: window, size, region, quality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pacs.errors import BadQuery, CannotRender
from pacs.pixels.attributes import frame_time_ms, pixel_aspect
from pacs.pixels.description import PixelError
from pacs.pixels.pictures import Kind, animate, encode, fit
from pacs.pixels.render import render_frame
from pacs.pixels.window import Window
from storage.archive import Archive
from storage.location import Located
from storage.retrieve import read_frame
from viewer_api.dicomweb.annotation import Pen

GIF = "image/gif"
KINDS: dict[str, Kind] = {"image/jpeg": "jpeg", "image/png": "png", "image/webp": "webp", GIF: "gif"}
LOOP_FRAMES_MAX, LOOP_BOX = 500, (512, 512)  # of a GIF; pixels that its frames fit into if nothing is asked
FUNCTIONS: dict[str, Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"]] = {
    "linear": "LINEAR", "linear-exact": "LINEAR_EXACT", "sigmoid": "SIGMOID"}  # fmt: skip
SIDE_MAX = 16_384  # pixels of a viewport
PIXELS_MAX = 7680 * 4320  # of a viewport: a screen of 8K
QUALITY = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """How a frame is drawn. `region`: left, top, right, bottom of the frame's part that is shown, each from 0 to 1.
    `flip`: whether it is turned over sideways, and upside down. `box`: width and height in pixels that it fits into;
    without one it keeps its size."""

    media_type: str = "image/jpeg"
    window: Window | None = None
    region: tuple[float, float, float, float] | None = None
    flip: tuple[bool, bool] = (False, False)
    box: tuple[int, int] | None = None
    quality: int = QUALITY
    annotation: tuple[str, ...] = ()  # keywords of PS3.18 8.3.5.1.1, also those that we have not


@dataclass(frozen=True, slots=True)
class Drawn:
    """A file, and what is otherwise with it than was asked."""

    data: bytes
    warnings: list[str]


def draw(archive: Archive, located: Located, attributes: Any, index: int, how: Drawing) -> Drawn:
    """The frame (from 0) as a file of `how.media_type`; raises CannotRender, which names the frame."""
    pen = _pen(archive, attributes, how)
    picture = pen.write(_drawn(archive, located, attributes, index, how), index)
    try:
        return Drawn(encode(picture, KINDS[how.media_type], how.quality), pen.warnings)
    except PixelError as error:
        raise CannotRender(f"frame {index + 1}: {error}") from error


def animation(
    archive: Archive, located: Located, attributes: Any, numbers: Sequence[int], how: Drawing
) -> Drawn:
    """These frames (from 0) as a GIF, as fast as they were taken; raises CannotRender."""
    if len(numbers) > LOOP_FRAMES_MAX:
        raise CannotRender(f"a GIF has at most {LOOP_FRAMES_MAX} frames here; these are {len(numbers)}")
    pen = _pen(archive, attributes, how)
    pictures = ((index, _drawn(archive, located, attributes, index, how, LOOP_BOX)) for index in numbers)
    annotated = (pen.write(picture, index) for index, picture in pictures)
    return Drawn(animate(annotated, frame_time_ms(attributes)), pen.warnings)


def _pen(archive: Archive, attributes: Any, how: Drawing) -> Pen:
    return Pen(attributes, how.annotation, how.window, archive.settings.annotation_font)


def _drawn(
    archive: Archive, located: Located, attributes: Any, index: int, how: Drawing,
    largest: tuple[int, int] = (SIDE_MAX, SIDE_MAX),
) -> Any:  # fmt: skip
    """`largest`: what it fits into where no box is asked for."""
    if located.entry.frames is None:
        raise CannotRender("this instance has no pixels")
    encoded = read_frame(archive, located, index)
    try:
        picture = render_frame(attributes, encoded, located.entry.transfer_syntax, index, how.window)
        if how.region is not None:
            picture = _part(picture, how.region)
        sideways, upside_down = how.flip
        picture = picture[:: -1 if upside_down else 1, :: -1 if sideways else 1]
        width, height = how.box or largest
        return fit(picture, width, height, pixel_aspect(attributes, index), enlarge=how.box is not None)
    except PixelError as error:
        raise CannotRender(f"frame {index + 1}: {error}") from error


def _part(picture: Any, region: tuple[float, float, float, float]) -> Any:
    """At least one pixel each way."""
    rows, columns = picture.shape[:2]
    left, right = _pixels(region[0], region[2], columns)
    top, bottom = _pixels(region[1], region[3], rows)
    return picture[top:bottom, left:right]


def _pixels(low: float, high: float, count: int) -> tuple[int, int]:
    first = min(round(low * count), count - 1)
    return first, max(round(high * count), first + 1)


def window(center: str, width: str, function: str = "linear") -> Window:
    """Raises BadQuery."""
    try:
        return Window(float(center), float(width), FUNCTIONS[function.lower()])
    except (ValueError, KeyError, PixelError):
        raise BadQuery("a window is a center, a width and linear, linear-exact or sigmoid") from None


def box(width: str, height: str) -> tuple[int, int]:
    """Raises BadQuery."""
    found = whole("a viewport's width", width, 1, SIDE_MAX), whole("a viewport's height", height, 1, SIDE_MAX)
    if found[0] * found[1] > PIXELS_MAX:
        raise BadQuery(f"viewport has more than {PIXELS_MAX} pixels")
    return found


def whole(name: str, text: str, low: int, high: int) -> int:
    """A whole number; raises BadQuery."""
    if not text.isascii() or not text.isdigit() or len(text) > 9 or not low <= int(text) <= high:
        raise BadQuery(f"{name} is a whole number from {low} to {high}")
    return int(text)
