"""Rows of the index as the DICOM JSON model (PS3.18 F.2), by the attribute table."""

from __future__ import annotations

from datetime import date, time
from typing import Any

from pacs.attributes import Attribute, Level, at
from pacs.names import pn_json
from pacs.values import da_text, tm_text
from storage.search import Found

Json = dict[str, Any]
# Columns whose names differ in the joined row.
_STUDY_NAMES = {"description": "study_description", "instance_count": "study_instance_count"}
_SERIES_NAMES = {"description": "series_description"}


def study_attributes(row: Found, root: str) -> Json:
    """PS3.18 table 10.6.3-3."""
    item = _attributes(row, (Level.PATIENT, Level.STUDY), _STUDY_NAMES)
    item["00080056"] = {"vr": "CS", "Value": ["ONLINE"]}
    item["00081190"] = {"vr": "UR", "Value": [f"{root}/studies/{row.study_uid}"]}
    return dict(sorted(item.items()))


def series_attributes(row: Found, root: str) -> Json:
    """PS3.18 table 10.6.3-4, with the study it is in."""
    item = study_attributes(row, root)
    item |= _attributes(row, (Level.SERIES,), _SERIES_NAMES)
    item["00081190"] = {"vr": "UR", "Value": [f"{root}/studies/{row.study_uid}/series/{row.series_uid}"]}
    return dict(sorted(item.items()))


def _attributes(row: Found, levels: tuple[Level, ...], names: dict[str, str]) -> Json:
    item: Json = {}
    for attribute in at(*levels):
        if attribute.column is not None:
            value = getattr(row, names.get(attribute.column, attribute.column))
            item[attribute.tag] = _element(attribute, value)
    return item


def _element(attribute: Attribute, value: Any) -> Json:
    many = value if isinstance(value, list) else [value]
    encoded = [_value(attribute, v) for v in many if v is not None and v != ""]
    return {"vr": attribute.vr, "Value": encoded} if encoded else {"vr": attribute.vr}


def _value(attribute: Attribute, value: Any) -> Any:
    if isinstance(value, time):
        return tm_text(value)
    if isinstance(value, date):
        return da_text(value)
    return pn_json(value) if attribute.vr == "PN" else value
