"""What an image says of its patient beyond name, birth date and sex."""

from __future__ import annotations

from datetime import date

from pacs.identity.resident import check_character
from pacs.values import Json
from storage.identity import CARD, RESIDENT, Identifier, hashed, identifiers_of

FIRST = "33020319710409022"
NUMBER = FIRST + check_character(FIRST)
BORN = date(1971, 4, 9)
KEY = b"k" * 32


def lo(*values: str) -> Json:
    return {"vr": "LO", "Value": list(values)}


def test_where_a_number_may_stand() -> None:
    other: Json = {"00100020": lo(NUMBER), "00100022": {"vr": "CS", "Value": ["TEXT"]}}
    for attributes in (
        {"00100020": lo(NUMBER)},
        {"00101000": lo("X1", NUMBER)},
        {"00101002": {"vr": "SQ", "Value": [{"00100020": lo("X1")}, other]}},
    ):
        assert [one.value for one in identifiers_of(attributes)] == [NUMBER]
    assert list(identifiers_of({"00100020": lo("E1"), "00101002": {"vr": "SQ", "Value": [None, {}]}})) == []


def test_a_health_card_by_its_type() -> None:
    qualifiers: Json = {"00400035": {"vr": "CS", "Value": ["HC"]}}
    item: Json = {
        "00100020": lo("C123456"),
        "00100021": lo("NINGBO"),
        "00100024": {"vr": "SQ", "Value": [qualifiers]},
    }
    (card,) = identifiers_of({"00101002": {"vr": "SQ", "Value": [item]}})
    assert card == Identifier("C123456", "HC", "NINGBO")
    ((kind, digest, shown),) = hashed((card,), None, "", KEY)
    assert (kind, shown) == (CARD, "****56")
    assert "C123456" not in digest
    ((_, other, _),) = hashed((Identifier("C123456", "HC", "HANGZHOU"),), None, "", KEY)
    assert other != digest


def test_a_number_that_is_somebody_elses_is_left_out() -> None:
    one = (Identifier(NUMBER),)
    assert hashed(one, BORN, "F", KEY)[0][0] == RESIDENT
    assert hashed(one, date(2020, 1, 1), "F", KEY) == ()
    assert hashed(one, BORN, "M", KEY) == ()
    assert hashed(one, None, "", KEY) == hashed(one, BORN, "F", KEY)
    assert hashed(one, BORN, "F", None) == ()
