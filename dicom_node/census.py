"""The census: which connections the processes of a node hold open, so that its limits hold for all of them together.

A table in memory that forks share: a row for each connection. The lock is the kernel's and its holder a process, so
one that is killed lets go of it; what it held open is struck off by whoever notices (`strike_off`).
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import struct
import threading
import weakref
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dicom_node.admission import Refusal, over_limit
from storage.devices import RegisteredDevice

_ROW = struct.Struct("<H?8s8s8s")  # process (0: a free row), whether an emergency; peer, device, facility
_FREE = bytes(_ROW.size)
_NOBODY = bytes(8)  # no device: not admitted yet


@dataclass(frozen=True, slots=True)
class Limits:
    """How many connections may be open at once, at all processes of the node."""

    total_max: int
    peer_max: int
    facility_max: int


class Crowded(Exception):
    """There is no room for one more connection: of this peer, or of anybody."""

    def __init__(self, reason: str, *, of_peer: bool) -> None:
        super().__init__(reason)
        self.of_peer = of_peer


class Census:
    """Made before the node's processes are forked. Safe to share between them and their threads."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._file = os.memfd_create("census")
        weakref.finalize(self, os.close, self._file)
        os.ftruncate(self._file, limits.total_max * _ROW.size)
        self._rows = mmap.mmap(self._file, limits.total_max * _ROW.size)
        self._threads = threading.Lock()

    def enter(self, process: int, peer: str) -> Place:
        """A place for one more connection of an address, at a process (1, 2, …); raises Crowded."""
        mark = _mark(peer)
        with self._locked():
            rows = list(_ROW.iter_unpack(self._rows))
            if sum(row[0] and row[2] == mark for row in rows) >= self.limits.peer_max:
                raise Crowded(f"{self.limits.peer_max} associations of this address are open", of_peer=True)
            free = next((n for n, row in enumerate(rows) if not row[0]), None)
            if free is None:
                raise Crowded(f"{self.limits.total_max} associations are open", of_peer=False)
            row = (process, False, mark, _NOBODY, _NOBODY)
            self._write(free, _ROW.pack(*row))
        return Place(self, free)

    def busier(self, process: int, processes: int) -> bool:
        """Whether this process holds more connections than another one. Not exact: it does not lock."""
        held = Counter(row[0] for row in _ROW.iter_unpack(bytes(self._rows)))
        return held[process] > min(held[other] for other in range(1, processes + 1))

    def strike_off(self, process: int) -> None:
        """A process is gone, and with it its connections."""
        with self._locked():
            for number, row in enumerate(list(_ROW.iter_unpack(self._rows))):
                if row[0] == process:
                    self._write(number, _FREE)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._threads:
            fcntl.lockf(self._file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN)

    def _write(self, number: int, row: bytes) -> None:
        self._rows[number * _ROW.size : (number + 1) * _ROW.size] = row

    def _admit(self, number: int, device: RegisteredDevice) -> Refusal | None:
        mine, facility = _mark(f"{device.ae_title}\0{device.address}"), _mark(device.facility)
        with self._locked():
            rows = list(_ROW.iter_unpack(self._rows))
            process, _, peer, _, _ = rows.pop(number)
            refusal = over_limit(
                device,
                mine=sum(row[0] and row[3] == mine for row in rows),
                shared=sum(row[0] and row[4] == facility and not row[1] for row in rows),
                facility_max=self.limits.facility_max,
            )
            if refusal is None:
                self._write(number, _ROW.pack(process, device.emergency, peer, mine, facility))
            return refusal

    def _release(self, number: int) -> None:
        with self._locked():
            process, _, peer, _, _ = _ROW.unpack_from(self._rows, number * _ROW.size)
            self._write(number, _ROW.pack(process, False, peer, _NOBODY, _NOBODY))

    def _leave(self, number: int) -> None:
        with self._locked():
            self._write(number, _FREE)


class Place:
    """One connection's row. Safe to share between the threads of its association."""

    def __init__(self, census: Census, number: int) -> None:
        self._census, self._number = census, number
        self._lock = threading.Lock()
        self._left = False

    def admit(self, device: RegisteredDevice) -> Refusal | None:
        """Note whose the association is; or why its device or facility may have no more of them."""
        with self._lock:
            return None if self._left else self._census._admit(self._number, device)

    def release(self) -> None:
        """The association is over, and its device may open another; the connection may linger for a moment."""
        with self._lock:
            if not self._left:
                self._census._release(self._number)

    def leave(self) -> None:
        """The connection is over."""
        with self._lock:
            if not self._left:
                self._left = True
                self._census._leave(self._number)


def _mark(text: str) -> bytes:
    """A fixed size for names of any length. 64 bits: at a thousand rows two alike are one in 10^13."""
    return hashlib.blake2b(text.encode(), digest_size=8).digest()
