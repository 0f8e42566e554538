"""Two thousand random worlds, in which `may` over every study and the rows that `visible` selects are the same.

A world is made as facts in Python, and as rows in a real PostgreSQL; what is believed there is not read back. Each is a
transaction that is rolled back.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from itertools import zip_longest
from typing import Any

import pytest
from sqlalchemy import Connection, func, insert, select

from pacs.access import CARE, Action, Principal, Purpose, Reason, Role, reason
from pacs.attributes import Level
from pacs.query import Equal, Query, attribute
from pacs.sharing import Grant, Kind, Objection, Policy, Scope, StudyFacts
from storage.archive import Archive
from storage.index.compiler import compile_count, compile_query
from storage.index.sharing import grants, restrictions, share_links, sharing_policies
from storage.index.standing import find_standing
from storage.index.tables import departments, facilities, patients, persons, series, studies, users
from storage.index.visibility import FACILITIES_MANY, KINDS_MAX, Narrowed, Standing, visible
from storage.paging import position_of

WORLDS = 2000
ASKERS = 2  # of each world; of the first the smaller condition too
LISTED = 0.03  # of which lists are asked for too, which may be walked (`storage.index.within`)
CODES = ("A", "B", "C", "D")
DEPARTMENTS = ("EMERGENCY", "RADIOLOGY")
MODALITIES, PARTS = ("CT", "MR", "US"), ("HEAD", "BREAST", "pelvis", "")
MOMENTS = (-2, -1, 1, 2)  # hours from now: in the past twice, in the future twice
KINDS = ("objection", "absolute", "sensitive", "embargo")
ASKED = ("CT",), ("MR", "CT")  # modalities of which lists are asked for
DATES = (None, date(2026, 7, 1), date(2026, 7, 2))
PAGE = 2  # rows of one of their pages
NOWHERE = tuple(range(-FACILITIES_MANY, 0))
USERS = {"u1": "A", "u2": "A", "u3": "B", "u4": None}
Row = dict[str, Any]


@dataclass
class World:
    """Rows, and what they mean."""

    now: datetime
    person_of: dict[int, int | None] = field(default_factory=dict)  # patient → person
    owner_of: dict[int, str] = field(default_factory=dict)  # patient → facility
    policies: dict[str, Policy] = field(default_factory=dict)
    studies: list[Row] = field(default_factory=list)
    grants: list[Row] = field(default_factory=list)
    restrictions: list[Row] = field(default_factory=list)
    links: list[Row] = field(default_factory=list)


def span(chance: random.Random, now: datetime) -> tuple[datetime, datetime]:
    """Past, present or to come."""
    since, until = sorted(chance.sample(MOMENTS, 2)) if chance.random() < 0.5 else (-1, 1)
    return now + timedelta(hours=since), now + timedelta(hours=until)


def about(chance: random.Random, world: World) -> Row:
    """A study or a patient, with the facility that owns it."""
    if chance.random() < 0.5:
        study = chance.choice(world.studies)
        return {"facility": study["facility"], "study_uid": study["uid"], "patient": None}
    patient = chance.choice(list(world.owner_of))
    return {"facility": world.owner_of[patient], "study_uid": "", "patient": patient}


def made(chance: random.Random, now: datetime) -> World:
    world = World(now)
    people = range(chance.randint(1, 3))
    for patient in range(chance.randint(3, 7)):
        world.owner_of[patient] = chance.choice(CODES)
        world.person_of[patient] = chance.choice([None, *people, *people])
    for number in range(chance.randint(3, 8)):
        patient = chance.choice(list(world.owner_of))
        world.studies.append({
            "uid": f"1.{chance.randint(1, 4)}.{number % 4}", "patient": patient, "facility": world.owner_of[patient],
            "modalities": chance.sample(MODALITIES, chance.randint(0, 2)),
            "parts": chance.sample(PARTS, chance.randint(0, 2)), "study_date": chance.choice(DATES),
        })  # fmt: skip
    unique = {(s["facility"], s["uid"], s["patient"]): s for s in world.studies}
    world.studies = list(unique.values())
    for code in CODES:
        if chance.random() < 0.75:
            world.policies[code] = Policy(
                chance.choice(list(Scope)),
                frozenset(chance.choice([(), (), ("CT",), ("CT", "MR")])),
                frozenset(chance.choice([(), (), ("BREAST",), ("PELVIS", "BREAST")])),
            )
    for _ in range(chance.choice([0, 2, 4, 6])):  # many, and to those who ask most: else few rules meet
        to = chance.choice([("facility", chance.choice("AABCD")), ("user", chance.choice(["u1", *USERS])),
                            ("department", (chance.choice("AAB"), chance.choice(DEPARTMENTS)))])  # fmt: skip
        kind = chance.choice([*Kind, Kind.EMERGENCY, Kind.EMERGENCY])
        if kind is Kind.EMERGENCY:
            to = ("user", chance.choice(["u1", "u1", *USERS]))
        world.grants.append(about(chance, world) | {"to": to, "kind": kind, "span": span(chance, world.now),
                                                    "sensitive": chance.random() < 0.3})  # fmt: skip
    for _ in range(chance.choice([0, 0, 1, 2, 4])):
        since, until = span(chance, world.now)
        one = about(chance, world)
        if world.grants and chance.random() < 0.6:  # of what somebody opened
            opened = chance.choice(world.grants)
            one = {name: opened[name] for name in ("facility", "study_uid", "patient")}
        everywhere = one["patient"] is not None and chance.random() < 0.5
        world.restrictions.append(one | {"kind": chance.choice(KINDS), "since": since, "everywhere": everywhere,
                                         "until": chance.choice([None, until])})  # fmt: skip
    for _ in range(chance.choice([0, 1, 2])):
        study = chance.choice(world.studies)
        world.links.append({"facility": study["facility"], "patient": study["patient"], "span": span(chance, world.now),
                            "uids": [study["uid"], chance.choice(world.studies)["uid"]]})  # fmt: skip
    return world


def facts(world: World, study: Row, links: list[int]) -> StudyFacts:
    """What `may` is told, from the world and not from the database."""
    now, person = world.now, world.person_of[study["patient"]]

    def concerns(one: Row, *, everywhere: bool = False) -> bool:
        if one["patient"] is None:
            return bool(one["study_uid"] == study["uid"] and one["facility"] == study["facility"])
        same = person is not None and world.person_of[one["patient"]] == person
        return bool(one["patient"] == study["patient"] or (everywhere and same))

    never = datetime.max.replace(tzinfo=now.tzinfo)
    said = {
        r["kind"]: r for r in sorted(world.restrictions, key=lambda r: r["until"] or never)
        if concerns(r, everywhere=r["everywhere"]) and r["since"] <= now and (r["until"] is None or now < r["until"])
    }  # fmt: skip
    return StudyFacts(
        facility=study["facility"],
        policy=world.policies.get(study["facility"], Policy()),
        modalities=frozenset(study["modalities"]),
        body_parts=frozenset(p.upper() for p in study["parts"]),
        registered_at=frozenset(
            world.owner_of[p] for p, of in world.person_of.items() if person is not None and of == person
        ),
        grants=tuple(
            _grant(g)
            for g in world.grants if concerns(g)
        ),
        objection=(
            Objection.ABSOLUTE if "absolute" in said else Objection.ORDINARY if "objection" in said else Objection.NONE
        ),
        marked="sensitive" in said,
        embargo_until=(said["embargo"]["until"] or never) if "embargo" in said else None,
        links={
            number: link["span"][1] for number, link in zip(links, world.links, strict=True)
            if study["uid"] in link["uids"] and link["patient"] == study["patient"] and link["span"][0] <= now
        },
    )  # fmt: skip


def _grant(row: Row) -> Grant:
    to: Row = {f"to_{row['to'][0]}": row["to"][1]}
    return Grant(row["kind"], *row["span"], **to | {"sensitive": row["sensitive"]})


class Written:
    """The same world as rows."""

    def __init__(self, connection: Connection, world: World, of: dict[str, dict[Any, int]]) -> None:
        self.studies: list[int] = []
        people = {p for p in world.person_of.values() if p is not None}
        person_pks = dict(zip(sorted(people), _insert(connection, persons, [{}] * len(people)), strict=True))
        places = {code: of["facilities"][code] for code in CODES}
        patient_pks = _insert(connection, patients, [
            {"facility_id": places[world.owner_of[p]], "patient_id": f"P{p}",
             "person_pk": person_pks.get(world.person_of[p])}  # type: ignore[arg-type]
            for p in world.owner_of
        ])  # fmt: skip
        pks = dict(zip(world.owner_of, patient_pks, strict=True))
        self.studies = _insert(connection, studies, [
            {"facility_id": places[s["facility"]], "patient_pk": pks[s["patient"]], "study_uid": s["uid"],
             "modalities": sorted(s["modalities"]), "instance_count": 1, "study_date": s["study_date"]}
            for s in world.studies
        ])  # fmt: skip
        _insert(connection, series, [
            {"facility_id": places[s["facility"]], "study_pk": pk, "series_uid": f"{s['uid']}.{n}", "body_part": part,
             "modality": kind, "instance_count": 1}
            for s, pk in zip(world.studies, self.studies, strict=True)
            for n, (part, kind) in enumerate(_series(s))
        ])  # fmt: skip
        for code, policy in world.policies.items():
            connection.execute(insert(sharing_policies).values(
                facility_id=places[code], scope=policy.scope.value, modalities=sorted(policy.modalities),
                sensitive_body_parts=sorted(policy.sensitive_body_parts)))  # fmt: skip
        _insert(connection, grants, [
            _about(g, places, pks) | {
                "kind": g["kind"].value, "since": g["span"][0], "until": g["span"][1], "sensitive": g["sensitive"],
                **{f"to_{name}_id": None for name in ("facility", "department", "user")},
                f"to_{g['to'][0]}_id": of[{"facility": "facilities"}.get(g["to"][0], g["to"][0] + "s")][g["to"][1]]}
            for g in world.grants
        ])  # fmt: skip
        _insert(connection, restrictions, [
            _about(r, places, pks) | {name: r[name] for name in ("kind", "since", "until", "everywhere")}
            for r in world.restrictions
        ])  # fmt: skip
        self.links = _insert(connection, share_links, [
            {"facility_id": places[x["facility"]], "patient_pk": pks[x["patient"]], "study_uids": x["uids"],
             "since": x["span"][0], "until": x["span"][1], "token_hash": bytes([n]), "made_by": "t"}
            for n, x in enumerate(world.links)
        ])  # fmt: skip


def _series(study: Row) -> list[tuple[str, str]]:
    """Body part and modality of each."""
    return list(zip_longest(study["parts"], study["modalities"], fillvalue=""))


def _about(one: Row, places: dict[str, int], pks: dict[int, int]) -> Row:
    return {"facility_id": places[one["facility"]], "study_uid": one["study_uid"], "made_by": "t",
            "patient_pk": None if one["patient"] is None else pks[one["patient"]]}  # fmt: skip


def _insert(connection: Connection, table: Any, rows: list[Row]) -> list[int]:
    if not rows:
        return []
    names = ", ".join(rows[0]) if rows[0] else "id"
    values = "(" + ", ".join(["%s"] * len(rows[0])) + ")" if rows[0] else "(DEFAULT)"
    # By hand: to have SQLAlchemy write it took a fifth of the time of all worlds.
    said = f"INSERT INTO {table.name} ({names}) VALUES {', '.join([values] * len(rows))} RETURNING id"
    given = tuple(value for row in rows for value in row.values())
    return list(connection.exec_driver_sql(said, given).scalars())


def asker(chance: random.Random, links: list[int]) -> Principal:
    role = chance.choice([*Role, Role.CLINICIAN, Role.CLINICIAN, Role.CLINICIAN, Role.RADIOLOGIST])
    purpose = chance.choice([*Purpose, *CARE])
    if role is Role.LINK:
        return Principal("link", role, link=chance.choice([*links, 0]) if links else None)
    if role is Role.DEVICE:  # a device may have the name of a user
        return Principal(chance.choice(["CT1", "u1"]), role, chance.choice(CODES))
    if role is Role.SYSTEM:
        return Principal("system", role, chance.choice(CODES))
    name = chance.choice([*USERS, "u1", "u1", "u2", "nobody"])
    home = USERS.get(name, "C")
    return Principal(name, role, home, purpose, chance.choice([None, *DEPARTMENTS]) if home else None)


@pytest.fixture
def fixed(archive: Archive) -> dict[str, dict[Any, int]]:
    """What all worlds share: facilities, departments, users."""
    with archive.database.begin() as connection:
        places = _insert(connection, facilities, [{"code": c, "name": c} for c in CODES])
        of_code = dict(zip(CODES, places, strict=True))
        pairs = [(code, name) for code in "AB" for name in DEPARTMENTS]
        halls = _insert(connection, departments, [{"facility_id": of_code[f], "code": d} for f, d in pairs])
        people = _insert(connection, users, [
            {"name": n, "password_hash": "", "role": "clinician", "facility_id": of_code.get(f or "")}
            for n, f in USERS.items()
        ])  # fmt: skip
    return {"facilities": of_code, "departments": dict(zip(pairs, halls, strict=True)),
            "users": dict(zip(USERS, people, strict=True))}  # fmt: skip


def _shown(connection: Connection, condition: Any) -> set[int]:
    return set(connection.execute(select(studies.c.id).where(condition)).scalars())


def _forms(standing: Standing | None) -> list[Standing | None]:
    """As it is, as where much would have to be named, and as where many facilities share."""
    if standing is None:
        return [None]
    kinds = tuple(Narrowed((facility,), one.modalities, one.parts)
                  for one in standing.narrowed for facility in one.facilities)  # fmt: skip
    many = replace(standing, closed=None, opened=None, narrowed=kinds * (KINDS_MAX + 1))
    return [standing, many, replace(standing, region=standing.region + NOWHERE)]


@dataclass(frozen=True, slots=True)
class Case:
    """A world in a transaction that is not kept; `told` is how it is made again."""

    connection: Connection
    chance: random.Random
    world: World
    written: Written
    told: str


def cases(archive: Archive, fixed: dict[str, dict[Any, int]], count: int) -> Iterator[Case]:
    """So many random ones, one after the other; the seed is printed."""
    seed = int(os.environ.get("TONGYING_TEST_SEED", random.SystemRandom().randrange(10**9)))
    print(f"\nseed {seed}")
    for number in range(count):
        chance = random.Random(f"{seed} {number}")
        with archive.database.engine.connect() as connection:
            world = made(chance, connection.execute(select(func.now())).scalar_one())
            written = Written(connection, world, fixed)
            yield Case(connection, chance, world, written, f"seed {seed}, world {number}")
            connection.rollback()


def _pages(one: Case, query: Query, who: Principal, form: Standing | None) -> list[int]:
    """Studies of the rows of a list, read page by page."""
    found: list[int] = []
    while True:
        page = one.connection.execute(compile_query(query, who, form)).all()
        found += [row.study_pk for row in page]
        if len(page) < PAGE:
            return found
        query = replace(query, after=position_of(page[-1], query.level))


def check_lists(one: Case, shown: set[int], who: Principal, form: Standing | None) -> int:
    """All, and those of some modalities, as studies, as series and counted; how many lists of modalities had any."""
    rows = dict(zip(one.written.studies, one.world.studies, strict=True))
    seen = sorted(shown, key=lambda pk: (rows[pk]["study_date"] or date.min, pk), reverse=True)
    had = 0
    for kinds in ((), *ASKED):
        told = f"{one.told}: {who} {form} {kinds}"
        series_of = {pk: [k for _, k in _series(rows[pk]) if not kinds or k in kinds] for pk in seen}
        expected = [pk for pk in seen if not kinds or series_of[pk]]
        of = "ModalitiesInStudy", "Modality"
        by_study, by_series = ((Equal(attribute(name), kinds),) if kinds else () for name in of)
        assert _pages(one, Query(Level.STUDY, by_study, limit=PAGE), who, form) == expected, told
        listed = _pages(one, Query(Level.SERIES, by_series, limit=PAGE), who, form)
        assert listed == [pk for pk in seen for _ in series_of[pk]], told
        counted = one.connection.execute(compile_count(Query(Level.STUDY, by_study), who, form, PAGE)).one()
        assert counted[1] == min(len(expected), PAGE), told
        had += bool(kinds and expected)
    return had


def test_the_twins_agree(archive: Archive, fixed: dict[str, dict[Any, int]]) -> None:
    seen: Counter[str] = Counter()
    listed_of_kind = 0
    for one in cases(archive, fixed, WORLDS):
        facts_of = [facts(one.world, study, one.written.links) for study in one.world.studies]
        for turn in range(ASKERS):
            who = asker(one.chance, one.written.links)
            shown = _shown(one.connection, visible(who))
            if turn == 0:
                for form in _forms(find_standing(one.connection, who)):
                    assert _shown(one.connection, visible(who, form)) == shown, f"{one.told}: {who} {form}"
                    if one.chance.random() < LISTED:
                        counted = _shown(one.connection, visible(who, form, of_most=True))
                        assert counted == shown, f"{one.told}: {who} {form}"
                        listed_of_kind += check_lists(one, shown, who, form)
            for study, pk, row in zip(facts_of, one.written.studies, one.world.studies, strict=True):
                why = reason(who, Action.SEE, study, who.purpose, one.world.now)
                seen[why or "nothing"] += 1
                assert (why is not None) == (pk in shown), f"{one.told}: {who} {row} {study}"
    print(f"{WORLDS} worlds, {sum(seen.values())} decisions: {dict(seen)}")
    print(f"{listed_of_kind} lists of modalities with studies in them")
    assert listed_of_kind > WORLDS // 100
    assert set(seen) == {*Reason, "nothing"}, "each reason was met"
    assert min(seen.values()) >= WORLDS // 100, seen
