"""HL7 v2 ADT as far as it says who a patient is: registered or changed (A01, A04, A05, A08, A28, A31), and two IDs of
one patient merged (A40). By HL7 v2.5 chapter 3; admissions and beds are not ours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date

from pacs.hl7message import OrderError, OrderMessage, Segment
from pacs.orders import day_of, patient_name
from pacs.values import da

UPDATES = frozenset({"ADT^A01", "ADT^A04", "ADT^A05", "ADT^A08", "ADT^A28", "ADT^A31"})
MERGE = "ADT^A40"
KINDS = UPDATES | {MERGE}
MERGES_MAX = 50  # in one message
IDENTIFIERS_MAX = 16
ID_CHARACTERS_MAX = 256
# Identifier types (table 0203, CX.5) that are no hospital's own: national numbers, health and social insurance cards.
NOT_OWN = frozenset({"NI", "NNCHN", "SFZ", "IDCARD", "HC", "NH", "SS", "JHN"})


@dataclass(frozen=True, slots=True)
class Cx:
    """An identifier as PID-3 gives it (data type CX)."""

    value: str
    issuer: str = ""
    type: str = ""


@dataclass(frozen=True, slots=True)
class Demographics:
    """What a message says of a patient; empty where it says nothing."""

    id: Cx
    name: str = ""
    birth_date: date | None = None
    sex: str = ""
    phone: str = ""
    identifiers: tuple[Cx, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Adt:
    """A patient, and the ID that is no longer its own where two were merged."""

    patient: Demographics
    merged: Cx | None = None


def is_adt(message: OrderMessage) -> bool:
    """Whether a message is of this family, served or not."""
    return message.kind.startswith("ADT^")


def adt_of(message: OrderMessage) -> list[Adt]:
    """What a message says; raises OrderError, whose location names the field."""
    if message.kind not in KINDS:
        raise OrderError("AR", 200, "MSH^1^9", f"messages of type {message.kind} are not served")
    found = list(_merges(message.segments) if message.kind == MERGE else _updates(message.segments))
    if not found:
        raise OrderError("AE", 100, "PID^1", "there is no patient (PID) in the message")
    if len(found) > MERGES_MAX:
        raise OrderError("AE", 207, "PID^1", f"a message merges at most {MERGES_MAX} patients")
    return found


def _updates(segments: list[Segment]) -> Iterator[Adt]:
    yield from (Adt(_demographics(s)) for s in segments if s.name == "PID")


def _merges(segments: list[Segment]) -> Iterator[Adt]:
    """Pairs of PID and MRG (3.3.40): the patient of MRG-1 is the one of PID-3."""
    patient: Demographics | None = None
    for segment in segments:
        if segment.name == "PID":
            patient = _demographics(segment)
        elif segment.name == "MRG" and patient is not None:
            merged = _own(list(_cxs(segment, 1)), "MRG^1^1")
            if (merged.value, merged.issuer) == (patient.id.value, patient.id.issuer):
                raise OrderError("AE", 103, "MRG^1^1", "a patient cannot be merged with itself")
            yield Adt(patient, merged)
            patient = None
    if patient is not None:
        raise OrderError("AE", 100, "MRG^1", "there is no MRG after PID")


def _demographics(pid: Segment) -> Demographics:
    identifiers = list(_cxs(pid, 3))
    own = _own(identifiers, "PID^1^3")
    rest = [*identifiers, *_cxs(pid, 2), Cx(pid.text(19), type="SS")]  # PID-19 is where some write the number
    sex = pid.text(8).upper()
    return Demographics(
        own, patient_name(pid), da(day_of(pid.text(7))), sex if sex in ("M", "F", "O") else "", _phone(pid),
        tuple(dict.fromkeys(c for c in rest if c.value))[:IDENTIFIERS_MAX],
    )  # fmt: skip


def _cxs(segment: Segment, number: int) -> Iterator[Cx]:
    for repetition in range(min(segment.repetitions(number), IDENTIFIERS_MAX)):
        value, issuer, type_ = (segment.text(number, part, repetition) for part in (1, 4, 5))
        if value:
            yield Cx(value[:ID_CHARACTERS_MAX], issuer[:ID_CHARACTERS_MAX], type_.upper())


def _own(identifiers: list[Cx], place: str) -> Cx:
    """The hospital's own: the first that is no national number or card, which images have as PatientID."""
    for one in identifiers:
        if one.type not in NOT_OWN:
            return one
    if not identifiers:
        raise OrderError("AE", 101, place, "the patient ID is missing")
    return identifiers[0]


def _phone(pid: Segment) -> str:
    """PID-13 as it was written (XTN.1), unformatted (XTN.12), or in its parts."""
    return pid.text(13) or pid.text(13, 12) or pid.text(13, 6) + pid.text(13, 7)
