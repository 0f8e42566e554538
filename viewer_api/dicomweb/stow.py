"""STOW-RS (PS3.18 10.5): what comes by HTTP goes the way of what a modality sends, and is durable before the answer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response

from pacs.access import may_store
from pacs.encoded import EncodedError, read_instance
from pacs.errors import Forbidden, InvalidUID, OutOfResources, TooLarge
from pacs.logs import get
from pacs.values import Json, text
from storage.importing import HEAD_BYTES, Identity, identify, take
from storage.intake import Intake
from storage.reception import Reception
from storage.records import Origin
from storage.registry import LOCAL
from viewer_api.auth import TheArchive, Who
from viewer_api.dicomweb.bodies import BadBody, Part, Parts, chunks_of
from viewer_api.dicomweb.datasets import single, wants_xml
from viewer_api.dicomweb.media import content_type
from viewer_api.dicomweb.qido import root_of
from viewer_api.dicomweb.wado import DICOM

log = get("stow")
router = APIRouter(prefix="/dicom-web/studies", tags=["DICOMweb: store"])
# Failure Reason (PS3.18 table 10.5.3-2, PS3.4 B.2.3).
OUT_OF_RESOURCES, OTHER_STUDY, CANNOT_UNDERSTAND = 0xA700, 0xA900, 0xC000


STORES_MAX = 16  # at once, of a process: each has a thread, and who reads needs some too
_places = threading.BoundedSemaphore(STORES_MAX)


@router.post("")
@router.post("/{study_uid}")
def store(request: Request, who: Who, archive: TheArchive, study_uid: str = "") -> Response:
    """Store instances, of any studies or of one: Part 10 files, one or the parts of multipart/related. The answer
    names those that are stored and those that are not; one that fails costs no other."""
    xml = wants_xml(request)
    facility = who.facility or LOCAL
    if not may_store(who, facility):
        raise Forbidden("this account may not store")
    origin = Origin(
        facility, who.name, archive.settings.ae_title, request.client.host if request.client else ""
    )
    outcome = Outcome(root_of(request))
    if not _places.acquire(blocking=False):
        raise HTTPException(503, f"{STORES_MAX} others are storing; try again", {"Retry-After": "5"})
    try:
        _store(request, origin, study_uid, outcome)
    finally:
        _places.release()
    return _answer(outcome, study_uid, xml=xml)


def _store(request: Request, origin: Origin, study_uid: str, outcome: Outcome) -> None:
    intake: Intake = request.app.state.intake
    reception = intake.reception()
    try:
        for head, rest in _files(request):
            _take(reception, origin, study_uid, head, rest, outcome)
    except BadBody as error:
        if not outcome.stored:
            raise
        outcome.fail(CANNOT_UNDERSTAND, str(error.detail))
    finally:
        reception.close()


@dataclass(slots=True)
class Outcome:
    """What came of a request."""

    root: str
    stored: list[Json] = field(default_factory=list)
    failed: list[Json] = field(default_factory=list)
    unknown: list[Json] = field(default_factory=list)  # failures of what has no UID
    full: bool = False

    def fail(self, reason: int, why: str, identity: Identity | None = None) -> None:
        """Note that one is not stored."""
        item: Json = {"00081197": {"vr": "US", "Value": [reason]}}
        self.full = self.full or reason == OUT_OF_RESOURCES
        if identity is not None:
            self.failed.append(_reference(identity) | item)
        else:
            self.unknown.append(item)
        log.warning("store_refused", status=f"{reason:04X}", reason=why)

    def keep(self, identity: Identity, study_uid: str, series_uid: str) -> None:
        """Note that one is stored."""
        item = _reference(identity)
        if study_uid and series_uid:
            url = f"{self.root}/studies/{study_uid}/series/{series_uid}/instances/{identity.sop_instance}"
            item["00081190"] = {"vr": "UR", "Value": [url]}
        self.stored.append(item)


class _Rest:
    """What follows the head of a file, as `storage.importing.take` reads it."""

    def __init__(self, parts: Parts, part: Part) -> None:
        self._parts, self._part = parts, part

    def read(self, size: int, /) -> bytes:
        return self._parts.read(self._part, size)


class _Whole:
    """A body that is one file."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._left = chunks, b""

    def read(self, size: int, /) -> bytes:
        while len(self._left) < size and (chunk := next(self._chunks, b"")):
            self._left += chunk
        piece, self._left = self._left[:size], self._left[size:]
        return piece


def _files(request: Request) -> Iterator[tuple[bytes, _Rest | _Whole]]:
    """The first bytes of each file, and what reads on."""
    kind = content_type(request.headers.get("content-type", ""))
    if kind.part_type not in (DICOM, "*/*") or not (kind.is_multipart or kind.media_type == DICOM):
        raise HTTPException(415, f'Possible here: multipart/related; type="{DICOM}", or {DICOM}')
    if kind.is_multipart:
        parts = Parts(chunks_of(request), kind.parameters.get("boundary", ""))
        for part in parts:
            yield parts.read(part, HEAD_BYTES), _Rest(parts, part)
    else:
        whole = _Whole(chunks_of(request))
        yield whole.read(HEAD_BYTES), whole


def _take(
    reception: Reception, origin: Origin, study_uid: str, head: bytes, rest: Any, outcome: Outcome
) -> None:
    """Store one, or note why not."""
    identity = None
    try:
        identity = identify(head)
        if identity is None:
            outcome.fail(CANNOT_UNDERSTAND, "it is no DICOM file")
            return
        of_study, of_series = _names(head)
        if study_uid and of_study != study_uid:
            outcome.fail(OTHER_STUDY, "it is of another study than the URL says", identity)
            return
        take(reception, origin, identity, head, rest)
    except (EncodedError, InvalidUID) as error:
        outcome.fail(CANNOT_UNDERSTAND, str(error), identity)
    except (OutOfResources, TooLarge) as error:
        outcome.fail(OUT_OF_RESOURCES, str(error), identity)
    else:
        outcome.keep(identity, of_study, of_series)


def _names(head: bytes) -> tuple[str, str]:
    """Study and Series Instance UID, as far as the first bytes tell them."""
    try:
        a = read_instance(head).attributes
    except EncodedError:
        return "", ""
    return text(a, "0020000D"), text(a, "0020000E")


def _reference(identity: Identity) -> Json:
    return {
        "00081150": {"vr": "UI", "Value": [identity.sop_class]},
        "00081155": {"vr": "UI", "Value": [identity.sop_instance]},
    }


def _answer(outcome: Outcome, study_uid: str, *, xml: bool) -> Response:
    """PS3.18 10.5.3, with the statuses of table 10.5.3-1."""
    if not outcome.stored and not outcome.failed and not outcome.unknown:
        raise BadBody(400, "there is nothing in the body")
    answer: Json = {}
    if study_uid and outcome.stored:
        answer["00081190"] = {"vr": "UR", "Value": [f"{outcome.root}/studies/{study_uid}"]}
    sequences = (("00081198", outcome.failed), ("00081199", outcome.stored), ("0008119A", outcome.unknown))
    answer |= {tag: {"vr": "SQ", "Value": items} for tag, items in sequences if items}
    failures = bool(outcome.failed or outcome.unknown)
    status = 202 if failures else 200
    if not outcome.stored:
        status = 507 if outcome.full else 409
    return single(answer, xml=xml, status=status)
