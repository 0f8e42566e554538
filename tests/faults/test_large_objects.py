"""An object that is larger than the memory that may be used for it: in by C-STORE and STOW-RS, out by C-MOVE, C-GET and
WADO-RS."""

from __future__ import annotations

import hashlib
import struct
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pacs.encoded import part10_header, read_head
from storage import remotes
from storage.remotes import Remote
from tests.support import pdu
from tests.support.dicom import NO_WAIT
from tests.support.pdu import EXPLICIT, IMPLICIT, P_DATA, associated, made
from tests.support.peers import opened, storescp
from tests.support.server import Server
from tests.support.watch import memory_watched, settled, whole

ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
MIB = 1024 * 1024
SIDE = 1024  # pixels of a frame, of two bytes each
FRAME_BYTES = 2 * SIDE * SIDE
PIECE_BYTES = 128 * 1024
RISE_BYTES_MAX = 80 * MIB  # of the processes of a part together
SMALL, LARGE = 48, 1908  # frames: 96 MiB and 4 GB
SECONDS_MAX = 300
FRAMES_MAX = 1000  # of one request
DICOM, OCTETS, AS_RECEIVED = "application/dicom", "application/octet-stream", "; transfer-syntax=*"


@dataclass(frozen=True, slots=True)
class Volume:
    """A multi-frame CT that is never in memory: its head, and frames that are made while they are sent."""

    study: str
    series: str
    instance: str
    head: bytes  # of the data set, to the pixels' length
    frames: int

    @property
    def size(self) -> int:
        """Bytes of the data set."""
        return len(self.head) + self.frames * FRAME_BYTES

    def pieces(self) -> Iterator[bytes]:
        yield self.head
        yield from self.pixels()

    def pixels(self, first: int = 0) -> Iterator[bytes]:
        """Of the frames from this one on, counted from 0."""
        for frame in range(first, self.frames):
            pattern = struct.pack("<HH", frame, 0xFFFF - frame) * (PIECE_BYTES // 4)
            for _ in range(FRAME_BYTES // PIECE_BYTES):
                yield pattern


def sha256(pieces: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def volume(frames: int) -> Volume:
    more = {
        0x00080016: ("UI", ENHANCED_CT.encode()), 0x00280008: ("IS", str(frames).encode()),
        0x00280010: ("US", struct.pack("<H", SIDE)), 0x00280011: ("US", struct.pack("<H", SIDE)),
    }  # fmt: skip
    one = made(more=more, without=[0x7FE00010])
    pixels = struct.pack("<HH2s2xI", 0x7FE0, 0x0010, b"OW", frames * FRAME_BYTES)
    return Volume(one.study, one.series, one.instance, one.data + pixels, frames)


def store(server: Server, sent: Volume) -> None:
    with associated(server.dicom_port, [(ENHANCED_CT, [EXPLICIT])]) as caller:
        caller.socket.settimeout(SECONDS_MAX)
        command = pdu.store_rq(sent.instance, sop_class=ENHANCED_CT)
        caller.send(pdu.pdu(P_DATA, pdu.pdv(1, 3, command)))
        for piece in sent.pieces():
            caller.send(pdu.pdu(P_DATA, pdu.pdv(1, 0, piece)))
        caller.send(pdu.pdu(P_DATA, pdu.pdv(1, 2, b"")))
        assert caller.answer().status == 0
        caller.release()


def post(server: Server, sent: Volume) -> None:
    """By STOW-RS, as one part of an answer whose length nobody knows."""

    def body() -> Iterator[bytes]:
        yield b"--large\r\nContent-Type: application/dicom\r\n\r\n"
        yield part10_header(ENHANCED_CT, sent.instance, EXPLICIT, source_ae="")
        yield from sent.pieces()
        yield b"\r\n--large--\r\n"

    headers = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=large'}
    answer = server.client.post("/dicom-web/studies", content=body(), headers=headers, timeout=SECONDS_MAX)
    assert answer.status_code == 200, answer.text


def asked(server: Server, command: list[str], study: str) -> None:
    """DCMTK's getscu or movescu for a study; raises AssertionError where it fails."""
    keys = ["-k", "0008,0052=STUDY", "-k", f"StudyInstanceUID={study}"]
    done = subprocess.run(
        [*command, "-S", "-aec", "TONGYING", *keys, "127.0.0.1", str(server.dicom_port)],
        env=NO_WAIT, capture_output=True, text=True, timeout=SECONDS_MAX, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def moved(server: Server, sent: Volume, folder: Path, *options: str) -> Path:
    """What a storescp with these options wrote."""
    with storescp(folder, *options) as receiver, opened(server) as archive:
        remotes.add_remote(archive, Remote("large", "LARGE", "127.0.0.1", receiver.port))
        asked(server, ["movescu", "-aem", "LARGE"], sent.study)
        remotes.remove_remote(archive, "large")
        (path,) = receiver.files()
    return path


def by_get(server: Server, sent: Volume, folder: Path) -> str:
    folder.mkdir()
    asked(server, ["getscu", "--bit-preserving", "-od", str(folder)], sent.study)
    (path,) = folder.iterdir()
    return sha256_of_end(path, sent.size)


def sha256_of_end(path: Path, size: int) -> str:
    """Of the last `size` bytes of a file, which is removed."""
    with path.open("rb") as file:
        file.seek(-size, 2)
        digest = hashlib.file_digest(file, "sha256")
    path.unlink()
    return digest.hexdigest()


def by_wado(server: Server, path: str, accept: str, size: int) -> str:
    """SHA-256 of the last `size` bytes that come, but for the end of a multipart answer."""
    digest, at = hashlib.sha256(), 0
    with server.client.stream("GET", path, headers={"Accept": accept}, timeout=SECONDS_MAX) as answer:
        assert answer.status_code == 200, answer.read()
        boundary = answer.headers["content-type"].partition("boundary=")[2]
        after = len(f"\r\n--{boundary}--\r\n") if boundary else 0
        start = int(answer.headers["content-length"]) - after - size
        for data in answer.iter_raw():
            digest.update(data[max(0, start - at) : max(0, start + size - at)])
            at += len(data)
    return digest.hexdigest()


def multipart(media_type: str, more: str = "") -> str:
    return f'multipart/related; type="{media_type}"{more}'


def in_and_out(server: Server, folder: Path, frames: int) -> None:
    """Bytes are the same every time, and no process holds more than its share at any time."""
    sent = volume(frames)
    wanted, pixels, last = sha256(sent.pieces()), sha256(sent.pixels()), sha256(sent.pixels(frames - 1))
    study = f"/dicom-web/studies/{sent.study}"
    instance = f"{study}/series/{sent.series}/instances/{sent.instance}"
    many = f"{instance}/frames/" + ",".join(str(n + 1) for n in range(max(0, frames - FRAMES_MAX), frames))
    with memory_watched(server) as rises:
        store(server, sent)
        settled(server, SECONDS_MAX)
        again = volume(frames)
        post(server, again)
        settled(server, SECONDS_MAX)
        place = f"/dicom-web/studies/{again.study}"
        assert by_wado(server, place, multipart(DICOM, AS_RECEIVED), again.size) == sha256(again.pieces())
        print("by STOW-RS", rises())
        assert sha256_of_end(moved(server, sent, folder / "moved"), sent.size) == wanted
        anew = moved(server, sent, folder / "anew", "--implicit")
        with anew.open("rb") as file:
            assert read_head(file.read(4096)).transfer_syntax == IMPLICIT
        assert sha256_of_end(anew, frames * FRAME_BYTES) == pixels
        assert by_get(server, sent, folder / "got") == wanted
        print("by DIMSE", rises())
        assert by_wado(server, study, multipart(DICOM, AS_RECEIVED), sent.size) == wanted
        assert by_wado(server, instance, DICOM + AS_RECEIVED, sent.size) == wanted
        assert by_wado(server, f"{instance}/bulkdata/7FE00010", OCTETS, frames * FRAME_BYTES) == pixels
        assert by_wado(server, many, multipart(OCTETS), FRAME_BYTES) == last
        risen = rises()
    print("in all", risen)
    assert {module for module, rise in risen.items() if rise > RISE_BYTES_MAX} == set(), risen


def test_96_mib(server: Server, tmp_path: Path) -> None:
    in_and_out(server, tmp_path, SMALL)


@pytest.mark.slow
def test_4_gb(own_server: Server, tmp_path: Path) -> None:
    in_and_out(own_server, tmp_path, LARGE)
    whole(own_server)
