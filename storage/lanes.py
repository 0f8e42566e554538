"""Lanes: in which order packs are shipped and indexed, so that no facility waits for another's backlog (promise P10).

Facilities take turns, each with its oldest pack. What an emergency device sends, or any device with priority HIGH,
goes before, but for every fourth turn: a device that calls everything urgent cannot stop the others. What is indexed
anew has its turn when nothing new waits.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import (
    Boolean,
    Connection,
    Select,
    and_,
    column,
    func,
    literal,
    not_,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY

from storage.index.tables import facilities, packs
from storage.packnames import is_urgent

Waiting = TypeVar("Waiting")
ORDINARY_TURN = 4  # each such turn goes to what is not urgent
RETRY_SECONDS = 10  # what was tried waits this long before it is tried again
LOOKED_AT = 16  # packs of one facility and lane: more than there are workers who could be at them


class Turns:
    """Whose turn it is. Not safe to share between threads."""

    def __init__(self) -> None:
        self._turn = 0
        self._served: dict[Hashable, int] = {}

    def order(
        self, waiting: Iterable[Waiting], lane: Callable[[Waiting], tuple[Hashable, bool]]
    ) -> list[Waiting]:
        """What waits, the next one first; `lane` gives its facility and whether it is urgent. Of one facility and lane
        they stay in the order in which they came."""
        ordinary = self._turn % ORDINARY_TURN == ORDINARY_TURN - 1

        def rank(one: Waiting) -> tuple[bool, int]:
            facility, urgent = lane(one)
            return (urgent == ordinary, self._served.get(facility, -1))

        return sorted(waiting, key=rank)

    def served(self, facility: Hashable) -> None:
        """It had its turn."""
        self._turn += 1
        self._served[facility] = self._turn


class SegmentQueue:
    """The segments that wait to be shipped. Safe to share between threads."""

    def __init__(self) -> None:
        self._lanes: dict[tuple[str, bool], deque[Path]] = {}
        self._turns = Turns()
        self._changed = threading.Condition()
        self._closed = False

    def put(self, segment: Path) -> None:
        """Never blocks."""
        with self._changed:
            lane = (segment.parent.name, is_urgent(segment))
            self._lanes.setdefault(lane, deque()).append(segment)
            self._changed.notify_all()

    def get(self, timeout_seconds: float, *, urgent_only: bool = False) -> Path | None:
        """The next one; None if none comes in this time, or none is left and none will come."""
        deadline = time.monotonic() + timeout_seconds
        with self._changed:
            while not (ready := [lane for lane in self._lanes if lane[1] or not urgent_only]):
                left = deadline - time.monotonic()
                if left <= 0 or self._closed:
                    return None
                self._changed.wait(left)
            chosen = self._turns.order(ready, lambda lane: lane)[0]
            segment = self._lanes[chosen].popleft()
            if not self._lanes[chosen]:
                del self._lanes[chosen]
            self._turns.served(chosen[0])
            return segment

    def close(self) -> None:
        """No more are put in; who waits is told."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        return self._closed


@dataclass(frozen=True, slots=True)
class WaitingPack:
    """A pack that may be indexed now."""

    id: uuid.UUID
    facility_id: int
    urgent: bool


def _waiting_packs(*, again: bool) -> Select[Any]:
    waits = packs.c.again if again else and_(packs.c.state == "shipped", not_(packs.c.again))
    both = literal([True, False], ARRAY(Boolean))  # not VALUES: SQLAlchemy would compile that each time
    lane = func.unnest(both).table_valued(column("urgent", Boolean), name="lane").render_derived()
    oldest = (
        select(packs.c.id)
        .where(
            packs.c.facility_id == facilities.c.id,
            packs.c.urgent == lane.c.urgent,
            waits,
            or_(packs.c.tries == 0, packs.c.hinted_at < func.now() - timedelta(seconds=RETRY_SECONDS)),
        )
        .order_by(packs.c.id)
        .limit(LOOKED_AT)
        .lateral("oldest")
    )
    joined: Any = facilities.join(lane, true()).join(oldest, true())
    return select(oldest.c.id, facilities.c.id, lane.c.urgent).select_from(joined).order_by(oldest.c.id)


# Built once, which takes longer than to run it.
_WAITING_PACKS = {again: _waiting_packs(again=again) for again in (False, True)}


def waiting_packs(connection: Connection, *, again: bool = False) -> list[WaitingPack]:
    """The oldest ones of each facility and lane: as fast with a hundred thousand in line as with ten. `again`: those
    to be indexed anew, which come after all others."""
    return [WaitingPack(*row) for row in connection.execute(_WAITING_PACKS[again])]
