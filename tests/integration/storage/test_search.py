"""The compiler against a naive loop: random studies, random queries, the same answer (seeds printed)."""

from __future__ import annotations

import fnmatch
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, time
from typing import Any

import pytest
from sqlalchemy import delete, insert

from pacs.access import Principal, Role
from pacs.attributes import Level
from pacs.errors import BadQuery
from pacs.names import fold, name_tokens, query_tokens
from pacs.query import Between, Equal, Match, Query, Wildcard, attribute, match
from storage.archive import Archive
from storage.index.compiler import compile_query
from storage.index.tables import patients, studies
from storage.search import search

ADMINISTRATOR = Principal("admin", Role.ADMINISTRATOR)
STUDIES, QUERIES = 300, 250
NAMES = (
    "Wang^Xiao Ming=王^小明", "Wang^Fang=王^芳", "Li^Wei=李^伟", "Müller^Jürgen", "MUELLER^JURGEN", "O'Brien^Mary",
    "Doe^John", "Doe^Jane^A", "Yamada^Tarou=山田^太郎=やまだ^たろう", "Nobody", "", "100%_\\^x", "Zhang^San=张^三",
)  # fmt: skip
Row = dict[str, Any]


def world(chance: random.Random) -> list[Row]:
    rows = []
    for number in range(STUDIES):
        name = chance.choice(NAMES)
        rows.append(
            {
                "facility_id": 1, "patient_pk": 1, "study_uid": f"1.2.{number}", "patient_name": name,
                "name_folded": fold(name), "name_tokens": list(name_tokens(name)),
                "patient_id": chance.choice(["", f"P{number % 40:03}", f"p{number % 7}", "A B", "50%"]),
                "accession": chance.choice(["", f"A{number}"]), "study_id": str(number % 5),
                "study_date": chance.choice([None, date(2026, chance.randint(1, 12), chance.randint(1, 28))]),
                "study_time": chance.choice([None, time(chance.randint(0, 23), chance.randint(0, 59), 30, 500)]),
                "description": chance.choice(["", "CT HEAD", "Head^Neck", "ct_head%"]),
                "modalities": chance.choice([["CT"], ["MR"], ["CT", "SR"], ["US"], []]),
                "instance_count": 1, "series_count": 1, "sex": chance.choice(["M", "F", ""]),
            }
        )  # fmt: skip
    return rows


def random_value(chance: random.Random, keyword: str, rows: list[Row]) -> str:
    row = chance.choice(rows)
    text = str(row[attribute(keyword).column or ""] or "")
    if keyword == "StudyDate":
        return chance.choice(["20260301", "20260301-20260630", "-20260401", "20260901-", "20260228-20260228"])
    if keyword == "StudyTime":
        return chance.choice(["0800-1200", "10", "1030-", "-06", "235959"])
    if keyword == "ModalitiesInStudy":
        return chance.choice(["CT", "SR", "C*", "?R", "US", "XX"])
    if keyword == "StudyInstanceUID":
        return chance.choice([f"1.2.{chance.randrange(400)}", "1.2.3,1.2.4\\1.2.5"])
    if not text or chance.random() < 0.3:
        return text
    start = chance.randrange(len(text))
    return chance.choice(
        [text, text[: start + 1] + "*", "*" + text[start:], text[:start] + "?" + text[start + 1 :]]
    )


def agrees(found: Match, row: Row) -> bool:
    """PS3.4 C.2.2.2 by hand."""
    of = found.attribute
    value = row[of.column or ""]
    if isinstance(found, Between):
        above = found.low is None or (value is not None and value >= found.low)
        return value is not None and above and (found.high is None or value <= found.high)
    if of.keyword == "PatientName":
        patterns = [found.pattern] if isinstance(found, Wildcard) else list(found.any_of)
        forms = [row["name_folded"], *row["name_folded"].split("=")]
        return any(like(form, fold(p), exact=False) for p in patterns for form in forms)
    values = value if isinstance(value, list) else [str(value)]
    if isinstance(found, Wildcard):
        ignore_case = of.keyword != "ModalitiesInStudy"
        return any(like(v, found.pattern, exact=not ignore_case) for v in values)
    assert isinstance(found, Equal)
    return any(v in found.any_of for v in values)


def like(value: str, pattern: str, *, exact: bool) -> bool:
    if not exact:
        value, pattern = value.lower(), pattern.lower()
    return fnmatch.fnmatchcase(value, pattern.replace("[", "[[]"))


@pytest.fixture
def filled(archive: Archive) -> Iterator[tuple[Archive, list[Row], random.Random]]:
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    rows = world(chance)
    with archive.database.begin() as connection:
        connection.execute(insert(patients).values(id=1, facility_id=1, patient_id="P"))
        connection.execute(insert(studies), rows)
    yield archive, rows, chance
    with archive.database.begin() as connection:  # rows without series: not for `check`
        connection.execute(delete(studies))


def test_queries_answer_as_a_naive_loop_does(filled: tuple[Archive, list[Row], random.Random]) -> None:
    archive, rows, chance = filled
    keywords = ["PatientName", "PatientID", "AccessionNumber", "StudyDate", "StudyTime", "ModalitiesInStudy",
                "StudyDescription", "StudyInstanceUID", "StudyID", "PatientSex"]  # fmt: skip
    hits = 0
    for _ in range(QUERIES):
        asked = {
            k: random_value(chance, k, rows) for k in chance.sample(keywords, chance.choice([1, 1, 2, 3]))
        }
        matches = tuple(m for k, v in asked.items() if (m := match(attribute(k), v)) is not None)
        found = {s.study_uid for s in search(archive, Query(Level.STUDY, matches), ADMINISTRATOR)}
        wanted = {r["study_uid"] for r in rows if all(agrees(m, r) for m in matches)}
        assert found == wanted, asked
        hits += bool(wanted)
    assert hits > QUERIES // 5, "the queries find something"


def test_pages_are_the_whole_list_in_order(filled: tuple[Archive, list[Row], random.Random]) -> None:
    archive, rows, _ = filled
    seen: list[str] = []
    query = Query(Level.STUDY, limit=37)
    while page := search(archive, query, ADMINISTRATOR):
        seen += [s.study_uid for s in page]
        query = replace(query, after=(page[-1].sort_date, page[-1].study_pk))
    assert len(seen) == len(set(seen)) == len(rows)
    whole = [s.study_uid for s in search(archive, Query(Level.STUDY), ADMINISTRATOR)]
    assert seen == whole
    skipped = search(archive, Query(Level.STUDY, limit=10, offset=20), ADMINISTRATOR)
    assert [s.study_uid for s in skipped] == whole[20:30]


def test_words_find_beginnings(filled: tuple[Archive, list[Row], random.Random]) -> None:
    archive, rows, _ = filled
    for typed in ("wang", "王", "小明", "wxm", "mull", "doe j", "P00", "zh"):
        found = {s.study_uid for s in search(archive, Query(Level.STUDY, words=typed), ADMINISTRATOR)}
        tokens = set(query_tokens(typed))
        wanted = {
            r["study_uid"] for r in rows
            if tokens <= set(r["name_tokens"]) or r["patient_id"].startswith(typed) or r["accession"].startswith(typed)
        }  # fmt: skip
        assert found == wanted, typed
        assert found, typed


def test_who_may_see_nothing_finds_nothing(filled: tuple[Archive, list[Row], random.Random]) -> None:
    archive, _, _ = filled
    assert search(archive, Query(Level.STUDY), replace(ADMINISTRATOR, facility="ELSEWHERE")) == []


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("StudyDate", "yesterday"),
        ("StudyDate", "2026-"),
        ("StudyTime", "99"),
        ("StudyDate", "-"),
        ("PatientName", "x" * 2000),
    ],
)
def test_what_cannot_be_understood_is_refused(keyword: str, value: str) -> None:
    with pytest.raises(BadQuery):
        match(attribute(keyword), value)


@pytest.mark.parametrize("times", [(), (("StudyTime", "0800-1200"),)], ids=["day", "day and hours"])
def test_a_day_is_found_by_the_index(archive: Archive, times: tuple[tuple[str, str], ...]) -> None:
    """Not by looking at each study there is. The planner may not scan here, but only an index that fits is asked for
    the days."""
    asked = (("StudyDate", "20260706-20260707"), *times)
    matches = tuple(m for keyword, value in asked if (m := match(attribute(keyword), value)) is not None)
    query = Query(Level.STUDY, matches, combined=True, limit=100)
    statement = compile_query(query, Principal("CT1", Role.DEVICE, "LOCAL"))
    said = statement.compile(archive.database.engine, compile_kwargs={"literal_binds": True})
    with archive.database.begin() as connection:
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        plan = "\n".join(row[0] for row in connection.exec_driver_sql(f"EXPLAIN {said}".replace("%", "%%")))
    found = [line for line in plan.splitlines() if "Index Cond" in line and "sort_date" in line]
    assert found, plan
    assert "2026-07-06" in found[0], plan
    assert "2026-07-07" in found[0], plan
