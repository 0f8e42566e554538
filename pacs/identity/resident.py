"""Resident identity numbers (公民身份号码, GB 11643-1999): 18 digits, in which a birth date, a sex and a check are.

The old numbers of 15 digits are refused: they have no check, and any counter of a hospital may look like one.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

CHARACTERS = 18
HASH_BYTES = 32
_CHECKS = "10X98765432"  # ISO 7064 MOD 11-2, by the remainder
_WEIGHTS = tuple(2 ** (17 - place) % 11 for place in range(17))
# The first two digits (GB/T 2260): provinces; 81, 82 and 83 are residence permits of Hong Kong, Macao and Taiwan.
_PROVINCES = frozenset({
    *range(11, 16), *range(21, 24), *range(31, 38), *range(41, 47), *range(50, 55), *range(61, 66), 71, 81, 82, 83,
})  # fmt: skip
_FIRST_YEAR = 1850
_WIDE = str.maketrans("０１２３４５６７８９ＸｘI", "0123456789XXI")


class Agreement(StrEnum):
    """What a number says of the patient that it came with."""

    CONFIRMED = "confirmed"  # birth date and sex are those of the number, as far as they are known
    CONTRADICTED = "contradicted"  # somebody else's, such as the mother's of a newborn


@dataclass(frozen=True, slots=True)
class ResidentNumber:
    """A number whose check is right."""

    digits: str
    birth_date: date
    sex: str  # M or F

    def masked(self) -> str:
        """To be shown: with the birth date known beside it, region and sequence together would be the whole number, so
        only the province and the last two stay."""
        return f"{self.digits[:2]}{'*' * 14}{self.digits[-2:]}"

    def agreement(self, birth_date: date | None, sex: str) -> Agreement:
        """Cross-checked with what else is known of the patient; unknown agrees."""
        dates = birth_date in (None, self.birth_date)
        sexes = sex not in ("M", "F") or sex == self.sex
        return Agreement.CONFIRMED if dates and sexes else Agreement.CONTRADICTED

    def hashed(self, key: bytes) -> bytes:
        """HMAC-SHA-256: there are so few numbers that a hash without a key could be tried out."""
        return keyed_hash(key, "resident", self.digits)


def read_resident_number(text: str) -> ResidentNumber | None:
    """The number, or None for what is none: length, province, date or check are wrong."""
    digits = "".join(text.translate(_WIDE).split()).upper()
    if len(digits) != CHARACTERS or not digits.isascii() or not digits[:17].isdigit():
        return None
    if int(digits[:2]) not in _PROVINCES or digits[17] != check_character(digits[:17]):
        return None
    try:
        birth = date(int(digits[6:10]), int(digits[10:12]), int(digits[12:14]))
    except ValueError:
        return None
    if birth.year < _FIRST_YEAR:
        return None
    return ResidentNumber(digits, birth, "M" if int(digits[16]) % 2 else "F")


def shown_id(patient_id: str) -> str:
    """A PatientID as people see it: some hospitals take the resident number for it, which is masked."""
    number = read_resident_number(patient_id)
    return number.masked() if number else patient_id


def check_character(first17: str) -> str:
    """ISO 7064 MOD 11-2 of 17 digits."""
    return _CHECKS[sum(int(d) * w for d, w in zip(first17, _WEIGHTS, strict=True)) % 11]


def keyed_hash(key: bytes, kind: str, value: str) -> bytes:
    """HMAC-SHA-256 of an identifier; `kind` keeps identifiers of two kinds apart."""
    return hmac.new(key, f"{kind}\0{value}".encode(), hashlib.sha256).digest()
