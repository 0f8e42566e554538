"""The way from stored values to display values (PS3.3 C.11, C.7.6.3): numbers against pydicom's and by hand."""

import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import FileDataset
from pydicom.pixels.processing import (
    apply_modality_lut,
    apply_voi,
    apply_windowing,
)
from pydicom.pixels.utils import pixel_array

from pacs.pixels import _json, colour
from pacs.pixels.decode import decode_frame
from pacs.pixels.description import Frame, PixelDescription, PixelError, describe
from pacs.pixels.frames import frames_of
from pacs.pixels.lut import lut_of
from pacs.pixels.render import modality, render, render_frame
from pacs.pixels.window import Window

from .samples import EXPLICIT, grey, inline, packaged, photo

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of pydicom, on its own test files


def shown(values: Any, **elements: Any) -> list[Any]:
    """A one-row 16 bit frame rendered with the given elements."""
    stored = np.array([values], np.int64).astype(np.uint16)
    return list(render_frame(grey(1, len(values), **elements), stored.tobytes(), EXPLICIT)[0].tolist())


def rendered(dataset: FileDataset, index: int = 0, window: Window | None = None) -> NDArray[np.uint8]:
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    return render_frame(_json.from_dataset(dataset), frames_of(dataset)[index], syntax, index, window)


@pytest.mark.parametrize(
    "name",
    [
        "CT_small.dcm",
        "J2K_pixelrep_mismatch.dcm",
        "MR2_UNCR.dcm",
        "693_J2KR.dcm",
        "bad_sequence.dcm",
        "RG1_UNCR.dcm",
    ],
)
def test_modality_and_window_as_pydicom(name: str) -> None:
    dataset = packaged(name)
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    stored = decode_frame(describe(dataset), frames_of(dataset)[0], syntax).array
    values = apply_modality_lut(stored, dataset)
    np.testing.assert_allclose(modality(_json.from_dataset(dataset))(stored), values)
    if "WindowCenter" not in dataset:
        return
    out = apply_windowing(values, dataset)
    span = 2.0**dataset.BitsStored - 1
    low = -(2.0 ** (dataset.BitsStored - 1)) if dataset.PixelRepresentation else 0.0
    slope, intercept = float(dataset.get("RescaleSlope", 1)), float(dataset.get("RescaleIntercept", 0))
    expected = (out - (low * slope + intercept)) / (span * slope) * 255
    expected = 255 - expected if dataset.PhotometricInterpretation == "MONOCHROME1" else expected
    padded = stored == dataset.get("PixelPaddingValue")
    found = rendered(dataset)
    assert np.abs(found - expected)[~padded].max() <= 0.5 + 1e-6
    assert (found[padded] == 0).all()


def test_modality_lut_as_pydicom() -> None:
    dataset = packaged("mlut_18.dcm")
    stored = pixel_array(dataset, raw=True)
    expected = apply_modality_lut(stored, dataset)
    assert np.array_equal(modality(_json.from_dataset(dataset))(stored), expected)


def test_voi_lut_as_pydicom() -> None:
    dataset = packaged("vlut_04.dcm")
    expected = apply_voi(pixel_array(dataset, raw=True), dataset)
    white = 2 ** dataset.VOILUTSequence[0].LUTDescriptor[2] - 1
    assert np.abs(rendered(dataset) - expected / white * 255).max() <= 0.5


def test_monochrome1_is_turned_once() -> None:
    assert shown([0, 5, 10]) == [0, 128, 255]
    assert shown([0, 5, 10], x00280004="MONOCHROME1") == [255, 127, 0]
    assert shown([0, 5, 10], x20500020="INVERSE") == [255, 127, 0]
    assert shown([0, 5, 10], x00280004="MONOCHROME1", x20500020="INVERSE") == [255, 127, 0]


def test_a_given_window_replaces_the_instances_own() -> None:
    own = {"x00281050": [1_000], "x00281051": [10]}
    assert shown([0, 5, 10], **own) == [0, 0, 0]
    stored = np.array([[0, 5, 10]], np.uint16)
    found = render_frame(grey(1, 3, **own), stored.tobytes(), EXPLICIT, window=Window(5, 10, "LINEAR_EXACT"))
    assert found.tolist() == [[0, 128, 255]]


def test_padding_is_black_and_does_not_count() -> None:
    assert shown([65_535, 0, 10], x00280120=65_535) == [0, 0, 255]
    assert shown([65_535, 65_530, 0, 10], x00280120=65_535, x00280121=65_530) == [0, 0, 0, 255]
    assert shown([63_536, 0, 10], x00280120=-2_000, x00280103=1) == [0, 0, 255]
    assert shown([63_536, 0, 10], x00280120=63_536, x00280103=1) == [0, 0, 255]
    assert shown([0, 5, 10], x00280120=0, x00280004="MONOCHROME1") == [0, 255, 0]
    assert shown([7, 7], x00280120=7) == [0, 0]


def test_frames_of_one_value_and_of_bits() -> None:
    assert shown([7, 7]) == [0, 0]
    bits = grey(1, 8, x00280100=1, x00280101=1, x00280102=0)
    assert render_frame(bits, b"\xff", EXPLICIT).tolist() == [[255] * 8]
    assert render_frame(bits, b"\x01", EXPLICIT).tolist() == [[255, *[0] * 7]]


def test_ct_without_a_window_starts_at_air() -> None:
    ct = {"x00080060": "CT", "x00281052": [-1_024], "x00281053": [1], "x00280103": 1}
    assert shown([63_536, 0, 1_024, 2_048], **ct) == [0, 0, 128, 255]


def test_broken_luts() -> None:
    item = {"00283002": {"vr": "US", "Value": [4, 0, 8]}}
    assert shown([0, 5, 10], x00283010=[item]) == [0, 128, 255]  # a view of many: the next one serves
    with pytest.raises(PixelError, match="00283006"):
        shown([0, 5, 10], x00283000=[item])  # values of another unit: none serves


@pytest.mark.parametrize(
    "data",
    [
        inline(bytes([1, 2, 3, 4])),
        inline(np.array([1, 2, 3, 4], "<u2").tobytes()),
        {"vr": "US", "Value": [1, 2, 3, 4]},
        {"vr": "US", "Value": [0x0201, 0x0403]},
    ],
)
def test_lut_data_of_every_form(data: dict[str, Any]) -> None:
    lut = lut_of({"00283002": {"vr": "SS", "Value": [4, 0xFFFF, 8]}, "00283006": data})
    assert lut.apply(np.array([-9, -1, 0, 1, 2, 9])).tolist() == [1, 1, 2, 3, 4, 4]


def test_logarithmic_angiography_keeps_stored_values() -> None:
    xa = {"x00080016": "1.2.840.10008.5.1.4.1.1.12.1", "x00281053": [-1], "x00281052": [10]}
    assert shown([0, 5, 10], x00281040="LOG", **xa) == [0, 128, 255]
    assert shown([0, 5, 10], x00281040="LIN", **xa) == [255, 128, 0]


def test_functional_groups_are_used() -> None:
    dataset = packaged("emri_small.dcm")
    assert not np.array_equal(rendered(dataset, 0), rendered(dataset, 9))


def test_float_frames_with_holes() -> None:
    description = PixelDescription(1, 4, 1, 32, 32, 31, is_float=True)
    array = np.array([[np.nan, -1.0, 0.0, 1.0]], np.float32)
    frame = Frame(array, "MONOCHROME2")
    assert render(frame, description, {}).tolist() == [[0, 0, 128, 255]]
    padded = {"00280122": {"vr": "FL", "Value": [-1.0]}}
    assert render(frame, description, padded).tolist() == [[0, 0, 0, 255]]


def test_a_frame_that_is_not_there() -> None:
    with pytest.raises(PixelError, match="no frame 2 of 1"):
        render_frame(grey(), bytes(32), EXPLICIT, 1)


@pytest.mark.parametrize("photometric", ["HSV", "CMYK", "ARGB"])
def test_other_colours_are_refused(photometric: str) -> None:
    with pytest.raises(PixelError, match=photometric):
        colour.to_rgb(photo(), photometric, 8)
    with pytest.raises(PixelError, match=photometric):
        shown([0, 1], x00280004=photometric)


def test_shutters_hide() -> None:
    nine = {"x00181600": ["RECTANGULAR"], "x00181602": 2, "x00181604": 3, "x00181606": 2, "x00181608": 2}
    assert _opening(nine) == ["....", ".##.", "....", "...."]
    circle = {"x00181600": ["CIRCULAR"], "x00181610": [2, 2], "x00181612": 1}
    assert _opening(circle) == [".#..", "###.", ".#..", "...."]
    triangle = {"x00181600": ["POLYGONAL"], "x00181620": [1, 1, 1, 5, 5, 1]}
    assert _opening(triangle) == ["####", "###.", "##..", "#..."]
    assert _opening(nine | circle | {"x00181600": ["RECTANGULAR", "CIRCULAR"]}) == [
        "....",
        ".##.",
        "....",
        "....",
    ]
    everything = nine | {"x00181602": 90}
    assert _opening(everything) == ["####"] * 4


def test_a_shutter_has_the_brightness_it_asks_for() -> None:
    shutter = {"x00181600": ["CIRCULAR"], "x00181610": [1, 1], "x00181612": 0, "x00181622": 0x80FF}
    assert shown([5, 0, 10], **shutter) == [128, 128, 128]


def _opening(elements: dict[str, Any]) -> list[str]:
    ones = np.full((4, 4), 7, np.uint16)
    found = render_frame(grey(**elements), ones.tobytes(), EXPLICIT, window=Window(0, 1))
    return ["".join(".#"[int(value > 0)] for value in row) for row in found]


def test_pydicom_agrees_that_both_forms_of_a_file_are_one() -> None:
    """DICOM JSON made by pydicom itself gives the same picture as ours."""
    for name in ("OBXXXX1A.dcm", "mlut_18.dcm", "CT_small.dcm", "emri_small.dcm"):
        dataset = packaged(name)
        encoded, syntax = frames_of(dataset)[0], str(dataset.file_meta.TransferSyntaxUID)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            del dataset.PixelData
            theirs = dataset.to_json_dict()
        ours = _json.from_dataset(dataset)
        assert describe(theirs) == describe(ours)
        assert np.array_equal(render_frame(theirs, encoded, syntax), render_frame(ours, encoded, syntax))
