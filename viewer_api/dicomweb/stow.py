"""STOW-RS (PS3.18 10.5): what comes by HTTP goes the way of what a modality sends, and is durable before the answer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response

from pacs.access import may_store
from pacs.encoded import EncodedError, read_instance
from pacs.errors import Forbidden
from pacs.values import text
from storage.facilities import LOCAL
from storage.importing import HEAD_BYTES, identify, take
from storage.intake import Intake
from storage.reception import Reception
from storage.records import Origin
from viewer_api.audited import owned_by, tell
from viewer_api.auth import TheArchive, Who
from viewer_api.dicomweb.apart import TYPES, store_apart
from viewer_api.dicomweb.bodies import BadBody, Parts, Rest, Whole, chunks_of
from viewer_api.dicomweb.datasets import wants_xml
from viewer_api.dicomweb.media import MediaRange, content_type
from viewer_api.dicomweb.outcome import CANNOT_UNDERSTAND, REFUSALS, Outcome
from viewer_api.dicomweb.places import root_of
from viewer_api.dicomweb.wado import DICOM

router = APIRouter(prefix="/dicom-web/studies", tags=["DICOMweb: store"])
POSSIBLE = (DICOM, *TYPES)
STORES_MAX = 16  # at once, of a process: each has a thread, and who reads needs some too
_places = threading.BoundedSemaphore(STORES_MAX)


@router.post("")
@router.post("/{study_uid}")
def store(request: Request, who: Who, archive: TheArchive, study_uid: str = "") -> Response:
    """Store instances, of any studies or of one: Part 10 files, one or the parts of multipart/related; or metadata in
    JSON or XML, with parts of bulk data. The answer names those that are stored and those that are not; one that fails
    costs no other."""
    xml = wants_xml(request)
    facility = who.facility or LOCAL
    if not may_store(who, facility):
        raise Forbidden("this account may not store")
    origin = Origin(
        facility, who.name, archive.settings.ae_title, request.client.host if request.client else ""
    )
    outcome = Outcome(root_of(request), study_uid)
    if not _places.acquire(blocking=False):
        raise HTTPException(503, f"{STORES_MAX} others are storing; try again", {"Retry-After": "5"})
    try:
        _store(request, origin, outcome)
    finally:
        _places.release()
    counts = f"{len(outcome.stored)} stored, {len(outcome.failed) + len(outcome.unknown)} not"
    tell(what=counts, studies=outcome.studies, subjects=owned_by(facility))
    return outcome.answer(xml=xml)


def _store(request: Request, origin: Origin, outcome: Outcome) -> None:
    kind = content_type(request.headers.get("content-type", ""))
    if kind.part_type not in (DICOM, *TYPES, "*/*") or not (kind.is_multipart or kind.media_type in POSSIBLE):
        possible = ", ".join(f'multipart/related; type="{one}"' for one in POSSIBLE)
        raise HTTPException(415, f"Possible here: {possible}, and each of these types alone")
    intake: Intake = request.app.state.intake
    reception = intake.reception()
    try:
        if kind.part_type in TYPES:
            store_apart(request, kind, intake.spool(), reception, origin, outcome)
            return
        for head, rest in _files(request, kind):
            _take(reception, origin, head, rest, outcome)
    except BadBody as error:
        if not outcome.stored:
            raise
        outcome.fail(CANNOT_UNDERSTAND, str(error.detail))
    finally:
        reception.close()


def _files(request: Request, kind: MediaRange) -> Iterator[tuple[bytes, Rest | Whole]]:
    """The first bytes of each file, and what reads on."""
    if kind.is_multipart:
        parts = Parts(chunks_of(request), kind.parameters.get("boundary", ""))
        for part in parts:
            yield parts.read(part, HEAD_BYTES), Rest(parts, part)
    else:
        whole = Whole(chunks_of(request))
        yield whole.read(HEAD_BYTES), whole


def _take(reception: Reception, origin: Origin, head: bytes, rest: Any, outcome: Outcome) -> None:
    """Store one, or note why not."""
    identity = None
    try:
        identity = identify(head)
        if identity is None:
            outcome.fail(CANNOT_UNDERSTAND, "it is no DICOM file")
            return
        of_study, of_series = _names(head)
        if outcome.is_of_another(of_study, identity):
            return
        take(reception, origin, identity, head, rest)
    except REFUSALS as error:
        outcome.refuse(error, identity)
    else:
        outcome.keep(identity, of_study, of_series)


def _names(head: bytes) -> tuple[str, str]:
    """Study and Series Instance UID, as far as the first bytes tell them."""
    try:
        a = read_instance(head).attributes
    except EncodedError:
        return "", ""
    return text(a, "0020000D"), text(a, "0020000E")
