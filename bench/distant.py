"""The same series from a second Tongying, with its objects in an S3 on this machine, in turns with the local one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bench.peers import Peer, Tongying
from bench.run import Run
from tests.support.services import ACCESS_KEY, SECRET_KEY, s3_server

REMARK = (
    "From S3: a second Tongying whose objects are in an S3 server on the same two cores (SeaweedFS, else versitygw, or "
    "rclone serve s3), whose CPU is not counted; in turns with the local one. Of the local rate: of the same rounds."
)
Samples = list[tuple[str, str, list[float]]]  # what, unit, values


@contextmanager
def distant(run: Run) -> Iterator[Peer]:
    """Started, and stopped at the end with its S3 server."""
    store = s3_server(run.folder / "s3")
    settings = {
        "TONGYING_OBJECT_STORE": "s3://tongying/archive", "TONGYING_S3_ENDPOINT": store.endpoint,
        "TONGYING_S3_ACCESS_KEY": ACCESS_KEY, "TONGYING_S3_SECRET_KEY": SECRET_KEY,
    }  # fmt: skip
    store.service.start()
    try:
        peer = Tongying(run.folder / "distant", settings)
        try:
            yield peer
        finally:
            peer.stop()
    finally:
        store.service.stop()


def beside(
    rounds: int, local: Callable[[], tuple[float, float]], far: Callable[[], tuple[float, float]]
) -> Samples:
    """Both read a series: MB/s, and CPU milliseconds for each MB. One round before them is not counted."""
    local(), far()
    taken = [(local(), far()) for _ in range(rounds)]
    return [
        ("series from S3", "MB/s", [there for _, (there, _) in taken]),
        ("series from S3, of the local rate", "%", [there / here * 100 for (here, _), (there, _) in taken]),
        ("series from S3: CPU, all its processes", "ms/MB", [cpu for _, (_, cpu) in taken]),
    ]
