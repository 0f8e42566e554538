"""Accounts that somebody guesses at are closed for a while, ever longer, and never for good.

Tries are counted apart for each address from which the user signed in lately, and together for all others: a stranger
who guesses on purpose closes the account to strangers, and not at the desk where its user sits. What nobody has is
counted as what somebody has, so that names cannot be told apart. Names and addresses are kept as hashes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import Connection, case, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from storage.archive import Archive
from storage.index.credentials import known_places, lockouts
from storage.index.tables import users
from storage.tries import TooManyTries

FORGOTTEN_AFTER = timedelta(hours=24)  # without another wrong password
PLACE_DAYS = 30  # since the user signed in there
SEEN_AGAIN = timedelta(hours=1)
FIRST_SECONDS = 30  # doubled by each wrong one that follows
DOUBLINGS_MAX = 20


def check(archive: Archive, name: str, address: str) -> bytes:
    """What the next wrong password is counted under; raises TooManyTries while that is closed."""
    who = _counted_under(archive, name, address)
    left = func.ceil(func.extract("epoch", lockouts.c.until - func.now()))
    with archive.database.read() as connection:
        seconds = connection.execute(select(left).where(lockouts.c.who == who)).scalar_one_or_none()
    if seconds is not None and seconds > 0:
        raise TooManyTries("Too many wrong passwords for this account; wait", float(seconds))
    return who


def failed(archive: Archive, who: bytes) -> None:
    """Another wrong one."""
    settings = archive.settings
    again = insert(lockouts).values(who=who)
    failures = case((lockouts.c.failed_at < func.now() - FORGOTTEN_AFTER, 1), else_=lockouts.c.failures + 1)
    beyond = func.least(failures - settings.lockout_failures, DOUBLINGS_MAX)
    seconds = func.least(FIRST_SECONDS * func.power(2, beyond), settings.lockout_seconds_max)
    until = case((beyond >= 0, func.now() + func.make_interval(0, 0, 0, 0, 0, 0, seconds)), else_=None)
    changed = {"failures": failures, "failed_at": func.now(), "until": until}
    with archive.database.begin() as connection:
        connection.execute(delete(lockouts).where(lockouts.c.failed_at < func.now() - FORGOTTEN_AFTER))
        connection.execute(again.on_conflict_do_update(index_elements=["who"], set_=changed))


def succeeded(archive: Archive, name: str, address: str, who: bytes) -> None:
    """The user signed in: the count begins anew, and the address is one of his."""
    user_id = select(users.c.id).where(users.c.name == name).scalar_subquery()
    place = insert(known_places).values(user_id=user_id, digest=_digest(address))
    seen = place.on_conflict_do_update(
        index_elements=["user_id", "digest"], set_={"seen_at": func.now()},
        where=known_places.c.seen_at < func.now() - SEEN_AGAIN,
    )  # fmt: skip
    long_ago = known_places.c.seen_at < func.now() - timedelta(days=PLACE_DAYS)
    with archive.database.begin() as connection:
        connection.execute(delete(lockouts).where(lockouts.c.who == who))
        connection.execute(delete(known_places).where(known_places.c.user_id == user_id, long_ago))
        connection.execute(seen)


def forget(archive: Archive, who: bytes) -> None:
    """The count of what is no account begins anew."""
    with archive.database.begin() as connection:
        connection.execute(delete(lockouts).where(lockouts.c.who == who))


def unlock(archive: Archive, name: str) -> None:
    """For administrators: it is open again to strangers, and where the user signed in."""
    with archive.database.begin() as connection:
        connection.execute(delete(lockouts).where(lockouts.c.who.in_(_counts_of(connection, [name]))))


def closed(archive: Archive, names: Collection[str]) -> dict[str, datetime]:
    """Of these accounts those that are closed now, to strangers or where the user signed in, and until when."""
    with archive.database.read() as connection:
        counted = _counts_of(connection, names)
        shut = select(lockouts.c.who, lockouts.c.until).where(lockouts.c.who.in_(counted))
        rows = connection.execute(shut.where(lockouts.c.until > func.now()).order_by(lockouts.c.until)).all()
    return {counted[bytes(who)]: until for who, until in rows}


def _counts_of(connection: Connection, names: Collection[str]) -> dict[bytes, str]:
    """Under what tries are counted, by strangers and where the user signed in, and for whose account."""
    places = select(users.c.name, known_places.c.digest).join(known_places).where(users.c.name.in_(names))
    counted = {_digest(name): name for name in names}
    return counted | {_digest(name, bytes(one).hex()): name for name, one in connection.execute(places)}


def _counted_under(archive: Archive, name: str, address: str) -> bytes:
    place = _digest(address)
    lately = known_places.c.seen_at >= func.now() - timedelta(days=PLACE_DAYS)
    query = select(known_places.c.user_id).join(users)
    with archive.database.read() as connection:
        known = connection.execute(
            query.where(users.c.name == name, known_places.c.digest == place, lately)
        ).first()
    return _digest(name, place.hex()) if known else _digest(name)


def _digest(*parts: str) -> bytes:
    return hashlib.sha256("\0".join(parts).encode(errors="replace")).digest()
