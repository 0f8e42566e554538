"""The audit trail's own work, as a job of the exchange: what processes that were killed left is taken in, and how far
the trail goes is noted outside of the database."""

from __future__ import annotations

import ssl
import time

from pacs.audit import Action, Entry, Outcome, Service
from pacs.logs import get
from storage.archive import Archive
from storage.audit import syslog
from storage.audit.anchor import Forged

log = get("audit")
ANCHOR_SECONDS = 5.0
AWAY_SECONDS = 3.0  # before a receiver is tried again
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


class AuditSyslog:
    """A job of its own, since a receiver may hang: sends the trail to the syslog server of the settings."""

    name = "audit-syslog"

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._receiver = syslog.receiver_of(archive.settings)
        self._context: ssl.SSLContext | None = None
        self._due, self._away = 0.0, ""

    def step(self) -> bool:
        """Whether something was sent. A receiver that is away, or not the one it should be, is tried again."""
        if self._receiver is None or time.monotonic() < self._due:
            return False
        if self._context is None:
            self._context = syslog.tls_context(self._archive.settings)
        try:
            sent = syslog.send_next(self._archive, self._receiver, self._context)
        except OSError as error:
            self._due = time.monotonic() + AWAY_SECONDS
            self._note(str(error))
            return False
        self._note("")
        return sent > 0

    def _note(self, away: str) -> None:
        if away != self._away:
            self._away = away
            log.warning("audit_receiver", state="away" if away else "there", reason=away)
