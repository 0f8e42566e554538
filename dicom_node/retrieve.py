"""C-GET and C-MOVE of the Query/Retrieve service class (PS3.4 C.4.2, C.4.3): what is asked for, sent on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from dicom_node import commands, telling
from dicom_node.commands import Counts, Message, Status
from dicom_node.delivery import Outcome, deliver
from dicom_node.find import Model, level_of
from dicom_node.move import MOVE_DESTINATION, PRIORITY, Mover
from dicom_node.requestor import Answer, fragments
from dicom_node.wire import PeerError
from pacs.attributes import BY_KEYWORD, Level
from pacs.encoded import EncodedError, write_dataset
from pacs.errors import BadQuery, NotFound
from pacs.identifier import query_of
from pacs.logs import get
from storage.location import Located, locate_matches

if TYPE_CHECKING:
    from dicom_node.association import NodeAssociation

log = get("retrieve")
PENDING_SECONDS = 0.2  # at most so often a pending answer tells how far it is
ANSWER_SECONDS_MAX = 60  # for the peer to answer one C-STORE
FAILED_UIDS = "00080058"
UNIQUE = {Level.PATIENT: "PatientID", Level.STUDY: "StudyInstanceUID", Level.SERIES: "SeriesInstanceUID",
          Level.IMAGE: "SOPInstanceUID"}  # fmt: skip
# Study Root has no PATIENT level (PS3.4 C.6.2), but Orthanc retrieves patients by it: who knows the ID may have them.
GET_MODELS = {
    "1.2.840.10008.5.1.4.1.2.1.3": Model("Patient Root", tuple(Level)),
    "1.2.840.10008.5.1.4.1.2.2.3": Model("Study Root", tuple(Level)),
    "1.2.840.10008.5.1.4.1.2.3.3": Model("Patient/Study Only", (Level.PATIENT, Level.STUDY)),
}
MOVE_MODELS = {
    "1.2.840.10008.5.1.4.1.2.1.2": Model("Patient Root", tuple(Level)),
    "1.2.840.10008.5.1.4.1.2.2.2": Model("Study Root", tuple(Level)),
    "1.2.840.10008.5.1.4.1.2.3.2": Model("Patient/Study Only", (Level.PATIENT, Level.STUDY)),
}
Outcomes = Iterable[Outcome]


def get_instances(association: NodeAssociation, message: Message) -> None:
    """C-GET: the instances come as C-STORE requests within this association."""
    located = _asked(association, message, GET_MODELS)
    if located is None:
        return
    channel = _Within(association)

    def outcomes() -> Iterator[Outcome]:
        left = {id(one): one for one in located}
        try:
            for outcome in deliver(association.archive, channel, located, priority=message.number(PRIORITY)):
                left.pop(id(outcome.located), None)
                yield outcome
        except PeerError as error:
            yield from (Outcome(one, Status.PROCESSING_FAILURE, str(error)) for one in left.values())

    _report(association, message, len(located), outcomes(), stop=lambda: None)


def move(association: NodeAssociation, message: Message) -> None:
    """C-MOVE: the instances go to a third party, over associations that we request."""
    located = _asked(association, message, MOVE_MODELS)
    if located is None:
        return
    try:
        mover = Mover(association, message, located)
    except NotFound as error:
        log.warning("move_refused", calling=association.calling, reason=str(error))
        association.respond(message, Status.MOVE_DESTINATION_UNKNOWN, comment=str(error))
        return
    with mover:
        _report(association, message, len(located), mover.outcomes(), stop=mover.stop)


def _asked(association: NodeAssociation, message: Message, models: dict[str, Model]) -> list[Located] | None:
    """The instances that the identifier names and the caller may see; None if it was refused with an answer."""
    assert association.principal is not None, "the gate has let it in"
    try:
        identifier = association.identifier(message)
        level = level_of(identifier, models[message.abstract_syntax].levels)
        unique = {BY_KEYWORD[UNIQUE[at]].tag: at for at in UNIQUE}
        keys = {tag: element for tag, element in identifier.items() if tag in unique}
        query = query_of(keys, level)
        if not any(m.attribute.keyword == UNIQUE[level] for m in query.matches):
            raise BadQuery(f"{UNIQUE[level]} is needed at the {level.lower()} level")
        located = locate_matches(association.archive, query, association.principal)
    except (BadQuery, EncodedError) as error:
        log.info("retrieve_refused", calling=association.calling, reason=str(error))
        association.respond(message, Status.IDENTIFIER_DOES_NOT_MATCH, comment=str(error))
        return None
    telling.export(
        association, message, (o.study_uid for o in located), len(located), message.text(MOVE_DESTINATION)
    )
    return located


def _report(association: NodeAssociation, message: Message, total: int, outcomes: Outcomes,
            stop: Callable[[], None]) -> None:  # fmt: skip
    """Pending answers while it goes on, and the final one with the true counts."""
    counts = Counts(remaining=total)
    failed: list[str] = []
    reason, told, cancelled = "", time.monotonic(), False
    for outcome in outcomes:
        counts.remaining -= 1
        if not outcome.done:
            counts.failed += 1
            failed.append(outcome.located.entry.sop_instance)
            reason = reason or outcome.reason
            log.warning("sub_operation_failed", sop_instance=failed[-1], status=f"{outcome.status:04X}",
                        reason=outcome.reason)  # fmt: skip
        elif outcome.status:
            counts.warning += 1
        else:
            counts.completed += 1
        if association.cancelled(message):
            cancelled = counts.remaining > 0
            stop()
            if cancelled:
                break
        if time.monotonic() - told >= PENDING_SECONDS and counts.remaining:
            association.respond(message, Status.PENDING, counts=counts)
            told = time.monotonic()
    status = Status.CANCEL if cancelled else _final(counts)
    log.info("retrieved", calling=association.calling, status=f"{status:04X}", completed=counts.completed,
             failed=counts.failed, warning=counts.warning, remaining=counts.remaining)  # fmt: skip
    data = _failed_list(message, failed) if failed else None
    comment = f"{counts.failed} failed: {reason}" if failed else ""
    association.respond(message, status, data, comment=comment, counts=counts)


def _final(counts: Counts) -> Status:
    if counts.failed and not counts.completed and not counts.warning:
        return Status.CANNOT_PERFORM
    return Status.SUB_OPERATIONS_FAILED if counts.failed or counts.warning else Status.SUCCESS


def _failed_list(message: Message, failed: list[str]) -> bytes:
    """The Failed SOP Instance UID List (PS3.4 C.4.2.1.4.2)."""
    return write_dataset({FAILED_UIDS: {"vr": "UI", "Value": failed}}, message.transfer_syntax)


class _Within:
    """The channel of a C-GET: C-STORE requests within the caller's association, where it took the role of SCP."""

    def __init__(self, association: NodeAssociation) -> None:
        self._association = association
        self._message_id = 0
        self.accepted: dict[str, dict[str, int]] = {}
        for context in association.accepted_contexts:
            if context.as_scu and context.context_id is not None:
                by_syntax = self.accepted.setdefault(str(context.abstract_syntax), {})
                by_syntax[str(context.transfer_syntax[0])] = context.context_id

    def store(self, sop_class: str, sop_instance: str, transfer_syntax: str, pieces: Iterable[bytes | memoryview], *,
              priority: int = 0, originator: tuple[str, int] | None = None) -> Answer:  # fmt: skip
        """Send one data set and wait for the answer; raises PeerError when the association is over, or cancelled."""
        self._message_id = self._message_id % 0xFFFF + 1
        context_id = self.accepted[sop_class][transfer_syntax]
        command = commands.encode({
            0x0002: sop_class, 0x0100: commands.C_STORE_RQ, 0x0110: self._message_id, 0x0700: priority,
            0x0800: commands.DATA_SET, 0x1000: sop_instance,
        })  # fmt: skip
        longest = self._association.peer_pdu_bytes_max
        room = ((longest or commands.UNLIMITED_PDU_BYTES) - 6) & ~1

        def pdus() -> Iterator[bytes]:
            yield commands.p_data_pieces(context_id, command, longest, commands.COMMAND)
            for fragment, last in fragments(pieces, room):
                yield commands.p_data(context_id, bytes(fragment), 0x02 if last else 0)

        answer = self._association.ask(pdus(), ANSWER_SECONDS_MAX)
        if answer is None:
            raise PeerError("the association is over, or its peer did not answer")
        return Answer(commands.status_of(answer.command), commands.comment_of(answer.command))
