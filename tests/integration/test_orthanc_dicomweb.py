"""A hospital's Orthanc with its DICOMweb plug-in as our client: it searches, fetches and sends studies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.dicom import dataset_sha256, describe, parts_of, send_raw
from tests.support.orthanc import DICOMWEB, OrthancServer
from tests.support.pdu import made
from tests.support.server import Server
from tests.support.studies import Study, ct_study, ultrasound_study
from tests.support.watch import settled, sop_uids, whole

# Of each way of ours to make a study: its pixels are in Explicit VR Little Endian, and in JPEG baseline.
STUDIES = (ct_study, ultrasound_study)
US, WITH_LENGTH = "tongying", "tongying-with-length"  # the names it has for us: it sends by chunks, or not


@pytest.fixture(scope="module")
def orthanc(server: Server, workspace: Path) -> Iterator[OrthancServer]:
    """It knows us as a DICOMweb server, and the token that it brings."""
    running = OrthancServer(workspace / "dicomweb", more=DICOMWEB).start()
    for name in (US, WITH_LENGTH):
        known(running, name, server, server.client.headers["Authorization"], chunked=name == US)
    yield running
    running.client.close()
    running.stop()
    whole(server)


def known(orthanc: OrthancServer, name: str, server: Server, bearer: str, *, chunked: bool = True) -> None:
    target = {
        "Url": f"{server.url}/dicom-web/",
        "HttpHeaders": {"Authorization": bearer},
        "ChunkedTransfers": chunked,
    }
    orthanc.client.put(f"dicom-web/servers/{name}", json=target).raise_for_status()


def asked(orthanc: OrthancServer, verb: str, name: str = US, **body: Any) -> Any:
    answer = orthanc.client.post(f"dicom-web/servers/{name}/{verb}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def received(server: Server, study: Study) -> Study:
    assert set(send_raw(server.dicom_port, map(describe, study.files)).values()) == {0}
    settled(server)
    return study


def data_sets(files: dict[str, bytes]) -> dict[str, str]:
    """SOP Instance UID → SHA-256."""
    return {uid: dataset_sha256(file) for uid, file in files.items()}


def originals(study: Study) -> dict[str, str]:
    return data_sets({describe(file).sop_instance: file.read_bytes() for file in study.files})


def given_out(server: Server, study: Study) -> set[str]:
    accept = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
    answer = server.client.get(f"/dicom-web/studies/{study.uid}", headers=accept).raise_for_status()
    return {dataset_sha256(body) for _, body in parts_of(answer)}


def test_it_searches(server: Server, orthanc: OrthancServer, tmp_path: Path) -> None:
    study = received(server, ct_study(tmp_path / "ct", slices=5, name="Zhang^Wei"))
    (found,) = asked(orthanc, "qido", Uri="/studies", Arguments={"PatientID": study.patient_id})
    told = {tag.upper(): str(element.get("Value", "")).strip() for tag, element in found.items()}
    assert told["0020000D"] == study.uid
    assert (told["00100010"], told["00080061"]) == (
        "Zhang^Wei",
        "CT",
    )  # it leaves out what JSON has as numbers
    instances = asked(orthanc, "qido", Uri=f"/studies/{study.uid}/instances", Arguments={})
    assert {i["00080018"]["Value"] for i in instances} == originals(study).keys()
    assert asked(orthanc, "qido", Uri="/studies", Arguments={"PatientID": "NOBODY"}) == []


@pytest.mark.parametrize("kind", STUDIES)
def test_it_fetches_a_study(server: Server, orthanc: OrthancServer, tmp_path: Path, kind: Any) -> None:
    study = received(server, kind(tmp_path))
    asked(orthanc, "retrieve", Resources=[{"Study": study.uid}])
    assert data_sets(orthanc.files(study.uid)) == originals(study)


def test_it_fetches_an_instance(server: Server, orthanc: OrthancServer, tmp_path: Path) -> None:
    study = received(server, ct_study(tmp_path / "ct", slices=2))
    (uid, sha), *_ = originals(study).items()
    (found,) = (i for i in server.get(f"/dicom-web/studies/{study.uid}/instances", SOPInstanceUID=uid))
    names = {"Study": study.uid, "Series": found["0020000E"]["Value"][0], "Instance": uid}
    asked(orthanc, "retrieve", Resources=[names])
    assert data_sets(orthanc.files(study.uid)) == {uid: sha}


@pytest.mark.parametrize("name", [US, WITH_LENGTH])
@pytest.mark.parametrize("kind", STUDIES)
def test_it_sends_a_study(
    server: Server, orthanc: OrthancServer, tmp_path: Path, kind: Any, name: str
) -> None:
    study = kind(tmp_path)
    parent = orthanc.store([file.read_bytes() for file in study.files])[0]["ParentStudy"]
    assert asked(orthanc, "stow", name, Resources=[parent])["InstancesCount"] == str(len(study.files))
    settled(server)
    assert given_out(server, study) == set(originals(study).values())


def test_it_is_told_that_it_may_not(server: Server, orthanc: OrthancServer) -> None:
    """With a token that is none it fails, and nothing is stored."""
    one = made()
    known(orthanc, "stranger", server, "Bearer none")
    (kept,) = orthanc.store([one.part10])
    answer = orthanc.client.post("dicom-web/servers/stranger/stow", json={"Resources": [kept["ID"]]})
    assert answer.status_code >= 400
    settled(server)
    assert sop_uids(server, one.study) == []
