"""User identity negotiation (PS3.7 D.3.3.7): names, passcodes and tokens, right and wrong, wanted and required."""

from __future__ import annotations

import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import pdu
from tests.support.dicom import storescu
from tests.support.files import package_file
from tests.support.pdu import ASSOCIATE_AC, ASSOCIATE_RJ, Pdu
from tests.support.server import PASSWORD, TONGYING, Server
from tests.support.watch import back_to, use, whole

REFUSED = b"\x01\x01\x01"  # rejected-permanent, service-user, no-reason-given
CONGESTED = (
    b"\x02\x03\x01"  # rejected-transient, service-provider (presentation related), temporary-congestion
)
USERNAME, PASSCODE, KERBEROS, SAML, JWT = range(1, 6)


@pytest.fixture(scope="module", params=["optional", "required"])
def policy(request: pytest.FixtureRequest, workspace: Path) -> Iterator[tuple[str, Server]]:
    which = str(request.param)
    server = Server(workspace / f"identity-{which}", extra={"TONGYING_DICOM_IDENTITY": which}).start()
    yield which, server
    whole(server)
    server.remove()


@pytest.fixture
def server(policy: tuple[str, Server]) -> Server:
    return policy[1]


@pytest.fixture
def required(policy: tuple[str, Server]) -> bool:
    return policy[0] == "required"


def identity(kind: int, primary: bytes, secondary: bytes = b"", *, answer: bool = True) -> bytes:
    """A User Identity sub-item of a request (table D.3-14)."""
    fields = struct.pack(">BBH", kind, answer, len(primary)) + primary
    return pdu.item(0x58, fields + struct.pack(">H", len(secondary)) + secondary)


def asked(server: Server, item: bytes, *, calling: str = "BYHAND") -> Pdu:
    with pdu.peer(server.dicom_port) as caller:
        answer = caller.associate(calling=calling, more=item)
        if answer.kind == ASSOCIATE_AC:
            assert caller.echo() == 0
            caller.release()
        return answer


def confirmed(answer: Pdu) -> bool:
    """Whether it holds a User Identity sub-item (table D.3-15), an empty one."""
    return pdu.item(0x59, struct.pack(">H", 0)) in answer.body


def token(server: Server) -> str:
    return str(server.client.headers["Authorization"]).removeprefix("Bearer ")


@pytest.mark.parametrize("wanted", [True, False])
@pytest.mark.parametrize("kind", [PASSCODE, JWT])
def test_who_is_who_he_says(server: Server, kind: int, wanted: bool) -> None:
    fields = (b"admin", PASSWORD.encode()) if kind == PASSCODE else (token(server).encode(), b"")
    answer = asked(server, identity(kind, *fields, answer=wanted))
    assert answer.kind == ASSOCIATE_AC
    assert confirmed(answer) == wanted
    assert '"user": "admin"' in server.tail(5000)


@pytest.mark.parametrize(
    ("kind", "primary", "secondary"),
    [
        (PASSCODE, b"admin", b"a wrong one"),
        (PASSCODE, b"admin", b""),
        (PASSCODE, b"nobody", PASSWORD.encode()),
        (PASSCODE, b"ad\0min", PASSWORD.encode()),
        (PASSCODE, b"\xff\xfe", b"\xff"),
        (JWT, b"", b""),
        (JWT, b"a.b.c", b""),
        (
            JWT,
            b"eyJhbGciOiJub25lIn0.eyJpc3MiOiJ0b25neWluZyIsInN1YiI6ImFkbWluIiwiZXhwIjo5OTk5OTk5OTk5fQ.",
            b"",
        ),
        (JWT, b"x" * 20_000, b""),
    ],
)
def test_who_is_not(server: Server, kind: int, primary: bytes, secondary: bytes) -> None:
    answer = asked(server, identity(kind, primary, secondary), calling="WRONG")
    assert (answer.kind, answer.body[1:]) == (ASSOCIATE_RJ, REFUSED)
    assert "a wrong one" not in server.tail(20_000)


def test_a_forged_token(server: Server) -> None:
    head, claims, signature = token(server).split(".")
    forged = ".".join((head, claims, signature[::-1]))
    answer = asked(server, identity(JWT, forged.encode()))
    assert (answer.kind, answer.body[1:]) == (ASSOCIATE_RJ, REFUSED)


@pytest.mark.parametrize(
    "item",
    [b"", identity(KERBEROS, b"ticket"), identity(SAML, b"<xml/>"), identity(USERNAME, b"admin")],
    ids=["nothing", "kerberos", "saml", "a name alone"],
)
def test_what_proves_nothing(server: Server, required: bool, item: bytes) -> None:
    """D.3.3.7.1: an acceptor that does not know the kind accepts without a response; ours may require one it knows."""
    answer = asked(server, item)
    if required:
        assert (answer.kind, answer.body[1:]) == (ASSOCIATE_RJ, REFUSED)
    else:
        assert answer.kind == ASSOCIATE_AC
        assert confirmed(answer) == (b"admin" in item)


def test_a_name_that_nobody_has(server: Server) -> None:
    answer = asked(server, identity(USERNAME, b"nobody"))
    assert (answer.kind, answer.body[1:]) == (ASSOCIATE_RJ, REFUSED)


def test_storescu_with_a_passcode_and_with_a_token(server: Server, required: bool, tmp_path: Path) -> None:
    file, jwt = package_file("CT_small.dcm"), tmp_path / "jwt"
    jwt.write_text(token(server))
    assert storescu(server.dicom_port, "-usr", "admin", "-pwd", PASSWORD, "-rsp", file).returncode == 0
    assert storescu(server.dicom_port, "--jwt", jwt, "-rsp", file).returncode == 0
    assert storescu(server.dicom_port, "-usr", "admin", "-pwd", "wrong", file).returncode != 0
    assert (storescu(server.dicom_port, file).returncode != 0) == required


def test_a_right_passcode_costs_its_hash_once(server: Server) -> None:
    """A modality that opens an association for each image must not wait for argon2 each time."""
    item = identity(PASSCODE, b"admin", PASSWORD.encode())
    asked(server, item)
    began = time.monotonic()
    for _ in range(50):
        assert asked(server, item).kind == ASSOCIATE_AC
    assert time.monotonic() - began < 5


def test_guessing_is_slowed_down_and_holds_up_nobody(server: Server) -> None:
    """By another address than the others' of this file, whatever the name."""
    before = use(server)
    answers = []
    for n in range(60):  # each process of the node has its share of them
        caller = pdu.Peer(server.dicom_port, source="127.0.7.7")
        answers.append(caller.associate(more=identity(PASSCODE, f"user{n}".encode(), b"guess")).body[1:])
        caller.close()
    assert answers[0] == REFUSED
    assert answers[-1] == CONGESTED
    right = identity(PASSCODE, b"admin", PASSWORD.encode())
    assert asked(server, right).kind == ASSOCIATE_AC, "another address is served"
    back_to(server, before)


@pytest.mark.parametrize("item", [pdu.item(0x58, b""), pdu.item(0x58, b"\2\1\xff\xff"), identity(9, b"x")])
def test_a_malformed_item(server: Server, required: bool, item: bytes) -> None:
    """Aborted or refused, or passed over; never served as a user."""
    with pdu.peer(server.dicom_port) as caller:
        caller.send(pdu.pdu(pdu.ASSOCIATE_RQ, pdu.associate_body(more=item)))
        answer = caller.read()
        assert answer is None or answer.kind != ASSOCIATE_AC or not required


def test_a_wrong_policy_is_one_clear_line(server: Server) -> None:
    environment = server.environment() | {"TONGYING_DICOM_IDENTITY": "perhaps"}
    done = subprocess.run(
        [str(TONGYING), "up"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode != 0
    assert "TONGYING_DICOM_IDENTITY must be optional or required" in done.stderr.replace("\n", " ")
