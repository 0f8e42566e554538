"""The HL7 listener over real sockets and a real PostgreSQL: AA means that it is in the worklist."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text as sql

from dicom_node import hl7_listener
from dicom_node.hl7_listener import Hl7Listener, Senders
from pacs.errors import SettingError, TongyingError
from pacs.hl7message import OrderError, read_message
from pacs.values import Json, text
from pacs.worklist import step_of
from storage.archive import Archive
from storage.facilities import add_facility
from storage.registry import RegisteredDevice, add_device
from storage.worklist import list_entries, search
from tests.integration.storage.test_worklist import ADMIN, DAYS, EVERYTHING, asked
from tests.support.certificates import Certificate, authority, signed
from tests.support.hl7 import FS_CR, VT, Sender, omi, orm
from tests.support.server import eventually, free_port


@pytest.fixture
def listening(archive: Archive) -> Iterator[tuple[Archive, int]]:
    """The archive and the listener's port."""
    port = free_port()
    settings = replace(archive.settings, hl7_host="127.0.0.1", hl7_port=port)
    listener = Hl7Listener(replace(archive, settings=settings))
    listener.start()
    yield archive, port
    listener.close()


def worklist(archive: Archive, facility: str = "LOCAL") -> list[Json]:
    return search(archive, facility, EVERYTHING | asked("20260101-20261231")).entries


def test_ordered_changed_cancelled(listening: tuple[Archive, int]) -> None:
    archive, port = listening
    with Sender(port) as ris:
        assert ris.send(orm())["MSA"] == ["MSA", "AA", "M1"]
        (entry,) = worklist(archive)
        assert entry["00100010"]["Value"] == [{"Alphabetic": "Wang^Xiao", "Ideographic": "王^小"}]
        assert text(entry, "0020000D") == "1.2.3.4"
        assert ris.send(orm("XO", when="20260706", name="Wang^Da"))["MSA"][1] == "AA"
        (entry,) = worklist(archive)
        assert entry["00100010"]["Value"] == [{"Alphabetic": "Wang^Da"}]
        assert text(step_of(entry), "00400002") == "20260706"
        assert ris.send(orm("CA"))["MSA"][1] == "AA"
        assert worklist(archive) == []
        refused = ris.send(orm("CA", accession="unknown"))
        assert refused["MSA"][:3] == ["MSA", "AE", "M1"]
        assert refused["ERR"][3] == "204^Unknown key identifier^HL70357"


def test_all_steps_of_a_message_or_none(listening: tuple[Archive, int]) -> None:
    archive, port = listening
    with Sender(port) as ris:
        assert ris.send(omi(steps=(("S1", "CT"), ("S2", ""))))["MSA"][1] == "AE"
        assert worklist(archive) == []
        assert ris.send(omi())["MSA"] == ["MSA", "AA", "M2"]
        assert len(worklist(archive)) == 2
        assert ris.send(omi("CA", steps=(("S1", "CT"),)))["MSA"][1] == "AA"
        assert [text(step_of(e), "00400009") for e in worklist(archive)] == ["S2"]


@pytest.mark.parametrize(
    ("charset", "encoding"), [("GB 18030-2000", "gb18030"), ("", "gbk"), ("UNICODE UTF-8", "utf-8")]
)
def test_chinese(listening: tuple[Archive, int], charset: str, encoding: str) -> None:
    archive, port = listening
    with Sender(port) as ris:
        assert ris.send(orm(name="欧阳^小明", charset=charset), encoding)["MSA"][1] == "AA"
    (entry,) = worklist(archive)
    assert entry["00100010"]["Value"] == [{"Alphabetic": "欧阳^小明"}]


def test_frames_split_and_joined(listening: tuple[Archive, int]) -> None:
    archive, port = listening
    raw = (
        VT + orm(accession="A1").encode() + FS_CR + VT + orm(accession="A2", message_id="M2").encode() + FS_CR
    )
    with Sender(port) as ris:
        ris.socket.sendall(raw)
        assert [ris.receive()["MSA"][2] for _ in range(2)] == ["M1", "M2"]
        for at in range(0, len(raw), 97):
            ris.socket.sendall(raw[at : at + 97])
            time.sleep(0.001)
        assert [ris.receive()["MSA"][2] for _ in range(2)] == ["M1", "M2"]
    assert len(worklist(archive)) == 2


def test_broken_frames(listening: tuple[Archive, int]) -> None:
    archive, port = listening
    with Sender(port) as ris:
        ris.socket.sendall(b"\r\nnoise" + VT + orm(accession="LOST").encode()[:200])
        assert ris.send(orm())["MSA"][1] == "AA"  # begun anew within a frame
        assert ris.send(b"no HL7 at all")["MSA"][1] == "AR"
        assert ris.send(b"")["MSA"][1] == "AR"
        assert ris.send(orm(accession="A2"))["MSA"][1] == "AA"  # and it goes on
    with Sender(port) as ris:
        ris.socket.sendall(VT + orm(accession="CUT").encode()[:300])
    assert sorted(text(e, "00080050") for e in worklist(archive)) == ["A1", "A2"]


def test_a_message_too_long_is_refused_and_the_connection_ended(listening: tuple[Archive, int]) -> None:
    archive, port = listening
    with Sender(port) as ris:
        ris.socket.sendall(VT + b"x" * (1024 * 1024 + 1))
        assert ris.receive()["MSA"][1] == "AR"
        assert ris.ended()
    assert worklist(archive) == []
    with Sender(port) as ris:
        assert ris.send(orm())["MSA"][1] == "AA"


def test_silence_ends(listening: tuple[Archive, int], monkeypatch: pytest.MonkeyPatch) -> None:
    _, port = listening
    monkeypatch.setattr(hl7_listener, "IDLE_SECONDS_MAX", 0.5)
    monkeypatch.setattr(hl7_listener, "MESSAGE_SECONDS_MAX", 1.0)
    with Sender(port) as silent, Sender(port) as slow:
        began = time.monotonic()
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            dribble(slow.socket)
        assert time.monotonic() - began < 5
        assert silent.ended()


def dribble(connection: socket.socket) -> None:
    """A byte now and then, which does not hold a connection open."""
    for byte in VT + orm().encode():
        connection.sendall(bytes([byte]))
        time.sleep(0.05)


def test_many_connections(listening: tuple[Archive, int]) -> None:
    _, port = listening
    opened = [Sender(port) for _ in range(hl7_listener.CONNECTIONS_PER_PEER_MAX)]
    with Sender(port) as one_more:
        assert one_more.ended()
    opened.pop().socket.close()

    def answered() -> bool:
        try:
            with Sender(port) as ris:
                return ris.send(orm())["MSA"][1] == "AA"
        except (OSError, AssertionError):
            return False

    eventually(answered, what="a place is free again")
    for sender in opened:
        sender.socket.close()


def test_at_once(listening: tuple[Archive, int]) -> None:
    archive, port = listening
    answers: list[str] = []

    def work(number: int) -> None:
        with Sender(port) as ris:
            answers.extend(ris.send(orm(accession=f"A{n % 5}", step=f"S{n % 3}"))["MSA"][1]
                           for n in range(number, number + 15))  # fmt: skip

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == ["AA"] * 60
    assert len(worklist(archive)) == 15


def test_what_cannot_be_committed_is_not_acknowledged(listening: tuple[Archive, int]) -> None:
    archive, port = listening
    with archive.database.begin() as connection:
        connection.execute(sql("ALTER TABLE worklist RENAME TO elsewhere"))
    with Sender(port) as ris:
        assert ris.send(orm())["MSA"][1] == "AR"
        with archive.database.begin() as connection:
            connection.execute(sql("ALTER TABLE elsewhere RENAME TO worklist"))
        assert ris.send(orm())["MSA"][1] == "AA"
    assert len(list_entries(archive, ADMIN, days=DAYS)) == 1


def test_closing_answers_what_came(archive: Archive) -> None:
    port = free_port()
    settings = replace(archive.settings, hl7_host="127.0.0.1", hl7_port=port)
    listener = Hl7Listener(replace(archive, settings=settings))
    listener.start()
    with Sender(port) as ris:
        assert ris.send(orm())["MSA"][1] == "AA"
        listener.close()
        assert ris.ended()
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=2)
    with socket.create_server(("127.0.0.1", port)), pytest.raises(OSError):
        Hl7Listener(replace(archive, settings=settings))


# --- Who calls ------------------------------------------------------------------------------------------------------


def device(facility: str, title: str, address: str, *roles: str) -> RegisteredDevice:
    return RegisteredDevice(facility, title, address, roles=roles or ("worklist",))


def whose(senders: Senders, peer: str, sender: str = "RIS") -> str:
    try:
        return senders.facility(peer, read_message(orm(sender=sender).encode()))
    except OrderError as error:
        return error.ack


def test_the_sender_decides_the_facility(archive: Archive) -> None:
    for code in ("EAST", "WEST", "REGION"):
        add_facility(archive, code, code)
    add_device(archive, device("EAST", "RIS_E", "10.1.0.0/16"))
    add_device(archive, device("REGION", "RIS_R", "10.1.2.0/24"))
    add_device(archive, device("EAST", "HUB_E", "10.9.9.9"))
    add_device(archive, device("WEST", "HUB_W", "10.9.9.9"))
    add_device(archive, device("WEST", "CT_1", "10.7.7.7", "store", "query"))
    add_device(archive, device("WEST", "DEMO", "127.0.0.0/8"))
    senders = Senders(archive)
    assert whose(senders, "10.1.1.1") == "EAST"
    assert whose(senders, "10.1.2.3") == "REGION"  # the narrowest network decides
    assert whose(senders, "10.9.9.9", "HUB_W") == "WEST"
    assert whose(senders, "10.9.9.9", "HOSPITAL") == "AR"  # which one?
    assert whose(senders, "10.7.7.7") == "AR"  # not its role
    assert whose(senders, "::ffff:10.1.1.1") == "EAST"
    assert whose(senders, "127.0.0.1") == "LOCAL"
    assert whose(senders, "127.0.0.1", "DEMO") == "WEST"
    assert [senders.known(p) for p in ("10.1.1.1", "10.7.7.7", "10.8.8.8", "127.0.0.1", "::1")] == [
        True, False, False, True, True,
    ]  # fmt: skip
    assert issubclass(OrderError, TongyingError)


def test_over_tls_from_who_shows_a_certificate(archive: Archive, tmp_path: Path) -> None:
    """Others are refused, and what is no TLS is not read; a silent one holds nobody up."""
    ca, stranger = authority(tmp_path, "ca"), authority(tmp_path, "stranger")
    ours, ris = signed(tmp_path, "ours", ca), signed(tmp_path, "ris", ca)
    port = free_port()
    settings = replace(
        archive.settings, hl7_host="127.0.0.1", hl7_port=port, hl7_tls_certificate=str(ours.certificate),
        hl7_tls_key=str(ours.key), hl7_tls_client_ca=str(ca.certificate),
    )  # fmt: skip
    listener = Hl7Listener(replace(archive, settings=settings))
    listener.start()
    try:
        with Sender(port), Sender(port, shows(ca, ris)) as known:  # the first never shakes hands
            assert known.send(orm())["MSA"] == ["MSA", "AA", "M1"]
            assert known.send(orm("CA"))["MSA"][1] == "AA"
        for who in (None, stranger):
            with pytest.raises((OSError, AssertionError)), Sender(port, shows(ca, who)) as other:
                other.send(orm(accession="A9"))
        with Sender(port) as plain, pytest.raises((OSError, AssertionError)):
            plain.send(orm(accession="A9"))
    finally:
        listener.close()
    assert worklist(archive) == []


def shows(ca: Certificate, who: Certificate | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(ca.certificate))
    if who is not None:
        context.load_cert_chain(who.certificate, who.key)
    return context


def test_a_certificate_that_cannot_be_used(archive: Archive) -> None:
    with pytest.raises(SettingError, match="TONGYING_HL7_TLS_CERTIFICATE"):
        Hl7Listener(replace(archive, settings=replace(archive.settings, hl7_tls_certificate="nothing.pem")))
