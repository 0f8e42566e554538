"""Deliver instances of the archive through a channel: an association that we requested, or one that a C-GET came by.

    for part in plan(located):                       # nearly always one
        with Requestor(..., contexts=part.contexts) as peer:
            for outcome in deliver(archive, peer, part.located):
                ...

An instance goes in the transfer syntax in which it was received, byte for byte, where the receiver accepted that;
else transcoded to Explicit or Implicit VR Little Endian; else it is an outcome with the reason.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, groupby
from typing import Protocol

from pydicom.uid import UID

from dicom_node.requestor import CONTEXTS_MAX, Answer, Context
from dicom_node.syntaxes import EXPLICIT, IMPLICIT, VERIFICATION
from pacs.encoded import read_head
from pacs.errors import CannotRender, ObjectMissing
from pacs.transcode import can_decode
from pacs.uids import UID_LENGTH_MAX, is_uid
from storage.archive import Archive
from storage.contents import Entry
from storage.location import Located
from storage.retrieve import stream
from storage.rewrite import rewritten

Piece = tuple[Located, memoryview, bool]
_one_at_a_time = threading.Lock()  # transcoding: the memory of several would add up


class Channel(Protocol):
    """Where instances go. `store` raises dicom_node.wire.PeerError where the association is over."""

    @property
    def accepted(self) -> dict[str, dict[str, int]]:
        """SOP class → transfer syntax → presentation context id."""

    def store(
        self, sop_class: str, sop_instance: str, transfer_syntax: str, pieces: Iterable[bytes | memoryview], *,
        priority: int = 0, originator: tuple[str, int] | None = None,
    ) -> Answer:  # fmt: skip
        """Send one data set, encoded in that transfer syntax, and wait for the answer."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one instance."""

    located: Located
    status: int  # of the C-STORE-RSP; where nothing was sent, the one below that fits
    reason: str = ""  # why it failed, for people; the peer's comment with a warning
    transfer_syntax: str = ""  # in which it was sent

    @property
    def done(self) -> bool:
        """Whether the receiver took it, perhaps with a warning."""
        return Answer(self.status).done


NOT_ACCEPTED, CANNOT_TRANSCODE, MISSING = 0x0122, 0xC001, 0x0110  # statuses of our own


@dataclass(frozen=True, slots=True)
class Part:
    """What goes over one association: its contexts, and the instances that they serve."""

    contexts: list[Context] = field(default_factory=list)
    located: list[Located] = field(default_factory=list)


def plan(located: Iterable[Located], allowed: Collection[str] = ()) -> list[Part]:
    """Part instances so that each part needs at most 128 contexts.

    For each SOP class: each transfer syntax that its instances have in a context of its own, so that the receiver
    cannot choose another one; and one with Explicit and Implicit VR Little Endian, if they can be transcoded.
    `allowed`: if given, these transfer syntaxes alone are proposed, beside those two. Instances of no possible
    context (no SOP class) are in the parts all the same, so that `deliver` tells of them; every part has a context.
    """
    kinds: dict[str, dict[str, list[Located]]] = {}
    for one in located:
        entry = one.entry
        kinds.setdefault(entry.sop_class, {}).setdefault(entry.transfer_syntax, []).append(one)
    parts = [Part()]
    for sop_class, by_syntax in kinds.items():
        syntaxes = list(by_syntax)
        for start in range(0, len(syntaxes), CONTEXTS_MAX - 1):
            chunk = syntaxes[start : start + CONTEXTS_MAX - 1]
            contexts = _contexts(sop_class, chunk, allowed)
            if len(parts[-1].contexts) + len(contexts) > CONTEXTS_MAX:
                parts.append(Part())
            parts[-1].contexts.extend(contexts)
            parts[-1].located.extend(one for syntax in chunk for one in by_syntax[syntax])
    for part in parts:
        if not part.contexts:
            part.contexts.append(Context(VERIFICATION, (IMPLICIT,)))
    return [part for part in parts if part.located]


def _contexts(sop_class: str, syntaxes: list[str], allowed: Collection[str]) -> list[Context]:
    if not is_uid(sop_class):
        return []
    originals = [s for s in syntaxes if is_uid(s) and (not allowed or s in allowed)]
    contexts = [Context(sop_class, (syntax,)) for syntax in originals]
    if any(can_decode(syntax) for syntax in syntaxes):
        contexts.append(Context(sop_class, (EXPLICIT, IMPLICIT)))
    return contexts


def deliver(
    archive: Archive, channel: Channel, located: list[Located], *,
    priority: int = 0, originator: tuple[str, int] | None = None,
) -> Iterator[Outcome]:  # fmt: skip
    """Send instances one after the other, in the order of `in_pack_order`; one outcome for each.

    Raises PeerError where the association is over: the instances without an outcome are not known to be there. Raises
    OSError where the object store is away, between two instances or within one (the association is then aborted).
    In memory are at most two pieces of 4 MiB of an instance that goes as it is, or one that is decoded.
    """
    for _key, group in groupby(in_pack_order(located), key=lambda one: one.key):
        yield from _deliver_pack(archive, channel, list(group), priority, originator)


def in_pack_order(located: Iterable[Located]) -> list[Located]:
    """The order in which they are read with the fewest reads."""
    return sorted(located, key=lambda one: (one.key, one.entry.offset))


def _deliver_pack(
    archive: Archive, channel: Channel, located: list[Located], priority: int,
    originator: tuple[str, int] | None,
) -> Iterator[Outcome]:  # fmt: skip
    """Instances of one pack: those that go as they are in one stream, the others each by itself."""
    as_they_are = [one for one in located if one.entry.transfer_syntax in _accepted(channel, one.entry)]
    streamed = _Stream(archive, as_they_are)
    for one in located:
        entry = one.entry
        accepted = _accepted(channel, entry)
        try:
            if entry.transfer_syntax in accepted:
                syntax = entry.transfer_syntax
                pieces: Iterator[bytes | memoryview] = streamed.pieces(one)
            else:
                syntax = target(entry, accepted)
                pieces = _transcoded(archive, one, syntax)
        except _Failed as failure:
            yield Outcome(one, failure.status, str(failure))
            continue
        answer = channel.store(
            entry.sop_class, entry.sop_instance, syntax, pieces, priority=priority, originator=originator
        )
        yield Outcome(one, answer.status, _reason(answer), syntax)


class _Failed(Exception):
    """An instance that cannot be sent, before anything was."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def _accepted(channel: Channel, entry: Entry) -> dict[str, int]:
    return channel.accepted.get(entry.sop_class, {})


def target(entry: Entry, accepted: Collection[str]) -> str:
    """The transfer syntax to transcode to."""
    if not is_uid(entry.sop_class) or not is_uid(entry.sop_instance, UID_LENGTH_MAX):
        raise _Failed(NOT_ACCEPTED, "its SOP Class or Instance UID is not a UID")
    if not accepted:
        raise _Failed(NOT_ACCEPTED, f"the receiver does not take {UID(entry.sop_class).name}")
    for syntax in (EXPLICIT, IMPLICIT):
        if syntax in accepted and can_decode(entry.transfer_syntax):
            return syntax
    raise _Failed(NOT_ACCEPTED, f"the receiver does not take {UID(entry.transfer_syntax).name}")


def _transcoded(archive: Archive, one: Located, syntax: str) -> Iterator[bytes | memoryview]:
    """The data set anew, in Explicit or Implicit VR Little Endian."""
    with _one_at_a_time:
        try:
            written = rewritten(archive, one, syntax)
        except CannotRender as error:
            raise _Failed(CANNOT_TRANSCODE, f"cannot be transcoded: {error}") from None
        except ObjectMissing as error:
            raise _Failed(MISSING, str(error)) from None
    first = next(written)
    return chain((memoryview(first)[read_head(first).dataset_offset :],), written)


class _Stream:
    """The data sets of instances of one pack, each when it is asked for, in the order in which they were given."""

    def __init__(self, archive: Archive, located: list[Located]) -> None:
        self._stream: Iterator[Piece] = iter(stream(archive, located))
        self._next: Piece | None = None
        self._missing = ""

    def pieces(self, one: Located) -> Iterator[memoryview]:
        """Pieces of its data set. Raises _Failed at once where its pack is gone."""
        if self._missing:
            raise _Failed(MISSING, self._missing)
        try:
            while self._next is None or self._next[0] is not one:
                self._next = next(self._stream)  # over what is left of one that failed
        except (ObjectMissing, StopIteration) as error:
            self._missing = str(error) or "the pack is shorter than its contents say"
            raise _Failed(MISSING, self._missing) from None
        return self._rest(one)

    def _rest(self, one: Located) -> Iterator[memoryview]:
        """From the current piece on; raises OSError where bytes are missing at the end."""
        skip, left = one.entry.dataset_offset, one.entry.length
        while self._next is not None and self._next[0] is one:
            data = self._next[1]
            left -= len(data)
            if len(data) > skip:
                yield data[skip:]
            skip = max(0, skip - len(data))
            self._next = next(self._stream, None)
        if left:
            raise OSError(5, f"{left} bytes of {one.entry.sop_instance} are missing in {one.key}")


def _reason(answer: Answer) -> str:
    if answer.status == 0:
        return ""
    return f"the receiver answered {answer.status:04X}" + (f": {answer.comment}" if answer.comment else "")
