"""What each field of a device may hold."""

from __future__ import annotations

from typing import Any

import pytest

from pacs.errors import SettingError
from storage.devices import ROLES, RegisteredDevice, checked

FINGERPRINT = "ab" * 32


def device(**changes: Any) -> RegisteredDevice:
    return checked(
        RegisteredDevice(**({"facility": "LOCAL", "ae_title": "CT1", "address": "10.0.0.1"} | changes))
    )


@pytest.mark.parametrize(
    ("field", "given", "kept"),
    [
        ("ae_title", " CT 1 ", "CT 1"),
        ("address", "10.1.2.3", "10.1.2.3/32"),
        ("address", "10.1.2.3/16", "10.1.0.0/16"),
        ("address", "FD00::1", "fd00::1/128"),
        ("roles", ("query", "store", "query"), ("store", "query")),
        ("roles", (), ()),
        ("charset", "GB18030", "GB18030"),
        ("charset", "\\ISO 2022 IR 149", "\\ISO 2022 IR 149"),
        ("charset", "GBK", "GBK"),
        (
            "syntaxes",
            ("JPEG2000Lossless", "1.2.840.10008.1.2.1"),
            ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.1"),
        ),
        ("syntaxes", ("1.2.840.113619.5.2",), ("1.2.840.113619.5.2",)),
        ("certificate", FINGERPRINT.upper(), FINGERPRINT),
        ("certificate", "sha256 Fingerprint=" + ":".join(["AB"] * 32), FINGERPRINT),
        ("certificate", "", ""),
        ("associations_max", None, None),
        ("associations_max", 3, 3),
    ],
)
def test_what_is_kept(field: str, given: Any, kept: Any) -> None:
    assert getattr(device(**{field: given}), field) == kept


@pytest.mark.parametrize(
    ("field", "given", "said"),
    [
        ("ae_title", "", "AE title"),
        ("ae_title", "A" * 17, "AE title"),
        ("ae_title", "A\\B", "AE title"),
        ("ae_title", "A\nB", "AE title"),
        ("ae_title", "医院", "AE title"),
        ("address", "hospital", "IP address"),
        ("address", "10.1.2.300", "IP address"),
        ("address", "", "IP address"),
        ("description", "x" * 201, "200 characters"),
        ("description", "two\nlines", "one line"),
        ("description", "a\0b", "one line"),
        ("roles", ("store", "erase"), "erase"),
        ("charset", "KLINGON", "KLINGON"),
        ("charset", "\\".join(["GB18030"] * 9), "8 terms"),
        ("syntaxes", ("JPEG2001",), "JPEG2001"),
        ("syntaxes", ("1.2.840.10008.1.1",), "transfer syntax"),
        ("certificate", "abcdef", "SHA-256"),
        ("certificate", "zz" * 32, "SHA-256"),
        ("associations_max", 0, "associations"),
        ("associations_max", 10_001, "associations"),
    ],
)
def test_what_is_refused(field: str, given: Any, said: str) -> None:
    with pytest.raises(SettingError, match=said):
        device(**{field: given})


def test_a_copy_on_the_disk_is_read_as_it_was() -> None:
    one = device(roles=("query",), syntaxes=("1.2.840.10008.1.2.1",), emergency=True)
    assert RegisteredDevice.from_json(one.to_json()) == one


def test_a_copy_of_before_there_were_roles() -> None:
    assert RegisteredDevice.from_json({"facility": "A", "ae_title": "B", "address": "::1"}).roles == ROLES
