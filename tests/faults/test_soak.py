"""Load for a time: memory stays flat. `make soak` takes an hour, `make test` a moment."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from pydicom.uid import generate_uid

from tests.support import pdu
from tests.support.pdu import EXPLICIT, associated, explicit, made
from tests.support.server import Server
from tests.support.watch import arguments, settled, whole

SECONDS = int(os.environ.get("TONGYING_SOAK_SECONDS", "24"))
LONG = SECONDS >= 600
SENDERS, STORES_PER_SECOND = 3, 10  # each
PIXELS = bytes(range(256)) * 400  # 100 kB
INSTANCES_OF_A_STUDY, INSTANCES_OF_AN_ASSOCIATION = 40, 15
ASKS_PER_SECOND = 4
STUDY_FIND, PENDING = "1.2.840.10008.5.1.4.1.2.2.1", 0xFF00
MIB = 1024 * 1024
GROWTH_BYTES_MAX = (
    16 if LONG else 48
) * MIB  # of one process after the first third; a short run is still warming up
PARTS = ("dicom_node.exchange", "dicom_node", "worker.app", "viewer_api", "worker.clock", "up")


@pytest.fixture
def server(workspace: Path) -> Iterator[Server]:
    # The shelf is full after the first hundred studies: else it grows to its bound over hours, and hides what leaks.
    running = Server(workspace / "soak", {"TONGYING_SHELF_BYTES_MAX": str(8 * MIB)}).start()
    yield running
    running.remove()


def test_memory_stays_flat_under_load(server: Server) -> None:
    """Stores on associations that come and go, and queries, metadata, frames and pictures of what was stored."""
    over = threading.Event()
    stored: list[str] = []
    failed: list[BaseException] = []
    work = [_every(1 / STORES_PER_SECOND, over, failed, _Sending(server, stored)) for _ in range(SENDERS)]
    work.append(_every(1 / ASKS_PER_SECOND, over, failed, _Asking(server, stored)))
    samples = _sampled(server, SECONDS)
    over.set()
    for thread in work:
        thread.join(60)
    assert failed == []
    settled(server, 120)
    assert server.count() > SECONDS * SENDERS * STORES_PER_SECOND / 4, "there was load"
    print({who: [f"{b / MIB:.0f}" for b in rss[:: max(1, len(rss) // 12)]] for who, rss in samples.items()})
    grown = {who: _growth(rss) for who, rss in samples.items() if len(rss) > 9}
    assert {who: growth for who, growth in grown.items() if growth > GROWTH_BYTES_MAX} == {}
    whole(server)


def _growth(rss: list[int]) -> int:
    """From the middle third to the last: the most of each."""
    third = len(rss) // 3
    return max(rss[2 * third :]) - max(rss[third : 2 * third])


def _sampled(server: Server, seconds: int) -> dict[str, list[int]]:
    """Memory of each process that lives all the time, about once a second."""
    samples: dict[str, list[int]] = defaultdict(list)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(max(0.5, seconds / 600))
        for process, name in _processes(server):
            with contextlib.suppress(psutil.Error):
                samples[f"{name} {process.pid}"].append(process.memory_info().rss)
    most = max(map(len, samples.values()))
    return {who: rss for who, rss in samples.items() if len(rss) > most * 0.9}


def _processes(server: Server) -> list[tuple[psutil.Process, str]]:
    assert server.process is not None
    found = []
    for process in psutil.Process(server.process.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            command = arguments(process)
            if name := next((part for part in PARTS if part in command), ""):
                found.append((process, name))
    return found


def _every(
    pause: float, over: threading.Event, failed: list[BaseException], step: Callable[[], None]
) -> threading.Thread:
    """`step` again and again in a thread of its own, at this pace at most."""

    def run() -> None:
        try:
            while not over.wait(pause):
                step()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


class _Sending:
    """One modality."""

    def __init__(self, server: Server, stored: list[str]) -> None:
        self._server, self._stored, self._count = server, stored, 0
        self._study, self._stack = "", contextlib.ExitStack()

    def __call__(self) -> None:
        if self._count % INSTANCES_OF_A_STUDY == 0:
            self._study = generate_uid()
        if self._count % INSTANCES_OF_AN_ASSOCIATION == 0:
            self._stack.close()
            self._caller = self._stack.enter_context(associated(self._server.dicom_port))
        one = made(study=self._study, series=self._study + ".1", patient_id=self._study[-20:], pixels=PIXELS)
        assert self._caller.store(one.instance, one.data) == 0
        self._count += 1
        if self._count % INSTANCES_OF_A_STUDY == 0:
            self._stored.append(self._study)


class _Asking:
    """One reader: each time another question about a study of a while ago."""

    def __init__(self, server: Server, stored: list[str]) -> None:
        self._server, self._stored, self._count = server, stored, 0

    def __call__(self) -> None:
        if len(self._stored) < 2:
            return
        study = self._stored[self._count % (len(self._stored) - 1)]
        ask = (self._find, self._metadata, self._whole, self._listed)[self._count % 4]
        self._count += 1
        ask(study)

    def _find(self, study: str) -> None:
        identifier = explicit(0x00080052, "CS", b"STUDY ") + explicit(0x0020000D, "UI", study.encode())
        command = pdu.command(pdu.element(2, STUDY_FIND.encode()), pdu.us(0x0100, 0x0020), pdu.us(0x0110, 1),
                              pdu.us(0x0700, 0), pdu.us(0x0800, 1))  # fmt: skip
        with associated(self._server.dicom_port, [(STUDY_FIND, [EXPLICIT])]) as caller:
            caller.send(*pdu.message(command, identifier))
            while (status := caller.answer().status) == PENDING:
                caller.read()
            assert status == 0
            caller.release()

    def _metadata(self, study: str) -> None:
        assert len(self._get(f"/dicom-web/studies/{study}/metadata").json()) <= INSTANCES_OF_A_STUDY

    def _whole(self, study: str) -> None:
        self._get(f"/dicom-web/studies/{study}")

    def _listed(self, _study: str) -> None:
        self._get("/dicom-web/studies?limit=50&includefield=all")

    def _get(self, path: str) -> httpx.Response:
        return self._server.client.get(path).raise_for_status()
