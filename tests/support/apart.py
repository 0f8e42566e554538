"""Bodies of STOW-RS whose metadata and bulk data come apart (PS3.18 10.5.1.4), made with pydicom."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset
from pydicom.encaps import generate_frames
from pydicom.uid import generate_uid

from pacs.nativexml import to_xml
from tests.support.files import package_file
from tests.support.server import Server
from tests.support.watch import settled, sop_uids

JSON, XML, OCTETS = "application/dicom+json", "application/dicom+xml", "application/octet-stream"
FAILED, STORED, OTHERS, REASON, COMMENT = "00081198", "00081199", "0008119A", "00081197", "00000902"
Part = tuple[dict[str, str], bytes]  # headers and content


def body(parts: list[Part], boundary: str = "frontier") -> bytes:
    """A multipart body."""
    out = b""
    for headers, content in parts:
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        out += f"--{boundary}\r\n{head}\r\n".encode() + content + b"\r\n"
    return out + f"--{boundary}--\r\n".encode()


def bulk(location: str, content: bytes, kind: str = OCTETS) -> Part:
    return {"Content-Type": kind, "Content-Location": location}, content


def metadata(*datasets: Any, xml: bool = False) -> list[Part]:
    """The parts of metadata: JSON has all in one, XML one in each."""
    if xml:
        return [({"Content-Type": XML}, to_xml(one)) for one in datasets]
    return [({"Content-Type": JSON}, json.dumps(datasets).encode())]


def post(
    server: Server, content: Any, kind: str = JSON, path: str = "", boundary: str = "frontier", **headers: str
) -> httpx.Response:
    given = {"Content-Type": f'multipart/related; type="{kind}"; boundary={boundary}'}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    return server.client.post(f"/dicom-web/studies{path}", content=content, headers=given)


@dataclass(frozen=True, slots=True)
class Apart:
    """An instance with UIDs of its own: its attributes as DICOM JSON, and its pixels. `dataset`: as it was whole."""

    dataset: FileDataset
    attributes: dict[str, Any]
    frames: list[bytes] = field(default_factory=list)  # compressed ones, or all native pixels as one

    @property
    def study(self) -> str:
        return str(self.dataset.StudyInstanceUID)

    @property
    def instance(self) -> str:
        return str(self.dataset.SOPInstanceUID)

    @property
    def path(self) -> str:
        return f"/dicom-web/studies/{self.study}/series/{self.dataset.SeriesInstanceUID}/instances/{self.instance}"

    def parts(self, kind: str = OCTETS) -> list[Part]:
        """Its pixels, each frame a part."""
        return [bulk(self.attributes["7FE00010"]["BulkDataURI"], frame, kind) for frame in self.frames]


def apart(source: str | Path, study: str = "", **changes: Any) -> Apart:
    """Of a packaged file, or another."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = dcmread(source if isinstance(source, Path) else package_file(source))
        dataset.decode()
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study or generate_uid(), generate_uid()
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        dataset.SpecificCharacterSet = "ISO_IR 192"
        for keyword, value in changes.items():
            setattr(dataset, keyword, value)
        dataset.pop("DataSetTrailingPadding", None)  # no reader tells of it
        frames = _frames(dataset)
        attributes = dataset.to_json_dict(1 << 20, lambda _: "", suppress_invalid_tags=True)
    if "7FE00010" in attributes:
        attributes["7FE00010"] = {"vr": "OW", "BulkDataURI": f"bulk/{dataset.SOPInstanceUID}/pixels"}
    return Apart(dataset, attributes, frames)


def _frames(dataset: Dataset) -> list[bytes]:
    if "PixelData" not in dataset:
        return []
    if not dataset.file_meta.TransferSyntaxUID.is_compressed:
        return [bytes(dataset.PixelData)]
    count = int(dataset.get("NumberOfFrames", 1) or 1)
    return list(generate_frames(dataset.PixelData, number_of_frames=count))


def location(one: Apart) -> tuple[str]:
    """Where its pixels are to be found: the BulkDataURI."""
    return (one.attributes["7FE00010"]["BulkDataURI"],)


def told(answer: httpx.Response, tag: str) -> list[tuple[str, int, str]]:
    """SOP Instance UID, Failure Reason and Error Comment of each item."""
    items = answer.json().get(tag, {}).get("Value", [])
    wanted = (("00081155", ""), (REASON, 0), (COMMENT, ""))
    return [tuple(i[t]["Value"][0] if t in i else other for t, other in wanted) for i in items]  # type: ignore[misc]


def names(answer: httpx.Response, tag: str) -> list[str]:
    return [name for name, _, _ in told(answer, tag)]


def problem(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return str(answer.json().get("detail") or answer.json()["title"])


def stored(server: Server, *several: Apart) -> None:
    settled(server)
    for one in several:
        assert one.instance in sop_uids(server, one.study)


def not_stored(server: Server, *several: Apart) -> None:
    settled(server)
    for one in several:
        assert one.instance not in sop_uids(server, one.study)


def file_of(server: Server, one: Apart) -> bytes:
    accept = {"Accept": "application/dicom; transfer-syntax=*"}
    return server.client.get(one.path, headers=accept).raise_for_status().content
