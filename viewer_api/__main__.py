"""`python -m viewer_api`: the HTTP server, a process for each core behind one port; settings from the environment."""

from __future__ import annotations

import signal
import socket
import sys
import threading

import uvicorn

from pacs import logs
from pacs.crew import Crew
from pacs.errors import SettingError
from pacs.settings import Settings, from_environment
from viewer_api.app import create_app
from viewer_api.wire import Wire

CANNOT_START = 2
IDLE_SECONDS = 30  # that a connection is kept; whoever stands in front keeps it for less


def main() -> int:
    """Run until SIGTERM or SIGINT; 0 after a clean stop, 2 where it cannot start."""
    try:
        settings = from_environment()
    except SettingError as error:
        print(error, file=sys.stderr)  # noqa: T201  before there is a log
        return CANNOT_START
    logs.configure(settings.log_level, process="api")
    try:
        door = bound(settings)
    except OSError as error:
        logs.get("api").error("cannot_start", port=settings.http_port, reason=error.strerror)
        return CANNOT_START
    server = made(settings)
    if settings.http_process_count == 1:
        return serve(server, door)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return Crew(settings.http_process_count, lambda _: serve(server, door), close=door.close).run(stop)


def bound(settings: Settings) -> socket.socket:
    """The socket that all processes accept from; it listens when the first of them is ready. Raises OSError."""
    family = socket.AF_INET6 if ":" in settings.http_host else socket.AF_INET
    door = socket.socket(family, socket.SOCK_STREAM)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    door.bind((settings.http_host, settings.http_port))
    return door


def made(settings: Settings) -> uvicorn.Server:
    """Made before the forks, which share its memory; it opens nothing yet."""
    return uvicorn.Server(uvicorn.Config(
        create_app(settings), http=Wire, log_config=None, access_log=False, server_header=False,
        timeout_keep_alive=IDLE_SECONDS, timeout_graceful_shutdown=5,
        proxy_headers=True,  # of the proxies in FORWARDED_ALLOW_IPS, uvicorn's own setting; else of 127.0.0.1
    ))  # fmt: skip


def serve(server: uvicorn.Server, door: socket.socket) -> int:
    """Be one of the processes until SIGTERM or SIGINT."""
    server.run(sockets=[door])
    return 0 if server.started else CANNOT_START


if __name__ == "__main__":
    sys.exit(main())
