"""The report: tables on the console, a page in Markdown, a plot for each group."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure as Picture
from rich.console import Console
from rich.table import Table

from bench.measure import Group, Row
from bench.peers import ORTHANC, STORESCP, TONGYING

PEERS = (TONGYING, ORTHANC, STORESCP)
COLOURS = {TONGYING: "#0b7a75", ORTHANC: "#9aa5b1", STORESCP: "#d3d9df"}
HEAD = """# Benchmarks

Written by `make bench`; do not edit by hand. Every figure is from one run on one machine, all peers in turns, warm,
over loopback; medians, with the lowest and highest round in brackets. *× Orthanc* says how many times better Tongying
is than Orthanc in that row, *× storescp* the same of DCMTK's receiver: above 1 is better, whatever the unit.

Run it again: `make bench`, or `.venv/bin/python -m bench --quick`, or one group: `--only store`.
"""


def number(value: float) -> str:
    """Three figures that count."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def cell(row: Row, peer: str) -> str:
    """A peer's figure with its range."""
    if peer not in row.figures:
        return "–"
    figure = row.figures[peer]
    return f"{number(row.shown(peer))} ({number(figure.low)}–{number(figure.high)})"


def ratio(row: Row, other: str) -> str:
    advantage = row.advantage(TONGYING, other)
    return "–" if advantage is None else f"{advantage:.2f}"


def columns(group: Group) -> tuple[list[str], list[str]]:
    """The peers of a table, and those with a ratio."""
    peers = [p for p in PEERS if any(p in row.figures for row in group.rows)]
    return peers, [p for p in peers if p != TONGYING]


def cells(row: Row, peers: list[str], others: list[str]) -> list[str]:
    """One line of a table."""
    return [row.what, row.unit, *(cell(row, p) for p in peers), *(ratio(row, p) for p in others)]


def print_group(console: Console, group: Group) -> None:
    """A table on the console."""
    peers, others = columns(group)
    table = Table(title=group.title, title_justify="left")
    table.add_column("")
    table.add_column("unit")
    for name in [*peers, *(f"× {p}" for p in others)]:
        table.add_column(name, justify="right")
    for row in group.rows:
        table.add_row(*cells(row, peers, others))
    console.print(table if group.rows else f"{group.title}: skipped, {group.skipped}")


def markdown(groups: Sequence[Group], machine: list[tuple[str, str]], load: str, short: bool) -> str:
    """The whole page."""
    when = f"{datetime.now(UTC):%Y-%m-%d}"
    lines = [HEAD, f"Date: {when}. {load}", ""]
    if short:
        lines += ["This is a short run (`--quick`).", ""]
    lines += ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in machine), ""]
    for group in groups:
        lines += [*_section(group), ""]
    return "\n".join(lines).rstrip() + "\n"


def _section(group: Group) -> list[str]:
    lines = [f"## {group.title}", ""]
    if group.skipped:
        return [*lines, f"Skipped: {group.skipped}."]
    peers, others = columns(group)
    lines.append("| | unit | " + " | ".join([*peers, *(f"× {p}" for p in others)]) + " |")
    lines.append("|---|---|" + "---:|" * (len(peers) + len(others)))
    lines += ["| " + " | ".join(cells(row, peers, others)) + " |" for row in group.rows]
    lines += ["", f"![{group.title}](benchmarks/{group.name}.svg)", ""]
    return [*lines, *(f"- {remark}" for remark in group.remarks)]


def plot(group: Group, path: Path) -> None:
    """Horizontal bars, a panel for each row that compares, since their units differ."""
    mpl.rcParams.update({"svg.hashsalt": "tongying", "svg.fonttype": "none", "font.family": "sans-serif"})
    rows = [row for row in group.rows if len(row.figures) > 1] or list(group.rows)  # what can be compared
    heights = [len(row.figures) + 0.9 for row in rows]
    picture = Picture(figsize=(8, 0.34 * sum(heights) + 0.3))
    axes = picture.subplots(len(rows), 1, squeeze=False, gridspec_kw={"height_ratios": heights})
    for row, axis in zip(rows, axes[:, 0], strict=True):
        names = [p for p in PEERS if p in row.figures]
        shown = [row.shown(name) for name in names]
        bars = axis.barh(names, shown, color=[COLOURS[n] for n in names], height=0.7)
        axis.bar_label(bars, [number(v) for v in shown], padding=4, fontsize=9)
        better = "more is better" if row.more_is_better else "less is better"
        axis.set_title(f"{row.what} ({row.unit}, {better})", fontsize=9.5, loc="left")
        axis.set_ylim(len(names) - 0.5, -0.5)  # the first on top
        axis.set_xlim(0, max(shown) * 1.15 or 1)
        axis.xaxis.set_visible(False)
        axis.tick_params(axis="y", length=0, labelsize=9)
        axis.spines[["top", "right", "bottom"]].set_visible(False)
    picture.tight_layout(h_pad=0.8)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.savefig(path, metadata={"Date": None})


def write(folder: Path, groups: Sequence[Group], page: str) -> None:
    """`benchmarks.md` and its plots under this folder."""
    for group in groups:
        if group.rows:
            plot(group, folder / "benchmarks" / f"{group.name}.svg")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "benchmarks.md").write_text(page, encoding="utf-8")
