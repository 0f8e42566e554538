"""Standings (`storage.index.standing`), what the second wall lets through (`storage.index.behind`), and where the
instances of a series lie, remembered for a moment: a viewer asks for a hundred frames in a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from pacs.access import Principal
from storage.database import Database
from storage.index.behind import Wall, find_wall
from storage.index.locator import Fragment
from storage.index.standing import find_standing
from storage.index.visibility import Standing

REMEMBERED_SECONDS = 1.0  # a standing, and again a series: what is taken back may go on for twice that
REMEMBERED_MAX = 10_000  # of each
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Standings:
    """Safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._standings: _Memory[Principal, Standing | None] = _Memory()
        self._fragments: _Memory[tuple[Principal, str, str], tuple[Fragment, ...]] = _Memory()
        self._walls: _Memory[Principal, Wall] = _Memory()

    def of(self, principal: Principal) -> Standing | None:
        """As it was within the last REMEMBERED_SECONDS; None for principals who need none."""

        def find() -> Standing | None:
            with self._database.read() as connection:
                return find_standing(connection, principal)

        return self._standings.take(principal, find)

    def fragments(
        self,
        principal: Principal,
        study_uid: str,
        series_uid: str,
        find: Callable[[], tuple[Fragment, ...]],
    ) -> tuple[Fragment, ...]:
        """The packs in which its instances lie, as `find` said within the last REMEMBERED_SECONDS: what came since is
        not among them. That there was none is not remembered."""
        return self._fragments.take((principal, study_uid, series_uid), find)

    def wall(self, principal: Principal) -> Wall:
        """As it was within the last REMEMBERED_SECONDS."""

        def find() -> Wall:
            with self._database.read() as connection:
                return find_wall(connection, principal)

        return self._walls.take(principal, find)

    def forget(self) -> None:
        """What was opened or closed just now is so at once, in this process."""
        self._walls.forget()
        self._standings.forget()
        self._fragments.forget()


class _Memory(Generic[K, V]):
    """What was found within the last REMEMBERED_SECONDS, if it is anything."""

    def __init__(self) -> None:
        self._known: dict[K, tuple[float, V]] = {}
        self._lock = threading.Lock()

    def take(self, key: K, find: Callable[[], V]) -> V:
        asked, known = time.monotonic(), self._known.get(key)
        if known is not None and asked - known[0] < REMEMBERED_SECONDS:
            return known[1]
        found = find()
        if found != ():
            with self._lock:
                if len(self._known) >= REMEMBERED_MAX:
                    self._known.clear()
                self._known[key] = (asked, found)
        return found

    def forget(self) -> None:
        with self._lock:
            self._known = {}
