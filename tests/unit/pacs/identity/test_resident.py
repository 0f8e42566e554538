"""Resident numbers: length, province, date and check, and what they say of their owner."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacs.identity import Agreement, read_resident_number, shown_id
from pacs.identity.resident import check_character
from pacs.query import shown_key

EXAMPLE = "11010519491231002X"  # the example of GB 11643-1999
births = st.dates(date(1900, 1, 1), date(2030, 1, 1))


def number_of(birth: date, region: str = "330203", sequence: str = "021") -> str:
    first = f"{region}{birth:%Y%m%d}{sequence}"
    return first + check_character(first)


def test_the_example_of_the_standard() -> None:
    number = read_resident_number(EXAMPLE)
    assert number is not None
    assert (number.birth_date, number.sex) == (date(1949, 12, 31), "F")
    assert number.masked() == "11**************2X"
    assert read_resident_number(" １１０１０５ 19491231 002x ") == number


@given(births, st.integers(0, 999))
def test_what_is_in_it_is_read(birth: date, sequence: int) -> None:
    number = read_resident_number(number_of(birth, sequence=f"{sequence:03}"))
    assert number is not None
    assert number.birth_date == birth
    assert number.sex == ("M" if sequence % 2 else "F")


@given(births, st.integers(0, 17), st.sampled_from("0123456789"))
def test_one_wrong_digit_is_found(birth: date, place: int, digit: str) -> None:
    good = number_of(birth)
    assert (read_resident_number(good[:place] + digit + good[place + 1 :]) is None) == (good[place] != digit)


@given(births, st.integers(0, 16))
def test_exchanged_neighbours_are_found(birth: date, place: int) -> None:
    good = number_of(birth)
    bad = good[:place] + good[place + 1] + good[place] + good[place + 2 :]
    assert (read_resident_number(bad) is None) == (bad != good)


@given(st.text(max_size=40))
def test_whatever_else_is_none_or_a_number(text: str) -> None:
    number = read_resident_number(text)
    assert number is None or len(number.digits) == 18


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "110105491231002",  # the old form
        "110105194912310020",  # the check
        "110105194913310029",  # the month
        number_of(date(1990, 1, 1), region="000203"),  # the province
        "1101051949123100２X9",
        EXAMPLE + "0",
    ],
)
def test_refused(bad: str) -> None:
    assert read_resident_number(bad) is None


def test_cross_checked_with_the_patient() -> None:
    number = read_resident_number(EXAMPLE)
    assert number is not None
    assert number.agreement(date(1949, 12, 31), "F") is Agreement.CONFIRMED
    assert number.agreement(None, "O") is Agreement.CONFIRMED
    assert number.agreement(date(2020, 12, 31), "F") is Agreement.CONTRADICTED  # of the mother
    assert number.agreement(date(1949, 12, 31), "M") is Agreement.CONTRADICTED


def test_the_hash_needs_the_key() -> None:
    number = read_resident_number(EXAMPLE)
    assert number is not None
    assert number.hashed(b"a") == number.hashed(b"a")
    assert number.hashed(b"a") != number.hashed(b"b")
    assert len(number.hashed(b"a")) == 32


# With a month 13, a year before 1850, a 29th of February: counters of hospitals may look like these.
NO_DAYS = ["330203198813154529", "330203178807154524", "330203198702294529"]
NONE = ["", "P1", EXAMPLE[:-1] + "1", "99" + EXAMPLE[2:], EXAMPLE[:-1], *NO_DAYS]


@pytest.mark.parametrize("other", NONE)
def test_an_id_that_is_a_number_is_shown_masked_and_any_other_as_it_is(other: str) -> None:
    wide = "１１０１０５１９４９１２３１００２Ｘ"
    assert shown_id(EXAMPLE) == shown_id(EXAMPLE.lower()) == shown_id(wide) == "11**************2X"
    assert shown_id(other) == other


def test_a_search_for_a_number_is_told_masked() -> None:
    assert shown_key("PatientID", EXAMPLE) == "PatientID=11**************2X"
    assert shown_key("patient_id", "P1") == "patient_id=P1"
