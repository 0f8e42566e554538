"""An Orthanc's REST API, as far as we use it, over `orthanc-api-client`, whose calls alone know no limits: here each
has a time, a size and a rate, no redirect is followed, and what a hostile or broken peer answers is an error.

Source: Orthanc's REST API, https://orthanc.uclouvain.be/api/ (1.10 and later).
"""

from __future__ import annotations

import json
import re
import socket
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from pacs.addresses import never_called
from pacs.errors import TongyingError
from storage.edges import Edge

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its strings have escapes that Python 3.12 complains of
    from orthanc_api_client import OrthancApiClient
    from orthanc_api_client.exceptions import OrthancApiException
    from orthanc_api_client.exceptions import TimeoutError as TimedOut

CONNECT_SECONDS, READ_SECONDS = 5.0, 30.0  # to connect, and from one piece to the next
GRACE_SECONDS, RATE_BYTES_MIN = 60, 16 * 1024  # a body may take 60 s, and longer while 16 KiB/s come
JSON_BYTES_MAX = 64 * 1024 * 1024
PIECE_BYTES = 256 * 1024
AWAY_STATUSES = frozenset({429, 502, 503, 504})
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{8}){4}\Z")  # SHA-1, as Orthanc writes it


class EdgeAway(TongyingError):
    """It does not answer, or too slowly, or not now."""


class _Broken(EdgeAway):
    """The connection could not be made, or broke before the answer."""


class EdgeRefused(TongyingError):
    """It does not let us in."""


class EdgeError(TongyingError):
    """It answers, and not with what was asked for."""


class EdgeMissing(EdgeError):
    """It does not have what was asked for."""


@dataclass(frozen=True, slots=True)
class Change:
    """An entry of the change log."""

    seq: int
    kind: str  # NewInstance, NewSeries, StableStudy …
    resource: str
    mark: str  # tells it from the entry of another database under the same number


@dataclass(frozen=True, slots=True)
class Changes:
    """A page of the change log."""

    changes: list[Change]
    last: int  # of the page; where that is empty, of the log
    done: bool


@dataclass(frozen=True, slots=True)
class There:
    """An instance there."""

    id: str
    sop_instance: str


class Sendable(Protocol):
    """A body of known length, read in pieces."""

    def __len__(self) -> int: ...
    def read(self, size: int, /) -> bytes: ...


class Body:
    """What comes, in pieces; reading raises EdgeAway where it ends early or comes too slowly."""

    def __init__(self, response: requests.Response, stopping: threading.Event) -> None:
        self._raw, self._stopping = response.raw, stopping
        said = response.headers.get("Content-Length", "")
        self._expected = int(said) if said.isdigit() else None
        self._began, self._received = time.monotonic(), 0

    def read(self, size: int, /) -> bytes:
        """`size` bytes; fewer only at the end."""
        gathered = bytearray()
        while len(gathered) < size and (piece := self._piece(size - len(gathered))):
            gathered += piece
        return bytes(gathered)

    def _piece(self, size: int) -> bytes:
        if self._stopping.is_set():
            raise EdgeAway("we stop")
        try:
            data: bytes = self._raw.read1(min(size, PIECE_BYTES), decode_content=False)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise EdgeAway(f"the connection broke ({type(error).__name__})") from None
        self._received += len(data)
        if not data and self._expected is not None and self._received != self._expected:
            raise EdgeAway(f"{self._received} of {self._expected} bytes came")
        if time.monotonic() - self._began > GRACE_SECONDS + self._received / RATE_BYTES_MIN:
            raise EdgeAway(f"fewer than {RATE_BYTES_MIN} bytes a second came")
        return data


class Orthanc:
    """A registered Orthanc. Methods raise EdgeAway, EdgeRefused, EdgeError. Safe to share between threads."""

    def __init__(self, edge: Edge, *, connections: int = 8, read_seconds: float = READ_SECONDS) -> None:
        self._locked = edge.locked
        self._host = urlsplit(edge.url).hostname or ""
        self._stopping = threading.Event()
        user, password = (
            edge.username.encode(),
            edge.password.encode(),
        )  # as UTF-8: requests would say Latin-1
        self._api = OrthancApiClient(edge.url, user=user or None, pwd=password or None)
        # Its own retries obey a Retry-After of any length, and hide for how long somebody is away.
        adapter = HTTPAdapter(max_retries=0, pool_maxsize=connections, pool_block=True)
        self._api._http_session.mount(edge.url[: edge.url.index(":")] + "://", adapter)
        self._limits: dict[str, Any] = {
            "stream": True, "timeout": (CONNECT_SECONDS, read_seconds), "allow_redirects": False,
            "hooks": {"response": _refuse},
            # No compression: what is small and becomes large.
            "headers": {"Accept-Encoding": "identity", "Accept": "*/*", "Expect": ""},
        }  # fmt: skip

    @property
    def host(self) -> str:
        return self._host

    def halt(self) -> None:
        """What is under way in other threads ends at its next piece."""
        self._stopping.set()

    def close(self) -> None:
        self.halt()
        self._api.close()

    def version(self) -> str:
        """Of its software. Checks that it may be asked at all."""
        _check_address(self._host)
        return str(_field(self._json("system"), "Version"))

    def changes(self, since: int, limit: int) -> Changes:
        """At most `limit` entries of the change log after the number `since`."""
        page = self._json("changes", since=since, limit=limit)
        found = [_change(c) for c in _list(_field(page, "Changes"))]
        return Changes(found, _number(page, "Last"), bool(_field(page, "Done")))

    def last_change(self) -> Change:
        """The newest entry of the change log; without a mark where that is gone from the log."""
        page = self._json("changes", last="")
        number = _number(page, "Last")
        at_end = [c for c in self.changes(number - 1, 1).changes if c.seq == number] if number else []
        return at_end[0] if at_end else Change(number, "", "", "")

    def instance_count(self) -> int:
        """Of all instances."""
        return _number(self._json("statistics"), "CountInstances")

    def instances(self, since: int, limit: int) -> list[There]:
        """A page of all instances, in an order of its own."""
        return [_there(i) for i in _list(self._json("instances", since=since, limit=limit, expand=""))]

    def described(self, ids: list[str]) -> list[There]:
        """Those of these instances that it still has."""
        asked = {"Resources": ids, "Level": "Instance", "Metadata": False}
        return [_there(i) for i in _list(self._post_json("tools/bulk-content", asked))]

    def studies(self, since: int, limit: int) -> list[tuple[str, str]]:
        """A page of all studies, in an order of its own: (identifier, Study Instance UID)."""
        page = _list(self._json("studies", since=since, limit=limit, expand=""))
        return [(_id(_field(s, "ID")), _tag(s, "StudyInstanceUID")) for s in page]

    def studies_of(self, study_uid: str) -> list[str]:
        """Identifiers of the studies with this UID: one for each patient that it came under."""
        asked = {"Level": "Study", "Query": {"StudyInstanceUID": study_uid}, "Expand": False}
        return [_id(i) for i in _list(self._post_json("tools/find", asked))]

    def study_count(self, study: str) -> int:
        """Of the instances of a study."""
        return _number(self._json(f"studies/{_id(study)}/statistics"), "CountInstances")

    def study_instances(self, study: str) -> list[There]:
        """All instances of a study."""
        return [_there(i) for i in _list(self._json(f"studies/{_id(study)}/instances", expand=""))]

    def md5(self, instance: str) -> str:
        """Of an instance's file, in hexadecimal digits; empty where it keeps none."""
        try:
            with self._get(f"instances/{_id(instance)}/attachments/dicom/md5") as body:
                return body.read(64).decode("ascii", "replace").strip()
        except EdgeError:
            return ""

    @contextmanager
    def file(self, instance: str) -> Iterator[Body]:
        """An instance's file as it came, whatever its length."""
        with self._get(f"instances/{_id(instance)}/file") as body:
            yield body

    def upload(self, file: bytes | Sendable) -> bool:
        """Store a file; False if it was there already. Raises EdgeError if it is refused."""
        seconds = self._limits["timeout"][1]  # also from one piece that it takes to the next
        with self._call(self._api.post, "instances", data=file, timeout=seconds) as body:
            answer = _parsed(body)
        return str(_field(answer, "Status")) == "Success"

    def _json(self, path: str, **parameters: Any) -> Any:
        with self._get(path, **parameters) as body:
            return _parsed(body)

    def _post_json(self, path: str, asked: Any) -> Any:
        with self._call(self._api.post, path, json=asked) as body:
            return _parsed(body)

    def _get(self, path: str, **parameters: Any) -> AbstractContextManager[Body]:
        return self._call(self._api.get, path, params=parameters)

    @contextmanager
    def _call(self, method: Any, path: str, **arguments: Any) -> Iterator[Body]:
        # Orthanc ends a quiet connection after a second, perhaps just as we use it. All that we ask may be asked twice.
        tries = 1 if hasattr(arguments.get("data"), "read") else 2
        for left in reversed(range(tries)):
            try:
                response = self._answer(method, path, arguments)
                break
            except _Broken:
                if not left:
                    raise
        try:
            yield Body(response, self._stopping)
        finally:
            response.close()

    def _answer(self, method: Any, path: str, arguments: dict[str, Any]) -> requests.Response:
        if self._stopping.is_set():
            raise EdgeAway("we stop")
        if self._locked:
            raise EdgeRefused(self._locked)
        try:
            response = method(path, **self._limits | arguments)
        except TimedOut:
            raise EdgeAway("no answer in time") from None
        except OrthancApiException:
            raise _Broken("no connection") from None
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise EdgeAway(f"no answer ({type(error).__name__})") from None
        if response is None:  # so the library answers for exceptions that it does not know
            raise _Broken("the connection broke")
        found: requests.Response = response
        return found


def _refuse(response: requests.Response, *_: Any, **__: Any) -> None:
    """What is no success is an error before its body is read, which might have no end."""
    status = response.status_code
    if 200 <= status < 300:
        return
    response.close()
    if status in (401, 403):
        raise EdgeRefused(f"the user name or password is not accepted (HTTP {status})")
    if status == 404:
        raise EdgeMissing("it does not have it (HTTP 404)")
    if status in AWAY_STATUSES:
        raise EdgeAway(f"not now (HTTP {status})")
    raise EdgeError(f"HTTP {status}" + (", a redirect, which is not followed" if status < 400 else ""))


def _check_address(host: str) -> None:
    """Raise EdgeRefused for addresses where no Orthanc is, and a cloud's own services may be: link-local ones."""
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except OSError:
        raise EdgeAway(f"the name {host} is not known") from None
    for text in found:
        if never_called(text):
            raise EdgeRefused(f"{host} is a link-local, multicast or unspecified address")


def _parsed(body: Body) -> Any:
    data = body.read(JSON_BYTES_MAX + 1)
    if len(data) > JSON_BYTES_MAX:
        raise EdgeError(f"an answer of more than {JSON_BYTES_MAX} bytes")
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise EdgeError("its answer is no JSON: is it an Orthanc?") from None


def _field(item: Any, name: str) -> Any:
    if not isinstance(item, dict) or name not in item:
        raise EdgeError(f"its answer lacks {name}: is it an Orthanc?")
    return item[name]


def _number(item: Any, name: str) -> int:
    value = _field(item, name)
    if not isinstance(value, int):
        raise EdgeError(f"its answer's {name} is no number: is it an Orthanc?")
    return value


def _list(item: Any) -> list[Any]:
    if not isinstance(item, list):
        raise EdgeError("its answer is no list: is it an Orthanc?")
    return item


def _id(item: Any) -> str:
    if not isinstance(item, str) or not _ID.match(item):
        raise EdgeError("an identifier is none of Orthanc's")
    return item


def _tag(item: Any, keyword: str) -> str:
    tags = _field(item, "MainDicomTags")
    return str(_field(tags, keyword)).strip("\0 ") if keyword in tags else ""


def _change(item: Any) -> Change:
    seq, resource = _number(item, "Seq"), _id(_field(item, "ID"))
    return Change(seq, str(_field(item, "ChangeType")), resource, f"{resource} {item.get('Date')}")


def _there(item: Any) -> There:
    return There(_id(_field(item, "ID")), _tag(item, "SOPInstanceUID"))
