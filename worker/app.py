"""The Celery application and its tasks: each calls one verb of storage.

Run as `celery --app worker.app worker -B -Q index,derive`; the settings come from the environment.
"""

from __future__ import annotations

import uuid
import warnings
from functools import cache

from celery.platforms import SecurityWarning  # type: ignore[attr-defined]  # not in the stubs
from celery.signals import beat_embedded_init, setup_logging, worker_process_init

from pacs import logs
from pacs.processes import end_with_parent
from pacs.settings import from_environment
from storage.archive import Archive
from storage.database import Unavailable
from storage.hints import DERIVE_SERIES, INDEX_PACK, SWEEP, CeleryHints, celery_app
from storage.indexing import index_pack
from storage.renditions import derive_series
from storage.sweeps import sweep

# It warns of pickled messages when run by root; ours are JSON, and hold nothing but ids.
warnings.filterwarnings("ignore", category=SecurityWarning)
settings = from_environment()
app = celery_app(settings)
log = logs.get("worker")
AWAY: tuple[type[Exception], ...] = (OSError, *Unavailable)  # a dependency is away: the sweep hints again
INDEX_SECONDS_MAX, DERIVE_SECONDS_MAX = 600, 120


@cache
def archive() -> Archive:
    """One for each process; opened at its first task."""
    return Archive.open(settings)


@cache
def hints() -> CeleryHints:
    return CeleryHints(settings)


@setup_logging.connect
def _logs(**_: object) -> None:
    logs.configure(settings.log_level, process="worker")


@beat_embedded_init.connect
def _beat_ends_with_the_worker(**_: object) -> None:
    end_with_parent()


@worker_process_init.connect
def _own_connections(**_: object) -> None:
    end_with_parent()
    archive.cache_clear()  # a forked child must not share its parent's sockets
    hints.cache_clear()


@app.task(name=INDEX_PACK, time_limit=INDEX_SECONDS_MAX)
def index(pack_id: str) -> None:
    """Index a pack and hint the thumbnails of its series."""
    try:
        outcome = index_pack(archive(), uuid.UUID(pack_id))
    except AWAY as error:
        log.warning("index_delayed", pack=pack_id, error=type(error).__name__)
        return
    for series_pk in outcome.series:
        hints().derive_series(series_pk)


@app.task(name=DERIVE_SERIES, time_limit=DERIVE_SECONDS_MAX)
def derive(series_pk: int) -> None:
    """Make a series' thumbnail."""
    try:
        derive_series(archive(), series_pk)
    except AWAY as error:
        log.warning("derive_delayed", series=series_pk, error=type(error).__name__)


@app.task(name=SWEEP)
def sweep_now() -> None:
    """Hint again what waits."""
    try:
        sweep(archive(), hints())
    except AWAY as error:
        log.warning("sweep_delayed", error=type(error).__name__)
