"""What a series costs at S3: neighbours are read together, and the next read runs while these bytes are sent."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from pacs.settings import Settings
from storage.archive import Archive
from storage.blobs import open_store
from storage.contents import Entry
from storage.database import Database
from storage.retrieve import READ_BYTES, Located, part10_pieces, stream
from storage.shelf import Shelf
from tests.support.services import ACCESS_KEY, SECRET_KEY, S3Server, s3_server

IMAGES, GAP_BYTES = 500, 180  # and what lies between two: a record's header


class Counted:
    """A store that remembers its reads."""

    def __init__(self, archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sizes: list[int] = []
        inner = archive.objects.read_range

        def counted(key: str, offset: int, length: int) -> bytes:
            self.sizes.append(length)
            return inner(key, offset, length)

        monkeypatch.setattr(archive.objects, "read_range", counted)


@pytest.fixture(scope="module")
def server(workspace: Path) -> Iterator[S3Server]:
    running = s3_server(workspace / "s3-series")
    running.service.start()
    yield running
    running.service.stop()


@pytest.fixture
def archive(server: S3Server, tmp_path: Path) -> Iterator[Archive]:
    """An object store alone: nothing else is read once it is known where instances are."""
    settings = Settings(
        data=tmp_path, object_store="s3://series/x", s3_endpoint=server.endpoint, s3_access_key=ACCESS_KEY,
        s3_secret_key=SECRET_KEY,
    )  # fmt: skip
    unused = Database("postgresql+psycopg://nobody@127.0.0.1:1/none")  # a pool that connects only when asked
    yield Archive(settings, unused, open_store(settings), Shelf(1_000_000))
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


def test_500_images_are_a_handful_of_reads(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 33 kB each, as MR has them: 16 MB."""
    located, contents = packed(archive, [33_000] * IMAGES)
    counted = Counted(archive, monkeypatch)
    found = [bytes(piece) for _, piece, begins in stream(archive, located) if begins]
    assert found == contents
    assert len(counted.sizes) == 4
    assert max(counted.sizes) <= READ_BYTES


def test_images_of_every_size_come_whole_and_in_order(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = [1000, READ_BYTES, 10, READ_BYTES + 1, 5000, 3 * READ_BYTES - 7, 20, 30]
    located, contents = packed(archive, sizes)
    counted = Counted(archive, monkeypatch)
    joined = {one.entry.sop_instance: b"" for one in located}
    for one, piece, begins in stream(archive, located):
        assert begins == (joined[one.entry.sop_instance] == b"")
        joined[one.entry.sop_instance] += piece
    assert list(joined.values()) == contents
    assert len(counted.sizes) == 10
    assert b"".join(part10_pieces(archive, located[5])) == contents[5]
    assert (
        b"".join(part10_pieces(archive, located[5], 100, READ_BYTES)) == contents[5][100 : 100 + READ_BYTES]
    )
