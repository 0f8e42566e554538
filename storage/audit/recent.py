"""What was told a moment ago need not be told again: a series of five hundred frames, looked at by one user, is one
entry."""

from __future__ import annotations

import time
from collections.abc import Hashable

SECONDS = 60.0
KEYS_MAX = 10_000  # one that is full begins anew


class Recent:
    """Remembers keys for a while. Safe to share between threads."""

    def __init__(self) -> None:
        self._until: dict[Hashable, float] = {}

    def has(self, key: Hashable) -> bool:
        return self._until.get(key, 0.0) > time.monotonic()

    def note(self, key: Hashable) -> None:
        if len(self._until) >= KEYS_MAX:
            self._until = {}
        self._until[key] = time.monotonic() + SECONDS
