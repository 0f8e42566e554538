"""Captions burned into a picture: white with a black outline, so that they are read on bright and on dark."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pacs.pixels.captions import KEYWORDS, Caption, Corner
from pacs.pixels.fonts import UNKNOWN, Font
from pacs.pixels.render import Picture

SIZE_MIN, SIZE_WANTED = 11, 14  # pixels of an em: the least that 汉字 are read in, and of small pictures
SIDE_PER_SIZE = 36  # the shorter side of a large picture over an em: it may be looked at made smaller
COVERED_MAX = 0.75  # of the height, that captions may take of one side
LINE = 1.25  # ems from line to line
ASCENT = 1.0  # ems above the base line, accents of capitals too


@dataclass(frozen=True, slots=True)
class Annotated:
    """A picture with its captions. `left_out`: keywords whose captions do not fit; `replaced`: characters that the font
    has not are question marks."""

    picture: Picture
    left_out: tuple[str, ...] = ()
    replaced: bool = False


@dataclass(frozen=True, slots=True)
class _Placed:
    """A line: where its base line begins, or ends if it is one of the right side."""

    x: float
    y: float
    right: bool
    text: str


def annotate(picture: Picture, captions: list[Caption], font: Font) -> Annotated:
    """What is of one keyword is written whole or not at all: half an identifier is another one."""
    writable = [replace(c, lines=tuple(map(font.writable, c.lines))) for c in captions]
    replaced = any("".join(c.lines).count(UNKNOWN) > "".join(o.lines).count(UNKNOWN)
                   for c, o in zip(writable, captions, strict=True))  # fmt: skip
    keywords = [keyword for keyword in KEYWORDS if any(c.keyword == keyword for c in captions)]
    for count in range(len(keywords), 0, -1):
        wanted = [caption for caption in writable if caption.keyword in keywords[:count]]
        for size in _sizes(min(picture.shape[:2])):
            placed = _lay_out(wanted, size, picture.shape[1], picture.shape[0], font.sized(size))
            if placed is not None:
                return Annotated(_write(picture, placed, size, font), tuple(keywords[count:]), replaced)
    return Annotated(picture, tuple(keywords))


def _sizes(side: int) -> Iterator[int]:
    size = max(SIZE_WANTED, side // SIDE_PER_SIZE)
    while size > SIZE_MIN:
        yield size
        size = int(size * 0.85)
    yield SIZE_MIN


def _outline(size: int) -> int:
    return max(1, round(size / 8))


def _lay_out(
    captions: list[Caption], size: int, width: int, height: int, face: ImageFont.FreeTypeFont
) -> list[_Placed] | None:
    """None where they do not fit."""
    margin = size // 2 + _outline(size)
    corners = {caption.corner for caption in captions}
    found: list[_Placed] = []
    rows = {"left": 0, "right": 0}
    for caption in captions:
        shared = _beside(caption.corner) in corners
        room = (width - 3 * margin) / 2 if shared else width - 2 * margin
        lines = [part for line in caption.lines for part in _wrap(line, room, face)]
        if any(face.getlength(line) > room for line in lines):
            return None
        rows[caption.corner.split()[1]] += len(lines)
        found += _placed(caption.corner, lines, size, width, height, margin)
    fits = max(rows.values()) * LINE * size <= min(height - 2 * margin, COVERED_MAX * height)
    return found if fits else None


def _beside(corner: Corner) -> str:
    row, side = corner.split()
    return f"{row} {'left' if side == 'right' else 'right'}"


def _placed(
    corner: Corner, lines: list[str], size: int, width: int, height: int, margin: int
) -> Iterator[_Placed]:
    row, side = corner.split()
    top = margin if row == "top" else height - margin - len(lines) * LINE * size
    x = margin if side == "left" else width - margin
    for number, line in enumerate(lines):
        yield _Placed(x, top + (number * LINE + ASCENT) * size, side == "right", line)


def _wrap(text: str, room: float, face: ImageFont.FreeTypeFont) -> Iterator[str]:
    """The text in lines that are no longer than `room`, parted between words where that can be."""
    while text and face.getlength(text) > room:
        end = next((n for n in range(len(text) - 1, 1, -1) if face.getlength(text[:n]) <= room), 1)
        space = text.rfind(" ", 1, end + 1)
        cut = space if space > 0 else end
        yield text[:cut].rstrip()
        text = text[cut:].lstrip()
    if text:
        yield text


def _write(picture: Picture, placed: list[_Placed], size: int, font: Font) -> Picture:
    image = Image.fromarray(np.ascontiguousarray(picture))
    draw = ImageDraw.Draw(image)
    white, black = (255, 0) if image.mode == "L" else ((255,) * 3, (0,) * 3)
    for line in placed:
        draw.text((line.x, line.y), line.text, fill=white, font=font.sized(size), anchor="rs" if line.right else "ls",
                  stroke_width=_outline(size), stroke_fill=black)  # fmt: skip
    return np.asarray(image)
