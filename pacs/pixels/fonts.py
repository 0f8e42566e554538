"""The font in which pictures are written on: Noto Sans CJK, of which one package carries the file. Latin with accents,
Cyrillic, Greek, 汉字 (those of GB 18030 too), kana and Hangul; neither Arabic nor Hebrew nor Thai."""

from __future__ import annotations

import importlib.util
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import ImageFont

PACKAGE, FILE = "noto_cjk_sans_otc", "NotoSansCJK-Regular.ttc"
DEBIAN = Path("/usr/share/fonts/opentype/noto") / FILE  # of fonts-noto-cjk: the same bytes
SIMPLIFIED_CHINESE = 2  # which of the ten faces of that file has the shapes of mainland China
UNKNOWN = "?"  # instead of a character that the font has not: a box would be taken for a character
_NO_CHARACTER = "\uffff"  # for which every font draws what it draws for those it has not
_PROBE_PIXELS = 16


@dataclass(frozen=True, slots=True)
class Font:
    """A face of a font file."""

    path: str
    face: int = 0

    def sized(self, pixels: int) -> ImageFont.FreeTypeFont:
        """The face with an em of so many pixels."""
        return _sized(self, pixels)

    def writable(self, text: str) -> str:
        """The text as it can be written on one line, composed, with UNKNOWN for what the font has not."""
        composed = unicodedata.normalize("NFC", text)
        return "".join(c if _has(self, c) else UNKNOWN for c in composed if not _is_invisible(c))


def find_font(path: str = "") -> Font | None:
    """The font of this file, or if none is named the one that the package carries or Debian does; None where there is
    none that can be read."""
    for font in [Font(path)] if path else _own():
        try:
            font.sized(_PROBE_PIXELS)
        except (OSError, ValueError):
            continue
        return font
    return None


def _own() -> list[Font]:
    package = importlib.util.find_spec(PACKAGE)
    carried = (
        [Path(folder) / FILE for folder in (package.submodule_search_locations or ())] if package else []
    )
    return [Font(str(file), SIMPLIFIED_CHINESE) for file in (*carried, DEBIAN)]


@lru_cache(maxsize=32)
def _sized(font: Font, pixels: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(font.path, pixels, font.face, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=8192)
def _has(font: Font, character: str) -> bool:
    return character.isspace() or _drawn(font, character) != _drawn(font, _NO_CHARACTER)


def _drawn(font: Font, character: str) -> tuple[tuple[int, int], bytes]:
    mask = font.sized(_PROBE_PIXELS).getmask(character)
    return mask.size, bytes(mask)


def _is_invisible(character: str) -> bool:
    """Controls, formats and variation selectors, which have no width of their own."""
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Mn", "Me")
