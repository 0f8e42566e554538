"""What hospitals' systems say of their patients by HL7 ADT: rows beside the patients, which count in comparison before
what images say. Nothing of an image is changed, and each correction can be undone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects.postgresql import insert

from pacs.adt import Adt, Cx, Demographics
from pacs.errors import NotFound
from pacs.identity import clean_phone
from storage.archive import Archive
from storage.describe import key
from storage.identity import Identifier, hashed, identity_key
from storage.index import linking, steps
from storage.index.identity import demographics
from storage.index.steps import Step
from storage.index.tables import facility_key

ACTOR = "HL7"
Row = dict[str, Any]


def take(archive: Archive, facility: str, messages: Iterable[Adt]) -> int:
    """All that a message says, or nothing; how many steps that were. Raises NotFound for the facility, SettingError
    where the key of the hashes cannot be used."""
    hash_key = identity_key(archive)
    with archive.database.begin() as connection:
        owner = connection.execute(facility_key(facility)).scalar()
        if owner is None:
            raise NotFound("there is no such facility")
        batch = steps.next_batch(connection)
        return sum(_take(connection, owner, one, batch, hash_key) for one in messages)


def _take(connection: Connection, owner: int, said: Adt, batch: int, hash_key: bytes) -> int:
    patient = said.patient
    changes = _said(patient, hash_key)
    pk, changed = _correct(connection, owner, patient.id, changes, batch)
    if said.merged is not None:
        _, merged = _correct(connection, owner, said.merged, {"merged_into": pk}, batch, why="ADT A40")
        changed += merged
    return changed


def _said(patient: Demographics, hash_key: bytes) -> Row:
    """What is not empty: a message that does not name something does not take it away."""
    identifiers = tuple(
        Identifier(c.value, c.type, key(c.issuer)) for c in (patient.id, *patient.identifiers)
    )
    row = {
        "patient_name": patient.name,
        "birth_date": patient.birth_date,
        "sex": patient.sex,
        "phone": clean_phone(patient.phone),
        "identifiers": [list(i) for i in hashed(identifiers, patient.birth_date, patient.sex, hash_key)],
    }
    return {name: value for name, value in row.items() if value}


def _correct(
    connection: Connection, owner: int, cx: Cx, changes: Row, batch: int, why: str = "ADT"
) -> tuple[int, int]:
    """Change the row of an ID, made if there is none; its key, and 1 if that changed anything."""
    id_, issuer = key(cx.value), key(cx.issuer)
    made = {"facility_id": owner, "patient_id": id_, "issuer": issuer}
    connection.execute(insert(demographics).values(made).on_conflict_do_nothing())
    mine = (
        demographics.c.facility_id == owner,
        demographics.c.patient_id == id_,
        demographics.c.issuer == issuer,
    )
    pk = int(connection.execute(select(demographics.c.id).where(*mine)).scalar_one())
    before = steps.read_demographics(connection, pk)
    if all(before[name] == value for name, value in changes.items()):
        return pk, 0
    connection.execute(
        update(demographics).where(demographics.c.id == pk).values(**changes, updated_at=func.now())
    )
    step = Step("merge" if "merged_into" in changes else "correct", why, actor=ACTOR)
    steps.note(
        connection, step, batch, facility_id=owner, demographics_id=pk, before=steps.as_json(before)
    )  # fmt: skip
    linking.make_due(connection, pk)
    return pk, 1
