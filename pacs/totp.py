"""Time-based one-time passwords (RFC 6238), as every authenticator app has them: SHA-1, 30 seconds, 6 digits."""

from __future__ import annotations

import base64
import hashlib
import hmac
import struct
import time
from urllib.parse import quote, urlencode

STEP_SECONDS, DIGITS, SECRET_BYTES = 30, 6, 20
STEPS_BESIDE = 1  # a clock may be wrong by so many (RFC 6238 5.2)


def code(secret: bytes, step: int, digits: int = DIGITS) -> str:
    """The code of a step (RFC 4226 5.3)."""
    digest = hmac.digest(secret, struct.pack(">Q", step), hashlib.sha1)
    (number,) = struct.unpack_from(">I", digest, digest[-1] & 0x0F)
    return str((number & 0x7FFF_FFFF) % 10**digits).zfill(digits)


def step_of(secret: bytes, given: str, now: float | None = None) -> int | None:
    """The step whose code was given, if it is one of now; all are compared, each in constant time."""
    middle = int((time.time() if now is None else now) // STEP_SECONDS)
    found = None
    for step in range(middle - STEPS_BESIDE, middle + STEPS_BESIDE + 1):
        if step >= 0 and hmac.compare_digest(code(secret, step).encode(), given.encode(errors="replace")):
            found = step
    return found


def uri(secret: bytes, name: str, issuer: str) -> str:
    """What authenticator apps read as a QR code (the key URI format)."""
    query = urlencode(
        {"secret": base64.b32encode(secret).decode().rstrip("="), "issuer": issuer}, quote_via=quote
    )
    return f"otpauth://totp/{quote(issuer)}:{quote(name)}?{query}"
