"""The embedded broker: kombu's file system transport, with every file whole or absent.

kombu 5.7 creates a message file and fills it afterwards, so a reader may find it empty and its worker dies of
the JSON that is not there; it also moves messages through the system's temporary folder.
"""

from __future__ import annotations

import fcntl
import os
import uuid
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.transport import filesystem
from kombu.utils.encoding import str_to_bytes
from kombu.utils.json import dumps, loads


class Channel(filesystem.Channel):
    """Writes beside and renames; takes a message by renaming it, which one process alone can do."""

    def _put(self, queue: str, payload: dict[str, Any], **_: Any) -> None:  # type: ignore[override]  # as its parent
        folder = Path(self.data_folder_out)
        name = f"{os.times().elapsed:018.3f}_{uuid.uuid4().hex}.{queue}.msg"
        _write_whole(folder / name, dumps(payload))

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        ending = f".{queue}.msg"
        folder = Path(self.data_folder_in)
        for waiting in sorted(p for p in folder.iterdir() if p.name.endswith(ending) and p.name[0] != "."):
            taken = waiting.with_name(f".{waiting.name}.taken")
            try:
                waiting.rename(taken)
            except FileNotFoundError:
                continue  # another worker was faster
            payload = taken.read_bytes()
            taken.unlink()
            return loads(payload.decode())
        raise Empty

    def _queue_bind(self, exchange: str, routing_key: str | None, pattern: str | None, queue: str) -> None:
        path = Path(self._exchange_file(exchange))  # type: ignore[attr-defined]  # not in the stubs
        path.parent.mkdir(exist_ok=True)
        with (path.parent / ".lock").open("w") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            bound = self.get_table(exchange)
            row = filesystem.exchange_queue_t(routing_key or "", pattern or "", queue or "")
            if row not in bound:
                _write_whole(path, dumps([row, *bound]))


class Transport(filesystem.Transport):
    """Known to kombu as `tongying-files://` (see `storage.hints`)."""

    Channel = Channel


def _write_whole(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    beside.write_bytes(str_to_bytes(text))
    beside.rename(path)
