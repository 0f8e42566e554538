"""The bench of access, in small: it runs, and the region that it draws has something of everything."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from bench.__main__ import main
from bench.access import CLINICIAN, KINDS
from bench.region import Region
from bench.run import FULL
from pacs.access import Action, Purpose, Reason, reason


def test_it_runs_and_is_written(workspace: Path, tmp_path: Path) -> None:
    assert main(["--tiny", "--only", "access", "--docs", str(tmp_path), "--folder", str(workspace)]) == 0
    page = (tmp_path / "benchmarks.md").read_text()
    assert all(f"clinician: {kind.what}" in page for kind in KINDS)
    assert "policies registered" in page


def test_a_region_has_something_of_everything() -> None:
    now = datetime.now(UTC)
    facts = Region(5_000).facts(FULL.decided, now)
    found = {reason(CLINICIAN, Action.SEE, study, Purpose.TREATMENT, now) for study in facts}
    assert found == {Reason.OWN, Reason.POLICY, Reason.GRANT, None}


def test_it_is_drawn_from_its_seed() -> None:
    one, same, other = (Region(500, seed) for seed in (1, 1, 2))
    assert one.studies == same.studies
    assert one.asked(3) == same.asked(3)
    assert one.studies != other.studies
