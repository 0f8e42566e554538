"""Which passwords are refused."""

from __future__ import annotations

import pytest

from pacs.errors import SettingError
from pacs.settings import Settings
from storage import passwords


@pytest.mark.parametrize(
    "refused",
    ["", "short", "x" * 300, "12345678", "Password", "PASSWORD1!", "password2026", "aaaaaaaaaa", "ababababab",
     "qwerty123", "5201314520", "woaini1314", "abc12345", "doctor88", "wangwei2", "WangWei_2"],
)  # fmt: skip
def test_refused(refused: str) -> None:
    with pytest.raises(SettingError):
        passwords.check(Settings(), "wangwei", refused)


@pytest.mark.parametrize(
    "taken", ["a doctor's password", "影像科 的 长 密码 一", "kX9-vt2_Qm", "correct horse battery"]
)
def test_taken(taken: str) -> None:
    passwords.check(Settings(), "wangwei", taken)


def test_the_shortest_is_a_setting() -> None:
    with pytest.raises(SettingError, match="15 to"):
        passwords.check(Settings(password_characters_min=15), "wangwei", "kX9-vt2_Qm")


def test_a_hash_matches_its_own_alone() -> None:
    stored = passwords.hashed("kX9-vt2_Qm")
    assert passwords.matches(stored, "kX9-vt2_Qm")
    assert not passwords.matches(stored, "kX9-vt2_Q")
    assert not passwords.matches(None, "nobody has this password")
    assert not passwords.matches("", "")
