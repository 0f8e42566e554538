"""What is done with a patient, once those that it may be have been found: whose person it becomes, and which pairs a
human looks at. No I/O: the store and the bench ask the same."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from pacs.identity.compare import Judgement, Record, Verdict, judge

PATIENTS_MAX = 32  # of a person; more are nobody, but a mistake that grew
REVIEWS_MAX = 5  # pairs that one patient may add to the queue


@dataclass(frozen=True, slots=True)
class Candidate:
    """A patient that may be the one who is looked at."""

    patient: int
    record: Record


@dataclass(frozen=True, slots=True)
class Group:
    """The patients of a person, or one patient who is linked with nobody (`person` is None)."""

    person: int | None
    members: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """The patient that was looked at, with another one."""

    other: int
    judgement: Judgement


@dataclass(frozen=True, slots=True)
class Decision:
    """`link`: the groups that are this patient, each with the pair that says so. `review`: pairs for a human."""

    link: tuple[tuple[Group, Pair], ...] = ()
    review: tuple[Pair, ...] = ()


def promising(record: Record, candidates: Iterable[Candidate], population: int) -> list[Candidate]:
    """Those that are not somebody else already at a first look."""
    return [c for c in candidates if judge(record, c.record, population).verdict is not Verdict.APART]


def decide(
    own: Group,
    record: Record,
    groups: Iterable[Group],
    parted: Collection[frozenset[int]],
    population: int,
) -> Decision:
    """`own`: the patient, with those that it is linked with already; `record` is the patient's. `parted`: pairs that
    somebody said are two. Groups that contradict each other are left to a human, all of them."""
    linked: list[tuple[Group, Pair]] = []
    review: list[Pair] = []
    for group in groups:
        best, barred = _best(record, group, population)
        if best.judgement.verdict is Verdict.APART or _known_apart(own, group, parted):
            continue
        if best.judgement.verdict is Verdict.LINKED and not barred and not _bar(own, group, population):
            linked.append((group, best))
        else:
            review.append(best)
    if linked and not _together(own, [g for g, _ in linked], parted, population):
        review += [pair for _, pair in linked]
        linked = []
    review.sort(key=lambda pair: -pair.judgement.bits)
    return Decision(tuple(linked), tuple(review[:REVIEWS_MAX]))


def _best(record: Record, group: Group, population: int) -> tuple[Pair, bool]:
    """The strongest pair, and whether a member of the group is known to be somebody else."""
    pairs = [Pair(m.patient, judge(record, m.record, population)) for m in group.members]
    best = max(pairs, key=lambda pair: pair.judgement.bits)
    return best, any(pair.judgement.against for pair in pairs)


def _bar(one: Group, other: Group, population: int) -> bool:
    """Whether a member of one is known to be somebody else than a member of the other."""
    return any(
        judge(a.record, b.record, population).against for a in one.members for b in other.members
    )  # fmt: skip


def contradict(one: Group, other: Group) -> bool:
    """Whether they have resident numbers, and not the same."""
    numbers = {m.record.resident for g in (one, other) for m in g.members} - {b""}
    return len(numbers) > 1


def _known_apart(one: Group, other: Group, parted: Collection[frozenset[int]]) -> bool:
    return bool(parted) and any(
        frozenset((a.patient, b.patient)) in parted for a in one.members for b in other.members
    )


def _together(
    own: Group, groups: Sequence[Group], parted: Collection[frozenset[int]], population: int
) -> bool:
    """Whether all of them can be one person."""
    if sum(len(g.members) for g in (own, *groups)) > PATIENTS_MAX:
        return False
    return not any(
        _bar(a, b, population) or _known_apart(a, b, parted)
        for number, a in enumerate(groups)
        for b in groups[number + 1 :]
    )
