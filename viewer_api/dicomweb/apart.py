"""STOW-RS of metadata and bulk data (PS3.18 10.5.1.4, 8.6.1): metadata in JSON or XML, and parts of bulk data whose
Content-Location is what a BulkDataURI points to. Of a body that ends too soon those instances are stored of which all
has come."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from urllib.parse import urljoin

from fastapi import Request

from pacs import dicomjson, nativexml
from pacs.dicomjson import NODES_MAX
from pacs.encoded import EncodedError
from pacs.errors import BadAttributes
from pacs.uids import clean_uid
from pacs.values import Json, text
from storage.assembling import Assembly, references, well_formed
from storage.importing import CHUNK_BYTES, Identity
from storage.reception import Reception
from storage.records import Origin
from storage.spool import Spool
from viewer_api.dicomweb.bodies import BadBody, Cut, Part, Parts, Rest, Whole, chunks_of
from viewer_api.dicomweb.datasets import JSON, XML
from viewer_api.dicomweb.media import MediaRange, content_type
from viewer_api.dicomweb.outcome import CANNOT_UNDERSTAND, REFUSALS, Outcome

METADATA_BYTES_MAX = 32 * 1024 * 1024  # of a request, with what is inline in them
# What reading takes in memory at its worst, by measurement; and of all requests of a process together.
MEMORY_FOR_BYTE, MEMORY_FOR_NODE, MEMORY_BYTES_MAX = 3, 200, 320 * 1024 * 1024
LOCATION_CHARACTERS_MAX = 2048
TYPES = (JSON, XML)
_PLAIN = ("", "binary", "8bit", "7bit")  # Content-Transfer-Encoding: HTTP needs none (RFC 9110 appendix B)


def store_apart(
    request: Request, kind: MediaRange, spool: Spool, reception: Reception, origin: Origin, outcome: Outcome
) -> None:  # fmt: skip
    """Take in a body of TYPES. Raises BadBody, of a body that was cut too once what is whole of it is stored, and
    OutOfResources or TooLarge where its bulk data have no room."""
    with Assembly(spool) as assembly, _Held() as held:
        body = _Body(str(request.url), kind.part_type, assembly, outcome, held)
        cut = None
        try:
            body.read(request, kind)
        except Cut as error:
            cut = error
        used = {element["BulkDataURI"] for dataset in body.datasets for element in references(dataset)}
        for dataset in body.datasets:
            _take(assembly, reception, origin, dataset, outcome)
        for _ in assembly.unused(used):
            outcome.fail(CANNOT_UNDERSTAND, "a part of bulk data that nothing points to")
        if cut is not None:
            raise cut


class _Held:
    """What the metadata of a request hold in memory, until its end. What is too much raises BadBody."""

    _lock = threading.Lock()
    _together = 0

    def __init__(self) -> None:
        self._bytes = self._nodes = self._mine = 0

    def add(self, size: int = 0, nodes: int = 0) -> None:
        """So many bytes more have come, or so many nodes were counted in them."""
        self._bytes, self._nodes = self._bytes + size, self._nodes + nodes
        if self._bytes > METADATA_BYTES_MAX or self._nodes > NODES_MAX:
            raise BadBody(
                413, f"more than {METADATA_BYTES_MAX} bytes of metadata, or {NODES_MAX} values in them"
            )
        more = MEMORY_FOR_BYTE * size + MEMORY_FOR_NODE * nodes
        with _Held._lock:
            if _Held._together + more > MEMORY_BYTES_MAX:
                raise BadBody(503, "others are storing much metadata; try again", {"Retry-After": "5"})
            _Held._together += more
        self._mine += more

    def __enter__(self) -> _Held:
        return self

    def __exit__(self, *_: object) -> None:
        with _Held._lock:
            _Held._together -= self._mine


@dataclass(slots=True)
class _Body:
    """What has arrived of a body."""

    url: str
    metadata_type: str
    assembly: Assembly
    outcome: Outcome
    held: _Held
    datasets: list[Json] = field(default_factory=list)

    def read(self, request: Request, kind: MediaRange) -> None:
        if not kind.is_multipart:
            self.metadata(Whole(chunks_of(request)))
            return
        parts = Parts(chunks_of(request), kind.parameters.get("boundary", ""))
        for part in parts:
            self.take(part, Rest(parts, part))

    def take(self, part: Part, rest: Rest) -> None:
        if part.headers.get("content-transfer-encoding", "").lower() not in _PLAIN:
            raise BadBody(415, "parts have no Content-Transfer-Encoding in HTTP")
        kind = content_type(part.headers.get("content-type", ""))
        if kind.media_type == self.metadata_type:
            self.metadata(rest)
        else:
            location = part.headers.get("content-location", "")
            if not 0 < len(location) <= LOCATION_CHARACTERS_MAX:
                raise BadBody(
                    400, f"a part has no Content-Location of 1 to {LOCATION_CHARACTERS_MAX} characters"
                )
            self.assembly.keep(self._absolute(location), kind.media_type, kind.transfer_syntax, rest)

    def metadata(self, rest: Rest | Whole) -> None:
        """A document of metadata: JSON has all instances in one, XML one in each (PS3.18 10.5.1.4)."""
        document = bytearray()
        while chunk := rest.read(CHUNK_BYTES):
            self.held.add(len(chunk))
            document += chunk
        count = dicomjson.nodes if self.metadata_type == JSON else nativexml.nodes
        self.held.add(nodes=count(document))
        for dataset in self._read(bytes(document)):
            for element in references(dataset):
                element["BulkDataURI"] = self._absolute(element["BulkDataURI"])
            self.datasets.append(dataset)

    def _read(self, document: bytes) -> list[Json]:
        if self.metadata_type == JSON:
            try:
                return dicomjson.from_json(document)
            except EncodedError as error:
                raise BadBody(400, str(error)) from None
        try:
            return [nativexml.from_xml(document)]
        except (EncodedError, BadAttributes) as error:
            self.outcome.refuse(error)
            return []

    def _absolute(self, uri: str) -> str:
        """Both may be relative, and each in its own way."""
        try:
            return urljoin(self.url, uri)
        except ValueError:
            return uri


def _take(assembly: Assembly, reception: Reception, origin: Origin, dataset: Json, outcome: Outcome) -> None:
    """Store one, or note why not."""
    identity = None
    try:
        dataset = well_formed(dataset)
        identity = Identity(_uid(dataset, "00080016"), _uid(dataset, "00080018"), "", 0)
        of_study, of_series = _uid(dataset, "0020000D"), _uid(dataset, "0020000E")
        if outcome.is_of_another(of_study, identity):
            return
        assembly.take(reception, origin, identity, dataset)
    except REFUSALS as error:
        outcome.refuse(error, identity)
    else:
        outcome.keep(identity, of_study, of_series)


def _uid(dataset: Json, tag: str) -> str:
    """What it is called by; in another VR it might be read as another. Raises BadAttributes, InvalidUID."""
    if dataset.get(tag, {}).get("vr") not in (None, "UI"):
        raise BadAttributes(f"{tag}: its VR is not UI")
    return clean_uid(text(dataset, tag))
