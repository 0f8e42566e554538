"""From an identifier in the DICOM JSON model to a Query: what DIMSE and DICOMweb both go through."""

from __future__ import annotations

from pacs.attributes import BY_KEYWORD, BY_TAG, Attribute, Level, above
from pacs.errors import BadQuery
from pacs.matching import CONTROLS, texts
from pacs.query import Equal, Match, Query, match
from pacs.values import Json

# Told by the archive of itself, hence not matched: retrieve AE title, availability, retrieve URLs.
TOLD = frozenset({"00080054", "00080056", "00081190"})


def query_of(identifier: Json, level: Level, *, combined: bool = False, strict: bool = False) -> Query:
    """The Query that an identifier is at a level; raises BadQuery for keys that cannot be read, and where it is
    `strict` also for keys of lower levels, which otherwise are not matched (PS3.4 C.4.1.1.3)."""
    matches: list[Match] = []
    rest: Json = {}
    for tag, element in identifier.items():
        if tag in CONTROLS or tag in TOLD:
            continue
        known = _at_level(BY_TAG.get(tag), level)
        if known is not None and known.column is not None and _in_sql(known):
            found, several = _match(known, texts(element))
            matches += [found] if found is not None else []
            rest |= {tag: element} if several else {}
        elif known is not None or level is Level.IMAGE:
            rest[tag] = element
            if known is not None and known.keyword == "SOPInstanceUID":
                found, _ = _match(known, texts(element))
                matches += [found] if isinstance(found, Equal) else []
        elif strict and (texts(element) or element.get("vr") == "SQ"):
            raise BadQuery(f"({tag[:4]},{tag[4:]}) cannot be matched at the {level.lower()} level")
    return Query(level, tuple(matches), rest=rest, combined=combined)


def _in_sql(attribute: Attribute) -> bool:
    """Names are compared without case and accents, for which the index has words of the patient's name alone; and
    items of sequences by their attributes."""
    return attribute.vr not in ("PN", "SQ") or attribute.keyword == "PatientName"


def needs_metadata(identifier: Json, level: Level) -> bool:
    """Whether something is asked for, or matched, at this level that the index does not hold."""
    asked = (_at_level(BY_TAG.get(tag), level) for tag in identifier)
    return any(a is not None and a.column is None and not a.computed for a in asked)


def _at_level(attribute: Attribute | None, level: Level) -> Attribute | None:
    """The attribute, if it may be asked for at this level. Modality of a study is any of its series'."""
    if attribute is None or attribute.level in above(level):
        return attribute
    return (
        BY_KEYWORD["ModalitiesInStudy"] if attribute.keyword == "Modality" and level is Level.STUDY else None
    )


def _match(attribute: Attribute, values: list[str]) -> tuple[Match | None, bool]:
    """The match, and whether it is for the metadata: wildcards or ranges among several values are not worth SQL."""
    if attribute.vr == "UI":
        return match(attribute, "\\".join(values)), False
    found = [match(attribute, value) for value in values]
    if not found or None in found:
        return None, False
    if len(found) == 1:
        return found[0], False
    equal = [m for m in found if isinstance(m, Equal)]
    if len(equal) < len(found):
        return None, True
    return Equal(attribute, tuple(v for m in equal for v in m.any_of)), False
