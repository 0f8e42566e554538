"""A ZIP of a study holds a File-set that pydicom and DCMTK read as media, and the bytes that came."""

from __future__ import annotations

import io
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydicom import dcmread
from pydicom.fileset import FileSet
from pydicom.uid import UID, generate_uid

from pacs.fileset import TYPES, type_of
from tests.support.dicom import dcmsend
from tests.support.server import Server
from tests.support.studies import ct_study, ultrasound_study
from tests.support.watch import settled

ZIP = "application/zip"
AS_RECEIVED = "application/dicom; transfer-syntax=*"
SR = "1.2.840.10008.5.1.4.1.1.88.11"


@pytest.fixture(scope="module")
def study(server: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A CT series, an ultrasound loop and a report, made one study of a patient with a name in two scripts."""
    folder = tmp_path_factory.mktemp("zip")
    files = [*ct_study(folder / "ct", slices=4).files, *ultrasound_study(folder / "us").files]
    uid, together = generate_uid(), folder / "together"
    together.mkdir()
    for number, file in enumerate([*files, files[0]]):
        one = dcmread(file)
        one.SpecificCharacterSet = "GB18030"
        one.PatientName, one.PatientID, one.StudyInstanceUID = "Wang^Fang=王^芳", "ZIPPED", uid
        one.StudyDate, one.StudyTime, one.StudyID = "20260701", "0800", "7"
        if number == len(files):
            one.SOPClassUID, one.SeriesInstanceUID, one.SOPInstanceUID = (
                UID(SR),
                generate_uid(),
                generate_uid(),
            )
            one.file_meta.MediaStorageSOPClassUID, one.file_meta.MediaStorageSOPInstanceUID = (
                UID(SR),
                one.SOPInstanceUID,
            )
            one.Modality = "SR"
            del one.PixelData
        one.save_as(together / f"{number}.dcm")
    dcmsend(server.dicom_port, together)
    settled(server)
    sent = {str(dcmread(f, stop_before_pixels=True).SOPInstanceUID): f for f in together.iterdir()}
    return {"uid": uid, "sent": sent}


def zipped(server: Server, path: str, accept: str = ZIP) -> httpx.Response:
    answer = server.client.get(f"/dicom-web/studies/{path}", headers={"Accept": accept})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == ZIP
    return answer


def unpacked(answer: httpx.Response, folder: Path) -> Path:
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        archive.extractall(folder)
    return folder


def file_set(folder: Path) -> FileSet:
    """As pydicom reads it; the folder that it makes for changes is not needed."""
    found = FileSet(folder / "DICOMDIR")
    found._stage["t"].cleanup()
    return found


def test_pydicom_reads_the_file_set(server: Server, study: dict[str, Any], tmp_path: Path) -> None:
    answer = zipped(server, study["uid"])
    assert answer.headers["content-disposition"] == f'attachment; filename="{study["uid"]}.zip"'
    found = file_set(unpacked(answer, tmp_path))
    assert {str(i.SOPInstanceUID) for i in found} == study["sent"].keys()
    assert found.find_values("PatientID") == ["ZIPPED"]
    assert [str(n) for n in found.find_values("PatientName")] == ["Wang^Fang=王^芳"]
    assert len(found.find_values("SeriesInstanceUID")) == len({
        str(dcmread(f, stop_before_pixels=True).SeriesInstanceUID) for f in study["sent"].values()
    })  # fmt: skip
    for one in found:
        path = f"{study['uid']}/series/{one.SeriesInstanceUID}/instances/{one.SOPInstanceUID}"
        alone = server.client.get(f"/dicom-web/studies/{path}", headers={"Accept": AS_RECEIVED})
        assert Path(one.path).read_bytes() == alone.content
    types = {str(i.SOPClassUID): i.node._record.DirectoryRecordType for i in found}
    assert types[SR] == "SR DOCUMENT"


def test_dcmtk_reads_the_dicomdir(server: Server, study: dict[str, Any], tmp_path: Path) -> None:
    folder = unpacked(zipped(server, study["uid"]), tmp_path)
    said = subprocess.run(["dcmdump", str(folder / "DICOMDIR")], capture_output=True, text=True, check=True)
    assert said.stderr == ""
    for file in folder.rglob("IM*"):
        name = file.relative_to(folder).as_posix().replace("/", "\\")
        assert name in said.stdout
    # It takes one more instance in, which it does only where it can follow all records that are there.
    ct = next(f for f in study["sent"].values() if dcmread(f, stop_before_pixels=True).Modality == "CT")
    shutil.copy(ct, folder / "MORE")
    more = dcmread(folder / "MORE")
    more.SOPInstanceUID = more.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    more.save_as(folder / "MORE")
    command = [
        "dcmmkdir",
        "--append",
        "--usb-and-flash-jpeg",
        "--output-file",
        "DICOMDIR",
        "--input-directory",
        ".",
        "MORE",
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(file_set(folder)) == len(study["sent"]) + 1


def test_a_series_and_an_instance(server: Server, study: dict[str, Any], tmp_path: Path) -> None:
    uid, file = next(iter(study["sent"].items()))
    series = dcmread(file, stop_before_pixels=True).SeriesInstanceUID
    folder = unpacked(zipped(server, f"{study['uid']}/series/{series}"), tmp_path / "series")
    assert {str(i.SeriesInstanceUID) for i in file_set(folder)} == {series}
    folder = unpacked(zipped(server, f"{study['uid']}/series/{series}/instances/{uid}"), tmp_path / "one")
    assert [str(i.SOPInstanceUID) for i in file_set(folder)] == [uid]


def test_in_another_transfer_syntax(server: Server, study: dict[str, Any], tmp_path: Path) -> None:
    jpeg_ls = "1.2.840.10008.1.2.4.80"
    folder = unpacked(zipped(server, study["uid"], f"{ZIP}; transfer-syntax={jpeg_ls}"), tmp_path)
    for one in file_set(folder):
        wanted = jpeg_ls if one.SOPClassUID != SR else "1.2.840.10008.1.2.1"
        assert one.ReferencedTransferSyntaxUIDInFile == wanted
        assert dcmread(one.path).file_meta.TransferSyntaxUID == wanted


def test_it_can_be_read_from_front_to_back(server: Server, study: dict[str, Any], tmp_path: Path) -> None:
    """As a browser's or Java's readers do, which know no central directory while bytes come."""
    (tmp_path / "Read.java").write_text("""
        import java.util.zip.*;
        class Read { public static void main(String[] a) throws Exception {
            ZipInputStream in = new ZipInputStream(System.in);
            long bytes = 0; int files = 0;
            while (in.getNextEntry() != null) { files++; bytes += in.readAllBytes().length; }
            System.out.println(files + " " + bytes);
        } }""")
    answer = zipped(server, study["uid"])
    read = subprocess.run(
        ["java", str(tmp_path / "Read.java")], input=answer.content, capture_output=True, check=True
    )
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        wanted = [len(archive.namelist()), sum(i.file_size for i in archive.infolist())]
    assert read.stdout.split() == [str(n).encode() for n in wanted]


def test_who_may_not_see_it_gets_none(server: Server, study: dict[str, Any]) -> None:
    assert (
        httpx.get(f"{server.url}/dicom-web/studies/{study['uid']}", headers={"Accept": ZIP}).status_code
        == 401
    )
    for path in (generate_uid(), f"{study['uid']}/series/{generate_uid()}"):
        answer = server.client.get(f"/dicom-web/studies/{path}", headers={"Accept": ZIP})
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"


def test_zip_in_parts_is_not_offered(server: Server, study: dict[str, Any]) -> None:
    accept = f'multipart/related; type="{ZIP}"'
    answer = server.client.get(f"/dicom-web/studies/{study['uid']}", headers={"Accept": accept})
    assert answer.status_code == 406


@pytest.mark.parametrize(
    ("rest", "wanted"),
    [("2", "IMAGE"), ("88.59", "KEY OBJECT DOC"), ("88.67", "SR DOCUMENT"), ("66", "RAW DATA"),
     ("66.4", "IMAGE"), ("66.1", "REGISTRATION"), ("11.1", "PRESENTATION"), ("104.1", "ENCAP DOC"),
     ("481.2", "RT DOSE"), ("77.1.5.4", "IMAGE"), ("9.1.1", "WAVEFORM")],
)  # fmt: skip
def test_types_of_records(rest: str, wanted: str) -> None:
    assert type_of(f"1.2.840.10008.5.1.4.1.1.{rest}") == wanted
    assert TYPES
