"""kill -9 of node, worker and database during ingest: everything acknowledged is there afterwards (promise P1, P6)."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import psutil
import pytest
from pydicom.uid import generate_uid

from tests.support import ledger
from tests.support.server import Server, eventually
from tests.support.watch import settled, sop_uids, whole

SENDERS = 2


def victims(server: Server) -> dict[str, list[int]]:
    """The processes of a running server by part; the database's is its postmaster."""
    assert server.process is not None
    found: dict[str, list[int]] = {"node": [], "worker": [], "database": []}
    for child in psutil.Process(server.process.pid).children(recursive=True):
        try:
            command = " ".join(child.cmdline())
        except psutil.Error:
            continue
        if "dicom_node" in command:
            found["node"].append(child.pid)
        elif "worker." in command:
            found["worker"].append(child.pid)
    lines = (server.data / "postgres" / "postmaster.pid").read_text().splitlines()
    found["database"].append(int(lines[0]))
    return found


def kill_one(server: Server, chance: random.Random, part: str) -> None:
    """kill -9 of one process of a part, if it lives just now."""
    try:
        pids = victims(server)[part]
        if pids:
            os.kill(chance.choice(pids), signal.SIGKILL)
    except (FileNotFoundError, ProcessLookupError):
        return


def run_kills(server: Server, folder: Path, kills: int) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print("seed", seed)
    chance = random.Random(seed)
    study = generate_uid()
    ledgers = [folder / f"{i}.ledger" for i in range(SENDERS)]
    senders = [ledger.start(server.dicom_port, path, study) for path in ledgers]
    eventually(lambda: all(ledger.acknowledged(path) for path in ledgers), 60, "both senders are at work")
    parts = ["node", "worker", "database"]
    for number in range(kills):
        time.sleep(chance.uniform(0.3, 1.8))
        kill_one(server, chance, parts[number % 3] if number < 3 else chance.choice(parts))
    time.sleep(1)
    for sender in senders:
        sender.terminate()
        sender.wait(60)
    acked = {uid for path in ledgers for uid in ledger.acknowledged(path)}
    assert len(acked) > kills, f"only {len(acked)} were acknowledged"
    settled(server, 120)
    assert acked - set(sop_uids(server, study)) == set(), "acknowledged, then lost"
    whole(server)


def test_a_few_kills_lose_nothing(own_server: Server, tmp_path: Path) -> None:
    run_kills(own_server, tmp_path, kills=6)


@pytest.mark.slow
def test_twenty_kills_lose_nothing(own_server: Server, tmp_path: Path) -> None:
    run_kills(own_server, tmp_path, kills=20)
