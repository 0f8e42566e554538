"""The head of a Part 10 file, written and read (PS3.10 7.1)."""

import warnings
from io import BytesIO

import pydicom
import pytest

from pacs.encoded import (
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    EncodedError,
    part10_header,
    read_file_meta,
    read_head,
)
from pacs.uids import UID_LENGTH_MAX

from .samples import CT, EXPLICIT, element, packaged_files

UID = "1.2.3.45"


@pytest.mark.parametrize("source_ae", ["CT_ROOM_1", "ODD", ""])
@pytest.mark.parametrize("uid", [UID, "1.2.3"])
def test_written_header_is_read_by_pydicom(uid: str, source_ae: str) -> None:
    data = part10_header(CT, uid, EXPLICIT, source_ae=source_ae) + element(0x00100020, "LO", b"17")
    dataset = pydicom.dcmread(BytesIO(data))
    meta = dataset.file_meta
    assert (meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID) == (CT, uid)
    assert (meta.TransferSyntaxUID, meta.get("SourceApplicationEntityTitle", "")) == (EXPLICIT, source_ae)
    assert meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert meta.ImplementationVersionName == IMPLEMENTATION_VERSION_NAME
    assert dataset.PatientID == "17"
    assert meta.FileMetaInformationGroupLength == read_head(data).dataset_offset - 144


@pytest.mark.parametrize(
    ("uid", "source_ae"),
    [("", "AE"), ("1.2/../3", "AE"), ("1" * (UID_LENGTH_MAX + 1), "AE"), (UID, "A" * 17), (UID, "A\nB")],
)
def test_nothing_odd_is_written(uid: str, source_ae: str) -> None:
    with pytest.raises(EncodedError):
        part10_header(CT, uid, EXPLICIT, source_ae=source_ae)


def test_read_meta_is_that_of_pydicom() -> None:
    for path in packaged_files():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = pydicom.dcmread(path, force=True, stop_before_pixels=True).file_meta
        found = read_file_meta(path.read_bytes())
        texts = {int(e.tag): str(e.value) for e in expected if e.VR in ("UI", "SH", "AE")}
        assert {tag: text for tag, text in found.items() if tag in texts} == texts


def test_tolerant_of_what_is_missing() -> None:
    head = part10_header(CT, UID, EXPLICIT, source_ae="AE")
    meta = read_file_meta(head)
    assert meta[0x00020003] == UID
    assert read_file_meta(head[128:]) == meta
    assert read_file_meta(head[132:]) == meta
    assert read_file_meta(head[:132] + head[144:]) == {tag: v for tag, v in meta.items() if tag != 0x00020000}
    assert read_file_meta(b"") == {}
    assert read_file_meta(element(0x00100020, "LO", b"17")) == {}
    assert read_head(head[:-3]).meta.get(0x00020016) is None
