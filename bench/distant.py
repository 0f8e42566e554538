"""The same series from a second Tongying, with its objects in an S3 on this machine, in turns with the local one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from bench.peers import Peer, Tongying
from bench.run import Run
from tests.support.services import ACCESS_KEY, SECRET_KEY, s3_server

REMARK = (
    "From S3: a second Tongying whose objects are in an S3 server on the same two cores (SeaweedFS, else versitygw, or "
    "rclone serve s3); in turns with the local one. Of the local rate: of the same rounds. At most: if all cores did "
    "nothing but that work of client, Tongying and S3 server which was measured; an S3 server has machines of its own."
)
Samples = list[tuple[str, str, list[float]]]  # what, unit, values


class Read(NamedTuple):
    """A series that was read: MB/s, and CPU milliseconds for each MB of its server, of the client and of the store."""

    speed: float
    cpu: float
    client: float
    store: float = 0.0

    @property
    def bound(self) -> float:
        """MB/s, if all cores did nothing else."""
        return (os.cpu_count() or 1) * 1000 / (self.cpu + self.client + self.store)


@contextmanager
def distant(run: Run) -> Iterator[tuple[Peer, list[int]]]:
    """Started, and stopped at the end with its S3 server, whose process is told too."""
    store = s3_server(run.folder / "s3")
    settings = {
        "TONGYING_OBJECT_STORE": "s3://tongying/archive", "TONGYING_S3_ENDPOINT": store.endpoint,
        "TONGYING_S3_ACCESS_KEY": ACCESS_KEY, "TONGYING_S3_SECRET_KEY": SECRET_KEY,
    }  # fmt: skip
    store.service.start()
    try:
        peer = Tongying(run.folder / "distant", settings)
        try:
            process = store.service.process
            yield peer, [process.pid] if process is not None else []
        finally:
            peer.stop()
    finally:
        store.service.stop()


def beside(rounds: int, local: Callable[[], Read], far: Callable[[], Read]) -> Samples:
    """Both read a series. One round before them is not counted."""
    local(), far()
    taken = [(local(), far()) for _ in range(rounds)]
    return [
        ("series from S3", "MB/s", [there.speed for _, there in taken]),
        ("series from S3, of the local rate", "%", [there.speed / here.speed * 100 for here, there in taken]),
        (
            "series from S3, of the local rate, at most",
            "%",
            [there.bound / here.speed * 100 for here, there in taken],
        ),
        ("series from S3: CPU, all its processes", "ms/MB", [there.cpu for _, there in taken]),
        ("series from S3: CPU, S3 server", "ms/MB", [there.store for _, there in taken]),
        ("series from S3: CPU, client", "ms/MB", [there.client for _, there in taken]),
    ]
