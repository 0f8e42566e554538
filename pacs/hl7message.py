"""HL7 v2 messages as bytes: their character set, their fields as text, and the acknowledgement (HL7 v2.5 chapter 2).

The library `hl7` splits messages. The bytes are decoded before, because a byte of a GB18030 character may look like a
delimiter; why escapes and acknowledgements are ours is told in docs/decisions/0009-hl7.md.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import hl7

from pacs.encoded.recognise import is_utf8, recognise
from pacs.errors import TongyingError

CHARACTERS_MAX = 128 * 1024  # of the segments that are read; the library splits them in about a second
READ = ("MSH", "PID", "MRG", "PV1", "ORC", "TQ1", "OBR", "IPC", "ZDS")
# MSH-18 (table 0211) by its letters and digits. UTF-16 cannot be framed by MLLP.
_CODECS = {
    "UNICODEUTF8": "utf-8", "UNICODE": "utf-8", "UTF8": "utf-8", "GB180302000": "gb18030", "GB18030": "gb18030",
    "GBK": "gb18030", "GB2312": "gb18030", "BIG5": "big5", "KSX1001": "euc_kr", "88591": "latin-1",
    "88592": "iso8859-2", "88595": "iso8859-5", "88599": "iso8859-9", "885915": "iso8859-15", "ASCII": "ascii",
    "": "ascii",
}  # fmt: skip
_GUESSED = frozenset({"ascii", "latin-1"})  # what systems declare, or not, and then send what they have
_CONTROL = re.compile(r"[\x00-\x1f\x7f\\]+")
_ERRORS = {100: "Segment sequence error", 101: "Required field missing", 102: "Data type error",
           103: "Table value not found", 200: "Unsupported message type", 204: "Unknown key identifier",
           207: "Application internal error"}  # fmt: skip


class OrderError(TongyingError):
    """Why a message is not taken: AE (its content) or AR (its kind, or us), a code of table 0357, where, and in
    words without patient data."""

    def __init__(self, ack: str, code: int, location: str, reason: str) -> None:
        super().__init__(reason)
        self.ack, self.code, self.location = ack, code, location


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment; `fields` as the library split them."""

    name: str
    fields: Any
    codec: str = "ascii"  # of bytes in escape sequences

    def text(self, number: int, component: int = 1, repetition: int = 0) -> str:
        """A field's component, its first subcomponent; empty where there is none, or HL7's null ("")."""
        node = _at(_at(_at(_at(self.fields, number), repetition), component - 1), 0)
        if node in ("", '""'):
            return ""
        return _CONTROL.sub(" ", self._unescaped(str(node))).strip()

    def _unescaped(self, text: str) -> str:
        """Without escape sequences (2.7): those for delimiters and bytes replaced, formatting and the rest left out."""
        esc, separators = str(self.fields.esc), str(self.fields.separators)
        if esc not in text:
            return text
        known = dict(zip("FRSTE", (*separators[1:5], esc), strict=True))

        def replaced(found: re.Match[str]) -> str:
            code = found[1]
            if re.fullmatch("X(?:[0-9A-Fa-f]{2})+", code):
                return bytes.fromhex(code[1:]).decode(self.codec, "replace")
            return str(known.get(code, " " if code.startswith(".") else ""))

        return re.sub(f"{re.escape(esc)}([^{re.escape(esc)}]*){re.escape(esc)}", replaced, text)

    def repetitions(self, number: int) -> int:
        """How often a field stands there."""
        node = _at(self.fields, number)
        return 1 if isinstance(node, str) else len(node)


@dataclass(frozen=True, slots=True)
class OrderMessage:
    """A message that was split: its header's words and the segments that we read."""

    application: str
    facility: str
    kind: str
    codec: str
    segments: list[Segment]

    def acknowledge(self, error: OrderError | None = None) -> bytes:
        """The ACK: AA, or AE or AR with its reason (2.14.5)."""
        header = self.segments[0]
        names = ["TONGYING", header.text(6), header.text(3), header.text(4)]
        trigger = header.text(9, 2)
        kind = f"ACK^{hl7_text(trigger)}^ACK" if trigger else "ACK"
        return _ack(
            [*map(hl7_text, names), kind, *(hl7_text(header.text(n)) for n in (11, 12, 18, 10))], error
        ).encode(self.codec, "replace")


def read_message(raw: bytes) -> OrderMessage:
    """Split a message; raises OrderError for what is none."""
    header = re.split(rb"[\r\n]", raw[:4096], maxsplit=1)[0]
    if not header.startswith(b"MSH") or len(header) < 9:
        raise OrderError("AR", 100, "MSH^1", "the message does not begin with MSH")
    codec = _codec(raw, header)
    try:
        text = raw.decode(codec)
    except UnicodeDecodeError:
        raise OrderError("AE", 102, "MSH^1^18", f"the message is not in the character set {codec}") from None
    return _split(text.replace("\r\n", "\r").replace("\n", "\r"), codec)


def refuse(error: OrderError) -> bytes:
    """An ACK for what could not be read."""
    return _ack(["TONGYING", "", "", "", "ACK", "P", "2.5", "", ""], error).encode("ascii", "replace")


def _ack(fields: list[str], error: OrderError | None) -> str:
    """Of sender and receiver (each application and facility), kind, processing ID, version, character set, and the
    message that is answered. The reason stands in ERR, and in MSA-3 too, for those before 2.5."""
    *names, kind, processing, version, charset, answered = fields
    now = datetime.now(UTC).strftime("%Y%m%d%H%M%S+0000")
    own = uuid.uuid4().hex[:20].upper()
    header = ["MSH", "^~\\&", *names, now, "", kind, own, processing or "P", version or "2.5"]
    header += [*[""] * 5, charset]
    if error is None:
        return "\r".join(("|".join(header).rstrip("|"), f"MSA|AA|{answered}", ""))
    said = hl7_text(str(error))
    what = f"{error.code}^{_ERRORS[error.code]}^HL70357"
    lines = [f"MSA|{error.ack}|{answered}|{said}", f"ERR||{error.location}|{what}|E||||{said}", ""]
    return "\r".join(("|".join(header).rstrip("|"), *lines))


def hl7_text(text: str) -> str:
    """Text without delimiters."""
    return re.sub(r"[|^~\\&\r\n]", " ", text)[:200]


def _split(text: str, codec: str) -> OrderMessage:
    lines = [line for line in text.split("\r") if line.startswith(READ)]
    if sum(map(len, lines)) > CHARACTERS_MAX:
        raise OrderError(
            "AE", 207, "MSH^1", f"the segments of orders have at most {CHARACTERS_MAX} characters"
        )
    if sum(line.startswith("MSH") for line in lines) > 1:
        raise OrderError("AR", 100, "MSH^2", "a block holds one message")
    delimiters = lines[0][3:8]
    if len(set(delimiters)) < 5 or any(d.isalnum() or d.isspace() for d in delimiters):
        raise OrderError("AR", 100, "MSH^1^2", "MSH-1 and MSH-2 do not name five delimiters")
    try:
        parsed = hl7.parse("\r".join(lines))
    except (hl7.HL7Exception, IndexError, KeyError, ValueError):
        raise OrderError("AR", 100, "MSH^1", "the message cannot be split into fields") from None
    segments = [Segment(str(s[0]), s, codec) for s in parsed]
    header = segments[0]
    kind = f"{header.text(9)}^{header.text(9, 2)}"
    return OrderMessage(header.text(3), header.text(4), kind, codec, segments)


def _codec(raw: bytes, header: bytes) -> str:
    """What MSH-18 says; what is undeclared or declared as ASCII or Latin-1 is looked at."""
    fields = header.split(header[3:4])
    declared = fields[17].split(b"~")[0].decode("latin-1") if len(fields) > 17 else ""
    codec = _CODECS.get(re.sub(r"[^A-Z0-9]", "", declared.upper()))
    if codec is None:
        raise OrderError("AE", 103, "MSH^1^18", "the character set is not known here")
    if codec not in _GUESSED or raw.isascii():
        return codec
    lines = [line for line in re.split(rb"[\r\n]+", raw) if not line.isascii()]
    if all(is_utf8(line) for line in lines):
        return "utf-8"
    return "gb18030" if recognise(lines) == "GB18030" else "latin-1"


def _at(node: Any, index: int) -> Any:
    """A part of a field; the library leaves out levels that a field does not use."""
    if isinstance(node, str):
        return node if index == 0 else ""
    return node[index] if index < len(node) else ""
