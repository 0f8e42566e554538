"""The shelf: what was read and decoded lately, kept while it is small enough.

Only what never changes may lie on it: objects named by a series, a pack that is indexed, and its edition. It knows
nothing of who may see what: access is decided by SQL in each request, before the shelf is asked.
"""

from __future__ import annotations

import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, TypeVar

from storage import contents
from storage.blobs import ObjectStore
from storage.contents import Entry
from storage.packnames import contents_key, metadata_key

T = TypeVar("T")
SHARE_MAX = 4  # one thing may take a quarter
ENTRY_BYTES, FRAME_BYTES = 1800, 260  # about, in memory


@dataclass(frozen=True, slots=True)
class Shown:
    """The instances of a series, as far as they lie in one pack, without the conflicting ones."""

    entries: tuple[Entry, ...]
    places: dict[str, int]  # SOP Instance UID → index in `entries`, and in the metadata's lines

    @property
    def bytes(self) -> int:
        """About what it takes in memory."""
        frames = sum(len(e.frames.ranges) for e in self.entries if e.frames)
        return 200 + ENTRY_BYTES * len(self.entries) + FRAME_BYTES * frames


class Shelf:
    """A bounded memory, the least used goes first. Safe to share between threads."""

    def __init__(self, bytes_max: int) -> None:
        self._max, self._bytes = bytes_max, 0
        self._things: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, key: Hashable, make: Callable[[], T], weigh: Callable[[T], int]) -> T:
        """What lies under a key; made now if nothing does. Two threads may both make it: it is the same."""
        with self._lock:
            if key in self._things:
                self._things.move_to_end(key)
                found: T = self._things[key][0]
                return found
        made = make()
        self._keep(key, made, weigh(made))
        return made

    def _keep(self, key: Hashable, made: object, size: int) -> None:
        if size > self._max // SHARE_MAX:
            return
        with self._lock:
            if key in self._things:
                return
            self._things[key] = (made, size)
            self._bytes += size
            while self._bytes > self._max:
                self._bytes -= self._things.popitem(last=False)[1][1]

    def shown(self, objects: ObjectStore, series_pk: int, pack: uuid.UUID, edition: int) -> Shown:
        """The contents of a series in a pack."""
        key = contents_key(series_pk, pack, edition)

        def read() -> Shown:
            entries = tuple(e for e in contents.decode(objects.get(key), pack) if not e.conflict)
            return Shown(entries, {e.sop_instance: place for place, e in enumerate(entries)})

        return self.take(key, read, lambda made: made.bytes)

    def lines(self, objects: ObjectStore, series_pk: int, pack: uuid.UUID, edition: int) -> list[bytes]:
        """The DICOM JSON of the same instances, in the same order."""
        key = metadata_key(series_pk, pack, edition)
        return self.take(
            key,
            lambda: contents.decode_metadata(objects.get(key)),
            lambda made: sum(len(x) + 40 for x in made),
        )
