"""The parts of docker-compose.yml as plain processes: PostgreSQL by TCP, a broker and an S3 server with passwords, one
node, two workers and their clock, the API behind Caddy; then each server is taken away and given back (promises P1,
P3, P6)."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydicom.uid import generate_uid

from deploy import health
from pacs.settings import from_environment
from storage.blobs import open_store
from storage.hints import celery_app
from tests.integration.storage.proxy import proxy
from tests.support import ledger
from tests.support.dicom import Sent, dataset_sha256, dcmsend, describe, parts_of
from tests.support.pdu import made
from tests.support.server import PASSWORD, ROOT, TONGYING, eventually, free_port
from tests.support.services import Broker, Caddy, Database, Service, answers, s3_server
from tests.support.studies import Study, ct_study, mr_study

SEARCHABLE_SECONDS_MAX = 20  # 2 s alone; both cores may be busy with other tests
SETTLED_SECONDS_MAX = 60
WORKERS = 2
AS_RECEIVED = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}


class Deployment:
    """All parts; each can be stopped and started by itself."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        folder.chmod(0o755)  # the database runs as a user of its own when we are root
        self.folder = folder
        self.dicom_port, self.http_port = free_port(), free_port()
        self.s3 = s3_server(folder / "s3")
        self.broker = Broker(folder)
        self.database = Database(folder)
        self.node = self._part("node", "-m", "dicom_node", port=self.dicom_port)
        self.workers = [self._part(f"worker-{n}", "-m", "deploy.worker") for n in range(WORKERS)]
        self.clock = self._part("clock", "-m", "deploy.worker", "clock")
        self.exchange = self._part("exchange", "-m", "dicom_node.exchange")
        self.api = self._part("api", "-m", "viewer_api", port=self.http_port)
        caddy = shutil.which("caddy")
        self.caddy = Caddy(caddy, folder, self.http_port) if caddy else None
        self._client: httpx.Client | None = None

    def environment(self, part: str) -> dict[str, str]:
        """As in docker-compose.yml; each part has a data directory of its own, as each container has."""
        return {
            "TONGYING_DATA": str(self.folder / part),
            "TONGYING_NODE_NAME": part,
            "TONGYING_HTTP_PORT": str(self.http_port),
            "TONGYING_DICOM_PORT": str(self.dicom_port),
            "TONGYING_DATABASE_URL": self.database.url,
            "TONGYING_BROKER_URL": self.broker.url,
            "TONGYING_OBJECT_STORE": "s3://tongying/archive",
            "TONGYING_S3_ENDPOINT": self.s3.endpoint,
            "TONGYING_S3_ACCESS_KEY": "tongyingaccess",
            "TONGYING_S3_SECRET_KEY": "tongyingsecretkey",
            "TONGYING_ADMIN_PASSWORD": PASSWORD,
            "TONGYING_SECRET_KEY": "a sealing key that only these tests know",
        }

    def _part(self, name: str, *arguments: str, port: int | None = None) -> Service:
        log = self.folder / f"{name}.log"
        ready = (lambda: answers(port)) if port else (lambda: True)
        return Service(name, [sys.executable, *arguments], log, ready, self.environment(name))

    @property
    def services(self) -> list[Service]:
        """In the order of starting."""
        servers = [self.s3.service, self.broker.service, self.database.service]
        return [
            *servers,
            self.node,
            *self.workers,
            self.clock,
            self.exchange,
            self.api,
            *([self.caddy.service] if self.caddy else []),
        ]

    def start(self) -> None:
        servers, parts = self.services[:3], self.services[3:]
        start_together(servers)
        done = self.run(sys.executable, "-m", "deploy.prepare")
        assert done.returncode == 0, done.stdout + done.stderr
        start_together(parts)

    def stop(self) -> None:
        if self._client is not None:
            self._client.close()
        for service in self.services[3:]:
            service.ask_to_stop()
        for service in reversed(self.services):
            service.stop()

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """A command of the product beside the parts."""
        environment = {**os.environ, **self.environment("cli")}
        return subprocess.run(
            [str(c) for c in command],
            env=environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    @property
    def client(self) -> httpx.Client:
        """Signed in, through Caddy's TLS where it is installed."""
        if self._client is None:
            url, verify = f"http://127.0.0.1:{self.http_port}", ssl.create_default_context()
            if self.caddy:
                url = self.caddy.url
                verify = ssl.create_default_context(cafile=str(self.caddy.root_certificate))
            client = httpx.Client(base_url=url, verify=verify, timeout=20)
            form = {"username": "admin", "password": PASSWORD}
            token = client.post("/api/auth/token", data=form).raise_for_status().json()["access_token"]
            client.headers["Authorization"] = f"Bearer {token}"
            self._client = client
        return self._client

    def get(self, path: str) -> Any:
        return self.client.get(path).raise_for_status().json()

    def spooled(self) -> list[Path]:
        """What the node has acknowledged and not shipped yet."""
        return list((self.folder / "node" / "spool").glob("*/*/*.seg"))

    def settle(self) -> None:
        """Until nothing waits, with no hand laid on (promise P6)."""

        def quiet() -> bool:
            try:
                return not self.spooled() and self.get("/readyz")["packs_waiting"] == 0
            except httpx.HTTPError:
                return False

        eventually(quiet, SETTLED_SECONDS_MAX, "the spool is empty and all is indexed")

    def assert_all_lived(self) -> None:
        """No part was ended by a fault of another: each waited, and came back by itself."""
        ended = [s.name for s in self.services if s.process is None or s.process.poll() is not None]
        assert ended == []

    def check(self) -> None:
        """`tongying check`: the last line of every test."""
        done = self.run(TONGYING, "check")
        assert done.returncode == 0, done.stdout + done.stderr


def start_together(services: list[Service]) -> None:
    for service in services:
        service.launch()
    for service in services:
        service.wait()


@pytest.fixture(scope="module")
def deployment(workspace: Path) -> Iterator[Deployment]:
    running = Deployment(workspace / "deployment")
    try:
        running.start()
        yield running
    finally:
        running.stop()


class Sending:
    """A modality at work, and what it was told: its ledger."""

    def __init__(self, deployment: Deployment, folder: Path) -> None:
        self.study, self.path = generate_uid(), folder / "ledger"
        self.process = ledger.start(deployment.dicom_port, self.path, self.study)
        self.more(3)

    @property
    def acknowledged(self) -> set[str]:
        return ledger.acknowledged(self.path)

    def more(self, count: int = 5, seconds: float = 30) -> None:
        """Until so many more were acknowledged."""
        before = len(self.acknowledged)
        eventually(
            lambda: len(self.acknowledged) >= before + count, seconds, "the node goes on to acknowledge"
        )

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)


@pytest.fixture
def sending(deployment: Deployment, tmp_path: Path) -> Iterator[Sending]:
    modality = Sending(deployment, tmp_path)
    try:
        yield modality
    finally:
        modality.stop()


def judge(deployment: Deployment, sending: Sending) -> None:
    """What was acknowledged is there; the archive is whole."""
    sending.stop()
    deployment.settle()
    deployment.assert_all_lived()
    metadata = deployment.get(f"/dicom-web/studies/{sending.study}/metadata")
    shown = {instance["00080018"]["Value"][0] for instance in metadata}
    assert sending.acknowledged - shown == set(), "acknowledged, then lost"
    deployment.check()


@contextlib.contextmanager
def away(service: Service) -> Iterator[None]:
    """Stopped within the block; in any case started after it."""
    service.stop()
    try:
        yield
    finally:
        service.start()


def test_a_study_goes_the_whole_way(deployment: Deployment, tmp_path: Path) -> None:
    studies = [ct_study(tmp_path / "ct"), mr_study(tmp_path / "mr")]
    files = {study.uid: [as_dcmtk_writes(path) for path in study.files] for study in studies}

    dcmsend(deployment.dicom_port, *(study.files[0].parent for study in studies))

    for study in studies:
        eventually(partial(searchable, deployment, study), SEARCHABLE_SECONDS_MAX, "the study is found")
    for study in studies:
        answer = deployment.client.get(
            f"/dicom-web/studies/{study.uid}", headers=AS_RECEIVED
        ).raise_for_status()
        received = {dataset_sha256(body) for _, body in parts_of(answer)}
        assert received == {file.sha256 for file in files[study.uid]}
    for study in studies:
        eventually(partial(has_thumbnail, deployment, study), 20, "the thumbnail is made")
    deployment.check()


def as_dcmtk_writes(path: Path) -> Sent:
    """DCMTK's senders parse what they send and write it anew, without padding; after this it is the same bytes."""
    subprocess.run(["dcmconv", "--padding-off", path, path], check=True, timeout=20)
    return describe(path)


def searchable(deployment: Deployment, study: Study) -> bool:
    found = deployment.get(f"/api/studies?patient_id={study.patient_id}")["studies"]
    return [(s["study_uid"], s["instance_count"]) for s in found] == [(study.uid, len(study.files))]


def has_thumbnail(deployment: Deployment, study: Study) -> bool:
    """A picture of the series as it is now, not the icon that stands for one."""
    answer = deployment.client.get(f"/dicom-web/studies/{study.uid}/thumbnail").raise_for_status()
    return "max-age" in answer.headers["cache-control"] and answer.content.startswith(b"\xff\xd8")


def test_everything_is_where_it_was_configured_to_be(deployment: Deployment) -> None:
    """Objects in S3, messages at the broker, rows in PostgreSQL: nothing embedded came in by the back door."""
    for part in ("node", "worker-0", "worker-1", "clock", "api", "cli"):
        left = {path.name for path in (deployment.folder / part).glob("*")}
        assert left <= {"spool", "devices.json", "audit"}, part
    store = open_store(from_environment(deployment.environment("cli")))
    assert all(key.startswith(("packs/LOCAL/", "series/", "audit/")) for key in store.keys(""))


def test_both_workers_answer(deployment: Deployment) -> None:
    with celery_app(from_environment(deployment.environment("cli"))) as app:
        answers = app.control.ping(timeout=5, limit=WORKERS) or []
    assert {next(iter(a)) for a in answers} == {worker_name(w) for w in deployment.workers}


def worker_name(worker: Service) -> str:
    assert worker.process is not None
    return f"worker-{worker.process.pid}@{socket.gethostname()}"


@pytest.mark.parametrize("part", ["api", "node"])
def test_health_checks_tell_a_part_that_answers(
    deployment: Deployment, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable = {"api": "TONGYING_HTTP_PORT", "node": "TONGYING_DICOM_PORT"}[part]
    monkeypatch.setattr(health, "SECONDS", 1)
    with proxy(None) as hung:
        for port, status in ((deployment.environment(part)[variable], 0), (free_port(), 1), (hung.port, 1)):
            monkeypatch.setenv(variable, str(port))
            assert health.main([part]) == status


def test_caddy_speaks_tls_and_keeps_metrics_inside(deployment: Deployment) -> None:
    if deployment.caddy is None:
        pytest.skip("caddy is not installed: deploy/test-tools.sh")
    assert deployment.client.get("/healthz").text == "ok"
    assert deployment.client.get("/healthz").headers["strict-transport-security"]
    assert deployment.client.get("/metrics").status_code == 404
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(f"{deployment.caddy.url}/healthz")


def test_a_broker_that_forgets_everything_and_goes_away(deployment: Deployment, sending: Sending) -> None:
    """FLUSHALL while hints lie there, which no worker hears of; then no broker at all. The sweep finds it."""
    with paused(deployment.workers):
        eventually(lambda: deployment.broker.waiting("index") > 0, 20, "hints lie at the broker")
        deployment.broker.flush()
    with away(deployment.broker.service):
        sending.more(20)
        eventually(
            lambda: deployment.get("/readyz")["packs_waiting"] > 0, 10, "packs are shipped without a hint"
        )
    sending.more()
    judge(deployment, sending)


@contextlib.contextmanager
def paused(services: list[Service]) -> Iterator[None]:
    """SIGSTOP for the block: with no worker at the broker, hints stay in it."""
    groups = [service.process.pid for service in services if service.process]
    for group in groups:
        os.killpg(group, signal.SIGSTOP)
    try:
        yield
    finally:
        for group in groups:
            os.killpg(group, signal.SIGCONT)


def test_acknowledging_needs_neither_object_store_nor_database(
    deployment: Deployment, sending: Sending
) -> None:
    """One after the other is taken away from a modality at work; the spool keeps what cannot be shipped."""
    with away(deployment.s3.service):
        sending.more(20)
        eventually(deployment.spooled, 10, "segments wait in the spool")
        assert deployment.client.get("/healthz").status_code == 200
    with away(deployment.database.service):
        sending.more(20)
        assert deployment.client.get("/readyz").status_code == 503
    sending.more()
    judge(deployment, sending)


def test_what_the_api_acknowledged_outlives_it(deployment: Deployment) -> None:
    """Stored by STOW-RS while the object store is away; the API is killed, and nobody stores at the next one."""
    one = made()
    deployment.client.get("/healthz").raise_for_status()  # and is signed in
    with away(deployment.s3.service):
        kind = {"Content-Type": "application/dicom"}
        answer = deployment.client.post("/dicom-web/studies", content=one.part10, headers=kind)
        assert answer.status_code == 200, answer.text
        deployment.api.kill()
    deployment.api.start()

    def listed() -> bool:
        return bool(
            deployment.client.get("/dicom-web/studies", params={"StudyInstanceUID": one.study}).json()
        )

    eventually(listed, SETTLED_SECONDS_MAX, "the study is searchable")


def test_a_node_starts_while_every_server_is_away(deployment: Deployment, tmp_path: Path) -> None:
    """A power cut of the whole site: the node may be first to be back, and modalities do not wait (promise P1)."""
    deployment.node.stop()
    with away(deployment.s3.service), away(deployment.broker.service), away(deployment.database.service):
        deployment.node.start()
        modality = Sending(deployment, tmp_path)
        modality.stop()
    judge(deployment, modality)
