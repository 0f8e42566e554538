"""WADO-RS, instances and their parts (PS3.18 10.4): studies, series, instances, metadata."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partial

from fastapi import APIRouter, Request
from fastapi.responses import Response

from pacs.errors import NotAcceptable
from pacs.fileset import Member, dicomdir
from pacs.pixels.encode import LOSSLESS
from pacs.transcode import EXPLICIT_LITTLE, can_decode
from pacs.values import Json
from storage import location, retrieve
from storage.archive import Archive
from storage.blobs.lent import Piece
from storage.lending import lent_instances, lent_part10
from storage.location import Located, all_described, locate
from storage.retrieve import part10_pieces
from storage.rewrite import rewritten
from viewer_api.auth import TheArchive, Who
from viewer_api.dicomweb.datasets import JSON, several, wants_xml
from viewer_api.dicomweb.media import MediaRange, accept_of, first_possible
from viewer_api.dicomweb.multipart import Multipart, Part, PiecesResponse
from viewer_api.dicomweb.places import root_of, url_of
from viewer_api.dicomweb.ranges import ranged
from viewer_api.dicomweb.zipped import ZIP, File, zip_pieces

router = APIRouter(prefix="/dicom-web/studies/{study_uid}", tags=["DICOMweb: retrieve"])
SERIES, INSTANCE = "/series/{series_uid}", "/series/{series_uid}/instances/{sop_instance}"
DICOM, OCTETS = "application/dicom", "application/octet-stream"


@router.get("")
@router.get(SERIES)
@router.get(INSTANCE)
def instances(request: Request, who: Who, archive: TheArchive, study_uid: str, series_uid: str = "",
              sop_instance: str = "") -> Response:  # fmt: skip
    """All instances of a study, a series, or one: as received, or in Explicit VR Little Endian; or as a ZIP file."""
    found = cache(lambda: locate(archive, who, study_uid, series_uid, sop_instance))

    def answer(media_type: str, chosen: MediaRange) -> Response:
        if media_type == ZIP and chosen.is_multipart:
            raise NotAcceptable(f"possible here: {DICOM} in multipart/related, {ZIP} by itself")
        if media_type == ZIP:
            described = all_described(archive, who, study_uid, series_uid, sop_instance)
            return _zipped(archive, described, chosen)
        if chosen.is_multipart or chosen.media_type == "*/*":
            return _multipart(archive, root_of(request), found(), chosen)
        if len(found()) > 1:
            raise NotAcceptable(f'possible here: multipart/related; type="{DICOM}", {ZIP}')
        return single(request, archive, found()[0], chosen)

    return first_possible(accept_of(request), [DICOM, ZIP], answer)


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
        part = Part(content_type, located.entry.length, partial(lent_part10, archive, located))
        return ranged(request, part, located.entry.sha256)
    anew = b"".join(rewritten(archive, located, syntax))
    return ranged(request, Part.of(content_type, anew), f"{located.entry.sha256}-{syntax}")


def _multipart(archive: Archive, root: str, located: list[Located], chosen: MediaRange) -> Response:
    multipart = Multipart(DICOM)
    syntaxes = [wanted_syntax(chosen, one) for one in located]
    heads = {
        one.entry.sop_instance: multipart.head(f"{DICOM}; transfer-syntax={syntax}", url_of(root, one))
        for one, syntax in zip(located, syntaxes, strict=True)
    }
    if all(syntax == one.entry.transfer_syntax for one, syntax in zip(located, syntaxes, strict=True)):
        length = sum(len(heads[one.entry.sop_instance]) + one.entry.length for one in located)
        return multipart.answer(_as_received(archive, located, heads), length)
    return multipart.answer(_transcoded(archive, located, heads, syntaxes))


def _as_received(archive: Archive, located: list[Located], heads: dict[str, bytes]) -> Iterator[Piece]:
    for one, piece, begins in lent_instances(archive, located):
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
    found = location.metadata_keys(archive, who, study_uid, series_uid)
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
    return several([location.attributes(archive, who, study_uid, series_uid, sop_instance)], xml=xml)
