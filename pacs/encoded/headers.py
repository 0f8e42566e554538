"""Element headers: tag, VR, length (PS3.5 7.1.2, 7.1.3), also those that modalities write wrongly."""

from collections.abc import Iterator

from pacs.encoded.scopes import Scope
from pacs.encoded.syntax import ITEM, ITEM_END, LONG_CODES, SEQUENCE_END, SHORT_CODES, UNDEFINED

Header = tuple[int, str, int, int, bool]
"""Tag, VR ("" for item and delimiter tags), length in bytes or UNDEFINED, value's offset, well-formed."""

_DELIMITERS = (ITEM, ITEM_END, SEQUENCE_END)


def implicit_header(view: memoryview, pos: int, scope: Scope) -> Header | None:
    """The header at `pos`, its VR from the dictionaries ("UN" if unknown, or an ambiguous one)."""
    group, number, length = scope.order.implicit.unpack_from(view, pos)
    tag = group << 16 | number
    if group == 0xFFFE:
        return tag, "", length, pos + 8, True
    return tag, scope.vr_of(tag) or "UN", length, pos + 8, True


def explicit_header(view: memoryview, pos: int, scope: Scope) -> Header | None:
    """The header at `pos`; `None` if nothing plausible stands there."""
    group, number, code, length = scope.order.explicit.unpack_from(view, pos)
    vr = SHORT_CODES.get(code)
    if vr is not None:
        return group << 16 | number, vr, length, pos + 8, True
    vr = LONG_CODES.get(code)
    if vr is not None and length == 0 and pos + 12 <= scope.end:
        length = scope.order.long.unpack_from(view, pos + 8)[0]
        return group << 16 | number, vr, length, pos + 12, True
    if group == 0xFFFE:
        return implicit_header(view, pos, scope)
    return _odd_header(view, pos, scope)


def _odd_header(view: memoryview, pos: int, scope: Scope) -> Header | None:
    """No VR of the standard, or a reserved field not 0: the first reading that leads to a next tag."""
    group, number, code, _ = scope.order.explicit.unpack_from(view, pos)
    tag = group << 16 | number
    vr = LONG_CODES.get(code) or scope.vr_of(tag) or "UN"
    for length, start in _readings(view, pos, scope, letters=code.isalpha() and code.isupper()):
        if _leads_on(view, start, length, tag, scope):
            return tag, vr, length, start, False
    return None


def _readings(view: memoryview, pos: int, scope: Scope, *, letters: bool) -> Iterator[tuple[int, int]]:
    """(length, offset of the value), likeliest first: VRs unknown to us have 32 bits (PS3.5 6.2)."""
    reserved = scope.order.explicit.unpack_from(view, pos)[3]
    implicit = scope.order.implicit.unpack_from(view, pos)[2], pos + 8
    if not letters:
        yield implicit
    if pos + 12 <= scope.end:
        long = scope.order.long.unpack_from(view, pos + 8)[0], pos + 12
        if reserved == 0:
            yield long
        yield reserved, pos + 8
        yield long
    else:
        yield reserved, pos + 8
    if letters:
        yield implicit


def _leads_on(view: memoryview, start: int, length: int, tag: int, scope: Scope) -> bool:
    """Whether after this value comes the end, a delimiter or a higher tag."""
    if length == UNDEFINED:
        return tag_at(view, start, scope) in _DELIMITERS
    stop = start + length
    if stop == scope.end:
        return True
    following = tag_at(view, stop, scope)
    return following is not None and stop < scope.end and following > tag


def tag_at(view: memoryview, pos: int, scope: Scope) -> int | None:
    if pos + 8 > len(view):
        return None
    group, number, _ = scope.order.implicit.unpack_from(view, pos)
    return int(group << 16 | number)


def item_is_implicit(view: memoryview, pos: int, end: int) -> bool:
    """Whether an item of an explicit VR sequence has its elements in implicit VR, as some writers do."""
    code = bytes(view[pos + 4 : pos + 6])
    if pos + 8 > end or bytes(view[pos : pos + 2]) in (b"\xfe\xff", b"\xff\xfe"):
        return False
    return not (code.isalpha() and code.isupper())


def item_is_explicit(view: memoryview, pos: int, end: int) -> bool:
    """Whether an item of a UN sequence, implicit by PS3.5 6.2.2, is in explicit VR all the same."""
    code = bytes(view[pos + 4 : pos + 6])
    return pos + 8 <= end and (code in SHORT_CODES or code in LONG_CODES)
