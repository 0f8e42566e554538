"""A plain HTTP client, the same for all: one connection that is kept, bodies read in large pieces."""

from __future__ import annotations

import gzip
import http.client
import json
import urllib.parse
from typing import Any

from bench.peers import Web

READ_BYTES = 1024 * 1024
DICOM_JSON = "application/dicom+json"


class Client:
    """One connection to a peer's DICOMweb service."""

    def __init__(self, web: Web) -> None:
        self._web = web
        self._connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=60)
        self._buffer = memoryview(bytearray(READ_BYTES))

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def drain(self, path: str, accept: str) -> int:
        """Read an answer and let it go; its length in bytes."""
        response = self._ask(path, accept, "identity")
        total = 0
        while count := response.readinto(self._buffer):
            total += count
        return total

    def read(self, path: str, accept: str, encoding: str = "identity") -> bytes:
        """The body, unzipped."""
        response = self._ask(path, accept, encoding)
        body = response.read()
        return gzip.decompress(body) if response.headers.get("Content-Encoding") == "gzip" else body

    def json(self, path: str, **parameters: str) -> Any:
        """A DICOM JSON answer; an empty one is an empty list."""
        question = f"{path}?{urllib.parse.urlencode(parameters)}" if parameters else path
        return json.loads(self.read(question, DICOM_JSON, "gzip") or b"[]")

    def _ask(self, path: str, accept: str, encoding: str) -> http.client.HTTPResponse:
        headers = {**self._web.headers, "Accept": accept, "Accept-Encoding": encoding}
        try:
            response = self._once(self._web.prefix + path, headers)
        except (http.client.RemoteDisconnected, ConnectionError):  # an idle connection, closed by the server
            self._connection.close()
            response = self._once(self._web.prefix + path, headers)
        if response.status not in (200, 204):
            raise OSError(f"{path}: HTTP {response.status} {response.read()[:300]!r}")
        return response

    def _once(self, target: str, headers: dict[str, str]) -> http.client.HTTPResponse:
        self._connection.request("GET", target, headers=headers)
        return self._connection.getresponse()

    def instances_of(self, study_uid: str) -> int:
        """How many instances the study list gives a study; 0 if it is not listed."""
        found = self.json(
            "/studies", StudyInstanceUID=study_uid, includefield="NumberOfStudyRelatedInstances"
        )
        values = found[0].get("00201208", {}).get("Value", [0]) if found else [0]
        return int(values[0])
