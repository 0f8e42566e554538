"""Keys that are rotated by settings: what the one before signed and sealed is taken, and no more than that."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import text

from storage import edges, keys
from storage.accounts import find_user
from storage.archive import Archive
from storage.edges import Edge, add_edge, find_edge
from storage.tokens import TokenIssuer

A, B, C = ("a" * 40, "b" * 40, "c" * 40)
EDGE = Edge("HOSP", "LOCAL", "http://127.0.0.1:8042/", "tongying", "a password")


@contextlib.contextmanager
def with_settings(archive: Archive, **changes: str) -> Iterator[Archive]:
    opened = Archive.open(replace(archive.settings, **changes))  # type: ignore[arg-type]
    try:
        yield opened
    finally:
        opened.close()


def test_a_signing_key_of_the_settings(archive: Archive) -> None:
    user = find_user(archive, "admin")
    assert user is not None
    with (
        with_settings(archive, secret=A) as first,
        with_settings(archive, secret=B, secret_before=A) as second,
    ):
        old, _ = TokenIssuer(first).issue(user)
        new, _ = TokenIssuer(second).issue(user)
        assert TokenIssuer(second).principal(old) is not None
        assert TokenIssuer(second).principal(new) is not None
        assert TokenIssuer(first).principal(new) is None
    with with_settings(archive, secret=C) as third:
        assert TokenIssuer(third).principal(old) is None


def test_a_sealing_key_of_the_settings(archive: Archive) -> None:
    with with_settings(archive, secret_key=A) as first:
        add_edge(first, EDGE)
    with with_settings(archive, secret_key=B) as without:
        assert find_edge(without, "HOSP").password == ""
        assert edges.reseal_passwords(without) == 0, "what no key opens stays"
    with with_settings(archive, secret_key=B, secret_key_before=A) as second:
        assert find_edge(second, "HOSP").password == EDGE.password
        assert edges.reseal_passwords(second) == 1
    with with_settings(archive, secret_key=B) as after:
        assert find_edge(after, "HOSP").password == EDGE.password


@pytest.mark.parametrize("at_once", [False, True])
def test_a_new_key_is_known_to_who_has_just_read_them(archive: Archive, at_once: bool) -> None:
    """A process that read its keys a moment before the rotation, and has to answer a moment after it."""
    user = find_user(archive, "admin")
    assert user is not None
    process = TokenIssuer(archive)
    keys.rotate(archive, at_once=at_once)
    new, _ = TokenIssuer(archive).issue(user)
    assert process.principal(new) is not None


def test_old_signing_keys_are_forgotten_when_nothing_of_theirs_is_good(archive: Archive) -> None:
    """A key goes when its successor is older than a session may be."""
    keys.ensure(archive)
    assert [keys.rotate(archive), keys.rotate(archive)] == [0, 0]
    ages = "UPDATE secrets SET created_at = now() - make_interval(days => 3, secs => :s) WHERE name = :n"
    with archive.database.begin() as connection:
        names = [
            str(name)
            for name in connection.execute(text("SELECT name FROM secrets ORDER BY created_at")).scalars()
        ]
        for seconds, name in zip((20, 10, 0), names, strict=True):
            connection.execute(text(ages), {"s": seconds, "n": name})
    assert keys.rotate(archive) == 2, "the newest of the three signed until now"
    assert keys.rotate(archive, at_once=True) == 2
