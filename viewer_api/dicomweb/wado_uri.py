"""WADO-URI (PS3.18 9): one instance by its UIDs in the query, as DICOM or as a picture. For links in reports and old
systems; all else goes by WADO-RS."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.datastructures import QueryParams

from pacs.encoded.syntax import is_video
from pacs.errors import BadQuery
from pacs.pixels.attributes import representative_frame
from pacs.uids import clean_uid
from storage.retrieve import Located, described
from viewer_api.auth import TheArchive, Who
from viewer_api.dicomweb.annotation import annotation
from viewer_api.dicomweb.drawing import (
    KINDS,
    PIXELS_MAX,
    QUALITY,
    SIDE_MAX,
    Drawing,
    box,
    draw,
    whole,
    window,
)  # fmt: skip
from viewer_api.dicomweb.media import MediaRange, choose, warned
from viewer_api.dicomweb.rendered import ENCAPSULATED_DOCUMENT, document
from viewer_api.dicomweb.video import film
from viewer_api.dicomweb.wado import DICOM, single

router = APIRouter(tags=["DICOMweb: WADO-URI"])
UIDS = ("studyUID", "seriesUID", "objectUID")
FRAMES_MAX = 10**6


@router.get("/wado")
def wado(request: Request, who: Who, archive: TheArchive) -> Response:
    """`requestType=WADO`, three UIDs, `contentType`, and what PS3.18 9.1.2 has beside them."""
    given = request.query_params
    if given.get("requestType") != "WADO":
        raise BadQuery("requestType is WADO")
    if given.get("anonymize"):
        raise BadQuery("anonymize is not offered")
    uids = [clean_uid(given.get(name) or "") for name in UIDS]
    located, attributes = described(archive, who, *uids)
    accept = given.get("contentType") or ""
    if ENCAPSULATED_DOCUMENT in attributes and DICOM not in accept:
        return document(accept, archive, located, attributes)
    if is_video(located.entry.transfer_syntax) and accept and DICOM not in accept:
        return film(request, accept, archive, located)
    media_type, _ = choose(accept, _offered(located), multipart=False)
    if media_type == DICOM:
        syntax = given.get("transferSyntax")
        wanted = MediaRange(DICOM, 1.0, {"transfer-syntax": syntax} if syntax else {})
        return single(request, archive, located, wanted)
    number = given.get("frameNumber")
    index = whole("frameNumber", number, 1, FRAMES_MAX) - 1 if number else representative_frame(attributes)
    how = _asked(given, media_type, located)
    drawn = draw(archive, located, attributes, index, how)
    headers = {"Cache-Control": "private, max-age=3600"} | warned(drawn.warnings)
    return Response(drawn.data, headers=headers, media_type=media_type)


def _offered(located: Located) -> list[str]:
    """What it can be, the default first: a picture of a single frame, all else as DICOM (PS3.18 9.1.2.1.1)."""
    if located.entry.frames is None:
        return [DICOM]
    return [*KINDS, DICOM] if located.entry.frame_count == 1 else [DICOM, *KINDS]


def _asked(given: QueryParams, media_type: str, located: Located) -> Drawing:
    center, width = given.get("windowCenter"), given.get("windowWidth")
    if bool(center) != bool(width):
        raise BadQuery("windowCenter and windowWidth come together")
    rows, columns = given.get("rows"), given.get("columns")
    return Drawing(
        media_type=media_type,
        window=window(center, width) if center and width else None,
        region=_region(given.get("region") or ""),
        box=_box(columns, rows),
        quality=whole("imageQuality", given.get("imageQuality") or str(QUALITY), 1, 100),
        annotation=annotation(given),
    )


def _box(columns: str | None, rows: str | None) -> tuple[int, int] | None:
    """One of them alone bounds that side."""
    if rows and columns:
        return box(columns, rows)
    if not rows and not columns:
        return None
    side = whole("rows" if rows else "columns", rows or columns or "", 1, SIDE_MAX)
    other = min(SIDE_MAX, PIXELS_MAX // side)
    return (other, side) if rows else (side, other)


def _region(text: str) -> tuple[float, float, float, float] | None:
    """`xmin,ymin,xmax,ymax`, each from 0 to 1."""
    if not text:
        return None
    try:
        left, top, right, bottom = (float(part) for part in text.split(","))
    except ValueError:
        raise BadQuery("region is xmin,ymin,xmax,ymax") from None
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise BadQuery("region is xmin,ymin,xmax,ymax, each from 0 to 1 and the first below the second")
    return left, top, right, bottom
