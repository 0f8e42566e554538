"""Pictures of 8 bit arrays: files, sizes, thumbnails. Pillow lives here and in `icons`."""

import io
from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
from PIL import Image

from pacs.pixels._json import Attributes
from pacs.pixels.attributes import of_frame, pixel_aspect
from pacs.pixels.description import PixelError, describe
from pacs.pixels.render import Picture, render
from pacs.pixels.shrink import Reader, decode_shrunk, step_of

Kind = Literal["jpeg", "png", "webp", "gif"]

THUMBNAIL_SIDE = 256  # pixels
THUMBNAIL_QUALITY = 85
_FULL_CHROMA_QUALITY = 90  # from here on JPEG keeps colour at full resolution
GIF_FRAME_MS_MIN = 20  # browsers show what is faster as 100
_WEBP_SIDE_MAX, _JPEG_SIDE_MAX = 16_383, 65_500  # pixels: what the formats can hold


def encode(array: Picture, kind: Kind, quality: int = 90) -> bytes:
    """A picture, (rows, columns) or (rows, columns, 3) uint8, as a file; `quality` 1 to 100 (not for PNG and GIF).

    Raises PixelError where the format cannot hold a picture of that size.
    """
    side_max = {"jpeg": _JPEG_SIDE_MAX, "webp": _WEBP_SIDE_MAX, "gif": _JPEG_SIDE_MAX}.get(kind)
    if side_max is not None and max(array.shape[:2]) > side_max:
        raise PixelError(f"{kind} holds no picture over {side_max} pixels a side")
    options: dict[str, Any] = {} if kind in ("png", "gif") else {"quality": min(max(quality, 1), 100)}
    if kind == "jpeg" and quality >= _FULL_CHROMA_QUALITY:
        options["subsampling"] = 0
    return save(Image.fromarray(np.ascontiguousarray(array)), kind, **options)


def animate(pictures: Iterable[Picture], frame_ms: float) -> bytes:
    """At least one picture of one size, one after the other and again from the first, as a GIF; each is shown for
    `frame_ms` milliseconds, of which GIF holds whole hundredths of a second, 2 at least."""
    images = (Image.fromarray(np.ascontiguousarray(picture)) for picture in pictures)
    shown = max(GIF_FRAME_MS_MIN, round(frame_ms / 10) * 10)
    return save(next(images), "gif", save_all=True, append_images=images, duration=shown, loop=0)


def save(image: Image.Image, kind: Kind, **options: Any) -> bytes:
    """A Pillow image as a file."""
    with io.BytesIO() as file:
        image.save(file, kind.upper(), **options)
        return file.getvalue()


def fit(
    array: Picture, max_width: int, max_height: int, pixel_aspect: float = 1.0, enlarge: bool = False
) -> Picture:
    """The picture made to fit, in its true proportions, antialiased; only made smaller unless `enlarge`.

    `pixel_aspect` is the height of a pixel over its width; the longer way of pixels that are not square keeps
    its count, so nothing is lost. Sizes in pixels; the result has at least one each way.
    """
    rows, columns = array.shape[:2]
    width, height = columns * max(1.0, 1 / pixel_aspect), rows * max(1.0, pixel_aspect)
    scale = min(max_width / width, max_height / height)
    scale = scale if enlarge else min(scale, 1.0)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if size == (columns, rows):
        return array
    image = Image.fromarray(np.ascontiguousarray(array))
    return np.asarray(image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0))


def thumbnail(
    attributes: Attributes, read: Reader, size: int, transfer_syntax: str, frame_index: int = 0
) -> bytes:
    """One frame, of `size` bytes, as a JPEG of 256 × 256 pixels, centred on black. Raises PixelError."""
    description = describe(attributes)
    if not 0 <= frame_index < description.frames:
        raise PixelError(f"there is no frame {frame_index + 1} of {description.frames}")
    frame = decode_shrunk(description, read, size, transfer_syntax, frame_index)
    picture = render(frame, description, of_frame(attributes, frame_index), step=step_of(description))
    aspect = pixel_aspect(attributes, frame_index)
    fitted = fit(picture, THUMBNAIL_SIDE, THUMBNAIL_SIDE, aspect, enlarge=True)
    return encode(_centred(fitted), "jpeg", THUMBNAIL_QUALITY)


def _centred(array: Picture) -> Picture:
    canvas = np.zeros((THUMBNAIL_SIDE, THUMBNAIL_SIDE, *array.shape[2:]), np.uint8)
    top, left = ((THUMBNAIL_SIDE - side) // 2 for side in array.shape[:2])
    canvas[top : top + array.shape[0], left : left + array.shape[1]] = array
    return canvas
