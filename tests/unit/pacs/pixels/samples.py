"""Real files for the tests of the pixel room, and small attributes written by hand."""

import base64
import warnings
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset
from pydicom.filereader import read_file_meta_info

SHARED = Path(__file__).resolve().parents[5] / "shared" / "data"
SHARED_PER_KIND = 2  # of a folder's files in one transfer syntax

EXPLICIT = "1.2.840.10008.1.2.1"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")

VR = {
    "00280004": "CS",
    "00281052": "DS",
    "00281053": "DS",
    "00281050": "DS",
    "00281051": "DS",
    "00281056": "CS",
}


def read(path: Path) -> FileDataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # modalities' files, and pydicom's on purpose, break the standard
        return pydicom.dcmread(path, force=True)


def packaged(name: str) -> FileDataset:
    return read(next(path for path in _packaged() if path.name == name))


@cache
def image_files() -> tuple[Path, ...]:
    """Every file with pixel data of the packages, and a few of each folder and transfer syntax beside the repo."""
    seen: dict[tuple[Path, str], int] = {}
    found = []
    for path in _packaged() + (_dicom(SHARED) if SHARED.is_dir() else ()):
        if SHARED in path.parents and seen.get((path.parent.parent, _told(path)), 0) >= SHARED_PER_KIND:
            continue  # to read a thousand files takes seconds, each time that tests are collected
        syntax = _syntax(path)
        key = (path.parent.parent, syntax)
        seen[key] = seen.get(key, 0) + 1
        if syntax and (SHARED not in path.parents or seen[key] <= SHARED_PER_KIND):
            found.append(path)
    return tuple(found)


def name_of(path: Path) -> str:
    return "/".join(path.parts[-3:])


def grey(rows: int = 4, columns: int = 4, **more: Any) -> dict[str, Any]:
    """The DICOM JSON of a 16 bit unsigned grey image; further elements by tag, as `x00281050=[40]`."""
    us = {"00280002": 1, "00280010": rows, "00280011": columns, "00280100": 16, "00280101": 16}
    us |= {"00280102": 15, "00280103": 0}
    attributes: dict[str, Any] = {tag: {"vr": "US", "Value": [value]} for tag, value in us.items()}
    attributes["00280004"] = {"vr": "CS", "Value": ["MONOCHROME2"]}
    for key, value in more.items():
        attributes[key[1:]] = {
            "vr": VR.get(key[1:], "US"),
            "Value": value if isinstance(value, list) else [value],
        }
    return attributes


def inline(data: bytes, vr: str = "OW") -> dict[str, str]:
    return {"vr": vr, "InlineBinary": base64.b64encode(data).decode()}


def gradient(rows: int, columns: int, top: int = 255) -> NDArray[np.uint8]:
    ramp = np.add.outer(np.arange(rows), np.arange(columns)) * top / max(1, rows + columns - 2)
    return ramp.astype(np.uint8)


def photo(rows: int = 48, columns: int = 64) -> NDArray[np.uint8]:
    """A smooth colour picture of which every codec keeps most."""
    one = gradient(rows, columns)
    return np.stack([one, one[::-1], np.full_like(one, 90)], axis=-1)


def _told(path: Path) -> str:
    """The transfer syntax of a file."""
    return str(read_file_meta_info(path).get("TransferSyntaxUID", ""))


def _syntax(path: Path) -> str:
    """That of one with pixel data; empty for others."""
    dataset = read(path)
    syntax = dataset.get("file_meta", Dataset()).get("TransferSyntaxUID", "")
    return str(syntax) if any(word in dataset for word in _PIXELS) else ""


@cache
def _packaged() -> tuple[Path, ...]:
    """Files that stand in the installed packages pydicom and pydicom-data."""
    bases = (Path(str(files(package))) / "data" for package in ("pydicom", "data_store"))
    return tuple(path for base in bases for path in _dicom(base))


def _dicom(base: Path) -> tuple[Path, ...]:
    found = (path for path in base.rglob("*") if path.is_file() and path.suffix in (".dcm", ""))
    return tuple(sorted(path for path in found if _is_dicom(path)))


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"
