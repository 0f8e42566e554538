"""An association that we accept: pynetdicom's, with our upper layer and the gate in front."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from pynetdicom import evt
from pynetdicom.association import Association

from dicom_node import contexts
from dicom_node.store import StoreScp
from dicom_node.upper_layer import NodeUpperLayer
from pacs.logs import get
from pacs.settings import Settings
from storage.records import Origin

if TYPE_CHECKING:
    from dicom_node.acceptor import Acceptor

log = get("association")
QUIET_SECONDS = 0.25  # how long the thread sleeps when nothing happens, before it looks at the idle timer


class _WakingCheckpoint(threading.Event):
    """Makes pynetdicom's 1 ms polling loop wait for the upper layer's bell instead."""

    def __init__(self, wake: threading.Event) -> None:
        super().__init__()
        self._bell = wake

    def wait(self, timeout: float | None = None) -> bool:
        super().wait(timeout)
        self._bell.wait(QUIET_SECONDS)
        self._bell.clear()
        return True


class NodeAssociation(Association):
    """The acceptor's side of one association."""

    def __init__(self, acceptor: Acceptor, peer: str) -> None:
        self.wake = threading.Event()
        self.settings: Settings = acceptor.settings
        self.peer = peer
        self.admitted = False  # the gate has let it in
        self._acceptor = acceptor
        self.store = StoreScp(acceptor.spool)
        super().__init__(acceptor.ae, "acceptor")
        self._server = acceptor  # type: ignore[assignment]  # it asks it for shutdown_request only
        self.dul: NodeUpperLayer = NodeUpperLayer(self)
        self.network_timeout = self.settings.association_idle_seconds
        self._reactor_checkpoint = _WakingCheckpoint(self.wake)
        self._reactor_checkpoint.set()
        self.bind(evt.EVT_REQUESTED, self._admit)
        self.name = f"AcceptorThread@{peer}"

    def _admit(self, _event: Any) -> None:
        """The gate: who is refused learns why, by the A-ASSOCIATE-RJ that fits (PS3.8 9.3.4)."""
        request = self.requestor.primitive
        assert request is not None, "EVT_REQUESTED follows an A-ASSOCIATE-RQ"
        calling, called = request.calling_ae_title.strip(), request.called_ae_title.strip()
        verdict = self._acceptor.gate.admit(peer=self.peer, calling=calling, called=called)
        if verdict.facility is None:
            log.warning(
                "association_rejected", calling=calling, called=called, peer=self.peer, reason=verdict.reason
            )
            self.acse.send_reject(0x01, 0x01, verdict.diagnostic)
            self.is_rejected = True
            self.kill()
            return
        self.admitted = True
        self.dul.be_patient(self.settings.association_idle_seconds)
        self.store.serve(Origin(verdict.facility, calling, called, self.peer))
        self.acceptor.supported_contexts = contexts.supported(request.presentation_context_definition_list)
        log.info("association_accepted", calling=calling, peer=self.peer, facility=verdict.facility)
