"""`python -m viewer_api`: the HTTP server as a process of its own; settings from the environment."""

from __future__ import annotations

import sys

import uvicorn

from pacs import logs
from pacs.errors import SettingError
from pacs.settings import from_environment
from viewer_api.app import create_app


def main() -> int:
    """Run until SIGTERM or SIGINT."""
    try:
        settings = from_environment()
    except SettingError as error:
        print(error, file=sys.stderr)  # noqa: T201  before there is a log
        return 2
    logs.configure(settings.log_level, process="api")
    uvicorn.run(
        create_app(settings), host=settings.http_host, port=settings.http_port, log_config=None,
        access_log=False, server_header=False, timeout_keep_alive=30, timeout_graceful_shutdown=5,
        proxy_headers=True,  # of the proxies in FORWARDED_ALLOW_IPS, uvicorn's own setting; else of 127.0.0.1
    )  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
