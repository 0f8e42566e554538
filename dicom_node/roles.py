"""What a device may ask for: its roles, enforced when presentation contexts are negotiated (PS3.8 9.3.3.2)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from pynetdicom.acse import ACSE

from dicom_node.contexts import is_storage
from dicom_node.services import SERVICES

if TYPE_CHECKING:
    from dicom_node.association import NodeAssociation

STORE, RETRIEVE = "store", "retrieve"
USER_REJECTION = 1  # result of a presentation context, PS3.8 table 9-18


def role_of(abstract_syntax: str) -> str:
    """The role that a device needs for a service; "" for what all may (C-ECHO), and for what is not served at all."""
    if service := SERVICES.get(abstract_syntax):
        return service.role
    return STORE if is_storage(abstract_syntax) else ""


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

    def __init__(self, association: NodeAssociation) -> None:
        super().__init__(association)
        self._place = association.place
        self.denied: frozenset[str] = frozenset()

    def send_accept(self) -> None:
        for context in self.assoc.rejected_contexts:
            if context.abstract_syntax in self.denied:
                context.result = USER_REJECTION
        super().send_accept()

    def send_release(self, is_response: bool = False) -> None:
        if is_response:  # before the peer knows: it may call again at once
            self._place.release()
        super().send_release(is_response)
