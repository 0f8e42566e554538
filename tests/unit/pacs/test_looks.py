"""Who looked, gathered from entries: whose, by day, and as it is written."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import datetime, timedelta

from pacs.audit import Action, Entry, Outcome, Service, Subject
from pacs.looks import HEADINGS, NAME, WORDS, Kind, Looked, as_csv, as_page, gather

MINE, OTHERS = Subject("A", "", "P1"), Subject("B", "", "P9")
NOON = datetime(2026, 5, 4, 12).astimezone()
VIEW = Entry(
    at=NOON, service=Service.API, action=Action.VIEW, who="lin", role="clinician", facility="A", purpose="treatment",
    asked="GET /api/studies/1.2", studies=("1.2",), subjects=(MINE, OTHERS),
)  # fmt: skip
SMALL = replace(VIEW, asked="GET /dicom-web/studies/1.2/thumbnail?v=1")


def test_a_day_of_one_reader_is_one_line() -> None:
    later = [replace(VIEW, at=NOON + timedelta(minutes=n)) for n in (30, 5)]
    (look,) = gather([*later, VIEW], frozenset({MINE}))
    assert (look.first, look.last, look.times) == (NOON, NOON + timedelta(minutes=30), 3)
    assert look.subjects == (MINE,), "of nobody else is told"
    tomorrow = replace(VIEW, at=NOON + timedelta(days=1))
    assert [one.first for one in gather([VIEW, tomorrow], frozenset({MINE}))] == [tomorrow.at, NOON]


def test_whose_and_what_came_of_it() -> None:
    assert gather([VIEW], frozenset({Subject("A", "X", "P1")})) == ()
    assert gather([replace(VIEW, outcome=Outcome.ABSENT)], frozenset({MINE})) == ()
    assert gather([VIEW], frozenset({MINE}), frozenset({"1.3"})) == ()
    (look,) = gather([replace(VIEW, studies=("1.2", "1.3"))], frozenset({MINE}), frozenset({"1.3"}))
    assert look.studies == ("1.3",)


def test_a_picture_in_a_list_is_told_where_nothing_more_was_seen() -> None:
    assert [look.kind for look in gather([SMALL], frozenset({MINE}))] == [Kind.LIST]
    assert [look.kind for look in gather([SMALL, VIEW], frozenset({MINE}))] == [Kind.VIEW]
    other = replace(VIEW, who="wang")
    assert {look.kind for look in gather([SMALL, other], frozenset({MINE}))} == {Kind.LIST, Kind.VIEW}


def looked(who: str = "lin") -> Looked:
    looks = gather([replace(VIEW, who=who)], frozenset({MINE}))
    return Looked((MINE,), looks, {"A": ("城东医院", "East Hospital")})


def test_rows_for_spreadsheets() -> None:
    text = as_csv(looked(who='=HYPERLINK("x")'), "en")
    assert text.startswith("\N{ZERO WIDTH NO-BREAK SPACE}")
    head, row = csv.reader(io.StringIO(text[1:]))
    assert tuple(head) == HEADINGS["en"]
    assert row[3:9] == ["East Hospital", "Clinician", '\'=HYPERLINK("x")', "Looked", "Treatment", "A / P1"]
    without = as_csv(looked(), "zh", names=False)
    assert "lin" not in without
    assert HEADINGS["zh"][NAME] not in without
    assert "城东医院" in without


def test_a_page_to_print() -> None:
    page = as_page(looked(who="<script>"), "en")
    assert "&lt;script&gt;" in page
    assert "<script" not in page
    assert "East Hospital" in page
    empty = as_page(Looked((MINE,), (), {}, whole=False), "zh")
    assert WORDS["zh"]["none"] in empty
    assert WORDS["zh"]["cut"] in empty


def test_both_languages_have_the_same_words() -> None:
    assert WORDS["en"].keys() == WORDS["zh"].keys()
    assert len(HEADINGS["en"]) == len(HEADINGS["zh"])
    assert all(kind in WORDS["en"] for kind in Kind)
