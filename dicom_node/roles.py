"""What a device may ask for: its roles, enforced when presentation contexts are negotiated (PS3.8 9.3.3.2)."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from pydicom._uid_dict import UID_dictionary
from pynetdicom.acse import ACSE
from pynetdicom.association import Association

from dicom_node.contexts import is_storage

STORE, QUERY, RETRIEVE, WORKLIST = "store", "query", "retrieve", "worklist"
USER_REJECTION = 1  # result of a presentation context, PS3.8 table 9-18
STORAGE_COMMITMENT = "1.2.840.10008.1.20.1"
MODALITY_WORKLIST = "1.2.840.10008.5.1.4.31"
PERFORMED_STEPS = "1.2.840.10008.3.1.2.3."  # MPPS, its Retrieve and its Notification
_OPERATIONS = {"- FIND": QUERY, "- MOVE": RETRIEVE, "- GET": RETRIEVE}


def role_of(abstract_syntax: str) -> str:
    """The role that a device needs for a service; "" for what all may (C-ECHO), and for what is no service here."""
    if abstract_syntax == MODALITY_WORKLIST or abstract_syntax.startswith(PERFORMED_STEPS):
        return WORKLIST
    if abstract_syntax == STORAGE_COMMITMENT or is_storage(abstract_syntax):
        return STORE
    name = UID_dictionary.get(abstract_syntax, ("",))[0]
    return next((role for ending, role in _OPERATIONS.items() if name.endswith(ending)), "")


def denied(asked: Iterable[str], roles: Collection[str], received: Collection[str] = ()) -> frozenset[str]:
    """Of the abstract syntaxes asked for those whose service the roles do not allow. `received` are the storage classes
    that the peer would receive by C-GET: it proposes to be their SCP, for which it needs the role to retrieve."""
    return frozenset(
        uid
        for uid in asked
        if (role := role_of(uid)) and role not in roles and not (uid in received and RETRIEVE in roles)
    )


class NodeAcse(ACSE):
    """pynetdicom's ACSE, which says "user rejection" for the contexts that the device's roles do not allow: their
    abstract syntax is supported, but not for this caller."""

    def __init__(self, association: Association) -> None:
        super().__init__(association)
        self.denied: frozenset[str] = frozenset()

    def send_accept(self) -> None:
        for context in self.assoc.rejected_contexts:
            if context.abstract_syntax in self.denied:
                context.result = USER_REJECTION
        super().send_accept()
