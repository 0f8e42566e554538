"""User identity negotiation (PS3.7 D.3.3.7): who sits at the device, beside which device it is.

The user does not change what an association may see, which the device's registration decides; a user of another
facility than the device's is refused. Names and passcodes are checked against the archive's accounts, tokens (JWT)
as the HTTP side checks them.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections import OrderedDict
from typing import Protocol

from dicom_node.admission import CONGESTION, NO_REASON, PRESENTATION, TRANSIENT, Refusal, forbidden
from pacs.access import Principal
from storage import tries
from storage.archive import Archive
from storage.database import Unavailable
from storage.tokens import SecondFactorWanted, Subject, TokenIssuer
from storage.tries import TooManyTries

USERNAME, PASSCODE, KERBEROS, SAML, JWT = range(1, 6)  # types of identity, table D.3-14
FIELD_BYTES_MAX = 8 * 1024  # of a token; a name or a passcode has far fewer
HASHES_MAX, HASH_WAIT_SECONDS = 2, 5.0  # at once: each takes 64 MiB and a core for a moment
TRIES_PER_PEER_MAX = 30  # names and passcodes of one address that were not right before, in a minute
AWAY: tuple[type[Exception], ...] = (TimeoutError, *Unavailable)
PROVEN_SECONDS, PROVEN_MAX = 60.0, 1000  # a right passcode is not hashed again for each association


class Identity(Protocol):
    """What the peer says: pynetdicom's UserIdentityNegotiation."""

    user_identity_type: int | None
    primary_field: bytes | None
    secondary_field: bytes | None


class Users:
    """Checks who the peers say that they are. Safe to share between threads."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._required = archive.settings.dicom_identity == "required"
        self._tokens: TokenIssuer | None = None
        self._hashing = threading.BoundedSemaphore(HASHES_MAX)
        self._secret = secrets.token_bytes(32)
        self._proven: OrderedDict[bytes, float] = OrderedDict()
        self._lock = threading.Lock()

    def check(self, said: Identity | None, peer: str, facility: str) -> Principal | Refusal | None:
        """The user; None where nobody needs to be told, or where what is told is of a kind that we do not know and
        do not need (D.3.3.7.1); else why the association is refused."""
        kind = said.user_identity_type if said is not None else None
        if said is None or kind not in (USERNAME, PASSCODE, JWT) or (kind == USERNAME and self._required):
            if self._required:
                return forbidden(NO_REASON, "a user's name and passcode, or a token, is required")
            return None
        try:
            user = self._user(said, peer)
        except TooManyTries:
            return Refusal(TRANSIENT, PRESENTATION, CONGESTION, "too many wrong passcodes from this address")
        except AWAY:
            return Refusal(TRANSIENT, PRESENTATION, CONGESTION, "the user cannot be checked now")
        if user is None:
            return forbidden(NO_REASON, "the user is not known, or the passcode or token is wrong")
        if user.facility not in (None, facility):
            return forbidden(NO_REASON, "the user belongs to another facility than the device")
        return user

    def _user(self, said: Identity, peer: str) -> Principal | None:
        fields = [said.primary_field or b"", said.secondary_field or b""]
        if any(len(field) > FIELD_BYTES_MAX for field in fields):
            return None
        try:
            primary, secondary = (field.decode() for field in fields)
        except UnicodeDecodeError:
            return None
        if said.user_identity_type == JWT:
            bearer = self._issuer().principal(primary.strip())
            return bearer if bearer is not None and bearer.scopes is None else None
        if said.user_identity_type == USERNAME:
            return self._issuer().known(Subject(primary))
        return self._by_passcode(primary, secondary, peer)

    def _by_passcode(self, name: str, passcode: str, peer: str) -> Principal | None:
        mark = hmac.digest(self._secret, f"{name}\0{passcode}".encode(), hashlib.sha256)
        if self._is_proven(mark):
            return self._issuer().known(Subject(name))
        tried = tries.begin(self._archive, TRIES_PER_PEER_MAX, "peer", peer)
        if not self._hashing.acquire(timeout=HASH_WAIT_SECONDS):
            raise TimeoutError
        try:
            user = self._issuer().sign_in(name, passcode, peer)
        except SecondFactorWanted:  # which there is no place for here: such a user brings a token
            user = None
        finally:
            self._hashing.release()
        if user is None or self._issuer().must_first(user):
            return None
        tries.forget(self._archive, tried)
        self._prove(mark)
        return user.principal()

    def _is_proven(self, mark: bytes) -> bool:
        with self._lock:
            return time.monotonic() < self._proven.get(mark, 0.0)

    def _prove(self, mark: bytes) -> None:
        with self._lock:
            self._proven[mark] = time.monotonic() + PROVEN_SECONDS
            self._proven.move_to_end(mark)
            while len(self._proven) > PROVEN_MAX:
                self._proven.popitem(last=False)

    def _issuer(self) -> TokenIssuer:
        """Made when it is needed first: the node starts without a database."""
        with self._lock:
            if self._tokens is None:
                self._tokens = TokenIssuer(self._archive)
            return self._tokens
