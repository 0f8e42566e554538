"""Which character set undeclared or wrongly declared text is in: UTF-8, GB18030, or after all as declared."""

import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise

_WORD = re.compile(rb"[A-Za-z\x80-\xff]+")
_HAN_RUN = re.compile("[\u3400-\u9fff\uf900-\ufaff]+")
_NO_LETTERS = re.compile(r"[^A-Za-z]")
_LATIN_MAX = "\u017f"
_LATIN_WORD = re.compile("[A-Za-z][À-\u017f]|[À-\u017f][A-Za-z]")
_HAN = re.compile("[\u3400-\u9fff\uf900-\ufaff]")
_ACCENTED = re.compile(rb"[\xc0-\xd6\xd8-\xf6\xf8-\xff]")
_HIGH_RUN = re.compile(rb"[\x80-\xff]+")
_UPPER = frozenset((*range(0x41, 0x5B), *range(0xC0, 0xD7), *range(0xD8, 0xDF), 0x8A, 0x8C, 0x8E, 0x9F))
_LOWER = frozenset((*range(0x61, 0x7B), *range(0xE0, 0xF7), *range(0xF8, 0x100), 0x9A, 0x9C, 0x9E, 0xDF))
_SIGNS = frozenset(b"\x91\x92\x93\x94\x96\x97\xa0\xa1\xa7\xa9\xaa\xab\xae\xb0\xb1\xb2\xb3\xb4\xb5\xb7\xb9"
                   b"\xba\xbb\xbc\xbd\xbe\xbf\xd7\xf7")  # fmt: skip
_LATIN_RUN_MAX = 3


def recognise(texts: Iterable[bytes]) -> str | None:
    """ "ISO_IR 192", "GB18030", or `None` if what is declared (or Latin-1) is as likely.

    `texts`: the value fields with bytes above 0x7F of one instance, taken to be in one character set.
    UTF-8 shows by its form. GB18030 needs a text that cannot be Latin-1 words and reads as Chinese, and no
    text that reads as Latin-1 only: European names stay as they are.
    """
    evidence = list(texts)
    if evidence and all(is_utf8(text) for text in evidence):
        return "GB18030" if all(_is_han_by_chance_utf8(text) for text in evidence) else "ISO_IR 192"
    return "GB18030" if _is_chinese(evidence) else None


def is_utf8(raw: bytes) -> bool:
    """Valid UTF-8; or cut off within its last character, as fixed buffers do, after two of three bytes."""
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        return error.reason == "unexpected end of data" and sum(byte >= 0xE0 for byte in before) >= 2
    return True


def _is_han_by_chance_utf8(raw: bytes) -> bool:
    """Pairs of bytes that are UTF-8 too, but read as common Han, and in UTF-8 as no text ("平扫": "ƽɨ")."""
    text = _gb18030(raw)
    if text is None or max(raw) >= 0xE0:
        return False
    runs = [run[0] for run in _HAN_RUN.finditer(text)]
    common = bool(runs) and all(_level(char) for run in runs for char in run)
    return common and not _is_one_script(raw.decode("utf-8", errors="replace"))


def _is_one_script(text: str) -> bool:
    """Accented letters in Latin words, signs, or some letters of one other alphabet."""
    strange = [char for char in text if char > "\x7f"]
    if all(char <= _LATIN_MAX for char in strange):
        return all(char < "À" for char in strange) or _LATIN_WORD.search(text) is not None
    return len(strange) > 1 and len({ord(char) >> 8 for char in strange}) == 1 and strange[0] >= "\u0370"


def _is_chinese(evidence: list[bytes]) -> bool:
    strong: list[bytes] = []
    for text in evidence:
        han, latin = _reads_as_han(text), reads_as_latin(text)
        if latin and not han and _ACCENTED.search(text):
            return False
        if han and not latin:
            strong.append(text)
    return bool(strong) and _mostly_common(strong)


def _mostly_common(texts: list[bytes]) -> bool:
    """Chinese is mostly of level 1, names less so; other scripts' letters tend to fall into level 2."""
    levels = [_level(char) for text in texts for char in _gb18030(text) or "" if _HAN.match(char)]
    return levels.count(1) * 2 >= levels.count(2)


def _reads_as_han(raw: bytes) -> bool:
    """Decodes, with enough Han of GB 2312 beside rarer ones and ones wedged into Latin words.

    Only rare ones, of GBK, will do where there are bytes 0x80 to 0x9F, which Latin-1 has no characters for.
    """
    text = _gb18030(raw)
    if text is None:
        return False
    common = rare = wedged = 0
    for run in _HAN_RUN.finditer(text):
        if _is_wedged(text, run.start(), run.end()):
            wedged += len(run[0])
            continue
        known = sum(1 for char in run[0] if _level(char))
        common += known
        rare += len(run[0]) - known
    if common and common >= wedged and common * 2 >= rare:
        return True
    return rare > 0 and not wedged and any(0x80 <= byte < 0xA0 for byte in raw)


def _is_wedged(text: str, start: int, stop: int) -> bool:
    """A single character beside a small Latin letter, or several between letters, one of them small."""
    sides = _sides(text, start, stop)
    return any(side.islower() for side in sides) and (stop - start == 1 or len(sides) == 2)


def _sides(text: str, start: int, stop: int) -> str:
    """The ASCII letters on either side."""
    return _NO_LETTERS.sub("", text[max(0, start - 1) : start] + text[stop : stop + 1])


def _gb18030(raw: bytes) -> str | None:
    try:
        return raw.decode("gb18030")
    except UnicodeDecodeError as error:
        if error.reason != "incomplete multibyte sequence" or error.start < len(raw) - 3:
            return None
        return raw[: error.start].decode("gb18030")


@lru_cache(maxsize=8_192)
def _level(char: str) -> int:
    """Level of a Han character in GB 2312: 1 common, 2 less so, 0 not in it."""
    try:
        lead = char.encode("gb2312")[0]
    except UnicodeEncodeError:
        return 0
    return 1 if lead <= 0xD7 else 2


def reads_as_latin(raw: bytes) -> bool:
    """Whether all words with high bytes could be ones of a European language in Latin-1."""
    return all(word.isascii() or _is_latin_word(word) for word in _WORD.findall(raw))


def _is_latin_word(word: bytes) -> bool:
    for run in _HIGH_RUN.findall(word):
        if len(run) == 1 and run[0] in _SIGNS:
            continue
        if len(run) > _LATIN_RUN_MAX or not all(byte in _UPPER or byte in _LOWER for byte in run):
            return False
        if len(run) > 1 and len(run) == len(word):
            return False
    return not any(_is_odd_case(a, b) for a, b in pairwise(word))


def _is_odd_case(first: int, second: int) -> bool:
    """A capital after a small letter, one of them accented; ß stands among capitals too."""
    return first in _LOWER and second in _UPPER and max(first, second) > 0x7F and first != 0xDF
