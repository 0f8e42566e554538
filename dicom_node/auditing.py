"""The audit trail's own work, as a job of the exchange: what processes that were killed left is taken in, and how far
the trail goes is noted outside of the database."""

from __future__ import annotations

import time

from pacs.audit import Action, Entry, Outcome, Service
from pacs.logs import get
from storage.archive import Archive
from storage.audit.anchor import Forged

log = get("audit")
ANCHOR_SECONDS = 5.0
ALERT_SECONDS = 3600.0  # after which what is wrong still is told again


class AuditTrail:
    """The job."""

    name = "audit"

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._due, self._alert_due = 0.0, 0.0

    def step(self) -> bool:
        """Every few seconds."""
        now = time.monotonic()
        if now < self._due:
            return False
        self._due = now + ANCHOR_SECONDS
        self._archive.audit.recover()
        try:
            self._archive.audit.anchor()
        except Forged as error:
            if now >= self._alert_due:
                self._alert_due = now + ALERT_SECONDS
                self._alert(str(error))
        return False

    def _alert(self, reason: str) -> None:
        log.error("audit_trail_broken", reason=reason)
        alert = Entry.of(
            None, service=Service.EXCHANGE, action=Action.ALERT, outcome=Outcome.FAILED,
            asked=f"{reason}: tongying audit verify",
        )  # fmt: skip
        self._archive.audit.record(alert)
