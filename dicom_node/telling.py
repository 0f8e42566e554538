"""What callers of the node did, told to the audit trail: who asked, from where, for what, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from dicom_node.commands import Message, Status
from pacs.access import Principal, Role
from pacs.audit import Action, Entry, Outcome, Service, Subject
from pacs.encoded import EncodedError
from pacs.encoded.dictionary import keyword_of
from pacs.logs import get
from pacs.matching import texts
from pacs.query import shown_key
from pacs.values import Json, values
from storage.database import AWAY

if TYPE_CHECKING:
    from dicom_node.association import NodeAssociation

log = get("audit")
STUDY_UID = "0020000D"
SUCCEEDED = frozenset({Status.SUCCESS, Status.PENDING, Status.CANCEL})


def query(association: NodeAssociation, message: Message) -> None:
    """Somebody asks, and is about to be answered. The same question again within a minute is not told again."""
    asked, studies = _asked(association, message)
    key = (association.calling, association.peer, association.user, message.abstract_syntax, asked)
    association.archive.audit.record_once(
        _entry(association, Action.QUERY, asked=asked, studies=studies), key
    )


def finished(association: NodeAssociation, message: Message, action: Action, status: int) -> None:
    """What came of a request; of one that was told before it was answered, only that it failed."""
    failed = status not in SUCCEEDED
    if failed or action not in (Action.QUERY, Action.EXPORT):
        asked, studies = _asked(association, message)
        outcome = Outcome.FAILED if failed else Outcome.SUCCESS
        said = f"{asked} → {status:04X}" if failed else asked
        entry = _entry(association, action, outcome=outcome, asked=said, studies=studies)
        try:
            association.archive.audit.record_once(
                entry, (association.calling, association.peer, action, said)
            )
        except AWAY as error:  # the peer has its answer
            log.error("audit_away", error=type(error).__name__)


def export(
    association: NodeAssociation, message: Message, studies: Iterable[str], instances: int, to: str
) -> None:
    """Instances are about to leave; where none were found, what was asked for."""
    asked, named = _asked(association, message)
    found = tuple(dict.fromkeys(studies))
    outcome = Outcome.SUCCESS if found else Outcome.ABSENT
    said = f"{asked}: {instances} instances" + (f" to {to}" if to else "")
    association.archive.audit.record(
        _entry(association, Action.EXPORT, outcome=outcome, asked=said, studies=found or named)
    )


def refused(association: NodeAssociation, calling: str, called: str, reason: str) -> None:
    """An association was rejected. The same from one address again within a minute is not told again."""
    entry = Entry.of(
        None, service=Service.DICOM, action=Action.ASSOCIATE, outcome=Outcome.REFUSED, who=calling,
        role=Role.DEVICE.value, address=association.peer, ae_title=calling, asked=f"to {called}: {reason}",
    )  # fmt: skip
    try:
        association.archive.audit.record_once(entry, (association.peer, reason), durable=False)
    except AWAY as error:  # it is refused all the same
        log.error("audit_away", error=type(error).__name__)


def stored(association: NodeAssociation) -> None:
    """An association that stored is over. Of which studies the instances are is told when they are indexed."""
    store, principal = association.store, association.principal
    if principal is None or not (store.stored or store.refused):
        return
    entry = _entry(
        association, Action.STORE, outcome=Outcome.SUCCESS if store.stored else Outcome.REFUSED,
        asked=f"{store.stored} instances stored, {store.refused} refused",
        subjects=(Subject(principal.facility or ""),),
    )  # fmt: skip
    association.archive.audit.record(entry, durable=False)


def _entry(association: NodeAssociation, action: Action, **told: object) -> Entry:
    who: Principal | None = association.user or association.principal
    return Entry.of(
        who, service=Service.DICOM, action=action, address=association.peer, ae_title=association.calling, **told
    )  # fmt: skip


def _asked(association: NodeAssociation, message: Message) -> tuple[str, tuple[str, ...]]:
    """The service and its keys, and the studies that it names."""
    from dicom_node.services import SERVICES  # which tells by this module

    service = SERVICES.get(message.abstract_syntax)
    name = service.name if service else message.abstract_syntax
    try:
        identifier = association.identifier(message)
    except EncodedError:
        return name, ()
    return " ".join((name, *_keys(identifier))), tuple(t for t in texts(identifier.get(STUDY_UID, {})) if t)


def _keys(identifier: Json) -> Iterable[str]:
    """Those that have a value, in items too."""
    for tag, element in identifier.items():
        if element.get("vr") == "SQ":
            for item in values(identifier, tag):
                yield from _keys(item or {})
        elif told := "\\".join(texts(element)):
            yield shown_key(keyword_of(int(tag, 16)) or tag, told)
