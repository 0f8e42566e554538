"""The one compiler from a Query to SQL. What it selects, `visible(principal)` bounds."""

from __future__ import annotations

from datetime import datetime, time
from typing import Any

from sqlalchemy import ARRAY, BigInteger, ColumnElement, Select, and_, cast, false, func, or_, select, tuple_
from sqlalchemy.dialects.postgresql import distinct_on

from pacs.access import Principal
from pacs.attributes import Attribute, Level, above
from pacs.errors import BadQuery
from pacs.matching import PAIRS
from pacs.names import fold, query_tokens
from pacs.query import Between, Equal, Fuzzy, Match, Position, Query, Wildcard
from pacs.uids import uid_hash
from storage.index.tables import facilities, instances, patients, series, studies
from storage.index.visibility import Standing, visible

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
NEWEST_FIRST = (studies.c.sort_date.desc(), studies.c.id.desc())


def compile_query(query: Query, principal: Principal, standing: Standing | None = None) -> Select[Any]:
    """Studies, or series with their study, that match and may be seen; newest first.

    At the IMAGE level: the series in which matching instances may be.
    """
    statement = _select(query.level).where(visible(principal, standing), _not_empty(query.level))
    matches, periods = _periods(query) if query.combined else (query.matches, [])
    statement = statement.where(*periods)
    for match in matches:
        condition = _condition(match, query.level)
        if condition is not None:
            statement = statement.where(condition)
    if query.words:
        statement = statement.where(_words(query.words))
    if query.after is not None:
        statement = statement.where(_after(query.after, query.level))
    if query.level is Level.PATIENT:
        newest = (
            statement.ext(distinct_on(studies.c.patient_pk))
            .order_by(studies.c.patient_pk, *NEWEST_FIRST)
            .subquery()
        )
        statement = select(newest).order_by(newest.c.sort_date.desc(), newest.c.study_pk.desc())
    else:
        statement = statement.order_by(*NEWEST_FIRST)
    if query.level in (Level.SERIES, Level.IMAGE):
        statement = statement.order_by(series.c.number.asc().nulls_last(), series.c.id)
    if query.level is not Level.IMAGE:
        statement = statement.limit(query.limit).offset(query.offset)
    return statement


def _select(level: Level) -> Select[Any]:
    # Each study has a patient. The outer join keeps the planner from beginning with patients: where it knows too few of
    # them it would go through all studies that there are.
    base = studies.outerjoin(patients, patients.c.id == studies.c.patient_pk).join(
        facilities, facilities.c.id == studies.c.facility_id
    )
    if level is Level.PATIENT:
        return select(*PATIENT_COLUMNS).select_from(base)
    if level is Level.STUDY:
        return select(*STUDY_COLUMNS).select_from(base)
    return select(*STUDY_COLUMNS, *SERIES_COLUMNS).select_from(
        base.join(series, series.c.study_pk == studies.c.id)
    )


def _not_empty(level: Level) -> ColumnElement[bool]:
    """What a query lists can be retrieved (promise P7): a row without instances is not listed."""
    return (series if level in (Level.SERIES, Level.IMAGE) else studies).c.instance_count > 0


def _condition(match: Match | Fuzzy, level: Level) -> ColumnElement[bool] | None:
    of = match.attribute
    if of.level not in above(level):
        raise BadQuery(f"{of.keyword} cannot be matched at the {level.lower()} level")
    if isinstance(match, Fuzzy):
        tokens: ColumnElement[bool] = studies.c.name_tokens.contains(query_tokens(match.text))
        return tokens
    if of.level is Level.IMAGE:
        return _instance_condition(match)
    if of.keyword == "PatientName":
        return _name(match)
    column = _column(of)
    if isinstance(column.type, ARRAY):
        return _among(column, match)
    if isinstance(match, Between):
        return _between(column, match)
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


def _between(column: ColumnElement[Any], match: Between) -> ColumnElement[bool]:
    if (
        column is studies.c.study_date
    ):  # the indexes have its stand-in, which is the same where there is a date
        return and_(column.is_not(None), _between(studies.c.sort_date, match))
    ends = []
    if match.low is not None:
        ends.append(column >= match.low)
    if match.high is not None:
        ends.append(column <= match.high)
    return and_(*ends)


def _periods(query: Query) -> tuple[list[Match | Fuzzy], list[ColumnElement[bool]]]:
    """Ranges of dates with ranges of times as one period each, and the other matches."""
    ranges = {m.attribute.tag: m for m in query.matches if isinstance(m, Between) and _is_range(m)}
    pairs = [
        (ranges[day], ranges[clock]) for day, clock in PAIRS.items() if day in ranges and clock in ranges
    ]
    conditions: list[ColumnElement[bool]] = []
    for days, times in pairs:
        moment = _column(days.attribute) + _column(times.attribute)
        low, high = (datetime.combine(d, t) if d else None for d, t in _ends(days, times))
        period = _between(moment, Between(days.attribute, low, high))
        conditions += [moment.is_not(None), period, _between(_column(days.attribute), days)]
    used = {id(match) for pair in pairs for match in pair}
    return [m for m in query.matches if id(m) not in used], conditions


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


def _name(match: Match) -> ColumnElement[bool]:
    """Any component group, without regard to case and accents. The tokens make it fast: a word that stands whole
    or by its beginning in the pattern must be among them."""
    assert isinstance(match, Equal | Wildcard)
    patterns = [match.pattern] if isinstance(match, Wildcard) else list(match.any_of)
    return or_(*(_one_name(p) for p in patterns))


def _one_name(pattern: str) -> ColumnElement[bool]:
    folded = _like(fold(pattern).strip("="))  # `=王*` asks for that group, whatever stands before
    groups = or_(*(studies.c.name_folded.like(form, escape="\\") for form in
                   (folded, folded + "=%", "%=" + folded, "%=" + folded + "=%")))  # fmt: skip
    sure = query_tokens(" ".join(part for part in _sure_parts(pattern)))
    return and_(studies.c.name_tokens.contains(sure), groups) if sure else groups


def _sure_parts(pattern: str) -> list[str]:
    """Words of a pattern whose beginning is known: those that do not follow a wildcard."""
    parts = []
    for word in pattern.replace("=", "^").replace("^", " ").split():
        beginning = word.split("*")[0].split("?")[0]
        if beginning:
            parts.append(beginning)
    return parts


def _among(column: ColumnElement[Any], match: Match) -> ColumnElement[bool]:
    """Any of several values."""
    if isinstance(match, Wildcard):
        joined = func.array_to_string(column, "\\")
        return or_(*(joined.like(form, escape="\\") for form in _listed(_like(match.pattern))))
    assert isinstance(match, Equal)
    overlap: ColumnElement[bool] = column.overlap(list(match.any_of))
    return overlap


def _listed(pattern: str) -> tuple[str, ...]:
    return pattern, pattern + "\\\\%", "%\\\\" + pattern, "%\\\\" + pattern + "\\\\%"


def _instance_condition(match: Match) -> ColumnElement[bool] | None:
    """SOP Instance UIDs lead to their series by the narrow rows; all else is matched in the metadata."""
    if match.attribute.keyword != "SOPInstanceUID" or not isinstance(match, Equal):
        return None
    hashes = [uid_hash(u) for u in match.any_of]
    return series.c.id.in_(select(instances.c.series_pk).where(instances.c.uid_hash.in_(hashes)))


def _words(text: str) -> ColumnElement[bool]:
    """What a person types: the beginnings of names in any script, or of a patient ID or accession number."""
    text = text.strip()
    tokens = query_tokens(text)
    by_name = studies.c.name_tokens.contains(tokens) if tokens else false()
    begins = _like(text.replace("*", "").replace("?", "")) + "%"
    by_id = or_(studies.c.patient_id.like(begins, escape="\\"), studies.c.accession.like(begins, escape="\\"))
    return or_(by_name, by_id)


def _after(position: Position, level: Level) -> ColumnElement[bool]:
    """Below this place of the list: a row comparison, which the index answers at once however deep it is."""
    study, place = tuple_(studies.c.sort_date, studies.c.id), tuple_(*position[:2])
    if len(position) == 2:
        return study < place
    number, key = position[2:]
    later: ColumnElement[bool] = series.c.number.is_(None) & (series.c.id > key)
    if number is not None:
        same = (series.c.number == number) & (series.c.id > key)
        later = or_(series.c.number > number, series.c.number.is_(None), same)
    if level is Level.IMAGE:
        later = or_(later, series.c.id == key)
    return and_(study <= place, or_(study < place, later))
