"""The Native DICOM Model (PS3.19 A.1): DICOM JSON (PS3.18 Annex F) as XML, written and read."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET  # without document types it knows no entities: `from_xml` refuses them
from collections.abc import Callable, Iterator
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from pacs.encoded import EncodedError
from pacs.encoded.dictionary import creator_tag, is_creator, is_private, keyword_of
from pacs.errors import BadAttributes
from pacs.names import GROUPS
from pacs.values import Json, text

NAMESPACE = "http://dicom.nema.org/PS3.19/models/NativeDICOM"
HEAD = (
    f'<?xml version="1.0" encoding="UTF-8"?>\n<NativeDicomModel xmlns="{NAMESPACE}" xml:space="preserve">\n'
)
TAIL = "</NativeDicomModel>\n"
NODES_MAX = 1_000_000  # of a document: tags, or XML attributes, each of which takes a hundred bytes and more
LEVELS_MAX = 32  # of sequences in sequences
GAPS_MAX = 100  # values of one attribute that are left out between others
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
    written = _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", value)
    return escape(written, {"\r": "&#13;"})  # which readers would make a line feed (XML 1.0, 2.11)


def _quoted(value: str) -> str:
    return quoteattr(_FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", value))


def from_xml(document: bytes) -> Json:
    """One data set as DICOM JSON; all values are text. The document is in UTF-8 and has no document type, and so no
    entities. Raises EncodedError for what is no such document, BadAttributes where an attribute is wrong."""
    if b"\0" in document or not _is_utf_8(document):  # expat believes a byte order mark more than us
        raise EncodedError("the metadata are no XML in UTF-8")
    if b"<!DOCTYPE" in document:
        raise EncodedError("the metadata have a document type, which might define entities")
    if nodes(document) > NODES_MAX:
        raise EncodedError(f"the metadata have more than {NODES_MAX} elements or XML attributes")
    try:
        root = ET.fromstring(document, ET.XMLParser(encoding="utf-8"))  # noqa: S314 - see the import
    except (ET.ParseError, ValueError):
        raise EncodedError("the metadata are no XML in UTF-8") from None
    if _kind(root) != "NativeDicomModel":
        raise EncodedError("the metadata are no Native DICOM Model")
    return _data_set(root, 0)


def nodes(document: bytes | bytearray) -> int:
    """How many tags or XML attributes it has at most, whichever are more."""
    return max(document.count(b"<"), document.count(b"="))


def _is_utf_8(document: bytes) -> bool:
    try:
        document.decode()
    except UnicodeDecodeError:
        return False
    return True


def _kind(node: ET.Element) -> str:
    """The name of an element of the model; also of one that names no namespace."""
    return node.tag.removeprefix(f"{{{NAMESPACE}}}")


def _data_set(parent: ET.Element, level: int) -> Json:
    if level > LEVELS_MAX:
        raise BadAttributes(f"more than {LEVELS_MAX} sequences in each other")
    found: Json = {}
    blocks: list[tuple[str, str, Json]] = []  # private attributes that name their creator
    for node in parent:
        tag = node.get("tag", "").upper()
        if _kind(node) != "DicomAttribute" or not re.fullmatch("[0-9A-F]{8}", tag):
            raise BadAttributes("an element that is no DicomAttribute with a tag")
        if creator := node.get("privateCreator", ""):
            blocks.append((tag, creator, _read(node, tag, level)))
        else:
            _put(found, tag, _read(node, tag, level))
    for tag, creator, element in blocks:
        _put(found, _in_block(found, tag, creator), element)
    return found


def _put(found: Json, tag: str, element: Json) -> None:
    if tag in found:
        raise BadAttributes(f"{tag}: it comes twice")
    found[tag] = element


def _in_block(found: Json, tag: str, creator: str) -> str:
    """The tag within the block that its creator has, or is given here (PS3.5 7.8.1)."""
    group, block = tag[:4], tag[4:6]
    if not is_private(int(tag, 16)):
        raise BadAttributes(f"{tag}: a creator of what is not private")
    if block == "00":
        block = next(
            (b for b in _BLOCKS if text(found, f"{group}00{b}") == creator.strip()),
            next((b for b in _BLOCKS if f"{group}00{b}" not in found), ""),
        )
    found.setdefault(f"{group}00{block}", {"vr": "LO", "Value": [creator]})
    if not block or text(found, f"{group}00{block}") != creator.strip():
        raise BadAttributes(f"{tag}: its block belongs to another creator")
    return f"{group}{block}{tag[6:]}"


_BLOCKS = tuple(f"{number:02X}" for number in range(0x10, 0x100))


def _read(node: ET.Element, tag: str, level: int) -> Json:
    element: Json = {"vr": node.get("vr")} if node.get("vr") else {}
    kinds = {_kind(child) for child in node}
    if len(kinds) > 1 or (kinds & {"InlineBinary", "BulkData"} and len(node) > 1):
        raise BadAttributes(f"{tag}: more than one kind of value")
    for kind in kinds:
        if kind == "InlineBinary":
            return element | {kind: node[0].text or ""}
        if kind == "BulkData":
            return element | {"BulkDataURI": node[0].get("uri") or node[0].get("uuid") or ""}
        return element | {"Value": _numbered(node, tag, _reader(kind, tag, level))}
    return element


def _reader(kind: str, tag: str, level: int) -> Callable[[ET.Element], Any]:
    if kind == "Item":
        return lambda child: _data_set(child, level + 1)
    if kind == "PersonName":
        return _read_name
    if kind == "Value":
        return lambda child: child.text or ""
    raise BadAttributes(f"{tag}: a value of an unknown kind")


def _numbered(node: ET.Element, tag: str, read: Callable[[ET.Element], Any]) -> list[Any]:
    """Values in the places that their numbers say; those left out are empty."""
    places: dict[int, Any] = {}
    for place, child in enumerate(node, 1):
        number = child.get("number") or str(place)
        if not re.fullmatch("[0-9]{1,7}", number) or not 0 < int(number) <= len(node) + GAPS_MAX:
            raise BadAttributes(f"{tag}: a value whose number cannot be")
        if int(number) in places:
            raise BadAttributes(f"{tag}: two values of one number")
        places[int(number)] = read(child)
    return [places.get(number) for number in range(1, max(places) + 1)]


def _read_name(node: ET.Element) -> dict[str, str]:
    groups = {}
    for group in node:
        parts = {_kind(part): part.text or "" for part in group}
        if _kind(group) not in GROUPS or not parts.keys() <= set(COMPONENTS):
            raise BadAttributes("a name with unknown parts")
        groups[_kind(group)] = "^".join(parts.get(name, "") for name in COMPONENTS).rstrip("^")
    return groups
