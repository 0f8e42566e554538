"""The DICOM node: gate, acceptor, spool and shipper, put together; one of each for each of its processes."""

from __future__ import annotations

from dicom_node.acceptor import Acceptor, Entrance
from dicom_node.gate import Gate
from pacs.logs import get
from pacs.settings import Settings
from storage.archive import Archive
from storage.hints import CeleryHints
from storage.shipping import Shipper
from storage.spool import Spool

log = get("node")


class Node:
    """One process's node, by its number among them (1, 2, …)."""

    def __init__(self, settings: Settings, entrance: Entrance, process: int = 1) -> None:
        self.settings = settings
        self.archive = Archive.open(settings)
        self.shipper = Shipper(self.archive, CeleryHints(settings))
        self.spool = Spool.unowned(settings, self.shipper.submit)
        self.gate = Gate(self.archive)
        self.acceptor = Acceptor(self.archive, self.gate, self.spool, entrance, process)

    def start(self) -> None:
        """Recover the spool, then serve."""
        self.shipper.start()
        self.spool.start()
        self.gate.start()
        self.archive.audit.start()
        self.acceptor.start()
        log.info("node_started", port=self.settings.dicom_port, ae_title=self.settings.ae_title)

    def close(self) -> None:
        """Stop accepting, seal and ship what was received."""
        self.acceptor.close()
        self.gate.close()
        self.spool.close()
        self.shipper.close()
        self.archive.close()
        log.info("node_stopped")
