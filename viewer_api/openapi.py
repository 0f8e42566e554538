"""The OpenAPI description, made true: of DICOMweb from the table of transactions, and of what goes wrong, which is told
as problems, from what an operation has."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from pacs.attributes import Attribute
from pacs.query import VALUE_CHARACTERS_MAX
from pacs.uids import UID_LENGTH_MAX
from viewer_api import (
    account,
    audit,
    devices,
    exchange,
    launch,
    openid,
    persons,
    share_links,
    sharing,
    sign_in,
    users,
    worklist,
)
from viewer_api.dicomweb.datasets import JSON
from viewer_api.dicomweb.transactions import (
    DATASET,
    ROOT,
    TRANSACTIONS,
    UID_PATTERN,
    URI_SERVICE,
    WADO_URI,
    Media,
    Transaction,
)  # fmt: skip
from viewer_api.problems import PROBLEM

Json = dict[str, Any]
ADMINISTRATION = {
    tag
    for router in (audit, devices, exchange, persons, share_links, sharing, users, worklist)
    for tag in router.router.tags
}
SIGN_IN = {tag for router in (sign_in, account, launch, openid) for tag in router.router.tags}
_UID = {"type": "string", "pattern": UID_PATTERN, "maxLength": UID_LENGTH_MAX}
# What stands in paths of DICOMweb.
IN_PATHS: dict[str, Json] = {
    "study_uid": _UID,
    "series_uid": _UID,
    "sop_instance": _UID,
    "frames": {"type": "string", "pattern": r"^[1-9][0-9]{0,8}(,[1-9][0-9]{0,8})*$"},
    "path": {"type": "string", "pattern": r"^[0-9A-F]{8}(/[0-9]+/[0-9A-F]{8})*$"},
}
SCHEMAS: dict[str, Json] = {
    "Problem": {  # RFC 9457
        "type": "object",
        "required": ["type", "title", "status"],
        "properties": {
            "type": {"type": "string", "format": "uri"},
            "title": {"type": "string"},
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": {"type": "string"},
        },
    },
    "Dataset": {  # the DICOM JSON model, PS3.18 F.2
        "type": "object",
        "patternProperties": {"^[0-9A-F]{8}$": {"$ref": "#/components/schemas/Element"}},
        "additionalProperties": False,
    },
    "Element": {
        "type": "object",
        "required": ["vr"],
        "properties": {
            "vr": {"type": "string", "pattern": "^[A-Z]{2}$"},
            "Value": {"type": "array"},
            "InlineBinary": {"type": "string"},
            "BulkDataURI": {"type": "string"},
        },
        "additionalProperties": False,
    },
}


def install(app: FastAPI) -> None:
    """Describe this application so."""
    app.openapi = partial(description, app)  # type: ignore[method-assign]  # FastAPI's own way to do it


def description(app: FastAPI) -> Json:
    """The OpenAPI document, made once."""
    if app.openapi_schema is None:
        found = get_openapi(title=app.title, version=app.version, routes=app.routes)
        for path, operations in found["paths"].items():
            for method, operation in operations.items():
                transaction = _transaction(method, path)
                if transaction:
                    _tell(operation, path, transaction)
                _tell_problems(operation, _statuses(method, path, operation, transaction))
        schemas = found["components"]["schemas"]
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        schemas |= SCHEMAS
        app.openapi_schema = found
    return app.openapi_schema


def _transaction(method: str, path: str) -> Transaction | None:
    if path == WADO_URI:
        return URI_SERVICE
    return TRANSACTIONS.get((method.upper(), path.removeprefix(ROOT))) if path.startswith(ROOT) else None


def _tell(operation: Json, path: str, transaction: Transaction) -> None:
    operation["operationId"] = transaction.name
    in_path = [name for name in IN_PATHS if f"{{{name}}}" in path]
    operation["parameters"] = [
        *({"name": n, "in": "path", "required": True, "schema": IN_PATHS[n]} for n in in_path),
        *(
            {"name": p.name, "in": "query", "required": p.required, "schema": p.schema, "description": p.description}
            for p in transaction.parameters
        ),
        *([_matching(transaction.keys)] if transaction.keys else []),
    ]  # fmt: skip
    one: Json = {"$ref": "#/components/schemas/Dataset"}
    if transaction.takes:
        operation["requestBody"] = {"required": True, "content": _taken(transaction.takes, one)}
    content = _content(
        transaction.gives, one if transaction.gives is DATASET else {"type": "array", "items": one}
    )
    headers = {n: {"schema": {"type": "string"}, "description": d} for n, d in transaction.headers.items()}
    operation["responses"] = {
        str(status): {
            "description": HTTPStatus(status).phrase,
            **({"content": dict(content)} if status in transaction.told else {}),
            **({"headers": headers} if headers else {}),
        }
        for status in transaction.statuses
        if status < 400 or status in transaction.told
    }


def _matching(keys: Iterable[Attribute]) -> Json:
    """Attributes by keyword, and by tag and by path too: any number of parameters."""
    value: Json = {"type": "string", "maxLength": VALUE_CHARACTERS_MAX}
    return {
        "name": "matching",
        "in": "query",
        "style": "form",
        "explode": True,
        "description": "Attributes by keyword, tag, or path as RequestAttributesSequence.RequestedProcedureID",
        "schema": {
            "type": "object",
            "properties": {a.keyword: value for a in keys},
            "additionalProperties": value,
        },
    }


def _content(media: Iterable[Media], datasets: Json) -> Json:
    """Content types; JSON has a schema, and of the rest nothing is said beyond them."""
    return {one.shape: {"schema": datasets} if one.media_type == JSON else {} for one in media}


def _taken(media: Iterable[Media], dataset: Json) -> Json:
    octets = {"schema": {"type": "string", "format": "binary"}}
    datasets = {"schema": {"type": "array", "items": dataset}}
    return {one.shape: octets if one.shape != JSON else datasets for one in media}


def _statuses(method: str, path: str, operation: Json, transaction: Transaction | None) -> set[int]:
    """Those of problems."""
    if transaction:
        return {status for status in transaction.answered if status >= 400}
    tags = set(operation.get("tags", ()))
    found = {503}
    if operation.get("security") or tags & SIGN_IN:
        found.add(401)
    if operation.get("parameters") or operation.get("requestBody"):
        found |= {400, 404}
    if operation.get("requestBody"):
        found |= {413, 422}
    if method != "get":
        found.add(409)
    if tags & ADMINISTRATION:
        found.add(403)
    if tags & SIGN_IN:
        found |= {403, 429}
    return found


def _tell_problems(operation: Json, statuses: Iterable[int]) -> None:
    responses = operation["responses"]
    if "HTTPValidationError" in str(responses.get("422")):  # FastAPI's own, which we do not answer
        del responses["422"]
    for status in sorted(statuses):
        response = responses.setdefault(str(status), {"description": HTTPStatus(status).phrase})
        problem = {"schema": {"$ref": "#/components/schemas/Problem"}}
        response.setdefault("content", {})[PROBLEM] = problem
