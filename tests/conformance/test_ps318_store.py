"""PS3.18 10.5 and Annex I: STOW-RS."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from tests.support.apart import Apart, apart, body, metadata, post
from tests.support.files import package_file
from tests.support.ps318 import DICOM, JSON, OCTETS, PROBLEM, XML, Held, multipart, part10, store
from tests.support.watch import settled, sop_uids, whole

FAILED, STORED, OTHERS, URL, REASON = "00081198", "00081199", "0008119A", "00081190", "00081197"


@pytest.fixture(scope="module", autouse=True)
def _whole_at_the_end(held: Held) -> Iterator[None]:
    yield
    whole(held.server)


def fresh(study: str = "") -> Any:
    """An instance that nobody has."""
    one = dcmread(package_file("CT_small.dcm"))
    one.StudyInstanceUID, one.SeriesInstanceUID = study or generate_uid(), generate_uid()
    one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    one.pop("DataSetTrailingPadding", None)
    return one


def files(held: Held, *contents: bytes, path: str = "", kind: str = DICOM, **headers: str) -> httpx.Response:
    content = (
        b"".join(f"--b\r\nContent-Type: {kind}\r\n\r\n".encode() + c + b"\r\n" for c in contents)
        + b"--b--\r\n"
    )
    given = {"Content-Type": f"{multipart(kind)}; boundary=b"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    if headers.get("Content_Encoding") == "gzip":
        content = gzip.compress(content)
    return held.server.client.post(f"/dicom-web/studies{path}", content=content, headers=given)


def uids(answer: httpx.Response, tag: str) -> list[str]:
    return [item["00081155"]["Value"][0] for item in answer.json().get(tag, {}).get("Value", [])]


@pytest.mark.clause("10.5.1.1.1")
def test_resources(held: Held) -> None:
    several = [fresh(), fresh()]
    assert uids(store(held.server, several), STORED) == [one.SOPInstanceUID for one in several]
    one, other = fresh(), fresh()
    answer = store(held.server, [one, other], f"/{one.StudyInstanceUID}")
    assert (uids(answer, STORED), uids(answer, FAILED)) == ([one.SOPInstanceUID], [other.SOPInstanceUID])
    settled(held.server)
    assert sop_uids(held.server, other.StudyInstanceUID) == []


@pytest.mark.clause("10.5.1.3")
def test_header_fields(held: Held) -> None:
    one = fresh()
    assert uids(files(held, part10(one), Content_Encoding="gzip"), STORED) == [one.SOPInstanceUID]
    two = fresh()
    chunked = held.server.client.post(
        "/dicom-web/studies", content=iter([part10(two)]), headers={"Content-Type": DICOM}
    )
    assert uids(chunked, STORED) == [two.SOPInstanceUID]
    assert files(held, part10(fresh()), Accept="image/png").status_code == 406


@pytest.mark.clause("10.5.1.4")
@pytest.mark.parametrize("kind", [DICOM, JSON, XML])
def test_payloads(held: Held, kind: str) -> None:
    one = apart("CT_small.dcm")
    if kind == DICOM:
        answer = store(held.server, [one.dataset])
    else:
        answer = post(held.server, body(metadata(one.attributes, xml=kind == XML) + one.parts()), kind)
    assert uids(answer, STORED) == [one.instance]
    settled(held.server)
    assert held.get(one.path + "/bulkdata/7FE00010", OCTETS).content == one.frames[0]


@pytest.mark.clause("10.5.1.4")
def test_compressed_frames(held: Held) -> None:
    """Each is a part; several in one are not taken apart, and that is told (PS3.18 8.7.3.3.2 note 4)."""
    loop = apart("examples_ybr_color.dcm")
    answer = post(held.server, body(metadata(loop.attributes) + loop.parts("image/jpeg")))
    assert uids(answer, STORED) == [loop.instance]
    other = apart("examples_ybr_color.dcm")
    together = Apart(other.dataset, other.attributes, [b"".join(other.frames)])
    answer = post(held.server, body(metadata(other.attributes) + together.parts("image/jpeg")))
    assert (answer.status_code, uids(answer, FAILED)) == (409, [other.instance])
    assert "30 frames in 1 parts" in answer.text


@pytest.mark.clause("10.5.3.1")
def test_status_codes(held: Held) -> None:
    one, two = fresh(), fresh()
    assert store(held.server, [one]).status_code == 200
    assert store(held.server, [one, two], f"/{one.StudyInstanceUID}").status_code == 202
    assert store(held.server, [two], f"/{one.StudyInstanceUID}").status_code == 409
    for wrong, status in ((files(held), 400), (files(held, b"x", kind="text/plain"), 415)):
        assert (wrong.status_code, wrong.headers["content-type"]) == (status, PROBLEM)


@pytest.mark.clause("10.5.3.2")
def test_where_it_is_then(held: Held) -> None:
    one, two = fresh(), fresh()
    study = f"/dicom-web/studies/{one.StudyInstanceUID}"
    assert store(held.server, [one, fresh(one.StudyInstanceUID)]).headers["location"] == study
    assert "location" not in store(held.server, [one, two]).headers
    settled(held.server)
    assert len(held.get(study + "/metadata").json()) == 2


@pytest.mark.clause("I.1")
def test_the_response_module(held: Held) -> None:
    one, two = fresh(), fresh()
    study = f"/dicom-web/studies/{one.StudyInstanceUID}"
    answer = store(held.server, [one])
    assert answer.headers["content-type"] == JSON
    assert answer.json() == {
        URL: {"vr": "UR", "Value": [study]},
        STORED: {"vr": "SQ", "Value": [{
            "00081150": {"vr": "UI", "Value": [one.SOPClassUID]},
            "00081155": {"vr": "UI", "Value": [one.SOPInstanceUID]},
            URL: {"vr": "UR", "Value": [f"{study}/series/{one.SeriesInstanceUID}/instances/{one.SOPInstanceUID}"]},
        }]},
    }  # fmt: skip
    several = store(held.server, [one, two]).json()
    assert several[URL] == {"vr": "UR"}, "of type 2: empty where there is no one study"
    xml = files(held, part10(one), Accept=XML)
    assert xml.headers["content-type"] == XML
    tags = {element.get("tag") for element in ElementTree.fromstring(xml.content)}
    assert tags == {URL, STORED}


@pytest.mark.clause("I.2.2")
def test_failure_reasons(held: Held) -> None:
    one = fresh()
    other_study = store(held.server, [one], f"/{generate_uid()}")
    (failed,) = other_study.json()[FAILED]["Value"]
    assert failed[REASON] == {"vr": "US", "Value": [0xA900]}
    (unknown,) = files(held, b"no DICOM").json()[OTHERS]["Value"]
    assert unknown[REASON]["Value"] == [0xC000]
    lacking = apart("CT_small.dcm")
    (failed,) = post(held.server, body(metadata(lacking.attributes))).json()[FAILED]["Value"]
    assert failed[REASON]["Value"] == [0xC000]
    syntax = apart("CT_small.dcm")
    parts = syntax.parts("image/jls; transfer-syntax=1.2.840.10008.1.2.4.90")
    (failed,) = post(held.server, body(metadata(syntax.attributes) + parts)).json()[FAILED]["Value"]
    assert failed[REASON]["Value"] == [0xC122]
    assert Dataset.from_json(json.dumps(other_study.json())).FailedSOPSequence[0].FailureReason == 0xA900
