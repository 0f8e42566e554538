"""Who is who, on a real PostgreSQL: patients are linked behind the index, by hand, by messages, and all is undone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from sqlalchemy import Connection, text

from dicom_node.hl7_listener import Hl7Listener
from pacs.access import Principal, Role
from pacs.errors import Conflict, NotFound
from pacs.identity.resident import check_character
from storage import persons
from storage.archive import Archive
from storage.check import check
from storage.facilities import add_facility
from storage.index import linking
from storage.indexing import index_pack
from storage.linking import link_due
from storage.persons import SeenPatient
from storage.registry import RegisteredDevice, add_device
from tests.integration.storage.test_indexing import instance, packed
from tests.support.hl7 import Sender, adt
from tests.support.server import free_port

ADMIN = Principal("admin", Role.ADMINISTRATOR)
EAST = Principal("east", Role.ADMINISTRATOR, "EAST")
RARE, BORN = "逄^焱垚", "19710409"
Arrive = Callable[..., int]
SECONDS = 30.0


def number_of(birth: str = BORN, sequence: str = "022") -> str:
    first = f"330203{birth}{sequence}"
    return first + check_character(first)


@pytest.fixture
def arrive(archive: Archive) -> Arrive:
    """A study of one image arrives and is indexed; the patient's key. Of what is told nothing is linked yet."""
    add_facility(archive, "EAST", "东院")
    add_facility(archive, "WEST", "西院")
    number = 0

    def arrived(facility: str, patient_id: str = "", name: str = RARE, birth: str = BORN, sex: str = "F", *,
                phone: str = "", resident: str = "", study: str = "") -> int:  # fmt: skip
        nonlocal number
        number += 1
        dataset = instance(
            StudyInstanceUID=study or generate_uid(), SeriesInstanceUID=generate_uid(), SOPInstanceUID=generate_uid(),
            SpecificCharacterSet="ISO_IR 192", PatientName=name, PatientID=patient_id or f"{facility}-{number}",
            PatientBirthDate=birth, PatientSex=sex,
        )  # fmt: skip
        if phone:
            dataset.PatientTelephoneNumbers = phone
        if resident:
            other = Dataset()
            other.PatientID, other.TypeOfPatientID = resident, "TEXT"
            dataset.OtherPatientIDsSequence = [other]
        assert index_pack(archive, packed(archive, dataset, facility=facility)).shown == 1
        with archive.database.begin() as connection:
            found = connection.execute(
                text("SELECT patient_pk FROM studies WHERE study_uid = :uid ORDER BY id DESC LIMIT 1"),
                {"uid": dataset.StudyInstanceUID},
            )
            return int(found.scalar_one())

    return arrived


@pytest.fixture
def listening(archive: Archive) -> Iterator[Sender]:
    """A hospital's system, connected; it is EAST's."""
    port = free_port()
    listener = Hl7Listener(
        replace(archive, settings=replace(archive.settings, hl7_host="127.0.0.1", hl7_port=port))
    )
    listener.start()
    with Sender(port) as sender:
        yield sender
    listener.close()


def linked(archive: Archive, patient: int) -> set[int]:
    """Who is the same person, once all that is due was compared."""
    link_due(archive, SECONDS)
    return {one.id for one in persons.patients_of_person(archive, ADMIN, patient)}


def shown(archive: Archive, patient: int) -> SeenPatient:
    return persons.find_patient(archive, ADMIN, patient)


def open_pairs(archive: Archive) -> list[tuple[int, int]]:
    link_due(archive, SECONDS)
    return [(r.low.id, r.high.id) for r in persons.list_reviews(archive, ADMIN)]


def test_linked_across_facilities(archive: Archive, arrive: Arrive) -> None:
    east, west, other = arrive("EAST"), arrive("WEST", name="PANG^YANYAO"), arrive("WEST", name="王^芳")
    assert linked(archive, east) == {east, west}
    assert linked(archive, other) == {other}
    (step,) = [s for s in persons.list_steps(archive, ADMIN, east) if s["kind"] == "link"]
    assert step["bits"] > 7
    assert "name sound" in step["why"]
    assert step["actor"] == ""
    assert link_due(archive, SECONDS) == 0


def test_compared_again_only_when_something_is_new(archive: Archive, arrive: Arrive) -> None:
    arrive("EAST", "E1")
    assert link_due(archive, SECONDS) == 1
    arrive("EAST", "E1")
    assert link_due(archive, SECONDS) == 0
    arrive("EAST", "E1", phone="13900112233")
    assert link_due(archive, SECONDS) == 1


def test_a_resident_number_links_and_is_kept_as_a_hash(archive: Archive, arrive: Arrive) -> None:
    number = number_of()
    east, west = arrive("EAST", name="张^伟", resident=number), arrive("WEST", number, "张^玮", "19710904")
    assert linked(archive, east) == {east}  # the birth date of the second contradicts its number
    assert arrive("WEST", number, "张^玮") == west  # the same ID, and now its birth date
    local = arrive("LOCAL", name="ZHANG^WEI", resident=number)
    assert linked(archive, east) == {east, west, local}
    assert shown(archive, east).resident_number == "33**************" + number[-2:]
    with archive.database.begin() as connection:
        for table in ("identities", "match_keys", "demographics", "link_events", "reviews", "secrets"):
            assert number not in str(connection.execute(text(f"SELECT * FROM {table}")).all())


def test_numbers_that_differ_forbid(archive: Archive, arrive: Arrive) -> None:
    one, two = arrive("EAST", resident=number_of()), arrive("WEST", resident=number_of(sequence="044"))
    assert linked(archive, one) == {one}
    with pytest.raises(Conflict, match="resident numbers"):
        persons.link(archive, ADMIN, one, two)


def test_twins_are_reviewed(archive: Archive, arrive: Arrive) -> None:
    one = arrive("EAST", name="王^小明", phone="13900112233")
    two = arrive("WEST", name="王^小亮", phone="+8613900112233")
    assert open_pairs(archive) in ([(one, two)], [])
    assert linked(archive, one) == {one}


def test_an_id_used_again_is_nobody(archive: Archive, arrive: Arrive) -> None:
    east, west = arrive("EAST", "E1"), arrive("WEST")
    assert linked(archive, east) == {east, west}
    assert arrive("EAST", "E1", "李^大海", "19550505", "M") == east
    assert linked(archive, east) == {east}
    assert shown(archive, east).reused
    with pytest.raises(Conflict):
        persons.link(archive, ADMIN, east, west)


def test_reviewed_accepted_and_refused(archive: Archive, arrive: Arrive) -> None:
    with archive.database.begin() as connection:  # a small archive takes namesakes for one
        connection.execute(text("UPDATE pg_class SET reltuples = 5000000 WHERE oid = 'patients'::regclass"))
    one, two = arrive("EAST", name="张^伟"), arrive("WEST", name="张^伟")
    three = arrive("WEST", name="李^伟", birth="19800506")
    four = arrive("EAST", name="李^伟", birth="19800506")
    assert sorted(open_pairs(archive)) == [(one, two), (three, four)]
    persons.link(archive, ADMIN, one, two)
    persons.refuse(archive, ADMIN, three, four)
    assert persons.list_reviews(archive, ADMIN) == []
    assert [r.low.id for r in persons.list_reviews(archive, ADMIN, "refused")] == [three]
    assert linked(archive, one) == {one, two}
    arrive("EAST", shown(archive, four).patient_id, "李^伟", "19800506", phone="13900112233")
    arrive("WEST", shown(archive, three).patient_id, "李^伟", "19800506", phone="13900112233")
    assert linked(archive, three) == {three}  # now they compare, but somebody said no
    assert persons.list_reviews(archive, ADMIN) == []
    persons.link(archive, ADMIN, three, four)  # and thinks better of it
    assert linked(archive, three) == {three, four}


def test_unlinked_by_hand_stays_so_and_undone_is_undone(archive: Archive, arrive: Arrive) -> None:
    one, two, three = arrive("EAST", "E1"), arrive("WEST"), arrive("LOCAL")
    assert linked(archive, one) == {one, two, three}
    batch = persons.unlink(archive, ADMIN, one, "another")
    arrive("EAST", "E1", phone="13900112233")
    assert linked(archive, one) == {one}
    assert linked(archive, two) == {two, three}
    undone = persons.undo(archive, ADMIN, batch)
    assert linked(archive, one) == {one, two, three}
    with pytest.raises(Conflict, match="already"):
        persons.undo(archive, ADMIN, batch)
    persons.undo(archive, ADMIN, undone)
    assert linked(archive, one) == {one}
    with pytest.raises(NotFound):
        persons.undo(archive, ADMIN, 10**9)


def test_an_automatic_link_that_was_undone_is_not_made_again(archive: Archive, arrive: Arrive) -> None:
    one, two = arrive("EAST", "E1"), arrive("WEST")
    assert linked(archive, one) == {one, two}
    batch = persons.list_steps(archive, ADMIN, one)[0]["batch"]
    persons.undo(archive, ADMIN, batch)
    arrive("EAST", "E1", phone="13900112233")
    assert linked(archive, one) == {one}


def test_what_later_steps_build_on_is_not_undone_first(archive: Archive, arrive: Arrive) -> None:
    one, two = arrive("EAST"), arrive("WEST")
    assert linked(archive, one) == {one, two}
    first = persons.list_steps(archive, ADMIN, one)[0]["batch"]
    persons.unlink(archive, ADMIN, one)
    with pytest.raises(Conflict, match="later steps"):
        persons.undo(archive, ADMIN, first)
    assert linked(archive, two) == {two}


def test_persons_merge_and_part_as_a_whole(archive: Archive, arrive: Arrive) -> None:
    pairs = [
        [arrive(f, name=n, birth=b) for f in ("EAST", "WEST")]
        for n, b in ((RARE, BORN), ("欧阳^淼", "19600708"))
    ]
    assert [linked(archive, a) for a, _ in pairs] == [set(pair) for pair in pairs]
    batch = persons.link(archive, ADMIN, pairs[0][0], pairs[1][0])
    assert linked(archive, pairs[0][0]) == {*pairs[0], *pairs[1]}
    persons.undo(archive, ADMIN, batch)
    assert [linked(archive, a) for a, _ in pairs] == [set(pair) for pair in pairs]


def test_corrected_by_messages(archive: Archive, arrive: Arrive, listening: Sender) -> None:
    registered(archive)
    one, two = arrive("EAST", "E1", "无名氏", "19000101", ""), arrive("WEST")
    assert linked(archive, one) == {one}
    assert listening.send(adt("A08", "E1", RARE, BORN, "F", phone="13900112233"))["MSA"][1] == "AA"
    assert linked(archive, one) == {one, two}
    seen = shown(archive, one)
    assert (seen.patient_name, seen.said_name, seen.phone) == ("无名氏", RARE, "*******2233")
    assert seen.said_birth_date == date(1971, 4, 9)
    (correction,) = [s for s in persons.list_steps(archive, ADMIN, one) if s["kind"] == "correct"]
    assert correction["actor"] == "HL7"
    persons.undo(archive, ADMIN, correction["batch"])
    assert linked(archive, one) == {one}  # it was linked by comparison, and compares no more
    assert shown(archive, one).said_name == "无名氏"


def test_a_message_before_the_image(archive: Archive, arrive: Arrive, listening: Sender) -> None:
    registered(archive)
    number = number_of()
    assert listening.send(adt("A04", "E1", "张^伟", BORN, "F", number=number))["MSA"][1] == "AA"
    one, two = arrive("EAST", "E1", "ZHANG^WEI"), arrive("WEST", name="张^伟", resident=number)
    assert linked(archive, one) == {one, two}


def test_merged_by_a_message_and_parted_by_hand(archive: Archive, arrive: Arrive, listening: Sender) -> None:
    registered(archive)
    one, two = arrive("EAST", "E1", "王^芳"), arrive("EAST", "E2", "李^大海", "19550505", "M")
    assert linked(archive, one) == {one}
    assert listening.send(adt("A40", "E1", "王^芳", BORN, "F", merged="E2"))["MSA"][1] == "AA"
    assert linked(archive, one) == {one, two}
    assert (
        listening.send(adt("A40", "E1", "王^芳", BORN, "F", merged="E2"))["MSA"][1] == "AA"
    )  # again: nothing new
    batch = next(s["batch"] for s in persons.list_steps(archive, ADMIN, two) if s["demographics_id"])
    persons.undo(archive, ADMIN, batch)
    assert linked(archive, one) == {one}
    assert listening.send(adt("A08", "E2", "李^大海", "19550505", "M", phone="13900112233"))["MSA"][1] == "AA"
    assert linked(archive, one) == {one}


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (adt("A08", "", RARE, BORN, "F"), "AE"),
        (adt("A40", "E1", RARE, BORN, "F"), "AE"),  # without MRG
        (adt("A40", "E1", RARE, BORN, "F", merged="E1"), "AE"),
        (adt("A17", "E1", RARE, BORN, "F"), "AR"),
        (adt("A08", "E1", RARE, "99999999", "X" * 5000), "AA"),
        (adt("A08", "E" * 60_000, RARE, BORN, "F"), "AA"),
        (adt("A08", "E1", "王\\X00\\小", BORN, "F"), "AA"),
    ],
)
def test_bad_messages(archive: Archive, listening: Sender, message: str, code: str) -> None:
    assert listening.send(message)["MSA"][1] == code


def test_only_what_may_be_seen(archive: Archive, arrive: Arrive) -> None:
    study = generate_uid()
    east, west = arrive("EAST", study=study), arrive("WEST")
    assert linked(archive, east) == {east, west}
    assert [p.id for p in persons.patients_of_person(archive, EAST, east)] == [east]
    assert len(persons.studies_of_person(archive, ADMIN, east)) == 2
    assert persons.studies_of_person(archive, EAST, east) == [study]
    assert len(persons.priors(archive, ADMIN, study)) == 1
    assert persons.priors(archive, EAST, study) == []
    for act in (persons.find_patient, persons.unlink, persons.list_steps):
        with pytest.raises(NotFound):
            act(archive, EAST, west)
    with pytest.raises(NotFound):
        persons.link(archive, EAST, east, west)
    with pytest.raises(NotFound):
        persons.undo(archive, EAST, persons.list_steps(archive, ADMIN, west)[0]["batch"])
    clinician = Principal("c", Role.LINK, "EAST")
    assert persons.list_persons(archive, clinician) == []
    assert {p.id for p in persons.list_persons(archive, ADMIN)} == {east, west}


def test_check_finds_who_was_moved_by_no_step(archive: Archive, arrive: Arrive) -> None:
    one, two = arrive("EAST"), arrive("WEST")
    assert linked(archive, one) == {one, two}
    assert check(archive).findings == []
    move = text("UPDATE patients SET person_pk = :person WHERE id = :pk")
    with archive.database.begin() as connection:
        connection.execute(move, {"person": None, "pk": two})
    assert check(archive).findings == [f"patient {two} is not where its last step put it"]
    with archive.database.begin() as connection:
        connection.execute(move, {"person": shown(archive, one).person, "pk": two})


def test_who_is_being_indexed_is_not_waited_for(archive: Archive, arrive: Arrive) -> None:
    one, two = arrive("EAST"), arrive("WEST")
    with archive.database.begin() as indexing:
        indexing.execute(text("UPDATE patients SET updated_at = now() WHERE id = :pk"), {"pk": one})
        began = time.monotonic()
        assert link_due(archive, SECONDS) == 2
        assert time.monotonic() - began < 5
    assert linked(archive, two) == {two}
    with archive.database.begin() as connection:  # the two seconds are over
        connection.execute(text("UPDATE identities SET due_at = now() WHERE due_at IS NOT NULL"))
    assert linked(archive, two) == {one, two}


def test_what_goes_wrong_with_one_stops_no_other(
    archive: Archive, arrive: Arrive, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, bad = arrive("EAST"), arrive("WEST"), arrive("WEST", "BAD")
    read = linking.read_patient

    def fails(connection: Connection, pk: int) -> linking.Patient | None:
        if pk == bad:
            connection.execute(text("SELECT 1 / 0"))
        return read(connection, pk)

    monkeypatch.setattr(linking, "read_patient", fails)
    assert linked(archive, one) == {one, two}
    monkeypatch.undo()
    with archive.database.begin() as connection:
        connection.execute(text("UPDATE identities SET due_at = now() WHERE due_at IS NOT NULL"))
    assert linked(archive, one) == {one, two, bad}


def registered(archive: Archive) -> None:
    """This machine speaks for EAST."""
    add_device(archive, RegisteredDevice("EAST", "HIS", "127.0.0.1"))
