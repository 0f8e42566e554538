"""The Modality Performed Procedure Step SOP class (PS3.4 F.7): a device tells what it does and what it made."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from dicom_node import commands
from dicom_node.commands import Message
from pacs import errors
from pacs.encoded import EncodedError
from pacs.logs import get
from pacs.uids import new_uid
from pacs.values import Json
from storage import performed
from storage.database import Refused

if TYPE_CHECKING:
    from dicom_node.association import NodeAssociation

log = get("performed")
MPPS = "1.2.840.10008.3.1.2.3.3"
MAY_NO_LONGER_BE_UPDATED = 0xA710  # Error ID (F.7.2.2.2)
ATTRIBUTE_LIST_ERROR = 0x0107  # a warning: some attributes were left as they are (PS3.7 10.1.3)
# Our errors as statuses of N-CREATE and N-SET (PS3.7 annex C); the first class that fits counts.
STATUSES: tuple[tuple[type[Exception], int], ...] = (
    (errors.Conflict, 0x0111),
    (errors.NotFound, 0x0112),
    (errors.Final, 0x0110),
    (errors.MissingAttribute, 0x0120),
    (errors.BadAttributes, 0x0106),
    (errors.InvalidUID, 0x0117),
    (EncodedError, 0x0110),
    *((kind, 0x0106) for kind in Refused),
)
REFUSED = tuple(kind for kind, _ in STATUSES)


def create(association: NodeAssociation, message: Message) -> None:
    """N-CREATE: a step has begun. Without an Affected SOP Instance UID it is given one (PS3.7 10.1.5.1.3)."""
    uid = message.instance_uid or new_uid()

    def work(attributes: Json) -> list[str]:
        performed.create(association.archive, _facility(association), association.calling, uid, attributes)
        return []

    _answer(association, message, uid, work)


def change(association: NodeAssociation, message: Message) -> None:
    """N-SET: the step goes on, or has ended."""
    uid = message.instance_uid

    def work(attributes: Json) -> list[str]:
        return performed.change(association.archive, _facility(association), uid, attributes)

    _answer(association, message, uid, work)


def _answer(
    association: NodeAssociation, message: Message, uid: str, work: Callable[[Json], list[str]]
) -> None:
    try:
        attributes = association.identifier(message)
        ignored = work(attributes)
    except REFUSED as error:
        status = next(s for kind, s in STATUSES if isinstance(error, kind))
        said = str(error) if isinstance(error, errors.TongyingError) else "a value cannot be kept"
        log.info("step_refused", calling=association.calling, status=f"{status:04X}", reason=said)
        final = isinstance(error, errors.Final)
        _respond(association, message, uid, status, said, MAY_NO_LONGER_BE_UPDATED if final else 0)
        return
    if ignored:
        comment = f"may not be set: {' '.join(ignored)}"
        log.info("step_attributes_ignored", calling=association.calling, tags=ignored)
        _respond(association, message, uid, ATTRIBUTE_LIST_ERROR, comment)
    else:
        _respond(association, message, uid, commands.Status.SUCCESS)


def _facility(association: NodeAssociation) -> str:
    assert association.principal is not None, "the gate has let it in"
    return association.principal.facility or ""


def _respond(
    association: NodeAssociation,
    message: Message,
    uid: str,
    status: int,
    comment: str = "",
    error_id: int = 0,
) -> None:
    """With the instance's UID, which an N-CREATE may leave to us, and the Error ID (0000,0903) where there is one."""
    fields: commands.Fields = {
        0x0002: MPPS.encode(),
        0x0100: message.field | 0x8000,
        0x0120: message.message_id,
        0x0800: commands.NO_DATA_SET,
        0x0900: status,
        0x1000: uid.encode("ascii", "replace"),
    }
    if comment:
        fields[0x0902] = comment[: commands.COMMENT_CHARACTERS_MAX].encode("ascii", "replace")
    if error_id:
        fields[0x0903] = error_id
    room = association.peer_pdu_bytes_max
    association.dul.write(
        commands.p_data_pieces(message.context_id, commands.encode(fields), room, commands.COMMAND)
    )
