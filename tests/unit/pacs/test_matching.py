"""Attribute matching (PS3.4 C.2.2.2): cases from the standard's text, and random ones against a naive oracle."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacs.errors import BadQuery
from pacs.matching import matcher, matches, projector
from pacs.names import fold, pn_json
from pacs.values import Json

NAME, ID, MODALITY, DAY, CLOCK = "00100010", "00100020", "00080060", "00400002", "00400003"
STEPS, WHEN, UID, NUMBER = "00400100", "00404005", "0020000D", "00200013"


def e(vr: str, *values: Any) -> Json:
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


def pn(*names: str) -> Json:
    return e("PN", *(pn_json(n) for n in names))


def one(tag: str, vr: str, asked: Any, found: Any) -> bool:
    """Whether a value matches a key's."""
    wrap = pn_json if vr == "PN" else lambda v: v
    dataset = {} if found is None else {tag: e(vr, wrap(found))}
    return matches({tag: e(vr, wrap(asked))}, dataset)


@pytest.mark.parametrize(
    ("asked", "found", "expected"),
    [
        ("Wang^Xiao", "WANG^XIAO=王^小", True),
        ("wang*", "Wang^Xiao=王^小", True),
        ("王^*", "Wang^Xiao=王^小", True),
        ("小*", "Wang^Xiao=王^小", False),
        ("Wang*=王*", "Wang^Xiao=王^小", True),
        ("Wang*=李*", "Wang^Xiao=王^小", False),
        ("=王*", "Wang^Xiao=王^小=わん", True),
        ("わん", "Wang^Xiao=王^小=わん", True),
        ("muller", "Müller", True),
        ("Wan", "Wang", False),
        ("W?ng", "Wang", True),
        ("W?ng", "Wng", False),
        ("*", None, True),
        ("", None, True),
        ("Wang", None, False),
        ("?*", "", False),
        ("[ab]", "a", False),
        ("[ab]*", "[AB]c", True),
    ],
)
def test_names(asked: str, found: str | None, expected: bool) -> None:
    assert one(NAME, "PN", asked, found) is expected


@pytest.mark.parametrize(
    ("vr", "asked", "found", "expected"),
    [
        ("LO", "A1", "A1", True),
        ("LO", "a1", "A1", False),  # C.2.2.2.1: single values respect case, but for names
        ("LO", "a*", "A1", True),  # as the SQL compiler does
        ("LO", "A?", "A1", True),
        ("LO", "A?", "A12", False),
        ("SH", " A1 ", "A1", True),
        ("CS", "CT*", "CTX", True),
        ("UI", "1.2.*", "1.2.3", False),  # no wildcards in a UID
        ("UI", "1.2", "1.2", True),
        ("UI", "1.2\\1.3", "1.3", True),
        ("DA", "20260102", "20260102", True),
        ("DA", "20260102", "2026.01.02", True),
        ("DA", "20260101-20260103", "20260102", True),
        ("DA", "20260101-", "20260101", True),
        ("DA", "-20260101", "20260102", False),
        ("DA", "20260101-20260103", None, False),
        ("TM", "10", "105959.9", True),
        ("TM", "1000-1100", "110059", True),
        ("TM", "1000-1100", "1101", False),
        ("TM", "100000.5-", "100000.4", False),
        ("IS", "7", 7, True),
        ("IS", "07", 7, True),
        ("IS", 0, 0, True),
        ("IS", 0, 7, False),
        ("DS", 1.5, "1.50", True),
        ("US", 7, 8, False),
        ("DT", "20260102", "20260102235959.999999", True),
        ("DT", "20260102", "20260103", False),
        ("DT", "202601-202602", "20260228", True),
        ("DT", "20260101-", "2026", True),
        ("DT", "-2025", "2026", False),
        ("DT", "20260102100000+0800-", "20260102020000+0000", True),
        ("DT", "20260102100000+0800-", "20260102015959+0000", False),
        ("DT", "20260102100000-0500", "20260102150000+0000", True),
        ("DT", "00010101+1400-", "00010101-1200", True),
        ("AE", "CT_1", "CT_1", True),
        ("UR", "a*", "ab", False),
    ],
)
def test_values(vr: str, asked: Any, found: Any, expected: bool) -> None:
    assert one("00991001", vr, asked, found) is expected


@pytest.mark.parametrize(
    ("vr", "asked"),
    [("DA", "2026*"), ("DA", "-"), ("TM", "noon"), ("IS", "x"), ("DT", "2026-x"), ("DT", "-"), ("DT", "20261301")],
)  # fmt: skip
def test_what_cannot_be_read_is_told(vr: str, asked: str) -> None:
    with pytest.raises(BadQuery):
        matcher({"00991001": e(vr, asked)})


def test_multiple_values() -> None:
    """C.2.2.2.1: any value of the data set; several in the key: any of them."""
    dataset = {"00080061": e("CS", "CT", "PT")}
    assert matches({"00080061": e("CS", "PT")}, dataset)
    assert matches({"00080061": e("CS", "MR", "P*")}, dataset)
    assert not matches({"00080061": e("CS", "MR")}, dataset)
    assert matches({UID: e("UI", "1.1", "1.2")}, {UID: e("UI", "1.2")})
    assert matches({"00080061": e("CS", None, "CT")}, dataset)


def test_what_says_how_to_ask_is_not_matched() -> None:
    controls = {"00080005": e("CS", "ISO_IR 192"), "00080052": e("CS", "STUDY"), "00080201": e("SH", "+0800")}
    assert matches(controls, {})


def worklist(day: str, clock: str, modality: str = "CT") -> Json:
    step = {DAY: e("DA", day), CLOCK: e("TM", clock), MODALITY: e("CS", modality)}
    return {NAME: pn("Wang^Xiao=王^小"), ID: e("LO", "P1"), STEPS: e("SQ", step)}


def asked_of_steps(**keys: str) -> Json:
    item = {}
    for name, value in keys.items():
        tag, vr = {"day": (DAY, "DA"), "clock": (CLOCK, "TM"), "modality": (MODALITY, "CS")}[name]
        item[tag] = e(vr, value) if value else e(vr)
    return {STEPS: e("SQ", item)}


def test_sequences() -> None:
    """C.2.2.2.6: one item must match all keys; keys without values match what has no such sequence too."""
    two = {STEPS: e("SQ", worklist("20260102", "10")[STEPS]["Value"][0],
                    worklist("20260103", "11", "MR")[STEPS]["Value"][0])}  # fmt: skip
    assert matches(asked_of_steps(day="20260103", modality="MR"), two)
    assert not matches(asked_of_steps(day="20260102", modality="MR"), two)
    assert matches(asked_of_steps(day="", modality=""), {})
    assert not matches(asked_of_steps(modality="CT"), {})
    assert matches({STEPS: e("SQ")}, {})
    assert matches({STEPS: e("SQ", {})}, {})


def test_a_date_and_a_time_range_are_one_period() -> None:
    """K.6.1.2.2: July 5 to 7 and 10 to 18 h is from July 5, 10 h, until July 7, 18 h."""
    asked = asked_of_steps(day="20260705-20260707", clock="1000-1800")
    for day, clock, expected in [
        ("20260705", "0959", False), ("20260705", "10", True), ("20260706", "03", True),
        ("20260707", "1800", True), ("20260707", "1801", False), ("20260708", "11", False),
    ]:  # fmt: skip
        assert matches(asked, worklist(day, clock)) is expected, (day, clock)
    one_day = asked_of_steps(day="20260705", clock="1000-1800")
    assert [matches(one_day, worklist("20260705", c)) for c in ("09", "10", "19")] == [False, True, False]
    onwards = asked_of_steps(day="20260705-", clock="1000-")
    assert [matches(onwards, worklist(d, "09")) for d in ("20260705", "20260706")] == [False, True]


def test_projection() -> None:
    dataset = worklist("20260102", "10") | {"00080050": e("SH", "A1")}
    asked = {
        "00080005": e("CS", "ISO_IR 192"), ID: e("LO"), "00100040": e("CS"), "00081110": e("SQ"),
        STEPS: e("SQ", {MODALITY: e("CS"), "00400001": e("AE")}),
    }  # fmt: skip
    assert projector(asked)(dataset) == {
        ID: e("LO", "P1"), "00100040": e("CS"), "00081110": e("SQ"),
        STEPS: e("SQ", {MODALITY: e("CS", "CT"), "00400001": e("AE")}),
    }  # fmt: skip
    assert (
        projector({STEPS: e("SQ")})(dataset)
        == projector({STEPS: e("SQ", {})})(dataset)
        == {STEPS: dataset[STEPS]}
    )


def test_only_matching_items_are_projected() -> None:
    items = [{MODALITY: e("CS", m)} for m in ("CT", "MR", "CT")]
    answer = projector(asked_of_steps(modality="MR"))({STEPS: e("SQ", *items)})
    assert answer == {STEPS: e("SQ", items[1])}


def test_depth_is_bounded() -> None:
    item: Json = {ID: e("LO", "x")}
    for _ in range(2000):
        item = {STEPS: e("SQ", item)}
    with pytest.raises(BadQuery):
        matcher(item)
    with pytest.raises(BadQuery):
        projector(item)(item)


def test_two_items_are_refused() -> None:
    with pytest.raises(BadQuery):
        matcher({STEPS: e("SQ", {}, {})})


def test_many_stars_cost_little() -> None:
    started = time.thread_time()
    assert not one(ID, "LO", "*a" * 500 + "b", "a" * 1000)
    assert time.thread_time() - started < 1


def naive(pattern: str, text: str) -> bool:
    """The oracle: wildcards by their definition, one character after the other."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(naive(pattern[1:], text[n:]) for n in range(len(text) + 1))
    return bool(text) and pattern[0] in ("?", text[0]) and naive(pattern[1:], text[1:])


few = st.text(alphabet="ab王=^", max_size=7).map(lambda t: "=".join(t.split("=")[:3]))
patterns = st.text(alphabet="aA?*王^", min_size=1, max_size=5)


@given(patterns, st.text(alphabet="aAb王[", min_size=1, max_size=7))
def test_wildcards_against_the_oracle(pattern: str, text: str) -> None:
    if set(pattern) == {"*"}:
        expected = True
    elif set(pattern) & set("*?"):
        expected = naive(pattern.lower(), text.lower())
    else:
        expected = pattern == text
    assert one(ID, "LO", pattern, text) is expected


@given(patterns, few)
def test_names_against_the_oracle(pattern: str, name: str) -> None:
    groups = fold(name.rstrip("=")).split("=")
    runs = ["=".join(groups[a:b]) for a in range(3) for b in range(a + 1, 4)]
    values = any(groups)
    expected = set(pattern) == {"*"} or (values and any(naive(fold(pattern), run) for run in runs))
    assert one(NAME, "PN", pattern, name) is expected


@given(st.integers(1, 28), st.integers(1, 28), st.integers(1, 28), st.sampled_from(["both", "low", "high"]))
def test_ranges_against_the_oracle(low: int, high: int, day: int, ends: str) -> None:
    asked = (
        (f"202601{low:02}" if ends != "high" else "") + "-" + (f"202601{high:02}" if ends != "low" else "")
    )
    expected = (ends == "high" or low <= day) and (ends == "low" or day <= high)
    assert one(DAY, "DA", asked, f"202601{day:02}") is expected
    assert one("00991001", "DT", asked, f"202601{day:02}12") is expected
