"""What we claim as a Storage and Verification SCP: one test a clause, from which the conformance statement is made."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest
from pydicom.uid import generate_uid

from pacs.encoded import IMPLEMENTATION_CLASS_UID
from tests.support import pdu
from tests.support.pdu import (
    ABORT,
    ASSOCIATE_AC,
    ASSOCIATE_RJ,
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
    Answer,
    Peer,
    associate_body,
    associated,
    made,
    pdv,
    peer,
)
from tests.support.server import Server
from tests.support.watch import settled, sop_uids, whole

MR = "1.2.840.10008.5.1.4.1.1.4"
BIG_ENDIAN = "1.2.840.10008.1.2.2"


@pytest.fixture(scope="module", autouse=True)
def _whole_at_the_end(server: Server) -> Iterator[None]:
    yield
    whole(server)


@pytest.fixture
def caller(server: Server) -> Iterator[Peer]:
    """With an association for CT (context 1) and Verification (context 3)."""
    with associated(server.dicom_port) as one:
        yield one


def items(body: bytes, offset: int) -> list[tuple[int, bytes]]:
    """The items of an A-ASSOCIATE PDU from an offset on."""
    found = []
    while offset < len(body):
        kind, length = struct.unpack_from(">BxH", body, offset)
        found.append((kind, body[offset + 4 : offset + 4 + length]))
        offset += 4 + length
    return found


def accepted(server: Server, contexts: list[pdu.Context]) -> dict[int, tuple[int, str]]:
    """Context ID → result and transfer syntax of the A-ASSOCIATE-AC."""
    with peer(server.dicom_port) as one:
        answer = one.associate(contexts)
        assert answer.kind == ASSOCIATE_AC
    return {
        body[0]: (body[2], dict(items(body, 4)).get(0x40, b"").decode())
        for kind, body in items(answer.body, 68)
        if kind == 0x21
    }


def stored(caller: Peer, command: bytes, data: bytes) -> Answer:
    caller.send(*pdu.message(command, data))
    return caller.answer()


# PS3.8: upper layer


def test_associate_ac_repeats_the_titles(server: Server) -> None:
    """PS3.8 9.3.3: protocol version 1; the called and calling AE titles come back as they were sent."""
    with peer(server.dicom_port) as one:
        answer = one.associate()
        assert answer.body[:2] == b"\0\1"
        assert answer.body[4:36] == b"TONGYING".ljust(16) + b"BYHAND".ljust(16)


def test_associate_ac_names_the_application_context(server: Server) -> None:
    """PS3.8 9.3.3.1: the DICOM application context."""
    with peer(server.dicom_port) as one:
        assert (0x10, pdu.APPLICATION_CONTEXT.encode()) in items(one.associate().body, 68)


def test_associate_ac_tells_the_longest_pdu_and_who_we_are(server: Server) -> None:
    """PS3.8 D.1 and PS3.7 D.3.3.2: maximum length received, implementation class UID and version name."""
    with peer(server.dicom_port) as one:
        user = dict(items(dict(items(one.associate().body, 68))[0x50], 0))
    assert struct.unpack(">I", user[0x51])[0] >= 16384
    assert user[0x52].decode() == IMPLEMENTATION_CLASS_UID
    assert user[0x55].startswith(b"TONGYING")


def test_contexts_are_answered_one_by_one(server: Server) -> None:
    """PS3.8 9.3.3.2: each proposed context has its result: 0 acceptance, 3 abstract syntax not supported."""
    printing = "1.2.840.10008.5.1.1.9"
    results = accepted(server, [(CT, (EXPLICIT,)), (printing, (EXPLICIT,)), (MR, (IMPLICIT,))])
    assert {n: result for n, (result, _) in results.items()} == {1: 0, 3: 3, 5: 0}


def test_one_transfer_syntax_is_chosen_for_each_context(server: Server) -> None:
    """PS3.8 9.3.3.2: one of the proposed; Explicit VR Little Endian is preferred to Implicit and Big Endian."""
    jpeg = "1.2.840.10008.1.2.4.70"
    results = accepted(
        server, [(CT, (IMPLICIT, BIG_ENDIAN, EXPLICIT)), (CT, (jpeg, EXPLICIT)), (CT, (IMPLICIT,))]
    )
    assert [syntax for _, syntax in results.values()] == [EXPLICIT, jpeg, IMPLICIT]


def test_called_title_not_recognized(server: Server) -> None:
    """PS3.8 9.3.4: A-ASSOCIATE-RJ, result 1 (permanent), source 1 (service user), reason 7."""
    with peer(server.dicom_port) as one:
        answer = one.associate(called="NOBODY")
        assert (answer.kind, answer.body) == (ASSOCIATE_RJ, b"\0\1\1\7")


def test_a_data_set_in_many_pdus_and_fragments(server: Server, caller: Peer) -> None:
    """PS3.8 9.3.5 and annex E: P-DATA-TF PDUs hold any number of fragments of commands and data sets."""
    one = made()
    command, data = pdu.store_rq(one.instance), one.data
    caller.send(pdu.pdu(P_DATA, pdv(1, COMMAND, command[:30]) + pdv(1, COMMAND | LAST, command[30:])))
    caller.send(pdu.pdu(P_DATA, pdv(1, 0, data[:100]) + pdv(1, 0, b"") + pdv(1, 0, data[100:300])))
    caller.send(pdu.pdu(P_DATA, pdv(1, LAST, data[300:])))
    assert caller.answer().status == 0


def test_release(caller: Peer) -> None:
    """PS3.8 9.3.6, 9.3.7: A-RELEASE-RQ is answered by A-RELEASE-RP."""
    caller.send(pdu.pdu(RELEASE_RQ, bytes(4)))
    assert caller.ends() == [RELEASE_RP]


def test_abort(server: Server, caller: Peer) -> None:
    """PS3.8 9.3.8: A-ABORT ends the association at once, without an answer."""
    caller.send(pdu.pdu(ABORT, bytes(4)))
    assert caller.ends() == []


def test_unrecognized_pdu(caller: Peer) -> None:
    """PS3.8 9.2.3, AA-8: an unrecognized PDU is answered by A-ABORT, source 2 (service provider)."""
    caller.send(pdu.pdu(0x42, b""))
    answer = caller.read()
    assert answer is not None
    assert (answer.kind, answer.body[2]) == (ABORT, 2)


def test_unexpected_pdu(caller: Peer) -> None:
    """PS3.8 9.2.3, AA-8: an A-ASSOCIATE-RQ within an association is answered by A-ABORT, source 2."""
    caller.send(pdu.pdu(ASSOCIATE_RQ, associate_body()))
    answer = caller.read()
    assert answer is not None
    assert (answer.kind, answer.body[2]) == (ABORT, 2)


def test_first_pdu_that_is_no_request(server: Server) -> None:
    """PS3.8 9.2.3, AA-1: a first PDU that is no A-ASSOCIATE-RQ is answered by A-ABORT."""
    with peer(server.dicom_port) as one:
        one.send(pdu.pdu(RELEASE_RQ, bytes(4)))
        assert one.ends() == [ABORT]


# PS3.7: DIMSE


def test_store_response(caller: Peer) -> None:
    """PS3.7 9.1.1.1 and 9.3.1.2: the C-STORE-RSP names the message, class and instance; no data set follows."""
    one = made()
    answer = stored(caller, pdu.store_rq(one.instance, message_id=777), one.data)
    assert (answer.context_id, answer.field, answer.message_id, answer.status) == (1, 0x8001, 777, 0)
    assert answer.elements[0x0002].rstrip(b"\0").decode() == CT
    assert answer.elements[0x1000].rstrip(b"\0").decode() == one.instance
    assert answer.elements[0x0800] == b"\x01\x01"
    assert int.from_bytes(answer.elements[0x0000], "little") == sum(
        8 + len(v) for n, v in answer.elements.items() if n
    )


def test_store_of_an_invalid_instance(caller: Peer) -> None:
    """PS3.7 9.1.1.1.9: status 0117H, invalid SOP Instance: the UID breaks the rules of UIDs."""
    assert stored(caller, pdu.store_rq("1.2.not-a-uid"), b"x").status == 0x0117


def test_store_of_a_class_that_was_not_agreed_on(caller: Peer) -> None:
    """PS3.7 9.1.1.1.9: status 0122H, SOP Class not supported: here, on a context for Verification."""
    caller.send(*pdu.message(pdu.store_rq("1.2.3"), b"x", 3))
    assert caller.answer().status == 0x0122


def test_several_operations_on_one_association(caller: Peer) -> None:
    """PS3.7 9.1.1: one after the other, each with its own message ID; also after a refusal."""
    statuses = []
    for number in range(1, 6):
        one = made()
        command = pdu.store_rq(one.instance if number != 3 else "..bad", message_id=number)
        answer = stored(caller, command, one.data)
        assert answer.message_id == number
        statuses.append(answer.status)
    assert statuses == [0, 0, 0x0117, 0, 0]


def test_echo(caller: Peer) -> None:
    """PS3.7 9.1.5 and 9.3.5.2: the C-ECHO-RSP has status 0000H and the Verification SOP Class."""
    caller.send(pdu.pdu(P_DATA, pdv(3, COMMAND | LAST, pdu.echo_rq(message_id=42))))
    answer = caller.answer()
    assert (answer.context_id, answer.field, answer.message_id, answer.status) == (3, 0x8030, 42, 0)
    assert answer.elements[0x0002].rstrip(b"\0").decode() == VERIFICATION
    assert answer.elements[0x0800] == b"\x01\x01"


def test_a_data_set_that_is_empty(caller: Peer) -> None:
    """PS3.4 B.2.3: status CxxxH, cannot understand."""
    assert stored(caller, pdu.store_rq("1.2.3"), b"").status == 0xC000


def test_refusals_say_why(caller: Peer) -> None:
    """PS3.7 9.3.1.2, C.: Error Comment (0000,0902), at most 64 characters, stands in what is refused."""
    answer = stored(caller, pdu.store_rq("1.2.3"), b"")
    assert 0 < len(answer.comment) <= 64


# PS3.4: the Storage service class


def test_success_means_that_it_is_kept(server: Server, caller: Peer) -> None:
    """PS3.4 B.2.2, B.2.3: status 0000H; the instance then is in the archive."""
    one = made()
    assert stored(caller, pdu.store_rq(one.instance), one.data).status == 0
    settled(server)
    assert sop_uids(server, one.study) == [one.instance]


def test_all_attributes_are_kept(server: Server, caller: Peer) -> None:
    """PS3.4 B.4.1: level 2 (full) storage: private and unknown attributes come back, byte for byte."""
    private = {
        0x00090010: ("LO", b"A MAKER"),
        0x00091001: ("UN", bytes(range(100))),
        0x7FDF1011: ("OB", b"\1\2"),
    }
    one = made(more=private)
    assert stored(caller, pdu.store_rq(one.instance), one.data).status == 0
    settled(server)
    path = f"/dicom-web/studies/{one.study}/series/{one.series}/instances/{one.instance}"
    answer = server.client.get(path, headers={"Accept": "application/dicom; transfer-syntax=*"})
    assert answer.content.endswith(one.data)


def test_data_sets_that_do_not_match_their_class_are_kept(server: Server, caller: Peer) -> None:
    """PS3.4 B.2.3: no A9xxH is ever answered: what breaks its IOD is kept as it came, and shown."""
    one = made(without=[0x00080060, 0x00280010, 0x7FE00010, 0x00100020])
    assert stored(caller, pdu.store_rq(one.instance), one.data).status == 0
    settled(server)
    assert sop_uids(server, one.study) == [one.instance]


def test_any_storage_class_is_taken(server: Server) -> None:
    """PS3.4 B.3, B.5: all storage SOP classes of the standard, those to come, and private ones."""
    classes = [MR, "1.2.840.10008.5.1.4.1.1.77.1.6", "1.2.840.10008.5.1.4.1.1.88.11", "1.2.840.10008.5.1.4.1.1.999.9",
               "1.2.826.0.1.3680043.9.9999.1", "1.2.840.10008.5.1.4.1.1.66.4"]  # fmt: skip
    results = accepted(server, [(uid, (EXPLICIT,)) for uid in classes])
    assert {result for result, _ in results.values()} == {0}


def test_the_same_instance_again(server: Server, caller: Peer) -> None:
    """PS3.4 B.2.2: an instance that is known is taken again with success, and is one instance."""
    one = made(study=generate_uid())
    for _ in range(3):
        assert stored(caller, pdu.store_rq(one.instance), one.data).status == 0
    settled(server)
    assert sop_uids(server, one.study) == [one.instance]
