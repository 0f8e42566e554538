"""The DICOM conformance statement: of the node, and of the web services from the table of their transactions:
`python -m deploy.conformance`.

tests/house compares docs/conformance.md with what this prints. The order is that of PS3.2's template (N.5.3).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from http import HTTPStatus

from pydicom.uid import UID

from dicom_node import conformance
from pacs import query, rejection
from pacs.settings import Settings
from storage import answers
from viewer_api.dicomweb import apart, bodies, frames, outcome, stow
from viewer_api.dicomweb.capabilities import JSON, VARIABLES, WADL
from viewer_api.dicomweb.claims import CLAIMS, NOT_CLAIMED
from viewer_api.dicomweb.drawing import PIXELS_MAX, SIDE_MAX
from viewer_api.dicomweb.media import ACCEPT_CHARACTERS_MAX
from viewer_api.dicomweb.transactions import (
    ROOT,
    TRANSACTIONS,
    URI_SERVICE,
    WADO_URI,
    Media,
    Parameter,
    Transaction,
)  # fmt: skip
from viewer_api.problems import PROBLEM

SERVICES = {"10.6": "QIDO-RS, search", "10.4": "WADO-RS, retrieve", "10.5": "STOW-RS, store"}
WHEN = {
    HTTPStatus.OK: "done; of a store: all instances are durable",
    HTTPStatus.ACCEPTED: "of a store: some are durable; the others are named with a failure reason",
    HTTPStatus.NO_CONTENT: "of a search in XML: nothing matches",
    HTTPStatus.PARTIAL_CONTENT: "one Range of bytes, of what is no multipart answer",
    HTTPStatus.NOT_MODIFIED: "If-None-Match names what is there",
    HTTPStatus.BAD_REQUEST: "a parameter, a UID or a body that cannot be understood",
    HTTPStatus.UNAUTHORIZED: "no token, or one that is not valid any more",
    HTTPStatus.FORBIDDEN: "of a store: this account may not",
    HTTPStatus.NOT_FOUND: "it does not exist, or the account may not see it",
    HTTPStatus.NOT_ACCEPTABLE: "not in a media type or transfer syntax that Accept names; the problem says in which",
    HTTPStatus.REQUEST_TIMEOUT: "of a store: the body stopped",
    HTTPStatus.CONFLICT: "of a store: none is stored; each is named with a failure reason",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "of a store: beyond a limit below, or compressed beyond belief",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "of a store: a media type or Content-Encoding that is not taken",
    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE: "the Range begins behind the last byte",
    HTTPStatus.UNPROCESSABLE_ENTITY: "the pixels cannot be decoded, or not be encoded so; the problem names the frame",
    HTTPStatus.SERVICE_UNAVAILABLE: "database or object store are away, or too many store: Retry-After says when",
    HTTPStatus.INSUFFICIENT_STORAGE: "of a store: no room; nothing is stored",
}  # fmt: skip
REASONS = {
    outcome.OUT_OF_RESOURCES: "no room, or it is too large",
    outcome.OTHER_STUDY: "it is of another study than the URL says",
    outcome.CANNOT_UNDERSTAND: "it is no DICOM file, or cannot be read; of metadata: they cannot be made one",
    outcome.OTHER_SYNTAX: "of metadata and bulk data: in a transfer syntax that is not made here",
}


def statement() -> str:
    """The whole document, Markdown."""
    lines = (
        *_services(),
        *_claims(),
        *_media(),
        *_parameters(),
        *_statuses(),
        *_limits(),
        *_object_changes(),
    )
    return conformance.statement() + "\n" + "\n".join(lines) + "\n"


def _services() -> Iterator[str]:
    yield "## DICOM web services, as origin server (PS3.18)"
    yield f"Below `{ROOT}`. `OPTIONS` of it and of each resource tells the same in `{WADL}`"
    yield f"or `{JSON}` (PS3.18 8.9)."
    yield "Each request brings `Authorization: Bearer` with a token of `POST /api/auth/token`; OPTIONS needs none."
    yield "Other methods than these are answered 405 with those that there are. HEAD is GET without its body."
    for clause, name in SERVICES.items():
        yield ""
        yield f"### {name} (PS3.18 {clause})"
        yield "| transaction | method and resource |"
        yield "|---|---|"
        for (method, path), transaction in TRANSACTIONS.items():
            if transaction.clause == clause:
                yield f"| {transaction.name} | {method} `{_path(path)}` |"
    yield ""
    yield f"### WADO-URI (PS3.18 {URI_SERVICE.clause})"
    yield "| transaction | method and resource |"
    yield "|---|---|"
    yield f"| {URI_SERVICE.name} | GET `{WADO_URI}` |"
    yield ""


def _claims() -> Iterator[str]:
    yield "### Clauses of PS3.18 that are claimed"
    yield "Each has a test of its own in tests/conformance; the edition is 2025."
    yield ""
    yield "| clause | what is claimed |"
    yield "|---|---|"
    yield from (f"| {clause} | {what} |" for clause, what in CLAIMS.items())
    yield ""
    yield "### What of PS3.18 is not claimed"
    yield "| clause | what it has | here |"
    yield "|---|---|---|"
    yield from (f"| {clause} | {what} | {why} |" for clause, what, why in NOT_CLAIMED)
    yield ""


def _path(path: str) -> str:
    for ours, theirs in VARIABLES.items():
        path = path.replace(ours, f"{{{theirs}}}")
    return path


def _media() -> Iterator[str]:
    yield "### Media types"
    yield "`transfer-syntax=*` is as received. Where none is asked for, it is the first of these; frames in the media"
    yield "type in which they were received, and what cannot be decoded (video), come as received. Of several that an"
    yield "Accept names, the first that is possible is given. Several frames come in multipart/related, several"
    yield "instances in that or in a ZIP file."
    yield "Who accepts `application/json` is given `application/dicom+json`."
    yield ""
    yield "| transactions | gives | in the transfer syntaxes |"
    yield "|---|---|---|"
    for media, names in _alike("gives").items():
        for number, (kind, syntaxes) in enumerate(_rows(media)):
            yield f"| {', '.join(names) if number == 0 else ''} | {kind} | {syntaxes} |"
    yield ""
    yield "| transactions | takes | in the transfer syntaxes |"
    yield "|---|---|---|"
    for media, names in _alike("takes").items():
        for number, (kind, syntaxes) in enumerate(_rows(media)):
            kept = "every one, kept as it comes" if syntaxes else "as the parts of bulk data say"
            yield f"| {', '.join(names) if number == 0 else ''} | {kind} | {kept} |"
    yield ""
    yield "Bodies of a store may be in gzip (Content-Encoding), and come by chunks. Every Storage SOP class is taken."
    yield ""


def _alike(what: str) -> dict[tuple[Media, ...], list[str]]:
    """Names of the transactions that give or take the same."""
    found: dict[tuple[Media, ...], list[str]] = {}
    for transaction in (*TRANSACTIONS.values(), URI_SERVICE):
        if media := getattr(transaction, what):
            found.setdefault(media, []).append(transaction.name)
    return found


def _rows(media: tuple[Media, ...]) -> Iterator[tuple[str, str]]:
    """A type that comes both in parts and alone is told once."""
    for one in media:
        shapes = [other for other in media if other.media_type == one.media_type]
        if one is shapes[0]:
            names = (UID(s).name if s != "*" else "as received" for s in one.syntaxes)
            yield ", ".join(f"`{shape.accepts[0]}`" for shape in shapes), "; ".join(names)


def _parameters() -> Iterator[str]:
    yield "### Query parameters"
    yield "| transactions | parameter | what |"
    yield "|---|---|---|"
    found: dict[tuple[str, ...], list[Transaction]] = {}
    for transaction in (*TRANSACTIONS.values(), URI_SERVICE):
        if transaction.parameters:
            found.setdefault(tuple(p.name for p in transaction.parameters), []).append(transaction)
    for alike in found.values():
        for number, parameter in enumerate(alike[0].parameters):
            names = ", ".join(t.name for t in alike) if number == 0 else ""
            yield f"| {names} | {parameter.name} | {_said(parameter)} |"
    yield ""
    yield "Searches match attributes by keyword, by tag (eight hexadecimal digits), and within sequences by path, as"
    yield "`RequestAttributesSequence.RequestedProcedureID`: those under Query keys above, of the level searched and of"
    yield "those above it, and of instances every other. Matching is that of C-FIND: single value, list of UID (parted"
    yield "by commas), wildcard, range, universal, sequence; with `fuzzymatching=true` a patient's name by what its"
    yield "words begin with, pinyin and initials too. `includefield` may be repeated, or parted by commas."
    yield ""


def _said(parameter: Parameter) -> str:
    schema = parameter.schema
    span = f"{schema['minimum']} to {schema['maximum']}" if {"minimum", "maximum"} <= schema.keys() else ""
    default = f"default {schema['default']}" if "default" in schema else ""
    parts = (parameter.description, "required" if parameter.required else "", span, default)
    return (
        "; ".join(part for part in parts if part)
        or "/".join(map(str, schema.get("enum", ())))
        or schema["type"]
    )


def _statuses() -> Iterator[str]:
    yield "### Status codes"
    yield "| status | when |"
    yield "|---|---|"
    used = {status for one in (*TRANSACTIONS.values(), URI_SERVICE) for status in one.answered}
    yield from (f"| {status} | {WHEN[HTTPStatus(status)]} |" for status in sorted(used))
    yield ""
    yield f"What fails is told as `{PROBLEM}` (RFC 9457), but for a store that named its instances. Failure reasons"
    yield "(0008,1197) of a store:"
    yield ""
    yield "| reason | when |"
    yield "|---|---|"
    yield from (f"| {reason:04X} | {when} |" for reason, when in REASONS.items())
    yield ""
    yield "### Header fields of answers"
    yield "| field | of | what |"
    yield "|---|---|---|"
    found: dict[tuple[str, str], list[str]] = {}
    for one in (*TRANSACTIONS.values(), URI_SERVICE):
        for name, what in one.headers.items():
            found.setdefault((name, what), []).append(one.name)
    yield from (f"| {name} | {', '.join(names)} | {what} |" for (name, what), names in found.items())
    yield ""


def _limits() -> Iterator[str]:
    yield "### Limits of the web services"
    yield "| what | how much |"
    yield "|---|---|"
    rows = (
        ("results of a search above the IMAGE level", f"{answers.ROWS_MAX}, then the Warning"),
        ("results at the IMAGE level", f"{answers.INSTANCES_MAX}, then the Warning"),
        ("UIDs in one list", f"{query.UIDS_MAX}"),
        ("value of a key", f"{query.VALUE_CHARACTERS_MAX} characters"),
        ("Accept", f"{ACCEPT_CHARACTERS_MAX} characters"),
        ("frames of one request", f"{frames.FRAMES_MAX}"),
        ("side and area of a viewport", f"{SIDE_MAX} and {PIXELS_MAX} pixels"),
        ("instance that is stored", f"{Settings().object_bytes_max} bytes (setting)"),
        ("boundary of a multipart body", f"{bodies.BOUNDARY_CHARACTERS_MAX} characters"),
        ("headers of a part", f"{bodies.HEADERS_MAX}, {bodies.HEADER_BYTES_MAX} bytes each"),
        ("parts of a body", f"{bodies.PARTS_MAX}"),
        ("metadata of a body in JSON or XML", f"{apart.METADATA_BYTES_MAX} bytes"),
        ("silence within a body", f"{bodies.SILENCE_SECONDS} s"),
        ("compression of a body", f"{bodies.GZIP_RATIO_MAX} : 1"),
        ("stores at once, of a process", f"{stow.STORES_MAX}, then 503"),
        ("origins of pages that may call (CORS)", f"{Settings().cors_origins or 'none'} (setting)"),
    )
    yield from (f"| {what} | {how} |" for what, how in rows)


def _object_changes() -> Iterator[str]:
    yield ""
    yield "## Imaging Object Change Management (IHE IOCM), as Image Manager/Archive"
    yield "A Rejection Note Stored (RAD-66) is a Key Object Selection Document by C-STORE or STOW-RS whose Document"
    yield "Title is one of these. What its Current Requested Procedure Evidence Sequence names, by Study and SOP"
    yield "Instance UID, is shown no more by any service once the note is indexed; nor is the note. Storage"
    yield "commitment fails for what is rejected (0112H), and succeeds for the note."
    yield ""
    yield "| Document Title | meaning |"
    yield "|---|---|"
    yield from (f"| ({code}, DCM) | {meaning} |" for code, meaning in rejection.TITLES.items())
    yield ""
    yield f"A note names at most {rejection.NAMED_MAX} instances. All reasons are treated alike. Whether they come"
    yield "before the note or after it, and when they are sent again: they stay hidden, until the rejection is"
    yield f"restored or erased. Erased, by hand or {Settings().rejected_days} days later (setting), they leave the"
    yield "archive; what is sent after that is taken as new. Notes are not sent on by rules, and Instance"
    yield "Availability Notification tells only what arrives."


if __name__ == "__main__":
    sys.stdout.write(statement())
