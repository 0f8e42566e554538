"""Rejection Notes on a real PostgreSQL: what they name is not there, in whichever order it comes (promises P7, P10,
P11)."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydicom.dataset import Dataset
from sqlalchemy import text

from pacs.access import Principal, Role
from pacs.attributes import Level
from pacs.errors import Final, NotFound
from pacs.rejection import NAMED_MAX, Reference, write_note
from storage import presence, retrieve
from storage.archive import Archive
from storage.check import check
from storage.indexing import index_pack
from storage.location import locate
from storage.recycling import erase, find_rejection, list_rejections, restore
from storage.reindexing import Scope, add_from_store, mark
from storage.renditions import derive_series
from tests.integration.storage.test_indexing import instance, packed, studies
from tests.integration.storage.test_reindexing import answers, emptied, open_incidents, work
from tests.support.notes import note

OPERATOR = Principal("test", Role.ADMINISTRATOR)
CT = "1.2.840.10008.5.1.4.1.1.2"
SECOND = {"SeriesInstanceUID": "1.2.1.2"}


def named(*numbers: int, study: str = "1.2.1", series: str = "1.2.1.1") -> list[tuple[str, str, str, str]]:
    return [(study, series, CT, f"1.2.1.1.{n}") for n in numbers]


def index(archive: Archive, *bodies: Dataset | bytes, facility: str = "LOCAL") -> Any:
    return index_pack(archive, packed(archive, *bodies, facility=facility))


def shown(archive: Archive, study: str = "1.2.1") -> list[str]:
    try:
        return sorted(one.entry.sop_instance for one in locate(archive, OPERATOR, study))
    except NotFound:
        return []


def sound(archive: Archive) -> None:
    assert check(archive).findings == []


def test_what_a_note_names_is_gone(archive: Archive) -> None:
    index(archive, instance(1), instance(2), instance(3))
    index(archive, instance(4, **SECOND))
    outcome = index(archive, note(named(1, 3)))
    assert (outcome.shown, outcome.rejected) == (0, 1)
    assert shown(archive) == ["1.2.1.1.2", "1.2.1.1.4"]
    (study,) = studies(archive)
    assert (study.study_instance_count, study.series_count, study.modalities) == (2, 2, ["CT"])
    assert presence.known_uids(archive, 1, ["1.2.1.1.1", "1.2.1.1.9"]) == {"1.2.1.1.1"}, (
        "nobody need bring it again"
    )
    told = answers(archive)
    assert not any("1.2.1.1.1" in str(a.get("00080018")) for a in told[Level.IMAGE])
    sound(archive)


def test_an_emptied_study_leaves_no_row(archive: Archive) -> None:
    index(archive, instance(1), instance(2))
    index(archive, instance(3, **SECOND))
    derive_series(archive, 1)
    index(archive, note(named(1, 2, 3)))
    assert all(some == [] for some in answers(archive).values())
    with archive.database.begin() as connection:
        for table in ("patients", "studies", "series", "series_packs", "instances"):
            assert connection.execute(text(f"SELECT count(*) FROM {table}")).scalar() == 0, table
        kept = connection.execute(text("SELECT count(*) FROM asides")).scalar()
    assert kept == 4, "three images and the note"
    sound(archive)
    index(archive, instance(9, PatientName="Other^Name"))
    assert [s.patient_name for s in studies(archive)] == ["Other^Name"], (
        "nothing of what was rejected is left"
    )


def test_rows_tell_what_is_left(archive: Archive) -> None:
    """As they would if the rejected ones had never come."""
    wrong = {"StudyDescription": "Wrong", "PatientName": "Wrong^Name", "SeriesDescription": "Wrong"}
    other_class = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.4", "Modality": "MR"}
    index(archive, instance(1, **wrong), instance(5, **wrong, **other_class, **SECOND))
    index(archive, instance(2, StudyDescription="Right", PatientName="Right^Name", SeriesDescription="Right"))
    index(archive, note(named(1, 5)))
    (study,) = studies(archive)
    assert (study.patient_name, study.study_description, study.modalities) == ("Right^Name", "Right", ["CT"])
    before = answers(archive)
    assert before[Level.SERIES][0]["0008103E"]["Value"] == ["Right"]
    assert before[Level.STUDY][0]["00080062"]["Value"] == [CT]
    emptied(archive)
    add_from_store(archive)
    work(archive)
    assert answers(archive) == before


# `a` is named, and comes twice; `b` is another one.
ORDERS = [
    *sorted({("b", *order) for order in itertools.permutations(("a", "a", "note"))}),
    ("note", "a", "b"),
]


@pytest.fixture(autouse=True)
def _no_other_ships(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.reindexing.SETTLE_SECONDS", 0)


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_in_any_order(archive: Archive, order: tuple[str, ...]) -> None:
    made = {"a": instance(1), "b": instance(2), "note": note(named(1), uid="1.2.3.4")}
    for one in order:
        index(archive, made[one])
    assert shown(archive) == ["1.2.1.1.2"]
    sound(archive)
    before = answers(archive)
    mark(archive, OPERATOR, Scope())
    work(archive)
    assert answers(archive) == before
    emptied(archive)
    add_from_store(archive)
    work(archive)
    assert answers(archive) == before
    sound(archive)


def test_all_in_one_pack(archive: Archive) -> None:
    outcome = index(archive, instance(1), note(named(1)), instance(2), instance(1))
    assert (outcome.shown, outcome.rejected) == (1, 3)
    assert shown(archive) == ["1.2.1.1.2"]
    sound(archive)


def test_a_reindex_never_shows_it_for_a_moment(archive: Archive) -> None:
    """The packs of the images are read before that of the note: the register says it first."""
    index(archive, instance(1))
    index(archive, note(named(1)))
    emptied(archive)
    add_from_store(archive)
    with archive.database.begin() as connection:
        first = connection.execute(text("SELECT id FROM packs ORDER BY id LIMIT 1")).scalar_one()
    index_pack(archive, first)
    assert shown(archive) == []
    work(archive)
    sound(archive)


def test_a_lost_register_is_written_anew(archive: Archive) -> None:
    index(archive, instance(1), instance(2))
    index(archive, note(named(1)))
    (register,) = archive.objects.keys("rejections/")
    archive.objects.delete(register)
    emptied(archive)
    add_from_store(archive)
    work(archive)
    assert shown(archive) == ["1.2.1.1.2"]
    assert list(archive.objects.keys("rejections/")) == [register]
    sound(archive)


def test_another_facility_is_not_touched(archive: Archive) -> None:
    index(archive, instance(1), facility="HOSP1")
    index(archive, instance(1), facility="HOSP2")
    index(archive, note(named(1)), facility="HOSP2")
    assert [s.facility for s in studies(archive)] == ["HOSP1"]
    index(archive, instance(2), instance(1), facility="HOSP1")
    assert shown(archive) == ["1.2.1.1.1", "1.2.1.1.2"]
    sound(archive)


def test_another_study_is_not_meant(archive: Archive) -> None:
    index(archive, instance(1))
    index(archive, note(named(1, study="1.2.7")))
    assert shown(archive) == ["1.2.1.1.1"]
    sound(archive)


def test_both_contents_of_a_conflict(archive: Archive) -> None:
    index(archive, instance(1))
    index(archive, instance(1, ImageComments="other"), instance(2))
    index(archive, note(named(1)))
    assert shown(archive) == ["1.2.1.1.2"]
    sound(archive)


def test_a_conflict_in_another_study_takes_its_place(archive: Archive) -> None:
    """As it would if the rejected one had never come."""
    index(archive, instance(1))
    index(archive, instance(1, StudyInstanceUID="1.2.8", SeriesInstanceUID="1.2.8.1"))
    assert shown(archive, "1.2.8") == []
    index(archive, note(named(1)))
    work(archive)
    assert (shown(archive), shown(archive, "1.2.8")) == ([], ["1.2.1.1.1"])
    sound(archive)


def test_an_ordinary_key_object_is_shown(archive: Archive) -> None:
    index(archive, instance(1))
    index(archive, note(named(1), code="113000", uid="1.2.3.4"))
    assert shown(archive) == ["1.2.1.1.1", "1.2.3.4"]
    sound(archive)


def naming_no_uid() -> Dataset:
    made = note(named(1))
    (study,) = made.CurrentRequestedProcedureEvidenceSequence
    study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID = ""
    return made


def too_many() -> bytes:
    """By our own writer: pydicom takes many seconds."""
    references = (Reference("1.2.1.1", CT, f"1.2.1.1.{n}", True) for n in range(NAMED_MAX + 1))
    common = {"0020000D": {"vr": "UI", "Value": ["1.2.1"]}, "00100020": {"vr": "LO", "Value": ["P1"]}}
    return write_note(common, references, "113001", "", datetime.now(UTC))[1]


@pytest.mark.parametrize(
    "make",
    [lambda: note([]), naming_no_uid, too_many],
    ids=["nothing", "no UID", "too many"],
)
def test_malformed_notes_harm_nothing(archive: Archive, make: Callable[[], Dataset | bytes]) -> None:
    index(archive, instance(1))
    outcome = index(archive, make(), instance(2))
    assert (outcome.shown, outcome.rejected) == (2, 0)
    assert "1.2.1.1.1" in shown(archive)
    assert [k for k, _ in open_incidents(archive)] == ["rejection"]
    sound(archive)


def test_a_thumbnail_of_what_is_rejected_is_made_anew(archive: Archive) -> None:
    index(archive, instance(1), instance(2))
    derive_series(archive, 1)
    index(archive, note(named(2)))
    with archive.database.begin() as connection:
        assert connection.execute(text("SELECT derived_count FROM series")).scalar() == 0
    assert derive_series(archive, 1)


def test_at_once(archive: Archive) -> None:
    """Images and their note, indexed by several workers at the same time."""
    packs = [packed(archive, instance(n), instance(n + 10)) for n in range(8)]
    packs += [packed(archive, note(named(*range(8)), uid=f"1.2.3.{n}")) for n in range(2)]
    threads = [threading.Thread(target=index_pack, args=(archive, pack)) for pack in packs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert shown(archive) == sorted(f"1.2.1.1.{n + 10}" for n in range(8))
    sound(archive)


def test_bytes_of_the_others_are_what_they_were(archive: Archive) -> None:
    index(archive, instance(1), instance(2), instance(3))
    before = {
        one.entry.sop_instance: retrieve.read_part10(archive, one)
        for one in locate(archive, OPERATOR, "1.2.1")
    }
    index(archive, note(named(2)))
    after = {
        one.entry.sop_instance: retrieve.read_part10(archive, one)
        for one in locate(archive, OPERATOR, "1.2.1")
    }
    assert after == {uid: data for uid, data in before.items() if uid != "1.2.1.1.2"}


def bin_of(archive: Archive, state: str = "") -> list[Any]:
    return list_rejections(archive, OPERATOR, state=state)


def test_the_bin_tells_what_why_by_whom_and_until_when(archive: Archive) -> None:
    index(archive, instance(1), instance(2))
    index(archive, note(named(1, 2, 7), code="113037", reason="wrong patient", name="王^志誠"))
    (one,) = bin_of(archive)
    assert (one["study_uids"], one["patient_id"], one["patient_name"]) == (["1.2.1"], "P1", "王^志誠")
    assert (one["code"], one["meaning"]) == ("113037", "Rejected for Patient Safety Reasons")
    assert (one["reason"], one["author"], one["facility"]) == ("wrong patient", "CT1", "LOCAL")
    assert (one["state"], one["instances"]) == ("active", 2)
    assert one["kept_until"] - one["rejected_at"] == timedelta(days=30)
    stranger = Principal("other", Role.ADMINISTRATOR, "HOSP2")
    assert list_rejections(archive, stranger) == []
    for verb in (restore, erase, find_rejection):
        with pytest.raises(NotFound):
            verb(archive, stranger, one["id"])
    assert list_rejections(archive, Principal("CT1", Role.DEVICE, "LOCAL")) == []


@pytest.mark.parametrize("rebuilt", [False, True])
def test_restored_all_is_back(archive: Archive, rebuilt: bool) -> None:
    index(archive, instance(1), instance(2))
    index(archive, instance(1), instance(3, **SECOND))
    index(archive, instance(2, ImageComments="other"))
    before, bytes_before = answers(archive), read_all(archive)
    index(archive, note(named(1, 2, 3)))
    assert shown(archive) == []
    restore(archive, OPERATOR, bin_of(archive)[0]["id"])
    if rebuilt:
        emptied(archive)
        add_from_store(archive)
    work(archive)
    assert (answers(archive), read_all(archive)) == (before, bytes_before)
    sound(archive)
    (one,) = bin_of(archive)
    assert (one["state"], one["ended_by"], one["kept_until"]) == ("restored", "test", None)
    for verb in (restore, erase):
        with pytest.raises(Final):
            verb(archive, OPERATOR, one["id"])
    index(archive, note(named(1), uid=one["note_uid"]))
    assert "1.2.1.1.1" in shown(archive), "the same note again is no new one"
    index(archive, note(named(1)))
    assert "1.2.1.1.1" not in shown(archive)
    sound(archive)


def read_all(archive: Archive) -> dict[str, bytes]:
    return {
        o.entry.sop_instance: retrieve.read_part10(archive, o) for o in locate(archive, OPERATOR, "1.2.1")
    }


def test_another_note_hides_it_still(archive: Archive) -> None:
    index(archive, instance(1), instance(2))
    index(archive, note(named(1, 2)))
    index(archive, note(named(2)))
    restore(archive, OPERATOR, bin_of(archive)[-1]["id"])
    work(archive)
    assert shown(archive) == ["1.2.1.1.1"]
    sound(archive)
