"""The behaviour that every object store shares, and what a store over a network must do when that network fails."""

from __future__ import annotations

import contextlib
import hashlib
import random
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import urllib3

from pacs.errors import ObjectMissing, SettingError
from pacs.settings import MIB, Settings
from storage.blobs import ObjectReader, ObjectStore, open_store, s3
from storage.blobs.lent import in_memory
from storage.blobs.local import LocalStore
from storage.blobs.mapping import sha256
from storage.blobs.s3 import S3Store
from tests.integration.storage.proxy import proxy
from tests.support.server import free_port
from tests.support.services import ACCESS_KEY, SECRET_KEY, S3Server, s3_server, seaweedfs

PART_BYTES = 5 * MIB  # the smallest that S3 allows
MARK, FLIPPED = b"the-bytes-that-were-sent", b"the-bytes-that-were-sEnt"
UNUSABLE = [
    "",
    "/",
    "../up",
    "a/../../up",
    "/absolute",
    "a//b",
    "a/",
    "a/./b",
    ".hidden",
    "a/.b",
    "a b",
    "a\0b",
    "ä",
    "k" * 600,
]
AWAY_SECONDS_MAX = 15


@pytest.fixture(scope="module")
def server(workspace: Path) -> Iterator[S3Server]:
    running = s3_server(workspace / "s3")
    running.service.start()
    yield running
    running.service.stop()


def settings_for(
    endpoint: str, *, secret: str = SECRET_KEY, store: str = "s3://behaviour/some/prefix"
) -> Settings:
    return Settings(object_store=store, s3_endpoint=endpoint, s3_access_key=ACCESS_KEY, s3_secret_key=secret)


def s3_store(endpoint: str, **choices: str) -> S3Store:
    return S3Store.from_settings(settings_for(endpoint, **choices))


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    """An empty store: a folder of its own, or a prefix of its own."""
    if request.param == "local":
        return LocalStore(tmp_path / "objects")
    endpoint = request.getfixturevalue("server").endpoint
    name = hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:16]
    fresh = s3_store(endpoint, store=f"s3://behaviour/{name}")
    fresh.put("first", b"makes the bucket")
    fresh.delete("first")
    return fresh


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "PART_BYTES", PART_BYTES)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same retries with shorter waits."""
    monkeypatch.setattr(s3, "TIMEOUT", urllib3.Timeout(connect=1, read=1))


def file_of(path: Path, length: int) -> Path:
    """A file whose every 8 bytes differ."""
    path.write_bytes(np.arange(length // 8 + 1, dtype=">u8").tobytes()[:length])
    return path


# --- What all stores do -----------------------------------------------------------------------------------------


def test_what_is_put_is_got(store: ObjectStore) -> None:
    data = bytes(range(256)) * 100
    store.put("packs/LOCAL/2026/01/02/a.pack", data)
    assert store.get("packs/LOCAL/2026/01/02/a.pack") == data
    assert store.size("packs/LOCAL/2026/01/02/a.pack") == len(data)


def test_an_empty_object_is_an_object(store: ObjectStore, tmp_path: Path) -> None:
    store.put("empty", b"")
    store.put_file("empty-file", file_of(tmp_path / "f", 0))
    for key in ("empty", "empty-file"):
        assert (store.get(key), store.size(key), store.read_range(key, 0, 10)) == (b"", 0, b"")
    assert list(store.keys("")) == ["empty", "empty-file"]


@pytest.mark.parametrize(
    ("offset", "length", "expected"),
    [
        (0, 10, b"0123456789"), (0, 1, b"0"), (3, 4, b"3456"), (9, 1, b"9"), (8, 100, b"89"), (0, 100, b"0123456789"),
        (10, 1, b""), (10, 0, b""), (1000, 10, b""), (0, 0, b""), (5, 0, b""),
    ],
)  # fmt: skip
def test_ranges(store: ObjectStore, offset: int, length: int, expected: bytes) -> None:
    store.put("digits", b"0123456789")
    assert store.read_range("digits", offset, length) == expected


def test_a_reader_sees_the_same_through_its_window(store: ObjectStore) -> None:
    data = bytes(range(250)) * 4
    store.put("windowed", data)
    reader = ObjectReader(store, "windowed", window_bytes=64)
    assert reader.size == len(data)
    for offset, length in ((0, 10), (5, 20), (60, 10), (990, 50), (0, 1000), (3, 64), (1000, 5)):
        assert reader.read_at(offset, length) == data[offset : offset + length]


@pytest.mark.parametrize(("offset", "length"), [(0, 1), (0, 40_000_000), (4097, 33_000_000), (39_999_999, 1)])
def test_a_large_range_is_mapped(store: ObjectStore, tmp_path: Path, offset: int, length: int) -> None:
    file = file_of(tmp_path / "large", 40_000_000)
    store.put_file("large", file)
    mapped = store.map_range("large", offset, length)
    expected = file.read_bytes()[offset : offset + length]
    assert len(mapped) == length
    assert mapped == expected
    assert sha256(mapped) == hashlib.sha256(expected).hexdigest()
    assert mapped[-1] == expected[-1]  # its pages come back


def test_what_is_lent_is_what_is_read(store: ObjectStore) -> None:
    """Whole, in pieces, or passed over; of several objects."""
    data = {key: random.Random(key).randbytes(3_000_000) for key in ("packs/a", "packs/b")}
    for key, content in data.items():
        store.put(key, content)
    spans = [("packs/a", 5, 1000), ("packs/a", 1200, 2_000_000), ("packs/a", 2_500_000, 400_000), ("packs/b", 0, 7),
             ("packs/b", 7, 2_999_993)]  # fmt: skip
    wanted = [data[key][offset : offset + length] for key, offset, length in spans]
    assert [in_memory(piece) for piece in store.lend_spans(spans)] == wanted
    begun = [piece.read(3) for piece in store.lend_spans(spans) if not isinstance(piece, bytes | memoryview)]
    assert begun == [content[:3] for content in wanted]


def test_what_is_lent_goes_to_a_socket(store: ObjectStore) -> None:
    data = random.Random(7).randbytes(5_000_000)
    store.put("packs/a", data)
    ours, theirs = socket.socketpair()
    with ours, theirs, theirs.makefile("rb") as end, ThreadPoolExecutor(1) as pool:
        ours.setblocking(False)
        received = pool.submit(end.read)
        pieces = store.lend_spans([("packs/a", 0, len(data))])
        lent = next(pieces)
        assert not isinstance(lent, bytes | memoryview)
        while lent:
            try:
                sent, before = 0, len(lent)
                sent = lent.send_to(ours.fileno())
            except BlockingIOError:
                time.sleep(0.001)
            assert len(lent) == before - sent
        ours.shutdown(socket.SHUT_WR)
        assert received.result(30) == data


def test_what_ends_too_early_cannot_be_lent(store: ObjectStore) -> None:
    store.put("packs/a", bytes(100))
    pieces = store.lend_spans([("packs/a", 0, 50), ("packs/a", 50, 60)])
    assert in_memory(next(pieces)) == bytes(50)
    with pytest.raises(OSError, match="too early"):
        in_memory(next(pieces))


def test_a_range_beyond_the_end_cannot_be_mapped(store: ObjectStore) -> None:
    store.put("digits", b"0123456789")
    with pytest.raises(OSError, match="ends before"):
        store.map_range("digits", 5_000, 10)
    with pytest.raises(OSError, match="ends before"):
        store.map_range("digits", 5, 6)


CALLS: dict[str, Callable[[ObjectStore, str], object]] = {
    "get": lambda s, k: s.get(k),
    "read_range": lambda s, k: s.read_range(k, 0, 10),
    "read_range beyond": lambda s, k: s.read_range(k, 10**6, 10),
    "map_range": lambda s, k: s.map_range(k, 0, 10),
    "size": lambda s, k: s.size(k),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_missing_key_is_missing(store: ObjectStore, call: str) -> None:
    store.put("folder/of/keys", b"x")
    for key in ("nothing", "folder", "folder/of", "folder/of/keys/below", "folder/of/key"):
        with pytest.raises(ObjectMissing):
            CALLS[call](store, key)


@pytest.mark.parametrize("key", UNUSABLE)
def test_an_unusable_key_reaches_no_store(store: ObjectStore, tmp_path: Path, key: str) -> None:
    (tmp_path / "up").write_bytes(b"outside")
    (tmp_path / "source").write_bytes(b"x")
    for call in CALLS.values():
        with pytest.raises(ObjectMissing):
            call(store, key)
    with pytest.raises(ObjectMissing):
        store.put(key, b"x")
    with pytest.raises(ObjectMissing):
        store.put_file(key, tmp_path / "source")
    store.delete(key)
    assert (tmp_path / "up").read_bytes() == b"outside"
    assert list(store.keys("")) == []


def test_delete_twice(store: ObjectStore) -> None:
    store.put("folder/gone", b"x")
    store.put("folder/stays", b"y")
    for _ in range(2):
        store.delete("folder/gone")
        store.delete("never/was")
    assert list(store.keys("")) == ["folder/stays"]
    with pytest.raises(ObjectMissing):
        store.get("folder/gone")


def test_keys_are_sorted_and_have_the_prefix(store: ObjectStore) -> None:
    names = ["a/1", "a/10", "a/2/x", "ab", "b/1", "a-b/1", "a.b"]
    for name in reversed(names):
        store.put(name, b"x")
    assert list(store.keys("")) == sorted(names)
    assert list(store.keys("a/")) == ["a/1", "a/10", "a/2/x"]
    assert list(store.keys("a/1")) == ["a/1", "a/10"]
    assert list(store.keys("a")) == sorted(n for n in names if n.startswith("a"))
    for nothing in ("c", "a/3/", "../", "a/../b", "/"):
        assert list(store.keys(nothing)) == []


def test_more_keys_than_one_page_of_s3(store: ObjectStore) -> None:
    names = [f"many/{i:04}" for i in range(1005)]
    for name in names:
        store.put(name, b"")
    assert list(store.keys("many/")) == names


def test_the_second_put_is_what_is_got(store: ObjectStore) -> None:
    store.put("twice", b"the first, which is longer")
    store.put("twice", b"the second")
    assert (store.get("twice"), store.size("twice")) == (b"the second", 10)
    assert list(store.keys("")) == ["twice"]


def test_a_file_is_stored_whole_and_stays(store: ObjectStore, tmp_path: Path) -> None:
    path = file_of(tmp_path / "segment", 100_003)
    for _ in range(3):
        store.put_file("packs/a.pack", path)
    assert store.get("packs/a.pack") == path.read_bytes()
    assert list(store.keys("")) == ["packs/a.pack"]
    path.unlink()
    assert store.size("packs/a.pack") == 100_003


def test_a_file_put_again_repairs_what_was_there(store: ObjectStore, tmp_path: Path) -> None:
    path = file_of(tmp_path / "segment", 1000)
    store.put("packs/a.pack", b"?" * 1000)
    store.put_file("packs/a.pack", path)
    assert store.get("packs/a.pack") == path.read_bytes()


@pytest.mark.parametrize("length", [PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES + 12345])
def test_a_file_of_several_parts(store: ObjectStore, tmp_path: Path, small_parts: None, length: int) -> None:
    path = file_of(tmp_path / "large", length)
    store.put_file("large", path)
    store.put_file("large", path)
    assert store.size("large") == length
    assert store.read_range("large", PART_BYTES - 5, 10) == path.read_bytes()[PART_BYTES - 5 : PART_BYTES + 5]
    assert hashlib.sha256(store.get("large")).digest() == hashlib.sha256(path.read_bytes()).digest()


def test_a_file_that_is_not_there(store: ObjectStore, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        store.put_file("key", tmp_path / "absent")
    assert list(store.keys("")) == []


def test_many_at_once(store: ObjectStore) -> None:
    """Threads share a store; where several write and read one key, each read is of one whole value."""
    replaces_at_once = isinstance(store, LocalStore) or seaweedfs() is not None
    refusals = () if replaces_at_once else (OSError, ObjectMissing)  # rclone writes into the old file
    values = [bytes([i]) * 50_000 for i in range(8)]
    store.put("shared", values[0])
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(5):
                store.put(f"own/{number}/{turn}", values[number])
                assert store.get(f"own/{number}/{turn}") == values[number]
                with contextlib.suppress(*refusals):
                    store.put("shared", values[number])
                    assert store.get("shared") in values
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    store.put("shared", values[0])
    assert store.get("shared") == values[0]
    assert len(list(store.keys("own/"))) == 40


# --- The local store --------------------------------------------------------------------------------------------


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LocalStore(tmp_path / "objects")

    def full(_file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("storage.blobs.local.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        store.put("a/b", b"x")
    assert [p for p in (tmp_path / "objects").rglob("*") if p.is_file()] == []


def test_across_file_systems_a_file_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def other_device(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("storage.blobs.local.os.link", other_device)
    store, path = LocalStore(tmp_path / "objects"), file_of(tmp_path / "segment", 3_000_001)
    store.put_file("a", path)
    assert store.get("a") == path.read_bytes()


def test_a_copy_that_differs_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def damaging(source: Path, target: Path) -> None:
        raise OSError(18, "Invalid cross-device link")

    def damaged(read: object, write: object, _length: int) -> None:
        write.write(b"other")  # type: ignore[attr-defined]

    monkeypatch.setattr("storage.blobs.local.os.link", damaging)
    monkeypatch.setattr("storage.blobs.local.shutil.copyfileobj", damaged)
    store = LocalStore(tmp_path / "objects")
    with pytest.raises(OSError, match="differs"):
        store.put_file("a", file_of(tmp_path / "segment", 10))
    assert [p for p in (tmp_path / "objects").rglob("*") if p.is_file()] == []


# --- S3 over a network that fails -------------------------------------------------------------------------------

EVERY: dict[str, Callable[[ObjectStore, Path], object]] = {
    "put": lambda s, _: s.put("key", b"x"),
    "put_file": lambda s, path: s.put_file("key", path),
    "get": lambda s, _: s.get("key"),
    "read_range": lambda s, _: s.read_range("key", 0, 5),
    "size": lambda s, _: s.size("key"),
    "delete": lambda s, _: s.delete("key"),
    "keys": lambda s, _: list(s.keys("")),
}


@pytest.mark.parametrize("call", EVERY)
def test_wrong_keys_are_said_at_once(server: S3Server, tmp_path: Path, call: str) -> None:
    store = s3_store(server.endpoint, secret="not the secret key")
    began = time.monotonic()
    with pytest.raises(OSError, match=r"AccessDenied|SignatureDoesNotMatch|HTTP 403"):
        EVERY[call](store, file_of(tmp_path / "f", 100))
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("call", EVERY)
def test_a_server_that_is_not_there(tmp_path: Path, call: str) -> None:
    store = s3_store(f"http://127.0.0.1:{free_port()}")
    began = time.monotonic()
    with pytest.raises(OSError, match="object store"):
        EVERY[call](store, file_of(tmp_path / "f", 100))
    assert time.monotonic() - began < AWAY_SECONDS_MAX


@pytest.mark.parametrize("call", ["put", "get", "size", "keys"])
def test_a_server_that_says_nothing(tmp_path: Path, impatient: None, call: str) -> None:
    with proxy(None) as silent:
        store = s3_store(silent.endpoint)
        began = time.monotonic()
        with pytest.raises(OSError, match="object store"):
            EVERY[call](store, file_of(tmp_path / "f", 100))
    assert time.monotonic() - began < AWAY_SECONDS_MAX


def test_patience_has_an_end() -> None:
    """What the test above shortens: at most two reads of this long."""
    assert (s3.TIMEOUT.connect_timeout, s3.TIMEOUT.read_timeout) == (5, 30)
    assert (s3.RETRIES.total, s3.RETRIES.read) == (2, 1)


def test_a_server_that_comes_back(workspace: Path, tmp_path: Path) -> None:
    own = s3_server(workspace / "s3-restarted")
    own.service.start()
    try:
        store = s3_store(own.endpoint)
        store.put("before", b"x")
        own.service.stop()
        with pytest.raises(OSError, match="object store"):
            store.put_file("during", file_of(tmp_path / "f", 100))
        own.service.start()
        store.put_file("during", tmp_path / "f")
        assert list(store.keys("")) == ["before", "during"]
    finally:
        own.service.stop()


@pytest.mark.parametrize("call", ["put", "put_file"])
def test_bytes_damaged_on_the_way_are_not_stored_in_silence(
    server: S3Server, tmp_path: Path, call: str
) -> None:
    """A server that checks refuses them; one that does not is caught by the digest of what it holds."""
    path = tmp_path / "f"
    path.write_bytes(MARK)
    with proxy(server.port, request=lambda b: b.replace(MARK, FLIPPED)) as damaging:
        store = s3_store(damaging.endpoint, store=f"s3://behaviour/damaged-{call}")
        with pytest.raises(OSError, match="object store"):
            store.put("key", MARK) if call == "put" else store.put_file("key", path)


@pytest.mark.parametrize("call", ["put", "put_file"])
def test_a_foreign_etag_is_settled_by_reading_back(server: S3Server, tmp_path: Path, call: str) -> None:
    """With encryption on the server's side an ETag is no MD5."""
    path = tmp_path / "f"
    path.write_bytes(MARK)

    def foreign(answer: bytes) -> bytes:
        return re.sub(rb'(?i)(etag: "?)[0-9a-f]{32}', rb"\g<1>" + b"0" * 32, answer)

    def foreign_and_flipped(answer: bytes) -> bytes:
        return foreign(answer).replace(MARK, FLIPPED)

    with proxy(server.port, answer=foreign) as kms:
        store = s3_store(kms.endpoint, store=f"s3://behaviour/kms-{call}")
        store.put("key", MARK) if call == "put" else store.put_file("key", path)
        assert store.get("key") == MARK
    with proxy(server.port, answer=foreign_and_flipped) as lying:
        store = s3_store(lying.endpoint, store=f"s3://behaviour/lying-{call}")
        with pytest.raises(OSError, match="other bytes"):
            store.put("key", MARK) if call == "put" else store.put_file("key", path)


@pytest.mark.parametrize(
    ("said", "instead"),
    [(rb"(?i)(content-range: bytes )3-", rb"\g<1>4-"), (rb"(?i)content-range:", b"x-range:")],
)
def test_another_range_than_was_asked_for_is_no_answer(server: S3Server, said: bytes, instead: bytes) -> None:
    """Of a pack, it may be another patient's."""
    s3_store(server.endpoint).put("ranged", MARK)
    with proxy(server.port, answer=lambda b: re.sub(said, instead, b)) as careless:
        store = s3_store(careless.endpoint)
        with pytest.raises(OSError, match="another range"):
            store.read_range("ranged", 3, 4)
        with pytest.raises(OSError, match="another range"):
            list(store.read_spans([("ranged", 3, 2), ("ranged", 6, 2)]))
        with pytest.raises(OSError, match="another range"):
            list(store.lend_spans([("ranged", 3, 4)]))
    assert s3_store(server.endpoint).read_range("ranged", 3, 4) == MARK[3:7]


def test_an_answer_that_is_cut_short_is_no_object(server: S3Server) -> None:
    s3_store(server.endpoint).put("cut", MARK * 10_000)
    whole = len(MARK) * 10_000
    passed = 0

    def cut(answer: bytes) -> bytes:
        nonlocal passed
        passed += len(answer)
        if passed > whole // 2:
            raise OSError("cut")
        return answer

    with proxy(server.port, answer=cut) as cutting:
        store = s3_store(cutting.endpoint)
        threading.Timer(1, cutting.close).start()
        with pytest.raises(OSError, match="object store"):
            store.get("cut")


def test_opening_asks_nothing_of_the_server() -> None:
    """A node starts and acknowledges while its object store is away (promise P1)."""
    assert isinstance(open_store(settings_for(f"http://127.0.0.1:{free_port()}")), S3Store)


def test_a_bucket_is_made_by_the_first_put(server: S3Server, tmp_path: Path) -> None:
    store = s3_store(server.endpoint, store="s3://not-made-yet")
    assert list(store.keys("")) == []
    with pytest.raises((ObjectMissing, OSError)):
        store.get("key")
    threads = [threading.Thread(target=store.put, args=(f"key-{n}", b"x")) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    store.put_file("file", file_of(tmp_path / "f", 10))
    assert list(store.keys("")) == ["file", "key-0", "key-1", "key-2", "key-3"]


@pytest.mark.parametrize(
    ("store", "endpoint"),
    [
        ("s3://", "http://host:1"),
        ("s3://bucket", ""),
        ("s3://bucket", "host:8333"),
        ("s3://bucket", "ftp://host"),
    ],
)
def test_settings_that_name_no_store(store: str, endpoint: str) -> None:
    with pytest.raises(SettingError, match="TONGYING_S3_ENDPOINT"):
        open_store(settings_for(endpoint, store=store))
