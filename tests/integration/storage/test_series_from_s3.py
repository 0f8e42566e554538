"""What a series costs at S3: what lies in a row in one object is one request, and each byte of it comes once."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from urllib3 import BaseHTTPResponse

from pacs.errors import ObjectMissing
from pacs.settings import Settings
from storage.archive import Archive
from storage.blobs import open_store
from storage.blobs.lent import in_memory
from storage.blobs.s3 import S3Store
from storage.contents import Entry
from storage.database import Database
from storage.lending import lent_instances, lent_part10
from storage.location import Located
from storage.retrieve import READ_BYTES, part10_pieces, stream
from tests.integration.storage.proxy import proxy
from tests.support.services import ACCESS_KEY, SECRET_KEY, S3Server, s3_server

Taken = Callable[[Archive, list[Located]], list[bytes]]
GAP_BYTES = 180  # what lies between two images: a record's header


class Counted:
    """A store that remembers what it asked for: requests, in bytes."""

    def __init__(self, archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sizes: list[int] = []
        inner = S3Store._asked

        def counted(store: S3Store, key: str, offset: int = 0, length: int = 0) -> BaseHTTPResponse:
            self.sizes.append(length)
            return inner(store, key, offset, length)

        monkeypatch.setattr(S3Store, "_asked", counted)


@pytest.fixture(scope="module")
def server(workspace: Path) -> Iterator[S3Server]:
    running = s3_server(workspace / "s3-series")
    running.service.start()
    yield running
    running.service.stop()


@pytest.fixture
def archive(server: S3Server, tmp_path: Path) -> Iterator[Archive]:
    """An object store alone: nothing else is read once it is known where instances are."""
    with opened(server.endpoint, tmp_path) as archive:
        yield archive


@contextmanager
def opened(endpoint: str, folder: Path) -> Iterator[Archive]:
    settings = Settings(
        data=folder, object_store="s3://series/x", s3_endpoint=endpoint, s3_access_key=ACCESS_KEY,
        s3_secret_key=SECRET_KEY,
    )  # fmt: skip
    unused = Database("postgresql+psycopg://nobody@127.0.0.1:1/none")  # a pool that connects only when asked
    yield Archive.of(settings, unused, open_store(settings))
    unused.close()


def packed(archive: Archive, sizes: list[int]) -> tuple[list[Located], list[bytes]]:
    key, pack, whole = f"packs/T/{uuid.uuid4()}.pack", uuid.uuid4(), bytearray()
    located, contents = [], [os.urandom(size) for size in sizes]
    for number, content in enumerate(contents):
        whole += bytes(GAP_BYTES)
        entry = Entry(sop_instance=f"1.2.{number}", sop_class="1.2", transfer_syntax="1.2.840.10008.1.2.1", pack=pack,
                      offset=len(whole), length=len(content), dataset_offset=0, sha256="")  # fmt: skip
        located.append(Located(entry, key, "1.2.3", "1.2.3.4"))
        whole += content
    archive.objects.put(key, bytes(whole))
    return located, contents


def streamed(archive: Archive, located: list[Located]) -> list[bytes]:
    return joined((one.entry.sop_instance, piece, begins) for one, piece, begins in stream(archive, located))


def lent(archive: Archive, located: list[Located]) -> list[bytes]:
    return joined(
        (one.entry.sop_instance, in_memory(piece), begins)
        for one, piece, begins in lent_instances(archive, located)
    )


def joined(pieces: Iterable[tuple[str, bytes | memoryview, bool]]) -> list[bytes]:
    found: dict[str, bytes] = {}
    for uid, piece, begins in pieces:
        assert begins == (uid not in found)
        found[uid] = found.get(uid, b"") + piece
    return list(found.values())


WAYS = pytest.mark.parametrize("taken", [streamed, lent])


@pytest.mark.parametrize(("images", "size"), [(500, 33_000), (120, 525_000)])
def test_what_a_pack_holds_of_a_series_is_one_request(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, images: int, size: int
) -> None:
    """500 of an MR, 17 MB; as many of a CT as go into one pack, 63 MB. So 500 of a CT are five requests."""
    located, contents = packed(archive, [size] * images)
    counted = Counted(archive, monkeypatch)
    pieces = [(bytes(piece), begins) for _, piece, begins in stream(archive, located)]
    assert [piece for piece, begins in pieces if begins] == contents
    assert max(len(piece) for piece, _ in pieces) <= READ_BYTES
    assert counted.sizes == [images * (size + GAP_BYTES) - GAP_BYTES]


@WAYS
def test_images_of_every_size_come_whole_and_in_order(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, taken: Taken
) -> None:
    sizes = [1000, READ_BYTES, 10, READ_BYTES + 1, 5000, 3 * READ_BYTES - 7, 20, 30]
    located, contents = packed(archive, sizes)
    counted = Counted(archive, monkeypatch)
    assert taken(archive, located) == contents
    assert len(counted.sizes) == 1
    assert b"".join(part10_pieces(archive, located[5])) == contents[5]
    assert (
        b"".join(map(in_memory, lent_part10(archive, located[5], 7, READ_BYTES)))
        == contents[5][7 : 7 + READ_BYTES]
    )
    assert (
        b"".join(part10_pieces(archive, located[5], 100, READ_BYTES)) == contents[5][100 : 100 + READ_BYTES]
    )


@WAYS
def test_what_is_not_asked_for_is_read_over_or_left(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, taken: Taken
) -> None:
    """Every second image is read over; a large part of a pack that nobody wants is not read."""
    located, contents = packed(archive, [100_000] * 30)
    wanted = [*range(0, 10, 2), *range(24, 30)]
    counted = Counted(archive, monkeypatch)
    found = taken(archive, [located[n] for n in wanted])
    assert found == [contents[n] for n in wanted]
    assert len(counted.sizes) == 2


def test_who_leaves_leaves_the_answer(archive: Archive) -> None:
    located, contents = packed(archive, [3_000_000] * 8)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(40):  # more than a pool holds connections
        pieces = stream(archive, located)
        assert bytes(next(pieces)[1]) == contents[0]
        pieces.close()  # type: ignore[attr-defined]
        more = lent_instances(archive, located)
        assert in_memory(next(more)[1]) == contents[0]
        more.close()  # type: ignore[attr-defined]
    assert len(list(Path("/proc/self/fd").iterdir())) < before + 35
    assert streamed(archive, located) == lent(archive, located) == contents


class Cut:
    """An answer's way that ends after so many bytes, as often as told; then all passes."""

    def __init__(self, after_bytes: int, times: int) -> None:
        self._after, self.times, self._passed = after_bytes, times, 0

    def __call__(self, answer: bytes) -> bytes:
        self._passed += len(answer)
        if self.times and self._passed > self._after:
            self.times, self._passed = self.times - 1, 0
            raise OSError("cut")
        return answer


@WAYS
def test_an_answer_that_breaks_off_is_asked_for_again(
    server: S3Server, archive: Archive, tmp_path: Path, taken: Taken
) -> None:
    located, contents = packed(archive, [1_000_000] * 20)
    once = Cut(9_000_000, 1)
    with proxy(server.port, answer=once) as cutting, opened(cutting.endpoint, tmp_path) as cut:
        assert taken(cut, located) == contents
    assert once.times == 0


@WAYS
def test_one_that_breaks_off_again_and_again_is_an_error(
    server: S3Server, archive: Archive, tmp_path: Path, taken: Taken
) -> None:
    located, _ = packed(archive, [1_000_000] * 20)
    with (
        proxy(server.port, answer=Cut(1_000_000, 1_000)) as cutting,
        opened(cutting.endpoint, tmp_path) as cut,
        pytest.raises(OSError, match="object store"),
    ):
        taken(cut, located)
    with pytest.raises(ObjectMissing):
        taken(archive, [replace(one, key="packs/T/none.pack") for one in located])


@WAYS
def test_a_pack_that_ends_too_early_is_told(archive: Archive, taken: Taken) -> None:
    located, _ = packed(archive, [READ_BYTES + 1] * 2)
    entry = replace(located[1].entry, length=3 * READ_BYTES)
    with pytest.raises(OSError, match=r"are missing in|too early"):
        taken(archive, [located[0], replace(located[1], entry=entry)])
