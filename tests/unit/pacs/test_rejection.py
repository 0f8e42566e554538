"""Rejection Notes: what is written is read, and what cannot be followed is refused."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

import pytest
from pydicom import dcmread

from pacs.encoded import part10_header, read_instance
from pacs.errors import BadAttributes
from pacs.rejection import KEY_OBJECT_SELECTION, NAMED_MAX, TITLES, Note, Reference, read_note, write_note

CT, EXPLICIT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"
COMMON: dict[str, Any] = {
    "0020000D": {"vr": "UI", "Value": ["1.2.1"]},
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Wang^XiaoMing", "Ideographic": "王^小明"}]},
    "00100020": {"vr": "LO", "Value": ["P1"]},
}
REFERENCES = [Reference("1.2.1.1", CT, "1.2.1.1.1", True), Reference("1.2.1.2", CT, "1.2.1.2.1", False)]


def attributes(code: str = "113001", reason: str = "") -> tuple[str, bytes, Any]:
    uid, data = write_note(COMMON, REFERENCES, code, reason, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    whole = part10_header(KEY_OBJECT_SELECTION, uid, EXPLICIT, source_ae="") + data
    return uid, whole, read_instance(whole).attributes


@pytest.mark.parametrize("code", TITLES)
@pytest.mark.parametrize("reason", ["", "wrong side 左右"])
def test_what_is_written_is_read(code: str, reason: str) -> None:
    uid, _, a = attributes(code, reason)
    named = frozenset({("1.2.1", "1.2.1.1.1"), ("1.2.1", "1.2.1.2.1")})
    assert read_note(KEY_OBJECT_SELECTION, uid, a) == Note(
        uid, code, reason, "P1", "Wang^XiaoMing=王^小明", named
    )


def test_pydicom_reads_it() -> None:
    dataset = dcmread(io.BytesIO(attributes(reason="why")[1]))
    assert (dataset.ValueType, dataset.Modality, str(dataset.PatientID)) == ("CONTAINER", "KO", "P1")
    assert [item.ValueType for item in dataset.ContentSequence] == ["TEXT", "IMAGE", "COMPOSITE"]
    assert dataset.ContentTemplateSequence[0].TemplateIdentifier == "2010"


def test_others_are_none() -> None:
    _, _, a = attributes()
    assert read_note(CT, "1.2.3", a) is None
    other = {**a, "0040A043": {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": ["113000"]}}]}}
    assert read_note(KEY_OBJECT_SELECTION, "1.2.3", other) is None
    assert read_note(KEY_OBJECT_SELECTION, "1.2.3", {**a, "0040A043": {"vr": "SQ"}}) is None


def evidence(uids: list[str]) -> Any:
    some = [{"00081155": {"vr": "UI", "Value": [uid]}} for uid in uids]
    series = {"00081199": {"vr": "SQ", "Value": some}}
    study = {"0020000D": {"vr": "UI", "Value": ["1.2.1"]}, "00081115": {"vr": "SQ", "Value": [series]}}
    return {"vr": "SQ", "Value": [study]}


@pytest.mark.parametrize(
    ("uids", "said"),
    [
        ([], "names no instance"),
        (["../1.2"], "no UID"),
        ([""], "no UID"),
        ([f"1.2.{n}" for n in range(100_000)], f"more than {NAMED_MAX} instances"),
    ],
    ids=["none", "a path", "empty", "100,000"],
)
def test_what_cannot_be_followed(uids: list[str], said: str) -> None:
    _, _, a = attributes()
    with pytest.raises(BadAttributes, match=said):
        read_note(KEY_OBJECT_SELECTION, "1.2.3", {**a, "0040A375": evidence(uids)})
