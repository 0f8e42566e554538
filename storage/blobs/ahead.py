"""Reads of an object store in a row: where they wait on another machine, the next begins while the last one's bytes
are sent."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from storage.blobs import ObjectStore

Span = tuple[str, int, int]  # key, offset and length in bytes
THREADS_MAX = 16  # of a process; who finds none free reads for himself
_threads = ThreadPoolExecutor(THREADS_MAX, "read-ahead")


def read_spans(store: ObjectStore, spans: Iterable[Span]) -> Generator[bytes, None, None]:
    """The bytes of each, as `read_range` gives them and with its errors; at most two are held here."""
    waiting = iter(spans)
    if not store.waits:
        yield from (store.read_range(*span) for span in waiting)
        return
    first = next(waiting, None)
    data = store.read_range(*first) if first else None
    while data is not None:
        span = next(waiting, None)
        future = _threads.submit(store.read_range, *span) if span else None
        try:
            yield data
        except GeneratorExit:  # whoever reads has left
            if future:
                future.cancel()
            raise
        del data
        data = _taken(store, span, future) if span and future else None


def _taken(store: ObjectStore, span: Span, future: Future[bytes]) -> bytes:
    return store.read_range(*span) if future.cancel() else future.result()
