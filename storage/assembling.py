"""Instances whose metadata and bulk data come apart, put together (PS3.18 10.5.1.4).

Bulk data come in any order and before it is known who needs them, so they wait in a file without a name in the spool's
directory; what is small stays in memory. Then each instance goes its way through a reception as all others do.
"""

from __future__ import annotations

import codecs
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import Any

from pacs.encoded.compose import OFFSETS, PIXELS, Bulk, Piece, compose
from pacs.encoded.frames import native_bytes
from pacs.encoded.syntax import EXPLICIT_LITTLE, is_video
from pacs.encoded.write import IN_CHARSET
from pacs.errors import BadAttributes, OutOfResources, TooLarge
from pacs.pixels import parts
from pacs.pixels.parts import HEAD_BYTES
from pacs.values import Json, first, integer
from storage.importing import CHUNK_BYTES, Identity, Readable, take
from storage.reception import Reception
from storage.records import Origin
from storage.spool import Spool

MEMORY_BYTES_MAX = 4 * 1024 * 1024  # of the bulk data of a request; the rest is in the file
_FRAME = re.compile(r"(.+)/frames/([1-9][0-9]{0,8})")
_SHAPE = ("00280002", "00280008", "00280010", "00280011", "00280100")


@dataclass(frozen=True, slots=True)
class Part:
    """A part of bulk data that has arrived."""

    media_type: str
    transfer_syntax: str | None  # as declared
    bulk: Bulk


class Assembly:
    """The bulk data of a request, and the instances made with them. Use as a context."""

    def __init__(self, spool: Spool) -> None:
        self._spool, self._size = spool, 0
        self._file = SpooledTemporaryFile(MEMORY_BYTES_MAX, dir=str(spool.root))  # noqa: SIM115 - closed by __exit__
        self._parts: defaultdict[str, list[Part]] = defaultdict(list)
        self._frames: defaultdict[str, dict[int, list[Part]]] = defaultdict(lambda: defaultdict(list))

    def __enter__(self) -> Assembly:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._file.close()

    def keep(self, location: str, media_type: str, transfer_syntax: str | None, source: Readable) -> None:
        """Take in a part. Raises OutOfResources, TooLarge, and what `source` raises."""
        begin, most = self._size, self._spool.settings.object_bytes_max
        while chunk := source.read(CHUNK_BYTES):
            self._spool.check_room(len(chunk))
            if self._size - begin + len(chunk) > most:
                raise TooLarge(f"a part of more than {most} bytes")
            try:
                self._file.write(chunk)
            except OSError as error:
                raise OutOfResources(f"spool write: {error.strerror}") from error
            self._size += len(chunk)
        part = Part(media_type, transfer_syntax, Bulk(begin, self._size - begin))
        self._parts[location].append(part)
        if frame := _FRAME.fullmatch(location):
            self._frames[frame[1]][int(frame[2])].append(part)

    def unused(self, used: set[str]) -> list[str]:
        """Locations of parts that belong to none of these."""
        frames_of = {location: _FRAME.fullmatch(location) for location in self._parts}
        return [
            location
            for location, frame in frames_of.items()
            if location not in used and not (frame and frame[1] in used)
        ]

    def take(self, reception: Reception, origin: Origin, identity: Identity, dataset: Json) -> None:
        """Store the instance of these metadata; durable on return. Raises BadAttributes, PixelError, UnsupportedSyntax,
        and as `storage.importing.take`."""
        syntax, dataset, frames = self._pixels(dataset)
        made = compose(dataset, self._find(_pixel_uri(dataset)), frames)
        identity = replace(identity, transfer_syntax=syntax)
        take(reception, origin, identity, b"", _Reader(self._read(made.pieces)))

    def _pixels(self, dataset: Json) -> tuple[str, Json, list[Bulk] | None]:
        """The transfer syntax; the data set with what its frames say of themselves; its frames, if compressed."""
        uri = _pixel_uri(dataset)
        found = self._of(uri) if uri else []
        syntaxes = set()
        for part in found:
            compressed = parts.is_compressed(part.media_type, part.transfer_syntax)
            head = self._head(part) if compressed else b""
            syntaxes.add(syntax := parts.syntax_of(part.media_type, part.transfer_syntax, head))
            if compressed and (said := parts.header_of(syntax, head)):
                dataset = parts.described(dataset, said)
        if len(syntaxes) > 1:
            raise BadAttributes(f"{PIXELS}: its frames are in more than one transfer syntax")
        syntax = syntaxes.pop() if syntaxes else EXPLICIT_LITTLE
        if syntax == EXPLICIT_LITTLE:
            _check_native(dataset, found)
            return syntax, dataset, None
        count = 1 if is_video(syntax) else integer(dataset, "00280008") or 1
        if len(found) != count:
            raise BadAttributes(f"{PIXELS}: {count} frames in {len(found)} parts, of which each has one")
        return syntax, dataset, [part.bulk for part in found]

    def _find(self, pixel_uri: str) -> Any:
        def find(path: str, vr: str, uri: str) -> Sequence[Bulk]:
            found = self._of(uri)
            if uri != pixel_uri and len(found) > 1:
                raise BadAttributes("more than one part has its bulk data")
            if path.endswith("/" + PIXELS) and parts.is_compressed(
                found[0].media_type, found[0].transfer_syntax
            ):
                raise BadAttributes("compressed pixels within a sequence")
            if vr in IN_CHARSET:
                self._check_text(found)
            return [part.bulk for part in found]

        return find

    def _of(self, uri: str) -> list[Part]:
        """The parts of a value: one, or one for each frame, in their order (or by their number: PS3.18 10.4.3.3)."""
        whole, frames = self._parts.get(uri), self._frames.get(uri)
        if whole and frames:
            raise BadAttributes("it comes both as a whole and by frames")
        if whole:
            return whole
        if not frames:
            raise BadAttributes("no part has its bulk data")
        if sorted(frames) != list(range(1, len(frames) + 1)) or any(len(f) > 1 for f in frames.values()):
            raise BadAttributes("a frame is missing, or comes twice")
        return [frames[number][0] for number in sorted(frames)]

    def _head(self, part: Part) -> bytes:
        return b"".join(self._read([Bulk(part.bulk.offset, min(part.bulk.length, HEAD_BYTES))]))

    def _check_text(self, found: Sequence[Part]) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            for chunk in self._read([part.bulk for part in found]):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            raise BadAttributes("bulk data that are text, but not in UTF-8") from None

    def _read(self, pieces: Sequence[Piece]) -> Iterator[bytes]:
        for piece in pieces:
            if isinstance(piece, bytes):
                yield piece
                continue
            at, end = piece.offset, piece.offset + piece.length
            while at < end:
                self._file.seek(at)
                chunk = self._file.read(min(CHUNK_BYTES, end - at))
                if not chunk:
                    raise OutOfResources("spool read: the file is shorter than it was")
                yield chunk
                at += len(chunk)


class _Reader:
    """Pieces, read as a file is: small ones together."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._left = pieces, bytearray()

    def read(self, size: int, /) -> bytes:
        while len(self._left) < size and (piece := next(self._pieces, None)) is not None:
            self._left += piece
        taken = bytes(self._left[:size])
        del self._left[:size]
        return taken


def well_formed(dataset: Json) -> Json:
    """Its attributes by tags in capitals. Raises BadAttributes where one is no object, or comes twice."""
    found = {tag.upper(): element for tag, element in dataset.items()}
    if len(found) < len(dataset) or not all(isinstance(element, dict) for element in found.values()):
        raise BadAttributes("an attribute comes twice, or is no object")
    return found


def references(dataset: Any) -> Iterator[Json]:
    """All elements of a data set that point to bulk data, nested ones too, however odd it is."""
    waiting = [dataset]
    while waiting:
        one = waiting.pop()
        for element in one.values() if isinstance(one, dict) else ():
            if isinstance(element, dict):
                if isinstance(element.get("BulkDataURI"), str):
                    yield element
                values = element.get("Value")
                waiting += values if isinstance(values, list) else []


def _pixel_uri(dataset: Json) -> str:
    element = dataset.get(PIXELS)
    uri = element.get("BulkDataURI") if isinstance(element, dict) else None
    return uri if isinstance(uri, str) else ""


def _check_native(dataset: Json, found: Sequence[Part]) -> None:
    """Pixels that are shorter than what they are said to be did not come whole; frames that are longer came twice."""
    if not found:
        return
    shape: Json = {tag: {"Value": [integer(dataset, tag)]} for tag in _SHAPE if tag in dataset}
    shape["00280004"] = {"Value": [first(dataset, "00280004")]}
    needed, come = native_bytes(shape), sum(part.bulk.length for part in found)
    if not 0 < needed <= come or (len(found) > 1 and come > needed):
        raise BadAttributes(f"{PIXELS}: {come} bytes of bulk data where its frames have {needed}")
    if len(found) not in (1, shape.get("00280008", {}).get("Value", [1])[0]):
        raise BadAttributes(f"{PIXELS}: its parts are neither one nor as many as its frames")
    if OFFSETS in dataset:
        raise BadAttributes(f"{OFFSETS}: an offset table of pixels that are not compressed")
