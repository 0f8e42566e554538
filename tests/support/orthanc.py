"""A hospital's Orthanc as Debian ships it, on free ports, and the process of a server that follows it."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from storage.edges import Edge
from tests.support.server import Server, eventually, free_port
from tests.support.services import Service, answers
from tests.support.watch import part

EXCHANGE = "dicom_node.exchange"
USER, PASSWORD = "tongying", "an edge's own pässword 密"
DICOMWEB = {"Plugins": ["/usr/share/orthanc/plugins/libOrthancDicomWeb.so"], "DicomWeb": {"Enable": True}}


@dataclass
class OrthancServer:
    """One Orthanc with a password, its REST API alone unless `more` names plug-ins. Start it again and it has the same
    ports and data."""

    folder: Path
    overwrite: bool = False
    more: dict[str, Any] = field(default_factory=dict)  # of its settings
    port: int = field(default_factory=free_port)
    dicom_port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
        assert path, "install an Orthanc for the tests: deploy/test-tools.sh"
        config = self.folder / "orthanc.json"
        config.write_text(json.dumps(self._settings()))
        self.service = Service(
            "Orthanc", [path, config], self.folder / "orthanc.log", lambda: answers(self.port)
        )
        self.client = httpx.Client(
            base_url=self.url,
            auth=(USER.encode(), PASSWORD.encode()),
            timeout=30,
            trust_env=False,
            limits=httpx.Limits(max_keepalive_connections=0),  # it closes them after an idle second: a race
        )

    def _settings(self) -> dict[str, Any]:
        return {
            "Name": "edge", "StorageDirectory": str(self.storage), "IndexDirectory": str(self.storage),
            "HttpPort": self.port, "DicomPort": self.dicom_port, "RemoteAccessAllowed": True,
            "AuthenticationEnabled": True, "RegisteredUsers": {USER: PASSWORD}, "StableAge": 2,
            "OverwriteInstances": self.overwrite, "DicomCheckCalledAet": False, **self.more,
        }  # fmt: skip

    @property
    def storage(self) -> Path:
        return self.folder / "storage"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @property
    def password_file(self) -> Path:
        path = self.folder / "password"
        path.write_text(PASSWORD + "\n", encoding="utf-8")
        return path

    def start(self) -> OrthancServer:
        self.service.start()
        return self

    def stop(self) -> None:
        self.service.stop()

    def empty(self) -> None:
        """Replace its database by an empty one; it must not run."""
        shutil.rmtree(self.storage)

    def store(self, files: list[bytes]) -> list[dict[str, Any]]:
        """Its answer to each."""
        return [self.client.post("instances", content=file).raise_for_status().json() for file in files]

    def count(self) -> int:
        return int(self.client.get("statistics").raise_for_status().json()["CountInstances"])

    def files(self, study_uid: str) -> dict[str, bytes]:
        """SOP Instance UID → file, of a study."""
        asked = {"Level": "Instance", "Query": {"StudyInstanceUID": study_uid}, "Expand": True}
        found = self.client.post("tools/find", json=asked).raise_for_status().json()
        return {
            i["MainDicomTags"]["SOPInstanceUID"]: self.client.get(f"instances/{i['ID']}/file").content
            for i in found
        }

    def edge(self, name: str, facility: str = "LOCAL", password: str = PASSWORD) -> Edge:
        """To register it under."""
        return Edge(name, facility, self.url, USER, password)


def listed(archive: Server, name: str) -> list[str]:
    """The columns of `tongying orthanc list` for one Orthanc."""
    lines = archive.run("orthanc", "list").stdout.splitlines()
    return next((line.split("\t") for line in lines if line.startswith(name + "\t")), [])


class Exchange:
    """The process of a server that follows the Orthancs: stopped for a while, killed, and what it logs meanwhile."""

    def __init__(self, archive: Server) -> None:
        self._archive, self._from = archive, archive.log.stat().st_size

    def pause(self) -> None:
        """It does nothing any more, until it is killed."""
        part(self._archive, EXCHANGE).suspend()

    def kill(self) -> None:
        """As a power cut does; the server starts it again."""
        process = part(self._archive, EXCHANGE)
        process.kill()
        eventually(lambda: not process.is_running(), 10, "it is dead")

    def log(self) -> str:
        """What the server logged since this object was made."""
        return self._archive.log.read_bytes()[self._from :].decode(errors="replace")

    def said(self, event: str) -> list[dict[str, Any]]:
        """The log's lines of one event."""
        lines = [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == event]
