"""PS3.18 8.3: query parameters."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.support.ps318 import ACCESSION, JSON, PROBLEM, SLICES, XML, Held, multipart


def uids(found: list[dict[str, Any]], tag: str = "00080018") -> set[str]:
    return {one[tag]["Value"][0] for one in found}


def picture(held: Held, **params: str) -> Any:
    answer = held.get(held.ct.path + "/rendered", "image/png", **params)
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)))


@pytest.mark.clause("8.3")
def test_unknown_parameters_and_invalid_values(held: Held) -> None:
    same = held.get(held.ct.path + "/rendered", "image/png").content
    assert held.get(held.ct.path + "/rendered", "image/png", nonsense="1").content == same
    held.refused(held.get(held.ct.path + "/rendered", quality="0"), 400)
    held.refused(held.get("/dicom-web/studies", limit="few"), 400)
    held.refused(held.get("/dicom-web/studies", fuzzymatching="perhaps"), 400)


@pytest.mark.clause("8.3.1")
def test_names_of_attributes(held: Held) -> None:
    asked = {"AccessionNumber": ACCESSION, "PatientID": held.patient}
    by_keyword = held.found("studies", **asked)
    assert held.found("studies", **{"00080050": ACCESSION, "00100020": held.patient}) == by_keyword
    assert len(by_keyword) == 1
    by_path = {"00400275.00401001": "REQUESTED", "PatientID": held.patient}
    assert len(held.found("series", **by_path)) == 1
    held.refused(held.get("/dicom-web/studies", accessionnumber=ACCESSION), 400)


@pytest.mark.clause("8.3.3.1")
@pytest.mark.parametrize(
    "tail", ["", "/metadata", "/frames/1", "/rendered", "/thumbnail", "/bulkdata/7FE00010"]
)
def test_the_accept_parameter(held: Held, tail: str) -> None:
    wanted = {
        "": "application/zip", "/metadata": multipart(XML), "/frames/1": "image/jls", "/rendered": "image/png",
        "/thumbnail": "image/jpeg", "/bulkdata/7FE00010": "application/octet-stream",
    }[tail]  # fmt: skip
    answer = held.server.client.get(held.ct.path + tail, params={"accept": wanted})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(wanted.partition(";")[0])


@pytest.mark.clause("8.3.3.2", "8.8")
def test_the_character_set(held: Held) -> None:
    answer = held.get(held.ct.path + "/metadata", JSON, charset="UTF-8")
    assert "欧阳" in answer.content.decode("utf-8")
    assert held.get(held.ct.path + "/metadata", JSON, charset="latin1,iso_ir 192;q=0.5").status_code == 200
    for path in (held.ct.path + "/metadata", "/dicom-web/studies"):
        held.refused(held.get(path, JSON, charset="latin1"), 400)
        headers = {"Accept-Charset": "iso-8859-1"}
        held.refused(held.server.client.get(path, headers=headers), 406)
        assert (
            held.server.client.get(path, headers={"Accept-Charset": "iso-8859-1, *;q=0.1"}).status_code == 200
        )


@pytest.mark.clause("8.3.4.1")
@pytest.mark.parametrize(
    ("key", "value", "count"),
    [
        ("InstanceNumber", "2", 1), ("SOPInstanceUID", "{ct},{us},1.2", 2), ("PatientID", "{patient}", SLICES + 3),
        ("Modality", "C?", SLICES), ("StudyDate", "20251231-20260101", SLICES + 1), ("StudyDate", "20260102-", 0),
        ("StudyTime", "1100-1200", SLICES + 1), ("Modality", "*", SLICES + 3), ("Modality", "", SLICES + 3),
        ("RequestAttributesSequence.ScheduledProcedureStepID", "ST*", SLICES),
        ("PatientName", "müller^j*", SLICES + 2),
    ],
)  # fmt: skip
def test_matching(held: Held, key: str, value: str, count: int) -> None:
    value = value.format(ct=held.ct.sent.SOPInstanceUID, us=held.us.sent.SOPInstanceUID, patient=held.patient)
    assert len(held.found("instances", **{"PatientID": held.patient, key: value})) == count


@pytest.mark.clause("8.3.4.1")
def test_a_date_and_a_time_are_one_period(held: Held) -> None:
    """PS3.4 C.2.2.2.5: from the evening before to the morning after."""
    asked = {"PatientID": held.patient, "StudyDate": "20251231-20260102", "StudyTime": "2000-0600"}
    assert len(held.found("studies", **asked)) == 2


@pytest.mark.clause("8.3.4.2")
def test_fuzzy_matching(held: Held) -> None:
    asked = {"PatientID": held.patient, "PatientName": "ouyang nana"}
    assert len(held.found("studies", fuzzymatching="true", **asked)) == 3
    assert held.found("studies", **asked) == held.found("studies", fuzzymatching="false", **asked) == []


@pytest.mark.clause("8.3.4.3")
def test_included_fields(held: Held) -> None:
    asked = {"PatientID": held.patient, "Modality": "CT", "limit": "1"}
    (plain,) = held.found("instances", **asked)
    wanted = {"00180060", "00281052"}
    assert not wanted & plain.keys()
    for form in ({"includefield": "KVP,00281052"}, {"includefield": ["KVP", "RescaleIntercept"]}):
        (told,) = held.server.client.get("/dicom-web/instances", params={**asked, **form}).json()
        assert told.keys() - plain.keys() == wanted
    (everything,) = held.found("instances", includefield="all", **asked)
    assert wanted < everything.keys()


@pytest.mark.clause("8.3.4.4")
def test_pages(held: Held) -> None:
    """The same order each time; a Warning says that there is more (PS3.18 8.3.4.4.1)."""
    asked = {"PatientID": held.patient}
    everything = [one["00080018"] for one in held.found("instances", **asked)]
    paged = []
    for offset in range(0, len(everything), 2):
        answer = held.get("/dicom-web/instances", limit="2", offset=str(offset), total="true", **asked)
        paged += [one["00080018"] for one in answer.json()]
        left = len(everything) - offset - len(answer.json())
        said = f"299 /dicom-web: There are {left} additional results that can be requested"
        assert answer.headers.get("warning") == (said if left else None)
    assert paged == everything
    uncounted = held.get("/dicom-web/instances", limit="2", **asked).headers["warning"]
    assert uncounted == "299 /dicom-web: There are additional results that can be requested"
    assert held.found("instances", offset="1000", **asked) == []


@pytest.mark.clause("8.3.4.5", "8.3.4.6")
@pytest.mark.parametrize(
    ("name", "kind"),
    [("emptyvaluematching", "Empty Value Matching"), ("multiplevaluematching", "Multiple Value Matching")],
)
def test_matching_that_is_not_offered_is_told(held: Held, name: str, kind: str) -> None:
    answer = held.get("/dicom-web/studies", PatientID=held.patient, **{name: "true"})
    assert (
        answer.headers["warning"]
        == f"299 /dicom-web: The {name} parameter is not supported. {kind} has not been performed."
    )
    assert answer.json() == held.found("studies", PatientID=held.patient)
    assert "warning" not in held.get("/dicom-web/studies", PatientID=held.patient, **{name: "false"}).headers


@pytest.mark.clause("8.3.5.1.1")
def test_annotation(held: Held) -> None:
    plain = picture(held)
    annotated = picture(held, annotation="patient")
    assert annotated.shape == plain.shape
    assert not np.array_equal(annotated, plain)
    other = held.get(held.ct.path + "/rendered", "image/png", annotation="colophon")
    assert other.status_code == 200
    assert other.headers["warning"].startswith("299 ")
    assert np.array_equal(picture(held, annotation="colophon"), plain)


@pytest.mark.clause("8.3.5.1.2")
def test_quality(held: Held) -> None:
    sizes = [
        len(held.get(held.ct.path + "/rendered", "image/jpeg", quality=q).content) for q in ("5", "50", "100")
    ]
    assert sizes == sorted(set(sizes))
    for wrong in ("0", "101", "x", "5.5"):
        held.refused(held.get(held.ct.path + "/rendered", "image/jpeg", quality=wrong), 400)


@pytest.mark.clause("8.3.5.1.3")
def test_viewport(held: Held) -> None:
    whole = picture(held)
    assert picture(held, viewport="64,100").shape == (64, 64), "as large as it fits, in its proportions"
    assert np.array_equal(picture(held, viewport="32,64,8,16,32,64"), whole[16:80, 8:40])
    assert np.array_equal(picture(held, viewport="32,64,,,32,64"), whole[:64, :32])
    assert np.array_equal(picture(held, viewport="128,128,,,-128,128"), whole[:, ::-1]), (
        "turned over sideways"
    )
    assert np.array_equal(picture(held, viewport="128,128,0,0,128,-128"), whole[::-1]), "upside down"
    for wrong in ("64", "64,", "0,64", "64,64,1", "64,64,a,b", "64,64,0,0,129,1"):
        held.refused(held.get(held.ct.path + "/rendered", viewport=wrong), 400)


@pytest.mark.clause("8.3.5.1.4")
def test_window(held: Held) -> None:
    narrow = picture(held, window="40,1,linear")
    assert set(np.unique(narrow)) <= {0, 255}
    soft = picture(held, window="40,400,sigmoid")
    assert not np.array_equal(soft, picture(held, window="40,400,linear"))
    for wrong in ("40", "40,0,linear", "40,400,cubic", "a,b,linear"):
        held.refused(held.get(held.ct.path + "/rendered", window=wrong), 400)


@pytest.mark.clause("8.6.3")
def test_status_reports(held: Held) -> None:
    answer = held.get("/dicom-web/studies", StudyDate="yesterday")
    assert answer.headers["content-type"] == PROBLEM
    said = json.loads(answer.content)
    assert said["status"] == 400
    assert said["type"].startswith("https://")
    assert "StudyDate" in said["detail"]
