"""Figures, ratios, and the page that is made of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.measure import Figure, Group, Row
from bench.peers import ORTHANC, STORESCP, TONGYING
from bench.report import cells, markdown, number, write

FAST = Row("rate", "images/s", {TONGYING: Figure((90.0, 110.0, 100.0)), ORTHANC: Figure((50.0,))}, True)
SLOW = Row("wait, p95", "ms", {TONGYING: Figure((1.0, 2.0, 4.0)), ORTHANC: Figure((8.0,))}, percentile=95)


def test_a_ratio_above_one_is_better_whatever_the_unit() -> None:
    assert FAST.advantage(TONGYING, ORTHANC) == 2.0
    assert SLOW.advantage(TONGYING, ORTHANC) == 2.0
    assert FAST.advantage(TONGYING, STORESCP) is None


@pytest.mark.parametrize(("percent", "expected"), [(50, 10.0), (95, 19.0), (100, 20.0), (1, 1.0)])
def test_percentiles_are_values_that_were_measured(percent: int, expected: float) -> None:
    assert Figure(tuple(float(n) for n in range(20, 0, -1))).percentile(percent) == expected


@pytest.mark.parametrize(("value", "said"), [(1234.5, "1,234"), (12.34, "12.3"), (0.123, "0.12")])
def test_three_figures_count(value: float, said: str) -> None:
    assert number(value) == said


def test_a_line_has_the_ranges_and_the_ratio() -> None:
    assert cells(FAST, [TONGYING, ORTHANC], [ORTHANC]) == [
        "rate", "images/s", "100 (90.0–110)", "50.0 (50.0–50.0)", "2.00"]  # fmt: skip


def test_the_page_names_what_was_skipped_and_each_plot(tmp_path: Path) -> None:
    groups = [
        Group("store", "C-STORE", (FAST, SLOW), ("A remark.",)),
        Group("page", "Page", skipped="no Chromium"),
    ]
    write(tmp_path, groups, markdown(groups, [("cores", "2")], "Load: 0.1.", short=False))
    page = (tmp_path / "benchmarks.md").read_text()
    assert "![C-STORE](benchmarks/store.svg)" in page
    assert "Skipped: no Chromium." in page
    assert "- A remark." in page
    assert 0 < (tmp_path / "benchmarks" / "store.svg").stat().st_size < 200_000
    assert not (tmp_path / "benchmarks" / "page.svg").exists()
