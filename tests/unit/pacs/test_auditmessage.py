"""DICOM audit messages and their syslog framing (PS3.15 A.5, A.6; RFC 5424, RFC 5425)."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from itertools import product
from xml.etree import ElementTree as ET

import pytest

from pacs.audit import Action, Entry, Outcome, Service, Subject
from pacs.auditmessage import audit_message, syslog_message
from tests.support.auditschema import faults


def entry(action: Action = Action.VIEW, outcome: Outcome = Outcome.SUCCESS, **told: object) -> Entry:
    given: dict[str, object] = {
        "who": "dr.wang", "role": "clinician", "facility": "A", "address": "10.1.2.3", "ae_title": "WS<1>",
        "asked": "GET /dicom-web/studies?PatientID=王\x01&x", "studies": ("1.2.3", "1.2.4"),
        "subjects": (Subject("A", "ISS", "P1"), Subject("B")),
    }  # fmt: skip
    return Entry.of(None, service=Service.API, action=action, outcome=outcome, **given | told)


def cases() -> Iterator[Entry]:
    for action, outcome in product(Action, Outcome):
        yield entry(action, outcome)
        yield entry(action, outcome, who="", ae_title="", address="", studies=(), subjects=())


@pytest.mark.parametrize("one", list(cases()), ids=lambda e: f"{e.action}-{e.outcome}-{len(e.studies)}")
def test_each_fits_the_schema(one: Entry) -> None:
    assert list(faults(ET.fromstring(audit_message(7, bytes(32), one, "TONGYING")))) == []


def test_the_schema_finds_faults() -> None:
    good = audit_message(7, bytes(32), entry(), "TONGYING")
    for before, after in (
        ('EventOutcomeIndicator="0"', 'EventOutcomeIndicator="1"'),
        ('UserIsRequestor="true"', ""),
        ("EventID ", "EventTypeCode "),
        (
            "<ParticipantObjectName>",
            "<ParticipantObjectName>\n</ParticipantObjectName><ParticipantObjectName>",
        ),
    ):
        assert before in good
        assert list(faults(ET.fromstring(good.replace(before, after, 1)
                    if "EventID" not in before else good.replace("EventID", "EventTypeCode"))))  # fmt: skip


def test_what_is_told() -> None:
    message = ET.fromstring(audit_message(7, b"h" * 32, entry(), "TONGYING"))
    event = message.find("EventIdentification/EventID")
    assert event is not None
    assert (event.get("csd-code"), event.get("codeSystemName")) == ("110103", "DCM")
    who, us = message.findall("ActiveParticipant")
    assert (who.get("UserID"), who.get("NetworkAccessPointID"), us.get("UserID")) == (
        "dr.wang",
        "10.1.2.3",
        "TONGYING",
    )
    objects = {
        o.get("ParticipantObjectID"): o.get("ParticipantObjectTypeCode")
        for o in message.iter("ParticipantObjectIdentification")
    }
    assert objects == {"1.2.3": "2", "1.2.4": "2", "P1^^^A/ISS": "1", "audit:7": "2"}
    query = ET.fromstring(audit_message(7, bytes(32), entry(Action.QUERY), "TONGYING")).find(
        ".//ParticipantObjectQuery"
    )
    assert query is not None
    assert b"PatientID=" in base64.b64decode(query.text or "")


def test_framing() -> None:
    one = entry(Action.ALERT, Outcome.FAILED)
    xml = audit_message(7, bytes(32), one, "TONGYING")
    framed = syslog_message(xml, one, "host", "42")
    length, _, said = framed.partition(b" ")
    assert int(length) == len(said), "in bytes (RFC 5425 4.3)"
    head, _, body = said.decode().partition("\ufeff")
    assert body == xml
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"
    assert re.fullmatch(rf"<84>1 {stamp} host tongying 42 DICOM\+RFC3881 - ", head)
    assert syslog_message(xml, entry(), "", "").partition(b" ")[2].startswith(b"<85>1 ")
