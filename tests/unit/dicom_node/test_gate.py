"""The gate: who may call, from where, and whose their images are."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dicom_node.gate import CALLED_NOT_RECOGNISED, CALLING_NOT_RECOGNISED, Gate
from pacs.settings import Settings
from storage.archive import Archive

DEVICES = [
    {"facility": "NORTH", "ae_title": "CT1", "address": "10.1.2.3/32"},
    {"facility": "SOUTH", "ae_title": "CT1", "address": "10.2.0.0/16"},
    {"facility": "WEST", "ae_title": "MR1", "address": "fd00::/8"},
    {"facility": "EAST", "ae_title": "HERE", "address": "127.0.0.0/8"},
    {"facility": "CERT", "ae_title": "CT9", "address": "10.9.0.1/32", "certificate": "aa"},
    {"facility": "OPEN", "ae_title": "CT9", "address": "10.9.0.0/16"},
    {"facility": "TELE", "ae_title": "CT9", "address": "10.8.0.0/16", "certificate": "bb"},
]


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    """A gate that knows its devices from the copy on the disk: there is no database."""
    (tmp_path / "devices.json").write_text(json.dumps(DEVICES))
    archive: Any = SimpleNamespace(settings=Settings(data=tmp_path))
    return Gate(cast(Archive, archive))


@pytest.mark.parametrize(
    ("peer", "calling", "facility"),
    [
        ("10.1.2.3", "CT1", "NORTH"),
        ("10.2.200.7", "CT1", "SOUTH"),
        ("::ffff:10.2.200.7", "CT1", "SOUTH"),
        ("fd00::17", "MR1", "WEST"),
        ("127.0.0.1", "ANYTHING", "LOCAL"),
        ("127.8.7.6", "ANYTHING", "LOCAL"),
        ("::1", "ANYTHING", "LOCAL"),
        ("::ffff:127.0.0.1", "ANYTHING", "LOCAL"),
        ("127.0.0.1", "HERE", "EAST"),
    ],
)
def test_who_is_let_in(gate: Gate, peer: str, calling: str, facility: str) -> None:
    assert gate.admit(peer=peer, calling=calling, called="TONGYING").facility == facility


@pytest.mark.parametrize(
    ("peer", "calling"),
    [
        ("10.1.2.4", "CT1"),
        ("10.3.0.1", "CT1"),
        ("10.1.2.3", "CT2"),
        ("10.1.2.3", "ct1"),
        ("10.1.2.3", ""),
        ("192.0.2.1", "ANYTHING"),
        ("2001:db8::1", "MR1"),
        ("fe80::1%eth0", "MR1"),
        ("0.0.0.0", "CT1"),
    ],
)
def test_who_is_not(gate: Gate, peer: str, calling: str) -> None:
    """PS3.8 9.3.4: reason 3, calling AE title not recognized."""
    verdict = gate.admit(peer=peer, calling=calling, called="TONGYING")
    assert (verdict.facility, verdict.diagnostic) == (None, CALLING_NOT_RECOGNISED)


@pytest.mark.parametrize(
    ("peer", "certificate", "facility"),
    [
        ("10.9.0.1", "aa", "CERT"),
        ("10.9.0.1", "", None),  # never let in by the wider network that asks for none
        ("10.9.0.1", "cc", None),
        ("10.9.0.2", "", "OPEN"),
        ("10.9.0.2", "cc", "OPEN"),  # one more certificate than is needed
        ("192.0.2.1", "bb", "TELE"),
        ("10.9.0.2", "bb", "TELE"),
        ("192.0.2.1", "cc", None),
        ("127.0.0.1", "aa", "CERT"),
        ("127.0.0.1", "", "LOCAL"),
    ],
)
def test_certificates(gate: Gate, peer: str, certificate: str, facility: str | None) -> None:
    verdict = gate.admit(peer=peer, calling="CT9", called="TONGYING", certificate=certificate)
    assert verdict.facility == facility


def test_another_called_title(gate: Gate) -> None:
    """PS3.8 9.3.4: reason 7, called AE title not recognized."""
    verdict = gate.admit(peer="10.1.2.3", calling="CT1", called="TONGYING2")
    assert (verdict.facility, verdict.diagnostic) == (None, CALLED_NOT_RECOGNISED)


@pytest.mark.parametrize("content", ["", "{", "[1]", "null", '[{"ae_title": 1}]'])
def test_a_damaged_copy_is_no_reason_not_to_start(tmp_path: Path, content: str) -> None:
    """Its truth is in the database; a node that does not start takes nothing at all."""
    (tmp_path / "devices.json").write_text(content)
    archive: Any = SimpleNamespace(settings=Settings(data=tmp_path))
    damaged = Gate(cast(Archive, archive))
    assert damaged.admit(peer="127.0.0.1", calling="X", called="TONGYING").facility == "LOCAL"
    assert damaged.admit(peer="10.1.2.3", calling="CT1", called="TONGYING").facility is None


def test_what_another_process_found_holds_for_the_next_caller(gate: Gate, tmp_path: Path) -> None:
    assert gate.admit(peer="10.1.2.3", calling="CT1", called="TONGYING").facility == "NORTH"
    (tmp_path / "new").write_text(json.dumps([{**DEVICES[0], "facility": "MOVED"}]))
    (tmp_path / "new").rename(tmp_path / "devices.json")
    assert gate.admit(peer="10.1.2.3", calling="CT1", called="TONGYING").facility == "MOVED"
