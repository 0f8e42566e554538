"""One-time codes: the vectors of RFC 6238, appendix B, and RFC 4226, appendix D."""

from __future__ import annotations

import base64
from urllib.parse import parse_qs, urlsplit

import pytest

from pacs import totp

SECRET = b"12345678901234567890"


@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (59, "94287082"), (1111111109, "07081804"), (1111111111, "14050471"), (1234567890, "89005924"),
        (2000000000, "69279037"), (20000000000, "65353130"),
    ],
)  # fmt: skip
def test_the_vectors_of_rfc_6238(seconds: int, code: str) -> None:
    assert totp.code(SECRET, seconds // totp.STEP_SECONDS, digits=8) == code
    assert totp.step_of(SECRET, code[2:], now=seconds) == seconds // totp.STEP_SECONDS


def test_the_vectors_of_rfc_4226() -> None:
    codes = [
        "755224",
        "287082",
        "359152",
        "969429",
        "338314",
        "254676",
        "287922",
        "162583",
        "399871",
        "520489",
    ]
    assert [totp.code(SECRET, n) for n in range(10)] == codes


@pytest.mark.parametrize("off", [-61, -31, 31, 61])
def test_a_clock_may_be_wrong_by_a_step(off: int) -> None:
    code = totp.code(SECRET, 1_000_000)
    middle = 1_000_000 * totp.STEP_SECONDS + totp.STEP_SECONDS // 2
    found = totp.step_of(SECRET, code, now=middle + off)
    assert found == (1_000_000 if abs(off) < 45 else None)


@pytest.mark.parametrize("wrong", ["", "1", "abcdef", "九四二八七〇", "1" * 1000, "287082\0"])
def test_what_is_no_code(wrong: str) -> None:
    assert totp.step_of(SECRET, wrong, now=59) is None


def test_the_uri_has_the_secret_and_the_name() -> None:
    parts = urlsplit(totp.uri(SECRET, "王 医生&x=1", "Tongying"))
    assert (parts.scheme, parts.netloc) == ("otpauth", "totp")
    query = parse_qs(parts.query)
    assert set(query) == {"secret", "issuer"}
    assert base64.b32decode(query["secret"][0]) == SECRET
