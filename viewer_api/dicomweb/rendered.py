"""WADO-RS, pictures (PS3.18 10.4.1.1.3, 10.4.1.1.4): rendered instances and frames, thumbnails."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from pacs.access import Principal
from pacs.encoded.syntax import is_video
from pacs.errors import BadQuery, CannotRender, NotAcceptable
from pacs.pixels.attributes import representative_frame
from pacs.values import Json
from storage.archive import Archive
from storage.contents import Entry
from storage.location import Located, all_described, described, find_series, series_instances
from storage.renditions import read_thumbnail, unshown
from storage.retrieve import frame_ranges, read_bulk
from viewer_api.auth import TheArchive, Who
from viewer_api.dicomweb.annotation import annotation
from viewer_api.dicomweb.drawing import GIF, KINDS, QUALITY, Drawing, animation, box, draw, whole, window
from viewer_api.dicomweb.frames import frame_numbers
from viewer_api.dicomweb.media import MediaRange, accept_of, choose, first_possible, fitting, warned
from viewer_api.dicomweb.multipart import Multipart
from viewer_api.dicomweb.places import root_of, url_of
from viewer_api.dicomweb.video import film
from viewer_api.dicomweb.wado import INSTANCE, SERIES
from viewer_api.problems import PROBLEM, problem

router = APIRouter(prefix="/dicom-web/studies/{study_uid}", tags=["DICOMweb: pictures"])
THUMBNAIL = Drawing(box=(256, 256), quality=85)
ENCAPSULATED_DOCUMENT = "00420011"
# As what an encapsulated document is given out: what it says it is if it is one of these, else the last.
DOCUMENTS = ("application/pdf", "text/xml", "application/octet-stream")


Shown = tuple[Located, Json, int]  # an instance, its attributes, and the frame of it, from 0


@router.get(INSTANCE + "/rendered")
@router.get(INSTANCE + "/frames/{frames}/rendered")
def rendered(request: Request, who: Who, archive: TheArchive, study_uid: str, series_uid: str,
             sop_instance: str, frames: str = "") -> Response:  # fmt: skip
    """Frames as pictures, each in a part of multipart/related or all as a GIF; one by itself, which without a number is
    the one that represents the instance. A PDF and video come as they are."""
    located, attributes = described(archive, who, study_uid, series_uid, sop_instance)
    accept = accept_of(request)
    if ENCAPSULATED_DOCUMENT in attributes:
        choose(accept, [document_type(attributes)], multipart=False)
        return document(archive, located, attributes)
    if is_video(located.entry.transfer_syntax) and not frames:
        return film(request, accept, archive, located)
    asked = frame_numbers(frames) if frames else []
    for number in asked:
        frame_ranges(located, number)
    numbers = asked or range(located.entry.frame_count or 1)

    def answer(media_type: str, chosen: MediaRange) -> Response:
        if chosen.is_multipart or (chosen.media_type == "*/*" and len(asked) > 1):
            return _pictures(request, archive, media_type, ((located, attributes, n) for n in numbers))
        how = _asked(request, media_type, located)
        if media_type == GIF and len(asked) != 1 and len(numbers) > 1:
            drawn = animation(archive, located, attributes, numbers, how)
        elif len(asked) > 1:
            raise NotAcceptable(f'several frames; possible here: multipart/related; type="image/jpeg", {GIF}')
        else:
            index = asked[0] if asked else representative_frame(attributes)
            drawn = draw(archive, located, attributes, index, how)
        return Response(drawn.data, headers=warned(drawn.warnings), media_type=media_type)

    made = first_possible(accept, list(KINDS), answer)
    made.headers.update({"Cache-Control": "private, max-age=3600", "Vary": "Accept"})
    return made


@router.get("/rendered")
@router.get(SERIES + "/rendered")
def rendered_series(
    request: Request, who: Who, archive: TheArchive, study_uid: str, series_uid: str = ""
) -> Response:
    """Of each instance a picture, in multipart/related; else that of the middle instance of a series, or of a study's
    first series with pictures."""
    rows = find_series(archive, who, study_uid, series_uid)
    fits = next(fitting(accept_of(request), list(KINDS)), None)
    if fits is not None and fits[1].is_multipart:
        return _pictures(request, archive, fits[0], _of_each(archive, who, rows))
    row = next((r for r in rows if r.has_pixels), rows[0])
    located = series_instances(archive, row)
    middle = located[len(located) // 2]
    return rendered(request, who, archive, study_uid, middle.series_uid, middle.entry.sop_instance)


def _of_each(archive: Archive, who: Principal, rows: Iterable[Any]) -> Iterator[Shown]:
    for row in rows:
        for located, attributes in all_described(archive, who, row.study_uid, row.series_uid):
            if located.entry.frames is not None:
                yield located, attributes, representative_frame(attributes)


def _pictures(request: Request, archive: Archive, media_type: str, shown: Iterator[Shown]) -> Response:
    """Each in a part, drawn while they are sent; a problem document in the place of one that cannot be drawn. Raises
    CannotRender where there is none, BadQuery where the first cannot be as it is asked for."""
    first = next(shown, None)
    if first is None:
        raise CannotRender("there are no pixels")
    _asked(request, media_type, first[0])
    multipart, root = Multipart(media_type), root_of(request)

    def pieces() -> Iterator[bytes]:
        for located, attributes, index in chain([first], shown):
            kind = media_type
            try:
                drawn = draw(archive, located, attributes, index, _asked(request, media_type, located)).data
            except (CannotRender, BadQuery) as error:
                told = problem(422, "cannot-render", "It cannot be shown", str(error))
                kind, drawn = PROBLEM, bytes(told.body)
            yield multipart.head(kind, f"{url_of(root, located)}/frames/{index + 1}/rendered")
            yield drawn

    return multipart.answer(pieces())


@router.get("/thumbnail")
@router.get(SERIES + "/thumbnail")
def series_thumbnail(
    request: Request, who: Who, archive: TheArchive, study_uid: str, series_uid: str = ""
) -> Response:
    """The thumbnail of a series; of a study, that of its largest series with pictures."""
    choose(accept_of(request), [THUMBNAIL.media_type], multipart=False)
    rows = find_series(archive, who, study_uid, series_uid)
    row = max(rows, key=lambda r: (r.has_pixels, r.instance_count))
    # What was made before shows what may be rejected meanwhile.
    made = row.derived_count > 0
    picture = read_thumbnail(archive, row.series_pk, row.modality) if made else unshown(row.modality)
    fresh = row.derived_count >= row.instance_count
    cache = "private, max-age=300" if fresh else "no-store"
    return Response(picture, headers={"Cache-Control": cache}, media_type=THUMBNAIL.media_type)


@router.get(INSTANCE + "/thumbnail")
@router.get(INSTANCE + "/frames/{frames}/thumbnail")
def instance_thumbnail(request: Request, who: Who, archive: TheArchive, study_uid: str, series_uid: str,
                       sop_instance: str, frames: str = "") -> Response:  # fmt: skip
    """A small picture of one instance, or of the first of its frames that are named."""
    choose(accept_of(request), [THUMBNAIL.media_type], multipart=False)
    located, attributes = described(archive, who, study_uid, series_uid, sop_instance)
    index = frame_numbers(frames)[0] if frames else representative_frame(attributes)
    small = draw(archive, located, attributes, index, THUMBNAIL)
    return Response(small.data, media_type=THUMBNAIL.media_type)


def document_type(attributes: Any) -> str:
    """As what an encapsulated document is given out, never as HTML: it must not run in the portal's origin."""
    said = str((attributes.get("00420012", {}).get("Value") or [""])[0])
    return said if said in DOCUMENTS else DOCUMENTS[-1]


def document(archive: Archive, located: Located, attributes: Any) -> Response:
    """An encapsulated document as it is."""
    if "InlineBinary" in attributes[ENCAPSULATED_DOCUMENT]:
        data = base64.b64decode(attributes[ENCAPSULATED_DOCUMENT]["InlineBinary"])
    else:
        data = read_bulk(archive, located, ENCAPSULATED_DOCUMENT)
    headers = {"Content-Security-Policy": "sandbox", "X-Content-Type-Options": "nosniff"}
    return Response(data, headers=headers, media_type=document_type(attributes))


def _asked(request: Request, media_type: str, located: Located) -> Drawing:
    """`window=center,width[,function]`, `viewport=width,height[,sx,sy[,sw,sh]]`, `quality` and `annotation`
    (PS3.18 8.3.5.1)."""
    given = request.query_params
    parts = (given.get("window") or "").split(",")
    if parts != [""] and not 2 <= len(parts) <= 3:
        raise BadQuery("window is center,width and linear, linear-exact or sigmoid")
    viewport = (given.get("viewport") or "").split(",")
    if viewport != [""] and len(viewport) not in (2, 4, 6):
        raise BadQuery("viewport is width,height[,sx,sy[,sw,sh]] in pixels")
    region, flip = _source(viewport[2:], located.entry)
    return Drawing(
        media_type=media_type,
        window=window(*parts) if len(parts) > 1 else None,
        region=region if len(viewport) > 2 else None,
        flip=flip,
        box=box(*viewport[:2]) if len(viewport) > 1 else None,
        quality=whole("quality", given.get("quality") or str(QUALITY), 1, 100),
        annotation=annotation(given),
    )


def _source(texts: list[str], entry: Entry) -> tuple[tuple[float, float, float, float], tuple[bool, bool]]:
    """The part of the source that a viewport shows, as fractions, by where it begins and its size in pixels, of which
    an empty one is all from there on; and whether it is turned over sideways and upside down, which a negative size
    means (PS3.18 8.3.5.1.3)."""
    try:
        sx, sy, sw, sh = (float(t) if t else None for t in [*texts, "", "", "", ""][:4])
    except ValueError:
        raise BadQuery("the source rectangle of a viewport is sx,sy,sw,sh in pixels") from None
    left, right = _span(sx, sw, entry.columns)
    top, bottom = _span(sy, sh, entry.rows)
    return (left, top, right, bottom), ((sw or 0) < 0, (sh or 0) < 0)


def _span(start: float | None, size: float | None, pixels: int | None) -> tuple[float, float]:
    all_of_it = float(pixels or 1)
    low = abs(start or 0.0)
    high = low + abs(size) if size is not None else all_of_it
    if not 0 <= low < high <= all_of_it:
        raise BadQuery(f"the source rectangle of a viewport is not within the picture of {pixels} pixels")
    return low / all_of_it, high / all_of_it
