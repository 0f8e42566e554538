"""One turn of the sender: rows of the queue are delivered to one remote over one association, or told why not."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from dicom_node import notification
from dicom_node.calling import connect
from dicom_node.delivery import Part, deliver, in_pack_order, plan
from dicom_node.requestor import PeerAway, PeerError, Requestor
from pacs.access import Role
from pacs.audit import Action, Entry, Service
from pacs.errors import NotFound, ObjectMissing
from pacs.logs import get
from storage import sending
from storage.archive import Archive
from storage.location import Located
from storage.remotes import Remote
from storage.sending import REFUSALS_MAX, Send

log = get("turn")
TURN_SECONDS = 30  # then the next row is another turn's
PROGRESS_SECONDS = 2
CONNECT_SECONDS, IDLE_SECONDS = 10, 60
HIGH = 1  # DIMSE priority (PS3.7 9.1.1.1)


class Full(Exception):
    """The receiver can take nothing now: status A7xx (PS3.4 B.2.3)."""


@dataclass(slots=True)
class Row:
    """A claimed row, its instances in the order of delivery, and which of them are there."""

    send: Send
    located: list[Located]
    done: list[bool] = field(init=False)
    refusals: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        # Where a series grew since the last try it begins anew: its order may be another one.
        known = self.send.sent if self.send.total == len(self.located) else 0
        self.done = [number < known for number in range(len(self.located))]

    @property
    def sent(self) -> int:
        """So many from the first on are there."""
        return self.done.index(False) if False in self.done else len(self.done)

    def pending(self) -> list[Located]:
        """What is not there yet. The first one, if it has brought the receiver down again and again, comes last for
        once, so that the others arrive."""
        left = [one for one, done in zip(self.located, self.done, strict=True) if not done]
        return left[1:] + left[:1] if self.send.tries == REFUSALS_MAX + 1 else left

    def mark(self, one: Located) -> None:
        self.done[next(n for n, mine in enumerate(self.located) if mine is one)] = True


class Turn:
    """The rows of one claim. `interrupt` may be called from another thread."""

    def __init__(self, archive: Archive, remote: Remote, sends: list[Send]) -> None:
        self._archive, self._remote = archive, remote
        self._rows = list(self._located(sends))
        self._open = {row.send.id: row for row in self._rows}  # not yet told to the queue
        self._delivered = 0
        self._lock = threading.Lock()
        self._peer: Requestor | None = None
        self._interrupted = False

    def run(self) -> str:
        """Send; why the remote should be left alone for a while, "" if it need not. Every row is told to the queue."""
        trouble = ""
        try:
            if self._remote.notify:
                self._notify()
            else:
                self._deliver()
        except PeerAway as error:
            trouble = str(error)
        except PeerError as error:
            trouble = "" if self._delivered else str(error)
        except Full as error:
            trouble = str(error)
        except OSError as error:
            log.error("objects_away", remote=self._remote.name, error=str(error))
            trouble = "images cannot be read"
        finally:
            self._give_back(trouble)
        return "" if self._interrupted else trouble

    def interrupt(self) -> None:
        """End soon; what is not sent goes back to the queue."""
        with self._lock:
            self._interrupted = True
            if self._peer is not None:
                self._peer.interrupt()

    def _located(self, sends: list[Send]) -> Iterator[Row]:
        for send in sends:
            try:
                yield Row(send, in_pack_order(sending.locate(self._archive, send)))
            except (NotFound, ObjectMissing) as error:
                sending.postpone(self._archive, send, str(error), sent=0, refused=True)

    def _deliver(self) -> None:
        """Over several associations where more contexts are needed than one can have."""
        ends = time.monotonic() + TURN_SECONDS
        for part in plan((one for row in self._rows for one in row.pending()), self._remote.syntaxes):
            of_part = {id(one) for one in part.located}
            with self._associate(part) as peer:
                for row in self._rows:
                    if time.monotonic() > ends or self._interrupted:
                        return
                    self._send(peer, row, [one for one in row.pending() if id(one) in of_part])

    def _associate(self, part: Part) -> Requestor:
        settings = self._archive.settings
        peer = connect(
            settings, self._remote, settings.ae_title, part.contexts,
            connect_seconds=CONNECT_SECONDS, idle_seconds=IDLE_SECONDS,
        )  # fmt: skip
        with self._lock:
            self._peer = peer
            if self._interrupted:
                peer.interrupt()
        return peer

    def _send(self, peer: Requestor, row: Row, pending: list[Located]) -> None:
        """One row, as far as this association's contexts serve it."""
        told = time.monotonic()
        self._record(pending)
        try:
            for outcome in deliver(self._archive, peer, pending, priority=HIGH * (row.send.priority < 0)):
                if outcome.done:
                    row.mark(outcome.located)
                    self._delivered += 1
                elif outcome.status & 0xFF00 == 0xA700:
                    raise Full(outcome.reason)
                else:
                    row.refusals.append(outcome.reason)
                if time.monotonic() - told > PROGRESS_SECONDS:
                    told = time.monotonic()
                    self._tell(row)
        except (PeerError, Full) as error:
            if not self._interrupted:
                del self._open[row.send.id]
                sending.postpone(self._archive, row.send, str(error), sent=row.sent, refused=False)
            raise
        if all(row.done):
            del self._open[row.send.id]
            sending.finish(self._archive, row.send.id, row.sent)

    def _record(self, pending: list[Located]) -> None:
        """The audit trail is told of each study before it leaves."""
        remote = self._remote
        for study_uid in dict.fromkeys(one.study_uid for one in pending):
            entry = Entry.of(
                None, service=Service.EXCHANGE, action=Action.EXPORT, who=remote.name, role=Role.SYSTEM.value,
                facility=remote.facility, address=f"{remote.host}:{remote.port}", ae_title=remote.ae_title,
                asked=f"sent to {remote.name}", studies=(study_uid,),
            )  # fmt: skip
            self._archive.audit.record_once(entry, (remote.id, study_uid))

    def _tell(self, row: Row) -> None:
        sending.progressed(self._archive, row.send.id, total=len(row.located), sent=row.sent)

    def _give_back(self, trouble: str) -> None:
        """What is left: refused, or not come to."""
        for number, row in list(self._open.items()):
            if row.refusals:
                error = f"{row.done.count(False)} of {len(row.done)} were not taken: {row.refusals[0]}"
                log.warning("send_refused", remote=self._remote.name, send=number, reason=error)
                sending.postpone(self._archive, row.send, error, sent=row.sent, refused=True)
                del self._open[number]
            elif row.sent:
                self._tell(row)
        sending.release(self._archive, self._open, trouble)

    def _notify(self) -> None:
        """Instance Availability Notification: one N-CREATE for each study."""
        studies: dict[str, list[Row]] = {}
        for row in self._rows:
            studies.setdefault(row.located[0].study_uid, []).append(row)
        with self._associate(Part(notification.CONTEXTS)) as peer:
            if not peer.accepted:
                raise Full("the receiver takes no Instance Availability Notification")
            for study_uid, rows in studies.items():
                located = [one for row in rows for one in row.located]
                answer = notification.notify(peer, self._archive.settings.ae_title, study_uid, located)
                self._delivered += 1
                for row in rows:
                    if answer.done:
                        del self._open[row.send.id]
                        sending.finish(self._archive, row.send.id, len(row.located))
                    else:
                        row.refusals.append(f"the receiver answered {answer.status:04X}: {answer.comment}")
