"""Sign-in and access tokens, for every edge: passwords checked at a bounded rate, tokens signed and read.

A token is a JWT (RFC 7519) signed with the archive's own key, so that each process reads what another one issued.
"""

from __future__ import annotations

import time
from typing import TypeVar

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from pacs.access import Principal
from storage import accounts, tries
from storage.accounts import User
from storage.archive import Archive

ISSUER = "tongying"
ALGORITHM = "HS256"
FAILURES_MAX = 10  # wrong passwords of one name from one address in a minute
TRACKED_MAX = 10_000
USER_CACHE_SECONDS = 5.0  # how long a removed account may go on
T = TypeVar("T")
NEVER_READ: tuple[float, Principal | None] = (float("-inf"), None)


class TokenIssuer:
    """Signs and reads tokens, and slows down who guesses passwords. Safe to share between threads."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._key = OctKey.import_key(accounts.signing_secret(archive))
        self._users: dict[str, tuple[float, Principal | None]] = {}
        self._read: dict[
            str, tuple[int, str]
        ] = {}  # tokens that were found to be true: when they expire, whose

    def sign_in(self, name: str, password: str, address: str) -> User | None:
        """Whose name and password these are; None if they are wrong. Raises TooManyTries."""
        tried = tries.begin(self._archive, FAILURES_MAX, "name", name, address)
        user = accounts.sign_in(self._archive, name, password)
        if user is not None:
            tries.forget(self._archive, tried)
        return user

    def issue(self, user: User) -> tuple[str, int]:
        """A token, and how many seconds it is good for."""
        seconds, now = self._archive.settings.token_seconds, int(time.time())
        claims = {"iss": ISSUER, "sub": user.name, "iat": now, "exp": now + seconds}
        return jwt.encode({"alg": ALGORITHM}, claims, self._key), seconds

    def principal(self, token: str) -> Principal | None:
        """Whose token it is; None if it is forged, expired, or its account is gone."""
        name = self.subject(token)
        return self.known(name) if name is not None else None

    def subject(self, token: str) -> str | None:
        """The name in a token; None if it is forged or expired. Whether there is such an account is not asked."""
        expires, name = self._read.get(token, (0, ""))
        if time.time() < expires:
            return name
        try:
            claims = jwt.decode(token, self._key, algorithms=[ALGORITHM]).claims
            jwt.JWTClaimsRegistry(iss={"essential": True, "value": ISSUER}, sub={"essential": True},
                                  exp={"essential": True}).validate(claims)  # fmt: skip
        except (JoseError, ValueError, TypeError):
            return None
        _keep(self._read, token, (int(claims["exp"]), str(claims["sub"])))
        return str(claims["sub"])

    def known(self, name: str) -> Principal | None:
        """An active account, as it was within the last `USER_CACHE_SECONDS`."""
        if (remembered := self.remembered(name)) is not None:
            return remembered[0]
        asked = time.monotonic()
        user = accounts.find_user(self._archive, name)
        principal = user.principal() if user else None
        _keep(self._users, name, (asked, principal))
        return principal

    def remembered(self, name: str) -> tuple[Principal | None] | None:
        """What `known` says without asking the database; None where it would ask."""
        read, principal = self._users.get(name, NEVER_READ)
        return (principal,) if time.monotonic() - read < USER_CACHE_SECONDS else None


def _keep(memory: dict[str, T], key: str, value: T) -> None:
    """A memory that is full begins anew."""
    if len(memory) >= TRACKED_MAX:
        memory.clear()
    memory[key] = value
