"""What is written on a picture (PS3.18 8.3.5.1.1), in which corner: who the patient is, and how the image was made.

The words are those that modalities write: abbreviations and units that need no translation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from pacs.identity import shown_id
from pacs.names import is_han
from pacs.pixels import _json
from pacs.pixels._json import Attributes
from pacs.pixels.attributes import of_frame, whole_frame
from pacs.pixels.window import Window, window_of

PATIENT, TECHNIQUE = "patient", "technique"
KEYWORDS = (PATIENT, TECHNIQUE)
Corner = Literal["top left", "top right", "bottom left", "bottom right"]
VALUE_CHARACTERS_MAX = 128  # twice what names and LO may have
GAP = "  "
_DATE, _TIME = re.compile(r"(\d{4})(\d{2})(\d{2})"), re.compile(r"(\d{2})(\d{2})(\d{2})?(\.\d*)?")
# A line each, which is parted at ordinary spaces only; of several tags the first that is there.
_PLACE = (
    (("{}", "00080080"),),  # Institution Name
    (("{}", "0008103E"),),  # Series Description
)
_NUMBERED = (
    (("{}", "00080060"), ("Se\u00a0{}", "00200011"), ("Im\u00a0{}", "00200013")),
    (("{}", "00200062", "00209072", "00200060"), ("{}", "00185101")),  # laterality and view
)
_MADE = (
    (("{}\u00a0kV", "00180060"), ("{}\u00a0mAs", "00181152", "00189332")),
    (("TR\u00a0{}\u00a0ms", "00180080"), ("TE\u00a0{}\u00a0ms", "00180081", "00189082")),
    (("MI\u00a0{}", "00185022"), ("TIS\u00a0{}", "00185024")),
    (("{}\u00a0mm", "00180050"), ("at\u00a0{}\u00a0mm", "00201041")),  # slice thickness and location
)


@dataclass(frozen=True, slots=True)
class Caption:
    """Lines for one corner; `keyword` says of what they are."""

    keyword: str
    corner: Corner
    lines: tuple[str, ...]


def captions(
    attributes: Attributes, index: int, keywords: frozenset[str], chosen: Window | None
) -> list[Caption]:
    """Of frame `index` (from 0) of an instance, with what it tells; `chosen`: the window asked for, if one was."""
    found: list[Caption] = []
    if PATIENT in keywords:
        found.append(Caption(PATIENT, "top left", tuple(_patient(attributes))))
    if TECHNIQUE in keywords:
        frame = whole_frame(attributes, index)
        numbered = (*_lines(frame, _NUMBERED), *_frame_number(attributes, index))
        made = (*_lines(frame, _MADE), *_window(of_frame(attributes, index), chosen))
        found.append(Caption(TECHNIQUE, "top right", (*_lines(attributes, _PLACE), *_when(attributes))))
        found.append(Caption(TECHNIQUE, "bottom left", numbered))
        found.append(Caption(TECHNIQUE, "bottom right", made))
    return [caption for caption in found if caption.lines]


def _patient(attributes: Attributes) -> Iterator[str]:
    """Of the instance itself: what a functional group says cannot make it another patient's."""
    yield from _names(attributes)
    number, issuer = _said(attributes, "00100020"), _said(attributes, "00100021")
    if number:
        yield f"ID {shown_id(number)}" + (f" ({issuer})" if issuer else "")
    born, sex = _date(_said(attributes, "00100030")), _said(attributes, "00100040")
    age = _said(attributes, "00101010").lstrip("0")
    line = GAP.join(part for part in (born and f"DOB {born}", sex, age) if part)
    if line:
        yield line


def _names(attributes: Attributes) -> Iterator[str]:
    """汉字 first, then Latin; the third way to write a name only where it is the only one."""
    found = _json.values(attributes, "00100010")
    groups = found[0] if found and isinstance(found[0], dict) else {}
    names = [_name(str(groups.get(g) or "")[:VALUE_CHARACTERS_MAX]) for g in ("Ideographic", "Alphabetic")]
    names = [name for name in names if name] or [
        _name(str(groups.get("Phonetic") or "")[:VALUE_CHARACTERS_MAX])
    ]
    yield from (name for name in names if name)


def _name(group: str) -> str:
    """A component group: the family name is the first (PS3.5 6.2.1.1)."""
    family, *others = (part.strip() for part in group.split("^"))
    rest = [part for part in others if part]
    if family and all(map(is_han, family)):
        return "".join((family, *rest))
    return ", ".join(part for part in (family, " ".join(rest)) if part)


def _lines(attributes: Attributes, table: tuple[Any, ...]) -> Iterator[str]:
    for row in table:
        values = ((form, next(filter(None, (_said(attributes, t) for t in tags)), "")) for form, *tags in row)
        line = GAP.join(form.format(value) for form, value in values if value)
        if line:
            yield line


def _when(attributes: Attributes) -> Iterator[str]:
    day, clock = _date(_said(attributes, "00080020")), _TIME.fullmatch(_said(attributes, "00080030"))
    if day:
        yield day + (f" {':'.join(part for part in clock.groups()[:3] if part)}" if clock else "")


def _frame_number(attributes: Attributes, index: int) -> Iterator[str]:
    count = _json.integer(attributes, "00280008") or 1
    if count > 1:
        yield f"Fr {index + 1}/{count}"


def _window(frame: Attributes, chosen: Window | None) -> Iterator[str]:
    """The one that is shown; none where a table or the frame's own extent is."""
    if not _json.text(frame, "00280004").startswith("MONOCHROME"):
        return
    found = chosen or (None if "00283010" in frame else window_of(frame))
    if found:
        yield f"WW\u00a0{_number(found.width)}{GAP}WL\u00a0{_number(found.center)}"


def _said(attributes: Attributes, tag: str) -> str:
    """The first value as text, "" where there is none."""
    found = next(iter(_json.values(attributes, tag)), None)
    if isinstance(found, (int, float)):
        return _number(found)
    return found.strip()[:VALUE_CHARACTERS_MAX] if isinstance(found, str) else ""


def _number(value: float) -> str:
    return f"{round(value, 2):.10g}"


def _date(text: str) -> str:
    found = _DATE.fullmatch(text)
    return "-".join(found.groups()) if found else text
