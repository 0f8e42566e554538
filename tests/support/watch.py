"""What a running server's processes use, and whether its archive is whole."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx
import psutil

from tests.support.pdu import associated
from tests.support.server import Server, eventually

WATCH_SECONDS = 0.02


def arguments(process: psutil.Process) -> list[str]:
    """What a process was started as, by a command or by a fork: that one has it in its title. Empty: it is gone."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return " ".join(process.cmdline()).split()
    return []


def part(server: Server, module: str) -> psutil.Process:
    """The process of a part: `dicom_node`, `viewer_api`; the first of several."""
    return _parts(server, module)[0]


def _parts(server: Server, module: str) -> list[psutil.Process]:
    assert server.process is not None
    tongying = psutil.Process(server.process.pid)
    found: list[psutil.Process] = eventually(
        lambda: [child for child in tongying.children() if module in arguments(child)], 30, f"{module} runs"
    )
    return found


@dataclass(frozen=True, slots=True)
class Use:
    """What the processes of a part hold together."""

    pids: frozenset[int]
    threads: int
    files: int
    rss_bytes: int

    @property
    def pid(self) -> int:
        """Of a part that is one process."""
        (only,) = self.pids
        return only


def _processes(server: Server, module: str) -> list[psutil.Process]:
    return [p for each in _parts(server, module) for p in (each, *each.children(recursive=True))]


def use(server: Server, module: str = "dicom_node") -> Use:
    processes = _processes(server, module)
    return Use(
        frozenset(p.pid for p in processes),
        sum(p.num_threads() for p in processes),
        sum(p.num_fds() for p in processes),
        sum(p.memory_info().rss for p in processes),
    )


def back_to(server: Server, before: Use, *, slack: int = 2, seconds: float = 20) -> None:
    """Until the node has no more threads and files than before; it must not have been restarted."""
    eventually(
        lambda: use(server).threads <= before.threads + slack and use(server).files <= before.files + slack,
        seconds,
        f"threads and files as before: {before}, now {use(server)}",
    )
    assert use(server).pids == before.pids, "a process of the node died"


IN_AND_OUT = ("dicom_node", "viewer_api", "worker.app")  # the parts through which bytes come and go


@contextlib.contextmanager
def memory_watched(server: Server) -> Iterator[Callable[[], dict[str, int]]]:
    """Watches the memory of the parts that bytes go through; gives how far each has risen since, at most, in bytes."""
    found = {
        module: _processes(server, module) for module in IN_AND_OUT
    }  # to look for them takes longer than to look

    def held(module: str) -> int:
        return sum(p.memory_info().rss for p in found[module])

    idle = {module: held(module) for module in IN_AND_OUT}
    most, over = dict(idle), threading.Event()

    def watch() -> None:
        while not over.wait(WATCH_SECONDS):
            for module in IN_AND_OUT:
                most[module] = max(most[module], held(module))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield lambda: {module: most[module] - idle[module] for module in IN_AND_OUT}
        assert watcher.is_alive(), "a process of theirs died"
    finally:
        over.set()
        watcher.join()


def answers(server: Server) -> bool:
    """Whether the node serves a caller."""
    try:
        with associated(server.dicom_port) as caller:
            return caller.echo() == 0
    except (OSError, AssertionError):
        return False


def settled(server: Server, seconds: float = 60) -> None:
    """Until all that was received is indexed, with no hand laid on; else the error tells what waits."""
    try:
        eventually(lambda: not _waiting(server), seconds, "the spool is empty and all is indexed")
    except AssertionError as error:
        raise AssertionError(f"{error}; {_waiting(server)}\n{server.tail(10000)}") from None


def _waiting(server: Server) -> str:
    spooled = sorted(str(p.relative_to(server.data)) for p in (server.data / "spool").glob("*/*/*.seg"))
    if spooled:
        return f"spooled: {spooled}"
    try:
        answer = httpx.get(f"{server.url}/readyz", timeout=5)
    except httpx.HTTPError as error:
        return f"no answer: {error!r}"
    quiet = answer.status_code == 200 and answer.json()["packs_waiting"] == 0
    return "" if quiet else answer.text


def whole(server: Server) -> None:
    """The last line of every test file: `tongying check` finds nothing."""
    settled(server)
    checked = server.run("check", check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def sop_uids(server: Server, study: str) -> list[str]:
    """The instances that a study shows; empty where there is no such study."""
    answer = server.client.get(f"/dicom-web/studies/{study}/metadata")
    if answer.status_code == 404:
        return []
    return [str(i["00080018"]["Value"][0]) for i in answer.raise_for_status().json()]


def knows_device(server: Server, ae_title: str) -> None:
    """Until the node admits this device, and those added before: one of its processes has read the whole registry, and
    all of them look at its copy."""
    copy = server.data / "devices.json"
    eventually(lambda: f'"{ae_title}"' in copy.read_text(), 20, f"the node knows {ae_title}")


def incidents(server: Server, kind: str) -> dict[str, int]:
    """Open incidents of a kind: SOP Instance UID → number of the incident."""
    found = server.get("/api/incidents", limit=1000)["incidents"]
    return {i["sop_instance"]: i["id"] for i in found if i["kind"] == kind}
