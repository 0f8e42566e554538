"""What an operator asks of an Orthanc: compare it with what is here, and push a study to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field

from dicom_node.orthanc_client import EdgeError, Orthanc
from pacs.access import Principal, Role
from storage import presence
from storage.archive import Archive
from storage.edges import Edge
from storage.location import Located, locate
from storage.retrieve import stream

PAGE = 100  # studies
ASKED_AT_ONCE = 4
UID_BATCH = 1000  # of one SQL statement
MEMORY_BYTES_MAX = 16 * 1024 * 1024  # a larger instance is read as it is sent


@dataclass(frozen=True, slots=True)
class Compared:
    """A study: instances there, instances shown here, and how many of those there are unknown here."""

    study_uid: str
    there: int
    here: int
    missing: int

    @property
    def complete(self) -> bool:
        return self.missing == 0


@dataclass(slots=True)
class Pushed:
    """What came of a push: instances."""

    sent: int = 0
    already: int = 0  # there under the same UIDs
    failed: list[str] = field(default_factory=list)  # SOP Instance UID: why


def principal(edge: Edge) -> Principal:
    """An edge sees what its own facility owns."""
    return Principal(f"orthanc {edge.name}", Role.DEVICE, edge.facility)


def compare(archive: Archive, edge: Edge, *, each_instance: bool = False) -> Iterator[Compared]:
    """Each study of the Orthanc beside what is here of it, for the edge's facility alone.

    Where the counts agree that is believed, unless `each_instance` asks for a comparison by UID. Raises EdgeAway,
    EdgeRefused, EdgeError.
    """
    with (
        closing(Orthanc(edge, connections=ASKED_AT_ONCE)) as orthanc,
        ThreadPoolExecutor(ASKED_AT_ONCE) as pool,
    ):
        orthanc.version()
        start = 0
        while page := orthanc.studies(start, PAGE):
            start += len(page)
            shown = presence.shown_counts(archive, principal(edge), [uid for _, uid in page])
            counted = pool.map(lambda study: _counted(orthanc, *study), page)
            for (_, uid), (ids, there) in zip(page, counted, strict=True):
                here = shown.get(uid, 0)
                if ids:
                    unsure = each_instance or there != here
                    missing = _missing(archive, edge, orthanc, ids) if unsure else 0
                    yield Compared(uid, there, here, missing)


def _counted(orthanc: Orthanc, study: str, uid: str) -> tuple[list[str], int]:
    """All studies there under this UID, and their instances; nothing for those that another one stands for."""
    ids = sorted(orthanc.studies_of(uid)) or [study]
    if study != ids[0]:
        return [], 0
    return ids, sum(orthanc.study_count(one) for one in ids)


def _missing(archive: Archive, edge: Edge, orthanc: Orthanc, ids: list[str]) -> int:
    uids = list({one.sop_instance for study in ids for one in orthanc.study_instances(study)})
    batches = [uids[n : n + UID_BATCH] for n in range(0, len(uids), UID_BATCH)]
    return len(uids) - sum(len(presence.known_uids(archive, edge.facility_id, batch)) for batch in batches)


def push(
    archive: Archive, edge: Edge, study_uid: str, series_uid: str = "",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Pushed:  # fmt: skip
    """Send a study or series of the edge's facility to the Orthanc, byte for byte as we received it; what it has is
    left out, so that a push which broke off is simply asked for again.

    `progress` is called with instances done and in all. Raises NotFound, EdgeAway, EdgeRefused, EdgeError.
    """
    located = locate(archive, principal(edge), study_uid, series_uid)
    pushed = Pushed()
    with closing(Orthanc(edge)) as orthanc:
        orthanc.version()
        studies = orthanc.studies_of(study_uid)
        have = {one.sop_instance for study in studies for one in orthanc.study_instances(study)}
        wanted = [one for one in located if one.entry.sop_instance not in have]
        pushed.already = len(located) - len(wanted)
        for one, file in _files(archive, wanted):
            progress(pushed.already + pushed.sent + len(pushed.failed), len(located))
            try:
                if orthanc.upload(file):
                    pushed.sent += 1
                else:
                    pushed.already += 1
            except EdgeError as error:
                pushed.failed.append(f"{one.entry.sop_instance}: {error}")
        progress(len(located), len(located))
    return pushed


def _files(archive: Archive, wanted: list[Located]) -> Iterator[tuple[Located, bytes | Large]]:
    small = [one for one in wanted if one.entry.length <= MEMORY_BYTES_MAX]
    current: Located | None = None
    gathered = bytearray()
    for one, piece, begins in stream(archive, small):
        if begins and current is not None:
            yield current, bytes(gathered)
            gathered.clear()
        current = one
        gathered += piece
    if current is not None:
        yield current, bytes(gathered)
    for one in wanted:
        if one.entry.length > MEMORY_BYTES_MAX:
            yield one, Large(archive, one)


class Large:
    """An instance as a body of known length, read from the object store as it is sent."""

    def __init__(self, archive: Archive, located: Located) -> None:
        self._archive, self._located, self._at = archive, located, 0
        self._piece = memoryview(b"")

    def __len__(self) -> int:
        return self._located.entry.length

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes; empty at the end."""
        if not self._piece:
            left = min(len(self) - self._at, MEMORY_BYTES_MAX)
            entry = self._located.entry
            data = (
                self._archive.objects.read_range(self._located.key, entry.offset + self._at, left)
                if left
                else b""
            )
            self._at, self._piece = self._at + len(data), memoryview(data)
        taken = self._piece[: size if size > 0 else None]
        self._piece = self._piece[len(taken) :]
        return bytes(taken)
