"""What a key may be: the same for all stores, so that what one refuses no other takes."""

from __future__ import annotations

import re

from pacs.errors import ObjectMissing

# No part begins with a dot: neither `..` nor the half-written files of the local store can be named.
_KEY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
KEY_CHARACTERS_MAX = 512


def checked(key: str) -> str:
    """The key itself; raises ObjectMissing for what names no object, before any store is asked."""
    if len(key) > KEY_CHARACTERS_MAX or not _KEY.fullmatch(key):
        raise ObjectMissing(key)
    return key
