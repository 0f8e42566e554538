"""Which transfer syntax a frame is in that comes without one (PS3.18 table 8.7.3-5)."""

from __future__ import annotations

from typing import Any

import imagecodecs
import numpy as np
import pytest

from pacs.pixels.parts import syntax_of

ROOT = "1.2.840.10008.1.2.4."
RESOLUTIONS = imagecodecs.HTJ2K.TILEPART.RESOLUTIONS
SLOPE = np.add.outer(np.arange(200, dtype=np.uint16), np.arange(300, dtype=np.uint16))


@pytest.mark.parametrize(
    ("how", "number"),
    [
        ({"reversible": True}, 201),
        ({"reversible": True, "tlm": True, "tilepart": RESOLUTIONS}, 202),
        ({"reversible": True, "tlm": True, "resolutions": 1}, 201),  # its smallest is 100 high
        ({"reversible": False, "tlm": True}, 203),
    ],
)
def test_htj2k_tells_which_it_is(how: dict[str, Any], number: int) -> None:
    """Lossless by the wavelet; progressive by the order, the list of lengths and the resolutions (PS3.5 10.18)."""
    frame = imagecodecs.htj2k_encode(SLOPE, rgb=False, **how)
    assert syntax_of("image/jphc", None, bytes(frame)) == f"{ROOT}{number}"


def test_in_another_order_it_is_not_progressive() -> None:
    frame = bytearray(imagecodecs.htj2k_encode(SLOPE, rgb=False, reversible=True, tlm=True))
    assert syntax_of("image/jphc", None, bytes(frame)) == f"{ROOT}202"
    frame[frame.index(b"\xff\x52") + 5] = 0  # LRCP (ISO/IEC 15444-1 A.6.1)
    assert syntax_of("image/jphc", None, bytes(frame)) == f"{ROOT}201"
