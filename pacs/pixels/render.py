"""Stored values to what a display shows (PS3.3 C.11, PS3.4 N.2): modality, VOI, presentation."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacs.pixels import _json, colour, native
from pacs.pixels._json import Attributes
from pacs.pixels.attributes import of_frame
from pacs.pixels.decode import decode_frame
from pacs.pixels.description import Frame, PixelDescription, PixelError, describe
from pacs.pixels.lut import Lut, lut_of
from pacs.pixels.shutter import hidden, presentation_value
from pacs.pixels.tables import Map, Rescale, has_table, through, windowed
from pacs.pixels.window import WHITE, Window, apply_window, spanning, window_of

Picture = NDArray[np.uint8]
"""(rows, columns) grey or (rows, columns, 3) RGB, 0 black, 255 white."""

_AIR = -1024.0  # Hounsfield units, the least a CT of 12 bits can hold
_PROJECTION_XRAY = {"1.2.840.10008.5.1.4.1.1.12.1", "1.2.840.10008.5.1.4.1.1.12.2"}  # XA, XRF


def render_frame(
    attributes: Attributes,
    encoded: bytes,
    transfer_syntax: str,
    frame_index: int = 0,
    window: Window | None = None,
) -> Picture:
    """One frame of an instance as an 8 bit picture, from its DICOM JSON and the frame's bytes.

    `frame_index` counts from 0; `window`, in units of the modality LUT's output, replaces the instance's own
    VOI. Raises PixelError where the frame cannot be decoded or shown.
    """
    description = describe(attributes)
    if not 0 <= frame_index < description.frames:
        raise PixelError(f"there is no frame {frame_index + 1} of {description.frames}")
    start = native.first_bit(description, frame_index)
    frame = decode_frame(description, encoded, transfer_syntax, start)
    return render(frame, description, of_frame(attributes, frame_index), window)


def render(
    frame: Frame,
    description: PixelDescription,
    attributes: Attributes,
    window: Window | None = None,
    step: int = 1,
) -> Picture:
    """Decoded stored values as an 8 bit picture. `attributes` are those of the frame (see `of_frame`); it may hold
    each `step`-th pixel only.

    Raises PixelError on photometric interpretations and tables that cannot be shown.
    """
    picture = _picture(frame, description, attributes, window)
    mask = hidden(attributes, description.rows, description.columns, step)
    if mask is not None:
        picture = picture.copy()  # it may be the decoded frame itself
        picture[mask] = presentation_value(attributes)
    return picture


def _picture(
    frame: Frame, description: PixelDescription, attributes: Attributes, window: Window | None
) -> Picture:
    if frame.photometric == "PALETTE COLOR":
        return colour.apply_palette(frame.array, *colour.palette_of(attributes))
    if frame.array.ndim == 3:
        return colour.to_rgb(frame.array, frame.photometric, description.bits_stored)
    grey = _grey(frame, description, attributes, window)
    return _supplemented(grey, frame.array, attributes) if _is_supplemented(attributes) else grey


def modality(attributes: Attributes) -> Map:
    """The modality LUT or rescale of a frame (PS3.3 C.11.1), as a function of stored values.

    XA and XRF of logarithmic or displayed intensity keep stored values: their LUT leads away from the
    display (PS3.3 C.8.7.1.1.2). Raises PixelError where a modality LUT is there but broken.
    """
    is_xray = _json.text(attributes, "00080016") in _PROJECTION_XRAY
    if is_xray and _json.text(attributes, "00281040") in ("LOG", "DISP"):
        return _same
    item = _json.first_item(attributes, "00283000")
    if item is not None:
        return lut_of(item).apply
    slope, intercept = _json.number(attributes, "00281053"), _json.number(attributes, "00281052")
    return Rescale(slope or 1.0, intercept or 0.0)


def padding(array: NDArray[Any], attributes: Attributes) -> NDArray[np.bool_] | None:
    """Which stored values are padding (PS3.3 C.7.5.1.1.2) or not finite, None where none is."""
    if array.dtype.kind == "f":
        mask = ~np.isfinite(array)
        value = _json.number(attributes, "00280122")
        mask = mask if value is None else mask | (array == value)
        return mask if mask.any() else None
    value = _json.integer(attributes, "00280120")
    if value is None:
        return None
    limit = _json.integer(attributes, "00280121")
    low, high = sorted(_stored(each, array) for each in (value, value if limit is None else limit))
    mask = (array >= low) & (array <= high)
    return mask if mask.any() else None


def _grey(
    frame: Frame, description: PixelDescription, attributes: Attributes, window: Window | None
) -> Picture:
    padded = padding(frame.array, attributes)
    picture = _voi(frame.array, padded, description, attributes, window)
    if frame.photometric == "MONOCHROME1" or _json.text(attributes, "20500020") == "INVERSE":
        np.subtract(255, picture, out=picture)
    elif frame.photometric != "MONOCHROME2":
        raise PixelError(f"grey values in {frame.photometric} cannot be shown")
    if padded is not None:
        picture[padded] = 0  # padding is background, and a white one would blind the reader
    return picture


def _voi(
    array: NDArray[Any],
    padded: NDArray[np.bool_] | None,
    description: PixelDescription,
    attributes: Attributes,
    chosen: Window | None,
) -> Picture:
    """By the modality's and the VOI transformation: the chosen window, a LUT, a window, or the frame's extent."""
    rescale = modality(attributes)
    lut = None if chosen else _voi_lut(attributes)
    if lut is not None:
        return through(array, lambda values: lut.apply(rescale(values)) * (WHITE / lut.white))
    found = chosen or window_of(attributes)
    if found and found.ends and isinstance(rescale, Rescale) and has_table(array):
        return windowed(array, rescale, found)
    window = found or _extent(array, padded, description, attributes, rescale)
    return through(array, lambda values: apply_window(window, rescale(values)))


def _voi_lut(attributes: Attributes) -> Lut | None:
    """The first VOI LUT, None without a whole one: then the windows or the extent serve as well."""
    item = _json.first_item(attributes, "00283010")
    try:
        return None if item is None else lut_of(item)
    except PixelError:
        return None


def _extent(
    array: NDArray[Any],
    padded: NDArray[np.bool_] | None,
    description: PixelDescription,
    attributes: Attributes,
    rescale: Map,
) -> Window:
    """The window from the least to the greatest value of a frame without its padding.

    CT values below air are padding that is not told, or that a lossy coder has moved.
    """
    valid = array if padded is None else array[~padded]
    ends = np.array([valid.min(), valid.max()]) if valid.size else np.zeros(2, array.dtype)
    if description.bits_stored == 1:
        ends = np.array([0, 1])
    found = rescale(ends).astype(np.float64)
    low, high = float(found.min()), float(found.max())
    if _json.text(attributes, "00080060") == "CT" and low < _AIR < high and "00281052" in attributes:
        low = _AIR
    return spanning(low, high) or Window(high + 0.5, 1.0, "LINEAR_EXACT")


def _same(values: NDArray[Any]) -> NDArray[Any]:
    return values


def _stored(value: int, array: NDArray[Any]) -> int:
    """A padding value as the cells hold it: its VR is US or SS whatever the pixels are."""
    bits = 8 * array.dtype.itemsize
    value &= (1 << bits) - 1
    return value - (1 << bits) if array.dtype.kind == "i" and value >> (bits - 1) else value


def _is_supplemented(attributes: Attributes) -> bool:
    """Whether the high values are colours (PS3.3 C.7.6.19, Pixel Presentation COLOR or MIXED)."""
    presented = _json.text(attributes, "00089205")
    return presented in ("COLOR", "MIXED") and "00281101" in attributes


def _supplemented(grey: Picture, array: NDArray[Any], attributes: Attributes) -> Picture:
    """Values from the palette's first on are its colours, those below stay grey."""
    first, colours = colour.palette_of(attributes)
    picture = np.repeat(grey[..., None], 3, axis=2)
    coloured = array >= first
    picture[coloured] = colours[np.clip(array[coloured].astype(np.int64) - first, 0, len(colours) - 1)]
    return picture
