"""What a request is answered where the archive cannot serve it (PS3.7 C.5, PS3.4 C.4)."""

from __future__ import annotations

from typing import Any

import pytest

from dicom_node import commands, services
from dicom_node.commands import Message
from dicom_node.performed import MPPS
from dicom_node.services import Service, serve
from pacs.errors import OutOfResources

STUDY_FIND = "1.2.840.10008.5.1.4.1.2.2.1"


class Answers:
    """In the place of an association: what it was told to answer."""

    def __init__(self) -> None:
        self.statuses: list[int] = []

    def respond(self, _message: Message, status: int, **_more: Any) -> bool:
        self.statuses.append(status)
        return True


@pytest.mark.parametrize("error", [OSError("the store is away"), OutOfResources("the disk is full")])
@pytest.mark.parametrize(
    ("sop_class", "field", "status"),
    [
        (STUDY_FIND, commands.C_FIND_RQ, 0xA700), (MPPS, commands.N_CREATE_RQ, 0x0213),
        (MPPS, commands.N_SET_RQ, 0x0213), (MPPS, commands.N_ACTION_RQ, 0x0213),
    ],
)  # fmt: skip
def test_what_is_away(
    monkeypatch: pytest.MonkeyPatch, sop_class: str, field: int, status: int, error: Exception
) -> None:
    def fail(_association: object, _message: Message) -> None:
        raise error

    monkeypatch.setitem(services.SERVICES, sop_class, Service(sop_class, "any", "", {field: fail}))
    answers = Answers()
    request = Message({0x0100: field.to_bytes(2, "little")}, 1, sop_class, "1.2.840.10008.1.2", b"")
    serve(answers, request)  # type: ignore[arg-type]
    assert answers.statuses == [status]
