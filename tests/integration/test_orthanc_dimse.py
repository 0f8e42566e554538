"""A hospital's Orthanc as Query/Retrieve SCU of ours: it asks at every level, and has sent to it what it found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydicom.uid import generate_uid

from storage import remotes
from storage.remotes import Remote
from tests.support.dicom import dataset_sha256
from tests.support.orthanc import OrthancServer
from tests.support.pdu import Made, associated, made
from tests.support.peers import opened
from tests.support.server import Server
from tests.support.watch import settled, whole

TITLE = "ORTHANC"  # its AE title, as it comes
UTF8, GB18030 = "ISO_IR 192", "GB18030"
NAME = "Zhang^Wei=张^伟"
SLICES, SERIES = 70, 2  # more than one association of a C-MOVE carries at least
Tags = dict[str, str]


@dataclass(frozen=True, slots=True)
class Stored:
    """A patient's studies at ours, one for each character set that the modalities write in."""

    patient_id: str
    studies: dict[str, list[Made]]

    @property
    def all(self) -> list[Made]:
        return [one for study in self.studies.values() for one in study]


@pytest.fixture(scope="module")
def stored(server: Server) -> Stored:
    patient_id = f"Q{generate_uid()[-12:]}"
    found = Stored(patient_id, {charset: study(patient_id, charset) for charset in (UTF8, GB18030)})
    with associated(server.dicom_port) as caller:
        assert {caller.store(one.instance, one.data) for one in found.all} == {0}
        caller.release()
    settled(server)
    return found


def study(patient_id: str, charset: str) -> list[Made]:
    """Series of CT slices whose name and description need the character set."""
    codec = {UTF8: "utf-8", GB18030: "gb18030"}[charset]
    more = {
        0x00080005: ("CS", charset.encode()), 0x00081030: ("LO", "头颅平扫".encode(codec)),
        0x00080050: ("SH", charset[:2].encode() + patient_id.encode()[:8]),
    }  # fmt: skip
    uid, series = generate_uid(), [generate_uid() for _ in range(SERIES)]
    return [
        made(study=uid, series=series[n % SERIES], name=NAME.encode(codec), patient_id=patient_id,
             more=more | {0x00200013: ("IS", str(n).encode())})
        for n in range(SLICES)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def orthanc(server: Server, workspace: Path) -> Iterator[OrthancServer]:
    """It knows us, and we know where it is."""
    running = OrthancServer(workspace / "asking").start()
    target = {"AET": "TONGYING", "Host": "127.0.0.1", "Port": server.dicom_port}
    running.client.put("modalities/tongying", json=target).raise_for_status()
    with opened(server) as archive:
        remotes.add_remote(archive, Remote("asking", TITLE, "127.0.0.1", running.dicom_port))
        yield running
        remotes.remove_remote(archive, "asking")
    running.client.close()
    running.stop()
    whole(server)


@pytest.fixture(autouse=True)
def _emptied(orthanc: OrthancServer) -> None:
    """It holds nothing when a test begins."""
    for patient in orthanc.client.get("patients").raise_for_status().json():
        orthanc.client.delete(f"patients/{patient}").raise_for_status()
    assert orthanc.count() == 0


def posted(orthanc: OrthancServer, path: str, body: dict[str, Any]) -> httpx.Response:
    answer = orthanc.client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer


def ask(orthanc: OrthancServer, level: str, **keys: str) -> str:
    """The path of a query that it has asked."""
    answer = posted(orthanc, "modalities/tongying/query", {"Level": level, "Query": keys})
    return str(answer.json()["Path"]).lstrip("/")


def answers(orthanc: OrthancServer, query: str) -> list[Tags]:
    """What it was told, by keyword."""
    found = orthanc.client.get(f"{query}/answers", params={"expand": "", "simplify": ""}).raise_for_status()
    return list(found.json())


def retrieve(orthanc: OrthancServer, query: str) -> None:
    """C-MOVE of all that a query found, to itself; raises AssertionError unless it was told of success."""
    posted(orthanc, f"{query}/retrieve", {"TargetAet": TITLE, "Synchronous": True})


def held(orthanc: OrthancServer, study_uid: str) -> dict[str, str]:
    """SOP Instance UID → SHA-256 of the data set, of what it has of a study."""
    return {uid: dataset_sha256(file) for uid, file in orthanc.files(study_uid).items()}


def sent(instances: list[Made]) -> dict[str, str]:
    return {one.instance: dataset_sha256(one.part10) for one in instances}


@pytest.mark.parametrize("level", ["Patient", "Study", "Series", "Instance"])
def test_every_level(stored: Stored, orthanc: OrthancServer, level: str) -> None:
    study = stored.studies[UTF8]
    asked = {"PatientID": stored.patient_id}
    unique, wanted = {
        "Patient": ("PatientID", [stored.patient_id]),
        "Study": ("StudyInstanceUID", [one[0].study for one in stored.studies.values()]),
        "Series": ("SeriesInstanceUID", list({one.series for one in study})),
        "Instance": ("SOPInstanceUID", [one.instance for one in study if one.series == study[0].series]),
    }[level]
    if level in ("Series", "Instance"):
        asked["StudyInstanceUID"] = study[0].study
    if level == "Instance":
        asked["SeriesInstanceUID"] = study[0].series
    found = answers(orthanc, ask(orthanc, level, **(asked | {unique: asked.get(unique, "")})))
    assert sorted(one[unique] for one in found) == sorted(wanted)


@pytest.mark.parametrize("encoding", ["Utf8", "Chinese"])
def test_names_in_the_character_set_that_it_asks_in(
    stored: Stored, orthanc: OrthancServer, encoding: str
) -> None:
    """Which is a setting of its own. As it comes it is Latin 1: then it drops the 汉字 of every answer by itself."""
    orthanc.client.put("tools/default-encoding", content=encoding).raise_for_status()
    keys = {"PatientName": "*张^伟*", "PatientID": stored.patient_id}
    found = answers(orthanc, ask(orthanc, "Study", StudyDescription="", StudyInstanceUID="", **keys))
    assert {one["StudyInstanceUID"] for one in found} == {s[0].study for s in stored.studies.values()}
    assert {one["PatientName"] for one in found} == {NAME}
    assert {one["StudyDescription"] for one in found} == {"头颅平扫"}


@pytest.mark.parametrize("level", ["Patient", "Study", "Series", "Instance"])
def test_it_retrieves_what_it_found(stored: Stored, orthanc: OrthancServer, level: str) -> None:
    """Byte for byte, and nothing else."""
    study = stored.studies[GB18030]
    uids = {"StudyInstanceUID": study[0].study, "SeriesInstanceUID": study[0].series,
            "SOPInstanceUID": study[0].instance}  # fmt: skip
    asked, wanted = {
        "Patient": ({"PatientID": stored.patient_id}, stored.all),
        "Study": ({"StudyInstanceUID": study[0].study}, study),
        "Series": (dict(list(uids.items())[:2]), [one for one in study if one.series == study[0].series]),
        "Instance": (uids, study[:1]),
    }[level]
    retrieve(orthanc, ask(orthanc, level, **asked))
    assert orthanc.count() == len(wanted)
    there = {u: s for uid in {one.study for one in wanted} for u, s in held(orthanc, uid).items()}
    assert there == sent(wanted)


def test_it_retrieves_several_studies_of_one_query(stored: Stored, orthanc: OrthancServer) -> None:
    query = ask(orthanc, "Study", PatientID=stored.patient_id, StudyInstanceUID="")
    retrieve(orthanc, query)
    assert orthanc.count() == len(stored.all)


def test_it_learns_that_a_move_failed(stored: Stored, orthanc: OrthancServer) -> None:
    """To a destination that nobody registered here: it must not believe that all is well."""
    query = ask(orthanc, "Study", StudyInstanceUID=stored.studies[UTF8][0].study)
    answer = orthanc.client.post(f"{query}/retrieve", json={"TargetAet": "NOBODY", "Synchronous": True})
    assert answer.status_code >= 400, answer.text
    assert orthanc.count() == 0


def test_it_echoes_and_sends_to_us(server: Server, orthanc: OrthancServer) -> None:
    """C-STORE the other way round: from its own archive, by its own sender."""
    assert posted(orthanc, "modalities/tongying/echo", {}).status_code == 200
    own = study(f"S{generate_uid()[-12:]}", GB18030)[:4]
    ids = [one["ID"] for one in orthanc.store([one.part10 for one in own])]
    posted(orthanc, "modalities/tongying/store", {"Resources": ids, "Synchronous": True})
    settled(server)
    answer = server.client.get(f"/dicom-web/studies/{own[0].study}/metadata").raise_for_status().json()
    assert {one["00080018"]["Value"][0] for one in answer} == {one.instance for one in own}
    assert answer[0]["00100010"]["Value"][0] == {"Alphabetic": "Zhang^Wei", "Ideographic": "张^伟"}
