"""The intake of a process that stores now and then: its spool and what ships it, made when they are first needed."""

from __future__ import annotations

import threading

from storage.archive import Archive
from storage.hints import CeleryHints
from storage.reception import Reception
from storage.shipping import Shipper
from storage.spool import Spool


class Intake:
    """Safe to share between threads; each takes a reception of its own."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._lock = threading.Lock()
        self._made: tuple[Spool, Shipper] | None = None

    def reception(self) -> Reception:
        """To receive one instance after the other; close it afterwards. Raises OSError where no spool can be made."""
        return Reception(self._spool())

    def recover(self) -> None:
        """At a start: ship what an earlier process received and did not ship. Raises OSError as `reception`."""
        if any(self._archive.settings.spool.glob("*/*/*.seg")):
            self._spool()

    def _spool(self) -> Spool:
        with self._lock:
            if self._made is None:
                shipper = Shipper(self._archive, CeleryHints(self._archive.settings))
                spool = Spool.unowned(self._archive.settings, shipper.submit)
                shipper.start()
                spool.start()
                self._made = spool, shipper
            return self._made[0]

    def close(self) -> None:
        """Seal and ship what was received; what is still being received is refused."""
        with self._lock:
            if self._made is not None:
                spool, shipper = self._made
                spool.close()
                shipper.close()
            self._made = None
