"""Standings (`storage.index.standing`), remembered for a moment: a viewer asks for a hundred frames in a second."""

from __future__ import annotations

import threading
import time

from pacs.access import Principal
from storage.database import Database
from storage.index.standing import find_standing
from storage.index.visibility import Standing

REMEMBERED_SECONDS = 1.0  # how long a policy or a grant that was taken back may go on
REMEMBERED_MAX = 10_000  # principals


class Standings:
    """Safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[Principal, tuple[float, Standing | None]] = {}
        self._lock = threading.Lock()

    def of(self, principal: Principal) -> Standing | None:
        """As it was within the last REMEMBERED_SECONDS."""
        asked = time.monotonic()
        read, standing = self._known.get(principal, (float("-inf"), None))
        if asked - read < REMEMBERED_SECONDS:
            return standing
        with self._database.read() as connection:
            standing = find_standing(connection, principal)
        with self._lock:
            if len(self._known) >= REMEMBERED_MAX:
                self._known.clear()
            self._known[principal] = (asked, standing)
        return standing

    def forget(self, principal: Principal) -> None:
        """What they opened just now they see at once."""
        with self._lock:
            self._known = {who: known for who, known in self._known.items() if who.name != principal.name}
