"""Foreign receivers: DCMTK's storescp and dcmqrscp, and Orthanc, started and ended by the test that needs them."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from deploy import supervisor
from dicom_node.requestor import Context, PeerError, Requestor
from dicom_node.syntaxes import VERIFICATION
from pacs.settings import from_environment
from storage.archive import Archive
from tests.support.dicom import NO_WAIT, Sent, describe
from tests.support.server import Server, eventually, free_port


@dataclass
class Receiver:
    """A running storescp; `options` are its own."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None  # where a test may signal it

    def files(self) -> list[Path]:
        """What it has received, whole or not."""
        return sorted(p for p in self.folder.iterdir() if p.is_file() and p.name != "index.dat")

    def signal(self, number: signal.Signals) -> None:
        """To its process: SIGSTOP makes it hang."""
        assert self.process is not None
        self.process.send_signal(number)

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


@contextlib.contextmanager
def dcmqrscp(folder: Path, title: str = "DCMQRSCP") -> Iterator[Receiver]:
    """DCMTK's archive, which takes what is sent under its AE title alone."""
    files, port = folder / "files", free_port()
    files.mkdir(parents=True)
    config = folder / "dcmqrscp.cfg"
    config.write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 16384\nMaxAssociations = 16\n"
        "HostTable BEGIN\nHostTable END\nVendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\n{title} {files} RW (500, 1024mb) ANY\nAETable END\n"
    )
    command = ["dcmqrscp", "--single-process", "--bit-preserving", "-dhl", "--config", str(config), str(port)]
    with _running(command, port):
        yield Receiver(files, port, None)


@contextlib.contextmanager
def orthanc(folder: Path, title: str = "ORTHANC") -> Iterator[tuple[int, httpx.Client]]:
    """Orthanc as Debian ships it: its DICOM port, and its REST API. It answers to its AE title alone."""
    path = shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    assert path, "install an Orthanc for the tests: deploy/test-tools.sh"
    folder.mkdir(parents=True)
    http, dicom = free_port(), free_port()
    settings = {
        "StorageDirectory": str(folder), "IndexDirectory": str(folder), "HttpPort": http, "DicomPort": dicom,
        "DicomAet": title, "DicomCheckCalledAet": True, "DicomAlwaysAllowStore": True, "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
    }  # fmt: skip
    config = folder / "orthanc.json"
    config.write_text(json.dumps(settings))
    with _running([path, str(config)], dicom), httpx.Client(base_url=f"http://127.0.0.1:{http}") as client:
        yield dicom, client


@contextlib.contextmanager
def _running(command: list[str], port: int) -> Iterator[None]:
    process = subprocess.Popen(command, env=NO_WAIT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: _answers(port), 20, f"{command[0]} answers")
        yield
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def opened(server: Server) -> Iterator[Archive]:
    """The archive of a running server, in this process: the command line takes seconds to start."""
    with supervisor.database(from_environment(server.environment())) as (settings, _embedded):
        archive = Archive.open(settings)
        try:
            yield archive
        finally:
            archive.close()


def _answers(port: int) -> bool:
    """Whether anything speaks DICOM there, be it to refuse us."""
    try:
        with Requestor(calling="PROBE", called="ANY", host="127.0.0.1", port=port,
                       contexts=[Context(VERIFICATION, ("1.2.840.10008.1.2",))]) as peer:  # fmt: skip
            return peer.echo().status == 0
    except PeerError as error:
        return "no connection" not in str(error)
