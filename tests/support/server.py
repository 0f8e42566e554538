"""The product as its users run it: `tongying up` as a process, with a data directory and ports of its own."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
import psutil
import pytest

from deploy import cli
from storage.embedded import DATABASE
from tests.support.empty import place_empty_database
from tests.support.preloaded import Started, nursery

ROOT = Path(__file__).resolve().parents[2]
TONGYING = ROOT / ".venv" / "bin" / "tongying"

PASSWORD = "a test's own password"
PORTS = range(20_000, 32_000)  # below the usual ip_local_port_range
_ports = itertools.count(random.SystemRandom().randrange(len(PORTS)))
START_SECONDS, STOP_SECONDS = 90, 60
LOOK_SECONDS = (0.02, 0.25)  # at first, and where it takes long


def free_port() -> int:
    """A port that nobody listens on now, of those that the kernel gives to no connection: else one of the many that
    tests open may have it before the server does."""
    while True:
        port = PORTS[0] + next(_ports) % len(PORTS)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


def alive(process: psutil.Process) -> bool:
    """It may still do something; one that nobody has waited for does not: orphans are waited for by the first
    process, which may take seconds."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def eventually(check: Callable[[], Any], seconds: float = 30, what: str = "") -> Any:
    """What `check` returns once it is true; fails after `seconds`."""
    began = time.monotonic()
    while True:
        value = check()
        if value:
            return value
        waited = time.monotonic() - began
        if waited > seconds:
            raise AssertionError(f"not within {seconds} s: {what or check}")
        time.sleep(
            min(max(LOOK_SECONDS[0], waited / 20), LOOK_SECONDS[1])
        )  # who looks takes time from who works


@dataclass
class Server:
    """One running `tongying up`."""

    data: Path
    extra: dict[str, str] = field(default_factory=dict)
    http_port: int = field(default_factory=free_port)
    dicom_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | Started | None = None
    anew: bool = False  # as users start it: by a new Python, which makes its own database
    _client: httpx.Client | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def log(self) -> Path:
        return self.data.parent / f"{self.data.name}.log"

    def environment(self) -> dict[str, str]:
        """For the server, and for the command line beside it."""
        return {
            **{k: v for k, v in os.environ.items() if not k.startswith("TONGYING_")},
            "TONGYING_DATA": str(self.data),
            "TONGYING_HTTP_PORT": str(self.http_port),
            "TONGYING_DICOM_PORT": str(self.dicom_port),
            "TONGYING_ADMIN_PASSWORD": PASSWORD,
            "TONGYING_TOKEN_SECONDS": "28800",  # `client` signs in once
            "TONGYING_WEB_DIST": str(ROOT / "web_viewer" / "dist"),
            **self.extra,
        }

    def start(self) -> Server:
        self.data.mkdir(parents=True, exist_ok=True)
        if "TONGYING_DATABASE_URL" not in self.extra and not self.anew:
            place_empty_database(self.data, self.environment()["TONGYING_ADMIN_PASSWORD"])
        with self.log.open("ab") as log, Path(os.devnull).open("rb") as nothing:
            environment, folder = self.environment(), self.data.parent
            if self.anew:
                self.process = subprocess.Popen(
                    [str(TONGYING), "up"], env=environment, stdout=log, stderr=log, cwd=folder
                )
            else:
                self.process = nursery().start(["up"], environment, folder, nothing, log, log)
        try:
            eventually(self._ready, START_SECONDS, "the server is up")
        except AssertionError as error:
            self.stop()
            raise AssertionError(f"{error}; its log:\n{self.tail()}") from None
        return self

    def _ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the server ended: {self.tail()}"
        try:
            socket.create_connection(("127.0.0.1", self.dicom_port), 1).close()
            return httpx.get(f"{self.url}/readyz", timeout=2).status_code == 200
        except (OSError, httpx.HTTPError):
            return False

    def tail(self, characters: int = 3000) -> str:
        return self.log.read_text(errors="replace")[-characters:] if self.log.exists() else ""

    def stop(self) -> None:
        self._disconnect()
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(STOP_SECONDS)

    def remove(self) -> None:
        """End it whatever it is doing, and its data with it: an orderly stop takes seconds."""
        self._disconnect()
        if self.process is not None and self.process.poll() is None:
            parts = psutil.Process(self.process.pid).children(recursive=True)
            self.process.kill()
            for part in parts:
                with contextlib.suppress(psutil.NoSuchProcess):
                    part.kill()
            self.process.wait(STOP_SECONDS)
            parts += self._quit_database()
            eventually(lambda: not any(alive(p) for p in parts), STOP_SECONDS, "all are gone")
        shutil.rmtree(self.data, ignore_errors=True)

    def _quit_database(self) -> list[psutil.Process]:
        """It has left its starter; killed, it would leave shared memory."""
        file = self.data / "postgres" / "postmaster.pid"
        with contextlib.suppress(OSError, ValueError, IndexError, psutil.NoSuchProcess):
            postmaster = psutil.Process(int(file.read_text().splitlines()[0]))
            if postmaster.name() == "postgres":
                postmaster.send_signal(signal.SIGQUIT)
                return [postmaster]
        return []

    def _disconnect(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    @property
    def client(self) -> httpx.Client:
        """Signed in."""
        if self._client is None:
            form = {"username": "admin", "password": PASSWORD}
            token = httpx.post(f"{self.url}/api/auth/token", data=form, timeout=10).raise_for_status().json()
            bearer = {"Authorization": f"Bearer {token['access_token']}"}
            limits = httpx.Limits(
                keepalive_expiry=2
            )  # before the server, which closes idle connections after 5 s
            self._client = httpx.Client(base_url=self.url, headers=bearer, timeout=60, limits=limits)
        return self._client

    def get(self, path: str, **params: Any) -> Any:
        """JSON from the API."""
        return self.client.get(path, params=params).raise_for_status().json()

    def wait_indexed(self, instances: int, seconds: float = 60) -> None:
        """Until all studies together have this many instances."""
        eventually(
            lambda: self.count() >= instances, seconds, f"{instances} instances, there are {self.count()}"
        )

    def count(self) -> int:
        """Instances in all studies."""
        total: int = 0
        cursor = ""
        while True:
            page = self.get("/api/studies", limit=200, cursor=cursor)
            total += sum(s["instance_count"] for s in page["studies"])
            cursor = page["next_cursor"]
            if not cursor:
                return total

    def command(
        self, *arguments: str, check: bool = True, typed: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """`tongying …` as a process of its own, to which `typed` is typed."""
        with (
            tempfile.TemporaryFile() as typing,
            tempfile.TemporaryFile() as said,
            tempfile.TemporaryFile() as told,
        ):
            typing.write(typed.encode())
            typing.seek(0)
            environment = self.environment()
            process = nursery().start(list(arguments), environment, Path.cwd(), typing, said, told)
            status = process.wait(300)
            said.seek(0)
            told.seek(0)
            done = subprocess.CompletedProcess(arguments, status, said.read().decode(), told.read().decode())
        if check:
            done.check_returncode()
        return done

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`tongying …` beside the running server, within this process: to start one costs a second, a hundred times.
        Not for what logs, or what may end with its process."""
        database = f"postgresql+psycopg://postgres@/{DATABASE}?host={self.data / 'postgres'}"
        environment = self.environment() | {"TONGYING_DATABASE_URL": database}
        said, complained = io.StringIO(), io.StringIO()
        with (
            mock.patch.dict(os.environ, environment, clear=True),
            contextlib.redirect_stdout(said),
            contextlib.redirect_stderr(complained),
            pytest.raises(SystemExit) as ended,
        ):
            cli.run(list(arguments))
        status = ended.value.code or 0
        assert isinstance(status, int)
        done = subprocess.CompletedProcess(arguments, status, said.getvalue(), complained.getvalue())
        assert not (check and status), done
        return done
