"""Associations said by hand up to any byte of them: a query that is cancelled, and a C-GET with its sub-operations."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.support import pdu
from tests.support.pdu import (
    ASSOCIATE_AC,
    ASSOCIATE_RQ,
    COMMAND,
    CT,
    EXPLICIT,
    IMPLICIT,
    LAST,
    P_DATA,
    RELEASE_RP,
    RELEASE_RQ,
    VERIFICATION,
    Peer,
)

STUDY_FIND, STUDY_GET = "1.2.840.10008.5.1.4.1.2.2.1", "1.2.840.10008.5.1.4.1.2.2.3"
C_FIND_RQ, C_GET_RQ, C_STORE_RSP, C_CANCEL_RQ = 0x0020, 0x0010, 0x8001, 0x0FFF
PENDING = 0xFF00
QUIET_SECONDS = 0.02  # between what an ordinary peer asks
SERVED_SECONDS_MAX = 10


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes to send, and what to wait for afterwards."""

    data: bytes
    wait: Callable[[Peer], None]


Script = list[Part]


def length(script: Script) -> int:
    return sum(len(part.data) for part in script)


def say(port: int, script: Script, place: int, how: str) -> None:
    """Say the first `place` bytes of a script, each part after what the node answered to the one before, and end."""
    caller = Peer(port)
    try:
        for part in script:
            caller.send(part.data[:place])
            if place < len(part.data):
                break
            place -= len(part.data)
            part.wait(caller)
    finally:
        caller.end(how)


def query(study: str) -> Script:
    """A C-FIND that is cancelled as soon as it is asked, and a release."""
    cancel = pdu.command(pdu.us(0x0100, C_CANCEL_RQ), pdu.us(0x0120, 1), pdu.us(0x0800, 0x0101))
    return [
        Part(pdu.pdu(ASSOCIATE_RQ, pdu.associate_body([(STUDY_FIND, [EXPLICIT])])), _accepted),
        Part(_asked(STUDY_FIND, C_FIND_RQ, study) + pdu.pdu(P_DATA, pdu.pdv(1, COMMAND | LAST, cancel)), _answered),
        Part(pdu.pdu(RELEASE_RQ, bytes(4)), _released),
    ]  # fmt: skip


def get(study: str, instances: int) -> Script:
    """A C-GET of a study of CT: its instances are taken one after the other."""
    contexts = [(STUDY_GET, [EXPLICIT]), (CT, [EXPLICIT])]
    body = pdu.associate_body(contexts, more=pdu.role_selection(CT, scp=True))
    asked = _asked(STUDY_GET, C_GET_RQ, study)
    taken = [pdu.pdu(P_DATA, pdu.pdv(3, COMMAND | LAST, _stored(n))) for n in range(1, instances + 1)]
    return [
        Part(pdu.pdu(ASSOCIATE_RQ, body), _accepted),
        Part(asked, _given),
        *(Part(one, _given) for one in taken[:-1]),
        Part(taken[-1], _answered),
        Part(pdu.pdu(RELEASE_RQ, bytes(4)), _released),
    ]


def _asked(model: str, field: int, study: str) -> bytes:
    identifier = pdu.explicit(0x00080052, "CS", b"STUDY") + pdu.explicit(0x0020000D, "UI", study.encode())
    command = pdu.command(pdu.element(2, model.encode()), pdu.us(0x0100, field), pdu.us(0x0110, 1),
                          pdu.us(0x0700, 0), pdu.us(0x0800, 1))  # fmt: skip
    return b"".join(pdu.message(command, identifier))


def _stored(message_id: int) -> bytes:
    return pdu.command(pdu.us(0x0100, C_STORE_RSP), pdu.us(0x0120, message_id), pdu.us(0x0800, 0x0101),
                       pdu.us(0x0900, 0))  # fmt: skip


def _accepted(caller: Peer) -> None:
    answer = caller.read()
    assert answer is not None
    assert answer.kind == ASSOCIATE_AC, answer


def _answered(caller: Peer) -> None:
    """The last answer to a request; data sets and progress reports are passed over."""
    while True:
        control, elements = _next(caller)
        if control & COMMAND and int.from_bytes(elements.get(0x0900, b""), "little") != PENDING:
            return


def _given(caller: Peer) -> None:
    """A whole C-STORE request."""
    while _next(caller)[0] != LAST:
        pass


def _next(caller: Peer) -> tuple[int, dict[int, bytes]]:
    """Of the next PDV: its control byte, and the elements of a command set."""
    got = caller.read()
    assert got is not None, "the connection was closed"
    assert got.kind == P_DATA, got
    control = got.body[5]
    return control, pdu.read_elements(got.body[6:]) if control & COMMAND else {}


def _released(caller: Peer) -> None:
    answer = caller.read()
    assert answer is not None
    assert answer.kind == RELEASE_RP, answer


@contextlib.contextmanager
def another_is_served(port: int, study: str) -> Iterator[None]:
    """An ordinary peer asks again and again within one association, and is answered each time."""
    over, waits = threading.Event(), [0.0]

    def ask() -> None:
        with pdu.associated(port, [(STUDY_FIND, [EXPLICIT]), (VERIFICATION, [IMPLICIT])]) as caller:
            while not over.wait(QUIET_SECONDS):
                began = time.monotonic()
                caller.send(_asked(STUDY_FIND, C_FIND_RQ, study))
                _answered(caller)
                assert caller.echo() == 0
                waits.append(time.monotonic() - began)
            caller.release()
        waits.append(-1)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert waits.pop() == -1, "it was cut off"
    assert len(waits) > 2, "it was answered"
    assert max(waits) < SERVED_SECONDS_MAX, "and at once"
