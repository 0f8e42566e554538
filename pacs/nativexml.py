"""The Native DICOM Model (PS3.19 A.1): DICOM JSON (PS3.18 Annex F) written as XML."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from pacs.encoded.dictionary import creator_tag, is_creator, is_private, keyword_of
from pacs.names import GROUPS
from pacs.values import Json, text

NAMESPACE = "http://dicom.nema.org/PS3.19/models/NativeDICOM"
HEAD = (
    f'<?xml version="1.0" encoding="UTF-8"?>\n<NativeDicomModel xmlns="{NAMESPACE}" xml:space="preserve">\n'
)
TAIL = "</NativeDicomModel>\n"
COMPONENTS = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")
# What no XML 1.0 document may hold; it has no way to write them.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_xml(dataset: Json) -> bytes:
    """One data set as a document in UTF-8. Characters that XML cannot hold become U+FFFD."""
    return "".join((HEAD, *_attributes(dataset), TAIL)).encode()


def _attributes(dataset: Json) -> Iterator[str]:
    for tag, element in sorted(dataset.items()):
        named = "".join(f" {name}={_quoted(value)}" for name, value in _names(dataset, tag) if value)
        yield f'<DicomAttribute tag="{tag}" vr="{element["vr"]}"{named}>'
        yield from _content(element)
        yield "</DicomAttribute>\n"


def _names(dataset: Json, tag: str) -> Iterator[tuple[str, str]]:
    number = int(tag, 16)
    creator = creator_tag(number) if is_private(number) and not is_creator(number) else None
    yield "keyword", keyword_of(number)
    yield "privateCreator", text(dataset, f"{creator:08X}") if creator else ""


def _content(element: Json) -> Iterator[str]:
    if "BulkDataURI" in element:
        yield f"<BulkData uri={_quoted(element['BulkDataURI'])}/>"
    elif "InlineBinary" in element:
        yield f"<InlineBinary>{element['InlineBinary']}</InlineBinary>"
    else:
        write: Callable[[int, Any], Iterator[str]] = {"SQ": _item, "PN": _name}.get(element["vr"], _value)
        for number, value in enumerate(element.get("Value") or (), 1):
            if value is not None:
                yield from write(number, value)


def _item(number: int, value: Json) -> Iterator[str]:
    yield f'<Item number="{number}">\n'
    yield from _attributes(value)
    yield "</Item>\n"


def _name(number: int, value: dict[str, str]) -> Iterator[str]:
    yield f'<PersonName number="{number}">'
    for group in (g for g in GROUPS if value.get(g)):
        parts = zip(COMPONENTS, value[group].split("^", len(COMPONENTS) - 1), strict=False)
        written = "".join(f"<{name}>{_escaped(part)}</{name}>" for name, part in parts if part)
        yield f"<{group}>{written}</{group}>"
    yield "</PersonName>"


def _value(number: int, value: Any) -> Iterator[str]:
    yield f'<Value number="{number}">{_escaped(str(value))}</Value>'


def _escaped(value: str) -> str:
    return escape(_FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", value))


def _quoted(value: str) -> str:
    return quoteattr(_FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", value))
