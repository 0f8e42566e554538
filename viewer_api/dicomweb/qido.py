"""QIDO-RS (PS3.18 10.6): studies, series and instances."""

from __future__ import annotations

import re
from dataclasses import replace
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import Response

from pacs import query as q
from pacs.access import Principal
from pacs.attributes import ATTRIBUTES, BY_TAG, Attribute, Level
from pacs.errors import BadQuery
from pacs.identifier import needs_metadata, query_of
from pacs.matching import texts
from pacs.names import pn_json
from pacs.values import Json, text
from storage.answers import AVAILABLE, Answers
from storage.archive import Archive
from storage.paging import as_text, from_text
from storage.search import Total, total
from viewer_api.auth import TheArchive, Who
from viewer_api.dicomweb.datasets import several, wants_xml
from viewer_api.dicomweb.places import root_of

router = APIRouter(prefix="/dicom-web", tags=["DICOMweb: search"])
# What is told if nothing more is asked for: what the index holds, of an instance its own attributes in the table, and
# where its metadata were read time zone and requests (PS3.18 tables 10.6.3-3 to -5).
RETURNED = frozenset(a.tag for a in ATTRIBUTES if a.column or a.level is Level.IMAGE) | AVAILABLE.keys() | {
    "00080201", "00400275",
}  # fmt: skip
PATIENT_NAME, SEQUENCES_MAX = "00100010", 8
AFTER, TOTAL = "after", "total"  # ours: where the page before ended, and whether all are counted
NOT_OFFERED = {  # PS3.18 8.3.4.5, 8.3.4.6
    "emptyvaluematching": "Empty Value Matching",
    "multiplevaluematching": "Multiple Value Matching",
}
_OPTIONS = frozenset(
    {"limit", "offset", "fuzzymatching", "includefield", "accept", "charset", AFTER, TOTAL, *NOT_OFFERED}
)


@router.get("/studies")
def search_studies(request: Request, who: Who, archive: TheArchive) -> Response:
    """All studies that match and may be seen."""
    return _answer(request, Asked(request, Level.STUDY), who, archive)


@router.get("/series")
@router.get("/studies/{study_uid}/series")
def search_series(request: Request, who: Who, archive: TheArchive, study_uid: str = "") -> Response:
    """Series, of one study or of all."""
    return _answer(request, Asked(request, Level.SERIES, study_uid), who, archive)


@router.get("/instances")
@router.get("/studies/{study_uid}/instances")
@router.get("/studies/{study_uid}/series/{series_uid}/instances")
def search_instances(request: Request, who: Who, archive: TheArchive, study_uid: str = "",
                     series_uid: str = "") -> Response:  # fmt: skip
    """Instances of a study, a series, or all; matched in the metadata of the series that come into question."""
    return _answer(request, Asked(request, Level.IMAGE, study_uid, series_uid), who, archive)


class Asked:
    """What the parameters and the path ask for; raises BadQuery."""

    def __init__(self, request: Request, level: Level, study_uid: str = "", series_uid: str = "") -> None:
        self.level = level
        self._request = request
        self._uids = {"0020000D": study_uid, "0020000E": series_uid}
        self.everything = "all" in request.query_params.getlist("includefield")
        self.identifier: Json = {}
        for name, value in request.query_params.multi_items():
            if name.lower() not in _OPTIONS:
                self._key(name, value)
        for name in ",".join(request.query_params.getlist("includefield")).split(","):
            if name and name != "all":
                identifier, of = self._place(name)
                identifier.setdefault(of.tag, {"vr": of.vr})
        fuzzy = self._fuzzy() if _switched(request, "fuzzymatching") else ()
        query = query_of(self.identifier, level, combined=True, strict=True)
        # In a path there is no list and no wildcard.
        path = tuple(q.Equal(BY_TAG[tag], (uid,)) for tag, uid in self._uids.items() if uid) + fuzzy
        self.query = replace(
            query,
            matches=query.matches + path,
            limit=_number(request, "limit"),
            offset=_number(request, "offset") or 0,
            after=from_text(cursor, level) if (cursor := request.query_params.get(AFTER)) else None,
        )
        self.counted = _switched(request, TOTAL)
        self.unsupported = [kind for name, kind in NOT_OFFERED.items() if _switched(request, name)]

    def _place(self, name: str) -> tuple[Json, Attribute]:
        """The attribute that a name means, and the identifier or item in which it stands: the names of sequences go
        before it, parted by dots (PS3.18 8.3.4.1)."""
        *sequences, of = map(q.attribute, name.split(".", SEQUENCES_MAX))
        identifier = self.identifier
        for one in sequences:
            if one.vr != "SQ":
                raise BadQuery(f"{one.keyword} is no sequence")
            element = identifier.setdefault(one.tag, {"vr": "SQ"})
            identifier = element.setdefault("Value", [{}])[0]
        return identifier, of

    def _fuzzy(self) -> tuple[q.Fuzzy, ...]:
        """The patient's name, taken out of the identifier. Of other names only the literal beginning is matched."""
        asked = self.identifier.get(PATIENT_NAME, {})
        found = tuple(q.Fuzzy(BY_TAG[PATIENT_NAME], text) for text in texts(asked))
        if found:
            self.identifier[PATIENT_NAME] = {"vr": "PN"}
        return found

    def _key(self, name: str, value: str) -> None:
        identifier, of = self._place(name)
        if of.vr == "SQ":
            raise BadQuery(f"{of.keyword} is matched by what is in it: {of.keyword}.…")
        if len(value) > q.characters_max(of):
            raise BadQuery(f"the value of {of.keyword} is too long")
        values = re.split(r"[,\\]" if of.vr == "UI" else r"\\", value)
        element = identifier.setdefault(of.tag, {"vr": of.vr, "Value": []})
        element["Value"] += [pn_json(v) if of.vr == "PN" else v for v in values]


def _number(request: Request, name: str) -> int | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 12:
        raise BadQuery(f"{name} needs a whole number from 0 on")
    return int(text)


def _switched(request: Request, name: str) -> bool:
    """Raises BadQuery where it is neither true nor false (PS3.18 8.3.4.2)."""
    text = request.query_params.get(name, "false")
    if text not in ("true", "false"):
        raise BadQuery(f"{name} is true or false")
    return text == "true"


def _answer(request: Request, asked: Asked, who: Principal, archive: Archive) -> Response:
    """A Warning says that there is more (PS3.18 8.3.4.4.1), a Link (RFC 8288) where that is."""
    xml = wants_xml(request)
    answers = Answers(archive, asked.query, who, deep=needs_metadata(asked.identifier, asked.level))
    root = root_of(request)
    found = [_returned(answer, asked, root) for answer in answers]
    headers = {"Vary": "Accept"}
    warnings = [
        f"The {kind.replace(' ', '').lower()} parameter is not supported. {kind} has not been performed."
        for kind in asked.unsupported
    ]
    if answers.more and asked.query.limit != 0 and answers.end is not None:
        headers["Link"] = f'<{_next(request, answers)}>; rel="next"'
    counted = _counted(archive, asked.query, who, answers, len(found)) if asked.counted else None
    if counted is not None:
        headers["X-Total-Count"] = str(counted.number)
    if answers.more:
        left = 0
        if counted is not None and counted.is_whole and not asked.query.after:
            left = counted.number - asked.query.offset - len(found)
        number = f"{left} " if left > 0 else ""
        warnings.append(f"There are {number}additional results that can be requested")
    if asked.counted and not (counted and counted.is_whole):
        warnings.append("The total may be larger" if counted else "The total is not known")
    if warnings:
        headers["Warning"] = ", ".join(f"299 {root}: {said}" for said in warnings)
    return several(found, xml=xml, headers=headers)


def _counted(archive: Archive, query: q.Query, who: Principal, answers: Answers, found: int) -> Total | None:
    """In all pages; of the last one it is known."""
    if found and not answers.more and not query.after:
        return Total(query.offset + found, is_whole=True)
    counted = total(archive, query, who)
    if counted is None or counted.is_whole or query.level is Level.IMAGE:
        return counted
    seen = query.offset + found + answers.more if found else 0
    return Total(max(counted.number, seen), is_whole=False)


def _next(request: Request, answers: Answers) -> str:
    """The same question, from where these answers ended."""
    assert answers.end is not None
    kept = [(k, v) for k, v in request.query_params.multi_items() if k not in (AFTER, TOTAL, "offset")]
    offset = [("offset", str(answers.end_offset))] if answers.end_offset else []
    asked = urlencode([*kept, *offset, (AFTER, as_text(answers.end))])
    return f"{root_of(request)}{request.url.path.partition('/dicom-web')[2]}?{asked}"


def _returned(answer: Json, asked: Asked, root: str) -> Json:
    """The attributes of PS3.18 tables 10.6.3-3 to -5 and those that were asked for, or all; and where it is."""
    picked = answer
    if not asked.everything:
        picked = {tag: e for tag, e in answer.items() if tag in RETURNED or tag in asked.identifier}
    url = f"{root}/studies/{text(answer, '0020000D')}"
    if asked.level is not Level.STUDY:
        url += f"/series/{text(answer, '0020000E')}"
    if asked.level is Level.IMAGE:
        url += f"/instances/{text(answer, '00080018')}"
    return dict(sorted({**picked, "00081190": {"vr": "UR", "Value": [url]}}.items()))
