"""The one compiler from a Query to SQL. What it selects, `visible(principal)` bounds."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, time
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    FromClause,
    Integer,
    Select,
    and_,
    cast,
    false,
    func,
    literal_column,
    or_,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import distinct_on

from pacs.access import Principal
from pacs.attributes import Attribute, Level, above
from pacs.errors import BadQuery
from pacs.matching import PAIRS
from pacs.names import fold, query_tokens, sure_tokens
from pacs.query import Between, Equal, Fuzzy, Match, Position, Query, Wildcard
from pacs.uids import uid_hash
from storage.index.tables import facilities, instances, patients, series, studies
from storage.index.visibility import Standing, looked_at, visible
from storage.index.within import is_named, is_of_study_date, names, walk_of

STUDY_COLUMNS = (
    studies.c.id.label("study_pk"), studies.c.study_uid, studies.c.study_date, studies.c.study_time,
    studies.c.sort_date,
    studies.c.accession, studies.c.study_id, studies.c.description.label("study_description"),
    studies.c.referring, studies.c.modalities, studies.c.sop_classes, studies.c.regions,
    studies.c.series_count,
    studies.c.instance_count.label("study_instance_count"), studies.c.patient_id, studies.c.patient_name,
    studies.c.received_at, patients.c.issuer, studies.c.birth_date, studies.c.sex,
    facilities.c.code.label("facility"), facilities.c.name.label("facility_name"),
    facilities.c.name_en.label("facility_name_en"),
)  # fmt: skip
SERIES_COLUMNS = (
    series.c.id.label("series_pk"), series.c.series_uid, series.c.modality, series.c.number,
    series.c.description.label("series_description"), series.c.body_part, series.c.laterality,
    series.c.series_date, series.c.series_time, series.c.step_date, series.c.step_time, series.c.station,
    series.c.manufacturer, series.c.instance_count, series.c.frame_count, series.c.has_pixels,
    series.c.derived_count, series.c.derive_tries,
)  # fmt: skip
# Of a patient: the newest study that may be seen says who it is; the counts are over those that may be seen.
PATIENT_COLUMNS = (
    studies.c.patient_pk, studies.c.patient_id, studies.c.patient_name, studies.c.birth_date, studies.c.sex,
    patients.c.issuer, studies.c.sort_date, studies.c.id.label("study_pk"),
    func.count().over(partition_by=studies.c.patient_pk).label("patient_study_count"),
    cast(func.sum(studies.c.series_count).over(partition_by=studies.c.patient_pk), BigInteger).label(
        "patient_series_count"
    ),
    cast(func.sum(studies.c.instance_count).over(partition_by=studies.c.patient_pk), BigInteger).label(
        "patient_instance_count"
    ),
)  # fmt: skip
Condition = ColumnElement[bool]


class Place(NamedTuple):
    """Where a study stands in the list: as the table has it, or a walk."""

    day: ColumnElement[date]
    key: ColumnElement[int]


IN_ALL = Place(studies.c.sort_date, studies.c.id)
NEWEST_FIRST = (IN_ALL.day.desc(), IN_ALL.key.desc())


def compile_query(
    query: Query, principal: Principal, standing: Standing | None = None, *, of_most: bool = False
) -> Select[Any]:
    """Studies, or series with their study, that match and may be seen; newest first.

    At the IMAGE level: the series in which matching instances may be. `of_most`: most of what matches is looked at.
    """
    level, named = query.level, is_named(query)
    walk = walk_of(query, principal, standing)
    place = IN_ALL if walk is None else Place(walk.places.c.sort_date, walk.places.c.key)
    found, others = _matching(query, place)
    if walk is not None:
        others += walk.once
    if others and (walk is not None or (standing is not None and named)):
        others = [looked_at(*others)]
    seen = visible(principal, standing, of_most=of_most)
    statement = _select(level, None if walk is None else walk.places).where(
        *found, *others, _not_empty(level), seen
    )
    if level is Level.PATIENT:
        ordered = statement.order_by(studies.c.patient_pk, *NEWEST_FIRST)
        one = ordered.ext(distinct_on(studies.c.patient_pk)).subquery()
        statement = select(one).order_by(one.c.sort_date.desc(), one.c.study_pk.desc())
    else:
        statement = statement.order_by(place.day.desc(), place.key.desc())
    if level in (Level.SERIES, Level.IMAGE):
        statement = statement.order_by(series.c.number.asc().nulls_last(), series.c.id)
    if level is not Level.IMAGE:
        statement = statement.limit(_most(query, standing)).offset(query.offset or None)
    return statement


def compile_count(
    query: Query, principal: Principal, standing: Standing | None, most: int
) -> Select[Any, int]:
    """Of all pages, as far as so many studies or series: how many match, or at the IMAGE level how many instances these
    series have; and how many rows that are."""
    every = compile_query(replace(query, limit=None, offset=0, after=None), principal, standing)
    holds = series.c.instance_count if query.level is Level.IMAGE else literal_column("1", Integer)
    each = every.with_only_columns(holds.label("holds"), maintain_column_froms=True).order_by(None)
    found = each.limit(literal_column(str(most), Integer)).subquery()  # written out, as for pages
    return select(func.sum(found.c.holds), func.count()).select_from(found)


def _most(query: Query, standing: Standing | None) -> Any:
    """Written out where the plan is one to be kept: PostgreSQL would else believe that it shows a tenth of all."""
    limit = query.limit
    return limit if standing is None or limit is None else literal_column(str(limit), Integer)


def _matching(query: Query, place: Place) -> tuple[list[Condition], list[Condition]]:
    """What is named, and where in the list it is, which is found by an index; and what else must match."""
    matches, found, others = _periods(query, place) if query.combined else (query.matches, [], [])
    for match in matches:
        condition = _condition(match, query.level, place)
        if condition is not None:
            (found if names(match) or is_of_study_date(match) else others).append(condition)
    if query.words:
        found.append(_words(query.words))
    if query.after is not None:
        found.append(_after(query.after, query.level, place))
    return found, others


@lru_cache(maxsize=1024)
def _select(level: Level, walk: FromClause | None = None) -> Select[Any]:
    """All there are, or those along a walk."""
    found = studies if walk is None else walk.join(studies, studies.c.id == walk.c.key)
    # Each study has a patient and a facility. The outer joins keep the planner from beginning with these: where it
    # knows too few of them it would go through all studies that there are. And a count need not look at them.
    base = found.outerjoin(patients, patients.c.id == studies.c.patient_pk)
    base = base.outerjoin(facilities, facilities.c.id == studies.c.facility_id)
    if level is Level.PATIENT:
        return select(*PATIENT_COLUMNS).select_from(base)
    if level is Level.STUDY:
        return select(*STUDY_COLUMNS).select_from(base)
    return select(*STUDY_COLUMNS, *SERIES_COLUMNS).select_from(
        base.join(series, series.c.study_pk == studies.c.id)
    )


def _not_empty(level: Level) -> Condition:
    """What a query lists can be retrieved (promise P7): a row without instances is not listed."""
    return (series if level in (Level.SERIES, Level.IMAGE) else studies).c.instance_count > 0


def _condition(match: Match | Fuzzy, level: Level, place: Place) -> Condition | None:
    of = match.attribute
    if of.level not in above(level):
        raise BadQuery(f"{of.keyword} cannot be matched at the {level.lower()} level")
    if isinstance(match, Fuzzy):
        tokens: Condition = studies.c.name_tokens.contains(query_tokens(match.text))
        return tokens
    if of.level is Level.IMAGE:
        return _instance_condition(match)
    if of.keyword == "PatientName":
        return _name(match)
    column = _column(of)
    if isinstance(column.type, ARRAY):
        return _among(column, match)
    if isinstance(match, Between):
        return _between(column, match, place)
    if isinstance(match, Wildcard):
        return column.ilike(_like(match.pattern), escape="\\")
    if of.vr in ("IS", "US"):
        return column.in_([_number(of, v) for v in match.any_of])
    return column.in_(match.any_of)


def _column(of: Attribute) -> ColumnElement[Any]:
    if of.column is None:
        raise BadQuery(f"{of.keyword} cannot be matched")
    table = series if of.level is Level.SERIES else studies
    if of.level is Level.PATIENT and of.column not in studies.c:
        table = patients
    return table.c[of.column]


def _between(column: ColumnElement[Any], match: Between, place: Place) -> Condition:
    # The indexes have its stand-in, which is the same where there is a date.
    if column is studies.c.study_date:
        return and_(column.is_not(None), _between(place.day, match, place))
    ends = []
    if match.low is not None:
        ends.append(column >= match.low)
    if match.high is not None:
        ends.append(column <= match.high)
    return and_(*ends)


def _periods(query: Query, place: Place) -> tuple[list[Match | Fuzzy], list[Condition], list[Condition]]:
    """Ranges of dates with ranges of times as one period each, after the other matches: the days, and the moments."""
    ranges = {m.attribute.tag: m for m in query.matches if isinstance(m, Between) and _is_range(m)}
    pairs = [
        (ranges[day], ranges[clock]) for day, clock in PAIRS.items() if day in ranges and clock in ranges
    ]
    whole: list[Condition] = []
    moments: list[Condition] = []
    for days, times in pairs:
        moment = _column(days.attribute) + _column(times.attribute)
        low, high = (datetime.combine(d, t) if d else None for d, t in _ends(days, times))
        moments += [moment.is_not(None), _between(moment, Between(days.attribute, low, high), place)]
        whole.append(_between(_column(days.attribute), days, place))
    used = {id(match) for pair in pairs for match in pair}
    return [m for m in query.matches if id(m) not in used], whole, moments


def _ends(days: Between, times: Between) -> list[tuple[Any, Any]]:
    return [(days.low, times.low or time.min), (days.high, times.high or time.max)]


def _is_range(match: Between) -> bool:
    return match.low != match.high or match.low is None


def _number(of: Attribute, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise BadQuery(f"{of.keyword} needs a whole number") from None


def _like(pattern: str) -> str:
    escaped = pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%").replace("?", "_")


def _name(match: Match) -> Condition:
    """Any component group, without regard to case and accents. The tokens make it fast: a word that stands whole
    or by its beginning in the pattern must be among them."""
    assert isinstance(match, Equal | Wildcard)
    patterns = [match.pattern] if isinstance(match, Wildcard) else list(match.any_of)
    return or_(*(_one_name(p) for p in patterns))


def _one_name(pattern: str) -> Condition:
    folded = _like(fold(pattern).strip("="))  # `=王*` asks for that group, whatever stands before
    groups = or_(*(studies.c.name_folded.like(form, escape="\\") for form in
                   (folded, folded + "=%", "%=" + folded, "%=" + folded + "=%")))  # fmt: skip
    sure = sure_tokens(pattern)
    return and_(studies.c.name_tokens.contains(sure), groups) if sure else groups


def _among(column: ColumnElement[Any], match: Match) -> Condition:
    """Any of several values."""
    if isinstance(match, Wildcard):
        joined = func.array_to_string(column, "\\")
        return or_(*(joined.like(form, escape="\\") for form in _listed(_like(match.pattern))))
    assert isinstance(match, Equal)
    overlap: Condition = column.overlap(list(match.any_of))
    return overlap


def _listed(pattern: str) -> tuple[str, ...]:
    return pattern, pattern + "\\\\%", "%\\\\" + pattern, "%\\\\" + pattern + "\\\\%"


def _instance_condition(match: Match) -> Condition | None:
    """SOP Instance UIDs lead to their series by the narrow rows; all else is matched in the metadata."""
    if match.attribute.keyword != "SOPInstanceUID" or not isinstance(match, Equal):
        return None
    hashes = [uid_hash(u) for u in match.any_of]
    return series.c.id.in_(select(instances.c.series_pk).where(instances.c.uid_hash.in_(hashes)))


def _words(text: str) -> Condition:
    """What a person types: the beginnings of names in any script, or of a patient ID or accession number."""
    text = text.strip()
    tokens = query_tokens(text)
    by_name = studies.c.name_tokens.contains(tokens) if tokens else false()
    begins = _like(text.replace("*", "").replace("?", "")) + "%"
    by_id = or_(studies.c.patient_id.like(begins, escape="\\"), studies.c.accession.like(begins, escape="\\"))
    return or_(by_name, by_id)


def _after(position: Position, level: Level, of: Place) -> Condition:
    """Below this place of the list: a row comparison, which the index answers at once however deep it is."""
    study, place = tuple_(of.day, of.key), tuple_(*position[:2])
    if len(position) == 2:
        return study < place
    number, key = position[2:]
    later: Condition = series.c.number.is_(None) & (series.c.id > key)
    if number is not None:
        same = (series.c.number == number) & (series.c.id > key)
        later = or_(series.c.number > number, series.c.number.is_(None), same)
    if level is Level.IMAGE:
        later = or_(later, series.c.id == key)
    return and_(study <= place, or_(study < place, later))
