"""Performed procedure steps on a real PostgreSQL (PS3.4 F.7.2): states, the worklist, and what arrived of what was
announced."""

from __future__ import annotations

import pytest
from sqlalchemy import text as sql

from pacs.access import Principal, Role
from pacs.errors import BadAttributes, Conflict, Final, InvalidUID, MissingAttribute, NotFound
from pacs.performed import FIXED
from pacs.uids import new_uid, uid_hash
from pacs.values import Json, text
from pacs.worklist import STEP_ID, STEP_STATUS, element, step_of
from storage import performed
from storage.archive import Archive
from storage.facilities import add_facility
from storage.performed import Summary, change, create, recount, summarise
from storage.sweeps import sweep
from storage.worklist import list_entries, schedule, search
from tests.integration.storage.test_indexing import Noted
from tests.integration.storage.test_worklist import ADMIN, DAYS, asked, order

STUDY = "1.2.3.4"
DONE: Json = {"00400252": element("CS", "COMPLETED")}
BROKEN_OFF: Json = {"00400252": element("CS", "DISCONTINUED")}


def step(study_uid: str = STUDY, accession: str = "A1", step_id: str = "S1") -> Json:
    scheduled = {"0020000D": element("UI", study_uid), "00080050": element("SH", accession),
                 STEP_ID: element("SH", step_id)}  # fmt: skip
    return {
        "00080005": element("CS", "ISO_IR 192"), "00400252": element("CS", "IN PROGRESS"),
        "00400270": element("SQ", scheduled), "00400253": element("SH", "PPS1"), "00400241": element("AE", "CT_1"),
        "00400244": element("DA", "20260705"), "00400245": element("TM", "1000"), "00080060": element("CS", "CT"),
        "00100020": element("LO", "P1"),
    }  # fmt: skip


def series(images: list[str], others: list[str]) -> Json:
    """A Performed Series Sequence with one item."""
    references = [[{"00081150": element("UI", "1.2"), "00081155": element("UI", u)} for u in uids]
                  for uids in (images, others)]  # fmt: skip
    item = {"0020000E": element("UI", "1.2.3.4.5"), "00081140": {"vr": "SQ", "Value": references[0]},
            "00400220": {"vr": "SQ", "Value": references[1]}}  # fmt: skip
    return {"00400340": element("SQ", item)}


def arrive(archive: Archive, uids: list[str], facility: str = "LOCAL") -> None:
    """The narrow rows of instances that the archive shows."""
    with archive.database.begin() as connection:
        for uid in uids:
            connection.execute(
                sql("INSERT INTO instances SELECT :hash, id, 0, 1 FROM facilities WHERE code = :code"),
                {"hash": uid_hash(uid), "code": facility},
            )


def told(archive: Archive) -> list[str]:
    return [text(step_of(e), STEP_STATUS) for e in search(archive, "LOCAL", asked()).entries]


def statuses(archive: Archive) -> set[str]:
    return {e.status for e in list_entries(archive, ADMIN, days=DAYS)}


def clean(archive: Archive) -> None:
    """`check` at the end of each test looks at instances; these have no series."""
    with archive.database.begin() as connection:
        connection.execute(sql("DELETE FROM instances"))


def test_a_step_goes_from_the_worklist_to_its_end(archive: Archive) -> None:
    schedule(archive, "LOCAL", order())
    schedule(archive, "LOCAL", order("A2", "S2"))
    create(archive, "LOCAL", "CT_1", "1.2.3", step())
    assert told(archive) == ["STARTED", "SCHEDULED"]  # IHE: begun, and still told of
    assert change(archive, "LOCAL", "1.2.3", DONE) == []
    assert told(archive) == ["SCHEDULED"]
    assert statuses(archive) == {"COMPLETED", "SCHEDULED"}
    schedule(archive, "LOCAL", order())  # a late change of the order does not open it again
    assert told(archive) == ["SCHEDULED"]


def test_by_study_where_the_step_is_not_named(archive: Archive) -> None:
    schedule(archive, "LOCAL", order(t0020000D=element("UI", STUDY)))
    create(archive, "LOCAL", "CT_1", "1.2.3", step(accession="", step_id=""))
    change(archive, "LOCAL", "1.2.3", BROKEN_OFF)
    assert statuses(archive) == {"DISCONTINUED"}


def test_the_worklist_of_others_is_left_alone(archive: Archive) -> None:
    add_facility(archive, "OTHER", "Other")
    schedule(archive, "LOCAL", order(t0020000D=element("UI", STUDY)))
    create(archive, "OTHER", "CT_1", "1.2.3", step())
    change(archive, "OTHER", "1.2.3", DONE)
    assert told(archive) == ["SCHEDULED"]
    with pytest.raises(NotFound):
        change(archive, "LOCAL", "1.2.3", DONE)
    create(archive, "LOCAL", "CT_1", "1.2.3", step())  # another facility's UID is not taken


def test_a_second_creation_is_a_duplicate(archive: Archive) -> None:
    create(archive, "LOCAL", "CT_1", "1.2.3", step())
    with pytest.raises(Conflict):
        create(archive, "LOCAL", "CT_1", "1.2.3", step())


def test_nothing_is_set_after_the_end(archive: Archive) -> None:
    create(archive, "LOCAL", "CT_1", "1.2.3", step())
    change(archive, "LOCAL", "1.2.3", BROKEN_OFF)
    with pytest.raises(Final):
        change(archive, "LOCAL", "1.2.3", DONE)


@pytest.mark.parametrize(
    "tag", ["00400252", "00400270", "00400253", "00400241", "00400244", "00400245", "00080060"]
)
def test_what_a_creation_needs(archive: Archive, tag: str) -> None:
    with pytest.raises(MissingAttribute):
        create(archive, "LOCAL", "CT_1", "1.2.3", {t: e for t, e in step().items() if t != tag})


def test_what_cannot_be(archive: Archive) -> None:
    with pytest.raises(BadAttributes):
        create(archive, "LOCAL", "CT_1", "1.2.3", step() | DONE)
    with pytest.raises(InvalidUID):
        create(archive, "LOCAL", "CT_1", "no uid", step())
    with pytest.raises(NotFound):
        create(archive, "NOBODY", "CT_1", "1.2.3", step())
    with pytest.raises(NotFound):
        change(archive, "LOCAL", "1.2.3", DONE)
    create(archive, "LOCAL", "CT_1", "1.2.3", step() | {"00400254": element("LO", "a\0b")})
    with pytest.raises(BadAttributes):
        change(archive, "LOCAL", "1.2.3", {"00400252": element("CS", "DONE")})


def test_what_may_not_be_set_stays(archive: Archive) -> None:
    create(archive, "LOCAL", "CT_1", "1.2.3", step())
    changes = {
        "00100020": element("LO", "P2"),
        "00080060": element("CS", "CT"),
        "00400254": element("LO", "Head"),
    }
    assert change(archive, "LOCAL", "1.2.3", changes) == ["00100020"]  # the same modality again is no change
    with archive.database.begin() as connection:
        kept = connection.execute(sql("SELECT attributes FROM performed_steps")).scalar_one()
    assert (text(kept, "00100020"), text(kept, "00400254")) == ("P1", "Head")
    assert "00100020" in FIXED


def test_a_study_knows_whether_it_is_complete(archive: Archive) -> None:
    images, others = [new_uid() for _ in range(3)], [new_uid()]
    add_facility(archive, "OTHER", "Other")
    create(archive, "LOCAL", "CT_1", "1.2.3", step())
    assert summarise(archive, ADMIN, "LOCAL", STUDY) == Summary("IN PROGRESS", 0, 0)
    arrive(archive, images[:1])
    arrive(archive, images, "OTHER")  # not ours
    change(archive, "LOCAL", "1.2.3", DONE | series([*images, images[0]], others))
    assert summarise(archive, ADMIN, "LOCAL", STUDY) == Summary("COMPLETED", 4, 1)
    arrive(archive, images[1:])
    assert summarise(archive, ADMIN, "LOCAL", STUDY) == Summary("COMPLETED", 4, 3)
    arrive(archive, others)
    assert recount(archive) == 0  # counted a moment ago
    age(archive, seconds=60)
    sweep(archive, Noted())
    assert recount(archive) == 0  # nothing is missing
    assert kept(archive) == (4, 4)
    assert summarise(archive, Principal("x", Role.ADMINISTRATOR, "OTHER"), "LOCAL", STUDY) is None
    assert summarise(archive, ADMIN, "OTHER", STUDY) is None
    clean(archive)


def test_what_stays_missing_is_counted_ever_more_seldom_and_then_no_more(archive: Archive) -> None:
    create(archive, "LOCAL", "CT_1", "1.2.3", step())
    change(archive, "LOCAL", "1.2.3", DONE | series([new_uid()], []))
    age(archive, seconds=3600, created=36_000 * 2)
    assert recount(archive) == 0  # two hours are a tenth of its age
    age(archive, seconds=7300)
    assert recount(archive) == 1
    age(archive, seconds=86_400 * 4, created=86_400 * 31)
    assert recount(archive) == 0


def test_one_sweep_counts_a_few(archive: Archive) -> None:
    for number in range(performed.BATCH + 2):
        create(archive, "LOCAL", "CT_1", f"1.2.{number}", step())
        change(archive, "LOCAL", f"1.2.{number}", DONE | series([new_uid()], []))
    age(archive, seconds=60)
    assert [recount(archive) for _ in range(3)] == [performed.BATCH, 2, 0]


def age(archive: Archive, *, seconds: int, created: int = 0) -> None:
    with archive.database.begin() as connection:
        connection.execute(
            sql("UPDATE performed_steps SET updated_at = now() - make_interval(secs => :updated),"
                " created_at = CASE WHEN :created > 0 THEN now() - make_interval(secs => :created)"
                " ELSE created_at END"),
            {"updated": seconds, "created": created},
        )  # fmt: skip


def kept(archive: Archive) -> tuple[int, int]:
    with archive.database.begin() as connection:
        row = connection.execute(sql("SELECT announced, present FROM performed_steps")).one()
    return int(row[0]), int(row[1])
