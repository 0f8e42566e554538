"""Sign-in and access tokens, for every edge: passwords checked at a bounded rate, tokens signed and read.

A token is a JWT (RFC 7519) signed with the archive's own key, so that each process reads what another one issued. It
names a session of a user, an API client or a share link; whether that goes on is asked for every few seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from joserfc import jwt
from joserfc.errors import JoseError

from pacs.access import Principal
from pacs.errors import TongyingError
from storage import accounts, clients, factors, links, lockout, sessions, tries
from storage.accounts import User
from storage.archive import Archive
from storage.clients import Client
from storage.keys import Keyring
from storage.links import OpenLink

ISSUER = "tongying"
ALGORITHM = "HS256"
FAILURES_MAX = 10  # wrong passwords of one name from one address in a minute
TRACKED_MAX = 10_000
USER_CACHE_SECONDS = 5.0  # how long a removed account, or a session that was ended, may go on
T = TypeVar("T")
NEVER_READ: tuple[float, Principal | None] = (float("-inf"), None)


class SecondFactorWanted(TongyingError):
    """The password is right; the code of the second factor is missing."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a token names."""

    name: str
    session: int | None = None  # None: of no session, as for who shows a password each time
    is_client: bool = False
    link: int | None = None  # a share link, and no user


class TokenIssuer:
    """Signs and reads tokens, and slows down who guesses passwords. Safe to share between threads."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._keys = Keyring(archive)
        self._users: dict[Subject, tuple[float, Principal | None]] = {}
        self._read: dict[
            str, tuple[int, Subject]
        ] = {}  # tokens that were found to be true: when they expire, whose

    def sign_in(self, name: str, password: str, address: str, code: str = "") -> User | None:
        """Whose name and password these are; None if they are wrong. Raises TooManyTries, and SecondFactorWanted where
        only the code is missing."""
        name = name.replace("\0", "\N{REPLACEMENT CHARACTER}")  # PostgreSQL takes none, and nobody has it
        who = lockout.check(self._archive, name, address)
        tried = tries.begin(self._archive, FAILURES_MAX, "name", name, address)
        user = accounts.sign_in(self._archive, name, password)
        if user is not None and factors.is_active(self._archive, name):
            if not code:
                tries.forget(self._archive, tried)
                raise SecondFactorWanted("The code of the second factor is missing")
            user = user if factors.spend(self._archive, name, code) else None
        if user is None:
            lockout.failed(self._archive, who)
            return None
        tries.forget(self._archive, tried)
        lockout.succeeded(self._archive, name, address, who)
        return user

    def bounded(self, name: str, address: str, attempt: Callable[[], T]) -> T:
        """Something else that can be guessed, counted as a password is. Raises TooManyTries."""
        tried = tries.begin(self._archive, FAILURES_MAX, "name", name, address)
        done = attempt()
        tries.forget(self._archive, tried)
        return done

    def must_first(self, user: User) -> str:
        """What a user must do before anything else: "password", "second_factor", or nothing."""
        if accounts.must_change_password(self._archive, user.name):
            return "password"
        wanted = user.role in self._archive.settings.roles_with_second_factor
        return "second_factor" if wanted and not factors.is_active(self._archive, user.name) else ""

    def client_sign_in(self, name: str, secret: str, address: str) -> Client | None:
        """The API client whose secret this is. Raises TooManyTries."""
        tried = tries.begin(self._archive, FAILURES_MAX, "client", name, address)
        client = clients.sign_in(self._archive, name, secret)
        if client is not None:
            tries.forget(self._archive, tried)
        return client

    def issue(self, user: User, session: int | None = None) -> tuple[str, int]:
        """A token of a session, or of a new one, and how many seconds it is good for."""
        number = sessions.begin(self._archive, user.name) if session is None else session
        return self._signed({"sub": user.name, "sid": number})

    def issue_to_client(self, client: Client) -> tuple[str, int]:
        """The same for a system, which has no session: it comes again with its secret."""
        return self._signed({"sub": client.name, "cid": client.name})

    def issue_to_link(self, link: OpenLink) -> tuple[str, int]:
        """The same for who holds a share link: good for a while, and not renewed."""
        return self._signed({"sub": link.principal().name, "lid": link.id}, link.seconds)

    def _signed(self, claims: dict[str, Any], lasts: int = 0) -> tuple[str, int]:
        seconds, now = lasts or self._archive.settings.token_seconds, int(time.time())
        kid, key = self._keys.signing()
        header = {"alg": ALGORITHM, "kid": kid}
        return jwt.encode(header, {"iss": ISSUER, "iat": now, "exp": now + seconds} | claims, key), seconds

    def principal(self, token: str) -> Principal | None:
        """Whose token it is; None if it is forged, expired, or its session or account is gone."""
        subject = self.subject(token) or self.searched(token)
        return self.known(subject) if subject is not None else None

    def subject(self, token: str) -> Subject | None:
        """Whom a token names; None if it is forged or expired. The database is not asked."""
        expires, subject = self._read.get(token, (0, None))
        if time.time() < expires:
            return subject
        claims = self._claims(token, exp={"essential": True})
        if claims is None:
            return None
        subject = _subject(claims)
        if subject is not None:
            _keep(self._read, token, (int(claims["exp"]), subject))
        return subject

    def session_of(self, token: str) -> int | None:
        """The session of a token that may have expired: it shows who asks, and opens nothing by itself."""
        claims = self._claims(token)
        subject = _subject(claims) if claims is not None else None
        return subject.session if subject is not None else None

    def _claims(self, token: str, **more: Any) -> dict[str, Any] | None:
        try:
            decoded = jwt.decode(token, self._key_of, algorithms=[ALGORITHM])
            registry = jwt.JWTClaimsRegistry(
                iss={"essential": True, "value": ISSUER}, sub={"essential": True}, **more
            )
            if not more:
                decoded.claims.pop("exp", None)
            registry.validate(decoded.claims)
        except (JoseError, ValueError, TypeError):
            return None
        return decoded.claims

    def _key_of(self, found: Any) -> Any:
        key = self._keys.find(found.headers().get("kid"))
        if key is None:
            raise ValueError("it is signed with a key that is not ours")
        return key

    def searched(self, token: str) -> Subject | None:
        """Whom it names by the keys there are now; they are looked for at most once a second, by whichever call."""
        if self._keys.search():
            self._read.clear()
        return self.subject(token)

    def known(self, subject: Subject) -> Principal | None:
        """Who it is, as it was within the last `USER_CACHE_SECONDS`."""
        if (remembered := self.remembered(subject)) is not None:
            return remembered[0]
        asked = time.monotonic()
        if self._keys.refresh():
            self._read.clear()
        principal = self._found(subject)
        _keep(self._users, subject, (asked, principal))
        return principal

    def _found(self, subject: Subject) -> Principal | None:
        if subject.is_client:
            client = clients.find_client(self._archive, subject.name)
            return client.principal() if client else None
        if subject.link is not None:
            link = links.find(self._archive, subject.link)
            return link.principal() if link else None
        if subject.session is not None:
            return sessions.find_principal(self._archive, subject.name, subject.session)
        user = accounts.find_user(self._archive, subject.name)
        return user.principal() if user else None

    def remembered(self, subject: Subject) -> tuple[Principal | None] | None:
        """What `known` says without asking the database; None where it would ask."""
        read, principal = self._users.get(subject, NEVER_READ)
        return (principal,) if time.monotonic() - read < USER_CACHE_SECONDS else None

    def forget(self, subject: Subject) -> None:
        """Ask anew; other processes do so within `USER_CACHE_SECONDS`."""
        self._users.pop(subject, None)


def _subject(claims: dict[str, Any]) -> Subject | None:
    """Exactly one of a session, a client and a link."""
    name, session, client, link = claims["sub"], claims.get("sid"), claims.get("cid"), claims.get("lid")
    if not isinstance(name, str) or "\0" in name:
        return None
    if link is not None:
        alone = session is None and client is None and type(link) is int and 0 < link < 2**63
        return Subject(name, link=link) if alone else None
    if client is not None:
        return Subject(name, is_client=True) if client == name and session is None else None
    return Subject(name, session) if type(session) is int and 0 < session < 2**63 else None


def _keep(memory: dict[Any, T], key: Any, value: T) -> None:
    """A memory that is full begins anew."""
    if len(memory) >= TRACKED_MAX:
        memory.clear()
    memory[key] = value
