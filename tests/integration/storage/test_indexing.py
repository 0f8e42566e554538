"""Indexing on a real PostgreSQL: once or twice, one by one or at once, the archive is the same (promises P4, P9)."""

from __future__ import annotations

import io
import os
import signal
import threading
import uuid
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from sqlalchemy import text

from pacs.access import Principal, Role
from pacs.attributes import Level
from pacs.encoded import Instance, read_head, read_instance
from pacs.processes import ProcessDied, in_a_fork
from pacs.query import Query
from pacs.settings import Settings
from storage.archive import Archive
from storage.claims import claimed, of_thumbnail
from storage.incidents import list_incidents
from storage.indexing import TRIES_MAX, Outcome, index_pack
from storage.reception import Reception
from storage.records import Origin
from storage.renditions import derive_series, read_thumbnail
from storage.search import Found, search
from storage.shipping import ship
from storage.spool import Spool
from storage.sweeps import sweep
from tests.support.ledger import ct_template
from tests.support.server import eventually

ADMINISTRATOR = Principal("admin", Role.ADMINISTRATOR)


class Noted:
    """Hints, noted instead of sent."""

    def __init__(self) -> None:
        self.packs: list[uuid.UUID] = []
        self.series: list[int] = []
        self.renditions = 0

    def index_pack(self, pack_id: uuid.UUID, *, urgent: bool = False) -> None:
        self.packs.append(pack_id)

    def derive_series(self, series_pk: int) -> None:
        self.series.append(series_pk)

    def make_progressive(self) -> None:
        self.renditions += 1


def instance(number: int = 1, **changes: object) -> Dataset:
    dataset = ct_template()
    dataset.PatientID, dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "P1", "1.2.1", "1.2.1.1"
    dataset.SOPInstanceUID, dataset.InstanceNumber = f"1.2.1.1.{number}", number
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    return dataset


def encoded(dataset: Dataset) -> bytes:
    out = io.BytesIO()
    dataset.save_as(out, implicit_vr=False, little_endian=True)
    return out.getvalue()[read_head(out.getvalue()).dataset_offset :]


def packed(archive: Archive, *bodies: Dataset | bytes, facility: str = "LOCAL") -> uuid.UUID:
    """One pack with these instances, shipped and not indexed."""
    sealed: list[Path] = []
    spool = Spool(archive.settings.spool / uuid.uuid4().hex, archive.settings, sealed.append)
    reception = Reception(spool)
    for body in bodies:
        uid = body.SOPInstanceUID if isinstance(body, Dataset) else generate_uid()
        data = encoded(body) if isinstance(body, Dataset) else body
        origin = Origin(facility, "CT1", "TONGYING", "127.0.0.1")
        reception.begin(origin, "1.2.840.10008.5.1.4.1.1.2", uid, "1.2.840.10008.1.2.1")
        reception.room(len(data))[:] = data
        reception.took(len(data))
        reception.commit()
    spool.close()
    (segment,) = sealed
    return ship(archive, segment)


def studies(archive: Archive) -> list[Found]:
    return search(archive, Query(Level.STUDY), ADMINISTRATOR)


def test_twice_changes_nothing(archive: Archive) -> None:
    pack = packed(archive, instance(1), instance(2))
    assert index_pack(archive, pack).shown == 2
    assert index_pack(archive, pack).state == "nothing to do"
    (study,) = studies(archive)
    assert (study.series_count, study.study_instance_count, study.modalities) == (1, 2, ["CT"])


def test_the_same_instance_again_is_stored_once(archive: Archive) -> None:
    index_pack(archive, packed(archive, instance(1), instance(1)))
    again = index_pack(archive, packed(archive, instance(1), instance(2)))
    assert (again.shown, again.repeated) == (1, 1)
    (study,) = studies(archive)
    assert study.study_instance_count == 2


def test_other_content_under_one_uid_is_kept_and_told(archive: Archive) -> None:
    index_pack(archive, packed(archive, instance(1)))
    outcome = index_pack(archive, packed(archive, instance(1, ImageComments="other")))
    assert (outcome.shown, outcome.conflicts) == (0, 1)
    (incident,) = list_incidents(archive, ADMINISTRATOR, 10, None)
    assert incident["kind"] == "conflict"
    (study,) = studies(archive)
    assert study.study_instance_count == 1


def test_only_the_first_thumbnail_is_hinted(archive: Archive) -> None:
    """Of a series that grows it is made anew when it is quiet: the sweep finds it."""
    (series,) = index_pack(archive, packed(archive, instance(1))).series
    assert index_pack(archive, packed(archive, instance(2))).series == [series]
    assert derive_series(archive, series)
    assert index_pack(archive, packed(archive, instance(3))).series == []


def test_packs_of_one_series_at_once(archive: Archive) -> None:
    """Eight packs, each with one instance of its own and one that all share, indexed by eight threads."""
    packs = [packed(archive, instance(100), instance(n)) for n in range(8)]
    outcomes: list[Outcome] = []
    threads = [threading.Thread(target=lambda p=p: outcomes.append(index_pack(archive, p))) for p in packs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(o.shown for o in outcomes) == 9
    assert sum(o.repeated for o in outcomes) == 7
    (study,) = studies(archive)
    assert study.study_instance_count == 9


def test_what_cannot_be_read_is_quarantined_alone(archive: Archive) -> None:
    nameless = instance(2, StudyInstanceUID="")
    outcome = index_pack(archive, packed(archive, instance(1), b"\x00\x01garbage" * 50, nameless))
    assert (outcome.shown, outcome.quarantined) == (1, 2)
    found = list_incidents(archive, ADMINISTRATOR, 10, None)
    assert {i["kind"] for i in found} == {"quarantine"}
    assert len(found) == 2


def test_what_kills_its_reader_is_quarantined_alone(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A defect of a decoder, say: the first tries end with the worker, the last reads each in a process of its own."""

    def read(body: bytes, **options: Any) -> Instance:
        if b"DEADLY" in body:
            os.kill(os.getpid(), signal.SIGKILL)
        return read_instance(body, **options)

    monkeypatch.setattr("storage.parsing.read_instance", read)
    pack = packed(
        archive, instance(1), instance(2, ImageComments="DEADLY"), instance(3), b"\x00\x01garbage" * 50
    )
    for _ in range(TRIES_MAX - 1):
        with pytest.raises(ProcessDied, match="SIGKILL"):
            in_a_fork(30, index_pack, archive, pack)
    outcome = index_pack(archive, pack)
    assert (outcome.state, outcome.shown, outcome.quarantined) == ("indexed", 2, 2)
    reasons = [i["reason"] for i in list_incidents(archive, ADMINISTRATOR, 10, None)]
    assert "it cannot be read (ProcessDied)" in reasons


def test_one_id_for_two_people_shows_neither_the_other(archive: Archive) -> None:
    first = instance(1, PatientName="Doe^John", PatientBirthDate="19500101", PatientSex="M")
    second = instance(
        2, PatientName="Roe^Jane", PatientBirthDate="19990909", PatientSex="F",
        StudyInstanceUID="1.2.2", SeriesInstanceUID="1.2.2.1",
    )  # fmt: skip
    index_pack(archive, packed(archive, first, second))
    shown = {(s.patient_name, str(s.birth_date), s.sex) for s in studies(archive)}
    assert shown == {("Doe^John", "1950-01-01", "M"), ("Roe^Jane", "1999-09-09", "F")}


def test_one_study_uid_under_two_patients_is_two_studies(archive: Archive) -> None:
    index_pack(archive, packed(archive, instance(1)))
    index_pack(archive, packed(archive, instance(2, PatientID="P2")))
    assert sorted(s.patient_id for s in studies(archive)) == ["P1", "P2"]
    assert [i["kind"] for i in list_incidents(archive, ADMINISTRATOR, 10, None)] == ["patient"]


def test_facilities_are_walls(archive: Archive) -> None:
    index_pack(archive, packed(archive, instance(1)))
    index_pack(archive, packed(archive, instance(1, PatientName="Other^One"), facility="OTHER"))
    assert len(studies(archive)) == 2
    assert list_incidents(archive, ADMINISTRATOR, 10, None) == []
    theirs = replace(ADMINISTRATOR, facility="OTHER")
    (study,) = search(archive, Query(Level.STUDY), theirs)
    assert study.patient_name == "Other^One"


def test_the_sweep_does_what_lost_hints_did_not(archive: Archive) -> None:
    pack = packed(archive, instance(1))
    hints = Noted()
    assert sweep(archive, hints) == 0, "it was hinted a moment ago"
    with archive.database.begin() as connection:
        connection.execute(text("UPDATE packs SET hinted_at = now() - interval '1 minute'"))
    sweep(archive, hints)
    sweep(archive, hints)
    assert hints.packs == [pack], "hinted once, not at each sweep"
    index_pack(archive, pack)
    with archive.database.begin() as connection:
        connection.execute(text("UPDATE series SET updated_at = now() - interval '1 minute'"))
    sweep(archive, hints)
    sweep(archive, hints)
    assert len(hints.series) == 1


def test_thumbnails_come_at_once_and_again_when_it_is_quiet(archive: Archive) -> None:
    index_pack(archive, packed(archive, instance(1)))
    (row,) = search(archive, Query(Level.SERIES), ADMINISTRATOR)
    icon = read_thumbnail(archive, row.series_pk, row.modality)
    assert derive_series(archive, row.series_pk)
    assert read_thumbnail(archive, row.series_pk, row.modality) != icon
    index_pack(archive, packed(archive, instance(2)))
    assert not derive_series(archive, row.series_pk), "it still grows"
    with archive.database.begin() as connection:
        connection.execute(text("UPDATE series SET updated_at = now() - interval '1 minute'"))
    assert derive_series(archive, row.series_pk)
    assert not derive_series(archive, row.series_pk)


def test_one_worker_at_a_time_makes_a_thumbnail(archive: Archive) -> None:
    """While one is at it another one goes on with other work, and no try is counted; if it dies, the next may begin."""
    index_pack(archive, packed(archive, instance(1)))
    (row,) = search(archive, Query(Level.SERIES), ADMINISTRATOR)
    with claimed(archive, of_thumbnail(row.series_pk)) as mine:
        assert mine
        assert not derive_series(archive, row.series_pk)
    with pytest.raises(ProcessDied, match="SIGKILL"):
        in_a_fork(30, die_at_it, archive.settings, row.series_pk)
    eventually(partial(derive_series, archive, row.series_pk), 20, "the claim of the dead is free")
    (after,) = search(archive, Query(Level.SERIES), ADMINISTRATOR)
    assert (after.derived_count, after.derive_tries) == (1, 0)


def die_at_it(settings: Settings, series_pk: int) -> None:
    own = Archive.open(settings)
    with claimed(own, of_thumbnail(series_pk)) as mine:
        assert mine
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_pack_that_kills_its_worker_is_given_up(archive: Archive) -> None:
    pack = packed(archive, instance(1))
    with archive.database.begin() as connection:
        connection.execute(text("UPDATE packs SET tries = 3"))
    assert index_pack(archive, pack).state == "failed"
    with archive.database.begin() as connection:  # as an operator would, after mending it
        connection.execute(text("UPDATE packs SET state = 'shipped', tries = 0"))
    assert index_pack(archive, pack).shown == 1
