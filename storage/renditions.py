"""Renditions: pictures derived from instances. All of them can be made anew."""

from __future__ import annotations

import json
from datetime import timedelta

from sqlalchemy import Connection, func, or_, select, update

from pacs.errors import ObjectMissing
from pacs.logs import get
from pacs.pixels.attributes import representative_frame
from pacs.pixels.description import PixelError
from pacs.pixels.icons import icon
from pacs.pixels.pictures import thumbnail
from pacs.values import Json
from storage.archive import Archive
from storage.claims import claimed, of_thumbnail
from storage.contents import Entry, in_display_order
from storage.index.tables import packs, series
from storage.location import Located
from storage.packnames import thumbnail_key
from storage.retrieve import cut, frame_ranges, read_ranges

log = get("renditions")
TRIES_MAX = 3
QUIET_SECONDS = (
    3  # a series that has not grown for this long gets its thumbnail made anew; its first one at once
)

# What stands on the icon of a series without pictures; all else by its modality.
LABELS = {"SR": "Report", "DOC": "Document", "ECG": "ECG", "HC": "Hard copy", "AU": "Audio", "KO": "Key objects",
          "PR": "Presentation", "RTSTRUCT": "Structures", "RTPLAN": "RT plan", "RTDOSE": "RT dose",
          "RTRECORD": "RT record", "SEG": "Segmentation", "REG": "Registration", "RAW": "Raw data"}  # fmt: skip


def derive_series(archive: Archive, series_pk: int) -> bool:
    """Make a series' thumbnail for the instances that it has now; False if that is done, given up, too early, or
    another worker is at it."""
    with claimed(archive, of_thumbnail(series_pk)) as mine:
        return mine and _derive_claimed(archive, series_pk)


def _derive_claimed(archive: Archive, series_pk: int) -> bool:
    with archive.database.begin() as connection:
        row = _count_try(connection, series_pk)
    if row is None:
        return False
    count, modality, tries = row
    # A file that kills the decoder comes here again after the worker is back; the last try shows an icon.
    picture = _picture(archive, series_pk, modality) if tries < TRIES_MAX else unshown(modality)
    archive.objects.put(thumbnail_key(series_pk), picture)
    with archive.database.begin() as connection:  # one that lost instances meanwhile may show one of them
        same = series.c.id == series_pk, series.c.instance_count >= count
        connection.execute(update(series).where(*same).values(derived_count=count, derive_tries=0))
    return True


def read_thumbnail(archive: Archive, series_pk: int, modality: str) -> bytes:
    """The thumbnail of a series as JPEG; an icon while it is not made yet."""
    try:
        return archive.objects.get(thumbnail_key(series_pk))
    except ObjectMissing:
        return unshown(modality)


def unshown(modality: str) -> bytes:
    """The icon for what has no picture, or cannot be shown."""
    return icon(modality or "DICOM", LABELS.get(modality, "No preview"))


def _count_try(connection: Connection, series_pk: int) -> tuple[int, str, int] | None:
    statement = (
        update(series)
        .where(
            series.c.id == series_pk,
            series.c.derived_count < series.c.instance_count,
            series.c.derive_tries < TRIES_MAX,
            or_(
                series.c.derived_count == 0,
                series.c.updated_at < func.now() - timedelta(seconds=QUIET_SECONDS),
            ),
        )
        .values(derive_tries=series.c.derive_tries + 1, updated_at=func.now())
        .returning(series.c.instance_count, series.c.modality, series.c.derive_tries)
    )
    row = connection.execute(statement).one_or_none()
    return (row[0], row[1], row[2]) if row else None


def _picture(archive: Archive, series_pk: int, modality: str) -> bytes:
    with archive.database.snapshot() as connection:
        entries = [e for e in archive.entries(connection, series_pk) if not e.conflict]
        lines = archive.metadata(connection, series_pk)
        with_pixels = [e for e in in_display_order(entries) if e.frames and e.frames.ranges]
        if not with_pixels:
            return unshown(modality)
        chosen = with_pixels[len(with_pixels) // 2]  # the middle slice
        key = connection.execute(select(packs.c.key).where(packs.c.id == chosen.pack)).scalar_one()
    attributes = _attributes(lines, chosen)
    frame = _frame_to_show(attributes, chosen)
    try:
        return _thumbnail(archive, Located(chosen, key, "", ""), attributes, frame)
    except PixelError as error:
        log.info("thumbnail_impossible", series=series_pk, reason=str(error))
        return unshown(modality)


def _thumbnail(archive: Archive, located: Located, attributes: Json, frame: int) -> bytes:
    ranges = frame_ranges(located, frame)

    def read(start: int, length: int) -> bytes:
        return b"".join(read_ranges(archive, located, cut(ranges, start, length)))

    size = sum(length for _, length in ranges)
    return thumbnail(attributes, read, size, located.entry.transfer_syntax, frame)


def _frame_to_show(attributes: Json, entry: Entry) -> int:
    """The first frame of a loop, else the one that the instance names, or its middle one."""
    assert entry.frames is not None, "only called for entries with frames"
    is_loop = any(tag in attributes for tag in ("00181063", "00181065", "00180040", "00082144"))
    frame = 0 if is_loop else representative_frame(attributes)
    return min(frame, len(entry.frames.ranges) - 1)


def _attributes(lines: list[bytes], entry: Entry) -> Json:
    wanted = entry.sop_instance.encode()
    for line in lines:
        if wanted in line:
            attributes: Json = json.loads(line)
            if attributes.get("00080018", {}).get("Value") == [entry.sop_instance]:
                return attributes
    raise PixelError("the metadata of the instance is missing")
