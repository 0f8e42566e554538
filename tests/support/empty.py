"""An embedded database as `tongying up` prepares it at its first start, made once for each test process: to copy one
takes a tenth of making one."""

from __future__ import annotations

import atexit
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from argon2 import PasswordHasher
from sqlalchemy import update

from pacs.settings import Settings
from storage.archive import Archive
from storage.embedded import EmbeddedDatabase
from storage.index.tables import users
from storage.setup import prepare

QUICK = PasswordHasher(
    time_cost=1, memory_cost=8, parallelism=1
)  # a real one takes 64 MiB and 0.2 s of a core


def place_empty_database(data: Path, password: str) -> None:
    """Put one where `tongying up` looks for its own, unless there is one: with the facility LOCAL, and `admin` who has
    this password. That is compared within no time; what is about how long that takes needs a user of its own."""
    if not (data / "postgres").exists():
        # Its files belong to a user of their own when we are root.
        subprocess.run(["cp", "-a", _template(password), data / "postgres"], check=True)


@cache
def _template(password: str) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="ty-empty-"))
    folder.chmod(0o755)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    embedded = EmbeddedDatabase(folder / "postgres")
    settings = Settings(data=folder / "data", database_url=embedded.url, admin_password=password)
    archive = Archive.open(settings)
    prepare(archive)
    with archive.database.begin() as connection:
        connection.execute(update(users).values(password_hash=QUICK.hash(password)))
    archive.close()
    embedded.stop()
    return folder / "postgres"
