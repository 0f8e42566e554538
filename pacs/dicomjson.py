"""DICOM JSON as it comes in (PS3.18 Annex F), read within limits. What values may be: `pacs.encoded.compose`."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from pacs.encoded import EncodedError
from pacs.values import Json

NODES_MAX = (
    1_000_000  # of a document: Python makes a hundred bytes and more of each, which may be two characters
)
TWICE = "twice"  # a member that no data set has, in the place of one whose name came twice


def from_json(document: bytes) -> list[Json]:
    """The data sets: an array of them, or one alone. Raises EncodedError, which says why, for what is no such JSON."""
    if nodes(document) > NODES_MAX:
        raise EncodedError(f"the metadata have more than {NODES_MAX} members and values")
    try:
        read = json.loads(
            document.decode("utf-8-sig"), object_pairs_hook=_object, parse_constant=_no_constant
        )
    except RecursionError:
        raise EncodedError("the metadata are nested too deeply") from None
    except ValueError:
        raise EncodedError("the metadata are no JSON in UTF-8") from None
    datasets = read if isinstance(read, list) else [read]
    if not all(isinstance(dataset, dict) for dataset in datasets):
        raise EncodedError("the metadata are no array of data sets")
    return datasets


def nodes(document: bytes | bytearray) -> int:
    """How many members and values it has at most."""
    return sum(document.count(mark) for mark in (b",", b"[", b"{"))


def _object(pairs: list[tuple[str, Any]]) -> Json:
    """One whose name comes twice would hide a value; of RFC 8259 4 readers may make what they like."""
    found = dict(pairs)
    return found if len(found) == len(pairs) else found | {TWICE: True}


def _no_constant(_name: str) -> NoReturn:
    raise ValueError("NaN and infinities are no JSON (RFC 8259 6)")
