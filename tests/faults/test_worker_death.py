"""Each process behind the index is killed while it waits for work: the others go on, and what is lost comes back
(promise P6). A pool of Celery's own stood still for ever when the child that held its queue's lock was killed."""

from __future__ import annotations

import psutil
import psycopg
from pydicom.uid import generate_uid

from tests.support.pdu import associated, made
from tests.support.server import Server
from tests.support.watch import arguments, settled, sop_uids


def behind_the_index(server: Server) -> list[psutil.Process]:
    """The processes that index and derive, and the clock that sweeps."""
    assert server.process is not None
    children = psutil.Process(server.process.pid).children(recursive=True)
    return [c for c in children if {"worker.app", "worker.clock"} & set(arguments(c))]


def test_any_process_of_the_worker_may_die(own_server: Server) -> None:
    study, sent = generate_uid(), set()
    for victim in reversed(behind_the_index(own_server)):  # children before their parents
        if not victim.is_running():
            continue  # it went with its parent
        victim.kill()
        one = made(study=study, series=study + ".1", patient_id="DEATH")
        with associated(own_server.dicom_port) as caller:
            assert caller.store(one.instance, one.data) == 0
        sent.add(one.instance)
        settled(own_server)
        lose_hints(own_server)
        settled(own_server)
    assert sent, "there was nobody to kill"
    assert set(sop_uids(own_server, study)) == sent


def lose_hints(server: Server) -> None:
    """Every pack was tried and waits to be indexed, and only the sweep will find it."""
    with psycopg.connect(f"host={server.data / 'postgres'} dbname=tongying user=postgres") as connection:
        lost = connection.execute(
            "UPDATE packs SET state = 'shipped', tries = 1, hinted_at = now() - interval '1 hour'"
        )
        assert lost.rowcount
