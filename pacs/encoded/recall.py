"""What the instance before had: slices of a series differ in a few elements, and what comes again is not read again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pacs.encoded.dictionary import creator_tag, is_creator, is_private
from pacs.encoded.model import Limits
from pacs.encoded.scopes import Json
from pacs.encoded.syntax import Encoding

if TYPE_CHECKING:  # the walk asks us
    from pacs.encoded.walk import Walk

HEAD_BYTES_MAX = 64 << 10  # of a data set, from its start, in which elements are remembered
ELEMENT_BYTES_MIN = 8
# Where they lie in their instance is a part of what they say: pixels, and the tables of their offsets.
PLACED = frozenset((0x7FE00001, 0x7FE00002, 0x7FE00008, 0x7FE00009, 0x7FE00010))


@dataclass(slots=True, eq=False)
class Run:
    """Elements that stood one after the other: their bytes, headers included, and what they were read as.

    members: their JSON by key; some give none (group lengths). creators: the JSON of private creators before the run
    by which some of it is read, `None` where there was none. elements, value_bytes: what they count as towards the
    limits. parts: a run for each element, () if it is one.
    """

    raw: bytes
    first: int
    last: int
    members: Json
    creators: Json
    elements: int
    value_bytes: int
    parts: tuple[Run, ...] = ()


class Recall:
    """Remembers the top level of the last instance. Elements whose bytes come again give the same JSON objects, which
    therefore nobody may change.

    An element is remembered if its bytes alone say what it is, of a private one its creator too: no text whose
    character set the whole instance decides, no words whose sign it decides, nothing bulk, nothing noted, nothing
    out of order. Not safe to share between threads.
    """

    def __init__(self) -> None:
        self._context: tuple[Encoding, Limits] | None = None
        self._known: list[Run] = []
        self._next: list[Run] = []
        self._at = 0  # in `_known`
        self._head, self._offset = b"", 0
        # The element that is being read: where it began, the tag before it, the limits and traces there.
        self._began, self._last = -1, -1
        self._left, self._room = 0, 0
        self._traces: tuple[int, ...] = ()

    def begin(self, walk: Walk, encoding: Encoding) -> None:
        """At the first element of an instance."""
        if self._context != (encoding, walk.limits):
            self._context, self._known = (encoding, walk.limits), []
        self._offset = walk.pos
        self._head = bytes(walk.view[walk.pos : walk.pos + HEAD_BYTES_MAX])
        self._next, self._at, self._began = [], 0, -1

    def end(self) -> None:
        """The instance was read: it is the one to compare the next with."""
        self._known, self._head = self._next, b""

    def step(self, walk: Walk) -> None:
        """Before an element of the top level: keep the one that ended here, and pass over those that come again."""
        if self._began >= 0:
            self._keep(walk)
        if walk.root.ordered:
            self._pass_over(walk)
        self._began, self._last = walk.pos, walk.root.last
        self._left, self._room, self._traces = walk.left, walk.fields.room, _traces(walk)

    def _pass_over(self, walk: Walk) -> None:
        passed: list[Run] = []
        while (run := self._coming(walk)) is not None:
            walk.pos += len(run.raw)
            walk.root.last = run.last
            walk.root.attributes.update(run.members)
            walk.left -= run.elements
            walk.fields.room -= run.value_bytes
            passed.append(run)
        if passed:
            self._next.append(_joined(passed))

    def _coming(self, walk: Walk) -> Run | None:
        """The next run, if it stands here."""
        if walk.fields.room < HEAD_BYTES_MAX or walk.left < HEAD_BYTES_MAX // ELEMENT_BYTES_MIN:
            return None  # near a limit it depends on the rest what an element is
        known, last, attributes = self._known, walk.root.last, walk.root.attributes
        while self._at < len(known):
            run = known[self._at]
            comes = run.first > last and self._head.startswith(run.raw, walk.pos - self._offset)
            if comes and all(attributes.get(key) is element for key, element in run.creators.items()):
                self._at += 1
                return run
            if run.parts:
                known[self._at : self._at + 1] = run.parts
            elif run.first <= last:
                self._at += 1  # this element came otherwise, or not at all
            else:
                return None
        return None

    def _keep(self, walk: Walk) -> None:
        attributes, tag = walk.root.attributes, walk.root.last
        begin, stop = self._began - self._offset, walk.pos - self._offset
        if tag <= self._last or tag in PLACED or stop > len(self._head) or _traces(walk) != self._traces:
            return
        creator = creator_tag(tag) if is_private(tag) and not is_creator(tag) else None
        self._next.append(
            Run(
                self._head[begin:stop], tag, tag,
                {key: attributes[key] for key in (f"{tag:08X}",) if key in attributes},
                {} if creator is None else {(key := f"{creator:08X}"): attributes.get(key)},
                self._left - walk.left, self._room - walk.fields.room,
            )
        )  # fmt: skip


def _traces(walk: Walk) -> tuple[int, ...]:
    """What reading an element leaves beside its JSON."""
    fields = walk.fields
    return len(fields.texts), len(fields.signs), len(fields.pointers), walk.notes.count


def _joined(runs: list[Run]) -> Run:
    """Runs that stand one after the other, as one."""
    if len(runs) == 1:
        return runs[0]
    members: Json = {}
    creators: Json = {}
    for run in runs:
        creators |= {key: element for key, element in run.creators.items() if key not in members}
        members |= run.members
    return Run(
        b"".join(run.raw for run in runs), runs[0].first, runs[-1].last, members, creators,
        sum(run.elements for run in runs), sum(run.value_bytes for run in runs),
        tuple(part for run in runs for part in run.parts or (run,)),
    )  # fmt: skip
