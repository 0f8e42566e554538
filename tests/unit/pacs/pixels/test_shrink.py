"""Large frames are made small first: the same pixels whatever they came in, and never a native one as a whole."""

from __future__ import annotations

import numpy as np
import pytest

from pacs.pixels.description import Frame, PixelDescription
from pacs.pixels.encode import encode_frame
from pacs.pixels.native import decode_little
from pacs.pixels.render import render
from pacs.pixels.shrink import BAND_BYTES, decode_shrunk, step_of
from pacs.pixels.shutter import hidden
from pacs.pixels.window import Window
from tests.unit.pacs.pixels.samples import grey

EXPLICIT, DEFLATED, JPEG_LS = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.80"
SHAPES = [(4097, 3001, 1, 16), (2048, 2050, 3, 8), (5000, 700, 1, 8)]
SHUTTERS = {
    "RECTANGULAR": {"00181602": [300], "00181604": [900], "00181606": [21], "00181608": [1800]},
    "CIRCULAR": {"00181610": [800, 700], "00181612": [333]},
    "POLYGONAL": {"00181620": [10, 10, 1700, 400, 900, 1500]},
}


@pytest.mark.parametrize(("rows", "columns", "samples", "bits"), SHAPES)
@pytest.mark.parametrize("syntax", [EXPLICIT, DEFLATED, JPEG_LS])
def test_each_nth_pixel(rows: int, columns: int, samples: int, bits: int, syntax: str) -> None:
    photometric = "RGB" if samples == 3 else "MONOCHROME2"
    description = PixelDescription(rows, columns, samples, bits, bits, bits - 1, photometric=photometric)
    stored = np.random.default_rng(4).integers(0, 1 << bits - 3, description.shape).astype(description.dtype)
    data = stored.tobytes()
    if syntax == JPEG_LS:
        data = encode_frame(Frame(stored, photometric), description, syntax)
    asked: list[int] = []

    def read(start: int, length: int) -> bytes:
        asked.append(length)
        return data[start : start + length]

    step = step_of(description)
    found = decode_shrunk(description, read, len(data), syntax, 0)
    assert np.array_equal(found.array, stored[::step, ::step])
    assert max(found.array.shape[:2]) >= 1024
    assert sum(asked) == len(data)
    if syntax == EXPLICIT:
        assert max(asked) <= BAND_BYTES


@pytest.mark.parametrize("kind", SHUTTERS)
def test_shutters_stay_where_they_are(kind: str) -> None:
    attributes = {"00181600": {"vr": "CS", "Value": [kind]}} | {
        tag: {"vr": "IS", "Value": value} for tag, value in SHUTTERS[kind].items()
    }
    whole = hidden(attributes, 2000, 1500)
    assert whole is not None
    for step in (2, 3, 7):
        some = hidden(attributes, 2000, 1500, step)
        assert some is not None
        assert np.array_equal(some, whole[::step, ::step])
    description = PixelDescription(2000, 1500)
    frame = decode_little(description, np.full((2000, 1500), 9, np.uint16).tobytes())
    small = Frame(frame.array[::2, ::2], "MONOCHROME2")
    shown = render(small, description, grey() | attributes, Window(5, 1), step=2)
    assert np.array_equal(shown == 0, whole[::2, ::2])
