"""What schemathesis cannot know from the description: what is there, and how parts are framed. It loads this module by
its name; what is there comes as JSON in KNOWN."""

from __future__ import annotations

import json
import os
from typing import Any

import schemathesis

from pacs.attributes import BY_KEYWORD

KNOWN: dict[str, str] = json.loads(os.environ.get("KNOWN", "{}"))
OF_WADO_URI = {"studyUID": "study_uid", "seriesUID": "series_uid", "objectUID": "sop_instance"}
FRONTIER = b"frontier"


@schemathesis.hook
def before_load_schema(_context: Any, schema: dict[str, Any]) -> None:
    """Of the attributes that searches match one of each VR: each costs a dozen requests."""
    for operations in schema["paths"].values():
        for parameter in operations.get("get", {}).get("parameters", ()):
            if parameter["name"] == "matching":
                known = parameter["schema"]["properties"]
                one = {BY_KEYWORD[name].vr: name for name in reversed(known)}
                parameter["schema"]["properties"] = {name: known[name] for name in one.values()}


@schemathesis.hook
def map_path_parameters(_context: Any, given: dict[str, Any] | None) -> dict[str, Any] | None:
    """Half of the time what is there."""
    if given and KNOWN.keys() >= given.keys() and _chosen(given):
        return {name: KNOWN[name] for name in given}
    return given


@schemathesis.hook
def map_query(_context: Any, given: dict[str, Any] | None) -> dict[str, Any] | None:
    if given and OF_WADO_URI.keys() <= given.keys() and _chosen(given):
        return given | {name: KNOWN[known] for name, known in OF_WADO_URI.items()}
    return given


def _chosen(given: dict[str, Any]) -> bool:
    return len(str(given)) % 2 == 0


@schemathesis.serializer("application/dicom")
def one_file(_context: Any, value: Any) -> bytes:
    return _part_10(value)


@schemathesis.serializer("application/dicom+xml")
def xml(_context: Any, value: Any) -> bytes:
    return b"<NativeDicomModel>" + _octets(value) + b"</NativeDicomModel>"


@schemathesis.serializer("multipart/related")
def parts(_context: Any, value: Any) -> bytes:
    head = b"--" + FRONTIER + b"\r\nContent-Type: application/dicom\r\n\r\n"
    return head + _part_10(value) + b"\r\n" + head + _octets(value) + b"\r\n--" + FRONTIER + b"--\r\n"


def _part_10(value: Any) -> bytes:
    """Whatever it is, behind the preamble of a file."""
    return bytes(128) + b"DICM" + _octets(value)


def _octets(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: dict[str, Any]) -> None:
    if case.media_type == "multipart/related":
        kind = f'multipart/related; type="application/dicom"; boundary={FRONTIER.decode()}'
        case.headers["Content-Type"] = kind
