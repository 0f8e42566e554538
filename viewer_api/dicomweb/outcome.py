"""What came of a store request (PS3.18 10.5.3): which instances are stored, which are not, and why."""

from __future__ import annotations

from dataclasses import dataclass, field

from fastapi.responses import Response

from pacs.encoded import EncodedError
from pacs.errors import BadAttributes, InvalidUID, OutOfResources, TooLarge, UnsupportedSyntax
from pacs.logs import get
from pacs.pixels.description import PixelError
from pacs.uids import UID_LENGTH_MAX, is_uid
from pacs.values import Json
from storage.importing import Identity
from viewer_api.dicomweb.bodies import BadBody
from viewer_api.dicomweb.datasets import single

log = get("stow")
# Failure Reason (PS3.18 table I.2-2).
OUT_OF_RESOURCES, OTHER_STUDY, CANNOT_UNDERSTAND, OTHER_SYNTAX = 0xA700, 0xA900, 0xC000, 0xC122
LOGGED_MAX = 100  # failures of a request: a body of many bad parts fills no disk
COMMENT_CHARACTERS_MAX = 64  # Error Comment is an LO (PS3.7 table E.2-1)
REFUSALS = (EncodedError, InvalidUID, BadAttributes, PixelError, OutOfResources, TooLarge, UnsupportedSyntax)


@dataclass(slots=True)
class Outcome:
    """What came of a request. `study_uid`: of its URL, empty where instances may be of any study."""

    root: str
    study_uid: str = ""
    stored: list[Json] = field(default_factory=list)
    failed: list[Json] = field(default_factory=list)
    unknown: list[Json] = field(default_factory=list)  # failures of what has no UID
    full: bool = False
    _studies: set[str] = field(default_factory=set)  # of what is stored

    def fail(self, reason: int, why: str, identity: Identity | None = None) -> None:
        """Note that one is not stored; `why` holds no patient data."""
        item: Json = {
            "00000902": {"vr": "LO", "Value": [why[:COMMENT_CHARACTERS_MAX]]},
            "00081197": {"vr": "US", "Value": [reason]},
        }
        self.full = self.full or reason == OUT_OF_RESOURCES
        if identity is not None:
            self.failed.append(_reference(identity) | item)
        else:
            self.unknown.append(item)
        if len(self.failed) + len(self.unknown) <= LOGGED_MAX:
            log.warning("store_refused", status=f"{reason:04X}", reason=why)

    def is_of_another(self, study_uid: str, identity: Identity) -> bool:
        """Whether an instance is of another study than the URL says; that is noted then."""
        another = bool(self.study_uid) and study_uid != self.study_uid
        if another:
            self.fail(OTHER_STUDY, "it is of another study than the URL says", identity)
        return another

    def refuse(self, error: Exception, identity: Identity | None = None) -> None:
        """The same, of one of REFUSALS."""
        reason = CANNOT_UNDERSTAND
        if isinstance(error, OutOfResources | TooLarge):
            reason = OUT_OF_RESOURCES
        elif isinstance(error, UnsupportedSyntax):
            reason = OTHER_SYNTAX
        self.fail(reason, str(error), identity)

    def keep(self, identity: Identity, study_uid: str, series_uid: str) -> None:
        """Note that one is stored. Where its study or series has no UID it is an incident, and at no URL."""
        url = f"{self.root}/studies/{study_uid}/series/{series_uid}/instances/{identity.sop_instance}"
        found = is_uid(study_uid, UID_LENGTH_MAX) and is_uid(series_uid, UID_LENGTH_MAX)
        self.stored.append(_reference(identity) | _retrieved(url if found else ""))
        self._studies.add(study_uid if found else "")

    @property
    def studies(self) -> tuple[str, ...]:
        """Of what is stored."""
        return tuple(sorted(self._studies - {""}))

    def answer(self, *, xml: bool) -> Response:
        """The response, with the statuses of table 10.5.3-1; where all is of one study, with where that is."""
        if not self.stored and not self.failed and not self.unknown:
            raise BadBody(400, "there is nothing in the body")
        (study_uid,) = self._studies if len(self._studies) == 1 else ("",)
        study = f"{self.root}/studies/{study_uid}" if study_uid else ""
        answer: Json = _retrieved(study)
        sequences = (("00081198", self.failed), ("00081199", self.stored), ("0008119A", self.unknown))
        answer |= {tag: {"vr": "SQ", "Value": items} for tag, items in sequences if items}
        failures = bool(self.failed or self.unknown)
        status = 202 if failures else 200
        if not self.stored:
            status = 507 if self.full else 409
        headers = {"Location": study} if study else {}
        return single(answer, xml=xml, status=status, headers=headers)


def _reference(identity: Identity) -> Json:
    return {
        "00081150": {"vr": "UI", "Value": [identity.sop_class]},
        "00081155": {"vr": "UI", "Value": [identity.sop_instance]},
    }


def _retrieved(url: str) -> Json:
    """Retrieve URL is of type 2: empty where there is none (PS3.18 table I.1-1)."""
    return {"00081190": {"vr": "UR", "Value": [url]} if url else {"vr": "UR"}}
