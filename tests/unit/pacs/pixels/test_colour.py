"""Colours to RGB: palettes, YBR, deep colours and JPEG's own transforms (PS3.3 C.7.6.3.1)."""

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import FileDataset
from pydicom.pixels.processing import apply_color_lut, convert_color_space
from pydicom.pixels.utils import pixel_array

from pacs.pixels import _json, colour
from pacs.pixels.decode import decode_frame
from pacs.pixels.description import PixelDescription, PixelError
from pacs.pixels.frames import frames_of
from pacs.pixels.lut import segmented_lut_of
from pacs.pixels.render import render_frame

from .samples import inline, packaged, photo

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of pydicom, on its own test files


def rendered(dataset: FileDataset) -> NDArray[np.uint8]:
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    return render_frame(_json.from_dataset(dataset), frames_of(dataset)[0], syntax)


@pytest.mark.parametrize(
    "name", ["OBXXXX1A.dcm", "OBXXXX1A_expb.dcm", "examples_palette.dcm", "gdcm-US-ALOKA-16.dcm"]
)
def test_palettes_as_pydicom(name: str) -> None:
    dataset = packaged(name)
    expected = apply_color_lut(pixel_array(dataset, index=0, raw=True), dataset)
    expected = expected >> 8 if expected.dtype.itemsize == 2 and expected.max() > 255 else expected
    assert np.array_equal(rendered(dataset), expected)


def test_a_palette_in_segments() -> None:
    """The three kinds of segments: discrete, linear, and an indirect copy of both (PS3.3 C.7.9.2)."""
    words = [0, 2, 10, 20, 1, 4, 60, 2, 2, 0, 0]
    item = {
        "00281101": {"vr": "US", "Value": [12, 5, 16]},
        "00281221": inline(np.array(words, "<u2").tobytes()),
    }
    lut = segmented_lut_of(item, "00281101", "00281221")
    assert (lut.first, lut.entries.tolist()) == (5, [10, 20, 30, 40, 50, 60] * 2)


@pytest.mark.parametrize(
    "words",
    [[], [0, 9, 1], [1, 3, 9], [2, 1, 0, 0], [3, 1, 1], [0, 1, 5, 2, 65_535, 0, 0], [0, 1, 5, 2, 9, 3, 0]],
)
def test_broken_segments_are_refused(words: list[int]) -> None:
    item = {
        "00281101": {"vr": "US", "Value": [0, 0, 16]},
        "00281221": inline(np.array(words, "<u2").tobytes()),
    }
    with pytest.raises(PixelError, match="segments"):
        segmented_lut_of(item, "00281101", "00281221")


@pytest.mark.parametrize("photometric", ["YBR_FULL", "YBR_FULL_422"])
def test_ybr_as_pydicom(photometric: str) -> None:
    array = np.random.default_rng(3).integers(0, 256, (20, 30, 3)).astype(np.uint8)
    found = colour.to_rgb(array, photometric, 8).astype(int)
    assert np.abs(found - convert_color_space(array, "YBR_FULL", "RGB")).max() <= 1


def test_partial_ybr_stretches() -> None:
    array = np.array([[[16, 128, 128], [235, 128, 128], [81, 90, 240]]], np.uint8)
    assert colour.to_rgb(array, "YBR_PARTIAL_420", 8)[0].tolist() == [[0, 0, 0], [255, 255, 255], [254, 0, 0]]


@pytest.mark.parametrize(("bits", "kind"), [(8, "u1"), (12, "u2"), (16, "u2"), (32, "u4")])
def test_deep_colours_keep_their_high_bits(bits: int, kind: str) -> None:
    array = (photo().astype(np.uint64) << (bits - 8)).astype(kind)
    assert np.array_equal(colour.to_rgb(array, "RGB", bits), photo())


@pytest.mark.parametrize("subsampling", ["444", "422", "420"])
def test_jpeg_colours_are_rgb_whatever_the_tag(subsampling: str) -> None:
    encoded = bytes(imagecodecs.jpeg8_encode(photo(), 95, subsampling=subsampling))
    for photometric in ("YBR_FULL_422", "YBR_FULL", "RGB"):
        attributes = _json.from_dataset(packaged("SC_rgb.dcm"))
        attributes["00280004"] = {"vr": "CS", "Value": [photometric]}
        attributes["00280010"]["Value"], attributes["00280011"]["Value"] = [48], [64]
        found = render_frame(attributes, encoded, "1.2.840.10008.1.2.4.50")
        assert np.abs(found.astype(int) - photo()).mean() < 4


def test_jpeg_untransformed_rgb_stays() -> None:
    encoded = bytes(imagecodecs.jpeg8_encode(photo(), 95, colorspace="RGB", outcolorspace="RGB"))
    description = PixelDescription(48, 64, 3, 8, 8, 7, photometric="RGB")
    frame = decode_frame(description, encoded, "1.2.840.10008.1.2.4.50")
    assert frame.photometric == "RGB"
    assert np.abs(frame.array.astype(int) - photo()).mean() < 4


def test_high_values_of_supplemental_palettes_are_coloured() -> None:
    found = rendered(packaged("eCT_Supplemental.dcm"))
    is_coloured = (found.max(axis=2) - found.min(axis=2)) > 40
    assert found.ndim == 3
    assert 0.1 < is_coloured.mean() < 0.9
