"""Which DIMSE service answers which request: one table, from which negotiation and the conformance statement derive.

A handler has the association, on whose thread it runs, and the message; it answers by `association.respond`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dicom_node import commands, commitment, find, performed, retrieve, telling, worklist
from dicom_node.commands import Message, Status
from dicom_node.syntaxes import VERIFICATION
from pacs.audit import Action
from pacs.errors import OutOfResources
from pacs.logs import get
from storage.database import AWAY

if TYPE_CHECKING:
    from dicom_node.association import NodeAssociation

log = get("services")
BUSY: tuple[type[Exception], ...] = (OutOfResources, *AWAY)
Handler = Callable[["NodeAssociation", Message], None]


@dataclass(frozen=True, slots=True)
class Service:
    """A SOP class that we serve as SCP, the operations of it, and the role that a device needs for it."""

    sop_class: str
    name: str
    role: str
    operations: dict[int, Handler]
    action: Action | None = None  # in the audit trail; None: it shows and changes nothing


def _echo(association: NodeAssociation, message: Message) -> None:
    association.respond(message, Status.SUCCESS)


SERVICES = {
    service.sop_class: service
    for service in (
        Service(VERIFICATION, "Verification", "", {commands.C_ECHO_RQ: _echo}),
        *(
            Service(
                uid,
                f"{model.name} Query/Retrieve Information Model - FIND",
                "query",
                {commands.C_FIND_RQ: find.serve},
                Action.QUERY,
            )
            for uid, model in find.MODELS.items()
        ),
        *(
            Service(
                uid,
                f"{model.name} Query/Retrieve Information Model - GET",
                "retrieve",
                {commands.C_GET_RQ: retrieve.get_instances},
                Action.EXPORT,
            )
            for uid, model in retrieve.GET_MODELS.items()
        ),
        *(
            Service(
                uid,
                f"{model.name} Query/Retrieve Information Model - MOVE",
                "retrieve",
                {commands.C_MOVE_RQ: retrieve.move},
                Action.EXPORT,
            )
            for uid, model in retrieve.MOVE_MODELS.items()
        ),
        Service(
            commitment.PUSH_MODEL,
            "Storage Commitment Push Model",
            "store",
            {commands.N_ACTION_RQ: commitment.request},
        ),
        Service(
            worklist.MODALITY_WORKLIST,
            "Modality Worklist Information Model - FIND",
            "worklist",
            {commands.C_FIND_RQ: worklist.serve},
            Action.QUERY,
        ),
        Service(
            performed.MPPS,
            "Modality Performed Procedure Step",
            "worklist",
            {commands.N_CREATE_RQ: performed.create, commands.N_SET_RQ: performed.change},
            Action.CHANGE,
        ),
    )
}


def serve(association: NodeAssociation, message: Message) -> None:
    """Serve one request; whatever goes wrong, the peer gets an answer."""
    service = SERVICES.get(message.abstract_syntax)
    handler = service.operations.get(message.field) if service else None
    if service is None or handler is None:
        log.warning("operation_refused", peer=association.peer, field=f"{message.field:04X}")
        association.respond(message, Status.UNRECOGNISED_OPERATION)
        return
    try:
        if service.action is Action.QUERY:
            telling.query(association, message)
        handler(association, message)
        if service.action is not None:
            telling.finished(association, message, service.action, association.status)
    except BUSY as error:
        log.warning("service_unavailable", field=f"{message.field:04X}", error=type(error).__name__)
        status = Status.RESOURCE_LIMITATION if message.is_normalized else Status.OUT_OF_RESOURCES
        association.respond(message, status, comment="the archive cannot answer now: try again")
    except Exception as error:
        log.error("service_failed", field=f"{message.field:04X}", exc_info=error)
        association.respond(
            message, Status.PROCESSING_FAILURE, comment="an error within the archive; see its log"
        )
