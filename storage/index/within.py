"""Where somebody's studies are who sees a small part of all: what their facility knows, what was opened to them, and
what few facilities share with the region; and where those of a few modalities are. All of it in the order of lists, so
that a list costs what it shows and not what is between; what of it may be seen, `visible` says."""

from __future__ import annotations

import math
import re
from datetime import date
from functools import lru_cache
from typing import Any, NamedTuple, TypeGuard

from sqlalchemy import (
    ARRAY,
    BigInteger,
    BindParameter,
    Date,
    Integer,
    Subquery,
    Text,
    bindparam,
    column,
    text,
)

from pacs.access import PROFESSIONALS, Principal
from pacs.names import are_telling, query_tokens, sure_tokens
from pacs.query import Between, Equal, Fuzzy, Match, Query, Wildcard
from storage.index.known import ANY, known_studies
from storage.index.tables import studies
from storage.index.visibility import Condition, Standing, Written, among, as_text, looked_at, opened_to
from storage.index.wall import ANEW, AUTO, KEPT

DAYS_FEW = 31  # of one period, whose studies are not most there are
# A value of these is of few studies; what is asked by a name is found by its index too.
FEW = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "PatientID", "AccessionNumber")
MODALITIES_MAX, MODALITY = 4, re.compile(r"[A-Z0-9_ ]{1,16}")  # for each of which a list is walked; CS
BEGUN = ("PatientID", "AccessionNumber")  # whose beginnings have an index
_WALKED = """SELECT study_pk AS key, sort_date, {before} AS before FROM known_studies
    WHERE modality = CAST(:within_kind_{before} AS text) AND {of}
    ORDER BY sort_date DESC, study_pk DESC"""
_TO_OWN = "known_to = CAST(:within_own AS integer)"
_ANYBODYS = "owned AND modality <> ''"
_CODED = "owned AND known_to = (SELECT id FROM facilities WHERE code = CAST(:within_code AS text))"
_OPENED = """SELECT id AS key, sort_date, 0 AS before FROM studies WHERE {}
    ORDER BY sort_date DESC, id DESC"""
_UNKNOWN = """ AND (SELECT 1 FROM known_studies
    WHERE study_pk = studies.id AND known_to = CAST(:within_own AS integer) AND modality = '') IS NULL"""
_ONCE = "NOT (studies.modalities && (CAST(:within_kinds AS text[]))[1:within.before])"


def is_named(query: Query) -> bool:
    """Whether what is asked for has an index of its own, so that it is found by that, whoever asks."""
    return bool(query.words) or any(map(names, query.matches))


def names(match: Match | Fuzzy) -> bool:
    """Whether such an index has what must match."""
    return _is_of_few(match) or bool(_tokens(match))


def _is_of_few(match: Match | Fuzzy) -> bool:
    return isinstance(match, Equal) and match.attribute.keyword in FEW


def _tokens(match: Match | Fuzzy) -> list[str]:
    """What is known of a name; of several only what is known of each."""
    if isinstance(match, Fuzzy):
        return query_tokens(match.text)
    if match.attribute.keyword != "PatientName" or isinstance(match, Between):
        return []
    patterns = [match.pattern] if isinstance(match, Wildcard) else match.any_of
    return min(map(sure_tokens, patterns), key=are_telling, default=[])


def is_of_study_date(match: Match | Fuzzy) -> TypeGuard[Between]:
    """Whether it is a place in the list."""
    return isinstance(match, Between) and match.attribute.keyword == "StudyDate"


def is_kept(query: Query, standing: Standing | None) -> bool:
    """Whether a plan is as good for any values: it begins with what few have, or walks; who sees much walks all there
    are, if no more than dates and modalities are asked for. A beginning that somebody typed has an index only where it
    is known, and whether one looks for a name that many have by its index, PostgreSQL decides by how many."""
    if standing is None or query.words:
        return False
    if is_named(query):
        return any(_is_of_few(m) or are_telling(_tokens(m)) for m in query.matches)
    return not standing.is_wide or all(is_of_study_date(m) or _modalities(m) for m in query.matches)


def plan_of(query: Query, standing: Standing | None, *, of_most: bool = False) -> str:
    """For `storage.index.wall`. To look at most studies takes longer than to plan it with the values."""
    return ANEW if of_most else KEPT if is_kept(query, standing) else AUTO


def is_of_most(query: Query, standing: Standing | None) -> bool:
    """Whether most studies there are must be looked at where each that matches is."""
    if standing is None or not standing.is_wide or is_named(query):
        return False
    return not any(is_of_study_date(m) and _days(m) <= DAYS_FEW for m in query.matches)


def _days(match: Between) -> float:
    low, high = match.low, match.high
    return (high - low).days if isinstance(low, date) and isinstance(high, date) else math.inf


def walk_of(query: Query, principal: Principal, standing: Standing | None) -> Walk | None:
    """Where a list is walked along; None where the table's own order or an index says where to look."""
    if is_named(query):
        return None
    kinds = next(filter(None, map(_modalities, query.matches)), ())
    if standing is not None and not standing.is_wide:
        return within(principal, standing, kinds or (ANY,))
    if not kinds or any(map(_is_indexed, query.matches)):
        return None
    if principal.is_operator:
        return everywhere(kinds)
    if standing is not None:
        return within(principal, standing, kinds)
    if principal.facility is None or principal.role in PROFESSIONALS:
        return None
    return owned_by(principal.facility, kinds)


def _modalities(match: Match | Fuzzy) -> tuple[str, ...]:
    """Those of which studies must be, where they are few."""
    if not isinstance(match, Equal) or match.attribute.keyword not in ("ModalitiesInStudy", "Modality"):
        return ()
    kinds = tuple(dict.fromkeys(match.any_of))
    return kinds if len(kinds) <= MODALITIES_MAX and all(map(MODALITY.fullmatch, kinds)) else ()


def _is_indexed(match: Match | Fuzzy) -> bool:
    """Whether an index may have fewer than a modality has."""
    keyword = match.attribute.keyword
    begun = isinstance(match, Wildcard) and keyword in BEGUN and match.pattern[:1] not in "*?"
    return begun or keyword == "SOPClassesInStudy"


class Walk(NamedTuple):
    """Keys and dates of studies, in the order of lists, from several indexes that are merged; and the conditions by
    which a study that is of several of the modalities comes once: for the first of them."""

    places: Subquery
    once: tuple[Condition, ...]


@lru_cache(maxsize=64)
def everywhere(kinds: tuple[str, ...]) -> Walk:
    """All studies of these modalities."""
    return _walk([], [_ANYBODYS], [], kinds)


@lru_cache(maxsize=1024)
def owned_by(facility: str, kinds: tuple[str, ...]) -> Walk:
    """What a facility owns of these modalities: of who sees no more."""
    return _walk([], [_CODED], [bindparam("within_code", facility)], kinds)


@lru_cache(maxsize=1024)
def within(principal: Principal, standing: Standing, kinds: tuple[str, ...]) -> Walk:
    """What each facility of the region owns, where these are few, as each has its order; else one walk past what others
    own. What is known to one's own facility of all others, and what was opened of those that are in neither."""
    given: list[BindParameter[Any]] = [bindparam(f"within_{n}", one) for n, one in enumerate(standing.region)]
    of = [f"owned AND known_to = CAST(:{one.key} AS integer)" for one in given]
    if standing.is_wide:
        shared = as_text(looked_at(among(known_studies.c.owner, standing.region)), "within_shared")
        of, given = [f"{_ANYBODYS} AND {shared.text}"], [*shared.given]
    if standing.own is not None:
        others = as_text(looked_at(~among(known_studies.c.owner, standing.region)), "within_others")
        of = [f"{_TO_OWN} AND {others.text}", *of]
        given = [bindparam("within_own", standing.own), *others.given, *given]
    opened: list[str] = []
    if standing.opened != ():
        open_ = as_text(_opened(principal, standing), "within_opened")
        elsewhere = as_text(~among(studies.c.facility_id, standing.region), "within_region")
        unknown = _UNKNOWN if standing.own is not None else ""
        opened = [_OPENED.format(f"{open_.text} AND {elsewhere.text}{unknown}")]
        given = [*open_.given, *elsewhere.given, *given]
    return _walk(opened, of, given, kinds)


def _walk(arms: list[str], of: list[str], given: list[BindParameter[Any]], kinds: tuple[str, ...]) -> Walk:
    """These arms, and one for each of the others and each modality. It is text, as `visible` is."""
    befores = range(len(kinds))
    walked = [_WALKED.format(before=before, of=whose) for whose in of or ["false"] for before in befores]
    merged = " UNION ALL ".join(f"({arm})" for arm in [*arms, *walked])
    given = given + [bindparam(f"within_kind_{before}", kinds[before]) for before in befores]
    columns = column("key", BigInteger), column("sort_date", Date), column("before", Integer)
    once: tuple[Condition, ...] = ()
    if len(kinds) > 1:
        once = (Written(_ONCE, (bindparam("within_kinds", list(kinds), ARRAY(Text)),)).condition,)
    return Walk(text(merged).bindparams(*given).columns(*columns).subquery("within"), once)


def _opened(principal: Principal, standing: Standing) -> Condition:
    return opened_to(principal) if standing.opened is None else among(studies.c.id, standing.opened)
