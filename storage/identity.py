"""What images say of a patient beyond name, birth date and sex: resident number, health cards, telephone.

Resident numbers and cards are kept as keyed hashes only. The key is made once and lies in the database, sealed with the
key that does not (`storage.seals`): whoever has a copy of the database alone cannot try out all numbers.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import secrets as random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects.postgresql import insert

from pacs.errors import SettingError
from pacs.identity import Agreement, clean_phone, keyed_hash, read_resident_number
from pacs.logs import get
from pacs.values import Json, da, items, text, values
from storage.archive import Archive
from storage.describe import key
from storage.index import linking
from storage.index.tables import secrets
from storage.seals import WrongKey, reseal, seal, unseal

log = get("identity")
KEY_NAME, KEY_BYTES = "identity", 32
RESIDENT, CARD = "resident", "card"
# Identifier type codes (HL7 table 0203): national number, of China too; health cards. And how systems write them here.
RESIDENT_TYPES = frozenset({"NI", "NNCHN", "SFZ", "IDCARD", "ID CARD", "身份证", "居民身份证"})
CARD_TYPES = frozenset({"HC", "NH", "SS", "JHN", "健康卡", "医保卡", "社保卡"})
IDENTIFIERS_MAX = 16  # of a patient
CARD_CHARACTERS_MAX = 64
OTHER_IDS, OTHER_IDS_SEQUENCE, PHONES = "00101000", "00101002", "00102154"


@dataclass(frozen=True, slots=True)
class Identifier:
    """As a message or image gives it: the value, and its type and issuer if they are known."""

    value: str
    type: str = ""
    issuer: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """What is kept of it: a telephone, and identifiers as (kind, hash in hexadecimal digits, as it is shown)."""

    phone: str = ""
    identifiers: tuple[tuple[str, str, str], ...] = field(default=())

    def row(self) -> dict[str, Any]:
        """Without what is not known, so that it does not take the place of what was."""
        known = {"phone": self.phone, "identifiers": [list(i) for i in self.identifiers]}
        return {name: value for name, value in known.items() if value}


def identity_key(archive: Archive) -> bytes:
    """The key of the hashes; raises SettingError where it was sealed with another key than ours."""
    row = select(secrets.c.value).where(secrets.c.name == KEY_NAME)
    with archive.database.begin() as connection:
        sealed = connection.execute(row).scalar()
        if sealed is None:
            plain = base64.b64encode(random.token_bytes(KEY_BYTES)).decode()
            made = {"name": KEY_NAME, "value": seal(archive.settings, plain, KEY_NAME).encode()}
            connection.execute(insert(secrets).values(made).on_conflict_do_nothing())
            sealed = connection.execute(row).scalar_one()
    return base64.b64decode(unseal(archive.settings, bytes(sealed).decode(), KEY_NAME))


def reseal_key(archive: Archive) -> int:
    """Seal it with the secret key of now; 0 where there is none yet, or no key of ours opens it. It itself stays."""
    mine = secrets.c.name == KEY_NAME
    with archive.database.begin() as connection, contextlib.suppress(WrongKey):
        sealed = connection.execute(select(secrets.c.value).where(mine).with_for_update()).scalar()
        if sealed is not None:
            anew = reseal(archive.settings, bytes(sealed).decode(), KEY_NAME).encode()
            connection.execute(update(secrets).where(mine).values(value=anew))
            return 1
    return 0


class Hearing:
    """Notes what the instances of a pack say of their patients, each thing once."""

    def __init__(self, archive: Archive, connection: Connection, facility_id: int) -> None:
        self._archive, self._connection, self._facility = archive, connection, facility_id
        self._heard: set[tuple[int, int]] = set()
        self._key: bytes | None = None

    def note(self, patient_pk: int, attributes: Json) -> None:
        """What one instance says; the patient is compared anew if it is new."""
        demographics = [text(attributes, tag) for tag in ("00100010", "00100030", "00100040")]
        identifiers = tuple(identifiers_of(attributes))
        phone = clean_phone(text(attributes, PHONES))
        heard = _digest(repr((demographics, identifiers, phone)))
        if (patient_pk, heard) in self._heard:
            return
        self._heard.add((patient_pk, heard))
        birth, sex = da(demographics[1]), demographics[2]
        told = Told(phone, hashed(identifiers, birth, sex, self._hash_key()) if identifiers else ())
        linking.hear(self._connection, self._facility, patient_pk, told.row(), heard)

    def _hash_key(self) -> bytes | None:
        if self._key is None:
            try:
                self._key = identity_key(self._archive)
            except SettingError as error:  # what was acknowledged is indexed all the same
                log.error("identity_key_unusable", reason=str(error))
        return self._key


def hashed(
    identifiers: tuple[Identifier, ...], birth_date: Any, sex: str, hash_key: bytes | None
) -> tuple[tuple[str, str, str], ...]:
    """Those that identify, hashed. A resident number that birth date or sex contradict is another's, and left out."""
    if hash_key is None:
        return ()
    found: dict[tuple[str, str, str], None] = {}
    for one in identifiers:
        number = read_resident_number(one.value)
        if number is not None:
            if number.agreement(birth_date, sex) is Agreement.CONFIRMED:
                found[RESIDENT, number.hashed(hash_key).hex(), number.masked()] = None
        elif one.type in CARD_TYPES and one.value:
            digest = keyed_hash(hash_key, CARD, f"{one.issuer}\0{one.value[:CARD_CHARACTERS_MAX]}").hex()
            found[CARD, digest, "*" * 4 + one.value[-2:]] = None
    return tuple(found)[:IDENTIFIERS_MAX]


def identifiers_of(attributes: Json) -> Iterator[Identifier]:
    """Of a data set: PatientID, OtherPatientIDs and OtherPatientIDsSequence (PS3.3 C.2.2), the identifying ones."""
    candidates = [Identifier(text(attributes, "00100020"))]
    candidates += [Identifier(str(v)) for v in values(attributes, OTHER_IDS)[:IDENTIFIERS_MAX]]
    for item in items(attributes, OTHER_IDS_SEQUENCE)[:IDENTIFIERS_MAX]:
        qualifiers = [*items(item, "00100024"), {}][0]  # Issuer of Patient ID Qualifiers Sequence
        type_ = text(qualifiers, "00400035").upper()  # Identifier Type Code
        candidates.append(Identifier(text(item, "00100020"), type_, key(text(item, "00100021"))))
    for one in candidates:
        if one.type in CARD_TYPES or read_resident_number(one.value) is not None:
            yield one


def _digest(said: str) -> int:
    return int.from_bytes(hashlib.blake2b(said.encode(), digest_size=8).digest(), "big", signed=True)
