"""What every group of measurements works with: the sizes, the folder, the peers and the console."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from bench.peers import Peer


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much is measured."""

    side: int = 512  # pixels of a slice: 515 kB
    images: int = 500  # sent in a round
    rounds: int = 7
    warm_rounds: int = 1
    studies: int = 30  # of the search for a fresh study
    slices: int = 250  # of the series that is retrieved
    requests: int = 100  # of each small kind
    derived_seconds: float = 35  # until what is derived of a series in the background has begun
    crowd_seconds: int = 3  # of each turn of many clients
    page_rounds: int = 5
    indexed: int = 100_000  # studies among which C-FIND finds its hundred
    persons: int = 100_000  # whose patients are linked
    decided: int = 10_000  # studies of which `may` decides
    settle_seconds: float = 0.3  # before each turn of C-STORE, after a sync of all disks; 0: neither


FULL = Sizes()
QUICK = Sizes(images=200, rounds=5, studies=20, requests=40, crowd_seconds=2, persons=20_000)
TINY = Sizes(
    side=64,
    images=8,
    rounds=1,
    warm_rounds=0,
    studies=2,
    slices=6,
    requests=3,
    derived_seconds=0.3,
    crowd_seconds=1,
    page_rounds=1,
    indexed=200,
    persons=1_000,
    decided=500,
    settle_seconds=0,
)


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the benchmarks."""

    sizes: Sizes
    folder: Path
    peers: dict[str, Peer]
    console: Console

    def say(self, text: str) -> None:
        self.console.print(text, style="dim")
