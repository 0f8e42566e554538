"""Names of patients, to be compared: 汉字 with 汉字, else by their sound (pinyin); with families and given names
swapped, and typing errors."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from pacs.identity import frequencies
from pacs.names import fold, is_han

CHARACTERS_MAX = 64  # of a name that is compared; what is longer is cut
_WORD = re.compile(r"[a-z]+")
_SYLLABLE = re.compile(r"[aeiouv]+")
_DIGRAPHS = ("ü", "v"), ("Ü", "v")
LATIN_TYPO_LETTERS_MIN = 5  # of shorter ones another letter is another name


class Likeness(StrEnum):
    """How alike two names are."""

    UNKNOWN = "unknown"  # one of them is not there
    SAME = "same"  # in characters
    SOUND = "sound"  # one of them is in pinyin only, and sounds the same
    HOMOPHONE = "homophone"  # other characters, which sound the same
    SWAPPED = "swapped"  # family and given name have changed places
    TYPO = "typo"  # one character or letter is another, or is missing
    FAMILY = "family"  # the family alone
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True)
class Name:
    """A name taken apart. `family` and `given` are pinyin or Latin letters, lower case, without spaces."""

    han_family: str = ""
    han_given: str = ""
    family: str = ""
    given: str = ""

    @property
    def known(self) -> bool:
        return bool(self.family or self.given)

    @property
    def han(self) -> str:
        return self.han_family + self.han_given


@dataclass(frozen=True, slots=True)
class NameScore:
    """How alike, and the bits of evidence for one person in that: what is rarer says more."""

    likeness: Likeness
    bits: float


@lru_cache(maxsize=65536)
def read_name(pn: str) -> Name:
    """A PN value (PS3.5 6.2.1); of its component groups the one with 汉字 counts, else the first with letters."""
    groups = [group[:CHARACTERS_MAX] for group in pn.split("=")]
    for group in groups:
        if any(map(is_han, group)):
            return _han_name(group)
    for group in groups:
        for before, after in _DIGRAPHS:
            group = group.replace(before, after)
        parts = ["".join(_WORD.findall(fold(part))) for part in group.split("^")[:3]]
        if any(parts):
            return _latin_name(group, parts)
    return Name()


def _han_name(group: str) -> Name:
    parts = ["".join(filter(is_han, part)) for part in group.split("^")[:3]]
    whole = "".join(parts)
    family = parts[0] if len(parts) > 1 and parts[0] and any(parts[1:]) else ""
    if not family or family in frequencies.COMPOUND or len(family) > 2:
        family = whole[:2] if whole[:2] in frequencies.COMPOUND and len(whole) > 2 else family or whole[:1]
    given = whole[len(family) :]
    return Name(family, given, sound_of_family(family), "".join(map(_sound, given)))


def _latin_name(group: str, parts: list[str]) -> Name:
    if sum(map(bool, parts)) > 1:
        return Name(family=parts[0], given="".join(parts[1:]))
    words = _WORD.findall(fold(group))
    if len(words) > 1:
        return Name(family=words[0], given="".join(words[1:]))
    word = words[0]
    known = [word[:end] for end in range(2, len(word)) if word[:end] in frequencies.family_sounds()]
    family = known[-1] if known and _SYLLABLE.search(word[len(known[-1]) :]) else word
    return Name(family=family, given=word[len(family) :])


@lru_cache(maxsize=32768)
def _sound(character: str) -> str:
    from pypinyin import Style, lazy_pinyin  # here: it takes 60 MB, which who compares no names is spared

    found = lazy_pinyin(character, style=Style.NORMAL, errors="ignore", v_to_u=False)
    return "".join(found).lower()


@lru_cache(maxsize=4096)
def sound_of_family(family: str) -> str:
    """Its pinyin; some characters are read otherwise in families than in words."""
    return frequencies.FAMILY_READINGS.get(family) or "".join(
        frequencies.FAMILY_READINGS.get(c) or _sound(c) for c in family
    )


def compare_names(a: Name, b: Name) -> NameScore:
    """Likeness and evidence; the same in both directions."""
    if not (a.known and b.known):
        return NameScore(Likeness.UNKNOWN, 0.0)
    likeness = _han_likeness(a, b) if a.han and b.han else _sound_likeness(a, b)
    return NameScore(likeness, _bits(likeness, a, b))


def _han_likeness(a: Name, b: Name) -> Likeness:
    if a.han == b.han:
        return Likeness.SAME
    if a.han_given + a.han_family == b.han or b.han_given + b.han_family == a.han:
        return Likeness.SWAPPED
    if a.family == b.family and a.given == b.given:
        return Likeness.HOMOPHONE
    if len(a.han) > 1 and len(b.han) > 1 and _one_edit(a.han, b.han):
        # Of two characters one is half the name: another given name of the same family, or of another family.
        if max(len(a.han), len(b.han)) > 2:
            return Likeness.TYPO
        return Likeness.FAMILY if a.han_family == b.han_family else Likeness.DIFFERENT
    return Likeness.FAMILY if a.han_family == b.han_family else Likeness.DIFFERENT


def _sound_likeness(a: Name, b: Name) -> Likeness:
    ours, theirs = a.family + a.given, b.family + b.given
    if ours == theirs:
        return Likeness.SOUND
    if a.given + a.family == theirs or b.given + b.family == ours:
        return Likeness.SWAPPED
    if min(len(ours), len(theirs)) >= LATIN_TYPO_LETTERS_MIN and _one_edit(ours, theirs):
        return Likeness.TYPO
    return Likeness.FAMILY if a.family == b.family else Likeness.DIFFERENT


def _one_edit(a: str, b: str) -> bool:
    """Whether one insertion, deletion, replacement or exchange of neighbours makes one of the other."""
    if abs(len(a) - len(b)) > 1:
        return False
    start = 0
    while start < min(len(a), len(b)) and a[start] == b[start]:
        start += 1
    rest_a, rest_b = a[start:], b[start:]
    if len(a) != len(b):
        long, short = (rest_a, rest_b) if len(a) > len(b) else (rest_b, rest_a)
        return long[1:] == short
    exchanged = rest_a[:2] == rest_b[:2][::-1] and rest_a[2:] == rest_b[2:]
    return rest_a[1:] == rest_b[1:] or exchanged


# What an agreement with an error in it costs: bits of how rarely one person's names differ so.
_COST = {Likeness.SAME: 0.1, Likeness.SOUND: 0.1, Likeness.HOMOPHONE: 5.5, Likeness.SWAPPED: 5.0,
         Likeness.TYPO: 6.5, Likeness.FAMILY: 7.0}  # fmt: skip
DIFFERENT_BITS = -7.0
BITS_MAX = 24.0  # beyond that a name is not told by its rarity, but by its spelling


def _bits(likeness: Likeness, a: Name, b: Name) -> float:
    if likeness is Likeness.DIFFERENT:
        return DIFFERENT_BITS
    if likeness is Likeness.SWAPPED:  # the one whose family is a family has them in the right places
        a = b = max((a, b), key=lambda n: (frequencies.family_sounds().get(n.family, 0.0), n.family, n.given))
    by_characters = a.han and b.han and likeness is not Likeness.HOMOPHONE
    family, given = _characters(a, b) if by_characters else _sounds(a, b)
    rarity = family + (0.0 if likeness is Likeness.FAMILY else given)
    return min(rarity, BITS_MAX) - _COST[likeness]


def _characters(a: Name, b: Name) -> tuple[float, float]:
    """Bits of rarity: of the more common family, and of the characters that both given names have."""
    family = -math.log2(max(frequencies.family_share(n.han_family) for n in (a, b)))
    shared = (Counter(a.han_given) & Counter(b.han_given)).elements()
    return family, -sum(math.log2(frequencies.given_share(c)) for c in shared)


def _sounds(a: Name, b: Name) -> tuple[float, float]:
    """The same of what is heard: of the given names a share for each syllable of the shorter one."""
    sounds = frequencies.family_sounds()
    family = -math.log2(max(sounds.get(n.family, frequencies.FAMILY_RARE) for n in (a, b)))
    syllables = min(len(_SYLLABLE.findall(n.given)) for n in (a, b))
    return family, -syllables * math.log2(frequencies.SYLLABLE)
