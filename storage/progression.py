"""Make HTJ2K renditions (`storage.progressive`) of large series in the background.

Of all work it is the last: it stops as soon as a pack waits to be indexed or a series for its thumbnail, after some
seconds in any case, and goes on later where it stopped; and frames are encoded only when nobody else wants the
processor. One frame at a time is in memory; those that are done lie in a file of this machine until their object is
whole.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row, exists, func, not_, select, update

from pacs.errors import ObjectMissing
from pacs.logs import get
from pacs.pixels.description import PixelDescription, PixelError, describe
from pacs.pixels.progression import resolution_ends
from pacs.processes import only_when_idle
from pacs.settings import Settings
from pacs.transcode import LOSSLESS_SOURCES, RPCL, frame_in
from pacs.values import Json
from storage import contents
from storage.archive import Archive
from storage.claims import claimed, of_progressive
from storage.contents import Entry
from storage.database import AWAY
from storage.index.tables import packs, series, series_packs
from storage.location import Located
from storage.packnames import contents_key, metadata_key, progressive_key
from storage.progressive import resolutions
from storage.renditions import TRIES_MAX
from storage.retrieve import read_frame
from storage.workfile import WorkFile, remove_old

log = get("progression")
FRAME_BYTES_MAX = 128 * 1024 * 1024  # of a decoded frame; what is larger is left as it came
PIXEL_BYTES_MAX = 6  # three samples of 16 bits
ROOM_FACTOR = 4  # times the space below which nothing is received, so that renditions are not the cause
LOOK_SECONDS = 0.1  # between looks whether something more urgent waits
LOOKED_AT = 16  # series: more than there are workers who could be at them
Part = Row[Any]  # a part of a series: series_pk, pack_id, edition, rendition_bytes, rendition_tries, key
Stop = Callable[[], bool]


def make_progressive(archive: Archive, seconds: float) -> int:
    """Make renditions for so long, those of what came last first; how many objects were made. Raises OSError or a
    database error where a dependency is away."""
    if not archive.settings.rendition_bytes_min:
        return 0
    stop, made = _stopper(archive, seconds), 0
    while not stop():
        for series_pk in _due(archive):
            with claimed(archive, of_progressive(series_pk)) as mine:
                if mine:
                    made += _make_series(archive, series_pk, stop)
                    break
        else:
            remove_old(archive.settings)
            break
    return made


def waits(connection: Connection, quiet_seconds: float) -> bool:
    """Whether a series waits for its renditions, and nothing more urgent waits."""
    due = select(exists().where(*_is_due(quiet_seconds)))
    return bool(connection.execute(due).scalar()) and not _is_urgent(connection)


def _is_due(quiet_seconds: float) -> tuple[Any, ...]:
    return (series.c.rendition_at < func.now() - timedelta(seconds=quiet_seconds),)


def _is_urgent(connection: Connection) -> bool:
    indexing = exists().where((packs.c.state == "shipped") & not_(packs.c.again))
    again = exists().where(packs.c.again)
    drawing = exists().where(
        series.c.derived_count < series.c.instance_count, series.c.derive_tries < TRIES_MAX
    )
    return bool(connection.execute(select(indexing | again | drawing)).scalar())


def _stopper(archive: Archive, seconds: float) -> Stop:
    """Whether time is up, room is low, or something more urgent waits: at the first look, or at two in a row, which is
    what no other worker was free for. Once it is said it stays."""
    until, looked, waited, said = time.monotonic() + seconds, 0.0, True, False

    def stop() -> bool:
        nonlocal looked, waited, said
        now = time.monotonic()
        if said or now > until:
            return True
        if now - looked < LOOK_SECONDS:
            return False
        looked, before = now, waited
        with archive.database.read() as connection:
            waited = _is_urgent(connection)
        said = (waited and before) or not _has_room(archive.settings)
        return said

    return stop


def _has_room(settings: Settings) -> bool:
    return shutil.disk_usage(settings.data).free >= ROOM_FACTOR * settings.disk_free_bytes_min


def _due(archive: Archive) -> Sequence[int]:
    newest = (
        select(series.c.id)
        .where(*_is_due(archive.settings.rendition_quiet_seconds))
        .order_by(series.c.rendition_at.desc())
        .limit(LOOKED_AT)
    )
    with archive.database.read() as connection:
        return connection.execute(newest).scalars().all()


def _make_series(archive: Archive, series_pk: int, stop: Stop) -> int:
    """Make what a series lacks; how many objects. If it is interrupted it stays due: at once by `stop`, after a while
    by all else, so that what kills a worker or cannot be read is not the next again."""
    with archive.database.begin() as connection:
        since = _begin(connection, series_pk)
        parts = _parts(connection, series_pk)
    made, whole = 0, True
    if since is not None:
        try:
            made, whole = _make_parts(archive, parts, stop)
        except ObjectMissing as error:  # `check` tells of it
            log.warning("rendition_impossible", series=series_pk, missing=str(error))
    with archive.database.begin() as connection:
        if whole:
            _settle(connection, series_pk, parts)
        else:
            connection.execute(update(series).where(series.c.id == series_pk).values(rendition_at=since))
    return made


def _make_parts(archive: Archive, parts: list[Part], stop: Stop) -> tuple[int, bool]:
    """How many were made, and whether that is all there is to make."""
    made = 0
    if _is_large(archive, parts):
        for part in (p for p in parts if p.rendition_bytes is None and p.rendition_tries < TRIES_MAX):
            outcome = _make_part(archive, part, stop)
            if outcome is None:
                return made, False
            made += outcome
    return made, True


def _begin(connection: Connection, series_pk: int) -> Any:
    """Since when it was due; from now on, until it is done, it is due again after a while. None: it is not."""
    mine = series.c.id == series_pk
    since = connection.execute(select(series.c.rendition_at).where(mine).with_for_update()).scalar()
    if since is not None:
        connection.execute(update(series).where(mine).values(rendition_at=func.now()))
    return since


def _parts(connection: Connection, series_pk: int) -> list[Part]:
    of = series_packs.c
    columns = (of.series_pk, of.pack_id, of.edition, of.rendition_bytes, of.rendition_tries, packs.c.key)
    query = select(*columns).join(packs, packs.c.id == of.pack_id)
    return list(connection.execute(query.where(of.series_pk == series_pk).order_by(of.pack_id)))


def _settle(connection: Connection, series_pk: int, parts: list[Part]) -> None:
    """It is not due any more, unless it has changed since; it is locked against that first."""
    mine = series.c.id == series_pk
    connection.execute(select(series.c.id).where(mine).with_for_update())
    now = {(p.pack_id, p.edition) for p in _parts(connection, series_pk)}
    if now == {(p.pack_id, p.edition) for p in parts}:
        connection.execute(update(series).where(mine).values(rendition_at=None))


def _is_large(archive: Archive, parts: list[Part]) -> bool:
    """Whether its pixels, uncompressed, are enough bytes; the metadata are read only where they may be."""
    least = archive.settings.rendition_bytes_min
    entries = [e for p in parts for e in _entries(archive, p)]
    if sum(e.rows * e.columns * e.frame_count * PIXEL_BYTES_MAX for e in entries if _is_source(e)) < least:
        return False
    return sum(d.decoded_bytes * e.frame_count for p in parts for e, _, d in _sources(archive, p)) >= least


def _entries(archive: Archive, part: Part) -> list[Entry]:
    key = contents_key(part.series_pk, part.pack_id, part.edition)
    return [e for e in contents.decode(archive.objects.get(key), part.pack_id) if not e.conflict]


def _is_source(entry: Entry) -> bool:
    """Whether it came uncompressed, or compressed without loss: of lossy frames a lossless copy would be larger."""
    return entry.transfer_syntax in LOSSLESS_SOURCES and entry.frames is not None


def _sources(archive: Archive, part: Part) -> Iterator[tuple[Entry, Json, PixelDescription]]:
    """The instances that a rendition is made of, each with its attributes."""
    lines = archive.objects.get(metadata_key(part.series_pk, part.pack_id, part.edition))
    for entry, line in zip(_entries(archive, part), contents.decode_metadata(lines), strict=True):
        if not _is_source(entry):
            continue
        attributes: Json = json.loads(line)
        with contextlib.suppress(PixelError):
            description = describe(attributes)
            if _can_be_small(description):
                yield entry, attributes, description


def _can_be_small(description: PixelDescription) -> bool:
    """Whether its frames can be coded, and are pictures when they are halved, as indexes into a palette are not."""
    codable = description.bits_allocated in (8, 16) and description.decoded_bytes <= FRAME_BYTES_MAX
    return codable and description.photometric != "PALETTE COLOR"


def _make_part(archive: Archive, part: Part, stop: Stop) -> bool | None:
    """Make the object of a pack's part, or find that there is nothing to make; None if it was stopped. A file that
    kills the encoder comes here again after the worker is back, and is given up."""
    _count_try(archive, part, 1)
    try:
        made = _encode(archive, part, stop)
    except AWAY:
        with contextlib.suppress(*AWAY):
            _count_try(archive, part, -1)
        raise
    _count_try(archive, part, -1)
    return made


def _count_try(archive: Archive, part: Part, count: int) -> None:
    tries = series_packs.c.rendition_tries
    with archive.database.begin() as connection:
        connection.execute(update(series_packs).where(*_row(part)).values(rendition_tries=tries + count))


def _row(part: Part) -> tuple[Any, ...]:
    of = series_packs.c
    return (of.series_pk == part.series_pk, of.pack_id == part.pack_id, of.edition == part.edition)


def _encode(archive: Archive, part: Part, stop: Stop) -> bool | None:
    """A thread of its own encodes frames, and does nothing else: who waits behind everybody must hold no row's lock."""
    key = progressive_key(part.series_pk, part.pack_id, part.edition)
    idle = ThreadPoolExecutor(1, "encoder", only_when_idle)
    with WorkFile(archive.settings, key) as work, idle as encoder:
        for entry, attributes, description in _sources(archive, part):
            count = min(len(entry.frames.ranges) if entry.frames else 0, description.frames)
            for index in range(work.frames_of(entry.sop_instance), count):
                if stop():
                    return None
                located = Located(entry, part.key, "", "")
                frame = encoder.submit(_frame, archive, located, attributes, index)
                work.add(entry.sop_instance, frame.result())
        made = work.count > 0
        if made:
            _store(archive, part, key, work)
        work.remove()
    return made


def _frame(
    archive: Archive, located: Located, attributes: Json, index: int
) -> tuple[bytes, tuple[int, ...]] | None:
    """A frame and where its resolutions end; None for one that has no place in HTJ2K, which is told when it is asked
    for."""
    encoded = read_frame(archive, located, index)
    try:
        frame = frame_in(attributes, encoded, located.entry.transfer_syntax, index, RPCL)
        return frame, resolution_ends(frame)
    except PixelError:
        return None


def _store(archive: Archive, part: Part, key: str, work: WorkFile) -> None:
    """The object first, then its row; where the series has a new edition meanwhile, nobody may know of it."""
    lines = work.lines
    size = work.finish()
    archive.objects.put_file(key, work.path)
    frames = sum(len(e.frames.ranges) for e in _entries(archive, part) if e.frames)
    told = resolutions(lines) if work.count == frames else ()
    values = {"rendition_bytes": size, "resolutions": list(told)}
    with archive.database.begin() as connection:
        known = connection.execute(update(series_packs).where(*_row(part)).values(values)).rowcount
    if not known:
        archive.objects.delete(key)
    log.info(
        "rendition_made",
        series=part.series_pk,
        pack=str(part.pack_id),
        bytes=size,
        frames=work.count,
        of=frames,
    )
