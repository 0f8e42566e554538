"""Names are found as people type them."""

from __future__ import annotations

import pytest

from pacs.names import fold, name_tokens, pn_json, pn_text, query_tokens


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("Wang^XiaoMing=王^小明", "王小"),
        ("Wang^XiaoMing=王^小明", "王小明"),
        ("Wang^XiaoMing=王^小明", "小明"),
        ("王^小明", "wang xiao"),
        ("王小明", "wangxiaom"),
        ("王小明", "wxm"),
        ("王^小明", "wxm"),
        ("Müller^Jürgen", "muller jur"),
        ("O'Brien^Mary Ann", "brien mary"),
        ("DOE^JOHN", "doej"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "山田太"),
        ("Vanderbiltenstein^A", "vanderbiltenst"),
    ],
)
def test_found(name: str, typed: str) -> None:
    assert set(query_tokens(typed)) <= set(name_tokens(name))


@pytest.mark.parametrize(("name", "typed"), [("王小明", "李"), ("DOE^JOHN", "jane"), ("Wang^Li", "wang wu")])
def test_not_found(name: str, typed: str) -> None:
    assert not set(query_tokens(typed)) <= set(name_tokens(name))


def test_component_groups_there_and_back() -> None:
    for text in ("Doe^John", "Wang^X=王^小", "=王", "", "A=B=C"):
        assert pn_text(pn_json(text)) == text


def test_folding() -> None:
    assert fold("MÜLLER") == fold("müller") == "muller"


def test_a_number_of_zero_is_a_value() -> None:
    assert pn_text(0) == "0"
    assert pn_text(None) == ""
