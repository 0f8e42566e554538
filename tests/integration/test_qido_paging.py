"""QIDO-RS in pages: the links lead through all there is, once each, and totals count it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from tests.support.dicom import dcmsend
from tests.support.server import Server
from tests.support.watch import settled, whole

CT = "1.2.840.10008.5.1.4.1.1.2"
STUDIES, SERIES, INSTANCES = 7, 3, 4
COUNTS = {"studies": STUDIES, "series": STUDIES * SERIES, "instances": STUDIES * SERIES * INSTANCES}
UIDS = {"studies": "0020000D", "series": "0020000E", "instances": "00080018"}


def one(patient: str, study: str, series: str, number: int | None, instance: int, day: str) -> Dataset:
    made = Dataset()
    made.PatientID, made.StudyInstanceUID, made.SeriesInstanceUID = patient, study, series
    made.SOPClassUID, made.SOPInstanceUID, made.Modality = CT, generate_uid(), "CT"
    made.StudyDate, made.SeriesNumber, made.InstanceNumber = day, number, instance
    made.KVP = 100 + instance % 2
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return made


def send(server: Server, folder: Path, datasets: list[Dataset]) -> None:
    for number, dataset in enumerate(datasets):
        dataset.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    dcmsend(server.dicom_port, folder)
    settled(server)


@pytest.fixture(scope="module")
def server(workspace: Path) -> Iterator[Server]:
    running = Server(workspace / "paging").start()
    yield running
    whole(running)
    running.remove()


@pytest.fixture(scope="module")
def patient(server: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Studies of few days and of none, series with equal numbers and with none: ties in every order."""
    datasets = []
    for study in range(STUDIES):
        uid, day = generate_uid(), ["20260701", "20260702", ""][study % 3]
        for series in range(SERIES):
            place = generate_uid(), [1, 1, None][series]
            datasets += [one("PAGED", uid, *place, n, day) for n in range(INSTANCES)]
    send(server, tmp_path_factory.mktemp("paged"), datasets)
    return "PAGED"


def pages(server: Server, path: str, **asked: str) -> Iterator[httpx.Response]:
    """The first page, and those that the links lead to."""
    answer = server.client.get(f"/dicom-web/{path}", params=asked).raise_for_status()
    yield answer
    while answer.links:
        assert answer.links["next"]["rel"] == "next"
        answer = server.client.get(answer.links["next"]["url"]).raise_for_status()
        yield answer


def uids(level: str, answers: list[dict[str, Any]]) -> list[str]:
    return [answer[UIDS[level]]["Value"][0] for answer in answers]


@pytest.mark.parametrize("more", [{}, {"KVP": "101"}], ids=["index", "metadata"])
@pytest.mark.parametrize("limit", [1, 3, 5, 1000])
@pytest.mark.parametrize("level", UIDS)
def test_pages_lead_through_all(
    server: Server, patient: str, level: str, limit: int, more: dict[str, str]
) -> None:
    if more and level != "instances":
        more = {"SpecificCharacterSet": ""}  # which is in the metadata, and matches all
    at_once = uids(level, server.get(f"/dicom-web/{level}", PatientID=patient, **more))
    assert len(at_once) == COUNTS[level] // (2 if "KVP" in more else 1)
    found = [page.json() for page in pages(server, level, PatientID=patient, limit=str(limit), **more)]
    assert [uid for page in found for uid in uids(level, page)] == at_once
    assert all(len(page) == limit for page in found[:-1])


@pytest.mark.parametrize("level", UIDS)
def test_what_comes_in_meanwhile_moves_nothing(
    server: Server, patient: str, level: str, tmp_path: Path
) -> None:
    before = uids(level, server.get(f"/dicom-web/{level}", PatientID=patient))
    walk = pages(server, level, PatientID=patient, limit="2")
    seen = uids(level, next(walk).json())
    newest = one("PAGED", generate_uid(), generate_uid(), 1, 1, "20260801")
    send(server, tmp_path, [newest])
    seen += [uid for page in walk for uid in uids(level, page.json())]
    assert seen == before


@pytest.mark.parametrize("level", UIDS)
def test_totals(server: Server, patient: str, level: str) -> None:
    answer = server.client.get(
        f"/dicom-web/{level}", params={"PatientID": patient, "limit": "2", "total": "true"}
    )
    everything = server.get(f"/dicom-web/{level}", PatientID=patient)
    assert len(answer.json()) == 2
    assert answer.headers["x-total-count"] == str(len(everything))
    left = len(everything) - 2
    said = f"299 /dicom-web: There are {left} additional results that can be requested"
    assert answer.headers.get("warning", "") == (said if left else "")
    again = server.client.get(answer.links["next"]["url"])
    assert "x-total-count" not in again.headers, "counted when it is asked for"


def test_a_total_that_the_index_does_not_know_is_not_told(server: Server, patient: str) -> None:
    answer = server.client.get(
        "/dicom-web/instances", params={"PatientID": patient, "KVP": "101", "total": "true", "limit": "1"}
    )
    assert "x-total-count" not in answer.headers
    assert answer.headers["warning"].startswith("299 ")


@pytest.mark.parametrize(
    "cursor", ["x", "W10", "WyIyMDI2LTA3LTAxIiwxXQ", "WyJ4IiwxLDEsMV0", "bnVsbA", "%00", "e30", "W1tbW1tb"]
)
def test_a_cursor_that_nobody_gave(server: Server, patient: str, cursor: str) -> None:
    answer = server.client.get("/dicom-web/series", params={"after": cursor})
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_no_page_is_asked_for(server: Server, patient: str) -> None:
    answer = server.client.get("/dicom-web/studies", params={"PatientID": patient, "limit": "0"})
    assert (answer.json(), answer.links) == ([], {})
