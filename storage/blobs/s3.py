"""Objects in any S3, through the `minio` SDK. No server-specific call is made."""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.error import MinioException, S3Error

from pacs.errors import ObjectMissing, SettingError
from pacs.settings import MIB, Settings
from storage.blobs.digest import bytes_md5, file_md5

PART_BYTES = 64 * MIB  # minio-py holds one part in memory
TIMEOUT = urllib3.Timeout(connect=5, read=60)


class S3Store:
    """A bucket, and a prefix in it."""

    def __init__(self, client: Minio, bucket: str, prefix: str) -> None:
        self._client, self._bucket = client, bucket
        self._prefix = prefix.strip("/") + "/" if prefix.strip("/") else ""

    @classmethod
    def from_settings(cls, settings: Settings) -> S3Store:
        """Connect, and make the bucket if it is not there; raises SettingError for what cannot be used."""
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
            http_client=urllib3.PoolManager(
                num_pools=4, maxsize=32, timeout=TIMEOUT, retries=urllib3.Retry(total=2, backoff_factor=0.2)
            ),
        )
        store = cls(client, target.netloc, target.path)
        with _errors(""):
            if not client.bucket_exists(target.netloc):
                with contextlib.suppress(S3Error):  # another process was faster
                    client.make_bucket(target.netloc, location=settings.s3_region)
        return store

    def put(self, key: str, data: bytes) -> None:
        with _errors(key):
            made = self._client.put_object(self._bucket, self._prefix + key, io.BytesIO(data), len(data))
        if not _same(made.etag, bytes_md5(data)) and self.get(key) != data:
            raise OSError(5, "the object store holds other bytes than it was given")

    def put_file(self, key: str, path: Path) -> None:
        length = path.stat().st_size
        with path.open("rb") as file, _errors(key):
            made = self._client.put_object(
                self._bucket, self._prefix + key, file, length, part_size=PART_BYTES, num_parallel_uploads=1
            )
        expected = file_md5(path) if length <= PART_BYTES else _multipart_etag(path)
        if not _same(made.etag, expected) and self._stored_md5(key) != file_md5(path):
            raise OSError(5, "the object store holds other bytes than it was given")

    def get(self, key: str) -> bytes:
        return self._read(key)

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        if length == 0:
            return b""
        try:
            return self._read(key, offset, length)
        except OSError:
            if offset >= self.size(key):  # 416, which not every server answers in XML
                return b""
            raise

    def size(self, key: str) -> int:
        with _errors(key):
            return int(self._client.stat_object(self._bucket, self._prefix + key).size or 0)

    def delete(self, key: str) -> None:
        with contextlib.suppress(ObjectMissing), _errors(key):
            self._client.remove_object(self._bucket, self._prefix + key)

    def keys(self, prefix: str) -> Iterator[str]:
        with _errors(prefix):
            found = self._client.list_objects(self._bucket, prefix=self._prefix + prefix, recursive=True)
            names = sorted(str(o.object_name) for o in found)
        yield from (name.removeprefix(self._prefix) for name in names)

    def _read(self, key: str, offset: int = 0, length: int = 0) -> bytes:
        with _errors(key):
            response = self._client.get_object(self._bucket, self._prefix + key, offset, length)
            try:
                return bytes(response.read())
            finally:
                response.close()
                response.release_conn()

    def _stored_md5(self, key: str) -> str:
        """Read back what is stored: for servers whose ETag is not an MD5."""
        digest = hashlib.md5(usedforsecurity=False)
        with _errors(key):
            response = self._client.get_object(self._bucket, self._prefix + key)
            try:
                for chunk in response.stream(MIB):
                    digest.update(chunk)
            finally:
                response.close()
                response.release_conn()
        return digest.hexdigest()


def _same(etag: str | None, md5: str) -> bool:
    return (etag or "").strip('"') == md5


def _multipart_etag(path: Path) -> str:
    """The ETag that S3 gives an object of several parts: the MD5 of the parts' MD5s, and their number."""
    parts = []
    with path.open("rb") as file:
        while chunk := file.read(PART_BYTES):
            parts.append(hashlib.md5(chunk, usedforsecurity=False).digest())
    return f"{hashlib.md5(b''.join(parts), usedforsecurity=False).hexdigest()}-{len(parts)}"


@contextlib.contextmanager
def _errors(key: str) -> Iterator[None]:
    """What the SDK raises, in the words of the interface."""
    try:
        yield
    except S3Error as error:
        if error.code in ("NoSuchKey", "NotFound", "NoSuchObject"):
            raise ObjectMissing(key) from None
        raise OSError(5, f"object store: {error.code}") from error
    except (MinioException, urllib3.exceptions.HTTPError, ValueError) as error:
        if getattr(error, "_code", None) == 404:  # InvalidResponseError: a 404 that came as text/xml
            raise ObjectMissing(key) from None
        raise OSError(5, f"object store: {type(error).__name__}") from error
