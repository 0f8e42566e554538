"""`python -m deploy.prepare`: schema, first facility, administrator and bucket; ends with 0 when all is ready to use.

The one-shot step of a deployment, before the parts start. Safe to run again and by several at once.
"""

from __future__ import annotations

import sys
import time

from deploy import supervisor
from pacs import logs
from pacs.errors import SettingError, TongyingError
from pacs.logs import get
from pacs.settings import Settings, from_environment
from storage.blobs import open_store
from storage.database import AWAY

log = get("prepare")
PATIENCE_SECONDS = 60  # servers that were started together with us
RETRY_SECONDS = 1.0
PROBE_KEY = "probe/prepare"


def main() -> int:
    """0 when ready, 1 where a server stays away, 2 for settings that cannot be used."""
    logs.configure(process="prepare")
    try:
        settings = from_environment()
        if not settings.database_url:
            raise SettingError("set TONGYING_DATABASE_URL; without one, `tongying up` prepares what it runs")
        password = _patiently(settings)
    except TongyingError as error:
        print(f"prepare: {error}", file=sys.stderr)
        return 2
    except AWAY as error:
        print(f"prepare: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    if password:
        print(f"Sign in as admin with {password}   (shown this once)")
    return 0


def _patiently(settings: Settings) -> str | None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            try_store(settings)
            return supervisor.prepare_archive(settings)
        except AWAY as error:
            if time.monotonic() > deadline:
                raise
            log.warning("prepare_delayed", error=type(error).__name__)
            time.sleep(RETRY_SECONDS)


def try_store(settings: Settings) -> None:
    """A small object put, read and removed: makes the bucket, and finds wrong keys before a study does."""
    store = open_store(settings)
    store.put(PROBE_KEY, b"prepared")
    store.get(PROBE_KEY)
    store.delete(PROBE_KEY)


if __name__ == "__main__":
    sys.exit(main())
