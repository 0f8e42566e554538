"""Who of ours may be a patient that another system describes: the same comparison as behind the index, and nothing is
linked by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from pacs.access import Principal
from pacs.identity import Judgement, Record, Verdict, clean_phone, judge, keys_of, read_name
from storage.archive import Archive
from storage.identity import CARD, RESIDENT, Identifier, hashed, identity_key
from storage.index import linking
from storage.index.persons import seen_patients, seen_studies_of_person
from storage.persons import SeenPatient, find_patient, seen

MATCHES_MAX = 50
STUDIES_MAX = 1000


@dataclass(frozen=True, slots=True)
class Description:
    """A patient as another system knows it; empty where it says nothing."""

    name: str = ""  # as DICOM writes it
    birth_date: date | None = None
    sex: str = ""
    phone: str = ""
    identifiers: Sequence[Identifier] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """One of ours, and how surely it is the one."""

    patient: SeenPatient
    judgement: Judgement


@dataclass(frozen=True, slots=True)
class SeenStudy:
    """A study of a person, as a summary tells it."""

    study_uid: str
    patient: int
    study_date: date | None
    description: str
    modalities: Sequence[str]
    series: int
    instances: int


def match(
    archive: Archive, principal: Principal, described: Description, count: int = MATCHES_MAX
) -> list[Found]:
    """Patients that may be seen and may be the one, the surest first."""
    record = _record(archive, described)
    with archive.database.begin() as connection:
        near = linking.near(connection, keys_of(record))
        people = linking.population(connection)
        judged = {c.patient: judge(record, c.record, people) for c in near}
        likely = [pk for pk, found in judged.items() if found.verdict is not Verdict.APART]
        rows = connection.execute(seen_patients(principal, likely)) if likely else ()
        shown = [Found(seen(row), judged[row.id]) for row in rows]
    return sorted(shown, key=lambda f: -f.judgement.bits)[: min(count, MATCHES_MAX)]


def studies(archive: Archive, principal: Principal, patient_pk: int) -> list[SeenStudy]:
    """Studies of a patient's person that may be seen, the newest first. Raises NotFound."""
    find_patient(archive, principal, patient_pk)
    query = seen_studies_of_person(principal, patient_pk).limit(STUDIES_MAX)
    with archive.read_as(principal) as connection:
        return [SeenStudy(*row) for row in connection.execute(query)]


def _record(archive: Archive, described: Description) -> Record:
    found = tuple(described.identifiers)
    kept = hashed(found, described.birth_date, described.sex, identity_key(archive)) if found else ()
    residents = [bytes.fromhex(digest) for kind, digest, _ in kept if kind == RESIDENT]
    return Record(
        read_name(described.name), described.birth_date, described.sex, clean_phone(described.phone),
        residents[0] if residents else b"",
        frozenset(bytes.fromhex(digest) for kind, digest, _ in kept if kind == CARD),
    )  # fmt: skip
