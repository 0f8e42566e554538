"""Retelling: what rows of the index have from instances that were withdrawn, they get from those that are left."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from sqlalchemy import Connection

from pacs.errors import ObjectMissing
from pacs.logs import get
from pacs.uids import is_uid
from pacs.values import Json
from storage import describe
from storage.archive import Archive
from storage.index import rejections, removes
from storage.index.writes import Row

log = get("retelling")
Keys = tuple[int, int, int]  # patient, study, series


def retell(archive: Archive, connection: Connection, withdrawn: Mapping[Keys, Sequence[Json]]) -> None:
    """Of these series and their studies; each with attributes of instances that are no longer shown."""
    for study_pk in sorted({study_pk for _, study_pk, _ in withdrawn}):
        try:
            left = dict(_left(archive, connection, study_pk))
        except ObjectMissing:  # what is lost, `check` tells; the rows stay as they are
            log.warning("study_not_retold", study=study_pk)
            continue
        told = [a for some in left.values() for a in some]
        if told:
            classes = {describe.sop_class(a) for a in told}
            regions = {region for a in told for region in describe.regions(a)}
            rejections.set_told(connection, study_pk, filter(is_uid, classes), regions)
        for keys, olds in withdrawn.items():
            news = left.get(keys[2]) or told
            if keys[1] == study_pk and news:
                for old in olds:
                    readings = zip(described(old), described(news[0]), strict=True)
                    removes.mend(connection, keys, readings)


def _left(archive: Archive, connection: Connection, study_pk: int) -> Iterator[tuple[int, list[Json]]]:
    """The study's series, each with the DICOM JSON of its instances."""
    for series_pk in rejections.series_shown(connection, study_pk):
        yield series_pk, [json.loads(line) for line in archive.metadata(connection, series_pk)]


def described(a: Json) -> tuple[Row, Row, Row]:
    """The rows of an instance, without their keys."""
    return describe.patient_row(a, 0, ""), describe.study_row(a, 0, ""), describe.series_row(a, 0, "")
