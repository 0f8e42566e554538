"""A rendition while it is made: the frames that are done, in a file, and beside it what is known of each. Whoever goes
on with it, also after a kill, finds them; if the file is lost, they are made anew."""

from __future__ import annotations

import contextlib
import json
import os
import time
import zlib
from pathlib import Path
from types import TracebackType

from pacs.settings import Settings
from storage.progressive import Lines, encode_index

KEPT_SECONDS = 24 * 3600  # a file that nobody has gone on with for so long is removed
CHUNK_BYTES = 4 * 1024 * 1024
FOLDER = "renditions"  # under the data directory


class WorkFile:
    """The object under `key`, as far as it is made. One process at a time may have it open."""

    def __init__(self, settings: Settings, key: str) -> None:
        folder = settings.data / FOLDER
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = folder / key.replace("/", "_")
        self._notes_path = self.path.with_suffix(".lines")
        self.lines: Lines = []
        self.count = 0  # of frames that are in it
        self._size = 0

    def __enter__(self) -> WorkFile:
        self._file = self.path.open("a+b")
        self._notes = self._notes_path.open("a+b")
        self._resume()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._notes.close()

    def frames_of(self, sop_instance: str) -> int:
        """How many frames of an instance are done."""
        return next((len(frames) for uid, frames in reversed(self.lines) if uid == sop_instance), 0)

    def add(self, sop_instance: str, frame: tuple[bytes, tuple[int, ...]] | None) -> None:
        """The next frame of an instance and where its resolutions end, or that it has none."""
        line = None
        if frame is not None:
            data, ends = frame
            self._file.write(data)
            self._file.flush()
            line = (zlib.crc32(data), ends)
        self._notes.write(json.dumps([sop_instance, line]).encode() + b"\n")
        self._notes.flush()
        self._note(sop_instance, line)

    def finish(self) -> int:
        """Add the index; how many bytes the object has."""
        self._file.write(encode_index(self.lines))
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._file.tell()

    def remove(self) -> None:
        """It is stored, or there is nothing to store."""
        self.path.unlink(missing_ok=True)
        self._notes_path.unlink(missing_ok=True)

    def _note(self, sop_instance: str, line: tuple[int, tuple[int, ...]] | None) -> None:
        if not self.lines or self.lines[-1][0] != sop_instance:
            self.lines.append((sop_instance, []))
        self.lines[-1][1].append(line)
        if line is not None:
            self.count += 1
            self._size += line[1][-1]

    def _resume(self) -> None:
        """Take what is whole of what was written before, and cut off the rest."""
        self._notes.seek(0)
        self._file.seek(0)
        good = 0
        for note in self._notes:
            with contextlib.suppress(ValueError, TypeError, IndexError):
                uid, line = json.loads(note)
                if line is None or self._holds(*line):
                    self._note(uid, (line[0], tuple(line[1])) if line else None)
                    good += len(note)
                    continue
            break
        self._notes.truncate(good)
        self._file.truncate(self._size)
        self._file.seek(0, os.SEEK_END)

    def _holds(self, crc32: int, ends: list[int]) -> bool:
        found, left = 0, ends[-1]
        while left and (piece := self._file.read(min(left, CHUNK_BYTES))):
            found, left = zlib.crc32(piece, found), left - len(piece)
        return not left and found == crc32


def remove_old(settings: Settings) -> None:
    """Remove the files of what nobody goes on with: it was indexed anew, or is another machine's now."""
    folder: Path = settings.data / FOLDER
    if folder.is_dir():
        for path in folder.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > KEPT_SECONDS:
                    path.unlink()
