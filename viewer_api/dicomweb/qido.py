"""QIDO-RS (PS3.18 10.6): studies, series and instances."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from pacs import query as q
from pacs.access import Principal
from pacs.attributes import BY_TAG, Level
from pacs.errors import BadQuery
from pacs.names import fold, pn_text
from storage.archive import Archive
from storage.search import Found, candidate_series, metadata_lines, search
from viewer_api.auth import TheArchive, Who
from viewer_api.dicomweb.media import choose
from viewer_api.dicomweb.model import series_attributes, study_attributes

router = APIRouter(prefix="/dicom-web", tags=["DICOMweb: search"])
JSON = "application/dicom+json"
ROWS_MAX = 10_000  # of one answer at the study and series levels
INSTANCES_MAX = 5000  # of one answer at the instance level
RETURNED = (
    "00080016",
    "00080018",
    "0020000D",
    "0020000E",
    "00200013",
    "00280010",
    "00280011",
    "00280100",
    "00280008",
)
_OPTIONS = frozenset({"limit", "offset", "fuzzymatching", "includefield", "accept", "charset", "emptyvaluematching",
                      "multiplevaluematching"})  # fmt: skip


@router.get("/studies")
def search_studies(request: Request, who: Who, archive: TheArchive) -> Response:
    """All studies that match and may be seen."""
    return _rows(request, parse(request, Level.STUDY), who, archive, study_attributes)


@router.get("/series")
@router.get("/studies/{study_uid}/series")
def search_series(request: Request, who: Who, archive: TheArchive, study_uid: str = "") -> Response:
    """Series, of one study or of all."""
    return _rows(request, parse(request, Level.SERIES, study_uid=study_uid), who, archive, series_attributes)


@router.get("/instances")
@router.get("/studies/{study_uid}/instances")
@router.get("/studies/{study_uid}/series/{series_uid}/instances")
def search_instances(request: Request, who: Who, archive: TheArchive, study_uid: str = "",
                     series_uid: str = "") -> Response:  # fmt: skip
    """Instances of a study, a series, or all; matched in the metadata of the series that come into question."""
    query = parse(request, Level.IMAGE, study_uid=study_uid, series_uid=series_uid)
    found, more = _instances(archive, query, who, root_of(request), _everything(request))
    return _answer(request, found, partial=more)


def _rows(
    request: Request, query: q.Query, who: Principal, archive: Archive, encode: Callable[[Found, str], Any]
) -> Response:
    """At most ROWS_MAX rows; a Warning says when there are more than were asked for and given."""
    limit = ROWS_MAX if query.limit is None else min(query.limit, ROWS_MAX)
    found = search(archive, replace(query, limit=limit + 1), who)
    more = len(found) > limit and (query.limit is None or query.limit > ROWS_MAX)
    root = root_of(request)
    return _answer(request, [encode(row, root) for row in found[:limit]], partial=more)


def parse(request: Request, level: Level, *, study_uid: str = "", series_uid: str = "") -> q.Query:
    """The Query that the parameters and the path make; raises BadQuery."""
    matches: list[q.Match | None] = []
    for name, value in request.query_params.multi_items():
        if name.lower() not in _OPTIONS:
            matches.append(q.match(q.attribute(name), value))
    for keyword, uid in (("StudyInstanceUID", study_uid), ("SeriesInstanceUID", series_uid)):
        if uid:
            matches.append(q.Equal(q.attribute(keyword), (uid,)))  # no list and no wildcard in a path
    return q.Query(
        level,
        tuple(m for m in matches if m is not None),
        limit=_number(request, "limit"),
        offset=_number(request, "offset") or 0,
    )


def root_of(request: Request) -> str:
    """Where this service is, as a path: right behind any proxy."""
    return f"{request.scope.get('root_path', '')}/dicom-web"


def _number(request: Request, name: str) -> int | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 12:
        raise BadQuery(f"{name} needs a whole number from 0 on")
    return int(text)


def _everything(request: Request) -> bool:
    return "all" in request.query_params.getlist("includefield")


def _answer(request: Request, found: list[Any], *, partial: bool = False) -> Response:
    accepted = request.query_params.get("accept") or request.headers.get("accept", "")
    choose(accepted, [JSON, "application/json"])
    headers = {"Vary": "Accept"}
    if partial:
        headers["Warning"] = '299 tongying "there are more results; narrow the query"'
    return JSONResponse(found, headers=headers, media_type=JSON)


def _instances(archive: Archive, query: q.Query, who: Principal, root: str,
               everything: bool) -> tuple[list[Any], bool]:  # fmt: skip
    rows, more = candidate_series(archive, query, who)
    wanted = [m for m in query.matches if m.attribute.level is Level.IMAGE]
    limit = min(INSTANCES_MAX, query.limit if query.limit is not None else INSTANCES_MAX)
    found: list[Any] = []
    skipped = 0
    for row, attributes in _each(archive, rows):
        if not all(_matches(m, attributes) for m in wanted):
            continue
        if skipped < query.offset:
            skipped += 1
            continue
        if len(found) == limit:
            return found, query.limit is None or query.limit > INSTANCES_MAX
        found.append(_returned(row, attributes, root, everything))
    return found, more


def _each(archive: Archive, rows: list[Found]) -> Iterator[tuple[Found, Any]]:
    for row, lines in metadata_lines(archive, rows):
        parsed = [json.loads(line) for line in lines]
        for attributes in sorted(parsed, key=_instance_number):
            yield row, attributes


def _instance_number(attributes: Any) -> tuple[float, str]:
    number = (attributes.get("00200013", {}).get("Value") or [0])[0]
    uid = (attributes.get("00080018", {}).get("Value") or [""])[0]
    return (number if isinstance(number, int | float) else 0, str(uid))


def _matches(match: q.Match, attributes: Any) -> bool:
    values = [_text(v) for v in attributes.get(match.attribute.tag, {}).get("Value") or [""]]
    if isinstance(match, q.Equal):
        return any(v in match.any_of for v in values)
    if isinstance(match, q.Wildcard):
        pattern = fold(match.pattern).replace("[", "[[]")
        return any(fnmatch.fnmatchcase(fold(v), pattern) for v in values)
    return True


def _text(value: Any) -> str:
    return pn_text(value) if isinstance(value, dict) else str(value)


def _returned(row: Found, attributes: Any, root: str, everything: bool) -> Any:
    """The required attributes, or all (which includes bulk data by reference)."""
    picked = attributes if everything else {t: attributes[t] for t in RETURNED if t in attributes}
    if not everything:
        picked |= {t: attributes[t] for t in BY_TAG if t in attributes and BY_TAG[t].level is not Level.IMAGE}
    uid = (attributes.get("00080018", {}).get("Value") or [""])[0]
    url = f"{root}/studies/{row.study_uid}/series/{row.series_uid}/instances/{uid}"
    return dict(sorted({**picked, "00080056": {"vr": "CS", "Value": ["ONLINE"]},
                        "00081190": {"vr": "UR", "Value": [url]}}.items()))  # fmt: skip
