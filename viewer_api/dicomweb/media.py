"""Media types and their negotiation (PS3.18 8.7)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from fastapi import Request

from pacs.errors import NotAcceptable

ACCEPT_CHARACTERS_MAX = 4096
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"


@dataclass(frozen=True, slots=True)
class MediaRange:
    """One entry of an Accept header, its `type` parameter and transfer syntax told apart."""

    media_type: str
    quality: float
    parameters: dict[str, str] = field(default_factory=dict)

    @property
    def part_type(self) -> str:
        """For multipart/related: the type of its parts; else the type itself."""
        return self.parameters.get("type", "*/*") if self.is_multipart else self.media_type

    @property
    def is_multipart(self) -> bool:
        return self.media_type == "multipart/related"

    @property
    def transfer_syntax(self) -> str | None:
        return self.parameters.get("transfer-syntax")


def accept_of(request: Request) -> str:
    """The `accept` parameter goes before the header (PS3.18 8.3.3.1)."""
    return request.query_params.get("accept") or request.headers.get("accept", "")


def warned(texts: Iterable[str]) -> dict[str, str]:
    """Header fields that say these things; none where there is nothing to say. The texts have no quotes."""
    said = ", ".join(f'299 tongying "{text}"' for text in texts)
    return {"Warning": said} if said else {}


def parse_accept(header: str) -> list[MediaRange]:
    """The ranges, best first; an empty header accepts everything."""
    if len(header) > ACCEPT_CHARACTERS_MAX:
        raise NotAcceptable("the Accept header is too long")
    ranges = [_range(part) for part in _split(header, ",") if part.strip()]
    ranges = [r for r in ranges if r.quality > 0] or ([] if ranges else [MediaRange("*/*", 1.0)])
    return sorted(ranges, key=lambda r: -r.quality)


def content_type(header: str) -> MediaRange:
    """A Content-Type, told apart as a range is."""
    return _range(header[:ACCEPT_CHARACTERS_MAX])


def _range(text: str) -> MediaRange:
    media_type, *rest = (p.strip() for p in _split(text, ";"))
    parameters = {}
    for part in rest:
        name, _, value = part.partition("=")
        parameters[name.strip().lower()] = value.strip().strip('"')
    try:
        quality = float(parameters.pop("q", "1"))
    except ValueError:
        quality = 1.0
    kind = parameters.get("type", "").lower()
    if kind:
        parameters["type"] = kind
    return MediaRange(media_type.lower(), quality, parameters)


def _split(text: str, separator: str) -> list[str]:
    """Split, but not within quotes."""
    parts, current, quoted = [], "", False
    for character in text:
        quoted ^= character == '"'
        if character == separator and not quoted:
            parts.append(current)
            current = ""
        else:
            current += character
    return [*parts, current]


def accepts(media_range: MediaRange, offered: str) -> bool:
    """Whether a part type is within what a range takes."""
    wanted = media_range.part_type
    return wanted in ("*/*", offered) or (wanted.endswith("/*") and offered.startswith(wanted[:-1]))


def choose(header: str, offered: list[str], *, multipart: bool | None = None) -> tuple[str, MediaRange]:
    """The first of the accepted ranges that we can serve, and what of `offered` fits it.

    `multipart` asks for ranges that are (True) or are not (False) multipart/related; `*/*` fits both.
    Raises NotAcceptable, which says what is possible.
    """
    for media_range in parse_accept(header):
        everything = media_range.media_type == "*/*"
        if multipart is not None and not everything and media_range.is_multipart is not multipart:
            continue
        for media_type in offered:
            if accepts(media_range, media_type):
                return media_type, media_range
    shape = 'multipart/related; type="{}"' if multipart else "{}"
    raise NotAcceptable("possible here: " + ", ".join(shape.format(o) for o in offered))
