"""A region of two hundred facilities, as rows and as facts: what its studies are, and who shares what with whom.

Drawn from a seed. Facilities differ in size as 1/(rank + 4); the one that asks is the sixth, with about 3 % of all.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate
from typing import Any

from psycopg import Connection

from bench.population import Noise, Population
from pacs.names import fold, name_tokens
from pacs.sharing import Grant, Kind, Objection, Policy, Scope, StudyFacts

SEED, FACILITIES, ASKING = 20260706, 200, 6
HOME = "F006"  # the code of the facility that asks
LAST_DAY, DAYS = date(2026, 7, 6), 3650
MODALITIES = ("CT", "DX", "US", "MR", "MG", "XA")
PARTS = ("CHEST", "HEAD", "ABDOMEN", "KNEE", "BREAST", "PELVIS")
KEPT_PARTS = ("BREAST", "PELVIS")
SECOND = 0.35  # of persons: known to a second facility too
OBJECTS, MARKED, EMBARGOED = 0.01, 0.002, 0.001  # of patients, studies, studies
GRANTED = 0.02  # of studies: opened to somebody
NARROWED = 0.1  # of the facilities that share
# What triggers would have kept (`storage.index.known`).
KNOWN = """
    INSERT INTO known_studies (study_pk, known_to, modality, sort_date, owner)
    SELECT study_pk, known_to, kind, sort_date, owner FROM (
        SELECT id AS study_pk, facility_id AS known_to, sort_date, modalities, facility_id AS owner FROM studies
        UNION SELECT studies.id, there.facility_id, sort_date, modalities, studies.facility_id
        FROM studies JOIN patients here ON here.id = patient_pk JOIN patients there ON there.person_pk = here.person_pk
    ) known, unnest(array_append(modalities, '')) kind
    """


@dataclass(frozen=True, slots=True)
class Asked:
    """What the queries ask for: it is there, at the facility that asks."""

    patient_id: str
    study_uid: str
    accession: str
    name: str
    day: date


class Region:
    """What was drawn."""

    def __init__(self, studies: int, seed: int = SEED) -> None:
        self._chance = random.Random(seed)
        self.count = studies
        self.policies = [self._policy() for _ in range(FACILITIES)]
        sizes = list(accumulate(1 / (rank + 4) for rank in range(1, FACILITIES + 1)))
        people = Population(max(40, studies * 3 // 10), seed, Noise()).persons
        self.patients: list[tuple[int, int, str]] = []  # facility, person, name
        for number, person in enumerate(people):
            name = f"{person.family}^{person.given}"
            for _ in range(1 + (self._chance.random() < SECOND)):
                place = self._chance.choices(range(1, FACILITIES + 1), cum_weights=sizes)[0]
                self.patients.append((ASKING if number % 50 == 0 else place, number + 1, name))
        self.studies = [self._study(n) for n in range(studies)]

    def _policy(self) -> Policy:
        scope = self._chance.choices(list(Scope), (2, 4, 4))[0]
        if scope is Scope.NONE or self._chance.random() >= NARROWED:
            return Policy(scope)
        return Policy(scope, frozenset(MODALITIES[:3]), frozenset(KEPT_PARTS))

    def _study(self, number: int) -> tuple[int, date, str, str]:
        patient = number if number < len(self.patients) else self._chance.randrange(len(self.patients))
        day = LAST_DAY - timedelta(days=int(DAYS * self._chance.random() ** 2))
        part = self._chance.choices(PARTS, (6, 3, 3, 2, 1, 1))[0]
        return patient, day, self._chance.choices(MODALITIES, (5, 6, 5, 2, 1, 1))[0], part

    def asked(self, count: int) -> list[Asked]:
        """As many studies of the facility that asks, one of each patient if there are enough."""
        mine = {p: n for n, (p, _, _, _) in enumerate(self.studies) if self.patients[p][0] == ASKING}
        chosen = [list(mine.items())[n % len(mine)] for n in range(count)]
        return [
            Asked(f"P{p}", f"1.2.826.0.1.98.{n}", f"A{n}", self.patients[p][2], self.studies[n][1])
            for p, n in chosen
        ]

    def facts(self, count: int, now: datetime) -> list[StudyFacts]:
        """The same mix as facts, for `pacs.access.may`."""
        return [self._facts(n % self.count, now) for n in range(count)]

    def _facts(self, number: int, now: datetime) -> StudyFacts:
        patient, _, modality, part = self.studies[number]
        chance, later = self._chance, now + timedelta(days=30)
        owner, person, _ = self.patients[patient]
        near = self.patients[max(0, patient - 1) : patient + 2]
        to = {"to_user": "doctor"} if chance.random() < 0.1 else {"to_facility": _code(chance.randint(1, 20))}
        return StudyFacts(
            _code(owner), self.policies[owner - 1], frozenset([modality]), frozenset([part]),
            frozenset(_code(place) for place, of, _ in near if of == person),
            (Grant(Kind.REFERRAL, now, later, **to),) if chance.random() < GRANTED else (),  # type: ignore[arg-type]
            Objection.ORDINARY if chance.random() < OBJECTS else Objection.NONE,
            chance.random() < MARKED,
            later if chance.random() < EMBARGOED else None,
        )  # fmt: skip

    def write(self, connection: Connection[Any]) -> None:
        """Into an empty archive, by COPY."""
        chance, first = self._chance, connection.execute("SELECT max(id) FROM facilities").fetchone()
        assert first is not None
        base = first[0] or 0
        now = datetime.now(UTC)
        copy = _Copy(connection)
        connection.execute("SET session_replication_role = replica")  # references are not looked up
        copy(
            "facilities (id, code, name)", ((base + n, _code(n), _code(n)) for n in range(1, FACILITIES + 1))
        )
        copy("persons (id)", ((n,) for n in sorted({p for _, p, _ in self.patients})))
        twice = {p for n, (_, p, _) in enumerate(self.patients) if n and self.patients[n - 1][1] == p}
        copy("patients (id, facility_id, patient_id, patient_name, person_pk)",
             ((n, base + f, f"P{n}", name, p if p in twice else None)
              for n, (f, p, name) in enumerate(self.patients)))  # fmt: skip
        copy("studies (id, facility_id, patient_pk, study_uid, study_date, study_time, accession, patient_id,"
             " patient_name, name_folded, name_tokens, modalities, body_parts, series_count, instance_count)",
             (self._row(n, base) for n in range(self.count)))  # fmt: skip
        copy("series (id, facility_id, study_pk, series_uid, modality, body_part, instance_count)",
             ((n, base + self.patients[p][0], n, f"1.2.826.0.1.97.{n}", m, part, 100)
              for n, (p, _, m, part) in enumerate(self.studies)))  # fmt: skip
        copy("restrictions (facility_id, patient_pk, study_uid, kind, until, everywhere, made_by)",
             (row for n in range(self.count) for row in self._restrictions(n, base, now)))  # fmt: skip
        copy("grants (facility_id, study_uid, kind, until, to_facility_id, made_by)",
             ((base + self.patients[self.studies[n][0]][0], f"1.2.826.0.1.98.{n}", "referral",
               now + timedelta(days=30), base + chance.randint(1, 60), "bench")
              for n in range(self.count) if chance.random() < GRANTED))  # fmt: skip
        copy("sharing_policies (facility_id, scope, modalities, sensitive_body_parts)",
             ((base + n, p.scope.value, sorted(p.modalities), sorted(p.sensitive_body_parts))
              for n, p in enumerate(self.policies, 1) if p.scope is not Scope.NONE))  # fmt: skip
        connection.execute(KNOWN)
        for table in ("facilities", "persons", "patients", "studies", "series"):
            connection.execute(
                f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}"
            )

    def _row(self, number: int, base: int) -> tuple[Any, ...]:
        patient, day, modality, part = self.studies[number]
        facility, _, name = self.patients[patient]
        return (
            number, base + facility, patient, f"1.2.826.0.1.98.{number}", day, "08:00", f"A{number}",
            f"P{patient}", name, fold(name), list(name_tokens(name)), [modality], [part], 1, 100,
        )  # fmt: skip

    def _restrictions(self, number: int, base: int, now: datetime) -> Iterable[tuple[Any, ...]]:
        chance, patient = self._chance, self.studies[number][0]
        owner = base + self.patients[patient][0]
        if number == patient and chance.random() < OBJECTS:  # the patient's first
            kind = chance.choice(("objection", "objection", "absolute"))
            yield owner, patient, "", kind, None, chance.random() < 0.2, "bench"
        for kind, share in (("sensitive", MARKED), ("embargo", EMBARGOED)):
            if chance.random() < share:
                yield owner, None, f"1.2.826.0.1.98.{number}", kind, now + timedelta(days=30), False, "bench"


class _Copy:
    def __init__(self, connection: Connection[Any]) -> None:
        self._connection = connection

    def __call__(self, into: str, rows: Iterable[Sequence[Any]]) -> None:
        with self._connection.cursor().copy(f"COPY {into} FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)


def _code(number: int) -> str:
    return f"F{number:03d}"
