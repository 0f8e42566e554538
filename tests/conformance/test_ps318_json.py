"""PS3.18 Annex F: the DICOM JSON model, of an instance with values of every kind."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.support.ps318 import OCTETS, Held


def told(held: Held, path: str = "") -> Any:
    (one,) = held.get((path or held.odd.path) + "/metadata").json()
    return one


@pytest.mark.clause("F.2.2")
def test_structure(held: Held) -> None:
    """Ordered tags in capitals, also within items; at most one of the members that hold a value."""
    one = told(held)
    pairs = json.loads(held.get(held.odd.path + "/metadata").content, object_pairs_hook=list)[0]
    tags = [tag for tag, _ in pairs]
    assert tags == sorted(tags) == [tag.upper() for tag in tags]
    assert not [tag for tag in tags if tag.endswith("0000") or tag.startswith("0002")]
    for element in one.values():
        assert element.keys() <= {"vr", "Value", "InlineBinary", "BulkDataURI"}
        assert len(element) <= 2
    assert one["00080050"] == {"vr": "SH"}, "an empty element"
    empty, item = one["00082112"]["Value"]
    assert (empty, item) == ({}, {"00081155": {"vr": "UI", "Value": ["1.2.3"]}})
    assert one["00090010"] == {"vr": "LO", "Value": ["OURS"]}


@pytest.mark.clause("F.2.3")
def test_types(held: Held) -> None:
    one = told(held)
    wanted = {
        "00280010": ("US", 512), "00186020": ("SL", -70000), "00720076": ("FL", 0.25), "00720074": ("FD", 0.5),
        "00200013": ("IS", 318), "00101030": ("DS", 70.5), "00280009": ("AT", "00181063"),
        "00100020": ("LO", held.patient),
    }  # fmt: skip
    for tag, (vr, value) in wanted.items():
        assert (one[tag]["vr"], one[tag]["Value"][0], type(one[tag]["Value"][0])) == (
            vr,
            value,
            type(value),
        ), tag
    assert one["00100010"] == {
        "vr": "PN", "Value": [{"Alphabetic": "Müller^Jürgen", "Ideographic": "欧阳^娜娜"}],
    }  # fmt: skip


@pytest.mark.clause("F.2.4")
def test_several_values(held: Held) -> None:
    assert told(held)["00720074"] == {"vr": "FD", "Value": [0.5, -2.0]}
    position = told(held, held.ct.path)["00200037"]
    assert position == {"vr": "DS", "Value": [1, 0, 0, 0, 1, 0]}


@pytest.mark.clause("F.2.5")
def test_an_empty_value_among_others(held: Held) -> None:
    assert told(held)["00080008"] == {"vr": "CS", "Value": ["ORIGINAL", None, "AXIAL"]}


@pytest.mark.clause("F.2.6")
def test_bulk_data(held: Held) -> None:
    element = told(held)["00660016"]
    assert element["vr"] == "OF"
    answer = held.get(element["BulkDataURI"], OCTETS)
    assert (answer.status_code, answer.content) == (200, held.odd.sent[0x00660016].value)


@pytest.mark.clause("F.2.7")
def test_inline_binary(held: Held) -> None:
    element = told(held)["00091001"]
    assert element == {"vr": "OB", "InlineBinary": base64.b64encode(b"\x00\x01\xfe\xff").decode()}
