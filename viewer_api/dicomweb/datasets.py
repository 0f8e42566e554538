"""Data sets as answers: DICOM JSON (PS3.18 Annex F), or XML in the Native DICOM Model (PS3.19 A.1)."""

from __future__ import annotations

from collections.abc import Iterable

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from pacs.nativexml import to_xml
from pacs.values import Json
from viewer_api.dicomweb.media import accept_of, choose, texts_in_utf8
from viewer_api.dicomweb.multipart import Part, parts_answer

JSON, XML = "application/dicom+json", "application/dicom+xml"


def wants_xml(request: Request) -> bool:
    """Whether XML is asked for; raises NotAcceptable, also for texts that are not to be in UTF-8, and BadQuery."""
    texts_in_utf8(request)
    media_type, _ = choose(accept_of(request), [JSON, "application/json", XML])
    return media_type == XML


def several(datasets: Iterable[Json], *, xml: bool, headers: dict[str, str] | None = None) -> Response:
    """Any number of them: one array of JSON, or a part of multipart/related each (PS3.18 8.7.3.2)."""
    if not xml:
        return JSONResponse(list(datasets), headers=headers, media_type=JSON)
    documents = [to_xml(dataset) for dataset in datasets]
    if not documents:  # a multipart body has one part at least
        return Response(status_code=204, headers=headers)
    answer = parts_answer(XML, [Part.of(XML, document) for document in documents])
    answer.headers.update(headers or {})
    return answer


def single(dataset: Json, *, xml: bool, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """The one data set that an answer is."""
    if xml:
        return Response(to_xml(dataset), status, headers, XML)
    return JSONResponse(dataset, status, headers, JSON)
