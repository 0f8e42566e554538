"""Retrieve Capabilities (PS3.18 8.9): OPTIONS of the service, or of one of its resources, tells what it can as WADL
(PS3.18 H), from the table of transactions. It depends on nobody's data, and is told to all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from xml.sax.saxutils import quoteattr

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from pacs.errors import NotFound
from viewer_api.dicomweb.media import accept_of, choose
from viewer_api.dicomweb.transactions import ROOT, TRANSACTIONS, Parameter, Transaction
from viewer_api.problems import PROBLEM

router = APIRouter(prefix=ROOT, include_in_schema=False)
WADL, JSON = "application/vnd.sun.wadl+xml", "application/json"
NAMESPACES = {"xmlns": "http://wadl.dev.java.net/2009/02", "xmlns:xs": "http://www.w3.org/2001/XMLSchema"}
# Our names of what varies in paths → those of PS3.18.
VARIABLES = {
    "{study_uid}": "StudyInstanceUID", "{series_uid}": "SeriesInstanceUID", "{sop_instance}": "SOPInstanceUID",
    "{frames}": "frameList", "{path}": "bulkdataURI",
}  # fmt: skip
TAKES_THE_REST = "{path}"
# An element of WADL: its attributes, and under the names of other elements lists of those.
Element = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Resource:
    """A step of a path, what can be done there, and the steps below."""

    step: str = ""
    methods: dict[str, Transaction] = field(default_factory=dict)
    below: dict[str, Resource] = field(default_factory=dict)

    @property
    def allowed(self) -> list[str]:
        """The methods of RFC 9110 there."""
        return ["OPTIONS", *(["HEAD"] if "GET" in self.methods else []), *sorted(self.methods)]


@router.options("")
@router.options("/{path:path}")
def capabilities(request: Request, path: str = "") -> Response:
    """What can be done with a resource and with those below it. Raises NotFound, NotAcceptable."""
    media_type, _ = choose(accept_of(request), [WADL, JSON], multipart=False)
    template, resource = _found(path)
    told = [_element(resource, template)] if template else [_element(one) for one in resource.below.values()]
    base = f"{str(request.base_url).rstrip('/')}{ROOT}"
    description: Element = {"resources": [{"base": base, "resource": told}]}
    headers = {"Allow": ", ".join(resource.allowed), "Vary": "Accept"}
    if media_type == JSON:
        return JSONResponse({"application": description}, headers=headers)
    document = "".join(_xml("application", NAMESPACES | description))
    return Response(f'<?xml version="1.0" encoding="UTF-8"?>{document}', headers=headers, media_type=WADL)


@cache
def tree() -> Resource:
    """All resources of the service."""
    root = Resource()
    for (method, path), transaction in TRANSACTIONS.items():
        resource = root
        for step in path.strip("/").split("/"):
            resource = resource.below.setdefault(step, Resource(step))
        resource.methods[method] = transaction
    return root


def _found(path: str) -> tuple[str, Resource]:
    """The resource of a path, and its template; raises NotFound."""
    resource, template = tree(), []
    for step in filter(None, path.split("/")):
        if resource.step == TAKES_THE_REST:
            break
        variable = next((one for one in resource.below if one in VARIABLES), "")
        known = step if step in resource.below else variable
        if not known:
            raise NotFound("there is no such resource")
        resource = resource.below[known]
        template.append(_named(known))
    return "/".join(template), resource


def _named(step: str) -> str:
    return f"{{{VARIABLES[step]}}}" if step in VARIABLES else step


def _element(resource: Resource, template: str = "") -> Element:
    """A resource; `template`: its whole path, where it is the first."""
    element: Element = {"path": template or _named(resource.step)}
    variables = [name for name in VARIABLES.values() if f"{{{name}}}" in element["path"]]
    if variables:
        element["param"] = [{"name": v, "style": "template", "type": "xs:string"} for v in variables]
    element["method"] = [_method(name, transaction) for name, transaction in resource.methods.items()]
    element["resource"] = [_element(one) for one in resource.below.values()]
    return element


def _method(name: str, transaction: Transaction) -> Element:
    accepts = [accept for media in transaction.gives for accept in media.accepts]
    accept = {
        "name": "Accept", "style": "header", "default": accepts[0], "option": [{"value": a} for a in accepts],
    }  # fmt: skip
    keys = [{"name": a.keyword, "style": "query", "type": "xs:string"} for a in transaction.keys]
    takes = [{"mediaType": kind} for media in transaction.takes for kind in media.accepts]
    gives = [{"mediaType": kind} for kind in accepts]
    good = [status for status in transaction.answered if status < 400]
    bad = [status for status in transaction.answered if status >= 400]
    return {
        "name": name,
        "id": transaction.name,
        "request": [
            {"param": [accept, *map(_parameter, transaction.parameters), *keys], "representation": takes},
        ],
        "response": [
            {"status": " ".join(map(str, good)), "representation": gives},
            {"status": " ".join(map(str, bad)), "representation": [{"mediaType": PROBLEM}]},
        ],
    }


def _parameter(parameter: Parameter) -> Element:
    kind = parameter.schema["type"]
    element: Element = {"name": parameter.name, "style": "query"}
    element["type"] = f"xs:{ {'number': 'decimal', 'array': 'string'}.get(kind, kind) }"
    if kind == "array":
        element["repeating"] = "true"
    if parameter.required:
        element["required"] = "true"
    return element


def _xml(name: str, element: Element) -> Iterator[str]:
    yield f"<{name}"
    yield from (f" {key}={quoteattr(value)}" for key, value in element.items() if isinstance(value, str))
    yield ">"
    for key, value in element.items():
        if isinstance(value, list):
            for one in value:
                yield from _xml(key, one)
    yield f"</{name}>"
