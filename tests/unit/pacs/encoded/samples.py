"""Real files for the tests of the parsing room, and small data sets written by hand."""

from functools import cache
from importlib.resources import files
from pathlib import Path
from struct import pack

from pacs.encoded import part10_header

CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
IMPLICIT = "1.2.840.10008.1.2"
SHARED = Path(__file__).resolve().parents[5] / "shared" / "data"


@cache
def packaged_files() -> tuple[Path, ...]:
    """Files that stand in the installed packages pydicom and pydicom-data."""
    found = [_dicom(Path(str(files(package))) / "data") for package in ("pydicom", "data_store")]
    return found[0] + found[1]


@cache
def shared_files() -> tuple[Path, ...]:
    """Files beside the repository, none where they are not."""
    return _dicom(SHARED) if SHARED.is_dir() else ()


def packaged(name: str) -> bytes:
    return next(path for path in packaged_files() if path.name == name).read_bytes()


def _dicom(base: Path) -> tuple[Path, ...]:
    found = (path for path in base.rglob("*") if path.is_file() and path.suffix in (".dcm", ""))
    return tuple(sorted(path for path in found if path.name != "README"))


def name_of(path: Path) -> str:
    return f"{path.parent.name}-{path.name}"


def element(tag: int, vr: str, value: bytes) -> bytes:
    """An explicit VR little endian element, padded to even length."""
    value += b" " if len(value) % 2 else b""
    head = pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    if vr in ("OB", "OW", "SQ", "UN", "UT", "UC", "UR", "OF", "OD", "OL", "OV", "SV", "UV"):
        return head + pack("<HI", 0, len(value)) + value
    return head + pack("<H", len(value)) + value


def implicit(tag: int, value: bytes) -> bytes:
    return pack("<HHI", tag >> 16, tag & 0xFFFF, len(value)) + value


def item(*parts: bytes) -> bytes:
    body = b"".join(parts)
    return pack("<HHI", 0xFFFE, 0xE000, len(body)) + body


SEQUENCE_END = pack("<HHI", 0xFFFE, 0xE0DD, 0)
ITEM_END = pack("<HHI", 0xFFFE, 0xE00D, 0)


def undefined(tag: int, vr: str, *parts: bytes) -> bytes:
    """An element of undefined length with its items and delimiter."""
    head = pack("<HH2sHI", tag >> 16, tag & 0xFFFF, vr.encode(), 0, 0xFFFFFFFF)
    return head + b"".join(parts) + SEQUENCE_END


def part10(*elements: bytes, syntax: str = EXPLICIT, charset: bytes | None = None) -> bytes:
    """A file of these elements, after the SOP class and instance UID that every instance has."""
    write = implicit if syntax == IMPLICIT else lambda tag, value: element(tag, "UI", value)
    ids = write(0x00080016, CT.encode() + b"\0") + write(0x00080018, b"1.2.3.4\0")
    if charset is not None:
        ids = element(0x00080005, "CS", charset) + ids
    return part10_header(CT, "1.2.3.4", syntax, source_ae="TEST") + ids + b"".join(elements)
