"""Birth dates, sexes and telephone numbers, compared; bits of evidence for one person, as Fellegi and Sunter count it:
log2 of how often one person's values differ so, over how often two strangers' do."""

from __future__ import annotations

import re
from datetime import date
from enum import StrEnum

PHONE_DIGITS_MIN = 7
_NO_DIGIT = re.compile(r"\D+")


class Dates(StrEnum):
    """How alike two birth dates are."""

    UNKNOWN = "unknown"
    SAME = "same"
    SWAPPED = "swapped"  # day and month have changed places
    DIGIT = "digit"  # one digit is another
    YEAR = "year"  # the year alone
    DIFFERENT = "different"


# Birth dates are spread over about 75 years, 27,000 days. The 1st of January stands for "in that year" on many cards.
_DATE_BITS = {
    Dates.UNKNOWN: 0.0, Dates.SAME: 14.5, Dates.SWAPPED: 6.0, Dates.DIGIT: 5.0, Dates.YEAR: -1.5, Dates.DIFFERENT: -8.0,
}  # fmt: skip
NEW_YEAR_BITS = 7.0
SEX_SAME_BITS, SEX_OTHER_BITS = 0.9, -6.0
# Families share a telephone, and people change theirs: so it says less than its digits would.
PHONE_SAME_BITS, PHONE_DIGIT_BITS, PHONE_OTHER_BITS = 8.0, 3.0, -1.0


def compare_dates(a: date | None, b: date | None) -> tuple[Dates, float]:
    """Likeness and bits."""
    likeness = _dates(a, b)
    new_year = likeness is Dates.SAME and a is not None and (a.month, a.day) == (1, 1)
    return likeness, NEW_YEAR_BITS if new_year else _DATE_BITS[likeness]


def _dates(a: date | None, b: date | None) -> Dates:
    if a is None or b is None:
        return Dates.UNKNOWN
    if a == b:
        return Dates.SAME
    if (a.year, a.month, a.day) == (b.year, b.day, b.month):
        return Dates.SWAPPED
    if sum(x != y for x, y in zip(a.isoformat(), b.isoformat(), strict=True)) == 1:
        return Dates.DIGIT
    return Dates.YEAR if a.year == b.year else Dates.DIFFERENT


def compare_sexes(a: str, b: str) -> float:
    """Bits; whatever is not M or F is not known."""
    if a not in ("M", "F") or b not in ("M", "F"):
        return 0.0
    return SEX_SAME_BITS if a == b else SEX_OTHER_BITS


def clean_phone(text: str) -> str:
    """The digits of a number, without the country (86) and leading zeros; empty for what is too short, or one digit
    over and over, as is typed where one is asked for and none is known."""
    digits = _NO_DIGIT.sub("", text).lstrip("0")
    if len(digits) > 11 and digits.startswith("86"):
        digits = digits[2:].lstrip("0")
    if not PHONE_DIGITS_MIN <= len(digits) <= 15 or len(set(digits[-PHONE_DIGITS_MIN:])) == 1:
        return ""
    return digits


def masked_phone(phone: str) -> str:
    """To be shown: the last four digits."""
    return f"{'*' * (len(phone) - 4)}{phone[-4:]}" if phone else ""


def compare_phones(a: str, b: str) -> float:
    """Bits, of numbers as `clean_phone` gives them."""
    if not a or not b:
        return 0.0
    if a == b:
        return PHONE_SAME_BITS
    if len(a) == len(b) and sum(x != y for x, y in zip(a, b, strict=True)) == 1:
        return PHONE_DIGIT_BITS
    return PHONE_OTHER_BITS
