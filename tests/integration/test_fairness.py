"""One hospital's backfill does not delay another's study, and an emergency goes before both (promise P10)."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from pydicom.uid import generate_uid

from tests.support import pdu
from tests.support.pdu import CT, EXPLICIT, Made, made, peer
from tests.support.server import Server, eventually
from tests.support.watch import arguments, knows_device, settled, whole

BACKLOG = 800  # images, some eight in a pack
SECONDS_MAX = 10  # until the others' studies are found; a second or two where the machine does nothing else


@pytest.fixture(scope="module")
def server(workspace: Path) -> Iterator[Server]:
    """One worker, and packs of a few images: a long line is soon made, and soon over."""
    extra = {"TONGYING_WORKER_PROCESSES": "1", "TONGYING_SEGMENT_BYTES_MAX": "10000"}
    running = Server(workspace / "fairness", extra=extra).start()
    for facility in ("CROWDED", "SMALL"):
        running.run("facility", "add", facility)
    for title, options in {"BACKFILL": (), "OTHER": (), "STROKE": ("--emergency",)}.items():
        facility = "CROWDED" if title != "OTHER" else "SMALL"
        running.run("device", "add", title, "127.0.0.0/8", "--facility", facility, *options)
    knows_device(running, "STROKE")
    try:
        yield running
        whole(running)
    finally:
        running.remove()


def workers(server: Server) -> list[psutil.Process]:
    assert server.process is not None
    children = psutil.Process(server.process.pid).children()
    return [c for c in children if "worker.app" in arguments(c)]


@contextmanager
def workers_stopped(server: Server) -> Iterator[None]:
    """As if they were busy: what comes meanwhile gathers."""
    found = workers(server)
    assert found
    for process in found:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in found:
            process.send_signal(signal.SIGCONT)


def send(server: Server, calling: str, several: list[Made], *, priority: int = 0) -> None:
    with peer(server.dicom_port) as caller:
        caller.associate([(CT, (EXPLICIT,))], calling=calling)
        for one in several:
            caller.send(*pdu.message(pdu.store_rq(one.instance, priority=priority), one.data))
            assert caller.answer().status == 0
        caller.release()


def study(images: int) -> list[Made]:
    study_uid, series = generate_uid(), generate_uid()
    return [made(study=study_uid, series=series) for _ in range(images)]


def packs_waiting(server: Server) -> int:
    return int(server.get("/readyz")["packs_waiting"])


def spooled(server: Server) -> list[Path]:
    return list((server.data / "spool").glob("*/*/*.seg"))


def images_of(server: Server, one: list[Made]) -> int:
    answer = server.client.get(
        "/dicom-web/studies", params={"StudyInstanceUID": one[0].study, "includefield": "all"}
    )
    shown = answer.raise_for_status().json() if answer.content else []
    return int(shown[0]["00201208"]["Value"][0]) if shown else 0


def found(server: Server, wanted: list[Made], what: str) -> None:
    """Until all its images are counted."""
    eventually(lambda: images_of(server, wanted) == len(wanted), SECONDS_MAX, what)


def test_a_backlog_delays_neither_another_facility_nor_an_emergency(server: Server) -> None:
    other, stroke, urgent = study(5), study(5), study(5)
    with workers_stopped(server):
        threads = [
            threading.Thread(target=send, args=(server, "BACKFILL", study(BACKLOG // 4))) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        send(server, "OTHER", other)
        send(server, "STROKE", stroke)
        send(server, "BACKFILL", urgent, priority=1)
        eventually(lambda: not spooled(server), 60, "all is shipped")
    backlog = packs_waiting(server)
    began = time.monotonic()
    for what, wanted in (("emergency", stroke), ("priority HIGH", urgent), ("other facility", other)):
        found(server, wanted, what)
        print(f"{what}: {time.monotonic() - began:.2f} s, {packs_waiting(server)} packs wait")
    assert time.monotonic() - began < SECONDS_MAX
    assert packs_waiting(server) > backlog * 3 / 4 > 40, "the backlog is still there"
    settled(server, 240)


def test_while_a_backfill_is_sent(server: Server) -> None:
    """The node's own share: four associations send as fast as they can, another facility's study comes between."""
    stop = threading.Event()

    def backfill() -> None:
        while not stop.is_set():
            send(server, "BACKFILL", study(50))

    threads = [threading.Thread(target=backfill) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        time.sleep(2)
        for calling in ("OTHER", "STROKE"):
            mine = study(3)
            began = time.monotonic()
            send(server, calling, mine)
            sent = time.monotonic() - began
            found(server, mine, calling)
            print(f"{calling}: sent in {sent:.2f} s, found after {time.monotonic() - began:.2f} s, "
                  f"{packs_waiting(server)} packs wait")  # fmt: skip
            assert sent < 5
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
    settled(server, 240)
