"""HL7 ADT: who a patient is, and which two are one."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacs.adt import IDENTIFIERS_MAX, Adt, Cx, adt_of, is_adt
from pacs.hl7message import OrderError, read_message
from pacs.orders import orders_of
from tests.support.hl7 import adt, orm

NAME = "Wang^Xiao^^^^^L^A~王^小^^^^^L^I"


def read(message: str) -> list[Adt]:
    return adt_of(read_message(message.encode()))


def test_a_patient() -> None:
    (one,) = read(adt("A08", "E1", NAME, "19710409", "F", phone="0574-87654321", number="33020319710409022X"))
    assert one.merged is None
    patient = one.patient
    assert patient.id == Cx("E1", "HOSPITAL", "PI")
    assert (patient.name, patient.birth_date, patient.sex) == ("Wang^Xiao=王^小", date(1971, 4, 9), "F")
    assert patient.phone == "0574-87654321"
    assert Cx("33020319710409022X", "CN", "NNCHN") in patient.identifiers


def test_the_hospitals_own_id_is_the_patients() -> None:
    message = adt("A08", "33020319710409022X^^^CN^NNCHN~E1", NAME, "", "")
    assert read(message)[0].patient.id == Cx("E1", "HOSPITAL", "PI")
    alone = "33020319710409022X"
    assert read(adt("A08", alone, NAME, "", ""))[0].patient.id.value == alone


def test_two_ids_of_one_patient() -> None:
    (one,) = read(adt("A40", "E1", NAME, "", "", merged="E2"))
    assert one.merged == Cx("E2", "HOSPITAL", "PI")


def test_what_says_nothing_is_empty() -> None:
    (one,) = read(adt("A31", "E1", "", "19", "x"))
    assert (one.patient.name, one.patient.birth_date, one.patient.sex) == ("", None, "")


@pytest.mark.parametrize(
    ("message", "ack", "place"),
    [
        (adt("A03", "E1", NAME, "", ""), "AR", "MSH^1^9"),
        (adt("A08", "", NAME, "", ""), "AE", "PID^1^3"),
        (adt("A40", "E1", NAME, "", ""), "AE", "MRG^1"),
        (adt("A40", "E1", NAME, "", "", merged="E1"), "AE", "MRG^1^1"),
        (adt("A40", "E1", NAME, "", "").split("PID")[0], "AE", "PID^1"),
    ],
)
def test_refused(message: str, ack: str, place: str) -> None:
    with pytest.raises(OrderError) as refused:
        read(message)
    assert (refused.value.ack, refused.value.location) == (ack, place)


def test_limits() -> None:
    many = "~".join(f"{n}^^^X" for n in range(500))
    assert len(read(adt("A08", many, NAME, "", ""))[0].patient.identifiers) == IDENTIFIERS_MAX
    block = adt("A40", "E1", NAME, "", "", merged="E2")
    pair = block[block.index("PID") :]
    with pytest.raises(OrderError):
        read(block + pair * 60)


def test_orders_are_no_adt_and_the_other_way_round() -> None:
    order, patient = (read_message(m.encode()) for m in (orm(), adt("A08", "E1", NAME, "", "")))
    assert (is_adt(order), is_adt(patient)) == (False, True)
    for message, reader in ((order, adt_of), (patient, orders_of)):
        with pytest.raises(OrderError):
            reader(message)


@given(st.text(st.sampled_from('E1^~&\\|王 "X20'), max_size=30), st.text("^~19W王", max_size=20))
def test_whatever_stands_there_is_read_or_refused(id_: str, name: str) -> None:
    try:
        found = read(adt("A08", id_.replace("|", ""), name, "", ""))
    except OrderError:
        return
    assert all(one.patient.id.value for one in found)
