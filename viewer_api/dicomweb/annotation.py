"""`annotation` of rendered resources (PS3.18 8.3.5.1.1): who the patient is and how the image was made, burned in."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import QueryParams

from pacs.errors import BadQuery
from pacs.pixels.annotate import annotate
from pacs.pixels.captions import KEYWORDS, captions
from pacs.pixels.fonts import find_font
from pacs.pixels.window import Window

PARAMETER = "annotation"
_VALUE = "[A-Za-z0-9_-]{1,32}"  # what could be a keyword
PATTERN = f"^{_VALUE}(,{_VALUE}){{0,7}}$"


def annotation(given: QueryParams) -> tuple[str, ...]:
    """The values, also those that we have not; raises BadQuery where one cannot be a keyword, or there are none."""
    if PARAMETER not in given:
        return ()
    text = ",".join(given.getlist(PARAMETER))
    if not re.fullmatch(PATTERN, text):
        raise BadQuery(f"annotation is {' or '.join(KEYWORDS)}, or both parted by a comma")
    return tuple(text.split(","))


@dataclass(slots=True)
class Pen:
    """Writes on the pictures of one instance what its attributes say; `font`: its file, empty for our own."""

    attributes: Any
    values: tuple[str, ...]
    window: Window | None
    font: str
    _warned: dict[str, None] = field(default_factory=dict)

    def write(self, picture: Any, index: int) -> Any:
        """The picture of the frame (from 0), written on as far as that can be."""
        keywords = frozenset(self.values) & frozenset(KEYWORDS)
        if not keywords:
            return picture
        font = find_font(self.font)
        if font is None:
            self._warned["there is no font here to annotate with"] = None
            return picture
        done = annotate(picture, captions(self.attributes, index, keywords, self.window), font)
        if done.left_out:
            self._warned[f"the picture is too small to annotate with {' and '.join(done.left_out)}"] = None
        if done.replaced:
            self._warned["characters that the font has not are written as ?"] = None
        return done.picture

    @property
    def warnings(self) -> list[str]:
        """What was asked and is not written."""
        others = ",".join(dict.fromkeys(value for value in self.values if value not in KEYWORDS))
        unsupported = [f"The following annotation values are not supported: {others}"] if others else []
        return [*unsupported, *self._warned]
