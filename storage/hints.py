"""Hints: Celery messages that say that there is work. Losing one delays work, and never loses it."""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pacs.logs import get
from pacs.settings import Settings

if TYPE_CHECKING:
    from celery import Celery

log = get("hints")

INDEX_PACK, DERIVE_SERIES, SWEEP = "tongying.index_pack", "tongying.derive_series", "tongying.sweep"
MAKE_PROGRESSIVE = "tongying.make_progressive"
QUEUES = ("urgent", "index", "derive", "progressive")  # which a worker serves, by turns
INDEX_EXPIRES_SECONDS = 30  # the sweep has hinted again by then: else hints pile up behind a backlog
PROGRESSIVE_EXPIRES_SECONDS = 5  # likewise, so that few of them are ever in line
EMBEDDED_POLL_SECONDS = 0.05
AWAY_FACTOR = 2  # a broker that took no hint is left alone twice as long as it held us up


class Hints(Protocol):
    """Where hints go."""

    def index_pack(self, pack_id: uuid.UUID, *, urgent: bool = False) -> None: ...
    def derive_series(self, series_pk: int) -> None: ...
    def make_progressive(self) -> None: ...


class CeleryHints:
    """Hints by Celery; a broker that is away costs a line in the log."""

    def __init__(self, settings: Settings) -> None:
        self._app = celery_app(settings)
        self._away_until = 0.0

    def index_pack(self, pack_id: uuid.UUID, *, urgent: bool = False) -> None:
        """There is one more pack to index; which one is next, the worker decides (`storage.lanes`)."""
        self._send(INDEX_PACK, str(pack_id), "urgent" if urgent else "index", expires=INDEX_EXPIRES_SECONDS)

    def derive_series(self, series_pk: int) -> None:
        self._send(DERIVE_SERIES, series_pk, "derive")

    def make_progressive(self) -> None:
        """There are series without renditions; which one is next, the worker decides."""
        self._send(MAKE_PROGRESSIVE, None, "progressive", expires=PROGRESSIVE_EXPIRES_SECONDS)

    def _send(self, task: str, argument: Any, queue: str, **options: Any) -> None:
        began = time.monotonic()
        if began < self._away_until:
            return  # a hung broker must not hold up shipping; the sweep hints again
        try:
            self._app.send_task(
                task,
                args=[] if argument is None else [argument],
                queue=queue,
                retry=False,
                ignore_result=True,
                **options,
            )
        except Exception as error:  # kombu's transports raise what their libraries raise
            now = time.monotonic()
            self._away_until = now + AWAY_FACTOR * (now - began)
            log.warning("hint_lost", task=task, error=type(error).__name__)


def celery_app(settings: Settings) -> Celery:
    """The Celery application: JSON messages with ids, late acknowledgement, no results."""
    from celery import Celery  # here: the command line has no need of it, and need not wait for it
    from kombu.transport import TRANSPORT_ALIASES

    TRANSPORT_ALIASES["tongying-files"] = "storage.filebroker:Transport"
    app = Celery("tongying", set_as_current=False)
    broker, options = _broker(settings)
    app.conf.update(
        broker_url=broker,
        broker_transport_options=options,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,  # a worker waits for its broker as long as it takes
        broker_connection_timeout=3,
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_acks_late=True,
        task_default_queue="index",
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_send_task_events=False,
        beat_schedule={
            "sweep": {"task": SWEEP, "schedule": settings.sweep_seconds, "options": {"expires": 10}}
        },
        beat_scheduler="celery.beat:Scheduler",  # in memory: a file would be fought over by a host's workers
    )
    return app


def _broker(settings: Settings) -> tuple[str, dict[str, Any]]:
    if settings.broker_url:
        # An unacknowledged task returns after this long; the sweep is faster, so this is only a floor.
        options = {"visibility_timeout": 3600, "socket_timeout": 5, "socket_connect_timeout": 3}
        # Else a sender tries for about 6 s, within `send_task`, whatever its `retry` says.
        options |= {"max_retries": 0, "socket_keepalive": True}
        return settings.broker_url, options if settings.broker_url.startswith(("redis", "rediss")) else {}
    messages, control = settings.data / "broker" / "messages", settings.data / "broker" / "control"
    for folder in (messages, control):
        Path(folder).mkdir(parents=True, exist_ok=True)
    folders = {
        "data_folder_in": str(messages),
        "data_folder_out": str(messages),
        "control_folder": str(control),
    }
    return "tongying-files://localhost//", {**folders, "polling_interval": EMBEDDED_POLL_SECONDS}
