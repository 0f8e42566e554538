"""The sender: a job of the exchange that empties the queue of `storage.sending`, several associations at once.

Lanes (a remote and a facility) take turns, so that a million images that wait for one remote delay neither another
remote nor another facility. A remote that cannot be reached is left alone for a while; its rows wait untried.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass
from itertools import count

from dicom_node.turn import Turn
from pacs.logs import get
from storage import sending
from storage.archive import Archive
from storage.database import Unavailable
from storage.remotes import Remote, remotes_by_id
from storage.sending import LEASE_SECONDS, RETRY_SECONDS, Lane, Send

log = get("sender")
ROWS_MAX = 32  # of one turn
SENDERS_MAX = 32  # associations at once; when half of them are in use, no remote gets a second one
PAUSE_SECONDS = 0.5
FORGET_SECONDS = 3600
STOP_SECONDS = 2


@dataclass(frozen=True, slots=True)
class Hold:
    """A remote that is left alone: how often it failed in a row, and until when."""

    remote: Remote
    failures: int
    until: float


class Sender:
    """The job. `step` starts turns, each in a thread of its own."""

    name = "sender"

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._lock = threading.Lock()
        self._lanes: dict[threading.Thread, Lane] = {}  # that have their turn now
        self._turns: set[Turn] = set()
        self._claimed: set[int] = set()
        self._served: dict[tuple[int, int], int] = {}  # lane → when it had its last turn
        self._clock = count()
        self._holds: dict[int, Hold] = {}
        self._ended = threading.Event()
        self._stopping = False
        self._renewed = time.monotonic()
        self._forgets = time.monotonic()

    def step(self) -> bool:
        """Start the turns that are due and have room; while some run, wait a moment for one to end."""
        self._ended.clear()
        self._renew()
        self._tidy()
        waiting = sending.lanes(self._archive)
        remotes = remotes_by_id(self._archive, {lane.remote_id for lane in waiting})
        waiting.sort(key=lambda x: (x.priority, self._served.get((x.remote_id, x.facility_id), -1)))
        started = [lane for lane in waiting if self._start(lane, remotes.get(lane.remote_id))]
        if not started and self._lanes:
            self._ended.wait(PAUSE_SECONDS)
        return bool(started or self._lanes)

    def close(self) -> None:
        """End all associations, and give their rows back."""
        with self._lock:
            self._stopping = True
            threads = list(self._lanes)
            for turn in self._turns:
                turn.interrupt()
        deadline = time.monotonic() + STOP_SECONDS
        for thread in threads:
            thread.join(max(0, deadline - time.monotonic()))

    def _start(self, lane: Lane, remote: Remote | None) -> bool:
        with self._lock:
            if remote is None or self._stopping or self._held(remote) or not self._room(remote):
                return False
            thread = threading.Thread(
                target=self._turn, args=(lane, remote), name=f"send-{remote.name}", daemon=True
            )
            self._lanes[thread] = lane
            self._served[lane.remote_id, lane.facility_id] = next(self._clock)
        thread.start()
        return True

    def _room(self, remote: Remote) -> bool:
        running = Counter(lane.remote_id for lane in self._lanes.values())
        crowded = running.total() >= SENDERS_MAX // 2
        return running.total() < SENDERS_MAX and running[remote.id] < (
            1 if crowded else remote.associations_max
        )

    def _turn(self, lane: Lane, remote: Remote) -> None:
        """In a thread of its own: claim, and send."""
        sends: list[Send] = []
        turn: Turn | None = None
        try:
            sends = sending.claim(self._archive, lane, ROWS_MAX)
            with self._lock:
                self._claimed.update(send.id for send in sends)
            if sends:
                turn = Turn(self._archive, remote, sends)
                self._run(turn, remote)
        except Unavailable as error:
            log.warning("turn_lost", remote=remote.name, error=type(error).__name__)  # its leases run out
        except Exception as error:
            log.error("turn_failed", remote=remote.name, exc_info=error)
            self._hold(remote, type(error).__name__)
        finally:
            with self._lock:
                self._claimed.difference_update(send.id for send in sends)
                if turn is not None:
                    self._turns.discard(turn)
                del self._lanes[threading.current_thread()]
            self._ended.set()

    def _run(self, turn: Turn, remote: Remote) -> None:
        with self._lock:
            self._turns.add(turn)
            if self._stopping:
                turn.interrupt()
        if trouble := turn.run():
            self._hold(remote, trouble)
        else:
            with self._lock:
                self._holds.pop(remote.id, None)

    def _held(self, remote: Remote) -> bool:
        """A remote that was changed meanwhile is tried at once."""
        hold = self._holds.get(remote.id)
        return hold is not None and hold.remote == remote and time.monotonic() < hold.until

    def _hold(self, remote: Remote, reason: str) -> None:
        with self._lock:
            before = self._holds.get(remote.id)
            if self._held(remote):
                return  # another association failed at the same time
            failures = before.failures + 1 if before is not None and before.remote == remote else 1
            seconds = RETRY_SECONDS[min(failures, len(RETRY_SECONDS)) - 1]
            self._holds[remote.id] = Hold(remote, failures, time.monotonic() + seconds)
        log.warning("remote_held", remote=remote.name, seconds=seconds, failures=failures, reason=reason)

    def _tidy(self) -> None:
        if time.monotonic() > self._forgets:
            self._forgets = time.monotonic() + FORGET_SECONDS
            sending.forget(self._archive)

    def _renew(self) -> None:
        if time.monotonic() - self._renewed > LEASE_SECONDS / 3:
            self._renewed = time.monotonic()
            with self._lock:
                claimed = list(self._claimed)
            sending.renew(self._archive, claimed)
