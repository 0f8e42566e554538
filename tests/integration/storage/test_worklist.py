"""The worklist on a real PostgreSQL: orders in, devices' questions answered, one facility apart from the other."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from sqlalchemy import text as sql

from pacs.access import Principal, Role
from pacs.errors import BadAttributes, BadQuery, NotFound
from pacs.names import pn_json
from pacs.uids import clean_uid
from pacs.values import Json, text
from pacs.worklist import (
    MODALITY,
    START_DATE,
    START_TIME,
    STATION_AE,
    STEP_ID,
    STEP_STATUS,
    STEPS,
    Order,
    element,
    step_of,
)
from storage import worklist
from storage.archive import Archive
from storage.facilities import add_facility
from storage.worklist import carry_out, schedule, search

DAYS = (date(2026, 7, 1), date(2026, 7, 31))
EVERYTHING: Json = {
    "00080050": {"vr": "SH"}, "00100010": {"vr": "PN"}, "00100020": {"vr": "LO"}, "0020000D": {"vr": "UI"},
    "00401001": {"vr": "SH"}, STEPS: {"vr": "SQ"},
}  # fmt: skip
ADMIN = Principal("admin", Role.ADMINISTRATOR)


def order(accession: str = "A1", step: str = "S1", **changed: Any) -> Json:
    """An entry; `changed` holds elements by tag, of the step where they are the step's."""
    item = {
        MODALITY: element("CS", "CT"), STATION_AE: element("AE", "CT_1"), STEP_ID: element("SH", step),
        START_DATE: element("DA", "20260705"), START_TIME: element("TM", "1000"),
    }  # fmt: skip
    top = {
        "00080050": element("SH", accession),
        "00100010": element("PN", pn_json("Wang^Xiao=王^小")),
        "00100020": element("LO", "P1"),
    }
    for tag, value in changed.items():
        (item if tag.lstrip("t") in item else top)[tag.lstrip("t")] = value
    return top | {STEPS: {"vr": "SQ", "Value": [item]}}


def asked(day: str = "20260705", **keys: Json) -> Json:
    item = {START_DATE: element("DA", day), STEP_ID: {"vr": "SH"}, STEP_STATUS: {"vr": "CS"}}
    item |= {tag.lstrip("t"): e for tag, e in keys.items()}
    return EVERYTHING | {STEPS: {"vr": "SQ", "Value": [item]}}


def found(archive: Archive, identifier: Json, facility: str = "LOCAL") -> list[str]:
    return [text(step_of(e), STEP_ID) for e in search(archive, facility, identifier).entries]


def test_what_is_scheduled_is_found_and_complete(archive: Archive) -> None:
    schedule(archive, "LOCAL", order())
    (entry,) = search(archive, "LOCAL", asked()).entries
    assert entry["00100010"]["Value"] == [pn_json("Wang^Xiao=王^小")]
    assert text(entry, "0020000D").startswith("2.25.")
    assert clean_uid(text(entry, "0020000D"))
    assert text(entry, "00401001") == "A1"  # made of the accession number, which is unique
    assert step_of(entry) == {START_DATE: element("DA", "20260705"), STEP_ID: element("SH", "S1"),
                              STEP_STATUS: element("CS", "SCHEDULED")}  # fmt: skip


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, ["S2", "S1"]),
        ({"t00080060": element("CS", "MR")}, ["S2"]),
        ({"t00080060": element("CS", "M*")}, ["S2"]),
        ({"t00080060": element("CS", "CT", "MR")}, ["S2", "S1"]),
        ({"t00400001": element("AE", "CT_1")}, ["S1"]),
        ({"t00400001": element("AE", "MR_2")}, ["S2"]),  # one of several stations
        ({"t00400001": element("AE", "MR_3")}, []),
        ({"t00400003": element("TM", "0900-1000")}, ["S2", "S1"]),
        ({"t00400003": element("TM", "-0930")}, ["S2"]),
    ],
)
def test_keys_of_the_step(archive: Archive, keys: Any, expected: list[str]) -> None:
    schedule(archive, "LOCAL", order())
    schedule(
        archive, "LOCAL",
        order("A2", "S2", t00080060=element("CS", "MR"), t00400001=element("AE", "MR_1", "MR_2"),
              t00400003=element("TM", "0900"), t00100020=element("LO", "P2")),
    )  # fmt: skip
    schedule(archive, "LOCAL", order("A3", "S3", t00400002=element("DA", "20260706")))
    assert found(archive, asked(**keys)) == expected


def test_a_step_without_a_station_is_for_any(archive: Archive) -> None:
    schedule(archive, "LOCAL", order(t00400001={"vr": "AE"}))
    (entry,) = search(archive, "LOCAL", asked(t00400001=element("AE", "CT_9"))).entries
    assert text(step_of(entry), STATION_AE) == "CT_9"
    assert found(archive, asked(t00400001=element("AE", "CT_9"), t00080060=element("CS", "MR"))) == []
    assert found(archive, asked(t00400001={"vr": "AE"})) == ["S1"]


def test_keys_of_the_patient(archive: Archive) -> None:
    schedule(archive, "LOCAL", order())
    for tag, value, expected in [
        ("00100020", element("LO", "P1"), ["S1"]), ("00100020", element("LO", "P2"), []),
        ("00100020", element("LO", "P*"), ["S1"]), ("00100010", element("PN", {"Alphabetic": "王*"}), ["S1"]),
        ("00100010", element("PN", {"Alphabetic": "wang*"}), ["S1"]), ("00080050", element("SH", "A1"), ["S1"]),
        ("00080050", element("SH", "A"), []),
    ]:  # fmt: skip
        assert found(archive, asked("20260701-20260731") | {tag: value}) == expected, (tag, value)


def test_facilities_are_walls(archive: Archive) -> None:
    add_facility(archive, "OTHER", "Other")
    schedule(archive, "LOCAL", order())
    schedule(archive, "OTHER", order("A1", "S9"))
    assert found(archive, asked()) == ["S1"]
    assert found(archive, asked(), "OTHER") == ["S9"]
    assert found(archive, asked(), "NOBODY") == []
    with pytest.raises(NotFound):
        schedule(archive, "NOBODY", order())
    stranger = Principal("x", Role.ADMINISTRATOR, "OTHER")
    (mine,) = worklist.list_entries(archive, stranger, days=DAYS)
    assert mine.facility == "OTHER"
    (theirs,) = worklist.list_entries(archive, ADMIN, days=DAYS, facility="LOCAL")
    for verb in (worklist.find_entry, worklist.cancel):
        with pytest.raises(NotFound):
            verb(archive, stranger, theirs.id)
    with pytest.raises(NotFound):
        worklist.change(archive, stranger, theirs.id, {})


def test_a_changed_order_keeps_its_study(archive: Archive) -> None:
    pk = schedule(archive, "LOCAL", order())
    (before,) = search(archive, "LOCAL", asked()).entries
    assert schedule(archive, "LOCAL", order(t00400002=element("DA", "20260706"))) == pk
    assert found(archive, asked()) == []
    (after,) = search(archive, "LOCAL", asked("20260706")).entries
    assert text(after, "0020000D") == text(before, "0020000D")


def test_steps_of_one_accession_are_one_study(archive: Archive) -> None:
    schedule(archive, "LOCAL", order("A1", "S1"))
    schedule(archive, "LOCAL", order("A1", "S2"))
    entries = search(archive, "LOCAL", asked()).entries
    assert len(entries) == 2
    assert len({text(e, "0020000D") for e in entries}) == 1


def test_cancelled_and_scheduled_again(archive: Archive) -> None:
    schedule(archive, "LOCAL", order())
    schedule(archive, "LOCAL", order("A1", "S2"))
    carry_out(archive, "LOCAL", [Order(order("A1", "S1"), cancel=True)])
    assert found(archive, asked()) == ["S2"]
    carry_out(archive, "LOCAL", [Order({"00080050": element("SH", "A1")}, cancel=True)])
    assert found(archive, asked()) == []
    assert {e.status for e in worklist.list_entries(archive, ADMIN, days=DAYS)} == {"CANCELED"}
    schedule(archive, "LOCAL", order())
    assert found(archive, asked()) == ["S1"]
    with pytest.raises(NotFound):
        carry_out(archive, "LOCAL", [Order(order("none"), cancel=True)])


def test_all_orders_of_a_message_or_none(archive: Archive) -> None:
    with pytest.raises(BadAttributes):
        carry_out(archive, "LOCAL", [Order(order()), Order(order("A2", t00100010={"vr": "PN"}))])
    assert found(archive, asked()) == []


@pytest.mark.parametrize(
    "wrong",
    [
        order(t00100020={"vr": "LO"}),
        order(t00080060={"vr": "CS"}),
        order(t00400002=element("DA", "tomorrow")),
        order(t0020000D=element("UI", "no uid")),
        order(t00104000=element("LT", "x" * 70_000)),
        order(t00104000=element("LT", "a\0b")),
        order(t00104000={"vr": "LT", "Value": 7}),
        order(tno_tag={"vr": "LT"}),
        {},
    ],
)
def test_what_is_no_entry_is_refused(archive: Archive, wrong: Json) -> None:
    with pytest.raises(BadAttributes):
        schedule(archive, "LOCAL", wrong)


def test_a_step_without_a_date_is_for_now(archive: Archive) -> None:
    schedule(archive, "LOCAL", order(t00400002={"vr": "DA"}))
    assert found(archive, EVERYTHING) == ["S1"]


def test_without_a_date_the_lapsed_are_not_told(archive: Archive) -> None:
    schedule(archive, "LOCAL", order(t00400002=element("DA", "20200101")))
    assert found(archive, EVERYTHING) == []
    assert found(archive, asked("20200101")) == ["S1"]


def test_more_than_can_be_told_is_told(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worklist, "ANSWERS_MAX", 3)
    for number in range(3):
        schedule(archive, "LOCAL", order(f"A{number}"))
    assert search(archive, "LOCAL", asked()).more is False
    schedule(archive, "LOCAL", order("A3"))
    told = search(archive, "LOCAL", asked())
    assert (len(told.entries), told.more) == (3, True)


def test_a_query_that_cannot_be_read(archive: Archive) -> None:
    with pytest.raises(BadQuery):
        search(archive, "LOCAL", asked("someday"))


def test_a_day_costs_what_the_day_costs(archive: Archive) -> None:
    """Among a hundred thousand steps of other days the plan goes by the day's index."""
    schedule(archive, "LOCAL", order())
    with archive.database.begin() as connection:
        connection.execute(sql(
            "INSERT INTO worklist (facility_id, accession, step_id, start_date, attributes, status)"
            " SELECT facility_id, 'X' || n, 'S', DATE '2020-01-01' + n / 50, attributes,"
            " CASE WHEN n % 2 = 0 THEN 'COMPLETED' ELSE 'SCHEDULED' END"
            " FROM worklist, generate_series(1, 100000) AS n"
        ))  # fmt: skip
        connection.execute(sql("ANALYZE worklist"))
        statement = worklist._open_steps("LOCAL", asked())
        text_of = statement.compile(connection.engine, compile_kwargs={"literal_binds": True}).string
        plan = "\n".join(connection.exec_driver_sql(f"EXPLAIN {text_of}").scalars())
    assert "ix_worklist_day" in plan, plan
    assert found(archive, asked()) == ["S1"]
