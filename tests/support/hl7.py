"""HL7 messages of a radiology information system, and a sender that speaks MLLP on a bare socket."""

from __future__ import annotations

import socket
import ssl

VT, FS_CR = b"\x0b", b"\x1c\r"


def orm(
    control: str = "NW",
    *,
    accession: str = "A1",
    step: str = "S1",
    name: str = "Wang^Xiao^^^^^L^A~王^小^^^^^L^I",
    charset: str = "UNICODE UTF-8",
    study: str = "1.2.3.4^Application^DICOM",
    when: str = "20260705101500",
    modality: str = "CT",
    sender: str = "RIS",
    message_id: str = "M1",
) -> str:
    """ORM^O01 of HL7 2.3.1, as IHE RAD-4 has it."""
    timing = f"1^once^^{when}^^S"
    return _message(
        ("MSH", {3: sender, 4: "HOSPITAL", 5: "TONGYING", 6: "REGION", 7: "20260704", 9: "ORM^O01^ORM_O01",
                 10: message_id, 11: "P", 12: "2.3.1", 18: charset}),
        ("PID", {3: "P1^^^HIS", 5: name, 7: "19800203", 8: "M", 11: "Road 1^^Ningbo"}),
        ("PV1", {2: "I", 3: "WARD^101^2", 8: "REF^Li^Lei", 19: "V77"}),
        ("ORC", {1: control, 2: "PL1", 3: "FI1", 7: timing, 12: "REQ^Zhao^Yun", 17: "CARD^心内科", 18: "CT_1"}),
        ("OBR", {1: "1", 2: "PL1", 3: "FI1", 4: "HEAD^头部 \\T\\ 颈部^L^PROT^CT Head^L", 16: "REQ^Zhao^Yun",
                 18: accession, 19: "RP1", 20: step, 24: modality, 27: timing, 31: "^headache"}),
        ("NTE", {1: "1", 3: "not read"}),
        ("ZDS", {1: study}),
    )  # fmt: skip


def omi(control: str = "NW", *, steps: tuple[tuple[str, str], ...] = (("S1", "CT"), ("S2", "MR"))) -> str:
    """OMI^O23 of HL7 2.5, with a step for each (ID, modality)."""
    return _message(
        ("MSH", {3: "RIS", 4: "HOSPITAL", 5: "TONGYING", 6: "REGION", 7: "20260704", 9: "OMI^O23^OMI_O23", 10: "M2",
                 11: "P", 12: "2.5", 18: "UNICODE UTF-8"}),
        ("PID", {3: "P2^^^HIS", 5: "Li^Lei", 7: "19900101", 8: "F"}),
        ("ORC", {1: control, 2: "PL2", 3: "FI2"}),
        ("TQ1", {1: "1", 7: "20260706083000", 9: "S"}),
        ("OBR", {1: "1", 2: "PL2", 3: "FI2", 4: "ABD^Abdomen^L"}),
        *(("IPC", {1: "A2", 2: "RP2", 3: "1.2.3.5", 4: step, 5: kind, 6: "PR1^Protocol^L", 7: "STATION", 8: "ROOM 3",
                   9: f"{kind}_1"}) for step, kind in steps),
    )  # fmt: skip


def adt(
    trigger: str,
    patient_id: str,
    name: str,
    birth: str,
    sex: str,
    *,
    phone: str = "",
    number: str = "",
    merged: str = "",
    sender: str = "HIS",
) -> str:
    """ADT of HL7 2.5: a patient, with a resident number, and with the ID that becomes this one's (A40)."""
    ids = f"{patient_id}^^^HOSPITAL^PI" + (f"~{number}^^^CN^NNCHN" if number else "")
    return _message(
        ("MSH", {3: sender, 4: "HOSPITAL", 5: "TONGYING", 6: "REGION", 7: "20260704", 9: f"ADT^{trigger}", 10: "M3",
                 11: "P", 12: "2.5", 18: "UNICODE UTF-8"}),
        ("EVN", {2: "20260704"}),
        ("PID", {3: ids if patient_id else "", 5: name, 7: birth, 8: sex, 13: phone}),
        *((("MRG", {1: f"{merged}^^^HOSPITAL^PI"}),) if merged else ()),
    )  # fmt: skip


def _message(*segments: tuple[str, dict[int, str]]) -> str:
    """Of segments by name, their fields by number."""
    return "".join(_segment(name, fields) + "\r" for name, fields in segments)


def _segment(name: str, fields: dict[int, str]) -> str:
    words = [fields.get(number, "") for number in range(1, max(fields) + 1)]
    return "|".join([name, "^~\\&", *words[2:]] if name == "MSH" else [name, *words])


class Sender:
    """A connection to the listener."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname="127.0.0.1")

    def __enter__(self) -> Sender:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, message: str | bytes, encoding: str = "utf-8") -> dict[str, list[str]]:
        """Send a message in its frame; the segments of its acknowledgement."""
        raw = message if isinstance(message, bytes) else message.encode(encoding)
        self.socket.sendall(VT + raw + FS_CR)
        return self.receive()

    def receive(self) -> dict[str, list[str]]:
        """The next acknowledgement: segment → fields."""
        data = b""
        while not data.endswith(FS_CR):
            piece = self.socket.recv(1)
            assert piece, f"the connection ended after {data!r}"
            data += piece
        assert data.startswith(VT)
        lines = data[1:-2].decode("utf-8", "replace").rstrip("\r").split("\r")
        return {line[:3]: line.split("|") for line in lines}

    def ended(self) -> bool:
        """Whether the other side closed."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True
