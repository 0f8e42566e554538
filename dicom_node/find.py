"""C-FIND of the Query/Retrieve service class (PS3.4 C.4.1): identifiers in, matches out, as they are found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dicom_node.commands import Message, Status
from pacs.attributes import Level
from pacs.encoded import EncodedError, write_dataset
from pacs.errors import BadQuery
from pacs.identifier import needs_metadata, query_of
from pacs.logs import get
from pacs.matching import CONTROLS, projector
from pacs.values import Json, text, values
from storage.answers import Answers

if TYPE_CHECKING:
    from dicom_node.association import NodeAssociation

log = get("find")
SENT_AT_ONCE_BYTES = 64 * 1024  # of answers, before they are sent and C-CANCEL is looked for
CHARSET, LEVEL, RETRIEVE_AE = "00080005", "00080052", "00080054"
COMBINED = 1  # byte of the extended negotiation that asks for dates and times together (PS3.4 C.5.1.1)


@dataclass(frozen=True, slots=True)
class Model:
    """An information model: its name, and its levels."""

    name: str
    levels: tuple[Level, ...]


MODELS = {
    "1.2.840.10008.5.1.4.1.2.1.1": Model("Patient Root", tuple(Level)),
    "1.2.840.10008.5.1.4.1.2.2.1": Model("Study Root", (Level.STUDY, Level.SERIES, Level.IMAGE)),
    "1.2.840.10008.5.1.4.1.2.3.1": Model("Patient/Study Only", (Level.PATIENT, Level.STUDY)),
}


def serve(association: NodeAssociation, message: Message) -> None:
    """Answer a C-FIND-RQ: pending answers, then the final status."""
    try:
        identifier = association.identifier(message)
        level = level_of(identifier, MODELS[message.abstract_syntax].levels)
        answers = _answers(association, message, identifier, level)
        asked = projector({tag: element for tag, element in identifier.items() if tag not in CONTROLS})
    except (BadQuery, EncodedError) as error:
        log.info("query_refused", calling=association.calling, reason=str(error))
        association.respond(message, Status.IDENTIFIER_DOES_NOT_MATCH, comment=str(error))
        return
    told = {LEVEL: {"vr": "CS", "Value": [level.value]},
            RETRIEVE_AE: {"vr": "AE", "Value": [association.settings.ae_title]}}  # fmt: skip
    sent = send_answers(association, message, charset_of(association, identifier),
                        (asked(answer | told) | told for answer in answers))  # fmt: skip
    if sent is None:
        association.respond(message, Status.CANCEL)
    elif answers.more:
        association.respond(
            message, Status.OUT_OF_RESOURCES, comment=f"more than {sent} matches: narrow the query"
        )
    else:
        association.respond(message, Status.SUCCESS)


def _answers(association: NodeAssociation, message: Message, identifier: Json, level: Level) -> Answers:
    agreed = association.extended.get(message.abstract_syntax, b"")
    query = query_of(identifier, level, combined=agreed[COMBINED : COMBINED + 1] == b"\1")
    assert association.principal is not None, "the gate has let it in"
    deep = needs_metadata(identifier, level)
    return Answers(association.archive, query, association.principal, deep=deep, tags=frozenset(identifier))


def charset_of(association: NodeAssociation, identifier: Json) -> str:
    """In which character set the peer wants its answers: the one it asks in, else the one it is registered with."""
    return "\\".join(str(term or "") for term in values(identifier, CHARSET)) or association.charset


def level_of(identifier: Json, levels: tuple[Level, ...]) -> Level:
    """(0008,0052), which must be one of these; raises BadQuery."""
    named = text(identifier, LEVEL)
    if named not in levels:
        raise BadQuery(f"the Query/Retrieve Level is one of {', '.join(levels)}")
    return Level(named)


def send_answers(
    association: NodeAssociation, message: Message, charset: str, answers: Iterable[Json]
) -> int | None:
    """Send pending answers, some at a time; how many there were, or None when the peer cancelled or is gone."""
    waiting, count = bytearray(), 0
    command = association.command(message, Status.PENDING, data_set=True)  # of each of them
    for answer in answers:
        if association.cancelled(message):
            return None
        encoded = write_dataset(answer, message.transfer_syntax, charset)
        waiting += command
        waiting += association.data_set(message, encoded)
        count += 1
        if len(waiting) >= SENT_AT_ONCE_BYTES:
            if not association.dul.write(bytes(waiting)):
                return None
            waiting.clear()
    return count if not waiting or association.dul.write(bytes(waiting)) else None
