"""Retrieve Capabilities (PS3.18 8.9, annex H): what OPTIONS tells, in WADL and JSON, and that it can be had."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydicom import dcmread

from pacs.pixels.video import CONTAINERS
from tests.support.dicom import describe, send_raw
from tests.support.server import Server
from tests.support.studies import ct_study
from tests.support.watch import settled
from viewer_api.dicomweb.frames import PART_TYPES
from viewer_api.dicomweb.rendered import DOCUMENTS

WADL, JSON = "application/vnd.sun.wadl+xml", "application/json"
# Frames that are given as they were stored, and not made.
AS_STORED = ("image/dicom-rle", "image/jpx", "image/jxl", "video/mpeg2", "video/mp4", "video/h265")
W = "{http://wadl.dev.java.net/2009/02}"
# PS3.18 table H-1, as far as it is of the Studies Service and claimed.
STUDIES = {
    "studies": {"GET SearchForStudies", "POST StoreInstances"},
    "studies/{StudyInstanceUID}": {"GET RetrieveStudy", "POST StoreStudyInstances"},
    "studies/{StudyInstanceUID}/metadata": {"GET RetrieveStudyMetadata"},
    "studies/{StudyInstanceUID}/rendered": {"GET RetrieveRenderedStudy"},
    "studies/{StudyInstanceUID}/series": {"GET SearchForStudySeries"},
    "studies/{StudyInstanceUID}/series/{SeriesInstanceUID}/instances": {"GET SearchForStudySeriesInstances"},
    "series": {"GET SearchForSeries"},
    "instances": {"GET SearchForInstances"},
}


def asked(server: Server, path: str = "/", accept: str = "") -> httpx.Response:
    """By someone who is not signed in."""
    return httpx.request(
        "OPTIONS", f"{server.url}/dicom-web{path}", headers={"Accept": accept} if accept else {}
    )


def resources(answer: httpx.Response) -> dict[str, ET.Element]:
    """Whole path → resource."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == WADL
    root = ET.fromstring(answer.content)
    assert root.tag == f"{W}application"
    (top,) = root.findall(f"{W}resources")
    return dict(_below(top, ""))


def _below(element: ET.Element, path: str) -> Iterator[tuple[str, ET.Element]]:
    for one in element.findall(f"{W}resource"):
        where = f"{path}/{one.get('path')}".lstrip("/")
        yield where, one
        yield from _below(one, where)


def methods(resource: ET.Element) -> set[str]:
    return {f"{m.get('name')} {m.get('id')}" for m in resource.findall(f"{W}method")}


@pytest.mark.parametrize("path", ["", "/"])
def test_the_whole_service(server: Server, path: str) -> None:
    answer = asked(server, path)
    found = resources(answer)
    assert {where: methods(found[where]) for where in STUDIES} == STUDIES
    base = ET.fromstring(answer.content).find(f"{W}resources")
    assert base is not None
    assert base.get("base") == f"{server.url}/dicom-web"
    assert answer.headers["allow"] == "OPTIONS"


@pytest.mark.parametrize(
    ("path", "first", "allow"),
    [
        ("/studies", "studies", "OPTIONS, HEAD, GET, POST"),
        ("/studies/1.2.3", "studies/{StudyInstanceUID}", "OPTIONS, HEAD, GET, POST"),
        ("/studies/1.2.3/series/1.4/", "studies/{StudyInstanceUID}/series/{SeriesInstanceUID}", "OPTIONS, HEAD, GET"),
        (
            "/studies/1.2/series/1.3/instances/1.4/bulkdata/54000100/0/54001010",
            "studies/{StudyInstanceUID}/series/{SeriesInstanceUID}/instances/{SOPInstanceUID}/bulkdata/{bulkdataURI}",
            "OPTIONS, HEAD, GET",
        ),
    ],
)  # fmt: skip
def test_one_resource_and_those_below(server: Server, path: str, first: str, allow: str) -> None:
    answer = asked(server, path, WADL)
    found = resources(answer)
    whole = resources(asked(server))
    assert found.keys() == {where for where in whole if where == first or where.startswith(f"{first}/")}
    assert answer.headers["allow"] == allow


def test_json_tells_the_same(server: Server) -> None:
    answer = asked(server, "/", JSON)
    assert answer.headers["content-type"] == JSON

    def told(element: dict[str, Any], path: str = "") -> Iterator[tuple[str, set[str]]]:
        for one in element["resource"]:
            where = f"{path}/{one['path']}".lstrip("/")
            yield where, {f"{m['name']} {m['id']}" for m in one["method"]}
            yield from told(one, where)

    (top,) = answer.json()["application"]["resources"]
    assert dict(told(top)) == {where: methods(one) for where, one in resources(asked(server)).items()}


@pytest.mark.parametrize(
    "accept", ["application/xml", "text/html", 'multipart/related; type="application/dicom"']
)
def test_what_it_cannot_be(server: Server, accept: str) -> None:
    answer = asked(server, "/", accept)
    assert answer.status_code == 406
    assert answer.headers["content-type"] == "application/problem+json"
    assert WADL in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/patients", "/studies/1.2/none", "/studies/1.2/series/1.3/rendered/1"])
def test_what_there_is_not(server: Server, path: str) -> None:
    assert asked(server, path).status_code == 404


def test_what_is_told_can_be_had(server: Server, tmp_path: Path) -> None:
    """Every Accept of every retrieval, of one CT slice: what is not there for a CT is said to be so."""
    study = ct_study(tmp_path, slices=1)
    assert set(send_raw(server.dicom_port, map(describe, study.files)).values()) == {0}
    settled(server)
    one = dcmread(study.files[0], stop_before_pixels=True)
    names = {
        "{StudyInstanceUID}": study.uid, "{SeriesInstanceUID}": one.SeriesInstanceUID,
        "{SOPInstanceUID}": one.SOPInstanceUID, "{frameList}": "1", "{bulkdataURI}": "7FE00010",
    }  # fmt: skip
    refused = {}
    for where, resource in resources(asked(server)).items():
        path = "/".join(names.get(step, step) for step in where.split("/"))
        for option in resource.findall(
            f"{W}method[@name='GET']/{W}request/{W}param[@name='Accept']/{W}option"
        ):
            accept = str(option.get("value"))
            params = {"StudyInstanceUID": study.uid} if where in ("studies", "series", "instances") else {}
            answer = server.client.get(f"/dicom-web/{path}", params=params, headers={"Accept": accept})
            kind = answer.headers["content-type"].partition(";")[0]
            if answer.status_code != 200:
                refused[where.rpartition("/")[2], accept] = answer.status_code
            else:
                assert accept.startswith(kind), where
    others = {("rendered", kind) for kind in (*DOCUMENTS, *CONTAINERS)}
    baseline = {accept for _, accept in refused if accept.endswith("1.2.840.10008.1.2.4.50")}
    bulk = {accept for name, accept in refused if name == "{bulkdataURI}"}
    stored = {
        accept
        for name, accept in refused
        if name == "{frameList}" and any(kind in accept for kind in AS_STORED)
    }
    assert (len(baseline), len(stored)) == (2, 2 * (len(AS_STORED) + 15))
    assert {accept.partition("type=")[2].partition(";")[0] for accept in bulk} == {
        f'"{kind}"' for kind in set(PART_TYPES.values())
    }
    assert refused == {
        **dict.fromkeys(others, 406),
        **{("{frameList}", accept): 422 for accept in baseline},
        **{("{frameList}", accept): 406 for accept in stored},
        **{("{bulkdataURI}", accept): 406 for accept in bulk},
    }
