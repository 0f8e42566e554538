"""Passwords: argon2id hashes, and which ones are refused."""

from __future__ import annotations

from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from pacs.errors import SettingError
from pacs.settings import Settings

PASSWORD_CHARACTERS_MAX = 256  # hashing is slow by design: no megabytes of password
DIFFERENT_MIN = 4  # characters that a password has at least, each counted once
_PADDING = "0123456789!@#$%^&*.,_-+ "  # put behind a word that is known, it is known too
# The words that lists of stolen passwords begin with, also those of Chinese sites; what is behind them is ignored.
_WORDS = """
123456789 12345678 1234567890 123123123 11223344 1qaz2wsx 1qaz2wsx3edc 1q2w3e4r 1q2w3e4r5t 147258369 159357 5201314
987654321 a aa abc abcd abcde abcdef abcdefg abcdefgh abc123456 access admin administrator asd asdf asdfgh asdfghjkl
azerty baseball batman charlie changeme computer default doctor dragon football freedom guest hello hospital iloveyou
internet letmein login manager master michael monkey mustang ningbo orthanc p@ssw0rd p@ssword pa pacs pass passw0rd
passwd password princess q qaz qazwsx qazwsxedc qq qwe qweasd qweasdzxc qwer qwert qwerty qwertyuiop radiology root
secret server service shadow starwars sunshine super superman system temp test tester testing tongying trustno user
welcome whatever wang woaini woaini1314 woaini520 wo yiyuan z zaq12wsx zhang zxc zxcv zxcvbn zxcvbnm
"""
COMMON = frozenset(_WORDS.split())
_hasher = PasswordHasher()


def check(settings: Settings, name: str, password: str) -> None:
    """Raises SettingError that says what is wrong with a password that somebody chose."""
    shortest = settings.password_characters_min
    if not shortest <= len(password) <= PASSWORD_CHARACTERS_MAX:
        raise SettingError(f"a password has {shortest} to {PASSWORD_CHARACTERS_MAX} characters")
    folded = password.casefold()
    if len(set(folded)) < DIFFERENT_MIN or folded in COMMON or folded.rstrip(_PADDING) in COMMON | {""}:
        raise SettingError("this password is one that is guessed first")
    if name and folded.strip(_PADDING) == name.casefold():
        raise SettingError("a password is not the user's name")


def hashed(password: str) -> str:
    return _hasher.hash(password)


def matches(stored: str | None, password: str) -> bool:
    """Whether it is the one that was hashed; as slow where there is none."""
    try:
        return _hasher.verify(stored or _nobody(), password[:PASSWORD_CHARACTERS_MAX]) and stored is not None
    except (VerificationError, InvalidHashError):
        return False


@cache
def _nobody() -> str:
    """A hash to compare with where there is no user. Made at the first sign-in, as hashing takes 64 MB."""
    return _hasher.hash("nobody has this password")
