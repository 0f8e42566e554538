"""SIGKILL of the node at the n-th system call of each kind that touches the disk: everything acknowledged is there
afterwards, with no hand laid on (promise P1)."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.uid import generate_uid

from tests.support.inject import injected
from tests.support.pdu import associated, made
from tests.support.server import Server, eventually
from tests.support.watch import answers, part, settled, sop_uids, use, whole

KINDS = {
    "sync": "fdatasync,fsync",
    "write": "pwritev,pwritev2,pwrite64",
    "rename": "rename,renameat,renameat2",
    "link": "link,linkat",
    "remove": "unlink,unlinkat",
    "cut": "ftruncate",
}
FEW = [("sync", 1), ("sync", 4), ("write", 2), ("rename", 1), ("link", 1), ("remove", 1), ("remove", 2)]
MANY = [(kind, n) for kind in KINDS for n in range(1, 9) if (kind, n) not in FEW]


@pytest.fixture(scope="module")
def killed(workspace: Path) -> Iterator[Server]:
    """One server for all crashes, so that each meets what the one before left behind. Its node is one process: the one
    whose system calls are counted."""
    running = Server(workspace / "killed", extra={"TONGYING_NODE_PROCESSES": "1"}).start()
    try:
        yield running
        whole(running)
    finally:
        running.remove()


def send_until_it_dies(server: Server, study: str, pid: int, instances_max: int) -> set[str]:
    """Instances one after the other on one association (strace counts for each thread), with pauses in which segments
    are sealed and shipped; those acknowledged."""
    acked: set[str] = set()
    with contextlib.suppress(OSError, AssertionError), associated(server.dicom_port) as caller:
        for number in range(instances_max):
            one = made(study=study, series=study + ".1", patient_id=f"CRASH-{study[-12:]}")
            if caller.store(one.instance, one.data) == 0:
                acked.add(one.instance)
            if number % 2:
                time.sleep(0.5)
            if not lives(pid):
                break
    return acked  # what was under way when it died was not acknowledged


def lives(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def crash_at(server: Server, folder: Path, kind: str, number: int, *, surely: bool) -> None:
    study, pid = generate_uid(), use(server).pid
    with injected(pid, KINDS[kind], f"signal=KILL:when={number}", folder):
        acked = send_until_it_dies(server, study, pid, 2 * number + 2)
        if surely:
            eventually(lambda: not lives(pid), 20, "the node is dead")
    if not lives(pid):
        eventually(lambda: part(server, "dicom_node").pid != pid, 20, "the node is started again")
    eventually(lambda: answers(server), 30, "the node is back")
    settled(server)
    assert acked - set(sop_uids(server, study)) == set(), "acknowledged, then lost"


@pytest.mark.parametrize(("kind", "number"), FEW)
def test_crash(killed: Server, tmp_path: Path, kind: str, number: int) -> None:
    crash_at(killed, tmp_path, kind, number, surely=True)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "number"), MANY)
def test_more_crashes(killed: Server, tmp_path: Path, kind: str, number: int) -> None:
    crash_at(killed, tmp_path, kind, number, surely=False)
