"""Value fields on their way into the JSON: inline, as bulk data, or put off until all has been read."""

from pacs.encoded.model import BulkValue, Limits, Notes
from pacs.encoded.scopes import Json, Scope
from pacs.encoded.values import BINARY_VRS, NUMERIC, SIZES, TEXT, Values, inline_binary

_LUTS = frozenset((0x00281101, 0x00281102, 0x00281103, 0x00281201, 0x00281202, 0x00281203,
                   0x00281221, 0x00281222, 0x00281223, 0x00283006))  # fmt: skip
_DESCRIPTORS = frozenset((0x00281101, 0x00281102, 0x00281103, 0x00283002))
_CROWDED_BYTES_MAX = 64  # of a value that still stands inline when the JSON has passed its limit
_LONG_TEXT = frozenset(("UT", "LT", "ST", "UC"))

PendingText = tuple[Json, str, bytes, int, Scope]
"""Text that the character set decides on: its element, VR, bytes, tag and data set."""

PendingSign = tuple[Json, bytes, int, Scope]
"""Words that are signed or not by Pixel Representation: element, bytes, tag, data set."""


class Fields:
    """Fills elements from the encoded bytes, and keeps what is decided at the end, and what is bulk."""

    __slots__ = ("bulk", "bulk_uri", "limits", "notes", "pointers", "room", "signs", "texts", "view")

    def __init__(self, view: memoryview, bulk_uri: str, limits: Limits, notes: Notes) -> None:
        self.view = view
        self.bulk_uri = bulk_uri
        self.limits = limits
        self.notes = notes
        self.bulk: list[BulkValue] = []
        self.pointers: list[Json] = []
        self.texts: list[PendingText] = []
        self.signs: list[PendingSign] = []
        self.room = limits.json_bytes_max

    def fill(self, scope: Scope, tag: int, element: Json, start: int, stop: int) -> None:
        """Gives an element that is not empty its "Value", "InlineBinary" or "BulkDataURI"."""
        vr, length = element["vr"], stop - start
        self.room -= length
        if length > (
            self.limits.inline_bytes_max if self.room >= 0 else _CROWDED_BYTES_MAX
        ) and self._too_long(tag, vr, length):
            return self.point(scope, tag, element, start, length)
        raw = bytes(self.view[start:stop])
        split = TEXT.get(vr)
        if split is None:
            value = self._binary(scope, tag, element, vr, raw)
        elif raw.isascii() and b"\x1b" not in raw:
            value = split(raw.decode("ascii"))
        else:
            self.texts.append((element, vr, raw, tag, scope))
            return None
        if value:
            element["Value"] = value
        return None

    def settle(self, scope: Scope, tag: int, vr: str, start: int, stop: int) -> Json:
        """An element whose VR the dictionary leaves open (PS3.5 A.1, PS3.3 C.7.6.3.1, C.11.1.1)."""
        if vr == "US or SS":
            element: Json = {"vr": "US"}
            self.signs.append(
                (element, bytes(self.view[start : min(stop, start + self.limits.text_bytes_max)]), tag, scope)
            )
            return element
        element = {"vr": "US" if vr == "US or OW" and stop - start == 2 else "OW"}
        if stop > start:
            self.fill(scope, tag, element, start, stop)
        return element

    def point(self, scope: Scope, tag: int, element: Json, start: int, length: int) -> None:
        """Makes a value bulk data."""
        vr, path = element["vr"], scope.path(tag)
        if vr in TEXT and vr not in _LONG_TEXT:
            # PS3.18 F.2.2 has no bulk data of these, and nobody means a name of such length.
            self.notes.at("length", tag)
            vr = element["vr"] = "UN"
        self.refer(element, path)
        self.bulk.append(BulkValue(path, vr, start, length))

    def refer(self, element: Json, path: str) -> None:
        """Gives an element its "BulkDataURI"."""
        element["BulkDataURI"] = f"{self.bulk_uri}/{path}"
        self.pointers.append(element)

    def _too_long(self, tag: int, vr: str, length: int) -> bool:
        limits = self.limits
        if self.room < 0:
            self.notes.add("json")
            return True
        if tag in _LUTS:
            return length > limits.lut_bytes_max
        if vr in _LONG_TEXT:
            return length > limits.text_bytes_max
        return length > (limits.number_bytes_max if vr not in BINARY_VRS else limits.inline_bytes_max)

    def _binary(self, scope: Scope, tag: int, element: Json, vr: str, raw: bytes) -> Values:
        size = SIZES.get(vr, 1)
        if len(raw) % size:
            self.notes.at("length", tag)
            vr = element["vr"] = vr if len(raw) > size else "UN"
        if vr in NUMERIC:
            values = NUMERIC[vr](raw, scope.order.sign)
            return unsigned_count(tag, values) if vr == "SS" else values
        element["InlineBinary"] = inline_binary(raw, vr, scope.order.sign)
        return None


def unsigned_count(tag: int, values: Values) -> Values:
    """The first value of a LUT descriptor is a count, also where the others are signed (PS3.3 C.11.1.1)."""
    if values and tag in _DESCRIPTORS:
        values[0] &= 0xFFFF
    return values
