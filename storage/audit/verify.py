"""The trail verifies itself: nothing was changed, taken out, put in, moved or cut off since it was written."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row

from pacs.audit import GENESIS, chained
from pacs.settings import Settings
from storage.audit import anchor
from storage.audit.anchor import Anchor, Forged
from storage.audit.chain import BEGUN_ANEW
from storage.audit.journal import DAMAGED, FOLDER
from storage.audit.keys import chain_key
from storage.blobs import ObjectStore
from storage.database import Database
from storage.index import ledger

PAGE = 2000
FINDINGS_MAX = 1000
Progress = Callable[[int], None]


@dataclass
class Verified:
    """From which entry to which the chain was looked at, and what is wrong with it."""

    first: int = 0
    last: int = 0
    entries: int = 0
    anchored: int = 0  # up to this entry its end is known outside of the database
    anchored_at: str = ""
    lost: str = ""  # why it does not begin with its first entry
    findings: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        return not self.findings

    def find(self, what: str) -> None:
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(f"audit: {what}")


def verify(
    database: Database, settings: Settings, objects: ObjectStore, *, last_entries: int | None = None,
    progress: Progress = lambda _n: None,
) -> Verified:  # fmt: skip
    """Verify the whole trail, or its last entries. Memory does not grow with it."""
    report = Verified()
    for path in sorted((settings.data / FOLDER).glob(f"*{DAMAGED}")):
        report.find(f"a journal could not be read to its end: {path.name}")
    with database.begin() as connection:
        ledger.take_turn(connection)
        key = chain_key(settings, objects)
        found = ledger.head(connection)
        known = _signed(objects, key, anchor.HEAD, report)
    head = found[0] if found else 0
    begins = _signed(objects, key, anchor.BEGINNING, report) or Anchor()
    report.lost = begins.reason
    start: int | None = None
    if last_entries is not None and head - last_entries > begins.position:
        start = head - last_entries
    chain = _Chain(key, begins, report)
    with closing(_rows(database, start, head)) as rows:
        for row in rows:
            if start is not None and not report.entries:
                chain.begin_with(row)
            else:
                chain.add(row)
            report.entries += 1
            progress(1)
    _look_at_anchor(database, known, head, report)
    return report


def _signed(objects: ObjectStore, key: bytes, name: str, report: Verified) -> Anchor | None:
    try:
        return anchor.read(objects, key, name)
    except (Forged, ValueError, TypeError):
        report.find(f"what is kept under {name} does not have our signature")
        return None


def _rows(database: Database, start: int | None, head: int) -> Generator[Row[Any], None, None]:
    """Up to the head of the beginning: what is added meanwhile is for the next time. A row behind `start` is given
    unverified, since the one before it is not read."""
    while True:
        with database.read() as connection:
            page = ledger.rows_after(connection, start, PAGE)
        for row in page:
            if row.position > head:
                return
            yield row
        if len(page) < PAGE:
            return
        start = page[-1].position


class _Chain:
    """Follows the chain row by row. Behind a fault it goes on with the hash that stands there, so that each fault is
    told once, where it is."""

    def __init__(self, key: bytes, begins: Anchor, report: Verified) -> None:
        self._key, self._report = key, report
        self._position = begins.position
        self._before: bytes | None = bytes.fromhex(begins.hash) if begins.position else GENESIS
        self._numbers: dict[bytes, int] = {}

    def begin_with(self, row: Row[Any]) -> None:
        self._position, self._before = row.position, bytes(row.hash)
        self._report.first = self._report.last = row.position
        self._numbers[bytes(row.journal)] = row.number

    def add(self, row: Row[Any]) -> None:
        report, expected = self._report, self._position + 1
        report.first = report.first or row.position
        report.last = row.position
        if row.position < expected:
            report.find(f"entry {row.position} was put in before the first one")
            return
        if row.position > expected:
            report.find(f"entries {expected} to {row.position - 1} are missing")
            self._before = None
            self._numbers.clear()  # those of journals are missing with them
        self._follow(row)
        self._count(bytes(row.journal), row.number, row.position)
        self._position, self._before = row.position, bytes(row.hash)

    def _follow(self, row: Row[Any]) -> None:
        try:
            line = ledger.line_of(row)
        except (ValueError, TypeError):
            self._report.find(f"entry {row.position} was changed: nobody could have written it")
            return
        if self._before is not None:
            made = chained(self._key, self._before, line.position, line.place, line.entry)
            if made != line.hash:
                self._report.find(f"entry {row.position} is not as it was written")

    def _count(self, journal: bytes, number: int, position: int) -> None:
        """Each journal's entries are all there, which they are not if one was dropped on the way into the database."""
        before = self._numbers.get(journal)
        if before is not None and number != before + 1 and journal != BEGUN_ANEW:
            self._report.find(
                f"before entry {position} some of its journal are missing: {before + 1} to {number - 1}"
            )
        self._numbers[journal] = number


def _look_at_anchor(database: Database, known: Anchor | None, head: int, report: Verified) -> None:
    if known is None:
        return
    report.anchored, report.anchored_at = known.position, known.at
    if head < known.position:
        report.find(
            f"the trail was cut off: it ends with entry {head}, and went to {known.position} at {known.at}"
        )
        return
    with database.read() as connection:
        here = ledger.hash_at(connection, known.position)
        begun_anew = here is None and ledger.last_number(connection, BEGUN_ANEW) == known.position
    if not begun_anew and (here is None or here.hex() != known.hash):
        report.find(f"entry {known.position} is not the one that stood there at {known.at}")


def accept_loss(database: Database, settings: Settings, objects: ObjectStore, reason: str) -> int:
    """Say that the trail begins where it begins now, since what was before is lost with its database, and why; how
    many entries are lost, 0 if none are."""
    with database.begin() as connection:
        ledger.take_turn(connection)
        key = chain_key(settings, objects)
        rows = ledger.rows_after(connection, None, 1)
        if not rows or bytes(rows[0].journal) != BEGUN_ANEW:
            return 0
        line = ledger.line_of(rows[0])
        lost = line.position - 1
        before = bytes.fromhex(
            line.entry.asked.rpartition(" ")[2]
        )  # as `chain` wrote it, else it is not its hash
        if chained(key, before, line.position, line.place, line.entry) != line.hash:
            raise Forged("the first entry is not as it was written")
        begins = anchor.read(objects, key, anchor.BEGINNING) or Anchor()
        if begins.position != lost:
            anchor.write(objects, key, lost, before, anchor.BEGINNING, reason)
        return lost - begins.position
