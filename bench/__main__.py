"""`python -m bench`: measure, print, and write docs/benchmarks.md with its plots."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from bench import access, identity, machine, page, query, report, retrieve, search, store
from bench.measure import Group
from bench.peers import ORTHANC, STORESCP, TONGYING, available, running
from bench.run import FULL, QUICK, TINY, Run, Sizes
from tests.support.server import ROOT

CONSOLE_COLUMNS = 150  # where there is no terminal to ask

GROUPS: dict[str, Callable[[Run], Group]] = {
    "store": store.measure,
    "search": search.measure,
    "retrieve": retrieve.measure,
    "page": page.measure,
    "identity": identity.measure,
    "access": access.measure,
    "query": query.measure,  # the last: it fills the index
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the groups asked for; the page and the plots are written if all groups ran, or if --docs names a folder."""
    options = _options(arguments)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else CONSOLE_COLUMNS)
    versions = available()
    for name in (ORTHANC, STORESCP):
        if name not in versions:
            console.print(f"{name} is not installed: it is left out")
    with tempfile.TemporaryDirectory(prefix="ty-bench-", dir=options.folder) as made:
        folder = Path(made)
        folder.chmod(0o755)  # the embedded PostgreSQL runs as a user of its own when we are root
        load = f"Load of the machine before the run: {os.getloadavg()[0]:.1f}."
        about = machine.describe(folder, versions)
        groups = _measure(options.only, _sizes(options), folder, list(versions), console)
    docs: Path | None = options.docs or (ROOT / "docs" if options.only == list(GROUPS) else None)
    if docs is None:
        console.print("Nothing is written: not all groups ran, and --docs names no folder.")
        return 0
    report.write(docs, groups, report.markdown(groups, about, load, options.quick or options.tiny))
    console.print("Written: benchmarks.md and its plots.")
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller rounds: about two minutes")
    parser.add_argument(
        "--tiny", action="store_true", help="only to prove that it runs; the figures mean nothing"
    )
    parser.add_argument("--only", type=_names, default=list(GROUPS), help="of " + ",".join(GROUPS))
    parser.add_argument("--docs", type=Path, help="write the page here (default: docs, when all groups ran)")
    parser.add_argument("--folder", type=Path, help="where the archives are made for the run (default: /tmp)")
    return parser.parse_args(arguments)


def _names(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in GROUPS:
            raise argparse.ArgumentTypeError(f"{name} is none of {', '.join(GROUPS)}")
    return names


def _sizes(options: argparse.Namespace) -> Sizes:
    if options.tiny:
        return TINY
    return QUICK if options.quick else FULL


def _measure(names: list[str], sizes: Sizes, folder: Path, peers: list[str], console: Console) -> list[Group]:
    wanted = [] if set(names) <= {"identity", "access"} else peers
    if set(names) <= {"page", "identity", "access"}:
        wanted = [p for p in wanted if p == TONGYING]
    groups = []
    with running(folder, wanted) as started:
        run = Run(sizes, folder, started, console)
        for name in names:
            console.print(f"[bold]{name}[/bold]")
            groups.append(GROUPS[name](run))
            report.print_group(console, groups[-1])
    return groups


if __name__ == "__main__":
    sys.exit(main())
