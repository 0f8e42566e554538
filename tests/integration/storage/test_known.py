"""Which facilities know a study (`storage.index.known`): kept by triggers, whatever moves patients, adds studies or
takes them away, also at the same moment; and lists that walk along it. The fixture's `check` looks at it again."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, delete, event, func, insert, literal, select, update
from starlette.requests import Request

from pacs.access import PROFESSIONALS, Principal, Role
from pacs.attributes import Level
from pacs.query import Equal, Query, attribute, match
from pacs.sharing import Policy, Scope
from storage.archive import Archive
from storage.index.compiler import compile_query
from storage.index.known import astray, known_studies
from storage.index.tables import facilities, patients, persons, series, studies
from storage.index.writes import grow_study
from storage.persons import link, undo, unlink
from storage.search import Total, search, total
from storage.sharing import set_policy
from tests.integration.storage.test_persons import Arrive, arrive
from tests.integration.storage.test_worlds import Case, cases, fixed
from viewer_api.dicomweb.qido import search_studies

WORLDS = 60
ADMIN = Principal("admin", Role.ADMINISTRATOR)
WEST = Principal("reader", Role.RADIOLOGIST, "WEST")
SECONDS = 10
DAY = date(2026, 7, 6)
__all__ = ["arrive", "fixed"]


def move_somebody(one: Case) -> None:
    """What steps of links do, and indexing, and a Rejection Note."""
    chance, connection = one.chance, one.connection
    keys = list(connection.execute(select(patients.c.id)).scalars())
    people = [None, *connection.execute(select(persons.c.id)).scalars()]
    of = chance.choice(one.written.studies)
    for statement in chance.sample(
        [
            update(patients).where(patients.c.id == chance.choice(keys)).values(person_pk=chance.choice(people)),
            update(patients).where(patients.c.id.in_(chance.sample(keys, 2))).values(person_pk=chance.choice(people)),
            update(studies).where(studies.c.id == of).values(study_date=DAY - timedelta(days=chance.randint(0, 9))),
            update(series).where(series.c.study_pk == of).values(modality=chance.choice(["", "CT", "SR"])),
            delete(studies).where(studies.c.id == of),
            delete(series).where(series.c.study_pk == of, series.c.body_part != "HEAD"),
            update(series).where(series.c.study_pk == of).values(body_part=chance.choice(["", "Head", "KNEE"])),
            insert(series).from_select(
                ["facility_id", "study_pk", "series_uid", "body_part"],
                select(studies.c.facility_id, studies.c.id, literal("1.9"), literal(chance.choice(["", "knee"])))
                .where(studies.c.id == of),
            ),
            insert(patients).values(
                facility_id=select(func.min(facilities.c.id)).scalar_subquery(), patient_id="new",
                person_pk=chance.choice(people),
            ),
        ],
        4,
    ):  # fmt: skip
        connection.execute(statement)
        assert astray(connection, 10) == [], one.told


def test_what_is_known_is_so_whatever_moves(archive: Archive, fixed: dict[str, dict[Any, int]]) -> None:
    known = 0
    for one in cases(archive, fixed, WORLDS):
        assert astray(one.connection, 10) == [], one.told
        move_somebody(one)
        elsewhere = known_studies.join(studies, studies.c.id == known_studies.c.study_pk)
        query = select(func.count()).select_from(elsewhere)
        known += one.connection.execute(
            query.where(studies.c.facility_id != known_studies.c.known_to)
        ).scalar_one()
    assert known > WORLDS // 2, known


def test_check_finds_what_is_astray(archive: Archive, fixed: dict[str, dict[Any, int]]) -> None:
    for one in cases(archive, fixed, 1):
        key = one.written.studies[0]
        one.connection.execute(delete(known_studies).where(known_studies.c.study_pk == key))
        assert astray(one.connection, 10) == [key]


def listed(archive: Archive, *keys: tuple[str, str]) -> int:
    """For the radiologist of WEST: how many, in the list and counted."""
    archive.standings.forget()
    query = Query(Level.STUDY, tuple(m for m in (match(attribute(n), v) for n, v in keys) if m), limit=50)
    found = search(archive, query, WEST)
    assert total(archive, query, WEST) == Total(len(found), is_whole=True)
    return len(found)


def test_a_link_opens_and_its_end_closes(archive: Archive, arrive: Arrive) -> None:
    east, west = arrive("EAST"), arrive("WEST")
    set_policy(archive, ADMIN, "EAST", Policy(Scope.REGISTERED))
    assert listed(archive) == 1
    batch = link(archive, ADMIN, east, west)
    assert listed(archive) == listed(archive, ("PatientName", "逄*")) == 2
    arrive("EAST", "another", name="王^芳")
    assert listed(archive) == 2
    undo(archive, ADMIN, batch)
    assert listed(archive) == 1
    link(archive, ADMIN, west, east)
    assert listed(archive) == 2
    unlink(archive, ADMIN, east)
    assert listed(archive) == 1


def added(connection: Connection, patient: int) -> None:
    """A study as indexing adds it: the patient's row is locked first."""
    row = connection.execute(select(patients).where(patients.c.id == patient).with_for_update()).one()
    values = {
        "facility_id": row.facility_id,
        "patient_pk": patient,
        "study_uid": "1.2.3",
        "instance_count": 0,
    }
    key = connection.execute(insert(studies).values(values).returning(studies.c.id)).scalar_one()
    grows(connection, key, row.facility_id, "CT")


def grows(connection: Connection, study: int, facility: int, *kinds: str) -> None:
    """Series of these modalities come, each with an image."""
    for kind in kinds:
        values = {"facility_id": facility, "study_pk": study, "series_uid": f"1.2.3.{kind}", "modality": kind}
        connection.execute(insert(series).values(**values, instance_count=1))
    grow_study(connection, study, shown=len(kinds), size=1)


@pytest.fixture
def grown(archive: Archive) -> Iterator[None]:
    """What `grows` made is taken away before the archive is checked: no pack has it."""
    yield
    with archive.database.begin() as connection:
        made = delete(series).where(series.c.series_uid.startswith("1.2.3.")).returning(series.c.study_pk)
        for study, count in Counter(connection.execute(made).scalars()).items():
            grow_study(connection, study, shown=-count, size=-1)


def starts_and_waits(thread: threading.Thread, what: str) -> None:
    thread.start()
    thread.join(0.2)
    assert thread.is_alive(), what


def study_of(connection: Connection, patient: int) -> tuple[int, int]:
    """Its key and its owner's."""
    found = select(studies.c.id, studies.c.facility_id).where(studies.c.patient_pk == patient)
    key, facility = connection.execute(found).one()
    return key, facility


@pytest.mark.parametrize("which", ["who is moved", "who stays"])
def test_who_adds_and_who_links_at_the_same_moment_see_each_other(
    archive: Archive, arrive: Arrive, which: str
) -> None:
    east, west = arrive("EAST"), arrive("WEST")
    other = arrive("LOCAL")
    link(archive, ADMIN, west, other)  # so EAST's is moved to their person
    patient = east if which == "who is moved" else west
    linking = threading.Thread(target=link, args=(archive, ADMIN, east, west))
    with archive.database.begin() as connection:
        added(connection, patient)
        starts_and_waits(linking, "it waits for the study")
    linking.join(SECONDS)
    with archive.database.begin() as connection:
        assert astray(connection, 10) == []
        of_study = known_studies.join(studies, studies.c.id == known_studies.c.study_pk)
        known = select(known_studies.c.known_to, known_studies.c.modality).select_from(of_study)
        rows = connection.execute(known.where(studies.c.study_uid == "1.2.3")).all()
        assert len({row.known_to for row in rows}) == 3, "all three know it"
        assert len(rows) == 6, "of any modality, and of its own"
        connection.execute(delete(studies).where(studies.c.study_uid == "1.2.3"))


@pytest.mark.usefixtures("grown")
def test_a_modality_that_comes_while_somebody_links(archive: Archive, arrive: Arrive) -> None:
    east, west = arrive("EAST"), arrive("WEST")
    linking = threading.Thread(target=link, args=(archive, ADMIN, east, west))
    with archive.database.begin() as connection:
        grows(connection, *study_of(connection, east), "SR")
        starts_and_waits(linking, "it waits for the study")
    linking.join(SECONDS)
    with archive.database.begin() as connection:
        assert astray(connection, 10) == []
    set_policy(archive, ADMIN, "EAST", Policy(Scope.REGISTERED))
    assert listed(archive, ("ModalitiesInStudy", "SR")) == 1


@pytest.mark.usefixtures("grown")
def test_a_link_that_is_made_while_a_modality_comes(archive: Archive, arrive: Arrive) -> None:
    east, west = arrive("EAST"), arrive("WEST")

    def grow() -> None:
        with archive.database.begin() as connection:
            grows(connection, *study_of(connection, east), "SR")

    growing = threading.Thread(target=grow)
    with archive.database.begin() as connection:
        person = connection.execute(insert(persons).returning(persons.c.id)).scalar_one()
        connection.execute(update(patients).where(patients.c.id.in_([east, west])).values(person_pk=person))
        starts_and_waits(growing, "it waits for the link")
    growing.join(SECONDS)
    with archive.database.begin() as connection:
        assert astray(connection, 10) == []
        of_east = known_studies.c.study_pk == study_of(connection, east)[0]
        assert (
            connection.execute(select(func.count()).select_from(known_studies).where(of_east)).scalar_one()
            == 6
        )
        connection.execute(update(patients).values(person_pk=None))  # no step had moved them


@pytest.mark.usefixtures("grown")
def test_a_study_of_several_modalities_is_listed_once(archive: Archive, arrive: Arrive) -> None:
    patient = arrive("WEST")
    with archive.database.begin() as connection:
        grows(connection, *study_of(connection, patient), "PT", "SR")
    for asked in ("PT\\SR\\CT", "US\\SR", "SR\\PT", "US\\MR\\XA\\DX\\SR"):
        assert listed(archive, ("ModalitiesInStudy", asked)) == 1, asked
    assert listed(archive, ("ModalitiesInStudy", "US\\MR")) == 0
    empty = Equal(attribute("ModalitiesInStudy"), ("", "SR"))  # as somebody may write an address
    assert len(search(archive, Query(Level.STUDY, (empty,), limit=50), WEST)) == 1


def test_a_modality_that_is_mended_is_found(archive: Archive, arrive: Arrive) -> None:
    """As by a Rejection Note that takes away the instance from which a series had it, or by reading anew."""
    patient = arrive("WEST")
    with archive.database.begin() as connection:
        key, _ = study_of(connection, patient)
        connection.execute(update(series).where(series.c.study_pk == key).values(modality="NM"))
        assert astray(connection, 10) == []
    assert listed(archive, ("ModalitiesInStudy", "NM")) == 1
    of_series = Query(Level.SERIES, (Equal(attribute("Modality"), ("NM",)),), limit=50)
    assert len(search(archive, of_series, WEST)) == 1


@pytest.mark.parametrize("role", [Role.CLINICIAN, Role.RADIOLOGIST, Role.TECHNOLOGIST, Role.ADMINISTRATOR])
def test_without_a_standing_the_same_is_found(archive: Archive, arrive: Arrive, role: Role) -> None:
    arrive("EAST")
    set_policy(archive, ADMIN, "EAST", Policy(Scope.REGION))
    who = Principal("somebody", role, "WEST")
    query = Query(Level.STUDY, (Equal(attribute("ModalitiesInStudy"), ("CT",)),), limit=50)
    archive.standings.forget()
    with archive.database.read() as connection:
        found = connection.execute(compile_query(query, who)).all()
    assert [row.study_pk for row in found] == [row.study_pk for row in search(archive, query, who)]
    assert bool(found) == (role in PROFESSIONALS)


def test_what_is_counted_has_an_end(
    archive: Archive, arrive: Arrive, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        arrive("WEST", f"W{number}")
    monkeypatch.setattr("storage.search.COUNTED_MAX", 5)
    assert total(archive, Query(Level.STUDY), WEST) == Total(4, is_whole=True)
    monkeypatch.setattr("storage.search.COUNTED_MAX", 3)
    assert total(archive, Query(Level.STUDY), WEST) == Total(3, is_whole=False)
    assert answered(archive, "limit=2") == ("3", True)
    assert answered(archive, "limit=2&offset=1") == ("4", True), "of which there is one more"
    assert answered(archive, "limit=4") == ("4", False), "the last page tells it"
    assert answered(archive, "offset=3") == ("4", False)
    assert answered(archive, "offset=9") == ("3", True)


def answered(archive: Archive, asked: str) -> tuple[str, bool]:
    """The total in QIDO-RS's answer, and whether it says that it may be larger."""
    scope = {"type": "http", "method": "GET", "path": "/dicom-web/studies", "headers": [],
             "query_string": f"{asked}&total=true".encode()}  # fmt: skip
    answer = search_studies(Request(scope), WEST, archive)
    return answer.headers["x-total-count"], "may be larger" in answer.headers.get("warning", "")


@pytest.fixture
def modes(archive: Archive) -> Iterator[list[str]]:
    """How PostgreSQL was to plan what lists ask of it."""
    seen: list[str] = []

    def ask(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "FROM studies" in statement or "within" in statement:
            seen.append(connection.connection.driver_connection.execute("SHOW plan_cache_mode").fetchone()[0])

    event.listen(archive.database._readers, "before_cursor_execute", ask)
    yield seen
    event.remove(archive.database._readers, "before_cursor_execute", ask)


def test_plans_are_kept_where_they_are_as_good_for_any_values(
    archive: Archive, arrive: Arrive, modes: list[str]
) -> None:
    arrive("WEST", "W1")
    assert (
        listed(archive)
        == listed(archive, ("ModalitiesInStudy", "CT"))
        == listed(archive, ("PatientID", "W1"))
        == 1
    )
    assert set(modes) == {"force_generic_plan"}
    modes.clear()
    search(archive, Query(Level.STUDY, words="W", limit=50), WEST)  # a beginning, of which an index must know
    assert modes == ["auto"]
