"""An embedded database with our tables and nothing in them, made once for each test process: to copy one takes a tenth
of making one."""

from __future__ import annotations

import atexit
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from storage.database import Database
from storage.embedded import EmbeddedDatabase
from storage.migrate import upgrade


def place_empty_database(data: Path) -> None:
    """Put one where `tongying up` looks for its own, unless there is one."""
    if not (data / "postgres").exists():
        # Its files belong to a user of their own when we are root.
        subprocess.run(["cp", "-a", _template(), data / "postgres"], check=True)


@cache
def _template() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="ty-empty-"))
    folder.chmod(0o755)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    embedded = EmbeddedDatabase(folder / "postgres")
    database = Database(embedded.url)
    upgrade(database)
    database.close()
    embedded.stop()
    return folder / "postgres"
