"""DCMTK's storescu in every transfer syntax that it can propose: taken in that one, and given out as it was sent."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.uid import UID, generate_uid

from tests.support.dicom import parts_of, storescu
from tests.support.files import package_file
from tests.support.server import Server
from tests.support.watch import settled

IMPLICIT, EXPLICIT, DEFLATED, BIG = (f"1.2.840.10008.1.2{end}" for end in ("", ".1", ".1.99", ".2"))
JPEG = "1.2.840.10008.1.2.4."
# storescu's option → the transfer syntax of the file, and the one in which it is sent.
PROPOSED = {
    "-x=": (EXPLICIT, EXPLICIT), "-xe": (EXPLICIT, EXPLICIT), "-xb": (BIG, BIG), "-xi": (EXPLICIT, IMPLICIT),
    "-xd": (DEFLATED, DEFLATED), "-xr": ("1.2.840.10008.1.2.5",) * 2,
} | {
    option: (JPEG + number,) * 2
    for option, number in {
        "-xy": "50", "-xx": "51", "-xs": "70", "-xt": "80", "-xu": "81", "-xv": "90", "-xw": "91", "-xm": "100",
        "-xh": "101", "-xn": "102", "-xl": "103", "-x2": "104", "-x3": "105", "-xo": "106", "-x4": "107",
        "-x5": "108",
    }.items()
}  # fmt: skip
AS_RECEIVED = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}


def write(path: Path, study: str, syntax: str) -> Path:
    """A slice in a transfer syntax. A compressed frame is no picture: nobody on the way looks into it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = dcmread(package_file("MR_small_bigendian.dcm" if syntax == BIG else "CT_small.dcm"))
        dataset.pop(0xFFFCFFFC, None)  # Data Set Trailing Padding, which DCMTK does not send
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, study + ".1"
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        dataset.file_meta.TransferSyntaxUID = UID(syntax)
        if UID(syntax).is_compressed and syntax != DEFLATED:
            dataset.PixelData = encapsulate([bytes(range(200)), bytes(100)])
            dataset["PixelData"].is_undefined_length = True
            dataset["PixelData"].VR = "OB"
        dataset.save_as(path, implicit_vr=syntax == IMPLICIT, little_endian=syntax != BIG)
    return path


def read(part10: bytes | Path) -> Dataset:
    """With all values read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = dcmread(part10 if isinstance(part10, Path) else DicomBytesIO(part10))
        dataset.decode()
    return dataset


def as_told(server: Server, study: str) -> tuple[str, Dataset]:
    """The transfer syntax of the one instance of a study, and its data set."""
    answer = server.client.get(f"/dicom-web/studies/{study}", headers=AS_RECEIVED).raise_for_status()
    ((headers, body),) = parts_of(answer)
    return headers["content-type"].split("transfer-syntax=")[1], read(body)


@pytest.fixture(scope="module")
def sent(server: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, Path]]:
    """Option → the study that was sent with it, and its file."""
    folder, found = tmp_path_factory.mktemp("storescu"), dict[str, tuple[str, Path]]()
    for option, (syntax, _) in PROPOSED.items():
        study = generate_uid()
        path = write(folder / f"{option}.dcm", study, syntax)
        done = storescu(server.dicom_port, option, path)
        assert done.returncode == 0, (option, done.stderr)
        found[option] = study, path
    settled(server)
    return found


@pytest.mark.parametrize("option", PROPOSED)
def test_every_transfer_syntax(server: Server, sent: dict[str, tuple[str, Path]], option: str) -> None:
    study, path = sent[option]
    syntax, told = as_told(server, study)
    assert syntax == PROPOSED[option][1]
    original = read(path)
    assert told.SOPInstanceUID == original.SOPInstanceUID
    assert told.PixelData == original.PixelData
    assert {e.tag for e in told} == {e.tag for e in original if e.tag.element}  # DCMTK sends no group lengths


@pytest.mark.parametrize("options", [("-R",), ("+C",), ("-xb", "-R")])
def test_other_ways_to_propose(server: Server, tmp_path: Path, options: tuple[str, ...]) -> None:
    """Only the contexts that are needed, and several transfer syntaxes in one context, of which we choose."""
    study = generate_uid()
    path = write(tmp_path / "one.dcm", study, EXPLICIT)
    assert storescu(server.dicom_port, *options, path).returncode == 0
    settled(server)
    _, told = as_told(server, study)
    assert (told.SOPInstanceUID, told.Rows) == (read(path).SOPInstanceUID, 128)
