"""What is done with a patient: linked, reviewed, or left alone."""

from __future__ import annotations

from datetime import date

from pacs.identity import Candidate, Decision, Group, Record, decide, read_name
from pacs.identity.linking import PATIENTS_MAX, REVIEWS_MAX

BORN = date(1971, 4, 9)
NEW = 99


def one(patient: int, name: str = "逄焱垚", number: bytes = b"", phone: str = "") -> Candidate:
    return Candidate(patient, Record(read_name(name), BORN, "M", phone, number))


def asked(new: Candidate, *groups: Group, parted: tuple[frozenset[int], ...] = ()) -> Decision:
    return decide(Group(None, (new,)), new.record, groups, parted, 1_000_000)


def linked(decision: Decision) -> list[int | None]:
    return [group.person for group, _ in decision.link]


def test_linked_with_whoever_it_is() -> None:
    decision = asked(
        one(NEW), Group(5, (one(1), one(2))), Group(None, (one(3),)), Group(6, (one(4, "李娜"),))
    )
    assert linked(decision) == [5, None]
    assert decision.review == ()


def test_not_with_whom_somebody_parted_it_from() -> None:
    decision = asked(one(NEW), Group(5, (one(1), one(2))), parted=(frozenset({NEW, 2}),))
    assert decision == Decision()


def test_a_person_with_another_number_in_it_is_left_to_a_human() -> None:
    group = Group(5, (one(1), one(2, number=b"other")))
    decision = asked(one(NEW, number=b"mine"), group)
    assert linked(decision) == []
    assert [pair.other for pair in decision.review] == [1]


def test_two_that_contradict_each_other_are_both_left_to_a_human() -> None:
    decision = asked(one(NEW), Group(5, (one(1, number=b"a"),)), Group(6, (one(2, number=b"b"),)))
    assert linked(decision) == []
    assert {pair.other for pair in decision.review} == {1, 2}
    parted = asked(one(NEW), Group(5, (one(1),)), Group(6, (one(2),)), parted=(frozenset({1, 2}),))
    assert linked(parted) == []


def test_limits() -> None:
    crowd = Group(5, tuple(one(n) for n in range(PATIENTS_MAX)))
    decision = asked(one(NEW), crowd)
    assert linked(decision) == []
    assert len(decision.review) == 1
    namesakes = [Group(None, (one(n, "张伟"),)) for n in range(20)]
    assert len(asked(one(NEW, "张伟"), *namesakes).review) == REVIEWS_MAX
