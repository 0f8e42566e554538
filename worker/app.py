"""The tasks: each calls one verb of storage.

Run as `celery --app worker.app worker --pool solo -Q urgent,index,derive,progressive`, as many as there are cores; the
settings come from the environment.
"""

from __future__ import annotations

import time
from functools import cache
from typing import Any

from celery.signals import worker_init

from pacs import logs
from pacs.processes import collect_seldom, ends_within, give_way
from storage.archive import Archive
from storage.database import AWAY
from storage.erasing import erase_due
from storage.hints import DERIVE_SERIES, INDEX_PACK, MAKE_PROGRESSIVE, SWEEP, CeleryHints
from storage.indexing import index_next
from storage.lanes import Turns
from storage.linking import link_due
from storage.progression import make_progressive
from storage.renditions import derive_series
from storage.sweeps import sweep
from worker.clock import app, settings

log = logs.get("worker")
turns = Turns()
SLICE_SECONDS = 1.0  # of indexing for one hint, then thumbnails have their turn
PROGRESSIVE_SECONDS = 2.0  # of work at renditions for one hint
INDEX_SECONDS_MAX, DERIVE_SECONDS_MAX, PROGRESSIVE_SECONDS_MAX = 600, 120, 60
SWEEP_SECONDS_MAX, ERASE_SECONDS_MAX = 60, 600
LINK_SECONDS, LINK_SECONDS_MAX = 1.0, 60  # of linking for one sweep


@worker_init.connect
def _give_way(**_: Any) -> None:
    """What was acknowledged can wait for a moment; who sends, and who looks, should not wait for the index."""
    give_way(settings.worker_nice)
    collect_seldom()


@cache
def archive() -> Archive:
    """Opened at the first task."""
    return Archive.open(settings)


@cache
def hints() -> CeleryHints:
    return CeleryHints(settings)


@app.task(name=INDEX_PACK)
def index(pack_id: str) -> None:
    """Index what waits, by turns, and hint the thumbnails of its series. The hint says that there is work, not which
    pack is next; for a moment the worker goes on without another one."""
    until = time.monotonic() + SLICE_SECONDS
    try:
        while True:
            with ends_within(INDEX_SECONDS_MAX):
                outcome = index_next(archive(), turns)
            if outcome is None:
                return
            for series_pk in outcome.series:
                hints().derive_series(series_pk)
            if time.monotonic() > until:
                return
    except AWAY as error:
        log.warning("index_delayed", pack=pack_id, error=type(error).__name__)


@app.task(name=DERIVE_SERIES)
def derive(series_pk: int) -> None:
    """Make a series' thumbnail."""
    try:
        with ends_within(DERIVE_SECONDS_MAX):
            derive_series(archive(), series_pk)
    except AWAY as error:
        log.warning("derive_delayed", series=series_pk, error=type(error).__name__)


@app.task(name=MAKE_PROGRESSIVE)
def progressive() -> None:
    """Make HTJ2K renditions for a moment, if nothing else waits."""
    try:
        with ends_within(PROGRESSIVE_SECONDS_MAX):
            make_progressive(archive(), PROGRESSIVE_SECONDS)
    except AWAY as error:
        log.warning("progressive_delayed", error=type(error).__name__)


@app.task(name=SWEEP)
def sweep_now() -> None:
    """Hint again what waits, link patients that are new or changed, and erase what is to be erased."""
    try:
        with ends_within(SWEEP_SECONDS_MAX):
            sweep(archive(), hints())
        with ends_within(LINK_SECONDS_MAX):
            link_due(archive(), LINK_SECONDS)
        with ends_within(ERASE_SECONDS_MAX):
            erase_due(archive())
    except AWAY as error:
        log.warning("sweep_delayed", error=type(error).__name__)
