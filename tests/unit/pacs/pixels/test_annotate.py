"""Captions on pictures: what they say, that they are legible on every ground, whole, and within the picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from starlette.datastructures import QueryParams

from pacs.errors import BadQuery
from pacs.pixels.annotate import SIZE_MIN, annotate
from pacs.pixels.captions import PATIENT, TECHNIQUE, captions
from pacs.pixels.fonts import Font, find_font
from pacs.pixels.window import Window
from viewer_api.dicomweb.annotation import Pen, annotation

BOTH = frozenset((PATIENT, TECHNIQUE))


def value(*values: Any) -> dict[str, Any]:
    return {"vr": "UN", "Value": list(values)}


def name(**groups: str) -> dict[str, Any]:
    return {"vr": "PN", "Value": [groups]}


CT = {
    "00080020": value("20260301"), "00080030": value("081502.000"), "00080060": value("CT"),
    "00080080": value("宁波市第一医院"), "00100010": name(Alphabetic="Wang^Fang", Ideographic="王^芳"),
    "00100020": value("NB0042"), "00100021": value("FIRST"), "00100030": value("19600504"), "00100040": value("F"),
    "00101010": value("065Y"), "00180050": value(2.5), "00180060": value(120), "00181152": value(300),
    "00200011": value(3), "00200013": value(27), "00201041": value(760.6904), "00280004": value("MONOCHROME2"),
    "00281050": value(40), "00281051": value(80),
}  # fmt: skip


@pytest.fixture(scope="module")
def font() -> Font:
    found = find_font()
    assert found is not None, "the package that carries the font is not installed"
    return found


def said(
    attributes: dict[str, Any], *keywords: str, index: int = 0, window: Window | None = None
) -> list[str]:
    found = captions(attributes, index, frozenset(keywords), window)
    return [line.replace("\u00a0", " ") for caption in found for line in caption.lines]


def test_what_is_said_of_a_patient() -> None:
    assert said(CT, PATIENT) == ["王芳", "Wang, Fang", "ID NB0042 (FIRST)", "DOB 1960-05-04  F  65Y"]
    assert said({}, PATIENT) == []


def test_what_is_said_of_the_technique() -> None:
    assert said(CT, TECHNIQUE) == [
        "宁波市第一医院", "2026-03-01 08:15:02", "CT  Se 3  Im 27",
        "120 kV  300 mAs", "2.5 mm  at 760.69 mm", "WW 80  WL 40",
    ]  # fmt: skip
    assert "WW 400  WL 60" in said(CT, TECHNIQUE, window=Window(60, 400))
    mr = {"00080060": value("MR"), "00180080": value(4000.0), "00180081": value(240.0)}
    assert said(mr, TECHNIQUE) == ["MR", "TR 4000 ms  TE 240 ms"]
    mg = {"00080060": value("MG"), "00200062": value("R"), "00185101": value("CC")}
    assert said(mg, TECHNIQUE) == ["MG", "R  CC"]


def test_functional_groups_tell_of_the_frame_and_never_of_the_patient() -> None:
    group = {"00189114": value({"00189082": value(30.0)}), "00209113": value({"00100020": value("OTHER")})}
    echoes = CT | {"00280008": value(2), "52009230": value({}, group)}
    assert "Fr 2/2" in said(echoes, TECHNIQUE, index=1)
    assert "TE 30 ms" in said(echoes, TECHNIQUE, index=1)
    assert "TE 30 ms" not in said(echoes, TECHNIQUE, index=0)
    assert said(echoes, PATIENT, index=1) == said(CT, PATIENT)


@pytest.mark.parametrize(("groups", "lines"), [
    ({"Alphabetic": "Buc^Jérôme"}, ["Buc, Jérôme"]),
    ({"Alphabetic": "王小东"}, ["王小东"]),
    ({"Alphabetic": "", "Ideographic": "", "Phonetic": "홍^길동"}, ["홍, 길동"]),
    ({"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎", "Phonetic": "やまだ"}, ["山田太郎", "Yamada, Tarou"]),
])  # fmt: skip
def test_names(groups: dict[str, str], lines: list[str]) -> None:
    assert said({"00100010": name(**groups)}, PATIENT) == lines


@pytest.mark.parametrize("text", ["王芳", "䶮㛃𬭼", "Jérôme Äneas Rüdiger", "Люксембург", "やまだ", "홍길동"])
def test_the_font_has(font: Font, text: str) -> None:
    assert font.writable(text) == text


def test_what_the_font_has_not_is_a_question_mark_and_told(font: Font) -> None:
    assert font.writable("a\u202eb\u0000\n") == "ab"
    pen = Pen({"00100010": name(Alphabetic="قباني")}, (PATIENT,), None, "")
    assert pen.write(np.zeros((256, 256), np.uint8), 0).any()
    assert pen.warnings == ["characters that the font has not are written as ?"]


@pytest.mark.parametrize("ground", [0, 128, 255])
@pytest.mark.parametrize("shape", [(512, 512), (256, 200), (3000, 2400, 3)])
def test_legible_on_every_ground_and_not_over_the_edge(
    font: Font, ground: int, shape: tuple[int, ...]
) -> None:
    plain = np.full(shape, ground, np.uint8)
    done = annotate(plain, captions(CT, 0, BOTH, None), font)
    assert done.left_out == ()
    assert done.picture.shape == shape
    assert (plain == ground).all(), "the picture that was given is as it was"
    edge = done.picture.copy()
    edge[2:-2, 2:-2] = ground
    assert (edge == ground).all()
    for rows in (slice(None, shape[0] // 2), slice(shape[0] // 2, None)):
        for columns in (slice(None, shape[1] // 2), slice(shape[1] // 2, None)):
            corner = done.picture[rows, columns]
            assert (corner == 255).any(), "white letters"
            assert (corner == 0).any(), "with a black outline"


def test_larger_in_larger_pictures(font: Font) -> None:
    heights = []
    for side in (512, 2048):
        done = annotate(np.zeros((side, side), np.uint8), captions(CT, 0, frozenset((PATIENT,)), None), font)
        heights.append(np.flatnonzero(done.picture.any(axis=1)).max() / side)
    assert heights[1] == pytest.approx(heights[0], rel=0.3)


def test_what_does_not_fit_is_left_out_whole(font: Font) -> None:
    every = captions(CT, 0, BOTH, None)
    small = annotate(np.zeros((128, 128), np.uint8), every, font)
    assert small.left_out == (TECHNIQUE,)
    only = annotate(np.zeros((128, 128), np.uint8), [c for c in every if c.keyword == PATIENT], font)
    assert np.array_equal(small.picture, only.picture)
    tiny = annotate(np.zeros((48, 48), np.uint8), every, font)
    assert tiny.left_out == (PATIENT, TECHNIQUE)
    assert not tiny.picture.any()
    for shape in ((1, 1), (1, 4000), (4000, 1), (SIZE_MIN, 4000)):
        annotate(np.zeros(shape, np.uint8), every, font)


def test_long_values_are_wrapped_and_bounded(font: Font) -> None:
    long = CT | {"00100010": name(Alphabetic="A" * 64), "00100020": value("1" * 10**6)}
    assert len(said(long, PATIENT)[1]) < 200
    done = annotate(np.zeros((512, 512), np.uint8), captions(long, 0, BOTH, None), font)
    assert done.left_out == ()


def test_without_a_font() -> None:
    plain = np.zeros((256, 256), np.uint8)
    pen = Pen(CT, (PATIENT, "angiogram"), None, "/nowhere/font.ttf")
    assert pen.write(plain, 0) is plain
    assert pen.warnings == [
        "The following annotation values are not supported: angiogram", "there is no font here to annotate with",
    ]  # fmt: skip


def test_values() -> None:
    assert annotation(QueryParams("annotation=patient,technique")) == (PATIENT, TECHNIQUE)
    assert annotation(QueryParams("annotation=patient&annotation=x")) == (PATIENT, "x")
    assert annotation(QueryParams("window=1,2")) == ()
    for wrong in ("", ",", "patient,", "a b", 'a"', "x" * 33, ",".join("abcdefghi")):
        with pytest.raises(BadQuery):
            annotation(QueryParams({"annotation": wrong}))
