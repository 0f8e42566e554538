"""The walk over an encoded data set: one pass, an explicit stack, values straight into DICOM JSON."""

from pacs.encoded.fragments import Fragments, read_fragments
from pacs.encoded.headers import explicit_header, implicit_header, item_is_explicit, item_is_implicit
from pacs.encoded.model import BulkValue, Limits, Notes
from pacs.encoded.scopes import Json, Scope, Sequence
from pacs.encoded.syntax import BIG, ITEM, ITEM_END, LITTLE, SEQUENCE_END, UNDEFINED, Encoding
from pacs.encoded.values import BINARY_VRS, NUMERIC, SIZES, TEXT, inline_binary

PIXEL_TAGS = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))
_OFFSET_TABLES = frozenset((0x7FE00001, 0x7FE00002))
_LUTS = frozenset((0x00281101, 0x00281102, 0x00281103, 0x00281201, 0x00281202, 0x00281203,
                   0x00281221, 0x00281222, 0x00281223, 0x00283006))  # fmt: skip
_UNBOUND_TEXT = frozenset(("UT", "LT", "ST", "UC"))
_PADDING = 0xFFFCFFFC
_DICTIONARY_UN_BYTES_MAX = 0xFFFF


class Walk:
    """Reads one data set. What cannot be decided before its end is left in `texts` and `ambiguous`."""

    def __init__(self, view: memoryview, start: int, encoding: Encoding, bulk_uri: str, limits: Limits) -> None:
        self.view = view
        self.pos = start
        self.bulk_uri = bulk_uri
        self.limits = limits
        self.notes = Notes(limits.notes_max)
        self.root = Scope(len(view), implicit=encoding.implicit, order=encoding.order)
        self.bulk: list[BulkValue] = []
        self.texts: list[tuple[Json, str, bytes, int, Scope]] = []
        self.ambiguous: list[tuple[Json, str, bytes, int, Scope]] = []
        self.pixels: tuple[int, int, int] | None = None  # tag, offset, length
        self.fragments: Fragments | None = None
        self.tables: dict[int, bytes] = {}
        self._stack: list[Scope | Sequence] = [self.root]
        self._left = limits.elements_max

    def run(self) -> None:
        """Walks to the end, or to where nothing can be read any more."""
        stack = self._stack
        while stack:
            top = stack[-1]
            if isinstance(top, Scope):
                self._elements(top)
            else:
                self._next_item(top)
        self.root.sort()

    def _elements(self, scope: Scope) -> None:
        """Reads elements until the data set ends or a sequence opens."""
        view, end = self.view, scope.end
        header_at = implicit_header if scope.implicit else explicit_header
        while end - self.pos >= 8:
            header = header_at(view, self.pos, scope)
            if header is None:
                return self._unreadable(scope)
            tag, vr, length, start, regular = header
            if not regular:
                self.notes.at("vr", tag)
            if not vr:
                if self._delimiter(scope, tag):
                    return None
                continue
            if tag <= scope.last and not self._out_of_order(scope, tag, start, length):
                if scope.parent is None and tag < 0x00080000:
                    return self._garbage()
                continue
            scope.last = max(tag, scope.last)
            self._left -= 1
            if self._left < 0:
                return self._stop("elements")
            if self._element(scope, tag, vr, length, start):
                return None
        return self._close_scope(scope)

    def _element(self, scope: Scope, tag: int, vr: str, length: int, start: int) -> bool:
        """Reads one element; whether a sequence was opened or the walk stopped."""
        if vr == "UN":
            vr = self._known(scope, tag, length)
        if length == UNDEFINED or vr == "SQ":
            return self._nested(scope, tag, vr, length, start)
        stop = self.pos = start + length
        if stop > scope.end:
            self._cut(scope, tag, vr, start)
            return False
        if tag & 0xFFFF == 0 or tag == _PADDING or tag < 0x00040000:
            return False
        element: Json = {"vr": vr}
        scope.attributes[f"{tag:08X}"] = element
        if length:
            self._fill(scope, tag, element, vr, start, stop)
        elif vr not in TEXT and vr not in NUMERIC and vr not in BINARY_VRS:
            self.ambiguous.append((element, vr, b"", tag, scope))
        if scope.parent is None and tag in PIXEL_TAGS:
            self._native(tag, element, start, length)
        return False

    def _fill(self, scope: Scope, tag: int, element: Json, vr: str, start: int, stop: int) -> None:
        """Gives an element with a value field its "Value", "InlineBinary" or "BulkDataURI"."""
        if stop - start > self.limits.inline_bytes_max and self._is_bulk(scope, tag, element, vr, start, stop):
            return
        raw = bytes(self.view[start:stop])
        split = TEXT.get(vr)
        if split is not None:
            if raw.isascii() and b"\x1b" not in raw:
                value = split(raw.decode("ascii"))
            else:
                self.texts.append((element, vr, raw, tag, scope))
                return
        elif vr in NUMERIC:
            value = self._numbers(tag, element, vr, raw, scope)
        elif vr in BINARY_VRS:
            element["InlineBinary"] = inline_binary(raw, vr, scope.order.sign)
            return
        else:
            self.ambiguous.append((element, vr, raw, tag, scope))
            return
        if value:
            element["Value"] = value

    def _numbers(self, tag: int, element: Json, vr: str, raw: bytes, scope: Scope) -> list[object] | None:
        size = SIZES.get(vr, 1)
        if len(raw) % size:
            self.notes.at("length", tag)
            if len(raw) < size:
                element["vr"] = "UN"
                element["InlineBinary"] = inline_binary(raw, "UN", scope.order.sign)
                return None
        return NUMERIC[vr](raw, scope.order.sign)

    def _is_bulk(self, scope: Scope, tag: int, element: Json, vr: str, start: int, stop: int) -> bool:
        """Makes a value too long to stand inline a bulk value; whether it was."""
        limits, length = self.limits, stop - start
        if tag in _OFFSET_TABLES and scope.parent is None:
            self.tables[tag] = bytes(self.view[start : min(stop, start + 8 * limits.frames_max)])
        if tag in _LUTS:
            allowed = limits.lut_bytes_max
        elif vr in _UNBOUND_TEXT:
            allowed = limits.text_bytes_max
        elif vr in TEXT or vr in NUMERIC:
            allowed = limits.number_bytes_max
        else:
            allowed = limits.inline_bytes_max
        if length <= allowed:
            return False
        self._make_bulk(scope, tag, element, vr, start, length)
        return True

    def _make_bulk(self, scope: Scope, tag: int, element: Json, vr: str, start: int, length: int) -> None:
        path = scope.path(tag)
        if vr in TEXT and vr not in _UNBOUND_TEXT:
            vr = "UN"  # PS3.18 F.2.2 has no bulk data of these VRs, and no writer means such a length
            self.notes.at("length", tag)
        element["vr"] = vr
        element["BulkDataURI"] = f"{self.bulk_uri}/{path}"
        if vr not in TEXT and vr not in NUMERIC and vr not in BINARY_VRS:
            self.ambiguous.append((element, vr, b"", tag, scope))
            vr = "OW"
        self.bulk.append(BulkValue(path, vr, start, length))
