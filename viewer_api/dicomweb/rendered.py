"""WADO-RS, pictures (PS3.18 10.4.1.1.3, 10.4.1.1.4): rendered instances and frames, thumbnails."""

from __future__ import annotations

import base64
from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response

from pacs.errors import BadQuery, CannotRender
from pacs.pixels.attributes import pixel_aspect, representative_frame
from pacs.pixels.description import PixelError
from pacs.pixels.pictures import Kind, encode, fit
from pacs.pixels.render import render_frame
from pacs.pixels.window import Window
from storage.archive import Archive
from storage.renditions import read_thumbnail
from storage.retrieve import Located, find_series, one, read_bulk, read_frame, series_instances
from viewer_api.auth import TheArchive, Who
from viewer_api.dicomweb.media import choose
from viewer_api.dicomweb.wado import INSTANCE, SERIES, accept_of, attributes_of, frame_numbers

router = APIRouter(prefix="/dicom-web/studies/{study_uid}", tags=["DICOMweb: pictures"])
KINDS: dict[str, Kind] = {"image/jpeg": "jpeg", "image/png": "png", "image/webp": "webp"}
FUNCTIONS: dict[str, Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"]] = {
    "linear": "LINEAR", "linear-exact": "LINEAR_EXACT", "sigmoid": "SIGMOID"}  # fmt: skip
SIDE_MAX = 16_384  # pixels of a viewport
PIXELS_MAX = 7680 * 4320  # of a viewport: a screen of 8K
ENCAPSULATED_DOCUMENT = "00420011"


@router.get(INSTANCE + "/rendered")
@router.get(INSTANCE + "/frames/{frames}/rendered")
def rendered(request: Request, who: Who, archive: TheArchive, study_uid: str, series_uid: str,
             sop_instance: str, frames: str = "") -> Response:  # fmt: skip
    """A frame as a picture; without a number the one that represents the instance. A PDF comes as it is."""
    located = one(archive, who, study_uid, series_uid, sop_instance)
    attributes = attributes_of(archive, who, study_uid, series_uid, sop_instance)
    if ENCAPSULATED_DOCUMENT in attributes:
        return _document(request, archive, located, attributes)
    media_type, _ = choose(accept_of(request), list(KINDS), multipart=False)
    index = frame_numbers(frames)[0] if frames else representative_frame(attributes)
    encoded = _encoded(archive, located, index)
    window = _window(request)
    try:
        picture = render_frame(attributes, encoded, located.entry.transfer_syntax, index, window)
    except PixelError as error:
        raise CannotRender(f"frame {index + 1}: {error}") from error
    picture = _in_viewport(request, picture, pixel_aspect(attributes, index))
    quality = _whole(request, "quality", 90, 1, 100)
    headers = {"Cache-Control": "private, max-age=3600", "Vary": "Accept"}
    return Response(encode(picture, KINDS[media_type], quality), headers=headers, media_type=media_type)


@router.get("/thumbnail")
@router.get(SERIES + "/thumbnail")
def series_thumbnail(who: Who, archive: TheArchive, study_uid: str, series_uid: str = "") -> Response:
    """The thumbnail of a series; of a study, that of its largest series with pictures."""
    rows = find_series(archive, who, study_uid, series_uid)
    row = max(rows, key=lambda r: (r.has_pixels, r.instance_count))
    picture = read_thumbnail(archive, row.series_pk, row.modality)
    fresh = row.derived_count >= row.instance_count
    cache = "private, max-age=300" if fresh else "no-store"
    return Response(picture, headers={"Cache-Control": cache}, media_type="image/jpeg")


@router.get(INSTANCE + "/thumbnail")
def instance_thumbnail(request: Request, who: Who, archive: TheArchive, study_uid: str, series_uid: str,
                       sop_instance: str) -> Response:  # fmt: skip
    """A small picture of one instance."""
    located = one(archive, who, study_uid, series_uid, sop_instance)
    attributes = attributes_of(archive, who, study_uid, series_uid, sop_instance)
    index = representative_frame(attributes)
    picture = render_frame(
        attributes, _encoded(archive, located, index), located.entry.transfer_syntax, index
    )
    small = fit(picture, 256, 256, pixel_aspect(attributes, index))
    return Response(encode(small, "jpeg", 85), media_type="image/jpeg")


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


def _encoded(archive: Archive, located: Located, index: int) -> bytes:
    if located.entry.frames is None:
        raise CannotRender("this instance has no pixels")
    return read_frame(archive, located, index)


def _document(request: Request, archive: Archive, located: Located, attributes: Any) -> Response:
    """An encapsulated document, never as HTML: it must not run in the portal's origin."""
    said = str((attributes.get("00420012", {}).get("Value") or [""])[0])
    media_type = said if said in ("application/pdf", "text/xml") else "application/octet-stream"
    choose(accept_of(request), [media_type], multipart=False)
    if "InlineBinary" in attributes[ENCAPSULATED_DOCUMENT]:
        data = base64.b64decode(attributes[ENCAPSULATED_DOCUMENT]["InlineBinary"])
    else:
        data = read_bulk(archive, located, ENCAPSULATED_DOCUMENT)
    headers = {"Content-Security-Policy": "sandbox", "X-Content-Type-Options": "nosniff"}
    return Response(data, headers=headers, media_type=media_type)


def _window(request: Request) -> Window | None:
    """`window=center,width[,function]` (PS3.18 8.3.5.1.4); raises BadQuery."""
    text = request.query_params.get("window")
    if not text:
        return None
    center, _, rest = text.partition(",")
    width, _, function = rest.partition(",")
    try:
        chosen = Window(float(center), float(width), FUNCTIONS[function.lower() or "linear"])
    except (ValueError, KeyError):
        raise BadQuery("window is center,width and linear, linear-exact or sigmoid") from None
    return chosen


def _in_viewport(request: Request, picture: Any, aspect: float) -> Any:
    text = request.query_params.get("viewport")
    if not text:
        return fit(picture, SIDE_MAX, SIDE_MAX, aspect)
    parts = text.split(",")
    if len(parts) < 2 or not all(_is_side(p) for p in parts[:2]):
        raise BadQuery(f"viewport is width,height in pixels, up to {SIDE_MAX}")
    width, height = int(parts[0]), int(parts[1])
    if width * height > PIXELS_MAX:
        raise BadQuery(f"viewport has more than {PIXELS_MAX} pixels")
    return fit(picture, width, height, aspect, enlarge=True)


def _is_side(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10 and 0 < int(text) <= SIDE_MAX


def _whole(request: Request, name: str, default: int, low: int, high: int) -> int:
    text = request.query_params.get(name, str(default))
    if not text.isascii() or not text.isdigit() or len(text) > 9 or not low <= int(text) <= high:
        raise BadQuery(f"{name} is a whole number from {low} to {high}")
    return int(text)
