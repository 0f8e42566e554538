"""Person names for people to search: Latin, 汉字, pinyin and initials (PS3.5 6.2.1, VR PN)."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

PREFIX_CHARACTERS_MAX = 10  # a word of a name is found by its first letters up to this many
TOKENS_MAX = 400  # of one name
_WORD = re.compile(r"[^\W_]+")


GROUPS = ("Alphabetic", "Ideographic", "Phonetic")  # of components, as DICOM JSON and XML name them


def pn_text(value: object) -> str:
    """A PN value of DICOM JSON (PS3.18 F.2.2) as DICOM writes it: groups parted by `=`, none at the end."""
    if not isinstance(value, dict):
        return "" if value is None else str(value)
    groups = [str(value.get(group, "")) for group in GROUPS]
    return "=".join(groups).rstrip("=")


def pn_json(text: str) -> dict[str, str]:
    """The reverse of `pn_text`."""
    return {name: group for name, group in zip(GROUPS, text.split("="), strict=False) if group}


def fold(text: str) -> str:
    """Case and accents taken away, so that `Müller`, `MULLER` and `muller` are one."""
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(c for c in decomposed if not unicodedata.combining(c)).casefold()


@lru_cache(maxsize=4096)
def name_tokens(pn: str) -> tuple[str, ...]:
    """What a name can be found by, each a word to compare whole.

    Every word and its prefixes, and all words of a component group joined, as people type them; Han names also by
    each run of characters, by pinyin (parted and joined) and by initials.
    """
    tokens: dict[str, None] = {}
    for group in pn.split("="):
        words = _WORD.findall(fold(group.replace("^", " ")))
        joined = ["".join(words)] if len(words) > 1 else []
        for run in (run for word in [*words, *joined] for run in _runs(word)):
            if is_han(run[0]):
                _add_han(run, tokens)
            else:
                _add_prefixes(run, tokens)
    return tuple(list(tokens)[:TOKENS_MAX])


def query_tokens(text: str) -> list[str]:
    """What somebody typed, as tokens that must all be there."""
    tokens = []
    for word in _WORD.findall(fold(text.replace("^", " ").replace("=", " "))):
        tokens += [run[:PREFIX_CHARACTERS_MAX] for run in _runs(word)]
    return tokens


def sure_tokens(pattern: str) -> list[str]:
    """Those of a pattern's words whose beginning is known: that do not follow a wildcard."""
    beginnings = (
        word.split("*")[0].split("?")[0] for word in pattern.replace("=", "^").replace("^", " ").split()
    )
    return query_tokens(" ".join(b for b in beginnings if b))


def are_telling(tokens: list[str]) -> bool:
    """Whether few have such a name: a syllable alone, or a family name in letters, is that of every tenth."""
    return len(tokens) > 1 or any(len(token) > 1 and is_han(token[0]) for token in tokens)


def _runs(word: str) -> list[str]:
    """Parts of a word, each all Han or all not."""
    return re.findall(r"[\u3400-\u9fff\U00020000-\U0003ffff]+|[^\u3400-\u9fff\U00020000-\U0003ffff]+", word)


def is_han(character: str) -> bool:
    return "\u3400" <= character <= "\u9fff" or "\U00020000" <= character <= "\U0003ffff"


def _add_prefixes(word: str, tokens: dict[str, None]) -> None:
    for length in range(1, min(len(word), PREFIX_CHARACTERS_MAX) + 1):
        tokens[word[:length]] = None


def _add_han(run: str, tokens: dict[str, None]) -> None:
    for start in range(len(run)):
        for end in range(start + 1, min(len(run), start + PREFIX_CHARACTERS_MAX) + 1):
            tokens[run[start:end]] = None
    from pypinyin import (  # here: its phrases take 60 MB, which who writes no names is spared
        Style,
        lazy_pinyin,
    )

    syllables = [fold(s) for s in lazy_pinyin(run, style=Style.NORMAL, errors="ignore")]
    for syllable in syllables:
        _add_prefixes(syllable, tokens)
    _add_prefixes("".join(syllables), tokens)
    _add_prefixes("".join(s[0] for s in syllables if s), tokens)
