"""Exchanges of a refresh token that cross."""

from __future__ import annotations

from sqlalchemy import text

from storage import sessions
from storage.archive import Archive


def test_who_waited_for_anothers_exchange_does_not_get_one_of_his_own(archive: Archive) -> None:
    """His transaction began first, so the other's exchange, for which he waited, is later than his own time."""
    session = sessions.begin(archive, "admin")
    token = sessions.refresh_token(archive, session)
    assert sessions.renew(archive, token) is not None
    with archive.database.begin() as connection:
        connection.execute(
            text("UPDATE refresh_tokens SET used_at = now() + interval '1 second' WHERE used_at < now()")
        )
    assert sessions.renew(archive, token) is None
    assert sessions.of_user(archive, "admin") == [], "it ended"


def test_a_page_whose_answer_was_lost_goes_on(archive: Archive) -> None:
    session = sessions.begin(archive, "admin")
    token = sessions.refresh_token(archive, session)
    assert [sessions.renew(archive, token, of=session) is not None for _ in range(3)] == [True] * 3
