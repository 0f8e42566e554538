"""Scopes: what a sign-in that is limited may ask for. Everything that is not named here is refused."""

from __future__ import annotations

import re

from storage import links
from storage.clients import SCOPES
from storage.sessions import ACCOUNT

READS = frozenset({"GET", "HEAD"})
WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})

# Scope → methods and paths. Several rules of one scope add up.
RULES: tuple[tuple[str, frozenset[str], str], ...] = (
    (ACCOUNT, READS | WRITES, r"/api/(me|auth)(/.*)?"),
    ("dicomweb.read", READS | {"OPTIONS"}, r"/(dicom-web|wado)(/.*)?"),
    ("dicomweb.write", frozenset({"POST"}), r"/dicom-web/studies(/[^/]+)?"),
    ("portal.read", READS, r"/api/(me|viewers|studies)(/.*)?"),
    ("worklist", READS | WRITES, r"/api/worklist(/.*)?"),
    (links.SCOPE, READS, r"/(dicom-web|wado)(/.*)?"),
    (links.SCOPE, READS, r"/api/(studies|shared)(/.*)?"),
    ("fhir", READS | {"POST"}, r"/fhir(/.*)?"),
)
REFUSED = {ACCOUNT: "Choose a password, or enrol a second factor, first"}
_COMPILED = tuple((scope, methods, re.compile(path)) for scope, methods, path in RULES)
assert {scope for scope, _, _ in RULES} <= {*SCOPES, ACCOUNT, links.SCOPE}


def covers(scopes: frozenset[str], method: str, path: str) -> bool:
    """Whether one of the scopes allows it."""
    return any(s in scopes and method in methods and p.fullmatch(path) for s, methods, p in _COMPILED)
