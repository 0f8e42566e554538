"""An association that we accept: pynetdicom's, with our upper layer and the gate in front."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from pynetdicom import evt
from pynetdicom.association import Association

from dicom_node import contexts, roles
from dicom_node.admission import Refusal, admit
from dicom_node.gate import Gate
from dicom_node.roles import NodeAcse
from dicom_node.store import StoreScp
from dicom_node.upper_layer import NodeUpperLayer
from pacs.logs import get
from pacs.settings import Settings
from storage.devices import RegisteredDevice
from storage.records import Origin

if TYPE_CHECKING:
    from dicom_node.acceptor import Acceptor

log = get("association")
DENIED_LOGGED_MAX = 8
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
        self.device: RegisteredDevice | None = None  # who calls, once the gate has let it in
        self._acceptor = acceptor
        self.store = StoreScp(acceptor.spool)
        super().__init__(acceptor.ae, "acceptor")
        self._server = acceptor  # type: ignore[assignment]  # it asks it for shutdown_request only
        self.dul: NodeUpperLayer = NodeUpperLayer(self)
        self.acse: NodeAcse = NodeAcse(self)
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
        device = admit(self, calling, called)
        if isinstance(device, Refusal):
            log.warning(
                "association_rejected", calling=calling, called=called, peer=self.peer, reason=device.reason
            )
            self.acse.send_reject(device.result, device.source, device.diagnostic)
            self.is_rejected = True
            self.kill()
            return
        self.admitted = True
        self.dul.be_patient(self.settings.association_idle_seconds)
        self.store.serve(
            Origin(device.facility, calling, called, self.peer), allowed=roles.STORE in device.roles
        )
        requested = request.presentation_context_definition_list
        received = [uid for uid, roles_ in self.requestor.role_selection.items() if roles_.scp_role]
        self.acse.denied = roles.denied([str(c.abstract_syntax) for c in requested], device.roles, received)
        allowed = [c for c in requested if c.abstract_syntax not in self.acse.denied]
        self.acceptor.supported_contexts = contexts.supported(allowed, device.syntaxes)
        if self.acse.denied:
            log.warning("contexts_rejected", calling=calling, peer=self.peer, reason="the device has no role for them",
                        syntaxes=sorted(self.acse.denied)[:DENIED_LOGGED_MAX])  # fmt: skip
        log.info("association_accepted", calling=calling, peer=self.peer, facility=device.facility)

    @property
    def gate(self) -> Gate:
        return self._acceptor.gate

    @property
    def is_open(self) -> bool:
        """Whether it counts against limits: its thread may live on for a moment after its last word."""
        return self.is_alive() and not (self.is_released or self.is_aborted or self.is_rejected)

    def count_as(self, device: RegisteredDevice) -> Refusal | None:
        """Count this association as one of a device; or why there is no room for it."""
        return self._acceptor.count(self, device)
