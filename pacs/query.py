"""The Query: what C-FIND and QIDO-RS both come down to (PS3.4 C.2.2.2, PS3.18 8.3.4).

Matching kinds: single value, list of UID, wildcard, range. Universal matching is the absence of a match.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date, time
from typing import Any

from pacs import values
from pacs.attributes import BY_KEYWORD, BY_TAG, Attribute, Level
from pacs.encoded.dictionary import keyword_of, public_vr, tag_of
from pacs.errors import BadQuery
from pacs.identity import shown_id

UIDS_MAX = 1000  # in one list
VALUE_CHARACTERS_MAX = 1024
NAMES_WITH_WILDCARDS = frozenset({"PN", "LO", "SH", "CS", "AE", "LT", "ST", "UT", "UC"})


@dataclass(frozen=True, slots=True)
class Equal:
    """Any of these values; for text, without regard to case where the VR has none."""

    attribute: Attribute
    any_of: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wildcard:
    """`*` is any run of characters, `?` is one."""

    attribute: Attribute
    pattern: str


@dataclass(frozen=True, slots=True)
class Between:
    """A range of dates or times, both ends within; None is open."""

    attribute: Attribute
    low: date | time | None
    high: date | time | None


@dataclass(frozen=True, slots=True)
class Fuzzy:
    """A person name of which each word of `text` is the beginning of some word, in any script, pinyin and initials
    among them (PS3.18 8.3.4.2)."""

    attribute: Attribute
    text: str


Match = Equal | Wildcard | Between
Position = tuple[date, int] | tuple[date, int, int | None, int]
"""In the list of studies: sort date and key; in that of series also number and key."""


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked for: the level, what must match, and which part of the answer.

    `matches` are what the index answers, `rest` are keys that are matched in the metadata, as an identifier in the
    DICOM JSON model. `combined`: a range of dates and one of times are one period (PS3.4 C.2.2.2.5).
    `words` are what a person typed into a search box, `after` is where the page before ended; of instances the series
    in which it did, which comes again.
    """

    level: Level
    matches: tuple[Match | Fuzzy, ...] = ()
    rest: dict[str, Any] = field(default_factory=dict)
    combined: bool = False
    words: str = ""
    limit: int | None = None
    offset: int = 0
    after: Position | None = None


def attribute(name: str) -> Attribute:
    """By keyword or by tag (eight hexadecimal digits): one of the table's, else of PS3.6, which instances have;
    raises BadQuery."""
    found = BY_KEYWORD.get(name) or BY_TAG.get(name.upper()) or _standard(name)
    if found is None:
        raise BadQuery(f"the attribute {name[:64]!r} cannot be matched here")
    return found


def _standard(name: str) -> Attribute | None:
    tag = int(name, 16) if re.fullmatch("[0-9A-Fa-f]{8}", name) else tag_of(name)
    vr = public_vr(tag) if tag is not None else None
    if tag is None or vr is None:
        return None
    return Attribute(f"{tag:08X}", keyword_of(tag), vr[:2], Level.IMAGE)  # of "US or SS" the first


def match(of: Attribute, value: str) -> Match | None:
    """The match that a value asks for; None for universal matching. Raises BadQuery for what cannot be read."""
    if len(value) > characters_max(of):
        raise BadQuery(f"the value of {of.keyword} is too long")
    value = value.replace("\0", "").strip()
    if not value or set(value) == {"*"}:
        return None
    if of.vr in ("DA", "TM"):
        return _range(of, value)
    if of.vr == "UI":
        return _uids(of, value)
    if of.vr in NAMES_WITH_WILDCARDS and re.search(r"[*?]", value):
        return Wildcard(of, value)
    return Equal(of, tuple(v for v in value.split("\\") if v))


def characters_max(of: Attribute) -> int:
    """How long the value of a key may be."""
    return VALUE_CHARACTERS_MAX * (UIDS_MAX if of.vr == "UI" else 1)


def _uids(of: Attribute, value: str) -> Equal:
    uids = tuple(u.strip() for u in re.split(r"[,\\]", value) if u.strip())
    if len(uids) > UIDS_MAX:
        raise BadQuery(f"more than {UIDS_MAX} UIDs in {of.keyword}")
    return Equal(of, uids)


def _range(of: Attribute, value: str) -> Between:
    low, dash, high = value.partition("-")
    if not dash:
        high = low
    ends = [_end(of, text.strip()) for text in (low, high)]
    if ends == [None, None]:
        raise BadQuery(f"{of.keyword} needs a value, or a range such as {_example(of)}")
    return Between(of, ends[0], _whole(of, high.strip(), ends[1]))


def _end(of: Attribute, text: str) -> date | time | None:
    if not text:
        return None
    read = values.da(text) if of.vr == "DA" else values.tm(text)
    if read is None or not re.fullmatch(r"[\d.:]+", text):
        raise BadQuery(f"{of.keyword} needs a value, or a range such as {_example(of)}")
    return read


def _whole(of: Attribute, text: str, end: date | time | None) -> date | time | None:
    """A time that stops after the hour or minute means all of it (PS3.5 6.2, TM)."""
    if not isinstance(end, time):
        return end
    digits = len(text.replace(":", "").partition(".")[0])
    if digits <= 2:
        return end.replace(minute=59, second=59, microsecond=999_999)
    if digits <= 4:
        return end.replace(second=59, microsecond=999_999)
    return end if "." in text else end.replace(microsecond=999_999)


def _example(of: Attribute) -> str:
    return "20260101-20261231" if of.vr == "DA" else "0800-1200"


_NUMBERS = frozenset({"UI", "DA", "TM", "DT", "IS"})
_NAMED = frozenset({"PN", "LT", "ST", "UT"})  # VRs of names and of what people write


def shown_key(name: str, value: str) -> str:
    """A key of a query as the audit trail tells it: `keyword=value`, without the value where that may name a patient
    or is of no attribute that we know."""
    known = BY_KEYWORD.get(name.rpartition(".")[2]) or BY_TAG.get(name.rpartition(".")[2].upper())
    plain = name in _PLAIN_PARAMETERS or (
        known is not None and known.vr not in _NAMED and known.keyword != "PatientBirthDate"
    )
    if known is not None and known.vr in _NUMBERS and any(c.isalpha() for c in value):
        plain = False  # it is none, and may be anything
    said = known.keyword if known else name[:40]
    return f"{said}={shown_id(value[:VALUE_CHARACTERS_MAX])}" if plain else said


# Parameters of our own and of DICOMweb that are no attributes and name nobody.
_PLAIN_PARAMETERS = frozenset({
    "limit", "offset", "includefield", "fuzzymatching", "patient_id", "accession", "modality", "date_from", "date_to",
    "studyUID", "seriesUID", "objectUID", "frameNumber", "contentType", "facility", "status", "state", "remote", "note",
    "study_uid", "action", "outcome", "owner", "since", "until", "who", "QueryRetrieveLevel",
})  # fmt: skip
