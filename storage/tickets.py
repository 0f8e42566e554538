"""What is good once, for a short while: handed over between pages, or noted so that it is not taken twice."""

from __future__ import annotations

import hashlib
import secrets as random
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, func
from sqlalchemy.dialects.postgresql import insert

from storage.archive import Archive
from storage.index.credentials import tickets

TICKET_BYTES = 32


def make(archive: Archive, kind: str, value: dict[str, Any], seconds: float) -> str:
    """A ticket that stands for a value."""
    ticket = random.token_urlsafe(TICKET_BYTES)
    note(archive, kind, ticket, value, seconds)
    return ticket


def note(archive: Archive, kind: str, ticket: str, value: dict[str, Any], seconds: float) -> bool:
    """The same with a ticket of somebody else's; False if it was noted before."""
    row = {
        "digest": _digest(kind, ticket), "kind": kind, "value": value,
        "expires_at": func.now() + timedelta(seconds=seconds),
    }  # fmt: skip
    with archive.database.begin() as connection:
        connection.execute(delete(tickets).where(tickets.c.expires_at < func.now()))
        added = insert(tickets).values(row).on_conflict_do_nothing().returning(tickets.c.digest)
        return connection.execute(added).first() is not None


def take(archive: Archive, kind: str, ticket: str) -> dict[str, Any] | None:
    """What it stands for, once; None if it was taken, is too old, or of another kind."""
    mine = (tickets.c.digest == _digest(kind, ticket)) & (tickets.c.expires_at > func.now())
    with archive.database.begin() as connection:
        value = connection.execute(
            delete(tickets).where(mine).returning(tickets.c.value)
        ).scalar_one_or_none()
    return dict(value) if value is not None else None


def _digest(kind: str, ticket: str) -> bytes:
    return hashlib.sha256(f"{kind}\0{ticket}".encode(errors="replace")).digest()
