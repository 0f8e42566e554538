"""Foreign receivers: DCMTK's storescp, started and ended by the test that needs it."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dicom_node.requestor import Context, PeerError, Requestor
from dicom_node.syntaxes import VERIFICATION
from tests.support.dicom import NO_WAIT, Sent, describe
from tests.support.server import eventually, free_port


@dataclass
class Receiver:
    """A running storescp; `options` are its own."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]

    def files(self) -> list[Path]:
        """What it has received, whole or not."""
        return sorted(p for p in self.folder.iterdir() if p.is_file())

    def received(self) -> dict[str, Sent]:
        """SOP Instance UID → what it wrote."""
        return {d.sop_instance: d for d in map(describe, self.files())}


@contextlib.contextmanager
def storescp(folder: Path, *options: str, port: int = 0) -> Iterator[Receiver]:
    """Takes every SOP class, and writes data sets exactly as they come; ended at the end of the block."""
    folder.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    command = ["storescp", "--bit-preserving", "--promiscuous", "-dhl", "--output-directory", str(folder)]
    process = subprocess.Popen(
        [*command, *options, str(port)], env=NO_WAIT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        eventually(lambda: _answers(port), 10, "storescp answers")
        yield Receiver(folder, port, process)
    finally:
        process.kill()
        process.wait()


def _answers(port: int) -> bool:
    """Whether anything speaks DICOM there, be it to refuse us."""
    try:
        with Requestor(calling="PROBE", called="ANY", host="127.0.0.1", port=port,
                       contexts=[Context(VERIFICATION, ("1.2.840.10008.1.2",))]) as peer:  # fmt: skip
            return peer.echo().status == 0
    except PeerError as error:
        return "no connection" not in str(error)
