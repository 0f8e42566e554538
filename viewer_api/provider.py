"""The OpenID provider that users sign in with: found by discovery, asked for tokens, and its ID tokens verified."""

from __future__ import annotations

import threading
import time
from typing import Any

import requests
from authlib.common.security import generate_token
from authlib.integrations.requests_client import OAuth2Session
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from pacs.logs import get
from pacs.settings import Settings

log = get("openid")
# Signed with a private key that we do not have: neither none, nor what our own secret could sign.
ALGORITHMS = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "Ed25519",
    "EdDSA",
)
TIMEOUT_SECONDS = 10
KEPT_SECONDS, AGAIN_SECONDS = (
    600.0,
    10.0,
)  # what discovery and the keys said; and no sooner for an unknown key
CLOCK_SECONDS = 30
AGE_SECONDS_MAX = 600  # of an ID token
VERIFIER_CHARACTERS = 64  # of PKCE (RFC 7636 4.1)
SCOPES = "openid profile"


class ProviderError(Exception):
    """It is away, or says what we cannot believe; the text says what, for the log."""


class Provider:
    """Safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._known: dict[str, Any] = {}
        self._keys: Any = None
        self._read = float("-inf")

    @property
    def redirect_uri(self) -> str:
        return self._settings.public_url.rstrip("/") + "/api/auth/openid/callback"

    def begin(self, state: str, nonce: str, verifier: str) -> str:
        """Where to send the browser: authorization code, PKCE by S256, state and nonce. Raises ProviderError."""
        endpoint = self._metadata()["authorization_endpoint"]
        with self._session() as session:
            url, _ = session.create_authorization_url(
                endpoint, state=state, nonce=nonce, code_verifier=verifier
            )
        return str(url)

    def finish(self, code: str, nonce: str, verifier: str) -> dict[str, Any]:
        """The claims of who comes back with a code. Raises ProviderError."""
        endpoint = self._metadata()["token_endpoint"]
        try:
            with self._session() as session:
                answer = session.fetch_token(
                    endpoint, grant_type="authorization_code", code=code, code_verifier=verifier,
                    timeout=TIMEOUT_SECONDS, allow_redirects=False,
                )  # fmt: skip
        except Exception as error:  # Authlib's own, requests', or of JSON: whichever, nobody is signed in
            raise ProviderError(f"token endpoint: {type(error).__name__}") from None
        return self.verified(str(answer.get("id_token", "")), nonce)

    def verified(self, token: str, nonce: str) -> dict[str, Any]:
        """The claims of an ID token (OpenID Connect Core 3.1.3.7). Raises ProviderError."""
        try:
            claims = self._decoded(token)
            registry = jwt.JWTClaimsRegistry(
                leeway=CLOCK_SECONDS,
                iss={"essential": True, "value": self._settings.openid_issuer},
                aud={"essential": True, "value": self._settings.openid_client_id},
                nonce={"essential": True, "value": nonce}, exp={"essential": True}, iat={"essential": True},
                sub={"essential": True},
            )  # fmt: skip
            registry.validate(claims)
            several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
            if claims.get("azp", None if several else self._settings.openid_client_id) != (
                self._settings.openid_client_id
            ):
                raise ProviderError("azp is another client")
            if time.time() - float(claims["iat"]) > AGE_SECONDS_MAX:
                raise ProviderError("the ID token is too old")
            if not isinstance(claims["sub"], str) or not 0 < len(claims["sub"]) <= 255:
                raise ProviderError("sub is no identifier")
        except (JoseError, ValueError, TypeError, OverflowError) as error:
            raise ProviderError(f"ID token: {type(error).__name__}") from None
        return claims

    def _decoded(self, token: str) -> dict[str, Any]:
        self._metadata()
        try:
            return jwt.decode(token, self._keys, algorithms=list(ALGORITHMS)).claims
        except (JoseError, ValueError):
            if not self._refresh(AGAIN_SECONDS):  # perhaps it has a new key
                raise
        return jwt.decode(token, self._keys, algorithms=list(ALGORITHMS)).claims

    def _metadata(self) -> dict[str, Any]:
        self._refresh(KEPT_SECONDS)
        return self._known

    def _refresh(self, seconds: float) -> bool:
        with self._lock:
            if time.monotonic() - self._read < seconds:
                return False
            issuer = self._settings.openid_issuer
            known = _json(issuer.rstrip("/") + "/.well-known/openid-configuration")
            if known.get("issuer") != issuer:  # OpenID Connect Discovery 4.3
                raise ProviderError("discovery names another issuer")
            try:
                keys = KeySet.import_key_set(_json(str(known["jwks_uri"])))  # type: ignore[arg-type]
                known = {name: str(known[name]) for name in ("authorization_endpoint", "token_endpoint")}
            except (KeyError, JoseError, ValueError, TypeError) as error:
                raise ProviderError(f"discovery: {type(error).__name__}") from None
            self._known, self._keys, self._read = known, keys, time.monotonic()
            return True

    def _session(self) -> Any:
        return OAuth2Session(
            self._settings.openid_client_id, self._settings.openid_client_secret, scope=SCOPES,
            redirect_uri=self.redirect_uri, code_challenge_method="S256",
        )  # fmt: skip


def new_secret() -> str:
    """For state, nonce and PKCE's verifier."""
    return str(generate_token(VERIFIER_CHARACTERS))


def _json(url: str) -> dict[str, Any]:
    try:
        answer = requests.get(url, timeout=TIMEOUT_SECONDS, allow_redirects=False)
        answer.raise_for_status()
        found = answer.json()
    except (requests.RequestException, ValueError) as error:
        raise ProviderError(f"discovery: {type(error).__name__}") from None
    if answer.status_code != 200 or not isinstance(found, dict):
        raise ProviderError("discovery: no JSON object")
    return found
