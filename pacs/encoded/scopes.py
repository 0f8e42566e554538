"""What the walk is inside of: a data set (the root or an item) or a sequence, and what they inherit."""

from typing import Any

from pacs.encoded.dictionary import creator_tag, is_creator, is_private, private_vr, public_vr
from pacs.encoded.syntax import Order

Json = dict[str, Any]

_INHERITED_MAX = 8  # values; more than any Specific Character Set has terms


class Scope:
    """A data set being read: its JSON, where it ends, how it is encoded, whose item it is."""

    __slots__ = (
        "attributes", "end", "implicit", "index", "key", "last", "order", "ordered", "parent", "undefined",
    )  # fmt: skip

    def __init__(
        self,
        end: int,
        *,
        implicit: bool,
        order: Order,
        parent: "Scope | None" = None,
        key: str = "",
        index: int = 0,
        undefined: bool = False,
    ) -> None:
        self.attributes: Json = {}
        self.end = end
        self.implicit = implicit
        self.order = order
        self.parent = parent
        self.key = key
        self.index = index
        self.undefined = undefined
        self.last = -1
        self.ordered = True

    def path(self, tag: int) -> str:
        """The bulk data path of an element here: "00420011", "00081115/0/00081150"."""
        parts = [f"{tag:08X}"]
        scope: Scope | None = self
        while scope is not None and scope.parent is not None:
            parts += (str(scope.index), scope.key)
            scope = scope.parent
        return "/".join(reversed(parts))

    def inherited(self, key: str) -> list[Any] | None:
        """The first values of the nearest such attribute, here or in what this is an item of."""
        scope: Scope | None = self
        while scope is not None:
            found = scope.attributes.get(key)
            if found is not None and "Value" in found:
                return list(found["Value"][:_INHERITED_MAX])
            scope = scope.parent
        return None

    def vr_of(self, tag: int) -> str | None:
        """The VR by dictionary, the private ones by their creator's; `None` if unknown."""
        if not is_private(tag):
            return "UL" if tag & 0xFFFF == 0 else public_vr(tag)
        if is_creator(tag):
            return "LO"
        creator = self._creator(tag)
        return private_vr(tag, creator) if creator else None

    def _creator(self, tag: int) -> str | None:
        reserved = creator_tag(tag)
        found = self.attributes.get(f"{reserved:08X}") if reserved is not None else None
        name = found["Value"][0] if found and found.get("Value") else None
        return name if isinstance(name, str) else None

    def close(self) -> None:
        """Puts the attributes in tag order (PS3.18 F.2.2), if they did not come so."""
        if not self.ordered:
            pairs = sorted(self.attributes.items())
            self.attributes.clear()
            self.attributes.update(pairs)


class Sequence:
    """A sequence being read: the element its items go to, and how they are encoded."""

    __slots__ = ("element", "end", "implicit", "items", "order", "parent", "tag", "undefined")

    def __init__(
        self,
        element: Json,
        tag: int,
        parent: Scope,
        *,
        end: int,
        undefined: bool,
        implicit: bool,
        order: Order,
    ) -> None:
        self.element = element
        self.tag = tag
        self.parent = parent
        self.end = end
        self.undefined = undefined
        self.implicit = implicit
        self.order = order
        self.items: list[Json] = []

    def item(self, end: int, *, implicit: bool, undefined: bool) -> Scope:
        """Opens the next item."""
        scope = Scope(
            end,
            implicit=implicit,
            order=self.order,
            parent=self.parent,
            key=f"{self.tag:08X}",
            index=len(self.items),
            undefined=undefined,
        )
        self.items.append(scope.attributes)
        return scope

    def close(self) -> None:
        if self.items:
            self.element["Value"] = self.items
