"""One frame at a time, encoded by a thread that runs when nobody else wants the processor. Whoever waits for it can go
and do something more urgent: such a frame may take long, or not be worked at for a while."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from pacs.processes import only_when_idle


class Left(Exception):
    """It is not done yet, and nobody waits for it any more."""


class Encoder:
    """For one thread that asks. What was left goes on, and is found by who asks for the same again."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "encoder", only_when_idle)
        self._asked: Hashable = None
        self._frame: Future[Any] | None = None

    def made(
        self, what: Hashable, make: Callable[[], Any], stop: Callable[[], bool], look_seconds: float
    ) -> Any:
        """What `make` gives, which tells `what` from all else; raises what it raises, and Left where `stop`, which is
        asked now and then, says so."""
        frame = self._going_on(what) or self._begun(what, make)
        while not wait([frame], look_seconds).done:
            if stop():
                raise Left
        self._asked = self._frame = None
        return frame.result()

    def _going_on(self, what: Hashable) -> Future[Any] | None:
        return self._frame if self._asked == what else None

    def _begun(self, what: Hashable, make: Callable[[], Any]) -> Future[Any]:
        if self._frame is not None:
            self._frame.cancel()  # if it has not begun
        self._asked, self._frame = what, self._thread.submit(make)
        return self._frame


_mine: list[Encoder] = []
os.register_at_fork(after_in_child=_mine.clear)  # its thread is the parent's


def encoder() -> Encoder:
    """That of this process."""
    if not _mine:
        _mine.append(Encoder())
    return _mine[0]
