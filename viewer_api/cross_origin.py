"""Pages of other origins that may call the API (CORS, the Fetch standard 3.2): those of the setting, and no others."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from pacs.settings import Settings

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
# Beside those that the standard lets every page send and read.
TAKEN = ("Authorization", "Content-Encoding", "If-None-Match", "If-Range", "Range", "X-Purpose-Of-Use")
TOLD = (
    "Accept-Ranges", "Allow", "Content-Disposition", "Content-Location", "Content-Range", "ETag", "Link", "Location",
    "Retry-After", "Warning", "WWW-Authenticate", "X-Total-Count",
)  # fmt: skip
REMEMBERED_SECONDS = 600  # what a preflight said


def install(app: FastAPI, settings: Settings) -> None:
    """Answer preflights; without credentials: whoever calls brings a token, and our cookies are for our own pages."""
    if settings.allowed_origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=settings.allowed_origins, allow_methods=METHODS, allow_headers=TAKEN,
            expose_headers=TOLD, max_age=REMEMBERED_SECONDS,
        )  # fmt: skip
