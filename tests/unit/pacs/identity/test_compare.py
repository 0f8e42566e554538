"""Comparisons: names, birth dates, telephones, and what they make together."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacs.identity import (
    Judgement,
    Record,
    Verdict,
    clean_phone,
    compare_names,
    judge,
    keys_of,
    read_name,
    reused,
)
from pacs.identity.fields import Dates, compare_dates
from pacs.identity.names import Likeness

BORN = date(1971, 4, 9)
REGION = 1_000_000
texts = st.text(st.sampled_from("张伟王小明欧阳吕ZhangWeiXo ^=ü-9\0"), max_size=12)


@pytest.mark.parametrize(
    ("a", "b", "likeness"),
    [
        ("王小明", "王^小明", Likeness.SAME),
        ("Wang^Xiaoming=王^小明", "王小明", Likeness.SAME),
        ("王小明", "WANG^XIAO MING", Likeness.SOUND),
        ("王小明", "Wangxiaoming", Likeness.SOUND),
        ("吕布", "LÜ^BU", Likeness.SOUND),
        ("吕布", "lv bu", Likeness.SOUND),
        ("单雄信", "SHAN^XIONGXIN", Likeness.SOUND),
        ("欧阳小明", "OUYANG^XIAOMING", Likeness.SOUND),
        ("王小明", "王晓明", Likeness.HOMOPHONE),
        ("王小明", "小明^王", Likeness.SWAPPED),
        ("王小明", "XIAOMING^WANG", Likeness.SWAPPED),
        ("王小明", "王小亮", Likeness.TYPO),
        ("王小明", "王明", Likeness.TYPO),
        ("王小明", "WANG^XIAOMIN", Likeness.TYPO),
        ("王芳", "王伟", Likeness.FAMILY),
        ("王芳", "WANG^WEI", Likeness.FAMILY),
        ("王芳", "李娜", Likeness.DIFFERENT),
        ("", "李娜", Likeness.UNKNOWN),
        ("^^^", "=", Likeness.UNKNOWN),
    ],
)
def test_names(a: str, b: str, likeness: Likeness) -> None:
    assert compare_names(read_name(a), read_name(b)).likeness is likeness


@given(texts, texts)
def test_names_compare_alike_in_both_directions(a: str, b: str) -> None:
    assert compare_names(read_name(a), read_name(b)) == compare_names(read_name(b), read_name(a))


def test_a_rare_name_says_more() -> None:
    common = compare_names(read_name("张伟"), read_name("张伟"))
    rare = compare_names(read_name("逄焱垚"), read_name("逄焱垚"))
    assert rare.bits > common.bits + 10


@pytest.mark.parametrize(
    ("other", "likeness"),
    [
        (date(1971, 4, 9), Dates.SAME),
        (date(1971, 9, 4), Dates.SWAPPED),
        (date(1971, 4, 7), Dates.DIGIT),
        (date(1981, 4, 9), Dates.DIGIT),
        (date(1971, 12, 30), Dates.YEAR),
        (date(1990, 12, 30), Dates.DIFFERENT),
        (None, Dates.UNKNOWN),
    ],
)
def test_birth_dates(other: date | None, likeness: Dates) -> None:
    assert compare_dates(BORN, other)[0] is likeness
    assert compare_dates(other, BORN)[0] is likeness


def test_the_first_of_january_says_less() -> None:
    assert compare_dates(date(1971, 1, 1), date(1971, 1, 1))[1] < compare_dates(BORN, BORN)[1]


@pytest.mark.parametrize(
    ("written", "cleaned"),
    [
        ("+86 139-0011-2233", "13900112233"),
        ("0086 139 0011 2233", "13900112233"),
        ("0574-87654321", "57487654321"),
        ("87654321", "87654321"),
        ("00000000000", ""),
        ("13911111111", ""),
        ("110", ""),
        ("see relatives", ""),
    ],
)
def test_telephones(written: str, cleaned: str) -> None:
    assert clean_phone(written) == cleaned


def record(
    name: str, birth: date | None = BORN, sex: str = "M", phone: str = "", number: bytes = b""
) -> Record:
    return Record(read_name(name), birth, sex, phone, number)


def pair(a: Record, b: Record) -> Judgement:
    found = judge(a, b, REGION)
    assert found == judge(b, a, REGION)
    return found


def test_a_common_name_alone_is_not_enough() -> None:
    assert pair(record("张伟"), record("张伟")).verdict is Verdict.REVIEW
    assert (
        pair(record("张伟", phone="13900112233"), record("张伟", phone="13900112233")).verdict
        is Verdict.LINKED
    )
    assert pair(record("逄焱垚"), record("逄焱垚")).verdict is Verdict.LINKED
    assert pair(record("张伟"), record("张伟", date(1988, 2, 3))).verdict is Verdict.APART


def test_the_larger_the_population_the_less_it_says() -> None:
    small, large = (judge(record("张伟"), record("张伟"), n) for n in (10_000, 8_850_000))
    assert small.verdict is Verdict.LINKED
    assert large.verdict is Verdict.REVIEW


def test_twins_are_not_linked() -> None:
    phone = "13900112233"
    for other in ("王小亮", "王大海", "WANG^XIAOMIN", "王明"):
        assert pair(record("王小明", phone=phone), record(other, phone=phone)).verdict is not Verdict.LINKED
    assert pair(record("王大海", phone=phone), record("王小明", phone=phone)).against


def test_numbers_that_differ_forbid() -> None:
    found = pair(
        record("逄焱垚", number=b"1", phone="13900112233"), record("逄焱垚", number=b"2", phone="13900112233")
    )
    assert found.verdict is Verdict.APART
    assert found.against


def test_equal_numbers_link_but_for_a_lent_card() -> None:
    assert (
        pair(record("王小明", number=b"1"), record("王晓鸣", date(1971, 9, 4), number=b"1")).verdict
        is Verdict.LINKED
    )
    assert pair(record("王小明", number=b"1"), record("李娜", number=b"1")).verdict is Verdict.REVIEW
    assert (
        pair(record("王小明", number=b"1"), record("王小明", date(1999, 2, 2), number=b"1")).verdict
        is Verdict.REVIEW
    )


def test_cards() -> None:
    one, two = (Record(read_name("张伟"), BORN, "M", cards=frozenset({b"c", e})) for e in (b"1", b"2"))
    assert pair(one, two).verdict is Verdict.LINKED


def test_an_id_that_was_used_again() -> None:
    kept = record("王小明")
    assert reused(kept, [record("李娜", date(1990, 1, 2), "F")])
    assert reused(kept, [kept, record("王大海", date(1990, 1, 2))])
    assert not reused(
        kept, [record("王晓明", date(1971, 9, 4)), record("WANG^XIAOMING", None, ""), record("王明")]
    )


def test_keys_outlive_errors() -> None:
    def shared(a: Record, b: Record) -> bool:
        return bool(set(keys_of(a)) & set(keys_of(b)))

    assert shared(record("王小明"), record("XIAOMING^WANG"))
    assert shared(record("王小明"), record("王晓明", date(1971, 9, 4)))  # day and month
    assert shared(record("王小明"), record("王小明", date(1917, 4, 9)))  # year
    assert shared(record("王小明"), record("王小敏"))
    assert shared(record("王小明", phone="13900112233"), record("李娜", None, phone="13900112233"))
    assert not shared(record("王小明"), record("李娜"))
    assert keys_of(record("王小明", None)) == ()


@given(texts, st.none() | st.dates())
def test_keys_are_64_bits(name: str, birth: date | None) -> None:
    assert all(-(2**63) <= key < 2**63 for key in keys_of(record(name, birth)))
