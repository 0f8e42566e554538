"""Contents: per series and pack, where each instance lies and what a viewer must know to lay it out.

An immutable, gzipped JSON object. A series' contents are those of all its packs together, so two workers never
write the same object, and running twice writes the same bytes.
"""

from __future__ import annotations

import gzip
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from isal import isal_zlib

from pacs.encoded import BulkValue, Instance
from pacs.values import Json, first, floats, integer, text
from storage.records import Record

Ranges = tuple[tuple[int, int], ...]
_GZIP = 31  # the window of 15 bits, and 16 for gzip's header, which then holds no time
_write = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
KEPT_NOTES = ("charset:", "undecoded:")  # of those that the parser makes


@dataclass(frozen=True, slots=True)
class Frames:
    """Where the frames are in the Part 10 bytes. Native frames lie in a row; encapsulated ones each in fragments."""

    encapsulated: bool
    ranges: tuple[Ranges, ...]

    def encode(self) -> Any:
        if self.encapsulated or not _regular(self.ranges):
            return {"e": self.encapsulated, "r": self.ranges}
        (offset, length), *_ = (ranges[0] for ranges in self.ranges)
        return {"o": offset, "l": length, "n": len(self.ranges)}

    @staticmethod
    def decode(data: Any) -> Frames:
        if "r" in data:
            return Frames(data["e"], tuple(tuple((o, n) for o, n in frame) for frame in data["r"]))
        offset, length = data["o"], data["l"]
        return Frames(False, tuple(((offset + i * length, length),) for i in range(data["n"])))


def _regular(ranges: tuple[Ranges, ...]) -> bool:
    if not ranges or any(len(r) != 1 for r in ranges):
        return False
    (offset, length) = ranges[0][0]
    return all(r[0] == (offset + i * length, length) for i, r in enumerate(ranges))


@dataclass(frozen=True, slots=True)
class Entry:
    """One instance in one pack. Offsets of `frames` and `bulk` count from the start of its Part 10 bytes."""

    sop_instance: str
    sop_class: str
    transfer_syntax: str
    pack: uuid.UUID
    offset: int  # of the Part 10 bytes in the pack
    length: int  # of the Part 10 bytes
    dataset_offset: int  # in the Part 10 bytes
    sha256: str  # of the data set as received
    number: int | None = None
    frame_count: int = 1
    rows: int = 0
    columns: int = 0
    position: tuple[float, ...] | None = None  # ImagePositionPatient, mm
    orientation: tuple[float, ...] | None = None  # ImageOrientationPatient
    frames: Frames | None = None
    bulk: tuple[BulkValue, ...] = ()
    conflict: bool = False  # the same UID with other content is shown in its place
    notes: tuple[str, ...] = ()  # repairs of its text, in fixed words, without patient data


def describe(instance: Instance, record: Record, pack: uuid.UUID, sop: tuple[str, str], sha256: str) -> Entry:
    """The entry of a parsed instance. `sop` is its SOP Instance UID and SOP Class UID."""
    a = instance.attributes
    position, orientation = floats(a, "00200032", 3), floats(a, "00200037", 6)
    frames = integer(a, "00280008") or 1
    layout = instance.pixels
    return Entry(
        sop_instance=sop[0],
        sop_class=sop[1],
        transfer_syntax=record.header.transfer_syntax,
        pack=pack,
        offset=record.body_offset,
        length=record.body_length,
        dataset_offset=record.header.dataset_offset,
        sha256=sha256,
        number=integer(a, "00200013"),
        frame_count=max(frames, 1) if layout else 0,
        rows=integer(a, "00280010") or 0,
        columns=integer(a, "00280011") or 0,
        position=tuple(position) if position else None,
        orientation=tuple(orientation) if orientation else None,
        frames=Frames(layout.encapsulated, layout.frames) if layout else None,
        bulk=instance.bulk,
        notes=tuple(n for n in instance.notes if n.startswith(KEPT_NOTES)),
    )


def encode(entries: list[Entry]) -> bytes:
    """The object's bytes."""
    return _zip(_write([_to_json(e) for e in entries]).encode())


def decode(data: bytes, pack: uuid.UUID) -> list[Entry]:
    """The entries of one contents object."""
    return [_from_json(item, pack) for item in json.loads(gzip.decompress(data))]


def encode_metadata(attributes: list[Json]) -> bytes:
    """A gzipped JSON array, one instance a line: for a series that lies in one pack it is the answer itself."""
    known: dict[tuple[str, int], str] = {}
    return join_metadata([f"{{{','.join(_members(a, known))}}}".encode() for a in attributes])


def join_metadata(lines: Sequence[bytes]) -> bytes:
    """The same of instances' JSON objects as `decode_metadata` gives them."""
    return _zip(b"[\n" + b",\n".join(lines) + b"\n]")


def _members(attributes: Json, known: dict[tuple[str, int], str]) -> list[str]:
    """The members of an object as JSON; `known` by identity, since instances share what is equal in them
    (`pacs.encoded.Recall`)."""
    return [known.get((key, id(value))) or _member(key, value, known) for key, value in attributes.items()]


def _member(key: str, value: Any, known: dict[tuple[str, int], str]) -> str:
    written = known[key, id(value)] = f'"{key}":{_write(value)}'
    return written


def decode_metadata(data: bytes) -> list[bytes]:
    """The instances' JSON objects, each as it is written."""
    return [line.rstrip(b",") for line in gzip.decompress(data).split(b"\n")[1:-1]]


def _zip(data: bytes) -> bytes:
    return isal_zlib.compress(data, isal_zlib.ISAL_BEST_COMPRESSION, _GZIP)


def _to_json(e: Entry) -> Json:
    item: Json = {
        "uid": e.sop_instance, "class": e.sop_class, "ts": e.transfer_syntax, "at": [e.offset, e.length],
        "ds": e.dataset_offset, "sha256": e.sha256, "no": e.number, "fc": e.frame_count,
        "size": [e.rows, e.columns],
    }  # fmt: skip
    if e.position:
        item["pos"] = e.position
    if e.orientation:
        item["ori"] = e.orientation
    if e.frames:
        item["frames"] = e.frames.encode()
    if e.bulk:
        item["bulk"] = [[b.path, b.vr, b.offset, b.length] for b in e.bulk]
    if e.conflict:
        item["conflict"] = True
    if e.notes:
        item["notes"] = e.notes
    return item


def _from_json(item: Json, pack: uuid.UUID) -> Entry:
    return Entry(
        sop_instance=item["uid"], sop_class=item["class"], transfer_syntax=item["ts"], pack=pack,
        offset=item["at"][0], length=item["at"][1], dataset_offset=item["ds"], sha256=item["sha256"],
        number=item["no"], frame_count=item["fc"], rows=item["size"][0], columns=item["size"][1],
        position=tuple(item["pos"]) if "pos" in item else None,
        orientation=tuple(item["ori"]) if "ori" in item else None,
        frames=Frames.decode(item["frames"]) if "frames" in item else None,
        bulk=tuple(BulkValue(*b) for b in item.get("bulk", ())),
        conflict=item.get("conflict", False),
        notes=tuple(item.get("notes", ())),
    )  # fmt: skip


def in_display_order(entries: list[Entry]) -> list[Entry]:
    """Along the slice normal where all share an orientation, else by instance number, then UID.

    PS3.3 C.7.6.2.1.1: the normal is the cross product of the row and column cosines.
    """
    if _one_stack(entries):
        return sorted(entries, key=lambda e: (_along_normal(e), e.number or 0, e.sop_instance))
    return sorted(entries, key=lambda e: (e.number is None, e.number or 0, e.sop_instance))


def _one_stack(entries: list[Entry]) -> bool:
    if len(entries) < 2 or any(e.position is None or e.orientation is None for e in entries):
        return False
    reference = entries[0].orientation or ()
    parallel = all(
        all(abs(a - b) < 1e-3 for a, b in zip(e.orientation or (), reference, strict=True)) for e in entries
    )
    # Several images at one place (time series, b-values) are told apart by number, so the number leads.
    return parallel and len({round(_along_normal(e), 3) for e in entries}) == len(entries)


def _along_normal(entry: Entry) -> float:
    assert entry.position is not None
    assert entry.orientation is not None
    (rx, ry, rz, cx, cy, cz), (x, y, z) = entry.orientation, entry.position
    return x * (ry * cz - rz * cy) + y * (rz * cx - rx * cz) + z * (rx * cy - ry * cx)


def sop_of(attributes: Json) -> tuple[str, str]:
    """SOP Instance UID and SOP Class UID as text, perhaps empty."""
    return text(attributes, "00080018"), str(first(attributes, "00080016") or "")
