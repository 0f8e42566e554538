"""The Storage Commitment Push Model (PS3.4 J.3): N-ACTION in, N-EVENT-REPORT out, on the same or a new association."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset

from dicom_node import commands
from dicom_node.calling import connect
from dicom_node.commands import Message, Status
from dicom_node.requestor import Context
from dicom_node.syntaxes import EXPLICIT, IMPLICIT
from dicom_node.wire import PeerError
from pacs.encoded import EncodedError, read_identifier, write_dataset
from pacs.errors import InvalidUID, NotAcceptable, NotFound
from pacs.logs import get
from pacs.uids import clean_uid
from pacs.values import Json, text, values
from storage import commitment
from storage.archive import Archive
from storage.commitment import ITEMS_MAX, Commitment, Item, Verdict
from storage.remotes import Remote, remote_called

if TYPE_CHECKING:
    from dicom_node.association import NodeAssociation

log = get("commitment")
PUSH_MODEL, PUSH_INSTANCE = "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"
ACTION_TYPE, EVENT_TYPE = 0x1008, 0x1002
REQUEST = 1  # Action Type ID: Request Storage Commitment
COMPLETE, WITH_FAILURES = 1, 2  # Event Type ID
TRANSACTION, ITEMS, FAILED_ITEMS, REASON = "00081195", "00081199", "00081198", "00081197"
SOP_CLASS, SOP_INSTANCE = "00081150", "00081155"
HERE_SECONDS_MAX = 10  # so long an association is kept for an answer that can be given nowhere else
ANSWER_SECONDS = 30


def request(association: NodeAssociation, message: Message) -> None:
    """N-ACTION: kept first, then acknowledged; the answer comes as an N-EVENT-REPORT."""
    try:
        if message.number(ACTION_TYPE) != REQUEST:
            association.respond(message, Status.NO_SUCH_ACTION)
            return
        asked = read_identifier(message.data, message.transfer_syntax)
        transaction, items = clean_uid(text(asked, TRANSACTION)), _items(asked)
    except (EncodedError, InvalidUID, ValueError) as error:
        association.respond(message, Status.INVALID_ARGUMENT, comment=str(error))
        return
    assert association.principal is not None, "the gate has let it in"
    facility = association.principal.facility or ""
    here = find_remote(association.archive, facility, association.calling) is None
    number = commitment.keep(
        association.archive, facility, association.calling, association.settings.ae_title, association.peer,
        transaction, items, held_seconds=HERE_SECONDS_MAX + 1 if here else 0,
    )  # fmt: skip
    association.respond(message, Status.SUCCESS)
    log.info("commitment_asked", calling=association.calling, items=len(items), here=here)
    if here:
        _answer_here(association, message, number)


def _items(asked: Json) -> list[Item]:
    found = [
        (clean_uid(text(i, SOP_CLASS)), clean_uid(text(i, SOP_INSTANCE))) for i in values(asked, ITEMS) if i
    ]
    if not 1 <= len(found) <= ITEMS_MAX:
        raise ValueError(f"1 to {ITEMS_MAX} instances can be asked for, not {len(found)}")
    return found


def find_remote(archive: Archive, facility: str, calling: str) -> Remote | None:
    """Where the caller itself can be called, if it is registered."""
    try:
        return remote_called(archive, facility, calling)
    except NotFound:
        return None


def _answer_here(association: NodeAssociation, message: Message, number: int) -> None:
    """Within the association, which is kept open for it, unless the peer releases it."""
    asked = commitment.read(association.archive, number)
    deadline = time.monotonic() + HERE_SECONDS_MAX
    while time.monotonic() < deadline and not association.leaving:
        verdict = commitment.examine(association.archive, asked)
        if commitment.is_final(association.archive, asked, verdict):
            if _report_here(association, message, asked, verdict):
                commitment.reported(association.archive, number)
            return
        time.sleep(0.2)


def _report_here(association: NodeAssociation, message: Message, asked: Commitment, verdict: Verdict) -> bool:
    data = write_dataset(report_of(asked, verdict), message.transfer_syntax)
    command = commands.encode({
        0x0002: PUSH_MODEL, 0x0100: commands.N_EVENT_REPORT_RQ, 0x0110: 1, 0x0800: commands.DATA_SET,
        0x1000: PUSH_INSTANCE, EVENT_TYPE: event_type(verdict),
    })  # fmt: skip
    longest = association.peer_pdu_bytes_max
    pdus = [commands.p_data_pieces(message.context_id, command, longest, commands.COMMAND),
            commands.p_data_pieces(message.context_id, data, longest)]  # fmt: skip
    answer = association.ask(pdus, ANSWER_SECONDS)
    return answer is not None and commands.status_of(answer.command) == Status.SUCCESS


def event_type(verdict: Verdict) -> int:
    return WITH_FAILURES if verdict.failed else COMPLETE


def report_of(asked: Commitment, verdict: Verdict) -> Json:
    """The event information (PS3.4 table J.3-2)."""
    report: Json = {TRANSACTION: {"vr": "UI", "Value": [asked.transaction_uid]}}
    if verdict.committed:
        report[ITEMS] = {"vr": "SQ", "Value": [_reference(item) for item in verdict.committed]}
    if verdict.failed:
        report[FAILED_ITEMS] = {"vr": "SQ", "Value": [
            _reference(item) | {REASON: {"vr": "US", "Value": [reason]}} for item, reason in verdict.failed
        ]}  # fmt: skip
    return report


def _reference(item: Item) -> Json:
    return {SOP_CLASS: {"vr": "UI", "Value": [item[0]]}, SOP_INSTANCE: {"vr": "UI", "Value": [item[1]]}}


class Reports:
    """The job that gives the answers over new associations, in which we take the role of SCP (PS3.7 D.3.3.4)."""

    name = "commitment"

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    def step(self) -> bool:
        """Examine and answer one request; whether there was one."""
        asked = commitment.claim(self._archive)
        if asked is None:
            return False
        verdict = commitment.examine(self._archive, asked)
        if not commitment.is_final(self._archive, asked, verdict):
            commitment.look_later(self._archive, asked.id)
            return False
        try:
            self._report(asked, verdict)
        except (PeerError, NotAcceptable, NotFound) as error:
            log.warning("report_delayed", calling=asked.calling, reason=str(error))
            commitment.postpone(self._archive, asked, str(error))
        else:
            log.info(
                "reported",
                calling=asked.calling,
                committed=len(verdict.committed),
                failed=len(verdict.failed),
            )
            commitment.reported(self._archive, asked.id)
        return True

    def _report(self, asked: Commitment, verdict: Verdict) -> None:
        remote = remote_called(self._archive, asked.facility, asked.calling)
        contexts = [Context(PUSH_MODEL, (EXPLICIT, IMPLICIT), "scp")]
        with connect(self._archive.settings, remote, asked.called, contexts) as peer:
            report = Dataset.from_json(report_of(asked, verdict))
            answer = peer.report(PUSH_MODEL, PUSH_INSTANCE, event_type(verdict), report)
        if not answer.done:
            raise PeerError(f"the receiver of the report answered {answer.status:04X}")
