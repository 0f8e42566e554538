"""The Celery application without its tasks: all that the clock needs, which names the sweep and does not do it.

Run once, as `celery --app worker.clock beat`; the settings come from the environment.
"""

from __future__ import annotations

import warnings

from celery.platforms import SecurityWarning  # type: ignore[attr-defined]  # not in the stubs
from celery.signals import setup_logging

from pacs import logs
from pacs.settings import from_environment
from storage.hints import celery_app

# It warns of pickled messages when run by root; ours are JSON, and hold nothing but ids.
warnings.filterwarnings("ignore", category=SecurityWarning)
settings = from_environment()
app = celery_app(settings)


@setup_logging.connect
def _logs(**_: object) -> None:
    logs.configure(settings.log_level, process="worker")
