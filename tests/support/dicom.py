"""Foreign tools of the tests: DCMTK's senders, and pynetdicom as a sender of raw bytes."""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import httpx
from pynetdicom import AE, _config
from pynetdicom.association import Association

from pacs.encoded import read_file_meta, read_head

ATTEMPTS_MAX = 5
NO_WAIT = {**os.environ, "TCP_NODELAY": "1"}  # DCMTK's sender else waits on Nagle's algorithm


@dataclass(frozen=True, slots=True)
class Sent:
    """A file as it was sent."""

    path: Path
    sop_class: str
    sop_instance: str
    transfer_syntax: str
    sha256: str  # of the data set's bytes


def describe(path: Path) -> Sent:
    """What a file's own meta header says."""
    data = path.read_bytes()
    head = read_head(data)
    meta = read_file_meta(data)
    digest = hashlib.sha256(data[head.dataset_offset :]).hexdigest()
    return Sent(path, meta[0x00020002], meta[0x00020003], head.transfer_syntax, digest)


def send_raw(port: int, files: Iterable[Sent], *, called: str = "TONGYING") -> dict[Path, int]:
    """Send files by pynetdicom's send_c_store by path, which does not decode them; status by path."""
    _config.STORE_SEND_CHUNKED_DATASET = True  # else it decodes the file and encodes it anew
    _config.VALIDATORS["UI"] = lambda value: (True, "")  # real files hold UIDs that pynetdicom would not send
    statuses: dict[Path, int] = {}
    for group in _by_context(list(files)):
        for _ in range(ATTEMPTS_MAX):
            statuses |= _send_group(port, [f for f in group if f.path not in statuses], called)
    return statuses


def _send_group(port: int, group: list[Sent], called: str) -> dict[Path, int]:
    """What was answered. pynetdicom's own reactor may steal an answer from its sender, which then waits in vain: the
    rest is sent again, as modalities do."""
    statuses: dict[Path, int] = {}
    if not group:
        return statuses
    ae = AE("RAWSENDER")
    ae.dimse_timeout = 10
    for sop_class, syntax in {(f.sop_class, f.transfer_syntax) for f in group}:
        ae.add_requested_context(sop_class, syntax)
    association = ae.associate("127.0.0.1", port, ae_title=called)
    assert association.is_established, "the association was not accepted"
    for file in group:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            answer = association.send_c_store(str(file.path))
        if "Status" not in answer:
            return statuses
        statuses[file.path] = int(answer.Status)
    association.release()
    return statuses


def _by_context(files: list[Sent], contexts_max: int = 100) -> list[list[Sent]]:
    groups: list[list[Sent]] = [[]]
    seen: set[tuple[str, str]] = set()
    for file in sorted(files, key=lambda f: (f.sop_class, f.transfer_syntax)):
        key = (file.sop_class, file.transfer_syntax)
        if key not in seen and len(seen) == contexts_max:
            groups.append([])
            seen.clear()
        seen.add(key)
        groups[-1].append(file)
    return groups


def dcmsend(port: int, *paths: Path, calling: str = "DCMSEND") -> str:
    """DCMTK's dcmsend, never decompressing; returns its report."""
    done = subprocess.run(
        ["dcmsend", "-v", "--decompress-never", "--no-halt", "--scan-directories", "--recurse", "-aet", calling,
         "-aec", "TONGYING", "127.0.0.1", str(port), *map(str, paths)],
        env=NO_WAIT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


def storescu(port: int, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """DCMTK's storescu."""
    return subprocess.run(
        ["storescu", "-aec", "TONGYING", "127.0.0.1", str(port), *map(str, arguments)],
        env=NO_WAIT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def parts_of(response: httpx.Response) -> list[tuple[dict[str, str], bytes]]:
    """The parts of a multipart answer: headers (lower case) and body."""
    boundary = response.headers["content-type"].split("boundary=")[1].strip('"').encode()
    pieces = response.content.split(b"--" + boundary)
    assert pieces[-1].strip() == b"--", "the answer is cut short"
    found: list[tuple[dict[str, str], bytes]] = []
    for piece in pieces[1:-1]:
        head, _, body = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        headers = dict(line.decode().split(": ", 1) for line in head.split(b"\r\n") if line)
        found.append(({k.lower(): v for k, v in headers.items()}, body.removesuffix(b"\r\n")))
    return found


def dataset_sha256(part10: bytes) -> str:
    """Of the data set in Part 10 bytes."""
    return hashlib.sha256(part10[read_head(part10).dataset_offset :]).hexdigest()


def pause(association: Association) -> None:
    """Before a request of a pynetdicom requestor: wait until its reactor waits. It calls itself paused a moment before
    it looks whether it may go on, and a reactor that went on takes the first answer away (3.0.4, `_run_reactor`)."""
    checkpoint = association._reactor_checkpoint
    checkpoint.clear()
    while not checkpoint._cond._waiters:  # type: ignore[attr-defined]  # nothing public tells it
        time.sleep(0.0005)
