"""The requestor and the delivery against DCMTK's storescp and hostile peers, without a server."""

from __future__ import annotations

import hashlib
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from dicom_node.delivery import Outcome, Part, deliver, plan
from dicom_node.requestor import Context, PeerAway, PeerError, Rejected, Requestor
from dicom_node.syntaxes import EXPLICIT, IMPLICIT, VERIFICATION
from pacs.encoded import part10_header, read_head, read_instance
from pacs.errors import NotAcceptable
from pacs.settings import Settings
from pacs.transcode import transcoded
from storage.archive import Archive
from storage.blobs.local import LocalStore
from storage.contents import Entry, Frames
from storage.database import Database
from storage.location import Located
from storage.retrieve import READ_BYTES
from storage.rewrite import rewritten
from tests.support.dicom import Sent, dataset_sha256, describe
from tests.support.files import package_files
from tests.support.pdu import made
from tests.support.peers import Receiver, storescp

CT = "1.2.840.10008.5.1.4.1.1.2"
STORAGE = "1.2.840.10008.5.1.4.1.1."
NATIVE_LITTLE = (EXPLICIT, IMPLICIT)
LARGE_BYTES = 3 * READ_BYTES + 12_346


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    """An object store alone: delivery reads nothing else."""
    settings = Settings(data=tmp_path)
    unused = Database("postgresql+psycopg://nobody@127.0.0.1:1/none")  # a pool that connects only when asked
    yield Archive.of(settings, unused, LocalStore(tmp_path / "objects"))
    unused.close()


def packed(archive: Archive, contents: list[tuple[Sent, bytes]]) -> list[Located]:
    """These Part 10 files, one after the other in one pack."""
    pack, key = uuid.uuid4(), f"packs/T/{uuid.uuid4()}.pack"
    located, whole = [], bytearray()
    for sent, part10 in contents:
        offset = len(part10) - len(part10[dataset_offset(part10) :])
        entry = Entry(sop_instance=sent.sop_instance, sop_class=sent.sop_class, pack=pack, offset=len(whole),
                      transfer_syntax=sent.transfer_syntax, length=len(part10), dataset_offset=offset,
                      sha256=sent.sha256)  # fmt: skip
        whole += part10 + bytes(100)
        located.append(Located(entry, key, "1.2.3", "1.2.3.4"))
    archive.objects.put(key, bytes(whole))
    return located


def dataset_offset(part10: bytes) -> int:
    return read_head(part10).dataset_offset


def real_files() -> list[tuple[Sent, bytes]]:
    """Every package file with a usable head, each SOP Instance UID once."""
    found: dict[str, tuple[Sent, bytes]] = {}
    for path in package_files().values():
        data = path.read_bytes()
        try:
            sent = describe(path)
        except (KeyError, ValueError):
            continue
        if (
            sent.transfer_syntax
            and sent.sop_class.startswith("1.2.840.10008.5.1.4.1.1.")
            and sent.sop_instance
        ) and len(data) % 2 == 0:  # storescp takes no odd data set
            found.setdefault(sent.sop_instance, (sent, data))
    return list(found.values())


def large(size: int = LARGE_BYTES, seed: str = "1") -> tuple[Sent, bytes]:
    """A CT of several pieces, with all its bytes in Pixel Data."""
    pixels = hashlib.shake_256(seed.encode()).digest(size)
    uid = f"1.2.826.0.1.3680043.10.1561.99.{seed}"
    dataset = _explicit(0x0008, 0x0016, b"UI", CT.encode()) + _explicit(0x0008, 0x0018, b"UI", uid.encode())
    dataset += struct.pack("<HH2s2xI", 0x7FE0, 0x0010, b"OW", len(pixels)) + pixels
    part10 = part10_header(CT, uid, EXPLICIT, source_ae="TEST") + dataset
    return Sent(Path(), CT, uid, EXPLICIT, dataset_sha256(part10)), part10


def _explicit(group: int, element: int, vr: bytes, value: bytes) -> bytes:
    value += b"\0" * (len(value) % 2)
    return struct.pack("<HH2sH", group, element, vr, len(value)) + value


def opened(port: int, part: Part, **more: Any) -> Requestor:
    return Requestor(calling="TONGYING", called="STORESCP", host="127.0.0.1", port=port,
                     contexts=part.contexts, **more)  # fmt: skip


def sent_to(receiver: Receiver, archive: Archive, located: list[Located]) -> list[Outcome]:
    outcomes = []
    for part in plan(located):
        with opened(receiver.port, part) as peer:
            outcomes += list(deliver(archive, peer, part.located))
    return outcomes


def test_what_is_accepted_arrives_byte_for_byte(archive: Archive, tmp_path: Path) -> None:
    files = [*real_files(), large()]
    with storescp(tmp_path / "in", "--accept-all") as receiver:
        outcomes = sent_to(receiver, archive, packed(archive, files))
        received = receiver.received()
    assert len(outcomes) == len(files)
    failed = [o for o in outcomes if not o.done]
    assert not failed, failed[0]
    as_they_were = [o for o in outcomes if o.transfer_syntax == o.located.entry.transfer_syntax]
    assert len({o.transfer_syntax for o in as_they_were}) >= 10, "many transfer syntaxes"
    for outcome in as_they_were:
        entry = outcome.located.entry
        assert received[entry.sop_instance].sha256 == entry.sha256, entry
        assert received[entry.sop_instance].transfer_syntax == entry.transfer_syntax
    assert len(received) == len(files)


def test_who_takes_implicit_only_gets_it(archive: Archive, tmp_path: Path) -> None:
    names = (
        "CT_small.dcm",
        "MR_small_RLE.dcm",
        "MR_small_bigendian.dcm",
        "JPEG2000.dcm",
        "examples_ybr_color.dcm",
    )
    files = [(describe(package_files()[n]), package_files()[n].read_bytes()) for n in names]
    with storescp(tmp_path / "in", "--implicit") as receiver:
        outcomes = sent_to(receiver, archive, packed(archive, files))
        written = {d.sop_instance: d.path for d in receiver.received().values()}
    assert [(o.status, o.transfer_syntax) for o in outcomes] == [(0, IMPLICIT)] * len(names)
    for sent, _ in files[:3]:
        assert (dcmread(written[sent.sop_instance]).pixel_array == dcmread(sent.path).pixel_array).all()


def test_native_pixels_pass_through_while_the_rest_is_written_anew(archive: Archive) -> None:
    """The same bytes as of an instance that is transcoded in memory, and a large one in small pieces."""
    files = [(sent, data) for sent, data in real_files() if sent.transfer_syntax in NATIVE_LITTLE]
    frames = LARGE_BYTES // 512
    one = made(pixels=bytes(frames * 512), more={0x00280008: ("IS", str(frames).encode())})
    files.append((Sent(Path(), CT, one.instance, EXPLICIT, dataset_sha256(one.part10)), one.part10))
    passed = 0
    for located, (_, part10) in zip(with_frames(packed(archive, files), files), files, strict=True):
        for syntax in (EXPLICIT, IMPLICIT):
            pieces = list(rewritten(archive, located, syntax))
            assert b"".join(pieces) == transcoded(part10, syntax), located.entry.sop_instance
            passed += len(pieces) > 1
    assert passed > 50
    assert max(map(len, pieces)) <= READ_BYTES, "the large one, the last"


def with_frames(located: list[Located], files: list[tuple[Sent, bytes]]) -> list[Located]:
    """With where their frames are, as indexing finds it."""

    def found(part10: bytes) -> Frames | None:
        layout = read_instance(part10).pixels
        return Frames(layout.encapsulated, layout.frames) if layout else None

    return [
        replace(one, entry=replace(one.entry, frames=found(data)))
        for one, (_, data) in zip(located, files, strict=True)
    ]


def test_what_cannot_be_sent_is_told_and_the_rest_arrives(archive: Archive, tmp_path: Path) -> None:
    good = describe(package_files()["CT_small.dcm"]), package_files()["CT_small.dcm"].read_bytes()
    video, data = large(1000, "2")
    video = Sent(video.path, CT, video.sop_instance, "1.2.840.10008.1.2.4.100", video.sha256)
    nameless = Sent(video.path, "", "1.2.3.9", EXPLICIT, video.sha256)
    gone = packed(archive, [large(5000, "3")])
    archive.objects.delete(gone[0].key)
    with storescp(tmp_path / "in") as receiver:  # it takes uncompressed only
        outcomes = sent_to(
            receiver, archive, [*packed(archive, [(video, data), (nameless, data), good]), *gone]
        )
    by_uid = {o.located.entry.sop_instance: o for o in outcomes}
    assert len(by_uid) == 4
    assert by_uid[good[0].sop_instance].status == 0
    assert "does not take MPEG2" in by_uid[video.sop_instance].reason
    assert "not a UID" in by_uid["1.2.3.9"].reason
    assert not by_uid[gone[0].entry.sop_instance].done


def test_a_pack_cut_short_is_never_passed_off_as_whole(archive: Archive, tmp_path: Path) -> None:
    located = packed(archive, [large()])
    archive.objects.put(located[0].key, archive.objects.get(located[0].key)[: 2 * READ_BYTES + 100])
    with storescp(tmp_path / "in") as receiver:
        with pytest.raises(OSError, match="missing"):
            sent_to(receiver, archive, located)
        time.sleep(0.5)
        whole = [f for f in receiver.files() if f.stat().st_size >= LARGE_BYTES]
    assert not whole


def test_contexts_are_planned_within_the_limit() -> None:
    def one(number: int, syntax: str) -> Located:
        entry = Entry(sop_instance=f"1.{number}", sop_class=f"1.2.{number}", transfer_syntax=syntax,
                      pack=uuid.UUID(int=0), offset=0, length=1, dataset_offset=0, sha256="")  # fmt: skip
        return Located(entry, "k", "", "")

    located = [one(n, s) for n in range(100) for s in (EXPLICIT, "1.2.840.10008.1.2.4.100")]
    parts = plan(located)
    assert all(1 <= len(part.contexts) <= 128 for part in parts)
    assert sorted(o.entry.sop_instance for p in parts for o in p.located) == sorted(
        o.entry.sop_instance for o in located
    )
    for part in parts:
        offered = {(c.abstract_syntax, s) for c in part.contexts if len(c.transfer_syntaxes) == 1
                   for s in c.transfer_syntaxes}  # fmt: skip
        assert all((o.entry.sop_class, o.entry.transfer_syntax) in offered for o in part.located)
    restricted = plan(located[:2], allowed=[IMPLICIT])
    assert [c.transfer_syntaxes for c in restricted[0].contexts] == [(EXPLICIT, IMPLICIT)]


def test_echo_and_who_does_not_take_it(tmp_path: Path) -> None:
    verification = Part([Context(VERIFICATION, (IMPLICIT,))])
    with storescp(tmp_path / "in") as receiver, opened(receiver.port, verification) as peer:
        assert peer.echo().status == 0
        with pytest.raises(NotAcceptable):
            peer.store(CT, "1.2", EXPLICIT, [b"12"])
        assert peer.echo().status == 0
    with pytest.raises(PeerAway, match="no connection"):
        opened(receiver.port, Part([Context(VERIFICATION, (IMPLICIT,))]))


def test_a_refusal_says_why(tmp_path: Path) -> None:
    with storescp(tmp_path / "in", "--refuse") as receiver:
        with pytest.raises(Rejected, match="rejected the association: ") as caught:
            opened(receiver.port, Part([Context(VERIFICATION, (IMPLICIT,))]))
        assert caught.value.permanent


@pytest.mark.parametrize("option", ["--abort-after", "--abort-during"])
def test_an_abort_is_told(archive: Archive, tmp_path: Path, option: str) -> None:
    with storescp(tmp_path / "in", option) as receiver, pytest.raises(PeerError, match=r"abort|broke|closed"):
        sent_to(receiver, archive, packed(archive, [large()]))


def test_a_receiver_that_hangs_is_left(archive: Archive, tmp_path: Path) -> None:
    located = packed(archive, [large(20 * 1024 * 1024)])
    with storescp(tmp_path / "in") as receiver:
        part = plan(located)[0]
        with opened(receiver.port, part, idle_seconds=1) as peer:
            receiver.signal(signal.SIGSTOP)
            began = time.monotonic()
            with pytest.raises(PeerError, match=r"took no data|did not answer"):
                list(deliver(archive, peer, located))
            assert time.monotonic() - began < 5
        with pytest.raises(PeerAway, match="did not answer"):
            opened(receiver.port, part, connect_seconds=1)


def test_what_waits_can_be_interrupted(archive: Archive, tmp_path: Path) -> None:
    located = packed(archive, [large(20 * 1024 * 1024)])
    with storescp(tmp_path / "in") as receiver, opened(receiver.port, plan(located)[0]) as peer:
        receiver.signal(signal.SIGSTOP)
        threading.Timer(0.5, peer.interrupt).start()
        with pytest.raises(PeerError):
            list(deliver(archive, peer, located))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Key and certificate of 127.0.0.1, signed by itself."""
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2",
         "-subj", "/CN=peer", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    return key, cert


def test_over_tls(archive: Archive, tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    located = packed(archive, [large()])
    key, cert = certificate
    trusting = ssl.create_default_context(cafile=str(cert))
    options = ("--accept-all", "+tls", str(key), str(cert), "--ignore-peer-cert")
    with storescp(tmp_path / "in", *options) as receiver:
        part = plan(located)[0]
        with opened(receiver.port, part, tls=trusting) as peer:
            assert [o.status for o in deliver(archive, peer, located)] == [0]
        assert receiver.received()[located[0].entry.sop_instance].sha256 == located[0].entry.sha256
        with pytest.raises(PeerAway, match="certificate is not trusted"):
            opened(receiver.port, part, tls=ssl.create_default_context())
    with storescp(tmp_path / "plain") as receiver, pytest.raises(PeerAway, match=r"no connection"):
        opened(receiver.port, part, tls=trusting, connect_seconds=2)


# Peers that break the standard: each answers with bytes of its own.

ACCEPTED = b"\x02\x00"


def peer_that(answers: Callable[[socket.socket], None]) -> tuple[int, threading.Thread]:
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, listener:
            connection.recv(64 * 1024)
            try:
                answers(connection)
                connection.recv(1)
            except OSError:
                pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return int(listener.getsockname()[1]), thread


def drip(connection: socket.socket) -> None:
    connection.sendall(struct.pack(">BxI", 2, 1000))
    for _ in range(100):
        connection.sendall(b"\0")
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        (lambda c: c.sendall(struct.pack(">BxI", 2, 0xFFFFFFF0)), "broke the protocol"),
        (lambda c: c.sendall(struct.pack(">BxI", 9, 4) + bytes(4)), "broke the protocol"),
        (lambda c: c.sendall(struct.pack(">BxI", 4, 4) + bytes(4)), "something else"),
        (lambda c: c.sendall(struct.pack(">BxI", 2, 80) + b"\xff" * 80), "cannot be read"),
        (lambda c: c.sendall(struct.pack(">BxIBBBB", 3, 4, 0, 1, 1, 7)), "called AE title not recogni"),
        (lambda c: c.sendall(struct.pack(">BxIBBBB", 3, 4, 0, 2, 3, 1)), "temporary congestion .transient"),
        (lambda c: c.sendall(struct.pack(">BxIBBBB", 3, 4, 0, 9, 9, 9)), "no reason that can be read"),
        (lambda c: c.sendall(struct.pack(">BxIBBBB", 7, 4, 0, 0, 2, 1)), "aborted the association: unrec"),
        (lambda c: c.shutdown(socket.SHUT_RDWR), "closed"),
        (lambda c: time.sleep(2), "did not answer"),
        (drip, "took longer|did not answer"),
    ],
)
def test_hostile_answers(answers: Callable[[socket.socket], None], said: str) -> None:
    port, _thread = peer_that(answers)
    began = time.monotonic()
    with pytest.raises(PeerAway, match=said):
        opened(port, Part([Context(VERIFICATION, (IMPLICIT,))]), connect_seconds=1)
    assert time.monotonic() - began < 4
