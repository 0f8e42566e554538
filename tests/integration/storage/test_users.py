"""Users at devices, on a real database: walls between facilities, and a database that is away."""

from __future__ import annotations

import dataclasses

from pynetdicom.pdu_primitives import UserIdentityNegotiation
from sqlalchemy import text

from dicom_node.admission import CONGESTION, NO_REASON, Refusal
from dicom_node.identity import JWT, PASSCODE, Users
from pacs.access import Principal, Role
from storage.accounts import add_user, find_user
from storage.archive import Archive
from storage.facilities import add_facility
from storage.tokens import TokenIssuer

NAME, PASSWORD = "doctor", "a doctor's password"


def identity(kind: int, primary: str, secondary: str = "") -> UserIdentityNegotiation:
    said = UserIdentityNegotiation()
    said.user_identity_type, said.primary_field = kind, primary.encode()
    said.secondary_field = secondary.encode() or None
    return said


def doctor_of(archive: Archive, facility: str) -> None:
    add_facility(archive, facility, "")
    add_user(archive, NAME, PASSWORD, Role.ADMINISTRATOR)
    with archive.database.begin() as connection:
        connection.execute(
            text(
                "UPDATE users SET facility_id = f.id FROM facilities f WHERE f.code = :code AND users.name = :name"
            ),
            {"code": facility, "name": NAME},
        )


def test_a_user_of_another_facility_is_refused(archive: Archive) -> None:
    doctor_of(archive, "NORTH")
    user = find_user(archive, NAME)
    assert user is not None
    token, _ = TokenIssuer(archive).issue(user)
    users = Users(archive)
    for said in (identity(PASSCODE, NAME, PASSWORD), identity(JWT, token)):
        assert users.check(said, "10.0.0.1", "NORTH") == Principal(NAME, Role.ADMINISTRATOR, "NORTH")
        refusal = users.check(said, "10.0.0.1", "SOUTH")
        assert isinstance(refusal, Refusal)
        assert refusal.diagnostic == NO_REASON
        assert "another facility" in refusal.reason


def test_an_account_that_is_gone_is_refused_although_it_was_right(archive: Archive) -> None:
    doctor_of(archive, "NORTH")
    users = Users(archive)
    said = identity(PASSCODE, NAME, PASSWORD)
    assert isinstance(users.check(said, "10.0.0.1", "NORTH"), Principal)
    with archive.database.begin() as connection:
        connection.execute(text("UPDATE users SET active = false"))
    users._issuer()._users.clear()  # five seconds later
    assert isinstance(users.check(said, "10.0.0.1", "NORTH"), Refusal)


def test_a_database_that_is_away_is_a_matter_of_time(archive: Archive) -> None:
    """rejected-transient: the caller may try again; who tells nothing is let in."""
    url = "postgresql+psycopg://nobody@127.0.0.1:1/nothing"
    away = Archive.open(dataclasses.replace(archive.settings, database_url=url))
    try:
        users = Users(away)
        assert users.check(None, "10.0.0.1", "LOCAL") is None
        refusal = users.check(identity(PASSCODE, NAME, PASSWORD), "10.0.0.1", "LOCAL")
        assert isinstance(refusal, Refusal)
        assert refusal.diagnostic == CONGESTION
    finally:
        away.close()
