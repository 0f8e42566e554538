"""The walk over an encoded data set: one pass with an explicit stack, values straight into DICOM JSON."""

from pacs.encoded.dictionary import AMBIGUOUS_VRS
from pacs.encoded.fields import Fields
from pacs.encoded.fragments import Fragments, read_fragments
from pacs.encoded.headers import (
    explicit_header,
    implicit_header,
    item_is_explicit,
    item_is_implicit,
    tag_at,
)
from pacs.encoded.model import Notes
from pacs.encoded.recall import Recall
from pacs.encoded.scopes import Json, Scope, Sequence
from pacs.encoded.syntax import BIG, ITEM, ITEM_END, LITTLE, SEQUENCE_END, UNDEFINED, Encoding

PIXEL_TAGS = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))
OFFSET_TABLES = frozenset((0x7FE00001, 0x7FE00002))
_PADDING = 0xFFFCFFFC
_NOT_DATA = (0x0000, 0x0002)  # groups of commands and of file meta information
_WORDS = frozenset(("OB", "OW", "OB or OW"))
# PS3.5 6.2.2 note 4: a UN of this length or more is one because its VR cannot hold the length.
_UN_BYTES_MAX = 0xFFFF


class Walk:
    """Reads one data set; what cannot be decided before its end is left in `fields`.

    pixels: tag, offset and length in bytes of the native pixel value of the top level.
    fragments: tag and items of the encapsulated one. tables: ranges of the Extended Offset Table's values.
    """

    def __init__(self, start: int, encoding: Encoding, fields: Fields, recall: Recall | None = None) -> None:
        self.view = view = fields.view
        self.pos = start
        self.fields = fields
        self.limits = limits = fields.limits
        self.notes: Notes = fields.notes
        self.root = Scope(len(view), implicit=encoding.implicit, order=encoding.order)
        self.pixels: tuple[int, int, int] | None = None
        self.fragments: tuple[int, Fragments] | None = None
        self.tables: dict[int, tuple[int, int]] = {}
        self._stack: list[Scope | Sequence] = [self.root]
        self.left = limits.elements_max
        self._recall = recall

    def run(self) -> None:
        """Walks to the end, or to where nothing can be read any more."""
        stack = self._stack
        while stack:
            top = stack[-1]
            if isinstance(top, Scope):
                self._elements(top)
            else:
                self._next_item(top)

    # Elements

    def _elements(self, scope: Scope) -> None:
        """Reads elements until this data set ends, a sequence opens in it, or the walk stops."""
        view, end = self.view, scope.end
        header_at = implicit_header if scope.implicit else explicit_header
        recall = self._recall if scope.parent is None else None
        while end - self.pos >= 8:
            if recall is not None:
                recall.step(self)
                if end - self.pos < 8:
                    break
            header = header_at(view, self.pos, scope)
            if header is None:
                return self._abandon("unreadable" if any(view[self.pos : self.pos + 8]) else "garbage")
            tag, vr, length, start, regular = header
            if not regular:
                self.notes.at("vr", tag)
            if not vr:
                if self._delimiter(scope, tag):
                    return None
                continue
            if tag <= scope.last:
                if scope.parent is None and tag < 0x00080000:
                    return self._abandon("garbage")
                self._out_of_order(scope, tag)
            scope.last = tag
            if self._element(scope, tag, vr, length, start):
                return None
        return self._end_of(scope)

    def _element(self, scope: Scope, tag: int, vr: str, length: int, start: int) -> bool:
        """Reads one element; whether the walk goes on elsewhere than in this data set."""
        self.left -= 1
        if self.left < 0:
            self._stop("elements")
            return True
        if vr == "UN" and length < _UN_BYTES_MAX:
            known = scope.vr_of(tag) or "UN"
            if known == "SQ":
                return self._open(scope, tag, length, start, implicit=True)
            vr = known
        if length == UNDEFINED:
            return self._undefined(scope, tag, vr, start)
        if vr == "SQ":
            return self._open(scope, tag, length, start, implicit=scope.implicit)
        stop = start + length
        if stop > scope.end:
            return self._cut(scope, tag, vr, start)
        self.pos = stop
        if tag & 0xFFFF and tag != _PADDING and tag >> 16 not in _NOT_DATA:
            self._put(scope, tag, self._read(scope, tag, vr, start, stop))
        return False

    def _read(self, scope: Scope, tag: int, vr: str, start: int, stop: int) -> Json:
        if scope.parent is None and tag in PIXEL_TAGS:
            return self._native(tag, vr, start, stop)
        if scope.parent is None and tag in OFFSET_TABLES:
            self.tables[tag] = start, stop - start
        if vr in AMBIGUOUS_VRS:
            return self.fields.settle(scope, tag, vr, start, stop)
        element: Json = {"vr": vr}
        if stop > start:
            self.fields.fill(scope, tag, element, start, stop)
        return element

    def _put(self, scope: Scope, tag: int, element: Json) -> None:
        """Adds an element; of two with one tag the first stays, as other readers have it."""
        key = f"{tag:08X}"
        if key in scope.attributes:
            self.notes.at("duplicate", tag)
        else:
            scope.attributes[key] = element

    def _out_of_order(self, scope: Scope, tag: int) -> None:
        scope.ordered = False
        self.notes.at("order", tag)

    def _native(self, tag: int, vr: str, start: int, stop: int) -> Json:
        element: Json = {"vr": "OW" if vr in AMBIGUOUS_VRS else vr}
        if stop > start:
            self.fields.refer(element, f"{tag:08X}")
            self.pixels = self.pixels or (tag, start, stop - start)
        return element

    def _cut(self, scope: Scope, tag: int, vr: str, start: int) -> bool:
        """A value longer than what is left: half a value would be wrong, but pixels are worth having."""
        if scope.end < len(self.view):
            self.notes.at("length", tag)
            self._abandon("unreadable")
            return True
        self.notes.at("truncated", tag)
        if scope.parent is None and tag in PIXEL_TAGS:
            self._put(scope, tag, self._native(tag, vr, start, scope.end))
        self._stop("truncated")
        return True

    # Sequences

    def _undefined(self, scope: Scope, tag: int, vr: str, start: int) -> bool:
        """A value of undefined length: a sequence, or fragments."""
        if tag in PIXEL_TAGS or vr in _WORDS:
            self._encapsulated(scope, tag, vr, start)
            return False
        if vr not in ("SQ", "UN") and tag_at(self.view, start, scope) not in (ITEM, SEQUENCE_END):
            self._abandon("unreadable")
            return True
        return self._open(scope, tag, UNDEFINED, start, implicit=scope.implicit or vr == "UN")

    def _encapsulated(self, scope: Scope, tag: int, vr: str, start: int) -> None:
        element: Json = {"vr": "OB" if vr == "OB or OW" else vr}
        found = read_fragments(self.view, start, scope.end, scope.order, self.limits.fragments_max)
        self.pos = found.stop
        if not found.whole:
            self.notes.at("fragments", tag)
        if scope.parent is None and tag in PIXEL_TAGS:
            self.fields.refer(element, f"{tag:08X}")
            self.fragments = self.fragments or (tag, found)
        elif found.items_end > start:
            self.fields.point(scope, tag, element, start, found.items_end - start)
        self._put(scope, tag, element)

    def _open(self, scope: Scope, tag: int, length: int, start: int, *, implicit: bool) -> bool:
        """Goes into a sequence; always True, as the walk goes on there."""
        undefined = length == UNDEFINED
        end = scope.end if undefined else start + length
        if end > scope.end:
            self.notes.at("truncated" if scope.end == len(self.view) else "length", tag)
            end = scope.end
        element: Json = {"vr": "SQ"}
        self._put(scope, tag, element)
        self.pos = start
        if len(self._stack) >= 2 * self.limits.nesting_levels_max:
            self._stop("nesting")
            return True
        order = LITTLE if bytes(self.view[start : start + 2]) == b"\xfe\xff" else scope.order
        if bytes(self.view[start : start + 2]) == b"\xff\xfe":
            order = BIG
        self._stack.append(
            Sequence(element, tag, scope, end=end, undefined=undefined, implicit=implicit, order=order),
        )
        return True

    def _next_item(self, sequence: Sequence) -> None:
        if sequence.end - self.pos < 8:
            return self._end_of(sequence)
        group, number, length = sequence.order.implicit.unpack_from(self.view, self.pos)
        tag = group << 16 | number
        if tag == ITEM:
            return self._open_item(sequence, length)
        if tag == SEQUENCE_END:
            self.pos += 8
            return self._close(sequence)
        self.notes.at("item", sequence.tag)
        if not sequence.undefined:
            self.pos = sequence.end
        return self._close(sequence)

    def _open_item(self, sequence: Sequence, length: int) -> None:
        self.left -= 1
        if self.left < 0:
            return self._stop("elements")
        undefined = length == UNDEFINED
        self.pos += 8
        end = sequence.end if undefined else self.pos + length
        if end > sequence.end:
            self.notes.at("truncated" if sequence.end == len(self.view) else "length", sequence.tag)
            end = sequence.end
        implicit = self._item_implicit(sequence, end)
        self._stack.append(sequence.item(end, implicit=implicit, undefined=undefined))
        return None

    def _item_implicit(self, sequence: Sequence, end: int) -> bool:
        if sequence.parent.implicit:
            return True
        if sequence.implicit:
            return not item_is_explicit(self.view, self.pos, end)
        return item_is_implicit(self.view, self.pos, end)

    # Ends

    def _delimiter(self, scope: Scope, tag: int) -> bool:
        """Meets an item or delimiter tag among elements; whether the data set is closed by it."""
        self.left -= 1
        if scope.parent is None:
            self.notes.add("un-nested")
            if tag == ITEM or self.left < 0:
                self._stop("garbage")
                return True
            self.pos += 8
            return False
        if tag != ITEM_END:
            self.notes.add("unclosed")
        else:
            self.pos += 8
            if not scope.undefined:
                self.notes.add("un-nested")
                return False
        self._close(scope)
        return True

    def _end_of(self, frame: Scope | Sequence) -> None:
        """Closes what has no more room for a header; a length that was given says where it ends."""
        if frame is self.root:
            if any(self.view[self.pos :]):
                self.notes.add("garbage")
        elif frame.undefined:
            self.notes.add("unclosed")
        else:
            self.pos = frame.end
        self._close(frame)

    def _close(self, frame: Scope | Sequence) -> None:
        self._stack.pop()
        frame.close()

    def _abandon(self, word: str) -> None:
        """Leaves what cannot be read for the end of the innermost item or sequence whose length is known."""
        self.notes.add(word)
        while len(self._stack) > 1:
            frame = self._stack[-1]
            self._close(frame)
            if not frame.undefined:
                self.pos = frame.end
                return
        self._stop(word)

    def _stop(self, word: str) -> None:
        """Ends the walk, keeping what was read."""
        self.notes.add(word)
        while self._stack:
            self._close(self._stack[-1])
