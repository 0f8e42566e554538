"""The schema of DICOM audit messages (PS3.15 A.5.1.1) as tables, and what of it a message breaks."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from xml.etree import ElementTree as ET

Test = Callable[[str], bool]


def one_of(*values: str) -> Test:
    return lambda text: text in values


def numbers(last: int) -> Test:
    return one_of(*map(str, range(1, last + 1)))


def token(text: str) -> bool:
    return bool(text)


def moment(text: str) -> bool:
    return datetime.fromisoformat(text).tzinfo is not None


def base64_binary(text: str) -> bool:
    return bool(base64.b64decode(text, validate=True))


@dataclass(frozen=True)
class Shape:
    """An element: attributes that it must and may have, and its children in order with how many of each."""

    must: dict[str, Test] = field(default_factory=dict)
    may: dict[str, Test] = field(default_factory=dict)
    children: str = ""  # a regular expression over the names, each with a blank behind
    text: Test = lambda text: not text.strip()


CODED = Shape({"csd-code": token, "codeSystemName": token, "originalText": token}, {"displayName": token})
SHAPES = {
    "AuditMessage": Shape(
        children="EventIdentification (ActiveParticipant )+AuditSourceIdentification "
        "(ParticipantObjectIdentification )*"
    ),
    "EventIdentification": Shape(
        {"EventDateTime": moment, "EventOutcomeIndicator": one_of("0", "4", "8", "12")},
        {"EventActionCode": one_of(*"CRUDE")},
        "EventID (EventTypeCode )*(EventOutcomeDescription )?",
    ),
    "EventID": CODED,
    "EventTypeCode": CODED,
    "RoleIDCode": CODED,
    "ParticipantObjectIDTypeCode": CODED,
    "EventOutcomeDescription": Shape(text=token),
    "ActiveParticipant": Shape(
        {"UserID": token, "UserIsRequestor": one_of("true", "false")},
        {
            "AlternativeUserID": token,
            "UserName": token,
            "NetworkAccessPointID": token,
            "NetworkAccessPointTypeCode": numbers(5),
        },
        "(RoleIDCode )*",
    ),
    "AuditSourceIdentification": Shape(
        {"AuditSourceID": token}, {"AuditEnterpriseSiteID": token}, "(AuditSourceTypeCode )*"
    ),
    "AuditSourceTypeCode": Shape({"csd-code": numbers(9)}),
    "ParticipantObjectIdentification": Shape(
        {"ParticipantObjectID": token},
        {
            "ParticipantObjectTypeCode": numbers(4),
            "ParticipantObjectTypeCodeRole": numbers(26),
            "ParticipantObjectDataLifeCycle": numbers(15),
            "ParticipantObjectSensitivity": token,
        },
        "ParticipantObjectIDTypeCode (ParticipantObjectName |ParticipantObjectQuery )"
        "(ParticipantObjectDetail )*(ParticipantObjectDescription )*",
    ),
    "ParticipantObjectName": Shape(text=token),
    "ParticipantObjectQuery": Shape(text=base64_binary),
    "ParticipantObjectDetail": Shape({"type": token, "value": base64_binary}),
}


def faults(element: ET.Element) -> Iterator[str]:
    """What is not as the schema says, in an element and below."""
    shape = SHAPES.get(element.tag)
    if shape is None:
        yield f"{element.tag} is no element of the schema"
        return
    for name in shape.must.keys() - element.attrib.keys():
        yield f"{element.tag} has no {name}"
    for name, value in element.attrib.items():
        test = (shape.must | shape.may).get(name)
        if test is None or not test(value):
            yield f"{element.tag} has {name}={value!r}"
    names = "".join(f"{child.tag} " for child in element)
    if not re.fullmatch(shape.children, names):
        yield f"{element.tag} has the children {names}"
    if not shape.text(element.text or ""):
        yield f"{element.tag} has the text {element.text!r}"
    for child in element:
        yield from faults(child)
