"""What a Celery worker and the clock import when they start, for a process that forks them (deploy/nursery.py). Our own
tasks are not among it: their module reads the settings."""

from __future__ import annotations

import celery.apps.beat
import celery.apps.worker
import celery.bin.celery
import celery.concurrency.solo
import celery.worker.consumer  # noqa: F401
