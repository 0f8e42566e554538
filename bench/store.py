"""C-STORE by one association and by four: how fast images are acknowledged and indexed, and what CPU that takes."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from functools import partial
from pathlib import Path

from bench.corpus import Study, make_study
from bench.measure import Figure, Group, Row, cpu_seconds, settle, until
from bench.peers import TONGYING, Peer, Tongying
from bench.run import Run
from bench.senders import send, send_from_memory
from bench.web import Client

Sender = Callable[[Peer, list[list[Path]]], float]
ASSOCIATIONS_MAX = 4
INDEXED_SECONDS_MAX = 120
POLL_SECONDS = 0.02
ACKNOWLEDGED = ("acknowledged", "images/s")
ELSEWHERE = ("acknowledged, workers elsewhere", "images/s")
OTHERS: dict[str, Sender] = {
    "storescu as it comes": partial(send, nagle=True),
    "sent from memory": send_from_memory,
}
SHORTER = 3  # rounds of other senders are so many times fewer: as storescu comes the peers take half a minute for each
REMARKS = (
    "The sender is DCMTK's storescu with TCP_NODELAY=1, one process for each association, on the same two cores as "
    "the receiver: a rate is that of both together. It includes the start of the sender and its association.",
    "As it comes, storescu leaves Nagle's algorithm on, and holds a data set back until its command is acknowledged; "
    "a receiver that leaves that to the kernel lets it wait 40 ms. Tongying acknowledges commands at once "
    "(TCP_QUICKACK).",
    "Sent from memory: by a small program that has read its images before, as a scanner has them, and does nothing but "
    "send and wait for answers. storescu reads and parses each file between two answers, which on the same two cores "
    "takes about as long as receiving it, for each peer alike.",
    "Acknowledged means at Tongying: the bytes are synced to the disk (fdatasync before status 0x0000), and the folder "
    "that names their file was. Orthanc syncs each image's file as well (its default; strace shows one fdatasync an "
    "image), not its folder or its index, and indexes before it answers. storescp syncs nothing and has no index: what "
    "it acknowledged may be lost with the power.",
    "Workers elsewhere: a round of its own, in which Tongying's workers are stopped while the images arrive, as if "
    "they ran on other machines; they index afterwards. The peers have no such parts: theirs are the figures of "
    "the row above it.",
    "Indexed: from the first byte sent until the study list of QIDO-RS shows the full count of all studies. For "
    "Orthanc that is the answer to the last image; Tongying indexes behind the acknowledgement.",
    "CPU: user and system time of the peer's processes for each image, until all are indexed. "
    "It is the figure that a busy machine changes least.",
)

Samples = dict[tuple[str, str], dict[str, list[float]]]


def measure(run: Run) -> Group:
    """One association and four, in turns over the peers."""
    each = -(-run.sizes.images // ASSOCIATIONS_MAX)
    studies = [
        make_study(run.folder / "store" / str(n), each, run.sizes.side, f"STORE{n}")
        for n in range(ASSOCIATIONS_MAX)
    ]
    samples: Samples = defaultdict(lambda: defaultdict(list))
    for associations in (1, ASSOCIATIONS_MAX):
        for number in range(-run.sizes.warm_rounds, run.sizes.rounds):
            for study in studies:
                study.stamp()
            for peer in run.peers.values():
                taken = _round(peer, studies, associations, run.sizes.settle_seconds)
                elsewhere = taken[ACKNOWLEDGED]
                if isinstance(peer, Tongying):
                    for study in studies:
                        study.stamp()
                    elsewhere = _rate(peer, studies, associations, run.sizes.settle_seconds, held=True)
                taken = {ACKNOWLEDGED: taken[ACKNOWLEDGED], ELSEWHERE: elsewhere} | taken
                if number >= 0:
                    for (what, unit), value in taken.items():
                        samples[f"{_said(associations)}: {what}", unit][peer.name].append(value)
                    run.say(_line(peer.name, associations, taken))
    _with_other_senders(run, studies, samples)
    return Group("store", "C-STORE", tuple(_row(key, by) for key, by in samples.items()), REMARKS)


def _with_other_senders(run: Run, studies: list[Study], samples: Samples) -> None:
    for associations, (name, sender) in itertools.product((1, ASSOCIATIONS_MAX), OTHERS.items()):
        what = f"{_said(associations)}: acknowledged, {name}"
        for number in range(-1, -(-run.sizes.rounds // SHORTER)):
            for study in studies:
                study.stamp()
            for peer in run.peers.values():
                rate = _rate(peer, studies, associations, run.sizes.settle_seconds, sender)
                if number >= 0:
                    samples[what, "images/s"][peer.name].append(rate)
                run.say(f"  {peer.name}, {what}: {rate:.0f} images/s")


def _said(associations: int) -> str:
    return "one association" if associations == 1 else "four associations"


def _row(key: tuple[str, str], by_peer: dict[str, list[float]]) -> Row:
    what, unit = key
    figures = {name: Figure(tuple(values)) for name, values in by_peer.items()}
    return Row(what, unit, figures, more_is_better=unit == "images/s")


def _round(
    peer: Peer, studies: list[Study], associations: int, settle_seconds: float
) -> dict[tuple[str, str], float]:
    """Send all studies once, and wait until they are listed."""
    _settle(studies, settle_seconds)
    images = sum(len(s.images) for s in studies)
    before = {role: cpu_seconds(pids) for role, pids in peer.roles().items()}
    with ExitStack() as stack:
        client = stack.enter_context(Client(peer.web)) if peer.web else None
        acked = send(peer, _folders(studies, associations))
        indexed = acked + _until_listed(client, studies) if client else None
    after = {role: cpu_seconds(pids) for role, pids in peer.roles().items()}
    peer.tidy()
    taken = {ACKNOWLEDGED: images / acked}
    if indexed:
        taken["acknowledged and indexed", "images/s"] = images / indexed
    spent = {role: (after[role] - before[role]) * 1000 / images for role in after}
    taken["CPU, all its processes", "ms/image"] = sum(spent.values())
    if peer.name == TONGYING:
        taken |= {(f"CPU, {role}", "ms/image"): ms for role, ms in spent.items() if role != "API"}
    return taken


def _rate(peer: Peer, studies: list[Study], associations: int, settle_seconds: float, sender: Sender = send, *,
          held: bool = False) -> float:  # fmt: skip
    """Images a second that are acknowledged. `held`: Tongying's workers stand still meanwhile; they index what waits
    afterwards."""
    _settle(studies, settle_seconds)
    with peer.workers_held() if held and isinstance(peer, Tongying) else nullcontext():
        acked = sender(peer, _folders(studies, associations))
    if peer.web:
        with Client(peer.web) as client:
            _until_listed(client, studies)
    peer.tidy()
    return sum(len(s.images) for s in studies) / acked


def _settle(studies: list[Study], seconds: float) -> None:
    settle(seconds, (image.path for study in studies for image in study.images))


def _folders(studies: list[Study], associations: int) -> list[list[Path]]:
    """What each association sends."""
    return [[s.folder for s in studies]] if associations == 1 else [[s.folder] for s in studies]


def _until_listed(client: Client, studies: list[Study]) -> float:
    waiting = {s.study_uid: len(s.images) for s in studies}

    def listed() -> bool:
        for uid, count in list(waiting.items()):
            if client.instances_of(uid) < count:
                return False
            del waiting[uid]
        return True

    return until(listed, poll_seconds=POLL_SECONDS, seconds_max=INDEXED_SECONDS_MAX, what="all are indexed")


def _line(name: str, associations: int, taken: dict[tuple[str, str], float]) -> str:
    figures = ", ".join(
        f"{what} {value:.{0 if value > 20 else 2}f} {unit}" for (what, unit), value in taken.items()
    )
    return f"  {name}, {_said(associations)}: {figures}"
