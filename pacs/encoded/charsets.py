"""Specific Character Set (PS3.3 C.12.1.1.2, PS3.5 6.1.2): from encoded text to characters, and back."""

import re
from dataclasses import dataclass
from functools import lru_cache

# By the letters and digits of the defined term, since modalities write "ISO-IR 100", "UTF-8" and the like.
_SINGLE_BYTE = {
    "100": "latin-1", "101": "iso8859-2", "109": "iso8859-3", "110": "iso8859-4", "126": "iso8859-7",
    "127": "iso8859-6", "138": "iso8859-8", "144": "iso8859-5", "148": "iso8859-9", "166": "tis-620",
    "203": "iso8859-15", "13": "jisx0201",
}  # fmt: skip
_MULTI_BYTE = {"149": "euc-kr", "58": "gb2312"}
_WHOLE = {
    "ISOIR192": "utf-8", "UTF8": "utf-8", "ISO2022IR192": "utf-8", "GB18030": "gb18030", "GBK": "gb18030",
    "ISO2022GBK": "gb18030", "GB2312": "gb18030", "CP936": "gb18030", "ISOIR58": "gb18030",
    "ISO2022GB18030": "gb18030",
}  # fmt: skip
_PLAIN = "ascii"

# Escape sequence → designated set: G0 of several bytes by its own codec, G1 (high bytes) by a codec of both.
_TO_G0 = {b"(B": "", b"(J": "", b"$B": "iso2022_jp", b"$@": "iso2022_jp", b"$(D": "iso2022_jp_2"}
_TO_G1 = {
    b"-A": "latin-1", b"-B": "iso8859-2", b"-C": "iso8859-3", b"-D": "iso8859-4", b"-F": "iso8859-7",
    b"-G": "iso8859-6", b"-H": "iso8859-8", b"-L": "iso8859-5", b"-M": "iso8859-9", b"-T": "tis-620",
    b"-b": "iso8859-15", b")I": "jisx0201", b"$)C": "euc-kr", b"$)A": "gb2312",
}  # fmt: skip
_ESCAPE = re.compile(rb"\x1b(\$[()][A-Z]|\$[@AB]|[()-][A-Za-z])")
_HIGH = re.compile(rb"([\x80-\xff]+)")
# PS3.5 6.1.2.5.3: these end what escape sequences have designated.
_RESET = re.compile(rb"[\t\n\f\r\\]")
_RESET_IN_NAMES = re.compile(rb"[\t\n\f\r\\^=]")
_KATAKANA = {code: 0xFF61 + code - 0xA1 for code in range(0xA1, 0xE0)}


@dataclass(frozen=True, slots=True)
class Charset:
    """How to decode text.

    codec: of the first value; "ascii" for the default repertoire.
    spare: for high bytes that nothing designated, but a later value (ISO 2022 IR 149) explains.
    extended: escape sequences are to be followed.
    """

    codec: str
    spare: str = ""
    extended: bool = True


DEFAULT_CHARSET = Charset(_PLAIN)


def _letters(term: str) -> str:
    return re.sub(r"[^A-Z0-9]", "", term.upper())


def _codec(term: str) -> str | None:
    """The codec of one defined term, `None` for one that is not known."""
    letters = _letters(term)
    if letters in _WHOLE:
        return _WHOLE[letters]
    number = letters.removeprefix("ISO").removeprefix("2022").removeprefix("IR")
    if number in ("", "6", "87", "159"):
        return _PLAIN
    return _SINGLE_BYTE.get(number) or _MULTI_BYTE.get(number)


@lru_cache(maxsize=256)
def find_charset(terms: tuple[str, ...]) -> Charset | None:
    """The decoder of the values of Specific Character Set; `None` if the first is unknown."""
    codecs = [_codec(term) for term in terms] or [_PLAIN]
    first = codecs[0]
    if first is None:
        return None
    spare = next((codec for codec in codecs[1:] if codec not in (None, _PLAIN)), None) or ""
    if spare in ("utf-8", "gb18030") and first == _PLAIN:
        return Charset(spare, extended=False)  # "\\GB18030": meant as the one character set
    return Charset(first, spare, extended=first not in ("utf-8", "gb18030"))


def decode(raw: bytes, charset: Charset, *, is_name: bool = False) -> tuple[str, bool]:
    """The characters, and whether all bytes were understood; the others become U+FFFD.

    `is_name`: VR PN, in which "^" and "=" also end a designation.
    """
    if charset.extended and (b"\x1b" in raw or charset.codec in (_PLAIN, "euc-kr", "gb2312")):
        return _decode_extended(raw, charset, _RESET_IN_NAMES if is_name else _RESET)
    return _decode(raw, charset.codec)


def _decode(raw: bytes, codec: str) -> tuple[str, bool]:
    if codec == "jisx0201":
        return _decode_jisx0201(raw)
    try:
        return raw.decode(codec), True
    except UnicodeDecodeError:
        return raw.decode("gb18030" if codec == "gb2312" else codec, errors="replace"), False


def _decode_jisx0201(raw: bytes) -> tuple[str, bool]:
    """Half-width katakana; bytes outside of it are Shift JIS, which passes for ISO_IR 13 in the field."""
    if all(byte < 0x80 or byte in _KATAKANA for byte in raw):
        return raw.decode("latin-1").translate(_KATAKANA), True
    return _decode(raw, "shift_jis")


def _decode_extended(raw: bytes, charset: Charset, reset: re.Pattern[bytes]) -> tuple[str, bool]:
    """ISO 2022: each piece between escape sequences by what is designated then (PS3.5 6.1.2.5)."""
    decoder = _Extended(charset, reset)
    pieces = _ESCAPE.split(raw)
    decoder.piece(pieces[0])
    for escape, piece in zip(pieces[1::2], pieces[2::2], strict=True):
        decoder.designate(escape)
        decoder.piece(piece)
    return "".join(decoder.out), decoder.understood


class _Extended:
    """The designations in force, and the text so far."""

    def __init__(self, charset: Charset, reset: re.Pattern[bytes]) -> None:
        self.charset = charset
        self.reset = reset
        self.g0 = ""
        self.g1 = charset.codec
        self.spare = charset.spare
        self.out: list[str] = []
        self.understood = True

    def designate(self, escape: bytes) -> None:
        if escape in _TO_G0:
            self.g0 = _TO_G0[escape]
        elif escape in _TO_G1:
            self.g1 = self.spare = _TO_G1[escape]
        else:
            self.understood = False

    def piece(self, raw: bytes) -> None:
        if self.g0:
            for index, run in enumerate(_HIGH.split(raw)):
                self._emit(_designated(run, self.g0) if index % 2 == 0 else self._high(run, self.g1))
            return
        found = self.reset.search(raw)
        stop = found.start() if found else len(raw)
        self._emit(self._high(raw[:stop], self.g1))
        if found:
            self.g1 = self.charset.codec
            self._emit(self._high(raw[stop:], self.g1))

    def _high(self, raw: bytes, codec: str) -> tuple[str, bool]:
        if codec != _PLAIN or raw.isascii():
            return _decode(raw, codec)
        # Not designated (again after a delimiter), as many writers forget: by what was, or is declared.
        return _decode(raw, self.spare) if self.spare else (raw.decode("latin-1"), False)

    def _emit(self, decoded: tuple[str, bool]) -> None:
        self.out.append(decoded[0])
        self.understood &= decoded[1]


def _designated(raw: bytes, codec: str) -> tuple[str, bool]:
    """A run of 7-bit bytes under a JIS set of two bytes; Python's codecs want its escape sequence."""
    escape = b"\x1b$B" if codec == "iso2022_jp" else b"\x1b$(D"
    return _decode(escape + raw, codec) if raw else ("", True)


def encode(text: str, terms: tuple[str, ...], *, is_name: bool = False) -> bytes:
    """The bytes of a text under these values of Specific Character Set; raises UnicodeEncodeError where it cannot be
    written without loss. Code extensions are set anew after each delimiter (PS3.5 6.1.2.5.3)."""
    if text.isascii():
        return text.encode("ascii")
    charset = find_charset(terms)
    if charset is None:
        raise UnicodeEncodeError("ascii", text, 0, len(text), "an unknown character set")
    if not charset.extended or (
        len(terms) == 1 and charset.codec not in (_PLAIN, "jisx0201", "euc-kr", "gb2312")
    ):
        return text.encode(charset.codec)
    delimiters = _DELIMITERS_IN_NAMES if is_name else _DELIMITERS
    written = b"".join(_with_escapes(piece, terms) for piece in delimiters.split(text))
    if decode(written, charset, is_name=is_name) != (text, True):
        raise UnicodeEncodeError("ascii", text, 0, len(text), "not in the character sets")
    return written


_DELIMITERS = re.compile("([\t\n\f\r\\\\])")
_DELIMITERS_IN_NAMES = re.compile("([\t\n\f\r\\\\^=])")


def _with_escapes(piece: str, terms: tuple[str, ...]) -> bytes:
    """A piece between delimiters, all in the first of the sets that has its characters; raises UnicodeEncodeError."""
    if piece.isascii():
        return piece.encode("ascii")
    for place, term in enumerate(terms):
        codec = _jis_codec(term) or _codec(term) or _PLAIN
        try:
            raw = _half_width(piece) if codec == "jisx0201" else piece.encode(codec)
        except UnicodeEncodeError:
            continue
        if codec.startswith(
            "iso2022"
        ):  # it designates, and goes back to ASCII or, where G0 began so, to ISO-IR 14
            return raw[:-1] + b"J" if _codec(terms[0]) == "jisx0201" else raw
        return (_ESCAPES[codec] if place else b"") + raw
    raise UnicodeEncodeError("ascii", piece, 0, len(piece), "not in one of the character sets")


def _jis_codec(term: str) -> str:
    return {"87": "iso2022_jp", "159": "iso2022_jp_2"}.get(_letters(term).rpartition("IR")[2], "")


def _half_width(piece: str) -> bytes:
    """ISO-IR 13: half-width katakana."""
    raw = piece.translate(_HALF_WIDTH).encode("latin-1")
    if not all(byte < 0x80 or byte in _KATAKANA for byte in raw):
        raise UnicodeEncodeError("jisx0201", piece, 0, len(piece), "not half-width katakana")
    return raw


_HALF_WIDTH = {character: code for code, character in _KATAKANA.items()}
_ESCAPES = {codec: b"\x1b" + sequence for sequence, codec in _TO_G1.items()}
