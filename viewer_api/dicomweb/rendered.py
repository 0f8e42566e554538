"""WADO-RS, pictures (PS3.18 10.4.1.1.3, 10.4.1.1.4): rendered instances and frames, thumbnails."""

from __future__ import annotations

import base64
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from pacs.errors import BadQuery
from pacs.pixels.attributes import representative_frame
from storage.archive import Archive
from storage.contents import Entry
from storage.renditions import read_thumbnail, unshown
from storage.retrieve import Located, described, find_series, read_bulk, series_instances
from viewer_api.auth import TheArchive, Who
from viewer_api.dicomweb.drawing import GIF, KINDS, QUALITY, Drawing, animation, box, draw, whole, window
from viewer_api.dicomweb.media import accept_of, choose
from viewer_api.dicomweb.wado import INSTANCE, SERIES, frame_numbers
from viewer_api.direct import DirectRoute

router = APIRouter(
    prefix="/dicom-web/studies/{study_uid}", tags=["DICOMweb: pictures"], route_class=DirectRoute
)
THUMBNAIL = Drawing(box=(256, 256), quality=85)
ENCAPSULATED_DOCUMENT = "00420011"
# As what an encapsulated document is given out: what it says it is if it is one of these, else the last.
DOCUMENTS = ("application/pdf", "text/xml", "application/octet-stream")


@router.get(INSTANCE + "/rendered")
@router.get(INSTANCE + "/frames/{frames}/rendered")
def rendered(request: Request, who: Who, archive: TheArchive, study_uid: str, series_uid: str,
             sop_instance: str, frames: str = "") -> Response:  # fmt: skip
    """A frame as a picture; without a number the one that represents the instance, or as a GIF all of them. A PDF
    comes as it is."""
    located, attributes = described(archive, who, study_uid, series_uid, sop_instance)
    if ENCAPSULATED_DOCUMENT in attributes:
        return document(accept_of(request), archive, located, attributes)
    media_type, _ = choose(accept_of(request), list(KINDS), multipart=False)
    index = frame_numbers(frames)[0] if frames else representative_frame(attributes)
    how = _asked(request, media_type, located)
    headers = {"Cache-Control": "private, max-age=3600", "Vary": "Accept"}
    if media_type == GIF and not frames and (located.entry.frame_count or 0) > 1:
        return Response(animation(archive, located, attributes, how), headers=headers, media_type=GIF)
    return Response(draw(archive, located, attributes, index, how), headers=headers, media_type=media_type)


@router.get("/thumbnail")
@router.get(SERIES + "/thumbnail")
def series_thumbnail(who: Who, archive: TheArchive, study_uid: str, series_uid: str = "") -> Response:
    """The thumbnail of a series; of a study, that of its largest series with pictures."""
    rows = find_series(archive, who, study_uid, series_uid)
    row = max(rows, key=lambda r: (r.has_pixels, r.instance_count))
    # What was made before shows what may be rejected meanwhile.
    made = row.derived_count > 0
    picture = read_thumbnail(archive, row.series_pk, row.modality) if made else unshown(row.modality)
    fresh = row.derived_count >= row.instance_count
    cache = "private, max-age=300" if fresh else "no-store"
    return Response(picture, headers={"Cache-Control": cache}, media_type="image/jpeg")


@router.get(INSTANCE + "/thumbnail")
def instance_thumbnail(request: Request, who: Who, archive: TheArchive, study_uid: str, series_uid: str,
                       sop_instance: str) -> Response:  # fmt: skip
    """A small picture of one instance."""
    located, attributes = described(archive, who, study_uid, series_uid, sop_instance)
    small = draw(archive, located, attributes, representative_frame(attributes), THUMBNAIL)
    return Response(small, media_type=THUMBNAIL.media_type)


@router.get("/rendered")
@router.get(SERIES + "/rendered")
def rendered_series(
    request: Request, who: Who, archive: TheArchive, study_uid: str, series_uid: str = ""
) -> Response:
    """The middle instance of a series, or of a study's first series with pictures."""
    rows = find_series(archive, who, study_uid, series_uid)
    row = next((r for r in rows if r.has_pixels), rows[0])
    located = series_instances(archive, row)
    middle = located[len(located) // 2]
    return rendered(request, who, archive, study_uid, middle.series_uid, middle.entry.sop_instance)


def document(accept: str, archive: Archive, located: Located, attributes: Any) -> Response:
    """An encapsulated document, never as HTML: it must not run in the portal's origin."""
    said = str((attributes.get("00420012", {}).get("Value") or [""])[0])
    media_type = said if said in DOCUMENTS else DOCUMENTS[-1]
    choose(accept, [media_type], multipart=False)
    if "InlineBinary" in attributes[ENCAPSULATED_DOCUMENT]:
        data = base64.b64decode(attributes[ENCAPSULATED_DOCUMENT]["InlineBinary"])
    else:
        data = read_bulk(archive, located, ENCAPSULATED_DOCUMENT)
    headers = {"Content-Security-Policy": "sandbox", "X-Content-Type-Options": "nosniff"}
    return Response(data, headers=headers, media_type=media_type)


def _asked(request: Request, media_type: str, located: Located) -> Drawing:
    """`window=center,width[,function]`, `viewport=width,height[,sx,sy[,sw,sh]]` and `quality` (PS3.18 8.3.5.1)."""
    given = request.query_params
    parts = (given.get("window") or "").split(",")
    if parts != [""] and not 2 <= len(parts) <= 3:
        raise BadQuery("window is center,width and linear, linear-exact or sigmoid")
    viewport = (given.get("viewport") or "").split(",")
    if viewport != [""] and len(viewport) not in (2, 4, 6):
        raise BadQuery("viewport is width,height[,sx,sy[,sw,sh]] in pixels")
    return Drawing(
        media_type=media_type,
        window=window(*parts) if len(parts) > 1 else None,
        region=_source(viewport[2:], located.entry) if len(viewport) > 2 else None,
        box=box(*viewport[:2]) if len(viewport) > 1 else None,
        quality=whole("quality", given.get("quality") or str(QUALITY), 1, 100),
    )


def _source(texts: list[str], entry: Entry) -> tuple[float, float, float, float]:
    """The part of the source that a viewport shows: where it begins and its size in pixels, as fractions. An empty
    one is all from there on."""
    try:
        sx, sy, sw, sh = (float(t) if t else None for t in [*texts, "", ""][:4])
    except ValueError:
        raise BadQuery("the source rectangle of a viewport is sx,sy,sw,sh in pixels") from None
    left, right = _span(sx, sw, entry.columns)
    top, bottom = _span(sy, sh, entry.rows)
    return left, top, right, bottom


def _span(start: float | None, size: float | None, pixels: int) -> tuple[float, float]:
    low = start or 0.0
    high = low + size if size is not None else float(pixels)
    if not 0 <= low < high <= pixels:
        raise BadQuery(f"the source rectangle of a viewport is not within the picture of {pixels} pixels")
    return low / pixels, high / pixels
