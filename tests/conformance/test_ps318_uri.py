"""PS3.18 9: the URI service (WADO-URI)."""

from __future__ import annotations

import io
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from tests.support.ps318 import DICOM, EXPLICIT, ROOT, Held, Instance


def wado(held: Held, one: Instance, accept: str = "", **more: str) -> httpx.Response:
    named = {
        "requestType": "WADO", "studyUID": one.sent.StudyInstanceUID, "seriesUID": one.sent.SeriesInstanceUID,
        "objectUID": one.sent.SOPInstanceUID,
    }  # fmt: skip
    return held.get("/wado", accept, **{k: v for k, v in (named | more).items() if v != "-"})


def picture(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)))


@pytest.mark.clause("9.1.2.1")
@pytest.mark.parametrize("name", ["requestType", "studyUID", "seriesUID", "objectUID"])
def test_what_must_be_there(held: Held, name: str) -> None:
    assert wado(held, held.ct).status_code == 200
    held.refused(wado(held, held.ct, **{name: "-"}), 400)
    held.refused(wado(held, held.ct, **{name: "OTHER"}), 400)
    if name != "requestType":
        held.refused(wado(held, held.ct, **{name: "1.2.3"}), 404)


@pytest.mark.clause("9.1.2.2.1")
def test_content_types(held: Held) -> None:
    assert wado(held, held.ct).headers["content-type"] == "image/jpeg"
    assert wado(held, held.ct, contentType="image/gif;q=0.1,image/png").headers["content-type"] == "image/png"
    assert wado(held, held.ct, accept=DICOM).headers["content-type"].startswith(DICOM)
    assert wado(held, held.ct, accept=DICOM, contentType="image/png").headers["content-type"] == "image/png"
    held.refused(wado(held, held.ct, accept="image/jpeg;q=0, text/html", contentType="video/mp4"), 406)


@pytest.mark.clause("9.4")
def test_dicom(held: Held) -> None:
    answer = wado(held, held.us, contentType=DICOM)
    assert dcmread(io.BytesIO(answer.content)).file_meta.TransferSyntaxUID == EXPLICIT
    assert int(answer.headers["content-length"]) == len(answer.content)
    other = wado(held, held.ct, contentType=DICOM, transferSyntax=f"{ROOT}90")
    assert dcmread(io.BytesIO(other.content)).file_meta.TransferSyntaxUID == f"{ROOT}90"
    held.refused(wado(held, held.ct, contentType=DICOM, transferSyntax="no UID"), 400)
    held.refused(wado(held, held.ct, contentType=DICOM, transferSyntax=f"{ROOT}102"), 406)


@pytest.mark.clause("9.5")
def test_pictures(held: Held) -> None:
    whole = picture(wado(held, held.ct, contentType="image/png"))
    assert picture(wado(held, held.ct, rows="32", columns="64")).shape == (32, 32)
    part = picture(wado(held, held.ct, contentType="image/png", region="0.25,0.5,0.75,0.75"))
    assert np.array_equal(part, whole[64:96, 32:96])
    narrow = picture(wado(held, held.ct, contentType="image/png", windowCenter="40", windowWidth="1"))
    assert set(np.unique(narrow)) <= {0, 255}
    seventh = picture(wado(held, held.us, contentType="image/png", frameNumber="7"))
    assert np.array_equal(seventh, picture(held.get(held.us.path + "/frames/7/rendered", "image/png")))
    assert len(wado(held, held.ct, imageQuality="5").content) < len(wado(held, held.ct).content)


@pytest.mark.clause("9.5")
@pytest.mark.parametrize(
    "wrong",
    [
        {"frameNumber": "0"}, {"frameNumber": "31"}, {"windowCenter": "40"}, {"windowWidth": "40"},
        {"windowCenter": "a", "windowWidth": "b"}, {"contentType": DICOM, "windowCenter": "1", "windowWidth": "2"},
        {"region": "0,0,1"}, {"region": "0.5,0,0.5,1"}, {"region": "0,0,1,1.1"}, {"rows": "0"}, {"imageQuality": "0"},
    ],
)  # fmt: skip
def test_pictures_that_cannot_be(held: Held, wrong: dict[str, str]) -> None:
    """PS3.18 9.5.2.1, 9.5.2.2, 9.5.2.4; 9.5.1.2.6."""
    held.refused(wado(held, held.us, **({"contentType": "image/jpeg"} | wrong)), 400)
