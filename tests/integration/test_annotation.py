"""`annotation` of rendered resources (PS3.18 8.3.5.1.1), in every picture format, by WADO-RS and WADO-URI."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image, ImageSequence
from pydicom import dcmread

from pacs.pixels.annotate import annotate
from pacs.pixels.captions import PATIENT, captions
from pacs.pixels.fonts import find_font
from tests.support.dicom import dcmsend
from tests.support.server import Server
from tests.support.studies import Study, ct_study, ultrasound_study
from tests.support.watch import settled

BIG = "512,512"


@pytest.fixture(scope="module")
def studies(server: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Study]:
    """One CT twice, for two patients, the first one's names in GB 18030; and a loop."""
    folder = tmp_path_factory.mktemp("annotated")
    found = {
        "王芳": ct_study(folder / "a", slices=1, name="Wang^Fang=王^芳", patient_id="NB0042"),
        "other": ct_study(folder / "b", slices=1, name="Li^Na=李^娜", patient_id="NB0043"),
        "loop": ultrasound_study(folder / "us", name="Wang^Fang=王^芳"),
    }
    in_gb18030(found["王芳"].files[0])
    for study in found.values():
        dcmsend(server.dicom_port, study.files[0].parent)
    settled(server)
    return found


def in_gb18030(path: Path) -> None:
    dataset = dcmread(path)
    dataset.decode()
    dataset.SpecificCharacterSet = "GB18030"
    dataset.save_as(path)
    assert "王^芳".encode("gb18030") in path.read_bytes()


def path(study: Study) -> str:
    one = dcmread(study.files[0], stop_before_pixels=True)
    return f"/dicom-web/studies/{study.uid}/series/{one.SeriesInstanceUID}/instances/{one.SOPInstanceUID}"


def picture(server: Server, study: Study, accept: str = "image/png", **params: str) -> httpx.Response:
    found = server.client.get(path(study) + "/rendered", params=params, headers={"Accept": accept})
    assert found.status_code == 200, found.text
    return found


def pixels(answer: httpx.Response) -> Any:
    return np.asarray(Image.open(io.BytesIO(answer.content))).astype(int)


def test_the_patient_stands_in_the_top_left_corner_alone(server: Server, studies: dict[str, Study]) -> None:
    plain = pixels(picture(server, studies["王芳"], viewport=BIG))
    answer = picture(server, studies["王芳"], viewport=BIG, annotation="patient")
    assert "warning" not in answer.headers
    rows, columns = np.nonzero(pixels(answer) != plain)
    assert rows.size > 500
    assert rows.max() < 100
    assert columns.max() < 256
    assert np.array_equal(pixels(picture(server, studies["王芳"], viewport=BIG)), plain), (
        "without, it is plain again"
    )


def test_names_of_gb18030_are_written_in_their_characters(server: Server, studies: dict[str, Study]) -> None:
    """Pixel for pixel what the font draws of the name, the ID and what else the file says."""
    plain = pixels(picture(server, studies["王芳"], viewport=BIG)).astype(np.uint8)
    one = dcmread(studies["王芳"].files[0], stop_before_pixels=True)
    told = {
        "00100010": {"Value": [{"Alphabetic": "Wang^Fang", "Ideographic": "王^芳"}]},
        "00100020": {"Value": ["NB0042"]},
        "00100040": {"Value": [str(one.PatientSex)]},
        "00101010": {"Value": [str(one.PatientAge)]},
    }
    font = find_font()
    assert font is not None
    wanted = annotate(plain, captions(told, 0, frozenset((PATIENT,)), None), font).picture
    assert np.array_equal(
        pixels(picture(server, studies["王芳"], viewport=BIG, annotation="patient")), wanted
    )


def test_each_picture_bears_its_own_patient(server: Server, studies: dict[str, Study]) -> None:
    first, second = (
        pixels(picture(server, studies[who], viewport=BIG, annotation="patient")) for who in ("王芳", "other")
    )
    assert np.array_equal(first[100:], second[100:])
    assert not np.array_equal(first, second)


def test_both_and_technique(server: Server, studies: dict[str, Study]) -> None:
    study = studies["王芳"]
    plain, technique, both = (
        pixels(picture(server, study, viewport=BIG, **more))
        for more in ({}, {"annotation": "technique"}, {"annotation": "patient,technique"})
    )
    assert np.array_equal(technique[:100, :256], plain[:100, :256])
    for corner in (np.s_[:100, 256:], np.s_[400:, :256], np.s_[400:, 256:]):
        assert not np.array_equal(technique[corner], plain[corner])
        assert np.array_equal(technique[corner], both[corner])


@pytest.mark.parametrize("kind", ["image/jpeg", "image/png", "image/webp", "image/gif"])
def test_every_format(server: Server, studies: dict[str, Study], kind: str) -> None:
    for size in (BIG, "1024,1024"):
        plain, annotated = (
            pixels(picture(server, studies["王芳"], kind, viewport=size, **more))
            for more in ({}, {"annotation": "patient"})
        )
        assert np.abs(annotated - plain).max() > 200


def test_every_frame_of_a_loop(server: Server, studies: dict[str, Study]) -> None:
    """Pillow makes one of frames that are alike: with their numbers none are."""
    more = {"viewport": BIG, "annotation": "patient,technique"}
    plain, annotated = (
        Image.open(io.BytesIO(picture(server, studies["loop"], "image/gif", **asked).content))
        for asked in ({"viewport": BIG}, more)
    )
    written = [whites(frame) for frame in ImageSequence.Iterator(annotated)]
    assert len(written) == 30
    assert min(written) > 10 * max(whites(frame) for frame in ImageSequence.Iterator(plain)) + 100


def whites(frame: Image.Image) -> int:
    """Pixels as white as letters where the patient stands."""
    return int((np.asarray(frame.convert("L"))[:80, :200] > 230).sum())


def test_a_small_picture_says_what_is_not_on_it(server: Server, studies: dict[str, Study]) -> None:
    answer = picture(server, studies["王芳"], viewport="48,48", annotation="patient")
    assert answer.headers["warning"] == '299 tongying "the picture is too small to annotate with patient"'
    assert np.array_equal(pixels(answer), pixels(picture(server, studies["王芳"], viewport="48,48")))


def test_values_that_are_not_supported_are_ignored_and_told(
    server: Server, studies: dict[str, Study]
) -> None:
    answer = picture(server, studies["王芳"], viewport=BIG, annotation="patient,diagnosis,Technique")
    said = '299 tongying "The following annotation values are not supported: diagnosis,Technique"'
    assert answer.headers["warning"] == said
    assert answer.content == picture(server, studies["王芳"], viewport=BIG, annotation="patient").content


@pytest.mark.parametrize("wrong", ["", "patient,,technique", 'x"y', "a b", "é"])
def test_what_cannot_be_a_keyword(server: Server, studies: dict[str, Study], wrong: str) -> None:
    answer = server.client.get(path(studies["王芳"]) + "/rendered", params={"annotation": wrong})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"


def test_series_frames_and_wado_uri(server: Server, studies: dict[str, Study]) -> None:
    study = studies["王芳"]
    one = dcmread(study.files[0], stop_before_pixels=True)
    more = {"annotation": "patient", "viewport": BIG, "accept": "image/png"}
    wanted = picture(server, study, **more).content
    for other in (
        f"/dicom-web/studies/{study.uid}",
        path(study).rpartition("/instances")[0],
        path(study) + "/frames/1",
    ):
        assert server.client.get(other + "/rendered", params=more).raise_for_status().content == wanted
    uri = {
        "requestType": "WADO", "studyUID": study.uid, "seriesUID": one.SeriesInstanceUID,
        "objectUID": one.SOPInstanceUID, "contentType": "image/png", "rows": "512", "columns": "512",
    }  # fmt: skip
    assert (
        server.client.get("/wado", params=uri | {"annotation": "patient"}).raise_for_status().content
        == wanted
    )
    assert server.client.get("/wado", params=uri | {"annotation": ""}).status_code == 400
