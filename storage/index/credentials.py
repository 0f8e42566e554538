"""What SQL holds of signing in: sessions, second factors, API clients, and what went wrong lately. Secrets are here as
hashes, or sealed (storage.seals)."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from storage.index.columns import count, identity, metadata, moment, owner, words


def _of_user(*, key: bool = True) -> Column[int]:
    """Of a row that is gone with its user."""
    return Column(
        "user_id", BigInteger, ForeignKey("users.id", ondelete="CASCADE"), primary_key=key, nullable=False,
        autoincrement=False,
    )  # fmt: skip


# One row for each sign-in, with all access and refresh tokens that come of it.
sessions = Table(
    "sessions", metadata,
    identity(),
    _of_user(key=False),
    words("scope"),  # empty: whatever the user may; else one of viewer_api.scopes
    words("purpose"),  # of a launch from another system; empty: not told
    words("agent"),  # what the browser calls itself, for its user to tell his sessions apart
    moment("created_at"),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    words("ended_by"),  # sign-out, password, reuse, factor, administrator
    Index("ix_sessions_user_id", "user_id"),
    Index("ix_sessions_expires_at", "expires_at"),
)  # fmt: skip

refresh_tokens = Table(
    "refresh_tokens", metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("session_id", BigInteger, ForeignKey(sessions.c.id, ondelete="CASCADE"), nullable=False),
    moment("created_at"),
    Column("used_at", DateTime(timezone=True)),
    Index("ix_refresh_tokens_session_id", "session_id"),
)  # fmt: skip

# Of users whose password somebody else chose, until they have chosen one.
credentials = Table(
    "credentials", metadata,
    _of_user(),
    Column("must_change", Boolean, nullable=False, server_default=text("false")),
    moment("changed_at"),
)  # fmt: skip

second_factors = Table(
    "second_factors", metadata,
    _of_user(),
    Column("secret", Text, nullable=False),  # sealed
    count("step"),  # of the last code that was used (RFC 6238 4.2): none is taken twice
    Column("confirmed_at", DateTime(timezone=True)),
    moment("created_at"),
)  # fmt: skip

recovery_codes = Table(
    "recovery_codes", metadata,
    _of_user(),
    Column("digest", LargeBinary, primary_key=True),
)  # fmt: skip

# Wrong passwords of an account that add up over a day (storage/lockout.py).
lockouts = Table(
    "lockouts", metadata,
    Column("who", LargeBinary, primary_key=True),
    Column("failures", Integer, nullable=False, server_default="1"),
    moment("failed_at"),
    Column("until", DateTime(timezone=True)),
    Index("ix_lockouts_failed_at", "failed_at"),
)  # fmt: skip

# Addresses from which a user signed in: who guesses elsewhere does not lock him out here.
known_places = Table(
    "known_places", metadata,
    _of_user(),
    Column("digest", LargeBinary, primary_key=True),
    moment("seen_at"),
)  # fmt: skip

clients = Table(
    "clients", metadata,
    identity(),
    owner(),
    Column("name", Text, nullable=False, unique=True),
    words("description"),
    Column("scopes", ARRAY(Text), nullable=False, server_default="{}"),
    Column("digest", LargeBinary, nullable=False),
    Column("digest_before", LargeBinary),  # of the secret before the last rotation, and until when it is taken
    Column("before_until", DateTime(timezone=True)),
    words("launch_key"),  # sealed: it verifies what the client signs
    words("launch_key_before"),
    moment("created_at"),
)  # fmt: skip

# Whatever is good once: handed over between pages, states of OIDC, launches that were used.
tickets = Table(
    "tickets", metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("value", JSONB, nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Index("ix_tickets_expires_at", "expires_at"),
)  # fmt: skip

# Users whom an OpenID provider knows, by its own name of them.
openid_subjects = Table(
    "openid_subjects", metadata,
    Column("issuer", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    _of_user(key=False),
    moment("created_at"),
    Index("ix_openid_subjects_user_id", "user_id"),
)  # fmt: skip
