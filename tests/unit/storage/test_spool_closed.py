"""A spool that is closed takes nothing more: its directory may be another process's by now (promise P1)."""

from __future__ import annotations

from pathlib import Path

import pytest

from pacs.errors import OutOfResources
from pacs.settings import Settings
from storage.reception import Reception
from storage.records import Origin
from storage.spool import Spool, adopt_orphans

ORIGIN = Origin("LOCAL", "CT1", "TONGYING", "127.0.0.1")
CT, EXPLICIT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"


@pytest.mark.parametrize("first", [0, 100, 300_000, 9_000_000])
def test_what_is_under_way_when_it_closes_is_refused(tmp_path: Path, first: int) -> None:
    """However much of it came before: nothing at all, a bit, enough to be written ahead, or a large object."""
    settings = Settings(data=tmp_path, disk_free_bytes_min=0)
    sealed: list[Path] = []
    spool = Spool(settings.spool / "node", settings, sealed.append)
    one = Reception(spool)
    one.begin(ORIGIN, CT, "1.2.3", EXPLICIT)
    _put(one, first)
    spool.close()
    adopt_orphans(settings.spool)
    with pytest.raises(OutOfResources):
        _finish(one)
    one.close()
    assert sealed == []
    assert list(settings.spool.rglob("*.seg")) == []


def _finish(one: Reception) -> None:
    _put(one, 300_000)
    one.commit()


def _put(one: Reception, size: int) -> None:
    for start in range(0, size, 100_000):
        piece = bytes(min(100_000, size - start))
        one.room(len(piece))[:] = piece
        one.took(len(piece))
