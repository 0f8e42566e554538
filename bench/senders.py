"""Senders, one process for each association: DCMTK's, and one that has its images in memory."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from bench.measure import stop_by_pid
from bench.peers import PDU_BYTES, Peer
from tests.support.dicom import NO_WAIT
from tests.support.server import ROOT

SEND_SECONDS_MAX = 300


def send(peer: Peer, associations: list[list[Path]], *, nagle: bool = False) -> float:
    """Send folders, each list in an association of its own, all at once; seconds until all have ended.

    `nagle`: as DCMTK comes, Nagle's algorithm holds back small segments until what was sent before is acknowledged;
    else it is off. Raises OSError if a sender failed.
    """
    start = time.perf_counter()
    environment = {name: value for name, value in NO_WAIT.items() if not (nagle and name == "TCP_NODELAY")}
    senders = [subprocess.Popen(_command(peer, folders), env=environment, stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE) for folders in associations]  # fmt: skip
    try:
        errors = [sender.communicate(timeout=SEND_SECONDS_MAX)[1] for sender in senders]
        seconds = time.perf_counter() - start
    finally:
        stop_by_pid(s.pid for s in senders if s.poll() is None)
    for sender, said in zip(senders, errors, strict=True):
        if sender.returncode or b"E:" in said:
            raise OSError(f"storescu to {peer.name}: {said[-500:].decode(errors='replace')}")
    return seconds


def send_from_memory(peer: Peer, associations: list[list[Path]]) -> float:
    """The same by `bench.modality`; seconds from when all have read their files until the last has ended. Raises
    OSError if one failed."""
    command = [sys.executable, "-m", "bench.modality", str(peer.dicom_port), peer.ae_title, str(PDU_BYTES)]
    senders = [subprocess.Popen([*command, *map(str, folders)], cwd=ROOT, stdin=subprocess.PIPE, text=True,
                                stdout=subprocess.PIPE) for folders in associations]  # fmt: skip
    try:
        _await(peer, senders, "ready")
        start = time.perf_counter()
        for sender in senders:
            assert sender.stdin is not None, "it is a pipe"
            sender.stdin.write("go\n")
            sender.stdin.flush()
        _await(peer, senders, "done")
        seconds = time.perf_counter() - start
        for sender in senders:
            sender.communicate(timeout=SEND_SECONDS_MAX)
        return seconds
    finally:
        stop_by_pid(s.pid for s in senders if s.poll() is None)


def _await(peer: Peer, senders: list[subprocess.Popen[str]], word: str) -> None:
    for sender in senders:
        assert sender.stdout is not None, "it is a pipe"
        if sender.stdout.readline().strip() != word:
            raise OSError(f"the sender to {peer.name} was not {word}")


def _command(peer: Peer, folders: list[Path]) -> list[str]:
    target = ["127.0.0.1", str(peer.dicom_port)]
    return ["storescu", "-R", "-aec", peer.ae_title, "+sd", *target, *map(str, folders)]
