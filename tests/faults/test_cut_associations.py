"""Associations that end after any byte: closed, reset, or aborted. Others are served meanwhile, and nothing stays."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest
from pydicom.uid import generate_uid

from tests.support import script
from tests.support.pdu import associated, made
from tests.support.script import Script, say
from tests.support.server import Server
from tests.support.watch import back_to, settled, use, whole

INSTANCES = 2
CUTS = 60
WAYS = ("closed", "reset", "aborted")
KINDS = ("query", "get")
STAYS_BYTES_MAX = 24 * 1024 * 1024


@pytest.fixture(scope="module")
def study(server: Server) -> str:
    """Its UID."""
    uid = generate_uid()
    with associated(server.dicom_port) as caller:
        for _ in range(INSTANCES):
            one = made(study=uid)
            assert caller.store(one.instance, one.data) == 0
        caller.release()
    settled(server)
    return uid


def script_of(kind: str, study: str) -> Script:
    return script.query(study) if kind == "query" else script.get(study, INSTANCES)


def cut_at(server: Server, study: str, kind: str, how: str, places: Iterable[int]) -> None:
    said, port = script_of(kind, study), server.dicom_port
    for _ in range(5):
        say(port, said, script.length(said), "closed")  # whole, which also warms it up
    before = use(server)
    with script.another_is_served(port, study):
        for place in places:
            say(port, said, place, how)
    say(port, said, script.length(said), "closed")
    back_to(server, before)
    assert use(server).rss_bytes - before.rss_bytes < STAYS_BYTES_MAX


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_cut_at_many_bytes(server: Server, study: str, kind: str, how: str) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print("seed", seed)
    chance = random.Random(seed)
    cut_at(server, study, kind, how, chance.sample(range(script.length(script_of(kind, study))), CUTS))


@pytest.mark.slow
@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_cut_at_every_byte(server: Server, study: str, kind: str, how: str) -> None:
    cut_at(server, study, kind, how, range(script.length(script_of(kind, study))))


def test_the_archive_is_whole(server: Server) -> None:
    whole(server)
