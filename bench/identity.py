"""Who is who: precision and recall of the linking on a synthetic population (`bench.population`), and what it costs.

The same functions that the archive links with (`pacs.identity.linking.decide`) take the patients one by one, as they
come; only the index of keys is in memory here. Run: `python -m bench --only identity`.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field

from rich.table import Table

from bench.measure import Figure, Group, Row
from bench.peers import TONGYING
from bench.population import Entry, Noise, Population
from bench.run import Run
from pacs.identity import Candidate, keys_of, reused
from pacs.identity import Group as Linked
from pacs.identity.linking import decide, promising

BLOCK_MAX = 100  # as storage/persons.py: of one key so many are looked at
SEED = 20260705


@dataclass
class Index:
    """Patients by their keys, and persons, in memory."""

    population: int
    entries: Sequence[Entry]
    blocks: defaultdict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    person_of: dict[int, int] = field(default_factory=dict)
    members: dict[int, list[int]] = field(default_factory=dict)
    reviews: dict[frozenset[int], float] = field(default_factory=dict)
    compared: int = 0
    reused: int = 0

    def add(self, patient: int) -> None:
        """One patient has come."""
        entry = self.entries[patient]
        if reused(entry.record, entry.later):
            self.reused += 1
            return
        keys = keys_of(entry.record)
        near = {p for key in keys for p in self.blocks[key][:BLOCK_MAX]}
        self.compared += len(near)
        found = [Candidate(p, self.entries[p].record) for p in near]
        groups = {self._group(c.patient) for c in promising(entry.record, found, self.population)}
        decision = decide(self._group(patient), entry.record, sorted(groups, key=_first), (), self.population)
        for group, _ in decision.link:
            self._join(patient, group)
        for pair in decision.review:
            self.reviews[frozenset((patient, pair.other))] = pair.judgement.bits
        for key in keys:
            self.blocks[key].append(patient)

    def _group(self, patient: int) -> Linked:
        person = self.person_of.get(patient)
        members = [patient] if person is None else self.members[person]
        return Linked(person, tuple(Candidate(m, self.entries[m].record) for m in members))

    def _join(self, patient: int, group: Linked) -> None:
        person = self.person_of.setdefault(patient, patient)
        mine = self.members.setdefault(person, [patient])
        if group.person is not None:
            del self.members[group.person]
        for member in group.members:
            self.person_of[member.patient] = person
            mine.append(member.patient)


def _first(group: Linked) -> int:
    return group.members[0].patient


@dataclass(frozen=True, slots=True)
class Quality:
    """What came of it; pairs of patients are counted."""

    persons: int
    patients: int
    true_pairs: int
    linked_pairs: int
    right_pairs: int
    reviews: int
    right_reviews: int
    compared: int
    reused_told: int
    reused_found: int
    seconds: float

    @property
    def precision(self) -> float:
        return self.right_pairs / self.linked_pairs if self.linked_pairs else 1.0

    @property
    def recall(self) -> float:
        return self.right_pairs / self.true_pairs if self.true_pairs else 1.0

    @property
    def recall_reviewed(self) -> float:
        """If a human accepts those of the queue that are right; what follows from them is not counted."""
        return (self.right_pairs + self.right_reviews) / self.true_pairs if self.true_pairs else 1.0

    @property
    def review_share(self) -> float:
        """Pairs in the queue for each patient."""
        return self.reviews / self.patients

    @property
    def candidates(self) -> float:
        return self.compared / self.patients


def link(persons: int, seed: int = SEED, noise: Noise | None = None) -> Quality:
    """Draw a population, link its patients, and count. A patient whose ID was used again is nobody: each pair that it
    is linked in is wrong, and none is missed."""
    entries = Population(persons, seed, noise or Noise()).entries()
    index = Index(len(entries), entries)
    began = time.perf_counter()
    for patient in range(len(entries)):
        index.add(patient)
    return _counted(index, persons, time.perf_counter() - began)


def _counted(index: Index, persons: int, seconds: float) -> Quality:
    mixed = {n for n, e in enumerate(index.entries) if e.later}
    clean = [(n, e.person) for n, e in enumerate(index.entries) if n not in mixed]
    owners = {n: -n - 1 for n in mixed} | dict(clean)
    right = sum(_pairs(Counter(owners[m] for m in group).values()) for group in index.members.values())
    reviews = [tuple(pair) for pair in index.reviews if not _joined(index, pair)]
    return Quality(
        persons, len(index.entries), _pairs(Counter(p for _, p in clean).values()),
        _pairs(map(len, index.members.values())), right, len(reviews),
        sum(owners[a] == owners[b] for a, b in reviews), index.compared, len(mixed), index.reused, seconds,
    )  # fmt: skip


def _joined(index: Index, pair: frozenset[int]) -> bool:
    a, b = pair
    return a in index.person_of and index.person_of.get(a) == index.person_of.get(b)


def _pairs(counts: Iterable[int]) -> int:
    return sum(n * (n - 1) // 2 for n in counts)


def measure(run: Run) -> Group:
    """Two sizes, so that the growth of the cost is seen; the table with the exact figures goes to the console."""
    found = [link(persons) for persons in (run.sizes.persons // 10, run.sizes.persons)]
    run.console.print(table(found))
    return Group(
        "identity",
        f"Who is who: {found[-1].patients:,} patients of {found[-1].persons:,} synthetic persons",
        tuple(_rows(found[-1])),
        remarks(found),
    )


def _rows(quality: Quality) -> Iterator[Row]:
    each = 1e6 * quality.seconds / quality.patients
    for what, unit, value, more in (
        ("wrong links", "of 10,000", 1e4 * (1 - quality.precision), False),
        ("pairs of one person that are linked", "%", 100 * quality.recall, True),
        ("pairs in the review queue", "of 100 patients", 100 * quality.review_share, False),
        ("patients compared with each new one", "patients", quality.candidates, False),
        ("time for each new one", "µs", each, False),
    ):
        yield Row(what, unit, {TONGYING: Figure((value,))}, more_is_better=more)


def table(found: Sequence[Quality]) -> Table:
    """All figures, as they are."""
    made = Table(title="Who is who", title_justify="left")
    made.add_column("")
    for one in found:
        made.add_column(f"{one.persons:,} persons", justify="right")
    lines: tuple[tuple[str, Callable[[Quality], str]], ...] = (
        ("patients", lambda q: f"{q.patients:,}"),
        ("pairs that are one person", lambda q: f"{q.true_pairs:,}"),
        ("pairs linked", lambda q: f"{q.linked_pairs:,}"),
        ("of these wrong", lambda q: f"{q.linked_pairs - q.right_pairs:,}"),
        ("precision", lambda q: f"{q.precision:.5f}"),
        ("recall", lambda q: f"{q.recall:.4f}"),
        ("recall, with what a human would accept", lambda q: f"{q.recall_reviewed:.4f}"),
        ("pairs to review", lambda q: f"{q.reviews:,}"),
        ("of these one person", lambda q: f"{q.right_reviews:,}"),
        ("pairs to review for each patient", lambda q: f"{q.review_share:.4f}"),
        ("candidates for each patient", lambda q: f"{q.candidates:.2f}"),
        ("IDs that were used again, and found so", lambda q: f"{q.reused_told:,}, {q.reused_found:,}"),
        ("seconds", lambda q: f"{q.seconds:.1f}"),
    )
    for what, say in lines:
        made.add_row(what, *map(say, found))
    return made


def remarks(found: Sequence[Quality]) -> tuple[str, ...]:
    """What the figures are of."""
    noise = "; ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in asdict(Noise()).items())
    small, large = found
    grown = (large.seconds / large.patients) / (small.seconds / small.patients)
    return (
        f"Precision {large.precision:.5f} at recall {large.recall:.4f}, counted over pairs of patients. "
        "A patient whose ID was used again counts as nobody: each link of it is wrong.",
        f"With ten times the persons a patient costs {grown:.2f} times as much.",
        f"Drawn with seed {SEED}; names from the bench's own tables, whose order follows the published rankings of "
        f"surnames. Noise, as shares: {noise}.",
    )
