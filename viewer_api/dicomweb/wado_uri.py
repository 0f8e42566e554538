"""WADO-URI (PS3.18 9): one instance by its UIDs in the query, as DICOM or as a picture. For links in reports and old
systems; all else goes by WADO-RS."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.datastructures import QueryParams

from pacs.encoded.syntax import is_video
from pacs.errors import BadQuery
from pacs.pixels.attributes import representative_frame
from pacs.pixels.video import CONTAINERS
from pacs.uids import clean_uid
from pacs.values import Json
from storage.location import Located, described
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
from viewer_api.dicomweb.media import MediaRange, choose, preferring, warned
from viewer_api.dicomweb.rendered import ENCAPSULATED_DOCUMENT, document, document_type
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
    accept = preferring(given.get("contentType") or "", request.headers.get("accept", ""))
    media_type, _ = choose(accept, _offered(located, attributes), multipart=False)
    if media_type == DICOM:
        if given.get("windowCenter") or given.get("windowWidth"):
            raise BadQuery("a window is of pictures")
        return single(request, archive, located, MediaRange(DICOM, 1.0, _syntax(given.get("transferSyntax"))))
    if ENCAPSULATED_DOCUMENT in attributes:
        return document(archive, located, attributes)
    if is_video(located.entry.transfer_syntax):
        return film(request, accept, archive, located)
    index = _frame(given.get("frameNumber"), located, attributes)
    how = _asked(given, media_type, located)
    drawn = draw(archive, located, attributes, index, how)
    headers = {"Cache-Control": "private, max-age=3600"} | warned(drawn.warnings)
    return Response(drawn.data, headers=headers, media_type=media_type)


def _offered(located: Located, attributes: Json) -> list[str]:
    """What it can be, the default first: a picture of a single frame, all else as DICOM (PS3.18 9.1.2.2.1)."""
    if ENCAPSULATED_DOCUMENT in attributes:
        return [document_type(attributes), DICOM]
    if located.entry.frames is None:
        return [DICOM]
    if is_video(located.entry.transfer_syntax):
        return [DICOM, *CONTAINERS]
    return [*KINDS, DICOM] if located.entry.frame_count == 1 else [DICOM, *KINDS]


def _syntax(text: str | None) -> dict[str, str]:
    """Raises InvalidUID."""
    if not text:
        return {}
    return {"transfer-syntax": text if text == "*" else clean_uid(text)}


def _frame(number: str | None, located: Located, attributes: Json) -> int:
    """From 0; raises BadQuery for one that the instance does not have (PS3.18 9.5.2.1)."""
    if not number:
        return representative_frame(attributes)
    return whole("frameNumber", number, 1, min(located.entry.frame_count or 1, FRAMES_MAX)) - 1


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
