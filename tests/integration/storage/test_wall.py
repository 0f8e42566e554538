"""The second wall (decision 0032): what PostgreSQL gives where a query forgets `visible`, and what it never hides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, exc, func, insert, select, text

from pacs.access import CARE, PROFESSIONALS, Principal, Purpose, Role, reads_own
from pacs.sharing import Grant, Scope, StudyFacts
from storage.archive import Archive
from storage.check import check
from storage.database import Database
from storage.embedded import EmbeddedDatabase
from storage.index import wall
from storage.index.behind import OPENED_MAX, Wall, find_wall
from storage.index.sharing import grants
from storage.index.tables import facilities, patients, series, studies, users
from storage.index.visibility import visible
from storage.migrate import upgrade
from tests.integration.storage.test_worlds import asker, cases, facts, fixed

WORLDS = 500
A, B = Principal("CT", Role.DEVICE, "A"), Principal("CT", Role.DEVICE, "B")
PATHS = (f"{wall.SCHEMA}, public", f"{wall.LISTS}, {wall.SCHEMA}, public")  # row level security, views
__all__ = ["fixed"]


def shown(connection: Connection, condition: Any = None) -> set[int]:
    query = select(studies.c.id)
    return set(connection.execute(query if condition is None else query.where(condition)).scalars())


def behind(connection: Connection, seen: Wall, path: str) -> None:
    """Within a transaction that is rolled back, as the worlds are."""
    connection.execute(text(f"SET LOCAL ROLE {wall.ROLE}"))
    said = {"tongying.facilities": seen.facilities, "tongying.studies": seen.studies, "search_path": path}
    for name, value in said.items():
        connection.execute(select(func.set_config(name, value, True)))


def may_possibly(who: Principal, study: StudyFacts, now: Any) -> bool:
    """What the wall lets through, from the world's facts."""
    if who.role is Role.LINK:
        return who.link in study.links
    own = study.facility == who.facility and reads_own(who.role, who.purpose)
    shares = who.purpose in CARE and study.policy.scope is not Scope.NONE
    given = any(g.since <= now < g.until and is_to(who, g) for g in study.grants)
    return own or (who.role in PROFESSIONALS and (shares or given))


def is_to(who: Principal, grant: Grant) -> bool:
    department = (who.facility, who.department)
    return who.name == grant.to_user or (
        who.facility is not None and (grant.to_facility == who.facility or grant.to_department == department)
    )


def test_it_hides_nothing_that_may_be_seen_and_shows_nothing_that_cannot_be(
    archive: Archive, fixed: dict[str, dict[Any, int]]
) -> None:
    counted: Counter[str] = Counter()
    for one in cases(archive, fixed, WORLDS):
        connection, studies_of = one.connection, zip(one.written.studies, one.world.studies, strict=True)
        who = asker(one.chance, one.written.links)
        if who.is_operator:
            continue
        told = f"{one.told}: {who}"
        seen, allowed = find_wall(connection, who), shown(connection, visible(who))
        of_study = dict(connection.execute(select(series.c.id, series.c.study_pk)).all())
        possible = {
            pk for pk, study in studies_of
            if may_possibly(who, facts(one.world, study, one.written.links), one.world.now)
        }  # fmt: skip
        for path in PATHS:
            behind(connection, seen, path)
            forgotten = shown(connection)
            assert allowed <= forgotten, told
            assert shown(connection, visible(who)) == allowed, told
            assert who.role is Role.LINK or forgotten == possible, told
            rows = connection.execute(select(series.c.study_pk)).scalars().all()
            assert sorted(rows) == sorted(pk for pk in of_study.values() if pk in forgotten), told
            connection.execute(text("RESET ROLE"))
            connection.execute(text("SET LOCAL search_path = public"))
        counted.update(shown=len(allowed), kept=len(one.written.studies) - len(forgotten),
                       more=len(forgotten - allowed))  # fmt: skip
    print(dict(counted))
    assert min(counted[name] for name in ("shown", "kept", "more")) > WORLDS // 5, counted


@pytest.fixture
def two(archive: Archive) -> Iterator[tuple[Archive, dict[str, int]]]:
    """Facilities A and B with a study each, by their keys."""
    with archive.database.begin() as connection:
        for code in "AB":
            key = connection.execute(
                insert(facilities).values(code=code, name=code).returning(facilities.c.id)
            )
            key = key.scalar_one()
            of = insert(patients).values(facility_id=key, patient_id="P", patient_name="Wang^Fang")
            patient = connection.execute(of.returning(patients.c.id)).scalar_one()
            row = {"facility_id": key, "patient_pk": patient, "study_uid": f"1.2.{key}", "instance_count": 1}
            connection.execute(insert(studies).values(row))
        found = connection.execute(
            select(facilities.c.code, studies.c.id).join(studies, studies.c.facility_id == facilities.c.id)
        )
        keys = dict(tuple(row) for row in found)
    yield archive, keys
    with archive.database.begin() as connection:
        connection.execute(grants.delete())
        connection.execute(studies.delete())


@pytest.mark.parametrize("listing", [False, True], ids=["look-ups", "lists"])
def test_who_forgets_visible_gets_nothing_of_others(
    two: tuple[Archive, dict[str, int]], listing: bool
) -> None:
    archive, of = two
    for who, facility in [(A, "A"), (B, "B"), (A, "A")]:  # one connection after the other's words
        with archive.read_as(who, listing=listing) as connection:
            assert connection.execute(text("SELECT current_user")).scalar_one() == wall.ROLE
            assert shown(connection) == {of[facility]}
    for who in (Principal("x", Role.AUDITOR, "A"), Principal("link", Role.LINK, link=1)):
        with archive.read_as(who, listing=listing) as connection:
            assert shown(connection) == set()
    with archive.database.read_behind(Wall(), listing=listing) as connection:
        assert shown(connection) == set()
    with archive.read_as(Principal("admin", Role.ADMINISTRATOR), listing=listing) as connection:
        assert shown(connection) == set(of.values())


def test_a_connection_that_was_told_nothing_shows_nothing(two: tuple[Archive, dict[str, int]]) -> None:
    archive, _ = two
    with archive.database._readers.connect() as connection:  # what a verb would do that passes by the door
        assert shown(connection) == set()


@pytest.mark.parametrize(
    "hidden",
    [
        "patient_name FROM patients",
        "* FROM public.patients",
        "password_hash FROM users",
        "* FROM secrets",
        "* FROM audit",
        "token_hash FROM share_links",
    ],
)
def test_of_other_tables_it_reads_what_it_needs(archive: Archive, hidden: str) -> None:
    of = "permission denied|does not exist"
    with archive.read_as(A) as connection, pytest.raises(exc.ProgrammingError, match=of):
        connection.exec_driver_sql(f"SELECT {hidden}")
    with archive.read_as(A) as connection, pytest.raises(exc.ProgrammingError, match="permission denied"):
        connection.exec_driver_sql("UPDATE studies SET description = ''")


def test_a_connection_whose_words_failed_is_told_anew(
    two: tuple[Archive, dict[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, of = two
    with pytest.raises(exc.DataError), archive.database.read_behind(Wall("none", "none")) as connection:
        shown(connection)
    with monkeypatch.context() as patched:
        patched.setattr(wall, "_TELL", b"nothing of that name is prepared")
        with pytest.raises(exc.OperationalError), archive.read_as(B) as connection:
            pytest.fail("it was not told")
    with archive.read_as(A) as connection:
        assert shown(connection) == {of["A"]}


def test_a_new_connection_in_the_place_of_a_closed_one_is_behind_it(
    two: tuple[Archive, dict[str, int]],
) -> None:
    archive, of = two
    with archive.read_as(A) as connection:
        old = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    with archive.database.begin() as connection:
        connection.execute(text("SELECT pg_terminate_backend(:pid, 10000)"), {"pid": old})
    with archive.read_as(A) as connection:
        assert connection.execute(text("SELECT pg_backend_pid()")).scalar_one() != old
        assert shown(connection) == {of["A"]}


def test_what_is_opened_is_one_study_and_where_they_are_many_a_facility(
    two: tuple[Archive, dict[str, int]],
) -> None:
    archive, of = two
    doctor = Principal(
        "doctor", Role.CLINICIAN, "A", Purpose.QUALITY
    )  # of the own facility nothing, for this purpose
    with archive.database.begin() as connection:
        me = insert(users).values(name="doctor", password_hash="", role="clinician").returning(users.c.id)
        owner = select(facilities.c.id).where(facilities.c.code == "B").scalar_subquery()
        uid = select(studies.c.study_uid).where(studies.c.id == of["B"]).scalar_subquery()
        me = connection.execute(me).scalar_one()
        given = {"facility_id": owner, "study_uid": uid, "kind": "quality", "made_by": "t",
                 "to_user_id": me, "until": func.now() + text("INTERVAL '1 hour'")}  # fmt: skip
        connection.execute(insert(grants).values(given))
        assert find_wall(connection, doctor) == Wall("", f"{{{of['B']}}}")
        patient = select(studies.c.patient_pk).where(studies.c.id == of["B"]).scalar_subquery()
        connection.execute(insert(grants).values(given | {"study_uid": "", "patient_pk": patient}))
        many = text("INSERT INTO studies (facility_id, patient_pk, study_uid) SELECT facility_id, patient_pk, "
                    "'1.3.' || n FROM studies, generate_series(1, :many) n WHERE id = :pk")  # fmt: skip
        connection.execute(many, {"many": OPENED_MAX, "pk": of["B"]})
        owner_key = connection.execute(select(owner)).scalar_one()
        assert find_wall(connection, doctor) == Wall("0" * owner_key + "1", "{}")
    with archive.read_as(doctor) as connection:
        assert len(shown(connection)) == OPENED_MAX + 1


def test_lists_look_into_indexes(two: tuple[Archive, dict[str, int]]) -> None:
    """What row level security alone would forbid: before its condition no operator that is not leakproof is asked."""
    archive, _ = two
    plans = []
    for listing in (True, False):
        with archive.read_as(A, listing=listing) as connection:
            connection.execute(text("SET enable_seqscan = off"))
            asked = "EXPLAIN SELECT id FROM studies WHERE name_tokens @> ARRAY['wang']"
            plans.append("\n".join(connection.execute(text(asked)).scalars()))
            connection.execute(text("RESET enable_seqscan"))
    by_view, by_policy = plans
    assert "ix_studies_name_tokens" in by_view
    assert "ix_studies_name_tokens" not in by_policy, "PostgreSQL learned it: the views are needed no more"


def test_where_we_may_not_make_the_role(archive: Archive, embedded: EmbeddedDatabase) -> None:
    """The archive goes on without, `check` tells it, and after the administrator's words the wall stands."""
    url = (
        embedded.url.replace("/tongying?", "/given?")
        .replace("postgres:", "given:")
        .replace("postgres@", "given@")
    )
    assert url.count("given") == 2, "another user, another database"
    with archive.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for said in ("DROP DATABASE IF EXISTS given", "DROP ROLE IF EXISTS given", "CREATE ROLE given LOGIN",
                     "CREATE DATABASE given OWNER given"):  # fmt: skip
            connection.execute(text(said))
    given = Database(url)
    upgrade(given)
    with given.begin() as connection:
        assert not wall.stands(connection)
    with given.read_behind(Wall()) as connection:
        assert connection.execute(text("SELECT current_user")).scalar_one() == "given"
    given.close()
    with archive.database.begin() as connection:
        connection.execute(text(f"GRANT {wall.ROLE} TO given"))
    upgrade(given)
    with given.begin() as connection:
        assert wall.is_built(connection)
    with given.read_behind(Wall()) as connection:
        assert connection.execute(text("SELECT current_user")).scalar_one() == wall.ROLE
    given.close()


def test_check_tells_that_it_is_missing(archive: Archive) -> None:
    with archive.database.begin() as connection:
        assert wall.is_built(connection)
        wall.take_down(connection)
    assert check(archive).findings == [wall.MISSING]
    upgrade(archive.database)
    assert check(archive).findings == []
