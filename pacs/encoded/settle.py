"""What is decided once a data set has been read: its character set, and whether words are signed."""

from pacs.encoded.charsets import Charset, decode, find_charset
from pacs.encoded.fields import PendingSign, PendingText, unsigned_count
from pacs.encoded.model import Notes
from pacs.encoded.recognise import is_utf8, reads_as_latin, recognise
from pacs.encoded.values import NUMERIC, TEXT

_TERM_CHARS_MAX = 32
_EVIDENCE_MAX = 256  # texts of one instance that are looked at, with the bytes of each
_EVIDENCE_BYTES_MAX = 4 << 10
_LATIN = Charset("latin-1")
_NAMES = {"ascii": "ISO_IR 6", "latin-1": "ISO_IR 100", "utf-8": "ISO_IR 192", "gb18030": "GB18030"}


def settle_signs(pending: list[PendingSign]) -> None:
    """US or SS by Pixel Representation, the nearest one (PS3.3 C.7.6.3.1); unsigned where there is none."""
    for element, raw, tag, scope in pending:
        found = scope.inherited("00280103")
        vr = element["vr"] = "SS" if found and found[0] == 1 else "US"
        values = NUMERIC[vr](raw, scope.order.sign) if len(raw) > 1 else None
        if values:
            element["Value"] = unsigned_count(tag, values)


def settle_texts(pending: list[PendingText], override: str | None, notes: Notes) -> None:
    """Decodes the texts that are not plain ASCII.

    First the character set is decided for all texts under one declaration, then each is decoded, and only
    then split: a backslash may be half a character (GB18030, GBK, Shift JIS).
    """
    groups: dict[tuple[str, ...], list[PendingText]] = {}
    for text in pending:
        groups.setdefault(_terms(text), []).append(text)
    for terms, texts in groups.items():
        if override is None:
            charset, repaired = _decide(terms, texts, notes)
        else:
            charset, repaired = _overridden(terms, override, notes)
        for element, vr, raw, tag, _ in texts:
            characters, understood = decode(raw.rstrip(b" \0"), charset, is_name=vr == "PN")
            if not understood and repaired and reads_as_latin(raw):
                characters = raw.decode("latin-1")  # "30°" of the scanner beside names of the hospital
            elif not understood:
                notes.at("undecoded", tag)
            values = TEXT[vr](characters)
            if values:
                element["Value"] = values


def _terms(text: PendingText) -> tuple[str, ...]:
    declared = text[4].inherited("00080005") or ()
    return tuple(value[:_TERM_CHARS_MAX] if isinstance(value, str) else "" for value in declared)


def _overridden(terms: tuple[str, ...], override: str, notes: Notes) -> tuple[Charset, bool]:
    """What somebody said who knows the device; it is not doubted. Whether it is another than the declared one."""
    charset = find_charset(tuple(override.split("\\"))) or _LATIN
    other = charset != find_charset(terms)
    if other:
        notes.add(f"charset:{_label(terms, find_charset(terms))}->{override} (device)")
    return charset, other


def _decide(terms: tuple[str, ...], texts: list[PendingText], notes: Notes) -> tuple[Charset, bool]:
    """The declared character set, unless it cannot be the one and another can; whether it is another."""
    declared = find_charset(terms)
    evidence = _evidence(texts)
    if not _is_doubtful(declared, evidence):
        return declared or _LATIN, False
    found = recognise(evidence)
    label = _label(terms, declared)
    if found is not None:
        notes.add(f"charset:{label}->{found}")
        return find_charset((found,)) or _LATIN, True
    if declared is None or declared.codec == "ascii":
        notes.add(f"charset:{label}->ISO_IR 100")
        return _LATIN, False
    return declared, False


def _is_doubtful(declared: Charset | None, evidence: list[bytes]) -> bool:
    """Nothing or only Latin-1 was declared, or the bytes do not fit what was."""
    if not any(max(raw) > 0x7F for raw in evidence):
        return False
    if declared is None:
        return True
    if declared.codec == "utf-8":
        return not all(is_utf8(raw) for raw in evidence)
    if declared.codec == "gb18030":
        return all(is_utf8(raw) for raw in evidence) and not all(decode(raw, declared)[1] for raw in evidence)
    single = declared.codec in ("ascii", "latin-1") and not declared.spare
    return single and not any(b"\x1b" in raw for raw in evidence)


def _evidence(texts: list[PendingText]) -> list[bytes]:
    """The standard attributes' texts; private ones only if there are no others, as some hold no text."""
    standard = [raw for _, _, raw, tag, _ in texts if not tag & 0x10000]
    chosen = standard or [raw for _, _, raw, _, _ in texts]
    return [raw[:_EVIDENCE_BYTES_MAX] for raw in chosen[:_EVIDENCE_MAX]]


def _label(terms: tuple[str, ...], declared: Charset | None) -> str:
    if not any(terms):
        return "undeclared"
    return "unknown" if declared is None else _NAMES.get(declared.codec, declared.codec)
