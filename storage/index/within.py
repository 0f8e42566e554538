"""Where somebody's studies are who sees a small part of all: what their facility knows, what was opened to them, and
what few facilities share with the region. All of it in the order of lists, so that a list costs what it shows and not
what is hidden between; what of it may be seen, `visible` says."""

from __future__ import annotations

import math
from datetime import date
from functools import lru_cache
from typing import Any, TypeGuard

from sqlalchemy import BigInteger, BindParameter, Date, Subquery, bindparam, column, text

from pacs.access import Principal
from pacs.names import are_telling, query_tokens, sure_tokens
from pacs.query import Between, Equal, Fuzzy, Match, Query, Wildcard
from storage.index.tables import studies
from storage.index.visibility import Condition, Standing, among, as_text, opened_to
from storage.index.wall import ANEW, AUTO, KEPT

DAYS_FEW = 31  # of one period, whose studies are not most there are
# A value of these is of few studies; what is asked by a name is found by its index too.
FEW = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "PatientID", "AccessionNumber")
_KNOWN = """SELECT study_pk AS key, sort_date FROM known_studies WHERE known_to = CAST(:within_own AS integer)
    ORDER BY sort_date DESC, study_pk DESC"""
_UNKNOWN = """(SELECT 1 FROM known_studies
    WHERE study_pk = studies.id AND known_to = CAST(:within_own AS integer)) IS NULL"""
_OTHERS = "SELECT id AS key, sort_date FROM studies WHERE {} ORDER BY sort_date DESC, id DESC"


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
    are, if no more than dates are asked for. A beginning that somebody typed has an index only where it is known, and
    whether one looks for a name that many have by its index, PostgreSQL decides by how many."""
    if standing is None or query.words:
        return False
    if is_named(query):
        return any(_is_of_few(m) or are_telling(_tokens(m)) for m in query.matches)
    return not standing.is_wide or all(map(is_of_study_date, query.matches))


def plan_of(query: Query, standing: Standing | None, *, of_most: bool = False) -> str:
    """For `storage.index.wall`. To look at most studies takes longer than to plan it with the values."""
    return ANEW if of_most else KEPT if is_kept(query, standing) else AUTO


def is_of_most(query: Query, standing: Standing | None) -> bool:
    """Whether most studies there are must be looked at where all that match are counted."""
    if standing is None or not standing.is_wide or is_named(query):
        return False
    return not any(is_of_study_date(m) and _days(m) <= DAYS_FEW for m in query.matches)


def _days(match: Between) -> float:
    low, high = match.low, match.high
    return (high - low).days if isinstance(low, date) and isinstance(high, date) else math.inf


@lru_cache(maxsize=1024)
def within(principal: Principal, standing: Standing) -> Subquery:
    """Keys and dates of studies, each once, from several indexes that are merged: an arm for each facility of the
    region, which are few, as each has its order. It is text, as `visible` is."""
    given: list[BindParameter[Any]] = []
    arms, unknown = [], []
    if standing.own is not None:
        arms, unknown = [_KNOWN], [_UNKNOWN]
        given.append(bindparam("within_own", standing.own))
    if standing.opened != ():
        opened = as_text(_opened(principal, standing), "within_opened")
        elsewhere = as_text(~among(studies.c.facility_id, standing.region), "within_region")
        arms.append(_OTHERS.format(" AND ".join([opened.text, elsewhere.text, *unknown])))
        given += [*opened.given, *elsewhere.given]
    for number, facility in enumerate(standing.region):
        owned = f"facility_id = CAST(:within_{number} AS integer)"
        arms.append(_OTHERS.format(" AND ".join([owned, *unknown])))
        given.append(bindparam(f"within_{number}", facility))
    merged = " UNION ALL ".join(f"({arm})" for arm in arms or [_OTHERS.format("false")])
    columns = column("key", BigInteger), column("sort_date", Date)
    return text(merged).bindparams(*given).columns(*columns).subquery("within")


def _opened(principal: Principal, standing: Standing) -> Condition:
    return opened_to(principal) if standing.opened is None else among(studies.c.id, standing.opened)
