"""WADO-RS, frames and bulk data (PS3.18 10.4.1.1.1, 8.7.3.3): as they are encoded, or in another transfer syntax."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import chain

from fastapi import APIRouter, Request
from fastapi.responses import Response

from pacs.access import Principal
from pacs.encoded.syntax import is_video
from pacs.errors import BadQuery, CannotRender, NotAcceptable
from pacs.pixels.description import PixelError
from pacs.pixels.encode import ENCODABLE
from pacs.pixels.parts import SYNTAXES
from pacs.transcode import BIG_ENDIAN, EXPLICIT_LITTLE, NATIVE, RPCL, frame_in
from storage import location
from storage.archive import Archive
from storage.contents import Ranges
from storage.lending import lent_ranges
from storage.location import Located
from storage.retrieve import bulk_ranges, cut, frame_ranges, progressive_frame, read_frame, read_progressive
from viewer_api.auth import TheArchive, Who
from viewer_api.dicomweb.media import MediaRange, accept_of, choose, first_possible
from viewer_api.dicomweb.multipart import Part, parts_answer
from viewer_api.dicomweb.places import root_of, url_of
from viewer_api.dicomweb.ranges import ranged
from viewer_api.dicomweb.wado import INSTANCE, OCTETS, wanted_syntax

router = APIRouter(prefix="/dicom-web/studies/{study_uid}", tags=["DICOMweb: retrieve"])
PIXELS = "7FE00010"
FRAMES_MAX = 1000  # in one request
# The media type of a compressed frame, or of video, by its transfer syntax (PS3.18 table 8.7.3-5).
PART_TYPES = {syntax: kind for kind, several in reversed(SYNTAXES.items()) for syntax in several}

# What frames of a type are in, if none is named and they did not come in it (PS3.18 table 8.7.3-5).
DEFAULT_SYNTAX = {
    "image/jls": "1.2.840.10008.1.2.4.80", "image/jp2": "1.2.840.10008.1.2.4.90",
    "image/jphc": "1.2.840.10008.1.2.4.201", "image/jpeg": "1.2.840.10008.1.2.4.70",
}  # fmt: skip


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
    located = location.one(archive, who, study_uid, series_uid, sop_instance)
    original = located.entry.transfer_syntax
    compressed = _stored_type(original)
    offered = [OCTETS, *([compressed] if compressed else []), *(t for t in DEFAULT_SYNTAX if t != compressed)]
    numbers = frame_numbers(frames)
    ranges = [frame_ranges(located, number) for number in numbers]
    url = url_of(root_of(request), located)

    def answer(part_type: str, chosen: MediaRange) -> Response:
        syntax = _frame_syntax(part_type, chosen, located)
        content_type = f"{part_type}; transfer-syntax={syntax}"
        urls = [f"{url}/frames/{number + 1}" for number in numbers]
        tag = f"{located.entry.sha256}-{numbers[0]}-{syntax}"
        if _as_stored(syntax, original):
            parts = [stored(archive, located, content_type, *one) for one in zip(ranges, urls, strict=True)]
        else:
            frames_made = list(_made(archive, who, located, content_type, numbers, urls, syntax))
            parts = [part for part, _ in frames_made]
            tag += f"-{frames_made[0][1]:08x}"  # another version's encoder may have made other bytes
        if chosen.is_multipart or chosen.media_type == "*/*":
            return parts_answer(part_type, parts)
        return ranged(request, parts[0], tag)

    made = first_possible(accept_of(request), offered, answer, multipart=None if len(numbers) == 1 else True)
    made.headers["Cache-Control"] = "private, max-age=3600"
    return made


def _stored_type(syntax: str) -> str | None:
    """The media type of what was stored in this transfer syntax, None where it is no compressed one. Video in several
    fragments (Fragmentable, PS3.6 A) is of the type of video in one."""
    return PART_TYPES.get(syntax.removesuffix(".1") if is_video(syntax) else syntax)


def _as_stored(syntax: str, original: str) -> bool:
    """Whether frames in a syntax are the bytes that came: also native ones, but for their order."""
    return syntax == original or (syntax not in ENCODABLE and original in NATIVE - {BIG_ENDIAN})


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


def stored(archive: Archive, located: Located, content_type: str, ranges: Ranges, url: str = "") -> Part:
    """Bytes of an instance as they are."""
    length = sum(length for _, length in ranges)
    return Part(
        content_type,
        length,
        lambda start, count: lent_ranges(archive, located, cut(ranges, start, count)),
        url,
    )


def _made(
    archive: Archive, who: Principal, located: Located, content_type: str, numbers: list[int], urls: list[str],
    syntax: str,
) -> Iterator[tuple[Part, int]]:  # fmt: skip
    """Frames from the HTJ2K rendition, or transcoded, each with its CRC-32. Raises CannotRender."""
    transcoded = _transcoder(archive, who, located, syntax)
    for n, url in zip(numbers, urls, strict=True):
        place = progressive_frame(archive, located, n) if syntax == RPCL else None
        if place is not None:
            reading = partial(read_progressive, archive, located, place)
            yield Part(content_type, place.length, reading, url), place.crc32
        else:
            frame = transcoded(n)
            yield Part.of(content_type, frame, url), zlib.crc32(frame)


def _transcoder(archive: Archive, who: Principal, located: Located, syntax: str) -> Callable[[int], bytes]:
    """What gives a frame (from 0) in a transfer syntax; it raises CannotRender, which names the frame. The attributes
    are read at the first."""
    one = (located.study_uid, located.series_uid, located.entry.sop_instance)
    attributes = cache(partial(location.attributes, archive, who, *one))

    def frame(n: int) -> bytes:
        encoded, original = read_frame(archive, located, n), located.entry.transfer_syntax
        try:
            return frame_in(attributes(), encoded, original, n, syntax)
        except PixelError as error:
            raise CannotRender(f"frame {n + 1}: {error}") from error

    return frame


@router.get(INSTANCE + "/bulkdata/{path:path}")
def bulk_data(request: Request, who: Who, archive: TheArchive, study_uid: str, series_uid: str,
              sop_instance: str, path: str) -> Response:  # fmt: skip
    """A value that the metadata points to, as it is encoded."""
    located = location.one(archive, who, study_uid, series_uid, sop_instance)
    url = f"{url_of(root_of(request), located)}/bulkdata/{path}"
    if path == PIXELS and located.entry.frames:
        return _pixels(request, who, archive, located, url)
    part = stored(archive, located, OCTETS, bulk_ranges(located, path), url)
    _, chosen = choose(accept_of(request), [OCTETS])
    if chosen.is_multipart:
        return parts_answer(OCTETS, [part])
    return ranged(request, part, f"{located.entry.sha256}-{path}")


def _pixels(request: Request, who: Principal, archive: Archive, located: Located, url: str) -> Response:
    """All frames: native ones as one value (PS3.18 8.7.3.3.1), compressed ones each in a part of multipart/related, or
    one after the other."""
    assert located.entry.frames is not None, "only called for entries with frames"
    ranges, original = located.entry.frames.ranges, located.entry.transfer_syntax
    compressed = _stored_type(original)

    def answer(part_type: str, chosen: MediaRange) -> Response:
        syntax = _frame_syntax(part_type, chosen, located)
        content_type = f"{part_type}; transfer-syntax={syntax}"
        if part_type != OCTETS and not (chosen.is_multipart and syntax == original):
            raise NotAcceptable(f'possible here: multipart/related; type="{part_type}"; transfer-syntax=*')
        if not _as_stored(syntax, original):
            values = [_decoded(archive, who, located, content_type, url)]
        elif chosen.is_multipart and original not in NATIVE:
            values = [stored(archive, located, content_type, one, url) for one in ranges]
        else:
            values = [stored(archive, located, content_type, _whole(ranges, original), url)]
        if chosen.is_multipart:
            return parts_answer(part_type, values)
        return ranged(request, values[0], f"{located.entry.sha256}-{PIXELS}-{syntax}")

    return first_possible(accept_of(request), [OCTETS, *([compressed] if compressed else [])], answer)


def _whole(frames: tuple[Ranges, ...], syntax: str) -> Ranges:
    """All of them; native ones lie one behind the other, those of 1 bit may share a byte."""
    if syntax not in NATIVE:
        return tuple(chain.from_iterable(frames))
    start, (last, length) = frames[0][0][0], frames[-1][-1]
    return ((start, last + length - start),)


def _decoded(archive: Archive, who: Principal, located: Located, content_type: str, url: str) -> Part:
    """All frames decoded while they are sent, each as long as the first, of which CannotRender is raised at once."""
    assert located.entry.frames is not None, "only called for entries with frames"
    count = len(located.entry.frames.ranges)
    decoded = _transcoder(archive, who, located, EXPLICIT_LITTLE)
    size = len(decoded(0))

    def read(start: int, length: int) -> Iterator[bytes]:
        for n in range(start // size, -(-(start + length) // size)):
            yield decoded(n)[max(0, start - n * size) : start + length - n * size]

    return Part(content_type, size * count, read, url)
