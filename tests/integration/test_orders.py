"""From the order to the modality: an HL7 message to the running server, and DCMTK's findscu finds the step."""

from __future__ import annotations

from pathlib import Path

from tests.integration.test_worklist import STEP, findscu
from tests.support.hl7 import Sender, orm
from tests.support.server import Server, eventually, free_port


def test_from_the_order_to_the_modality(workspace: Path, tmp_path: Path) -> None:
    port = free_port()
    server = Server(
        workspace / "orders", extra={"TONGYING_HL7_PORT": str(port), "TONGYING_HL7_HOST": "127.0.0.1"}
    ).start()
    try:
        with eventually(lambda: connected(port), what="the listener answers") as ris:
            acknowledged = ris.send(orm(name="王^小明", charset="GB 18030-2000"), "gb18030")
            assert acknowledged["MSA"] == ["MSA", "AA", "M1"]
            asked = (f"{STEP}.ScheduledProcedureStepStartDate=20260705", f"{STEP}.ScheduledStationAETitle=CT_1",
                     "PatientName", "StudyInstanceUID", "AccessionNumber=A1")  # fmt: skip
            (answer,) = findscu(server, tmp_path / "first", *asked)[1]
            assert str(answer.PatientName) == "王^小明"
            assert answer.StudyInstanceUID == "1.2.3.4"
            assert ris.send(orm("CA"))["MSA"][1] == "AA"
            assert findscu(server, tmp_path / "second", *asked)[1] == []
    finally:
        server.remove()


def connected(port: int) -> Sender | None:
    try:
        return Sender(port)
    except OSError:
        return None
