"""UIDs as they come and as they should be (PS3.5 9.1)."""

from __future__ import annotations

import hashlib
import re
import uuid
from functools import cache

from pacs.errors import InvalidUID

_UID = re.compile(r"[0-9]+(\.[0-9]+)*\Z")
UID_LENGTH_MAX = 128  # 64 by PS3.5 9.1, but there are modalities that write a few more


def clean_uid(text: str) -> str:
    """Strip what modalities pad UIDs with (NULs, spaces); raises InvalidUID if digits and dots do not remain.

    Leading zeros in a component break the standard but exist in the field, so they are kept as they are.
    """
    uid = text.strip("\0 \t\r\n")
    if not uid or len(uid) > UID_LENGTH_MAX or not _UID.match(uid):
        raise InvalidUID("not a UID: 1 to 128 digits and dots are needed (PS3.5 9.1)")
    return uid


@cache
def _standard() -> tuple[dict[str, str], frozenset[str]]:
    """UIDs of the transfer syntaxes of PS3.6 A by their keywords, and all other UIDs there."""
    from pydicom._uid_dict import UID_dictionary  # here: with it comes all of pydicom

    syntaxes = {entry[4]: uid for uid, entry in UID_dictionary.items() if entry[1] == "Transfer Syntax"}
    return syntaxes, frozenset(UID_dictionary).difference(syntaxes.values())


def transfer_syntax_uid(text: str) -> str:
    """The UID of a transfer syntax named by its UID or by its keyword in PS3.6 A, as "JPEG2000Lossless"; private ones
    by UID only. Raises InvalidUID."""
    name = text.strip()
    syntaxes, others = _standard()
    if name in syntaxes:
        return syntaxes[name]
    if not _UID.match(name) or len(name) > UID_LENGTH_MAX or name in others:
        raise InvalidUID(f"{name[:64]!r} is neither the UID nor the keyword of a transfer syntax (PS3.6 A)")
    return name


def is_uid(text: str, length_max: int = 64) -> bool:
    """Whether it is digits and dots and no longer than the standard allows (PS3.5 9.1)."""
    return len(text) <= length_max and _UID.match(text) is not None


def uid_hash(uid: str) -> int:
    """64 bits of a UID as a signed integer, for the narrow instance row. Equal hashes are checked by UID."""
    return int.from_bytes(hashlib.blake2b(uid.encode(), digest_size=8).digest(), "big", signed=True)


def new_uid() -> str:
    """A UID from a random UUID (PS3.5 B.2)."""
    return f"2.25.{uuid.uuid4().int}"
