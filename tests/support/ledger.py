"""A sender that keeps a ledger of what was acknowledged, synced on its own side: the judge of fault tests.

A process of its own, as a modality is: `python -m tests.support.ledger PORT LEDGER STUDY_UID`. SIGTERM ends it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE

from tests.support.files import package_file
from tests.support.server import ROOT

CT = "1.2.840.10008.5.1.4.1.1.2"


def ct_template() -> Dataset:
    """A small real CT slice (128 × 128)."""
    dataset = dcmread(package_file("CT_small.dcm"))
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.PatientName, dataset.PatientID = "Fault^Test", f"FAULT-{os.getpid()}"
    return dataset


def start(port: int, ledger: Path, study_uid: str) -> subprocess.Popen[bytes]:
    """Start a sender; it sends until it is told to end."""
    command = [sys.executable, "-m", "tests.support.ledger", str(port), str(ledger), study_uid]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def acknowledged(ledger: Path) -> set[str]:
    """The UIDs that were answered with 0x0000."""
    return set(ledger.read_text().split()) if ledger.exists() else set()


class Sender:
    """One modality: sends its series image by image, and connects again after every failure."""

    def __init__(self, port: int, ledger: Path, study_uid: str) -> None:
        self._port, self._ledger = port, ledger.open("a")
        self._dataset = ct_template()
        self._dataset.StudyInstanceUID = study_uid
        self._dataset.PatientID = f"FAULT-{study_uid[-20:]}"
        self._dataset.SeriesInstanceUID = generate_uid()
        self.stop = threading.Event()

    def run(self) -> None:
        """Until `stop`; each acknowledged UID is on the disk before the next image is sent."""
        ae = AE("LEDGER")
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 10
        ae.add_requested_context(CT, ExplicitVRLittleEndian)
        number = 0
        while not self.stop.is_set():
            association = ae.associate("127.0.0.1", self._port, ae_title="TONGYING")
            while association.is_established and not self.stop.is_set():
                number += 1
                self._send(association, number)
            if association.is_established:
                association.release()
            else:
                time.sleep(0.1)

    def _send(self, association: Any, number: int) -> None:
        self._dataset.SOPInstanceUID, self._dataset.InstanceNumber = generate_uid(), number
        try:
            status = association.send_c_store(self._dataset)
        except (RuntimeError, ValueError):
            return
        if getattr(status, "Status", None) == 0:
            self._ledger.write(self._dataset.SOPInstanceUID + "\n")
            self._ledger.flush()
            os.fsync(self._ledger.fileno())


if __name__ == "__main__":
    sender = Sender(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
    signal.signal(signal.SIGTERM, lambda *_: sender.stop.set())
    sender.run()
