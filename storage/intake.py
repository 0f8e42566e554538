"""The intake of a process that stores now and then: its spool and what ships it, made when they are first needed."""

from __future__ import annotations

import threading
from pathlib import Path

from storage.archive import Archive
from storage.hints import CeleryHints
from storage.reception import Reception
from storage.shipping import Shipper
from storage.spool import Spool


class Intake:
    """Safe to share between threads; each takes a reception of its own. `root`: of its spool; else one of this node's
    that has no owner."""

    def __init__(self, archive: Archive, root: Path | None = None) -> None:
        self._archive, self._root = archive, root
        self._lock = threading.Lock()
        self._made: tuple[Spool, Shipper] | None = None

    def reception(self) -> Reception:
        """To receive one instance after the other; close it afterwards. Raises as `spool`."""
        return Reception(self.spool())

    def recover(self) -> None:
        """At a start: ship what an earlier process received and did not ship. Raises as `spool`."""
        if any(self._archive.settings.spool.glob("*/*/*.seg")):
            self.spool()

    def spool(self) -> Spool:
        """Raises OSError where none can be made; BlockingIOError where another process has that of `root`."""
        with self._lock:
            if self._made is None:
                settings, shipper = (
                    self._archive.settings,
                    Shipper(self._archive, CeleryHints(self._archive.settings)),
                )
                root = self._root
                spool = (
                    Spool(root, settings, shipper.submit) if root else Spool.unowned(settings, shipper.submit)
                )
                shipper.start()
                spool.start()
                self._made = spool, shipper
            return self._made[0]

    def close(self, timeout_seconds: float = 30) -> None:
        """Seal and ship what was received, as far as the time allows; what is still being received is refused."""
        with self._lock:
            if self._made is not None:
                spool, shipper = self._made
                spool.close()
                shipper.close(timeout_seconds)
            self._made = None
