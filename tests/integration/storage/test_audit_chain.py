"""The audit trail's chain: broken by hand as one can who owns the database, and found each time (promise P12)."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import exc, text

from pacs.access import Principal, Role
from pacs.audit import (
    GENESIS,
    Action,
    Entry,
    Outcome,
    Place,
    Service,
    Subject,
    chained,
    encode,
    from_json,
    to_json,
)
from storage.archive import Archive
from storage.audit import anchor, journal
from storage.audit.keys import OBJECT, chain_key
from storage.audit.recorder import Recorder
from storage.audit.verify import Verified, accept_loss, verify
from storage.index import ledger
from storage.index.ledger import Search
from tests.support.server import eventually

REGION = Principal("who", Role.AUDITOR)


def entry(number: int = 0, **told: object) -> Entry:
    given = {"who": f"user-{number}", "asked": f"study {number}", "studies": (f"1.2.{number}",)} | told
    return Entry(at=datetime.now(UTC), service=Service.API, action=Action.VIEW, **given)  # type: ignore[arg-type]


def count(archive: Archive) -> int:
    with archive.database.read() as connection:
        return int(connection.execute(text("SELECT count(*) FROM audit")).scalar_one())


def told(archive: Archive, number: int) -> None:
    before = count(archive)
    for n in range(number):
        archive.audit.record(entry(before + n + 1))
    eventually(lambda: count(archive) == before + number, 10, "the database has them")


def verified(archive: Archive, last_entries: int | None = None) -> Verified:
    return verify(archive.database, archive.settings, archive.objects, last_entries=last_entries)


def by_hand(archive: Archive, *statements: str) -> None:
    """As the owner of the table, who takes the fence down first."""
    with archive.database.begin() as connection:
        connection.execute(text("ALTER TABLE audit DISABLE TRIGGER ALL"))
        for statement in statements:
            connection.execute(text(statement))
        connection.execute(text("ALTER TABLE audit ENABLE TRIGGER ALL"))


BREAKS = {
    "an edited text": ("UPDATE audit SET who = 'another' WHERE position = 5", "entry 5 is not as it was"),
    "an edited time": ("UPDATE audit SET at = at - interval '1 s' WHERE position = 5", "entry 5 is not"),
    "another patient": ("UPDATE audit SET owners = '{A}', issuers = '{}', patient_ids = '{1}' "
                        "WHERE position = 5", "entry 5 was changed"),
    "an unknown action": ("UPDATE audit SET action = 'nothing' WHERE position = 5", "entry 5 was changed"),
    "another study": ("UPDATE audit SET studies = '{9.9}' WHERE position = 5", "entry 5 is not"),
    "a deleted one": ("DELETE FROM audit WHERE position = 5", "entries 5 to 5 are missing"),
    "several": ("DELETE FROM audit WHERE position BETWEEN 3 AND 6", "entries 3 to 6 are missing"),
    "the first ones": ("DELETE FROM audit WHERE position < 4", "entries 1 to 3 are missing"),
    "the end": ("DELETE FROM audit WHERE position > 7", "it ends with entry 7, and went to 10"),
    "all": ("TRUNCATE audit", "it ends with entry 0, and went to 10"),
    "one at the end": ("INSERT INTO audit SELECT 11, journal, 11, at, service, action, outcome, who, role, "
                       "facility, purpose, address, ae_title, asked, studies, owners, issuers, patient_ids, hash "
                       "FROM audit WHERE position = 10", "entry 11 is not"),
    "one before the first": ("INSERT INTO audit SELECT 0, journal, 11, at, service, action, outcome, who, role, "
                             "facility, purpose, address, ae_title, asked, studies, owners, issuers, patient_ids, "
                             "hash FROM audit WHERE position = 10", "entry 0 was put in"),
}  # fmt: skip


@pytest.mark.parametrize("what", BREAKS)
def test_broken_by_hand_and_found(archive: Archive, what: str) -> None:
    told(archive, 10)
    assert archive.audit.anchor()
    assert verified(archive).findings == []
    statement, said = BREAKS[what]
    with archive.database.begin() as connection:
        kept = connection.execute(text("SELECT * FROM audit")).all()
    by_hand(archive, statement)
    found = verified(archive)
    assert len(found.findings) == 1, found.findings
    assert said in found.findings[0]
    columns = ", ".join(f":{name}" for name in kept[0]._fields)
    with archive.database.begin() as connection:  # mended, since every archive here is checked at its end
        connection.execute(text("ALTER TABLE audit DISABLE TRIGGER ALL"))
        connection.execute(text("DELETE FROM audit"))
        connection.execute(
            text(f"INSERT INTO audit ({', '.join(kept[0]._fields)}) VALUES ({columns})"),
            [row._asdict() for row in kept],
        )
        connection.execute(text("ALTER TABLE audit ENABLE TRIGGER ALL"))
    assert verified(archive).sound


def test_swapped_and_rewritten(archive: Archive) -> None:
    """Two entries that take each other's places are both found; so is one put in between, for which all behind it
    were moved on and hashed anew, as one can who knows the rule but not the key."""
    told(archive, 6)
    archive.audit.anchor()
    swap = "UPDATE audit SET position = {} WHERE position = {}"
    swapped = [swap.format(*p) for p in ((100, 2), (2, 4), (4, 100))]
    by_hand(archive, *swapped)
    assert any("entry 2 " in f for f in verified(archive).findings)
    assert any("entry 4 " in f for f in verified(archive).findings)
    by_hand(archive, *swapped)
    assert verified(archive).sound

    with archive.database.begin() as connection:
        rows = ledger.rows_after(connection, None, 100)
        connection.execute(text("ALTER TABLE audit DISABLE TRIGGER ALL"))
        connection.execute(text("UPDATE audit SET who = 'another' WHERE position = 2"))
        before = bytes(rows[0].hash)
        for row in ledger.rows_after(connection, 1, 100):
            line = ledger.line_of(row)
            before = chained(b"not the key", before, line.position, line.place, line.entry)
            connection.execute(
                text("UPDATE audit SET hash = :hash WHERE position = :position"),
                {"hash": before, "position": line.position},
            )
    found = verified(archive).findings
    assert len(found) == 6, "five hashes, and the anchor's"
    with archive.database.begin() as connection:
        for row in rows:
            connection.execute(
                text("UPDATE audit SET who = :who, hash = :hash WHERE position = :position"),
                {"who": row.who, "hash": row.hash, "position": row.position},
            )
    assert verified(archive).sound


def test_the_anchor_does_not_follow_a_forgery(archive: Archive) -> None:
    """Who cuts the end off and lets the trail grow over it is found: the anchor stays at what it was."""
    told(archive, 6)
    archive.audit.anchor()
    by_hand(archive, "CREATE TABLE kept AS SELECT * FROM audit", "DELETE FROM audit WHERE position > 3")
    with pytest.raises(anchor.Forged):
        archive.audit.anchor()
    archive.audit.close()  # a journal of its own, so that its numbers are not known
    told(archive, 5)
    with pytest.raises(anchor.Forged):
        archive.audit.anchor()
    assert any("is not the one that stood there" in f for f in verified(archive).findings)
    by_hand(archive, "DELETE FROM audit", "INSERT INTO audit SELECT * FROM kept", "DROP TABLE kept")

    archive.objects.put(
        anchor.HEAD, archive.objects.get(anchor.HEAD).replace(b'"position": 6', b'"position": 3')
    )
    assert "does not have our signature" in verified(archive).findings[0]
    key = chain_key(archive.settings, archive.objects)
    with archive.database.begin() as connection:
        anchor.write(archive.objects, key, *(ledger.head(connection) or (0, GENESIS)))


def test_a_trail_lost_with_its_database_goes_on_and_says_so(archive: Archive) -> None:
    told(archive, 4)
    archive.audit.anchor()
    by_hand(archive, "TRUNCATE audit")
    archive.audit.close()
    archive.audit.record(entry(1))
    eventually(lambda: count(archive) == 2, 10)
    assert "entries 1 to 4 are missing" in verified(archive).findings[0]
    assert archive.audit.anchor()
    assert accept_loss(archive.database, archive.settings, archive.objects, "the disk burnt") == 4
    assert accept_loss(archive.database, archive.settings, archive.objects, "again") == 0
    report = verified(archive)
    assert (report.findings, report.first, report.last, report.lost) == ([], 5, 6, "the disk burnt")
    with archive.database.read() as connection:
        first = ledger.line_of(ledger.rows_after(connection, None, 1)[0])
    assert (first.entry.action, first.entry.outcome) == (Action.ALERT, Outcome.FAILED)


def test_the_fence(archive: Archive) -> None:
    told(archive, 1)
    for statement in ("UPDATE audit SET who = ''", "DELETE FROM audit", "TRUNCATE audit"):
        with pytest.raises(exc.ProgrammingError, match="append-only"), archive.database.begin() as connection:
            connection.execute(text(statement))


def test_only_the_last_entries(archive: Archive) -> None:
    told(archive, 10)
    report = verified(archive, 3)
    assert (report.first, report.last, report.entries) == (8, 10, 3)
    assert verified(archive, 100).first == 1


def test_what_a_killed_process_left_is_taken_in_once(archive: Archive) -> None:
    """Of a journal of which the database has a part already, and whose last line is torn."""
    folder = archive.settings.data / "audit"
    left = journal.Journal(folder)
    for number in range(1, 4):
        left.append(entry(number), durable=True)
    with left.path.open("ab") as file:
        file.write(b"00000000 4 {torn")
    assert archive.audit.recover() == 0, "it is held"
    archive.audit._all_of(left.path, 0)
    left.close(remove=False)
    assert (count(archive), archive.audit.recover(), count(archive)) == (3, 1, 3)
    assert list(folder.glob("*.journal")) == []
    assert verified(archive).sound


def test_a_damaged_journal_is_kept_and_told(archive: Archive) -> None:
    folder = archive.settings.data / "audit"
    left = journal.Journal(folder)
    for number in range(1, 4):
        left.append(entry(number), durable=True)
    damaged = bytearray(left.path.read_bytes())
    damaged[damaged.index(b"\n") + 30] ^= 1  # in the second line
    left.path.write_bytes(damaged)
    left.close(remove=False)
    assert (archive.audit.recover(), count(archive)) == (1, 1)
    (kept,) = folder.glob("*.damaged")
    assert "could not be read to its end" in verified(archive).findings[0]
    kept.unlink()


def test_many_threads_and_processes_at_once(archive: Archive) -> None:
    """Recorders beside each other: nothing is lost, and each one's order is kept."""
    others = [Recorder(archive.settings, archive.database, archive.objects) for _ in range(3)]

    def tell(recorder: Recorder) -> None:
        for number in range(50):
            recorder.record(entry(number), durable=number % 10 == 0)

    threads = [threading.Thread(target=tell, args=(r,)) for r in others for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for recorder in others:
        recorder.close()
    assert count(archive) == 300
    assert verified(archive).sound
    assert list((archive.settings.data / "audit").glob("*.journal")) == []


def test_what_is_noted_comes_too(archive: Archive) -> None:
    """Also where nobody says that it should be synced soon."""
    assert archive.audit.note(entry(1))
    eventually(lambda: count(archive) == 1, 10)


def test_a_disk_that_takes_nothing(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the database has it at once."""

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(journal.Journal, "append", full)
    archive.audit.record(entry(1))
    assert count(archive) == 1


def test_a_journal_is_emptied(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "TRIMMED_BYTES_MIN", 1000)
    told(archive, 20)
    (path,) = (archive.settings.data / "audit").glob("*.journal")
    eventually(lambda: path.stat().st_size == 0, 5)
    told(archive, 2)
    assert verified(archive).sound


def test_the_key_is_not_in_the_database(archive: Archive) -> None:
    told(archive, 1)
    key = chain_key(archive.settings, archive.objects)
    assert key not in archive.objects.get(OBJECT)
    with archive.database.read() as connection:
        for (name,) in connection.execute(
            text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        ).all():
            dumped = connection.execute(text(f"SELECT string_agg(t::text, '') FROM \"{name}\" t")).scalar()
            assert key.hex() not in str(dumped)


def test_who_reads_what(archive: Archive) -> None:
    """Of a facility: what its people did, and what was done with what it owns."""
    seen = {
        "own people": entry(1, facility="A"),
        "own patient": entry(2, facility="B", subjects=(Subject("A", "", "P1"),)),
        "others": entry(3, facility="B", subjects=(Subject("B", "", "P1"),)),
    }
    for one in seen.values():
        archive.audit.record(one)
    eventually(lambda: count(archive) == 3, 10)

    def found(principal: Principal, **search: object) -> list[int]:
        with archive.database.read() as connection:
            lines = ledger.find(connection, principal, Search(**search), 10)  # type: ignore[arg-type]
        return [line.position for line in lines]

    own = Principal("a", Role.AUDITOR, "A")
    assert found(own) == [2, 1]
    assert found(REGION) == [3, 2, 1]
    assert found(REGION, patient_id="P1") == [3, 2]
    assert found(REGION, patient_id="P1", owner="A") == [2]
    assert found(own, patient_id="P1") == [2]
    assert found(REGION, study_uid="1.2.3") == [3]
    assert found(REGION, who="user-1", actions=("view",), outcome="success") == [1]
    assert found(REGION, since=datetime.now(UTC) - timedelta(minutes=1), before=3) == [2, 1]
    assert found(REGION, until=datetime.now(UTC) - timedelta(minutes=1)) == []


def test_bytes_are_the_same_always(tmp_path: Path) -> None:
    one = Entry.of(
        Principal("王\0医\ud800生" + "x" * 500, Role.CLINICIAN, "A"), service=Service.API, action=Action.VIEW,
        asked="a\\b", studies=("1.2",), subjects=(Subject("A", "i", "P"),),
    )  # fmt: skip
    assert from_json(json.loads(encode(one))) == one
    assert encode(from_json(json.loads(encode(one)))) == encode(one)
    assert len(one.who) == 200
    assert "\0" not in one.who
    assert to_json(one)["at"].endswith("+00:00")
    assert chained(b"k", GENESIS, 1, Place(bytes(16), 1), one) != chained(
        b"k", GENESIS, 2, Place(bytes(16), 1), one
    )
