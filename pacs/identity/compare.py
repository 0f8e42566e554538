"""Two records of patients: one person, perhaps, or two? (Fellegi and Sunter, A Theory for Record Linkage, 1969.)

The score is in bits: log2 of the odds that they are one person. It begins below zero, since two of a population are
seldom one, and each field that agrees or disagrees adds what it says.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from pacs.identity.fields import Dates, compare_dates, compare_phones, compare_sexes
from pacs.identity.names import Likeness, Name, NameScore, compare_names

POPULATION_MIN = 10_000  # a small archive is a sample of a region, not a region
LINK_BITS = 7.0  # 1 : 128 of the weakest that is linked; most say far more
REVIEW_BITS = 1.0
NUMBER_BITS = 40.0  # what equal resident numbers, or cards, say
TWIN_BITS = -10.0


class Verdict(StrEnum):
    """What is done with a pair."""

    LINKED = "linked"
    REVIEW = "review"
    APART = "apart"


@dataclass(frozen=True, slots=True)
class Record:
    """What one facility knows of a patient, as it is compared. `resident` is the keyed hash of a resident number that
    birth date and sex did not contradict, `cards` those of health cards."""

    name: Name
    birth_date: date | None = None
    sex: str = ""
    phone: str = ""
    resident: bytes = b""
    cards: frozenset[bytes] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class Judgement:
    """Of a pair. `against` says that they are known to be two: then none of their persons may become one."""

    verdict: Verdict
    bits: float
    why: tuple[str, ...] = ()
    against: bool = False


def prior_bits(population: int) -> float:
    """Of two records taken at random from a population of so many patients."""
    return -math.log2(max(population, POPULATION_MIN))


def judge(a: Record, b: Record, population: int) -> Judgement:
    """Compare two records; the same in both directions."""
    name = compare_names(a.name, b.name)
    dates, date_bits = compare_dates(a.birth_date, b.birth_date)
    others = (("sex", compare_sexes(a.sex, b.sex)), ("phone", compare_phones(a.phone, b.phone)))
    bits = prior_bits(population) + name.bits + date_bits + sum(b for _, b in others)
    why = [f"name {name.likeness}", f"birth date {dates}", *(f"{w} {_sign(n)}" for w, n in others if n)]
    if a.resident and b.resident and a.resident != b.resident:
        return Judgement(Verdict.APART, bits - NUMBER_BITS, (*why, "resident numbers differ"), against=True)
    number = _number(a, b)
    if number:
        return _by_number(name, dates, bits + NUMBER_BITS, (number, *why))
    if twins(name, dates):
        bits += TWIN_BITS
        verdict = Verdict.REVIEW if bits >= REVIEW_BITS else Verdict.APART
        return Judgement(verdict, bits, (*why, "may be twins"), against=_names_part(name))
    if name.likeness is Likeness.DIFFERENT and bits >= LINK_BITS:
        return Judgement(Verdict.REVIEW, bits, tuple(why))
    return Judgement(_verdict(bits), bits, tuple(why))


def _verdict(bits: float) -> Verdict:
    if bits >= LINK_BITS:
        return Verdict.LINKED
    return Verdict.REVIEW if bits >= REVIEW_BITS else Verdict.APART


def _number(a: Record, b: Record) -> str:
    if a.resident and a.resident == b.resident:
        return "resident number same"
    return "health card same" if a.cards & b.cards else ""


def _by_number(name: NameScore, dates: Dates, bits: float, why: tuple[str, ...]) -> Judgement:
    """Cards are lent: where name or birth date are somebody else's, a human looks."""
    lent = name.likeness is Likeness.DIFFERENT or dates is Dates.DIFFERENT
    lent = lent or twins(name, dates)
    return Judgement(Verdict.REVIEW if lent else Verdict.LINKED, bits, why)


def twins(name: NameScore, dates: Dates) -> bool:
    """Born on one day into one family, with given names that differ: as likely two as one with a typing error."""
    return dates is Dates.SAME and name.likeness in (Likeness.TYPO, Likeness.FAMILY)


def _names_part(name: NameScore) -> bool:
    return name.likeness is Likeness.FAMILY


def _sign(bits: float) -> str:
    return "same" if bits > 0 else "differs"


def reused(kept: Record, told: Iterable[Record]) -> bool:
    """Whether an ID was given to a second person: what came under it later has another name, and another birth date or
    sex. Typing errors alone are none."""
    return any(_another(kept, one) for one in told)


def _another(a: Record, b: Record) -> bool:
    name = compare_names(a.name, b.name).likeness
    dates, _ = compare_dates(a.birth_date, b.birth_date)
    sex = compare_sexes(a.sex, b.sex)
    if name in (Likeness.DIFFERENT, Likeness.FAMILY):
        return dates in (Dates.DIFFERENT, Dates.YEAR) or sex < 0
    return dates is Dates.DIFFERENT and sex < 0
