"""WADO-RS, instances and their parts (PS3.18 10.4): studies, series, instances, metadata, frames, bulk data."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partial
from itertools import chain

from fastapi import APIRouter, Request
from fastapi.responses import Response

from pacs.access import Principal
from pacs.encoded.syntax import is_video
from pacs.errors import BadQuery, CannotRender, NotAcceptable
from pacs.fileset import Member, dicomdir
from pacs.pixels.description import PixelError
from pacs.pixels.encode import ENCODABLE, LOSSLESS
from pacs.pixels.parts import SYNTAXES
from pacs.transcode import BIG_ENDIAN, EXPLICIT_LITTLE, NATIVE, RPCL, can_decode, frame_in
from pacs.values import Json
from storage import retrieve
from storage.archive import Archive
from storage.contents import Ranges
from storage.retrieve import (
    Located,
    all_described,
    bulk_ranges,
    cut,
    frame_ranges,
    locate,
    part10_pieces,
    progressive_frame,
    read_frame,
    read_progressive,
    read_ranges,
    stream,
)
from storage.rewrite import rewritten
from viewer_api.auth import TheArchive, Who
from viewer_api.dicomweb.datasets import JSON, several, wants_xml
from viewer_api.dicomweb.media import MediaRange, accept_of, choose
from viewer_api.dicomweb.multipart import Multipart, Part, PiecesResponse, parts_answer
from viewer_api.dicomweb.ranges import ranged
from viewer_api.dicomweb.zipped import ZIP, File, zip_pieces
from viewer_api.direct import DirectRoute

router = APIRouter(
    prefix="/dicom-web/studies/{study_uid}", tags=["DICOMweb: retrieve"], route_class=DirectRoute
)
SERIES, INSTANCE = "/series/{series_uid}", "/series/{series_uid}/instances/{sop_instance}"
DICOM, OCTETS = "application/dicom", "application/octet-stream"
FRAMES_MAX = 1000  # in one request
# The media type of a compressed frame, or of video, by its transfer syntax (PS3.18 table 8.7.3-5).
PART_TYPES = {syntax: kind for kind, several in reversed(SYNTAXES.items()) for syntax in several}

# What frames of a type are in, if none is named and they did not come in it (PS3.18 table 8.7.3-5).
DEFAULT_SYNTAX = {
    "image/jls": "1.2.840.10008.1.2.4.80", "image/jp2": "1.2.840.10008.1.2.4.90",
    "image/jphc": "1.2.840.10008.1.2.4.201", "image/jpeg": "1.2.840.10008.1.2.4.70",
}  # fmt: skip


@router.get("")
@router.get(SERIES)
@router.get(INSTANCE)
def instances(request: Request, who: Who, archive: TheArchive, study_uid: str, series_uid: str = "",
              sop_instance: str = "") -> Response:  # fmt: skip
    """All instances of a study, a series, or one: as received, or in Explicit VR Little Endian; or as a ZIP file."""
    media_type, chosen = choose(accept_of(request), [DICOM, ZIP])
    if media_type == ZIP and not chosen.is_multipart:
        return _zipped(archive, all_described(archive, who, study_uid, series_uid, sop_instance), chosen)
    located = locate(archive, who, study_uid, series_uid, sop_instance)
    offered = [DICOM]
    if len(located) == 1:
        _, chosen = choose(accept_of(request), offered)
        if not chosen.is_multipart and chosen.media_type != "*/*":
            return single(request, archive, located[0], chosen)
    _, chosen = choose(accept_of(request), offered, multipart=True)
    return _multipart(archive, located, chosen)


def wanted_syntax(chosen: MediaRange, located: Located) -> str:
    """The transfer syntax to answer in: `*` is as received, the default is Explicit VR Little Endian (PS3.18
    8.7.3.5.2), which for what cannot be decoded (video) falls back to what was received."""
    syntax, original = chosen.transfer_syntax, located.entry.transfer_syntax
    if syntax in ("*", original):
        return original
    if syntax not in (None, EXPLICIT_LITTLE, *LOSSLESS):
        possible = ", ".join(sorted((EXPLICIT_LITTLE, *LOSSLESS)))
        raise NotAcceptable(f"possible here: transfer-syntax={possible}, or * for as received")
    if can_decode(original):
        return syntax if syntax in LOSSLESS and located.entry.frames else EXPLICIT_LITTLE
    if syntax is None:
        return original
    raise NotAcceptable(f"what came in {original} cannot be decoded; transfer-syntax=* gives it as received")


def single(request: Request, archive: Archive, located: Located, chosen: MediaRange) -> Response:
    """One instance that is no part of multipart/related; raises NotAcceptable."""
    syntax = wanted_syntax(chosen, located)
    content_type = f"{DICOM}; transfer-syntax={syntax}"
    if syntax == located.entry.transfer_syntax:
        part = Part(content_type, located.entry.length, partial(part10_pieces, archive, located))
        return ranged(request, part, located.entry.sha256)
    anew = b"".join(rewritten(archive, located, syntax))
    return ranged(request, Part.of(content_type, anew), f"{located.entry.sha256}-{syntax}")


def _multipart(archive: Archive, located: list[Located], chosen: MediaRange) -> Response:
    multipart = Multipart(DICOM)
    syntaxes = [wanted_syntax(chosen, one) for one in located]
    heads = {
        one.entry.sop_instance: multipart.head(f"{DICOM}; transfer-syntax={syntax}")
        for one, syntax in zip(located, syntaxes, strict=True)
    }
    if all(syntax == one.entry.transfer_syntax for one, syntax in zip(located, syntaxes, strict=True)):
        length = sum(len(heads[one.entry.sop_instance]) + one.entry.length for one in located)
        return multipart.answer(_as_received(archive, located, heads), length)
    return multipart.answer(_transcoded(archive, located, heads, syntaxes))


def _as_received(
    archive: Archive, located: list[Located], heads: dict[str, bytes]
) -> Iterator[bytes | memoryview]:
    for one, piece, begins in stream(archive, located):
        if begins:
            yield heads[one.entry.sop_instance]
        yield piece


def _transcoded(
    archive: Archive, located: list[Located], heads: dict[str, bytes], syntaxes: list[str]
) -> Iterator[bytes]:
    for one, syntax in zip(located, syntaxes, strict=True):
        pieces = _pieces_in(archive, one, syntax)
        yield heads[one.entry.sop_instance]
        yield from pieces


def _pieces_in(archive: Archive, located: Located, syntax: str) -> Iterator[bytes]:
    """An instance in a transfer syntax: as received where it came in that one. Raises CannotRender at once."""
    if syntax == located.entry.transfer_syntax:
        return part10_pieces(archive, located)
    return rewritten(archive, located, syntax)


def _zipped(archive: Archive, described: list[tuple[Located, Json]], chosen: MediaRange) -> Response:
    """A File-set with its DICOMDIR; as received if no transfer syntax is named: it is for media, not for a browser."""
    wanted = chosen if chosen.transfer_syntax else replace(chosen, parameters={"transfer-syntax": "*"})
    syntaxes = [wanted_syntax(wanted, one) for one, _ in described]
    directory, names = dicomdir(
        Member(attributes, syntax) for (_, attributes), syntax in zip(described, syntaxes, strict=True)
    )

    def files() -> Iterator[File]:
        yield "DICOMDIR", len(directory), [directory]
        for (one, _), name, syntax in zip(described, names, syntaxes, strict=True):
            yield name, one.entry.length, _pieces_in(archive, one, syntax)

    attached = {"Content-Disposition": f'attachment; filename="{described[0][0].study_uid}.zip"'}
    return PiecesResponse(zip_pieces(files()), headers=attached, media_type=ZIP)


@router.get("/metadata")
@router.get(SERIES + "/metadata")
def metadata(
    request: Request, who: Who, archive: TheArchive, study_uid: str, series_uid: str = ""
) -> Response:
    """The DICOM JSON of all instances, from what was written at indexing; or XML, made of it."""
    xml = wants_xml(request)
    found = retrieve.metadata_keys(archive, who, study_uid, series_uid)
    etag = f'"{hashlib.sha256("".join((*found, "xml" * xml)).encode()).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache", "Vary": "Accept, Accept-Encoding"}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    zipped = retrieve.zipped_metadata(archive, found)
    if xml:
        return several(json.loads(gzip.decompress(zipped)), xml=True, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(zipped, headers=headers | {"Content-Encoding": "gzip"}, media_type=JSON)
    return Response(gzip.decompress(zipped), headers=headers, media_type=JSON)


@router.get(INSTANCE + "/metadata")
def instance_metadata(request: Request, who: Who, archive: TheArchive, study_uid: str, series_uid: str,
                      sop_instance: str) -> Response:  # fmt: skip
    """The DICOM JSON of one instance, or XML."""
    xml = wants_xml(request)
    return several([retrieve.attributes(archive, who, study_uid, series_uid, sop_instance)], xml=xml)


def frame_numbers(text: str) -> list[int]:
    """`1,3,4` as indexes from 0; raises BadQuery."""
    parts = text.split(",")
    if not all(p.isascii() and p.isdigit() and 0 < len(p) < 10 and int(p) > 0 for p in parts):
        raise BadQuery("frames are numbers from 1 on, parted by commas")
    if len(parts) > FRAMES_MAX:
        raise BadQuery(f"more than {FRAMES_MAX} frames in one request")
    return [int(p) - 1 for p in parts]


@router.get(INSTANCE + "/frames/{frames}")
def retrieve_frames(request: Request, who: Who, archive: TheArchive, study_uid: str, series_uid: str,
                    sop_instance: str, frames: str) -> Response:  # fmt: skip
    """Frames as they are encoded, or decoded to Explicit VR Little Endian's samples."""
    located = retrieve.one(archive, who, study_uid, series_uid, sop_instance)
    original = located.entry.transfer_syntax
    compressed = _stored_type(original)
    offered = [OCTETS, *([compressed] if compressed else []), *(t for t in DEFAULT_SYNTAX if t != compressed)]
    numbers = frame_numbers(frames)
    part_type, chosen = choose(accept_of(request), offered, multipart=None if len(numbers) == 1 else True)
    syntax = _frame_syntax(part_type, chosen, located)
    ranges = [frame_ranges(located, number) for number in numbers]
    content_type = f"{part_type}; transfer-syntax={syntax}"
    tag = f"{located.entry.sha256}-{numbers[0]}-{syntax}"
    if syntax == original or (syntax not in ENCODABLE and original in NATIVE - {BIG_ENDIAN}):
        parts = [stored(archive, located, content_type, one) for one in ranges]
    else:
        parts, crc32 = _anew(archive, who, located, content_type, numbers, syntax)
        tag += f"-{crc32:08x}"  # another version's encoder may have made other bytes
    multipart = chosen.is_multipart or chosen.media_type == "*/*"
    answer = parts_answer(part_type, parts) if multipart else ranged(request, parts[0], tag)
    answer.headers["Cache-Control"] = "private, max-age=3600"
    return answer


def _stored_type(syntax: str) -> str | None:
    """The media type of what was stored in this transfer syntax, None where it is no compressed one. Video in several
    fragments (Fragmentable, PS3.6 A) is of the type of video in one."""
    return PART_TYPES.get(syntax.removesuffix(".1") if is_video(syntax) else syntax)


def _frame_syntax(part_type: str, chosen: MediaRange, located: Located) -> str:
    """The transfer syntax of frames of this media type; raises NotAcceptable."""
    original, asked = located.entry.transfer_syntax, chosen.transfer_syntax
    if part_type == OCTETS:
        return wanted_syntax(chosen, located)
    if asked in (None, "*"):
        return original if _stored_type(original) == part_type else DEFAULT_SYNTAX[part_type]
    if asked != original and (asked not in ENCODABLE or PART_TYPES[asked] != part_type):
        possible = ", ".join(sorted(s for s in {*ENCODABLE, original} if _stored_type(s) == part_type))
        raise NotAcceptable(f"possible here for {part_type}: transfer-syntax={possible}")
    return asked


def stored(archive: Archive, located: Located, content_type: str, ranges: Ranges) -> Part:
    """Bytes of an instance as they are."""
    length = sum(length for _, length in ranges)
    return Part(
        content_type, length, lambda start, count: read_ranges(archive, located, cut(ranges, start, count))
    )


def _anew(
    archive: Archive, who: Principal, located: Located, content_type: str, numbers: list[int], syntax: str
) -> tuple[list[Part], int]:
    """Frames from the HTJ2K rendition, or transcoded before the answer begins, so that what cannot be is told:
    CannotRender names the frame. Beside them the CRC-32 of the first one."""
    one = (located.study_uid, located.series_uid, located.entry.sop_instance)
    attributes = cache(partial(retrieve.attributes, archive, who, *one))
    parts, sums = [], []
    for n in numbers:
        place = progressive_frame(archive, located, n) if syntax == RPCL else None
        if place is not None:
            reading = partial(read_progressive, archive, located, place)
            parts.append(Part(content_type, place.length, reading))
            sums.append(place.crc32)
        else:
            frame = _transcoded_frame(archive, located, attributes(), n, syntax)
            parts.append(Part.of(content_type, frame))
            sums.append(zlib.crc32(frame))
    return parts, sums[0]


def _transcoded_frame(archive: Archive, located: Located, attributes: Json, n: int, syntax: str) -> bytes:
    encoded = read_frame(archive, located, n)
    try:
        return frame_in(attributes, encoded, located.entry.transfer_syntax, n, syntax)
    except PixelError as error:
        raise CannotRender(f"frame {n + 1}: {error}") from error


@router.get(INSTANCE + "/bulkdata/{path:path}")
def bulk_data(request: Request, who: Who, archive: TheArchive, study_uid: str, series_uid: str,
              sop_instance: str, path: str) -> Response:  # fmt: skip
    """A value that the metadata points to, as it is encoded."""
    located = retrieve.one(archive, who, study_uid, series_uid, sop_instance)
    _, chosen = choose(accept_of(request), [OCTETS])
    if path == "7FE00010" and located.entry.frames:
        values = list(located.entry.frames.ranges)
    else:
        values = [bulk_ranges(located, path)]
    if chosen.is_multipart:
        return parts_answer(OCTETS, [stored(archive, located, OCTETS, one) for one in values])
    whole = stored(archive, located, OCTETS, tuple(chain.from_iterable(values)))
    return ranged(request, whole, f"{located.entry.sha256}-{path}")
