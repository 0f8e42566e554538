"""Objects in any S3, through the `minio` SDK. No server-specific call is made."""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.error import InvalidResponseError, MinioException, S3Error
from minio.helpers import ObjectWriteResult
from urllib3 import BaseHTTPResponse

from pacs.errors import ObjectMissing, SettingError
from pacs.settings import MIB, Settings
from storage.blobs.digest import bytes_md5, file_md5
from storage.blobs.flow import Flow
from storage.blobs.keys import checked
from storage.blobs.lent import Arriving
from storage.blobs.mapping import STEP_BYTES, map_file
from storage.blobs.rows import Span, rows

PART_BYTES = 64 * MIB  # minio-py holds one part in memory
OTHER_BYTES = "the object store holds other bytes than it was given"
OTHER_RANGE = "the object store answered another range than was asked for"
# A store that takes a connection and then says nothing is away after so many seconds, tried twice.
TIMEOUT = urllib3.Timeout(connect=5, read=30)
RETRIES = urllib3.Retry(total=2, read=1, backoff_factor=0.2)


class S3Store:
    """A bucket, and a prefix in it. Opening it asks nothing of the server: a node must start while it is away."""

    window_bytes = 8 * MIB

    def __init__(self, client: Minio, bucket: str, prefix: str, region: str, *, is_plain: bool) -> None:
        """`is_plain`: without TLS."""
        self._client, self._bucket, self._region, self._is_plain = client, bucket, region, is_plain
        self._prefix = prefix.strip("/") + "/" if prefix.strip("/") else ""

    @classmethod
    def from_settings(cls, settings: Settings) -> S3Store:
        """Raises SettingError for what cannot name a store."""
        target = urlsplit(settings.object_store)
        endpoint = urlsplit(settings.s3_endpoint)
        if not target.netloc or endpoint.scheme not in ("http", "https") or not endpoint.netloc:
            raise SettingError(
                "S3 needs TONGYING_OBJECT_STORE=s3://bucket/prefix and TONGYING_S3_ENDPOINT=http(s)://host:port"
            )
        client = Minio(
            endpoint.netloc,
            access_key=settings.s3_access_key,
            secret_key=settings.s3_secret_key,
            secure=endpoint.scheme == "https",
            region=settings.s3_region,
            http_client=urllib3.PoolManager(num_pools=4, maxsize=32, timeout=TIMEOUT, retries=RETRIES),
        )
        is_plain = endpoint.scheme == "http"
        return cls(client, target.netloc, target.path, settings.s3_region, is_plain=is_plain)

    def put(self, key: str, data: bytes) -> None:
        made = self._put_stream(key, io.BytesIO(data), len(data))
        if not _same(made.etag, bytes_md5(data)) and self.get(key) != data:
            raise OSError(5, OTHER_BYTES)

    def put_file(self, key: str, path: Path) -> None:
        length = path.stat().st_size
        with path.open("rb") as file:
            made = self._put_stream(key, file, length)
        expected = file_md5(path) if length <= PART_BYTES else _multipart_etag(path)
        if not _same(made.etag, expected) and self._stored_md5(key) != file_md5(path):
            raise OSError(5, OTHER_BYTES)

    def get(self, key: str) -> bytes:
        return self._read(key)

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        if length == 0:
            return b""
        try:
            return self._read(key, offset, length)
        except _BeyondEnd:
            return b""

    def read_spans(self, spans: Iterable[Span]) -> Iterator[bytes]:
        for row in rows(spans):
            if len(row) == 1:
                yield self.read_range(*row[0])
            else:
                yield from self._read_row(row)

    def lend_spans(self, spans: Iterable[Span]) -> Iterator[Arriving]:
        for row in rows(spans):
            key, start, end = row[0][0], row[0][1], row[-1][1] + row[-1][2]
            asked = partial(self._asked_to, key, end)
            with contextlib.closing(Flow(asked, start, is_plain=self._is_plain)) as flow:
                for _, offset, length in row:
                    flow.go_to(offset)
                    yield Arriving(flow, length)

    def _asked_to(self, key: str, end: int, start: int) -> BaseHTTPResponse:
        with _errors(key):
            return self._asked(key, start, end - start)

    def _read_row(self, row: list[Span]) -> Iterator[bytes]:
        key, end = row[0][0], row[-1][1] + row[-1][2]
        with contextlib.closing(_Row(lambda offset: self._asked(key, offset, end - offset), key)) as answer:
            for _, offset, length in row:
                yield answer.read_at(offset, length)

    def map_range(self, key: str, offset: int, length: int) -> memoryview:
        """By way of a nameless file in the folder for temporary files."""
        with TemporaryFile() as file:
            for at in range(0, length, STEP_BYTES):
                file.write(self.read_range(key, offset + at, min(STEP_BYTES, length - at)))
            file.flush()
            return map_file(file.fileno(), offset=0, length=length)

    def size(self, key: str) -> int:
        with _errors(key):
            return int(self._client.stat_object(self._bucket, self._name(key)).size or 0)

    def delete(self, key: str) -> None:
        with contextlib.suppress(ObjectMissing), _errors(key):
            self._client.remove_object(self._bucket, self._name(key))

    def keys(self, prefix: str) -> Iterator[str]:
        with _errors(prefix):
            names = self._listed(self._prefix + prefix)
        yield from (name.removeprefix(self._prefix) for name in names)

    def _listed(self, prefix: str) -> list[str]:
        found = self._client.list_objects(self._bucket, prefix=prefix, recursive=True)
        try:
            return sorted(str(o.object_name) for o in found)
        except (S3Error, InvalidResponseError) as error:
            if _code(error) == "NoSuchBucket":  # nothing was put yet
                return []
            raise

    def _name(self, key: str) -> str:
        return self._prefix + checked(key)

    def _put_stream(self, key: str, stream: BinaryIO, length: int) -> ObjectWriteResult:
        """Makes the bucket if there is none yet: at the first put, since opening asks nothing."""
        name = self._name(key)
        for last in (False, True):
            with _errors(key):
                try:
                    stream.seek(0)
                    return self._client.put_object(
                        self._bucket, name, stream, length, part_size=PART_BYTES, num_parallel_uploads=1
                    )
                except (S3Error, InvalidResponseError) as error:
                    if _code(error) != "NoSuchBucket" or last:
                        raise
                self._make_bucket()
        raise AssertionError("the second try returns or raises")

    def _make_bucket(self) -> None:
        with contextlib.suppress(S3Error, InvalidResponseError):  # another process was faster
            self._client.make_bucket(self._bucket, location=self._region)

    def _asked(self, key: str, offset: int = 0, length: int = 0) -> BaseHTTPResponse:
        """Raises OSError where other bytes come than were asked for: they may be another patient's."""
        response = self._client.get_object(self._bucket, self._name(key), offset, length)
        if (offset or length) and not _begins_at(response, offset):
            _end(response)
            raise OSError(5, OTHER_RANGE)
        return response

    def _read(self, key: str, offset: int = 0, length: int = 0) -> bytes:
        with _errors(key):
            response = self._asked(key, offset, length)
            try:
                return bytes(response.read())
            finally:
                _end(response)

    def _stored_md5(self, key: str) -> str:
        """Read back what is stored: for servers whose ETag is not an MD5."""
        digest = hashlib.md5(usedforsecurity=False)
        with _errors(key):
            response = self._asked(key)
            try:
                for chunk in response.stream(MIB):
                    digest.update(chunk)
            finally:
                _end(response)
        return digest.hexdigest()


class _Row:
    """The answer to one request for all of a row, read as far as it is wanted. Where it breaks off, as it may while our
    reader is slow, the rest is asked for once more."""

    def __init__(self, ask: Callable[[int], BaseHTTPResponse], key: str) -> None:
        self._ask, self._key = ask, key  # `ask` from this byte on
        self._response: BaseHTTPResponse | None = None
        self._at = 0

    def read_at(self, offset: int, length: int) -> bytes:
        """Where the last one ended, or behind that; fewer bytes only at the object's end. Raises OSError."""
        try:
            return self._read(offset, length)
        except _BeyondEnd:
            return b""
        except OSError:
            self.close()
            return self._read(offset, length)

    def _read(self, offset: int, length: int) -> bytes:
        with _errors(self._key):
            if self._response is None:
                self._response, self._at = self._ask(offset), offset
            self._at += len(self._response.read(offset - self._at))
            data = bytes(self._response.read(length))
        self._at += len(data)
        return data

    def close(self) -> None:
        """Ask no further."""
        if self._response is not None:
            _end(self._response)
            self._response = None


def _end(response: BaseHTTPResponse) -> None:
    response.close()
    response.release_conn()


def _begins_at(response: BaseHTTPResponse, offset: int) -> bool:
    """A server may leave a range out of account and answer with the whole object (RFC 9110 14.2). The status does not
    tell: some answer a range with 200."""
    return response.headers.get("Content-Range", "").lower().startswith(f"bytes {offset}-")


def _same(etag: str | None, md5: str) -> bool:
    return (etag or "").strip('"') == md5


def _multipart_etag(path: Path) -> str:
    """The ETag that S3 gives an object of several parts: the MD5 of the parts' MD5s, and their number."""
    parts = []
    with path.open("rb") as file:
        while chunk := file.read(PART_BYTES):
            parts.append(hashlib.md5(chunk, usedforsecurity=False).digest())
    return f"{hashlib.md5(b''.join(parts), usedforsecurity=False).hexdigest()}-{len(parts)}"


class _BeyondEnd(OSError):
    """A range that begins after the object's last byte (HTTP 416)."""


@contextlib.contextmanager
def _errors(key: str) -> Iterator[None]:
    """What the SDK raises, in the words of the interface."""
    try:
        yield
    except (MinioException, urllib3.exceptions.HTTPError, ValueError) as error:
        code = _code(error)
        if code in ("NoSuchKey", "NotFound", "NoSuchObject"):
            raise ObjectMissing(key) from None
        if code == "InvalidRange":
            raise _BeyondEnd(5, "the range begins after the end") from None
        raise OSError(5, f"object store: {code}") from error


def _code(error: Exception) -> str:
    """S3's word for what happened. The SDK reads it from `application/xml` only, and some servers say `text/xml`."""
    if isinstance(error, S3Error):
        return error.code or "unknown"
    if isinstance(error, InvalidResponseError):
        said = re.search(r"<Code>(\w+)</Code>", str(error))
        return (
            said[1]
            if said
            else {404: "NoSuchKey", 416: "InvalidRange"}.get(error._code, f"HTTP {error._code}")
        )
    return type(error).__name__
