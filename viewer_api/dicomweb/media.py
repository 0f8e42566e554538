"""Media types and their negotiation (PS3.18 8.7)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from fastapi import Request

from pacs.errors import BadQuery, NotAcceptable

T = TypeVar("T")
Accept = tuple[str, ...]  # values of an Accept, each for where nothing of those before it is possible
ACCEPT_CHARACTERS_MAX = 4096
CHARSETS = ("utf-8", "iso_ir 192")  # names of the one that texts are in (PS3.18 8.8, D)
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


def accept_of(request: Request) -> Accept:
    """The `accept` parameter goes before the header (PS3.18 8.7.8.1)."""
    given, header = request.query_params.get("accept", ""), request.headers.get("accept", "")
    return preferring(given, header)


def preferring(parameter: str, header: str) -> Accept:
    """What a parameter and, where nothing of it is possible, what the header accepts; with neither, everything."""
    return tuple(one for one in (parameter, header) if one) or ("",)


def texts_in_utf8(request: Request) -> None:
    """Texts are in UTF-8. Raises BadQuery where the `charset` parameter has another (PS3.18 8.3.3.2), and NotAcceptable
    where the Accept-Charset header does (PS3.18 8.8.5)."""
    if not _takes_utf8(request.query_params.get("charset", "")):
        raise BadQuery("charset is UTF-8")
    if not _takes_utf8(request.headers.get("accept-charset", "")):
        raise NotAcceptable("possible here: UTF-8")


def _takes_utf8(header: str) -> bool:
    ranges = [_range(part) for part in _split(header[:ACCEPT_CHARACTERS_MAX], ",") if part.strip()]
    return not ranges or any(r.quality > 0 and r.media_type.strip('"') in (*CHARSETS, "*") for r in ranges)


def warned(texts: Iterable[str]) -> dict[str, str]:
    """Header fields that say these things; none where there is nothing to say. The texts have no quotes."""
    said = ", ".join(f'299 tongying "{text}"' for text in texts)
    return {"Warning": said} if said else {}


def parse_accept(header: str) -> list[MediaRange]:
    """The ranges, best first, those that are not acceptable (q=0) last; an empty header accepts everything. What asks
    for another character set than ours is passed over (PS3.18 8.8.1)."""
    if len(header) > ACCEPT_CHARACTERS_MAX:
        raise NotAcceptable("the Accept header is too long")
    ranges = [_range(part) for part in _split(header, ",") if part.strip()] or [MediaRange("*/*", 1.0)]
    ours = [r for r in ranges if r.parameters.get("charset", "utf-8").lower() in CHARSETS]
    return sorted(ours, key=lambda r: -r.quality)


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


def fitting(
    accept: Accept, offered: list[str], *, multipart: bool | None = None
) -> Iterator[tuple[str, MediaRange]]:
    """What of `offered` fits which of the accepted ranges, the best first. A wildcard does not say of a type what the
    range that names it says (RFC 9110 12.5.1).

    `multipart` asks for ranges that are (True) or are not (False) multipart/related; `*/*` fits both.
    """
    for header in accept:
        ranges = parse_accept(header)
        for one in ranges:
            if not one.quality > 0 or not _in_shape(one, multipart):
                continue
            for media_type in offered:
                if accepts(one, media_type) and _is_last_word(one, media_type, ranges):
                    yield media_type, one


def _in_shape(one: MediaRange, multipart: bool | None) -> bool:
    return multipart is None or one.media_type == "*/*" or one.is_multipart is multipart


def _is_last_word(one: MediaRange, media_type: str, ranges: list[MediaRange]) -> bool:
    shape = None if one.media_type == "*/*" else one.is_multipart
    others = (r for r in ranges if _in_shape(r, shape) and accepts(r, media_type))
    return all(_stars(r) >= _stars(one) for r in others)


def _stars(one: MediaRange) -> int:
    return one.part_type.count("*")


def first_possible(
    accept: Accept, offered: list[str], make: Callable[[str, MediaRange], T], *, multipart: bool | None = None
) -> T:
    """What `make` gives for the first that fits and of which it raises no NotAcceptable. Raises the first of these, or
    one that says what is possible."""
    refused = None
    for media_type, chosen in fitting(accept, offered, multipart=multipart):
        try:
            return make(media_type, chosen)
        except NotAcceptable as error:
            refused = refused or error
    shape = 'multipart/related; type="{}"' if multipart else "{}"
    raise refused or NotAcceptable("possible here: " + ", ".join(shape.format(o) for o in offered))


def choose(accept: Accept, offered: list[str], *, multipart: bool | None = None) -> tuple[str, MediaRange]:
    """The first that fits. Raises NotAcceptable, which says what is possible."""
    return first_possible(
        accept, offered, lambda media_type, chosen: (media_type, chosen), multipart=multipart
    )
