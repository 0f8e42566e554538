"""Disks that are full or fail: what cannot be kept is refused with 0xA700, what was acknowledged stays, and it goes
on by itself when there is room again (promises P1, P2, P6)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom.uid import generate_uid

from tests.support import pdu
from tests.support.inject import injected, times
from tests.support.pdu import COMMAND, LAST, P_DATA, Made, Peer, associated, made, pdv
from tests.support.server import Server, eventually
from tests.support.watch import back_to, settled, sop_uids, use, whole

MIB = 1024 * 1024
OUT_OF_RESOURCES = 0xA700
DISK, FREE_MIN = 700 * MIB, 64 * MIB
LARGE = 12 * MIB  # more than is gathered in memory: it goes to the disk as it arrives


@pytest.fixture
def small_disk(workspace: Path) -> Iterator[Path]:
    """A folder on a file system of its own."""
    folder = workspace / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a file system cannot be mounted here: {done.stderr.strip()}")
    folder.chmod(0o755)
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def server_on_small_disk(small_disk: Path) -> Iterator[Server]:
    extra = {"TONGYING_DISK_FREE_BYTES_MIN": str(FREE_MIN)}
    running = Server(small_disk / "s", extra=extra).start()
    yield running
    running.stop()


@contextmanager
def filled(server: Server, left: int) -> Iterator[None]:
    """All but `left` bytes of the disk are taken by somebody else."""
    ballast = server.data.parent / "ballast"
    stat = os.statvfs(server.data)
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, stat.f_bavail * stat.f_frsize - left)
    try:
        yield
    finally:
        ballast.unlink()


def send_large(caller: Peer, one: Made, size: int = LARGE) -> int:
    """An instance of many PDUs; its status."""
    caller.send(pdu.pdu(P_DATA, pdv(1, COMMAND | LAST, pdu.store_rq(one.instance))))
    head = one.data[: one.data.index(b"\xe0\x7f\x10\0OW")]
    pixels = b"\xe0\x7f\x10\0OW\0\0" + size.to_bytes(4, "little")
    caller.send(pdu.pdu(P_DATA, pdv(1, 0, head + pixels)))
    for start in range(0, size, 128 * 1024):
        last = LAST if start + 128 * 1024 >= size else 0
        caller.send(pdu.pdu(P_DATA, pdv(1, last, bytes(min(128 * 1024, size - start)))))
    return caller.answer().status


def send_all(server: Server, study: str, small: int, large: int = 0) -> dict[str, int]:
    """Instances one after the other on one association; SOP Instance UID → status."""
    statuses = {}
    with associated(server.dicom_port) as caller:
        for number in range(small + large):
            one = made(study=study, series=study + ".1", patient_id=f"DISK-{study[-12:]}")
            if number < small:
                statuses[one.instance] = caller.store(one.instance, one.data)
            else:
                statuses[one.instance] = send_large(caller, one)
        caller.release()
    return statuses


def taken(statuses: dict[str, int]) -> set[str]:
    assert set(statuses.values()) <= {0, OUT_OF_RESOURCES}, statuses
    return {uid for uid, status in statuses.items() if status == 0}


def unfinished(server: Server) -> list[str]:
    return [p.name for p in (server.data / "spool").rglob("*.part")]


def test_a_full_disk_refuses_and_goes_on_when_there_is_room(server_on_small_disk: Server) -> None:
    server, study = server_on_small_disk, generate_uid()
    before = send_all(server, study, 3, 1)
    assert len(taken(before)) == 4
    settled(server)
    held = use(server)
    with filled(server, FREE_MIN - MIB):
        eventually(lambda: not taken(send_all(server, study, 1)), 20, "it refuses")
        refused = send_all(server, study, 5, 2)
        assert set(refused.values()) == {OUT_OF_RESOURCES}
        assert unfinished(server) == []
        with associated(server.dicom_port) as caller:
            assert caller.echo() == 0, "it still answers"
        assert server.get("/readyz")["ready"], "and is searched"
    with filled(server, FREE_MIN + 3 * MIB):
        eventually(lambda: taken(send_all(server, study, 1)), 20, "there is room for small ones")
        assert set(send_all(server, study, 0, 1).values()) == {OUT_OF_RESOURCES}, "the disk ran low under way"
        assert unfinished(server) == []
    eventually(lambda: len(taken(send_all(server, study, 2, 1))) == 3, 20, "it goes on")
    settled(server)
    assert taken(before) <= set(sop_uids(server, study))
    back_to(server, held)
    whole(server)


# System calls that fail for a while, and how: each must end in a refusal, never in a loss or a dead node.
FAILING = {
    "fdatasync fails": ("fdatasync,fsync", "error=EIO:when=2+3"),
    "no space for writes": ("pwritev,pwritev2,pwrite64,writev", "error=ENOSPC:when=2+3"),
    "writes fail": ("pwritev,pwritev2,pwrite64", "error=EIO:when=1+2"),
    "nothing can be cut off": ("fdatasync,fsync,ftruncate", "error=EIO:when=2+2"),
    "no renames": ("rename,renameat,renameat2,link,linkat", "error=EIO:when=1+2"),
    "no removals": ("unlink,unlinkat", "error=EIO:when=1+2"),
    "no free space is told": ("statfs,fstatfs", "error=EIO:when=1+2"),
    "no folders": ("mkdir,mkdirat", "error=ENOSPC"),
}


@pytest.fixture(scope="module")
def failing(workspace: Path) -> Iterator[Server]:
    """One server for all of these: what one leaves behind must not harm the next. Its node is one process: the one
    whose system calls fail."""
    running = Server(workspace / "failing", extra={"TONGYING_NODE_PROCESSES": "1"}).start()
    yield running
    whole(running)
    running.remove()


@pytest.mark.parametrize("what", list(FAILING))
def test_failing_system_calls(failing: Server, tmp_path: Path, what: str) -> None:
    study, held = generate_uid(), use(failing)
    calls, fault = FAILING[what]
    with injected(held.pid, calls, fault, tmp_path) as log:
        acked = taken(send_all(failing, study, 12, 2))
        acked |= taken(send_all(failing, study, 6, 1))
        print("injected", times(log))
    acked |= taken(send_all(failing, study, 3, 1))
    settled(failing)
    assert acked - set(sop_uids(failing, study)) == set(), "acknowledged, then lost"
    assert len(acked) >= 4, "after the fault it takes again"
    assert unfinished(failing) == []
    back_to(failing, held, slack=3)
