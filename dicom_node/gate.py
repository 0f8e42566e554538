"""The gate: which facility a caller belongs to, decided from a copy of the registry.

The copy is refreshed from the database while that is there, and kept on disk, because the acknowledgement
of an image must not depend on a database (promise P1).
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import threading
from dataclasses import dataclass

from dicom_node.admission import CALLED_NOT_RECOGNISED, CALLING_NOT_RECOGNISED, NO_REASON
from pacs.logs import get
from storage.archive import Archive
from storage.database import Unavailable
from storage.facilities import LOCAL
from storage.registry import RegisteredDevice, list_devices

log = get("gate")
REFRESH_SECONDS = 5.0
__all__ = ["CALLED_NOT_RECOGNISED", "CALLING_NOT_RECOGNISED", "Gate", "Verdict"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A device, or the diagnostic of the A-ASSOCIATE-RJ and the reason in words."""

    device: RegisteredDevice | None
    diagnostic: int = 0
    reason: str = ""

    @property
    def facility(self) -> str | None:
        """Whose the device is; None for a refused caller."""
        return self.device.facility if self.device else None


class Gate:
    """Knows the devices. Safe to share between threads.

    The node's processes share the copy, and look at it for each caller: what one of them has answered by, all do.
    """

    def __init__(self, archive: Archive) -> None:
        self._archive, self._settings = archive, archive.settings
        self._copy = self._settings.data / "devices.json"
        self._copied = (0, 0)  # when the copy was written that was last read, and its inode
        self._devices: list[RegisteredDevice] = []
        self._take_copy()
        self._kept = self._copied != (0, 0)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep_fresh, name="gate", daemon=True)

    def start(self) -> None:
        self.refresh()
        self._thread.start()

    def close(self) -> None:
        self._stop.set()

    def admit(self, *, peer: str, calling: str, called: str, certificate: str = "") -> Verdict:
        """Who calls: a registered device; any title from this machine is LOCAL's, with all roles.

        A device is told by the certificate that it shows, wherever it calls from; else by its address, of several by
        the narrowest network. One whose certificate is registered must show it.
        """
        self._take_copy()
        if called != self._settings.ae_title:
            return Verdict(None, CALLED_NOT_RECOGNISED, f"this node is called {self._settings.ae_title}")
        address = ipaddress.ip_address(peer)
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        known = [d for d in self._devices if d.ae_title == calling]
        here = [d for d in known if address in ipaddress.ip_network(d.address, strict=False)]
        if certificate:
            for device in (*here, *known):
                if device.certificate == certificate:
                    return Verdict(device)
        if here:
            if here[0].certificate:
                return Verdict(None, NO_REASON, "the device must show its registered certificate")
            return Verdict(here[0])
        if address.is_loopback:
            return Verdict(RegisteredDevice(LOCAL, calling, peer))
        return Verdict(None, CALLING_NOT_RECOGNISED, "no such device at this address: tongying device add")

    def refresh(self) -> None:
        """Take the registry from the database, and keep a copy of it."""
        try:
            devices = list_devices(self._archive)
        except Unavailable:
            return
        if devices != self._devices or not self._kept:
            self._kept = self._keep_copy(devices)  # first: no process answers by what the others cannot read
            self._devices = devices

    def _keep_copy(self, devices: list[RegisteredDevice]) -> bool:
        """Replace the copy on the disk; where that fails (disk full) the next refresh tries again."""
        beside = self._copy.with_suffix(f".{os.getpid()}.new")  # the node's processes share the copy
        try:
            with beside.open("w", encoding="utf-8") as file:
                json.dump([d.to_json() for d in devices], file)
                file.flush()
                os.fsync(file.fileno())  # else a power cut leaves an empty file under the name
            beside.rename(self._copy)
        except OSError as error:
            log.warning("devices_not_kept", reason=error.strerror)
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)
            return False
        return True

    def _keep_fresh(self) -> None:
        while not self._stop.wait(REFRESH_SECONDS):
            self.refresh()

    def _take_copy(self) -> None:
        """What another process of the node found, or at the start an earlier run. One that is damaged is passed over:
        the truth is in the database, and this machine may send anyway."""
        try:
            found = self._copy.stat()
        except OSError:  # there is none yet
            return
        if self._copied == (found.st_mtime_ns, found.st_ino):
            return
        try:
            told = json.loads(self._copy.read_text(encoding="utf-8"))
            self._devices = [RegisteredDevice.from_json(d) for d in told]
        except (OSError, ValueError, TypeError) as error:
            log.error("devices_unreadable", error=type(error).__name__)
        self._copied = (found.st_mtime_ns, found.st_ino)
