"""C-FIND of the Modality Worklist (PS3.4 K): a device asks what is scheduled at its facility."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicom_node.commands import Message, Status
from dicom_node.find import charset_of, send_answers
from pacs.encoded import EncodedError
from pacs.errors import BadQuery
from pacs.logs import get
from storage.worklist import search

if TYPE_CHECKING:
    from dicom_node.association import NodeAssociation

log = get("worklist")
MODALITY_WORKLIST = "1.2.840.10008.5.1.4.31"


def serve(association: NodeAssociation, message: Message) -> None:
    """Answer a C-FIND-RQ: pending answers, then the final status (table K.4-1)."""
    assert association.principal is not None, "the gate has let it in"
    try:
        identifier = association.identifier(message)
        answers = search(association.archive, association.principal.facility or "", identifier)
    except (BadQuery, EncodedError) as error:
        log.info("query_refused", calling=association.calling, reason=str(error))
        association.respond(message, Status.IDENTIFIER_DOES_NOT_MATCH, comment=str(error))
        return
    sent = send_answers(association, message, charset_of(association, identifier), answers.entries)
    if sent is None:
        association.respond(message, Status.CANCEL)
    elif answers.more:
        comment = f"more than {sent} steps match: ask for a day or a station"
        association.respond(message, Status.OUT_OF_RESOURCES, comment=comment)
    else:
        association.respond(message, Status.SUCCESS)
