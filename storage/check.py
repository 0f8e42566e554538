"""`check`: the archive verifies itself, every byte, count, row and audit entry (promises P3, P4, P7, P8, P12).

Each finding is one line that says what is wrong and where, without patient data.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, func, select, tuple_

from pacs.errors import ObjectMissing
from pacs.uids import uid_hash
from storage import records
from storage.archive import Archive
from storage.audit.verify import verify as verify_trail
from storage.blobs import ObjectReader
from storage.contents import Entry
from storage.index import known, steps, wall
from storage.index.erasures import known_keys
from storage.index.tables import asides, incidents, instances, packs, series, series_packs, studies
from storage.location import Located
from storage.packnames import progressive_key, thumbnail_key
from storage.progressive import verify
from storage.retrieve import stream

PAGE = 500  # rows read at a time
Progress = Callable[[str, int], None]


@dataclass
class Report:
    """What was looked at and what is wrong."""

    packs: int = 0
    series: int = 0
    instances: int = 0
    bytes: int = 0
    waiting: int = 0  # packs that are not indexed yet: no fault
    audited: int = 0  # entries of the audit trail
    incidents: int = 0  # open ones, for the operator: no fault of the archive
    findings: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        return not self.findings


def check(
    archive: Archive, *, read_bytes: bool = True, progress: Progress = lambda _what, _n: None
) -> Report:
    """Verify the archive; reads every stored byte unless told otherwise. Memory does not grow with it."""
    report = Report()
    _check_packs(archive, report, progress)
    _check_orphans(archive, report)
    _check_series(archive, report, read_bytes, progress)
    if read_bytes:
        _check_asides(archive, report, progress)
    trail = verify_trail(
        archive.database,
        archive.settings,
        archive.objects,
        progress=lambda n: progress("entries of the audit trail", n),
    )
    report.audited, report.findings = trail.entries, report.findings + trail.findings
    with archive.database.begin() as connection:
        if not wall.stands(connection):
            report.findings.append(wall.MISSING)
        _check_studies(connection, report)
        _check_instances(connection, report)
        astray = steps.misplaced(connection, PAGE)
        report.findings += [f"patient {pk} is not where its last step put it" for pk in astray]
        unknown = known.astray(connection, PAGE)
        report.findings += [
            f"study {pk} does not say who knows its patient, or its body parts" for pk in unknown
        ]
        report.incidents = connection.execute(
            select(func.count()).select_from(incidents).where(incidents.c.resolved_at.is_(None))
        ).scalar_one()
    return report


def _check_packs(archive: Archive, report: Report, progress: Progress) -> None:
    """Each row's object is there and has its size."""
    last = None
    while True:
        query = select(packs.c.id, packs.c.key, packs.c.bytes, packs.c.state).order_by(packs.c.id).limit(PAGE)
        with archive.database.begin() as connection:
            page = list(connection.execute(query if last is None else query.where(packs.c.id > last)))
        for row in page:
            _check_pack(archive, row, report)
            progress("packs", 1)
        if len(page) < PAGE:
            return
        last = page[-1].id


def _check_pack(archive: Archive, row: Row[Any, Any, Any, Any], report: Report) -> None:
    report.packs += 1
    report.waiting += row.state == "shipped"
    if row.state == "failed":
        report.findings.append(f"pack {row.id} could not be indexed")
    try:
        size = archive.objects.size(row.key)
    except ObjectMissing:
        report.findings.append(f"pack {row.id} is not in the object store")
        return
    if size != row.bytes:
        report.findings.append(f"pack {row.id} has {size} bytes, recorded are {row.bytes}")


def _check_orphans(archive: Archive, report: Report) -> None:
    """Each stored pack has a row, or is to be swept."""
    keys = list(archive.objects.keys("packs/"))
    for start in range(0, len(keys), PAGE):
        page = keys[start : start + PAGE]
        with archive.database.begin() as connection:
            known = known_keys(connection, page)
        report.findings += [f"object {key} has no row" for key in page if key not in known]


def _check_series(archive: Archive, report: Report, read_bytes: bool, progress: Progress) -> None:
    last = 0
    while True:
        columns = (series.c.id, series.c.instance_count, series.c.frame_count, series.c.derived_count)
        query = select(*columns).where(series.c.id > last).order_by(series.c.id).limit(PAGE)
        with archive.database.begin() as connection:
            page = list(connection.execute(query))
        for row in page:
            _check_one_series(archive, row, report, read_bytes)
            progress("series", 1)
        if len(page) < PAGE:
            return
        last = page[-1].id


def _check_one_series(
    archive: Archive, row: Row[Any, Any, Any, Any], report: Report, read_bytes: bool
) -> None:
    report.series += 1
    here = f"series {row.id}"
    try:
        with archive.database.snapshot() as connection:
            fresh = connection.execute(
                select(series.c.instance_count, series.c.frame_count).where(series.c.id == row.id)
            ).one_or_none()
            if fresh is None:
                return  # it was rejected meanwhile
            entries = archive.entries(connection, row.id)
            described = len(archive.metadata(connection, row.id))
            keys = _keys(connection, entries)
            known = _known(connection, row.id, entries)
            renditions = _renditions(connection, row.id)
    except ObjectMissing as error:
        report.findings.append(f"{here}: {error} is not in the object store")
        return
    shown = [e for e in entries if not e.conflict]
    report.instances += len(shown)
    report.findings += list(_counts(here, shown, fresh.instance_count, fresh.frame_count, described))
    report.findings += [f"{here}: an instance has no row" for e in shown if e.sop_instance not in known]
    if row.derived_count and not _exists(archive, thumbnail_key(row.id)):
        report.findings.append(f"{here}: its thumbnail is missing")
    for key, size in renditions:
        wrong = verify(archive.objects, key, size, read_bytes=read_bytes)
        report.findings += [f"{here}: its rendition {key}: {what}" for what in wrong]
    if read_bytes:
        located = [Located(e, keys[e.pack], "", "") for e in entries]
        report.findings += list(_hashes(archive, here, located, report))


def _renditions(connection: Connection, series_pk: int) -> list[tuple[str, int]]:
    """Key and size in bytes of those that are made."""
    of = series_packs.c
    query = select(of.pack_id, of.edition, of.rendition_bytes).where(
        of.series_pk == series_pk, of.rendition_bytes.is_not(None)
    )
    return [(progressive_key(series_pk, pack, n), size) for pack, n, size in connection.execute(query)]


def _counts(
    here: str, shown: list[Entry], instance_count: int, frame_count: int, described: int
) -> Iterator[str]:
    if len(shown) != instance_count:
        yield f"{here}: contents list {len(shown)} instances, its row {instance_count}"
    if described != len(shown):
        yield f"{here}: metadata describe {described} instances, contents {len(shown)}"
    frames = sum(e.frame_count for e in shown)
    if frames != frame_count:
        yield f"{here}: contents list {frames} frames, its row {frame_count}"
    if len({e.sop_instance for e in shown}) != len(shown):
        yield f"{here}: an instance is listed twice"


def _keys(connection: Connection, entries: list[Entry]) -> dict[object, str]:
    ids = list({e.pack for e in entries})
    return {
        row.id: row.key
        for row in connection.execute(select(packs.c.id, packs.c.key).where(packs.c.id.in_(ids)))
    }


def _known(connection: Connection, series_pk: int, entries: list[Entry]) -> set[str]:
    hashes = {uid_hash(e.sop_instance): e.sop_instance for e in entries}
    query = select(instances.c.uid_hash).where(
        instances.c.uid_hash == func.any(list(hashes)), instances.c.series_pk == series_pk
    )
    return {hashes[h] for h in connection.execute(query).scalars()}


def _exists(archive: Archive, key: str) -> bool:
    try:
        return archive.objects.size(key) > 0
    except ObjectMissing:
        return False


def _hashes(archive: Archive, here: str, located: list[Located], report: Report) -> Iterator[str]:
    """Each instance's data set has the SHA-256 that it came with."""
    try:
        for entry, digest in _digests(archive, located, report):
            if digest != entry.sha256:
                yield f"{here}: bytes at {entry.offset} of pack {entry.pack} are not those that were received"
    except ObjectMissing as error:
        yield f"{here}: {error} is not in the object store"


def _digests(archive: Archive, located: list[Located], report: Report) -> Iterator[tuple[Entry, str]]:
    current: Entry | None = None
    digest = hashlib.sha256()
    for one, piece, begins in stream(archive, located):
        if begins:
            if current is not None:
                yield current, digest.hexdigest()
            current, digest = one.entry, hashlib.sha256()
            piece = piece[one.entry.dataset_offset :]
        digest.update(piece)
        report.bytes += len(piece)
    if current is not None:
        yield current, digest.hexdigest()


def _check_asides(archive: Archive, report: Report, progress: Progress) -> None:
    """What is not shown can be shown again: each record has its CRC-32."""
    last: tuple[object, int] | None = None
    place = (asides.c.pack_id, asides.c.body_offset)
    while True:
        query = select(*place, packs.c.key).join(packs, packs.c.id == asides.c.pack_id).order_by(*place)
        with archive.database.begin() as connection:
            after = query if last is None else query.where(tuple_(*place) > tuple_(*last))
            page = list(connection.execute(after.limit(PAGE)))
        for row in page:
            if not _is_sound(archive, row.key, row.body_offset):
                report.findings.append(
                    f"pack {row.pack_id}: what is not shown at {row.body_offset} is damaged"
                )
            progress("records that are not shown", 1)
        if len(page) < PAGE:
            return
        last = page[-1].pack_id, page[-1].body_offset


def _is_sound(archive: Archive, key: str, body_offset: int) -> bool:
    try:
        reader = ObjectReader(archive.objects, key)
        record = records.of_body(reader, body_offset, reader.size)
        return record is not None and records.is_sound(reader, record)
    except ObjectMissing:
        return False


def _check_studies(connection: Connection, report: Report) -> None:
    """Stored counts are those of the series."""
    summed = (
        select(
            series.c.study_pk,
            func.sum(series.c.instance_count).label("instances"),
            func.count().filter(series.c.instance_count > 0).label("series"),
        )
        .group_by(series.c.study_pk)
        .subquery()
    )
    wrong = (
        select(studies.c.id)
        .outerjoin(summed, summed.c.study_pk == studies.c.id)
        .where(
            (func.coalesce(summed.c.instances, 0) != studies.c.instance_count)
            | (func.coalesce(summed.c.series, 0) != studies.c.series_count)
        )
        .limit(PAGE)
    )
    report.findings += [
        f"study {pk}: its counts are not those of its series" for pk in connection.execute(wrong).scalars()
    ]


def _check_instances(connection: Connection, report: Report) -> None:
    """As many narrow rows as instances, and fragments that add up."""
    rows = connection.execute(select(func.count()).select_from(instances)).scalar_one()
    counted = connection.execute(select(func.coalesce(func.sum(series.c.instance_count), 0))).scalar_one()
    if rows != counted:
        report.findings.append(f"there are {rows} instance rows, and {counted} instances in all series")
    fragments = connection.execute(
        select(func.coalesce(func.sum(series_packs.c.instance_count), 0))
    ).scalar_one()
    if fragments != counted:
        report.findings.append(f"fragments list {fragments} instances, series {counted}")
