"""Who is compared: Tongying as its users run it, and the peers as Debian ships them, each in a folder of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import psutil

from bench.measure import stop_by_pid, tree, until
from tests.support.dicom import NO_WAIT
from tests.support.server import PASSWORD, Server, free_port

TONGYING, ORTHANC, STORESCP = "Tongying", "Orthanc", "storescp"
DICOMWEB_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
START_SECONDS = 30
PDU_BYTES = 131072  # the largest that DCMTK sends: each peer is offered the same


@dataclass(frozen=True, slots=True)
class Web:
    """A peer's DICOMweb service."""

    port: int
    prefix: str
    headers: dict[str, str] = field(default_factory=dict)


class Peer(Protocol):
    """A running receiver."""

    name: str
    ae_title: str
    dicom_port: int

    @property
    def web(self) -> Web | None: ...
    def roles(self) -> dict[str, list[int]]:
        """The roots of its process trees by what they do."""

    def tidy(self) -> None:
        """After a round: give back what only fills the disk."""

    def stop(self) -> None: ...


class Tongying:
    """`tongying up`, all in one, with default settings but for those given."""

    name, ae_title = TONGYING, "TONGYING"

    def __init__(self, folder: Path, settings: dict[str, str] | None = None) -> None:
        self.server = Server(folder / "tongying", settings or {}, anew=True)
        try:
            self.server.start()
        except BaseException:
            self.stop()
            raise
        self.dicom_port = self.server.dicom_port
        bearer = self.server.client.headers["Authorization"]
        self._web = Web(self.server.http_port, "/dicom-web", {"Authorization": bearer})

    @property
    def web(self) -> Web:
        return self._web

    def sign_in(self) -> tuple[str, str]:
        """For the page."""
        return "admin", PASSWORD

    def roles(self) -> dict[str, list[int]]:
        assert self.server.process is not None
        found: dict[str, list[int]] = {"PostgreSQL": [self._postgres()]}
        for child in psutil.Process(self.server.process.pid).children():
            command = " ".join(child.cmdline())
            for mark, role in (
                ("dicom_node.exchange", "exchange"),
                ("dicom_node", "node"),
                ("celery", "worker"),
                ("viewer_api", "API"),
            ):
                if mark in command:
                    found.setdefault(role, []).append(child.pid)
                    break
        return found

    @contextmanager
    def workers_held(self) -> Iterator[None]:
        """None of its workers runs in the block."""
        workers = [p for root in self.roles()["worker"] for p in tree(root)]
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in workers:
                os.kill(pid, signal.SIGCONT)

    def _postgres(self) -> int:
        return int((self.server.data / "postgres" / "postmaster.pid").read_text().split()[0])

    def tidy(self) -> None:
        """Nothing: it keeps what it acknowledged."""

    def stop(self) -> None:
        process = self.server.process
        below = tree(process.pid)[1:] if process is not None else []
        try:
            self.server.stop()
        finally:
            if process is not None and process.poll() is None:
                stop_by_pid([process.pid])
            stop_by_pid(below)


class Orthanc:
    """Orthanc with its DICOMweb plug-in and SQLite, as it comes but for ports, folders and the PDU's size."""

    name, ae_title = ORTHANC, "ORTHANC"

    def __init__(self, folder: Path) -> None:
        home = folder / "orthanc"
        home.mkdir(parents=True)
        self.dicom_port, http_port = free_port(), free_port()
        self._web = Web(http_port, "/dicom-web")
        settings = home / "orthanc.json"
        settings.write_text(json.dumps(_orthanc_settings(home, self.dicom_port, http_port)))
        with (home / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [_orthanc(), str(settings)], env=NO_WAIT, stdout=log, stderr=log, cwd=home
            )
        _wait_listening(self, http_port)

    @property
    def web(self) -> Web:
        return self._web

    def roles(self) -> dict[str, list[int]]:
        return {"all": [self._process.pid]}

    def tidy(self) -> None:
        """Nothing: it keeps what it acknowledged."""

    def stop(self) -> None:
        stop_by_pid([self._process.pid])
        self._process.wait()


class StoreScp:
    """DCMTK's receiver: a process for each association, a file for each image, no index, no sync."""

    name, ae_title = STORESCP, "STORESCP"

    def __init__(self, folder: Path) -> None:
        self._files = folder / "storescp"
        self._files.mkdir(parents=True)
        self.dicom_port = free_port()
        command = ["storescp", "--fork", "+B", "--max-pdu", str(PDU_BYTES), "-od", str(self._files)]
        self._process = subprocess.Popen(
            [*command, str(self.dicom_port)],
            env=NO_WAIT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _wait_listening(self, self.dicom_port)

    @property
    def web(self) -> None:
        return None

    def roles(self) -> dict[str, list[int]]:
        return {"all": [self._process.pid]}

    def count(self) -> int:
        """Images that it has written since it was tidied."""
        return len(list(self._files.iterdir()))

    def tidy(self) -> None:
        shutil.rmtree(self._files)
        self._files.mkdir()

    def stop(self) -> None:
        stop_by_pid(reversed(tree(self._process.pid)))
        self._process.wait()


def _orthanc() -> str:
    return shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin") or "Orthanc"


def _orthanc_settings(home: Path, dicom_port: int, http_port: int) -> dict[str, object]:
    return {
        "Name": "bench",
        "StorageDirectory": str(home / "storage"),
        "IndexDirectory": str(home / "storage"),
        "DicomPort": dicom_port,
        "HttpPort": http_port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "MaximumPduLength": PDU_BYTES,
        "Plugins": [str(DICOMWEB_PLUGIN)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }


def _wait_listening(peer: Peer, port: int) -> None:
    def answers() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            return False
        return True

    try:
        until(answers, poll_seconds=0.05, seconds_max=START_SECONDS, what=f"{peer.name} listens")
    except BaseException:
        peer.stop()
        raise


def available() -> dict[str, str]:
    """The peers that can run here, and their versions."""
    found = {TONGYING: _our_version()}
    if DICOMWEB_PLUGIN.exists() and (version := _version([_orthanc(), "--version"], r"[Oo]rthanc (\S+)")):
        found[ORTHANC] = version
    if version := _version(["storescp", "--version"], r"storescp v(\S+)"):
        found[STORESCP] = version
    return found


def _our_version() -> str:
    from pacs import VERSION

    return VERSION


def _version(command: list[str], pattern: str) -> str:
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except FileNotFoundError:
        return ""
    found = re.search(pattern, said.stdout + said.stderr)
    return found[1] if found else ""


@contextmanager
def running(folder: Path, names: list[str]) -> Iterator[dict[str, Peer]]:
    """These peers, started; all are stopped at the end, also of a failure."""
    makers: dict[str, Callable[[Path], Peer]] = {TONGYING: Tongying, ORTHANC: Orthanc, STORESCP: StoreScp}
    peers: dict[str, Peer] = {}
    try:
        for name in names:
            peers[name] = makers[name](folder)
        time.sleep(0.5)
        yield peers
    finally:
        with ThreadPoolExecutor() as together:
            for _ in together.map(lambda peer: peer.stop(), peers.values()):
                pass
