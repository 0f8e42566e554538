"""Sign-in and access tokens, for every edge: passwords checked at a bounded rate, tokens signed and read.

A token is a JWT (RFC 7519) signed with the archive's own key, so that each process reads what another one issued.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from pacs.access import Principal
from pacs.errors import TongyingError
from storage import accounts
from storage.accounts import User
from storage.archive import Archive

ISSUER = "tongying"
ALGORITHM = "HS256"
FAILURES_MAX, FAILURE_SECONDS = 10, 60.0  # wrong passwords of one name from one address
TRACKED_MAX, NAME_CHARACTERS_MAX = 10_000, 64
USER_CACHE_SECONDS = 5.0  # how long a removed account may go on


class TooManyTries(TongyingError):
    """Too many wrong passwords; wait `FAILURE_SECONDS`."""


class Tries:
    """How often something may be tried in `FAILURE_SECONDS`, each who for itself. Safe to share between threads."""

    def __init__(self, tries_max: int = FAILURES_MAX) -> None:
        self._max = tries_max
        self._recent: OrderedDict[tuple[str, ...], list[float]] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, *who: str) -> None:
        """Note a try before its slow comparison, so that many at once are many; raises TooManyTries."""
        now = time.monotonic()
        with self._lock:
            recent = [t for t in self._recent.pop(who, []) if now - t < FAILURE_SECONDS]
            allowed = len(recent) < self._max
            self._recent[who] = [*recent, now] if allowed else recent
            while len(self._recent) > TRACKED_MAX:
                self._recent.popitem(last=False)
        if not allowed:
            raise TooManyTries("Too many wrong passwords; wait a minute")

    def forget(self, *who: str) -> None:
        """It was no wrong one."""
        with self._lock:
            if tries := self._recent.get(who):
                tries.pop()


class TokenIssuer:
    """Signs and reads tokens, and slows down who guesses passwords. Safe to share between threads."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._key = OctKey.import_key(accounts.signing_secret(archive))
        self._tries = Tries()
        self._users: dict[str, tuple[float, Principal | None]] = {}

    def sign_in(self, name: str, password: str, address: str) -> User | None:
        """Whose name and password these are; None if they are wrong. Raises TooManyTries."""
        who = (name[:NAME_CHARACTERS_MAX], address)
        self._tries.begin(*who)
        user = accounts.sign_in(self._archive, name, password)
        if user is not None:
            self._tries.forget(*who)
        return user

    def issue(self, user: User) -> tuple[str, int]:
        """A token, and how many seconds it is good for."""
        seconds, now = self._archive.settings.token_seconds, int(time.time())
        claims = {"iss": ISSUER, "sub": user.name, "iat": now, "exp": now + seconds}
        return jwt.encode({"alg": ALGORITHM}, claims, self._key), seconds

    def principal(self, token: str) -> Principal | None:
        """Whose token it is; None if it is forged, expired, or its account is gone."""
        try:
            claims = jwt.decode(token, self._key, algorithms=[ALGORITHM]).claims
            jwt.JWTClaimsRegistry(iss={"essential": True, "value": ISSUER}, sub={"essential": True},
                                  exp={"essential": True}).validate(claims)  # fmt: skip
        except (JoseError, ValueError, TypeError):
            return None
        return self.known(str(claims["sub"]))

    def known(self, name: str) -> Principal | None:
        """An active account, as it was within the last `USER_CACHE_SECONDS`."""
        now = time.monotonic()
        read, principal = self._users.get(name, (-USER_CACHE_SECONDS, None))
        if now - read >= USER_CACHE_SECONDS:
            user = accounts.find_user(self._archive, name)
            principal = user.principal() if user else None
            if len(self._users) >= TRACKED_MAX:
                self._users.clear()
            self._users[name] = (now, principal)
        return principal
