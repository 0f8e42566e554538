"""Descriptions are read from DICOM JSON and data sets alike, and impossible ones say why."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pacs.pixels import _json
from pacs.pixels.attributes import of_frame, pixel_aspect, representative_frame
from pacs.pixels.description import FRAME_BYTES_MAX, PixelDescription, PixelError, describe, from_json

from .samples import grey, packaged


def test_json_and_data_set_give_one_description() -> None:
    dataset = packaged("examples_ybr_color.dcm")
    expected = PixelDescription(
        240, 320, 3, 8, 8, 7, photometric="YBR_FULL_422", frames=30, is_word=dataset["PixelData"].VR == "OW"
    )
    assert describe(dataset) == expected
    assert describe(_json.from_dataset(dataset)) == expected


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rows": 0}, "Rows is 0"),
        ({"columns": 70_000}, "Columns is 70000"),
        ({"samples": 2}, "2 Samples"),
        ({"samples": 3}, "do not go with MONOCHROME2"),
        ({"bits_allocated": 10}, "Bits Allocated is 10"),
        ({"bits_stored": 17}, "Bits Stored is 17 of 16"),
        ({"high_bit": 16}, "High Bit is 16"),
        ({"bits_stored": 12, "high_bit": 10}, "High Bit is 10"),
        ({"planar_configuration": 2}, "Planar Configuration"),
        ({"rows": 60_000, "columns": 60_000}, f"limit of {FRAME_BYTES_MAX}"),
    ],
)
def test_impossible_descriptions_say_why(change: dict[str, Any], words: str) -> None:
    with pytest.raises(PixelError, match=words):
        replace(PixelDescription(4, 4), **change)


@pytest.mark.parametrize("tag", ["00280010", "00280011", "00280100"])
def test_what_is_absent_is_named(tag: str) -> None:
    attributes = grey()
    del attributes[tag]
    with pytest.raises(PixelError, match="is absent"):
        from_json(attributes)


def test_float_pixel_data_is_known_by_its_element_or_by_missing_bits() -> None:
    attributes = grey(x00280100=32)
    del attributes["00280101"], attributes["00280102"]
    assert from_json(attributes).dtype == np.float32
    assert from_json(attributes | {"7FE00010": {"vr": "OW"}}).dtype == np.uint32
    assert from_json(grey(x00280100=64) | {"7FE00009": {"vr": "OD"}}).dtype == np.float64


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@settings(deadline=None)  # other work may hold the cores
@given(
    st.sampled_from(["00280010", "00280002", "00280100", "00280101", "00280008", "00280004", "7FE00010"]),
    junk,
)
def test_odd_values_never_surprise(tag: str, value: Any) -> None:
    for element in (value, {"vr": "US", "Value": value}, {"vr": "US", "Value": [value]}):
        try:
            from_json(grey() | {tag: element})
        except PixelError:
            continue


def test_a_frames_own_group_goes_before_the_shared_one() -> None:
    def group(slope: int) -> dict[str, Any]:
        return {"00289145": {"vr": "SQ", "Value": [{"00281053": {"vr": "DS", "Value": [slope]}}]}}

    attributes = grey() | {
        "52009229": {"vr": "SQ", "Value": [group(2) | {"00289110": {"vr": "SQ", "Value": [{}]}}]},
        "52009230": {"vr": "SQ", "Value": [{}, group(3)]},
    }
    assert [_json.number(of_frame(attributes, index), "00281053") for index in range(3)] == [2, 3, 2]


@pytest.mark.parametrize(
    ("elements", "aspect"),
    [
        ({}, 1.0),
        ({"x00280034": ["2", "1"]}, 2.0),
        ({"x00280030": [0.5, 0.25]}, 2.0),
        ({"x00280034": [1, 1], "x00280030": [0.5, 0.25]}, 1.0),
        ({"x00280030": [0, 0.25], "x00181164": [0.1, 0.2]}, 0.5),
        ({"x00280030": [100, 1]}, 1.0),
    ],
)
def test_pixel_aspect(elements: dict[str, Any], aspect: float) -> None:
    assert pixel_aspect(grey(**elements)) == aspect


def test_the_representative_frame_is_the_named_or_the_middle_one() -> None:
    assert representative_frame(grey()) == 0
    assert representative_frame(grey(x00280008=9)) == 4
    assert representative_frame(grey(x00280008=9, x00286010=2)) == 1
    assert representative_frame(grey(x00280008=9, x00286010=10)) == 4
