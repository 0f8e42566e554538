"""Where a series lies is remembered for a second (decision 0035): what came meanwhile is there, what went goes soon."""

from __future__ import annotations

import time

from tests.support.pdu import Made, associated, made
from tests.support.server import Server, eventually
from tests.support.watch import settled

ROUNDS = 4  # of arrivals while the series is looked at
GONE_SECONDS = 4.0  # after it went from the lists; two on a machine that is not busy


def stored(server: Server, one: Made) -> None:
    with associated(server.dicom_port) as caller:
        assert caller.store(one.instance, one.data) == 0
        caller.release()


def frame(server: Server, one: Made) -> int:
    path = f"/dicom-web/studies/{one.study}/series/{one.series}/instances/{one.instance}/frames/1"
    return server.client.get(path, headers={"Accept": "application/octet-stream"}).status_code


def listed(server: Server, one: Made) -> bool:
    found = server.client.get(
        f"/dicom-web/studies/{one.study}/instances", params={"SOPInstanceUID": one.instance}
    )
    return found.status_code == 200 and bool(found.json())


def test_what_comes_while_its_series_is_looked_at_is_found(server: Server) -> None:
    first = made()
    stored(server, first)
    eventually(lambda: frame(server, first) == 200, 20, "it is there")
    for _ in range(ROUNDS):
        next_one = made(study=first.study, series=first.series)
        stored(server, next_one)
        stop = time.monotonic() + 20
        while not listed(server, next_one):
            assert frame(server, first) == 200, "its series is looked at"
            assert time.monotonic() < stop
        assert frame(server, next_one) == 200, "what is listed is there"


def test_what_is_rejected_while_it_is_looked_at_goes(server: Server) -> None:
    one = made()
    other = made(study=one.study, series=one.series)
    for each in (one, other):
        stored(server, each)
    eventually(lambda: frame(server, one) == frame(server, other) == 200, 20, "they are there")
    settled(server)
    note = {"study_uid": one.study, "series_uid": one.series, "sop_uids": [one.instance], "code": "113001"}
    server.client.post("/api/rejections", json=note).raise_for_status()
    stop = time.monotonic() + 20
    while listed(server, one):
        frame(server, one)
        assert time.monotonic() < stop
    eventually(lambda: frame(server, one) == 404, GONE_SECONDS, "it is gone")
    assert frame(server, other) == 200
