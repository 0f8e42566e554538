"""The sending side of a C-MOVE: several associations at once to the destination."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Self

from dicom_node.calling import connect
from dicom_node.commands import Message, Status
from dicom_node.delivery import Outcome, Part, deliver, in_pack_order, plan
from dicom_node.requestor import Requestor
from dicom_node.wire import PeerError
from pacs.logs import get
from storage.location import Located
from storage.remotes import Remote, remote_called

if TYPE_CHECKING:
    from dicom_node.association import NodeAssociation

log = get("move")
MOVE_DESTINATION, PRIORITY = 0x0600, 0x0700
INSTANCES_EACH_MIN = 64  # so many at least are worth one more association
QUIET_SECONDS = 0.5  # how often a quiet mover looks whether it was cancelled


class Mover:
    """Sends instances to the destination of a C-MOVE; raises NotFound if it is not registered. Use as a context: at
    its end nothing is left running."""

    def __init__(self, association: NodeAssociation, message: Message, located: list[Located]) -> None:
        self._association, self._message, self._located = association, message, located
        assert association.principal is not None, "the gate has let it in"
        facility = association.principal.facility or ""
        self._remote: Remote = remote_called(association.archive, facility, message.text(MOVE_DESTINATION))
        self._done: queue.SimpleQueue[Outcome | None] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._peers: set[Requestor] = set()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def outcomes(self) -> Iterator[Outcome]:
        """One for each instance, as they come; ends early after `stop`."""
        parts = [share for part in plan(self._located, self._remote.syntaxes) for share in self._shares(part)]
        self._threads = [
            threading.Thread(target=self._send, args=(p,), daemon=True, name="move") for p in parts
        ]
        running = len(self._threads)
        for thread in self._threads:
            thread.start()
        while running:
            try:
                outcome = self._done.get(timeout=QUIET_SECONDS)
            except queue.Empty:
                if self._association.cancelled(self._message):
                    self.stop()
                continue
            if outcome is None:
                running -= 1
            else:
                yield outcome

    def stop(self) -> None:
        """Cancelled, or the caller is gone: what is under way ends."""
        self._stop.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        with self._lock:
            for peer in self._peers:
                peer.interrupt()
        for thread in self._threads:
            thread.join()

    def _shares(self, part: Part) -> list[Part]:
        """A part for each association at once, each with neighbours in the packs."""
        ordered = in_pack_order(part.located)
        count = max(1, min(self._remote.associations_max, len(ordered) // INSTANCES_EACH_MIN))
        size = -(-len(ordered) // count)
        return [Part(part.contexts, ordered[n : n + size]) for n in range(0, len(ordered), size)]

    def _send(self, part: Part) -> None:
        """In a thread of its own: one association. Its failure fails what it had left, and nothing else."""
        left = {id(one): one for one in part.located}
        priority = self._message.number(PRIORITY)
        originator = (self._association.calling, self._message.message_id)
        try:
            with self._connected(part) as peer:
                for outcome in deliver(self._association.archive, peer, part.located, priority=priority,
                                       originator=originator):  # fmt: skip
                    left.pop(id(outcome.located), None)
                    self._done.put(outcome)
                    if self._stop.is_set():
                        break
        except (PeerError, OSError) as error:
            log.warning("move_failed", destination=self._remote.name, reason=str(error), left=len(left))
            for one in left.values():
                self._done.put(Outcome(one, Status.PROCESSING_FAILURE, str(error)))
        except Exception as error:
            log.error("move_failed", destination=self._remote.name, exc_info=error)
            for one in left.values():
                self._done.put(
                    Outcome(one, Status.PROCESSING_FAILURE, "an error within the archive; see its log")
                )
        finally:
            self._done.put(None)

    @contextlib.contextmanager
    def _connected(self, part: Part) -> Iterator[Requestor]:
        settings = self._association.settings
        with connect(settings, self._remote, settings.ae_title, part.contexts) as peer:
            with self._lock:
                self._peers.add(peer)
            try:
                yield peer
            finally:
                with self._lock:
                    self._peers.discard(peer)
