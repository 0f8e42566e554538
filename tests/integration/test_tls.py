"""DICOM over TLS (PS3.15 B.12): by DCMTK, with right and wrong certificates, old protocols, and silence."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import pdu
from tests.support.certificates import Certificate, authority, openssl, signed
from tests.support.dicom import NO_WAIT, dataset_sha256, describe, parts_of
from tests.support.files import package_file
from tests.support.pdu import ASSOCIATE_AC, ASSOCIATE_RJ, CT, EXPLICIT, Peer, made
from tests.support.server import TONGYING, Server, eventually, free_port
from tests.support.watch import back_to, knows_device, settled, sop_uids, use, whole

ELSEWHERE = "192.0.2.0/24"  # TEST-NET-1: nobody calls from there


@dataclass(frozen=True, slots=True)
class Tls:
    """A server with TLS, and the certificates of its callers."""

    server: Server
    port: int
    ca: Certificate
    known: Certificate
    other: Certificate
    expired: Certificate
    stranger: Certificate
    own: Certificate  # self-signed, and trusted as such


@pytest.fixture(scope="module")
def tls(workspace: Path) -> Iterator[Tls]:
    folder, port = workspace / "certificates", free_port()
    ca, stranger, own = (authority(folder, name) for name in ("ca", "stranger", "own"))
    ours, known, other = (signed(folder, name, ca) for name in ("server", "known", "other"))
    expired = signed(folder, "expired", ca, days=-1)
    trusted = folder / "trusted.pem"
    trusted.write_text(ca.certificate.read_text() + own.certificate.read_text())
    extra = {
        "TONGYING_DICOM_TLS_PORT": str(port),
        "TONGYING_DICOM_TLS_CERTIFICATE": str(ours.certificate),
        "TONGYING_DICOM_TLS_KEY": str(ours.key),
        "TONGYING_DICOM_TLS_CLIENT_CA": str(trusted),
    }
    server = Server(workspace / "tls", extra=extra).start()
    server.run("facility", "add", "TELE")
    register = ("--facility", "TELE", "--certificate")
    server.run("device", "add", "TELE1", ELSEWHERE, *register, str(known.certificate))
    server.run("device", "add", "HERE1", "127.0.0.0/8", *register, known.fingerprint)
    server.run("device", "add", "OWN1", ELSEWHERE, *register, own.fingerprint)
    running = Tls(server, port, ca, known, other, expired, stranger, own)
    knows_device(server, "OWN1")
    yield running
    whole(server)
    server.remove()


def tls_options(tls: Tls, shown: Certificate | None) -> list[str]:
    mine = ["+tls", str(shown.key), str(shown.certificate)] if shown else ["+tla"]
    return [*mine, "+cf", str(tls.ca.certificate)]


def echo(tls: Tls, calling: str, shown: Certificate | None, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["echoscu", "-v", *tls_options(tls, shown), *more, "-aet", calling, "-aec", "TONGYING", "localhost",
         str(tls.port)], capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def storescu_tls(
    tls: Tls, calling: str, shown: Certificate | None, *files: Path
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["storescu", "-v", *tls_options(tls, shown), "-aet", calling, "-aec", "TONGYING", "localhost",
         str(tls.port), *map(str, files)], env=NO_WAIT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@contextlib.contextmanager
def called(tls: Tls, shown: Certificate | None = None) -> Iterator[Peer]:
    """A peer by hand, over TLS."""
    context = ssl.create_default_context(cafile=str(tls.ca.certificate))
    if shown:
        context.load_cert_chain(shown.certificate, shown.key)
    peer = Peer(tls.port)
    peer.socket = context.wrap_socket(peer.socket, server_hostname="localhost")
    try:
        yield peer
    finally:
        peer.close()


def test_storescu_over_tls(tls: Tls) -> None:
    sent = [describe(package_file(name)) for name in ("CT_small.dcm", "MR_small.dcm")]
    done = storescu_tls(tls, "TELE1", tls.known, *(s.path for s in sent))
    assert done.returncode == 0, done.stderr
    settled(tls.server)
    mine = {
        s["study_uid"] for s in tls.server.get("/api/studies")["studies"] if s["facility"]["code"] == "TELE"
    }
    assert len(mine) == 2


def test_a_certificate_tells_the_device_wherever_it_calls_from(tls: Tls) -> None:
    assert echo(tls, "TELE1", tls.known).returncode == 0
    assert echo(tls, "OWN1", tls.own).returncode == 0, "its own certificate is trusted as it stands"
    with called(tls, tls.known) as peer:
        assert peer.associate(calling="TELE1").kind == ASSOCIATE_AC
        one = made()
        assert peer.store(one.instance, one.data) == 0
        peer.release()
    settled(tls.server)
    (study,) = [s for s in tls.server.get("/api/studies")["studies"] if s["study_uid"] == one.study]
    assert study["facility"]["code"] == "TELE"


@pytest.mark.parametrize("which", ["none", "other"])
def test_a_device_must_show_its_certificate(tls: Tls, which: str) -> None:
    """rejected-permanent, service-user, no-reason-given; the log says why."""
    shown = tls.other if which == "other" else None
    with called(tls, shown) as peer:
        answer = peer.associate(calling="HERE1")
        assert (answer.kind, answer.body[1:]) == (ASSOCIATE_RJ, b"\x01\x01\x01")
        peer.ends()
    assert "must show its registered certificate" in tls.server.tail(20_000)


def test_nor_can_it_come_without_tls(tls: Tls) -> None:
    with pdu.peer(tls.server.dicom_port) as peer:
        answer = peer.associate(calling="HERE1")
        assert (answer.kind, answer.body[1:]) == (ASSOCIATE_RJ, b"\x01\x01\x01")
        peer.ends()


@pytest.mark.parametrize("which", ["expired", "stranger"])
def test_certificates_that_cannot_be_trusted(tls: Tls, which: str) -> None:
    shown: Certificate = getattr(tls, which)
    assert echo(tls, "TELE1", shown).returncode != 0
    assert echo(tls, "ANYBODY", shown).returncode != 0, "nor for who needs none: it shows a wrong one"
    eventually(lambda: "CERTIFICATE_VERIFY_FAILED" in tls.server.tail(20_000), 20, "the log says why")


def test_who_needs_no_certificate_needs_none(tls: Tls) -> None:
    """Encryption alone, for devices that are registered by their address."""
    with called(tls) as peer:
        assert peer.associate(calling="ANYBODY").kind == ASSOCIATE_AC
        assert peer.echo() == 0
        peer.release()


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1", "-tls1_2", "-tls1_3"])
def test_protocol_versions(tls: Tls, version: str) -> None:
    done = openssl(
        "s_client", "-connect", f"localhost:{tls.port}", version, "-cipher", "ALL:@SECLEVEL=0", check=False
    )
    made_one = "Cipher is (NONE)" not in done.stdout and "CONNECTED" in done.stdout
    assert made_one == (version in ("-tls1_2", "-tls1_3")), done.stdout[-800:]


@pytest.mark.parametrize(
    "cipher", ["AES128-GCM-SHA256", "ECDHE-RSA-AES128-SHA", "DHE-RSA-AES256-GCM-SHA384", "aNULL"]
)
def test_weak_ciphers_are_refused(tls: Tls, cipher: str) -> None:
    done = openssl("s_client", "-connect", f"localhost:{tls.port}", "-tls1_2", "-cipher", f"{cipher}:@SECLEVEL=0",
                   check=False)  # fmt: skip
    assert "Cipher is (NONE)" in done.stdout


def test_silent_tls_connections_lock_nobody_out(tls: Tls) -> None:
    """Those that never shake hands, and those that do and say nothing then."""
    before = use(tls.server)
    silent = [Peer(tls.port) for _ in range(60)]
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(called(tls))
        began = time.monotonic()
        assert echo(tls, "TELE1", tls.known).returncode == 0
        assert storescu_tls(tls, "TELE1", tls.known, package_file("CT_small.dcm")).returncode == 0
        assert time.monotonic() - began < 9
        began = time.monotonic()
        for one in silent:
            assert one.ends() == []
        assert time.monotonic() - began < 15, "a handshake has ten seconds"
    for one in silent:
        one.close()
    back_to(tls.server, before)


def test_a_handshake_that_drips_in_is_cut_off(tls: Tls) -> None:
    with pdu.peer(tls.port) as peer:
        began = time.monotonic()
        with contextlib.suppress(OSError):
            peer.send(b"\x16\x03\x01\x40\x00")
            while time.monotonic() - began < 20:
                peer.send(b"\0")
                time.sleep(0.3)
        assert time.monotonic() - began < 15


@pytest.mark.parametrize("said", [b"GET / HTTP/1.0\r\n\r\n", bytes(500), pdu.pdu(1, pdu.associate_body())])
def test_what_is_no_tls(tls: Tls, said: bytes) -> None:
    before = use(tls.server)
    for _ in range(20):
        with pdu.peer(tls.port) as peer:
            peer.send(said)
            peer.read()
    back_to(tls.server, before)


def test_connections_that_are_reset_at_once(tls: Tls) -> None:
    before = use(tls.server)
    for _ in range(100):
        peer = Peer(tls.port)
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        peer.close()
    assert echo(tls, "TELE1", tls.known).returncode == 0
    back_to(tls.server, before)


def test_bytes_that_dribble_in_and_large_ones(tls: Tls) -> None:
    """Records of TLS and PDUs of DICOM begin and end where they like."""
    one, large = made(), made(pixels=bytes(9_000_000))
    with called(tls, tls.known) as peer:
        peer.associate([(CT, (EXPLICIT,))], calling="TELE1")
        whole_message = b"".join(pdu.message(pdu.store_rq(one.instance), one.data))
        for start in range(0, len(whole_message), 97):
            peer.send(whole_message[start : start + 97])
        assert peer.answer().status == 0
        # Two messages in one record: the second is in OpenSSL's hands when the first is answered.
        twice = [made(), made()]
        peer.send(b"".join(b"".join(pdu.message(pdu.store_rq(o.instance), o.data)) for o in twice))
        assert [peer.answer().status, peer.answer().status] == [0, 0]
        assert peer.store(large.instance, large.data) == 0
        peer.release()
    settled(tls.server)
    for stored in (one, *twice, large):
        assert sop_uids(tls.server, stored.study) == [stored.instance]
    got = tls.server.client.get(f"/dicom-web/studies/{large.study}", headers={
        "Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'})  # fmt: skip
    ((_, kept),) = parts_of(got)
    assert dataset_sha256(kept) == hashlib.sha256(large.data).hexdigest()


def test_several_at_once(tls: Tls) -> None:
    several = [[made() for _ in range(20)] for _ in range(6)]
    statuses: list[int] = []

    def send(mine: list[pdu.Made]) -> None:
        with called(tls, tls.known) as peer:
            peer.associate([(CT, (EXPLICIT,))], calling="TELE1")
            statuses.extend(peer.store(one.instance, one.data) for one in mine)
            peer.release()

    threads = [threading.Thread(target=send, args=(mine,)) for mine in several]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert statuses == [0] * 120


def test_a_cut_tls_connection_leaves_nothing(tls: Tls) -> None:
    before = use(tls.server)
    for cut in (10, 500, 3000):
        one = made(pixels=bytes(5000))
        with called(tls, tls.known) as peer:
            peer.associate([(CT, (EXPLICIT,))], calling="TELE1")
            peer.send(b"".join(pdu.message(pdu.store_rq(one.instance), one.data))[:cut])
        settled(tls.server)
        assert sop_uids(tls.server, one.study) == []
    back_to(tls.server, before)


@pytest.mark.parametrize("wrong", ["certificate", "key", "client_ca"])
def test_a_certificate_that_cannot_be_used_is_one_clear_line(tls: Tls, tmp_path: Path, wrong: str) -> None:
    nothing = tmp_path / "nothing.pem"
    nothing.write_text("nothing")
    environment = tls.server.environment() | {
        f"TONGYING_DICOM_TLS_{wrong.upper()}": str(nothing),
        "TONGYING_HTTP_PORT": str(free_port()), "TONGYING_DICOM_PORT": str(free_port()),
        "TONGYING_DICOM_TLS_PORT": str(free_port()), "TONGYING_DATA": str(tmp_path / "data"),
    }  # fmt: skip
    done = subprocess.run(
        [str(TONGYING), "up"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode != 0
    assert "TONGYING_DICOM_TLS_" in done.stderr
    assert "Traceback" not in done.stderr
