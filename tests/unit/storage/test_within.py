"""Which lists are found by an index of names, which are walked, and whose plans are kept."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pacs.access import Principal, Role
from pacs.attributes import Level
from pacs.query import Query, attribute, match
from storage.index.visibility import FACILITIES_MANY, Standing
from storage.index.within import is_kept, is_named, is_of_most, walk_of

WIDE = Standing(1, tuple(range(2, 2 + FACILITIES_MANY)), (), (), (), ())
NARROW = replace(WIDE, region=())
KEYS = {
    "id": ("PatientID", "1"), "name": ("PatientName", "王^芳"), "latin": ("PatientName", "Wang^Fang*"),
    "han": ("PatientName", "欧阳*"), "family": ("PatientName", "王*"), "letters": ("PatientName", "Zhang^*"),
    "end": ("PatientName", "*芳"), "group": ("PatientName", "=王*"), "day": ("StudyDate", "20260706"),
    "year": ("StudyDate", "20250101-20251231"), "since": ("StudyDate", "20250101-"), "clock": ("StudyTime", "08-09"),
    "modality": ("ModalitiesInStudy", "CT"), "class": ("SOPClassesInStudy", "1.2.3"), "begun": ("PatientID", "12*"),
    "ended": ("PatientID", "*12"), "two": ("ModalitiesInStudy", "CT\\MR"),
    "many": ("ModalitiesInStudy", "CT\\MR\\US\\DX\\MG"),
}  # fmt: skip


def query(names: str) -> Query:
    matches = (match(attribute(key), value) for key, value in (KEYS[name] for name in names.split()))
    return Query(Level.STUDY, tuple(m for m in matches if m is not None))


@pytest.mark.parametrize(
    ("names", "named", "kept", "of_most"),
    [
        ("id", True, True, False), ("name", True, True, False), ("latin", True, True, False),
        ("han", True, True, False), ("id family", True, True, False), ("family", True, False, False),
        ("letters", True, False, False), ("end", False, False, True), ("group", True, False, False),
        ("day", False, True, False), ("year", False, True, True), ("since", False, True, True),
        ("clock", False, False, True), ("modality", False, True, True), ("day modality", False, True, False),
        ("two", False, True, True), ("many", False, False, True), ("modality clock", False, False, True),
        ("name modality", True, True, False), ("", False, True, True),
    ],
)  # fmt: skip
def test_by_what_is_asked(names: str, named: bool, kept: bool, of_most: bool) -> None:
    """`kept` and `of_most`: for who sees much. Who sees little walks, unless it is named."""
    one = query(names)
    assert is_named(one) == named
    assert is_kept(one, WIDE) == kept
    assert is_of_most(one, WIDE) == of_most
    assert is_kept(one, NARROW) == (kept or not named)
    assert not is_of_most(one, NARROW)
    assert not is_kept(one, None)
    assert not is_of_most(one, None)


def test_a_beginning_that_was_typed_is_known_to_its_plan() -> None:
    typed = Query(Level.STUDY, words="王")
    assert is_named(typed)
    assert not is_kept(typed, WIDE)
    assert not is_kept(typed, NARROW)


@pytest.mark.parametrize(
    ("names", "walked"),
    [("modality", True), ("modality day", True), ("modality ended", True), ("two", True), ("many", False),
     ("modality class", False), ("modality begun", False), ("modality id", False), ("", False), ("day", False)],
)  # fmt: skip
def test_a_modality_is_walked_where_no_index_may_have_fewer(names: str, walked: bool) -> None:
    one = query(names)
    operator, technologist = Principal("a", Role.ADMINISTRATOR), Principal("b", Role.TECHNOLOGIST, "EAST")
    reader = Principal("c", Role.RADIOLOGIST, "EAST")
    for who, standing in ((operator, None), (technologist, None), (reader, WIDE)):
        assert (walk_of(one, who, standing) is not None) == walked, who
    assert (walk_of(one, reader, NARROW) is not None) == (not is_named(one)), (
        "who sees little walks what is theirs"
    )
    assert walk_of(one, reader, None) is None, "it is not known what is theirs"
