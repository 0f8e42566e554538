"""What browsers load: our own page at /, and OHIF at /ohif/ where it is installed."""

from __future__ import annotations

import mimetypes
from pathlib import Path

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import FileResponse, PlainTextResponse, RedirectResponse, Response

from pacs.errors import NotFound
from pacs.settings import Settings
from viewer_api.problems import methods_of

NOT_PAGES = ("api/", "dicom-web", "wado", "fhir", "cds-services")
FOREVER, ASK_FIRST = "public, max-age=31536000, immutable", "no-cache"
OHIF_CSP = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; connect-src 'self'; "
    "img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; font-src 'self'; media-src blob:; "
    "object-src blob:; frame-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# Of a worker without a document, storage or cookies; its JPEG 2000 is compiled from strings.
OHIF_DECODER_CSP = "default-src 'none'; script-src 'self' 'unsafe-eval'; connect-src 'self'"


def install(app: FastAPI, settings: Settings) -> None:
    """Files under hashed names for ever, and an index.html for every path of its router."""
    web, ohif = settings.web_dist.absolute(), settings.ohif_dist.absolute()

    @app.get("/ohif", include_in_schema=False)
    def ohif_door() -> Response:
        if not has_ohif(settings):
            raise NotFound("there is no such resource")
        return RedirectResponse("/ohif/")

    @app.get("/ohif/{path:path}", include_in_schema=False)
    def ohif_page(request: Request, path: str) -> Response:
        file = _within(ohif, path)
        if file is None and not path.startswith("assets/"):
            file = ohif / "index.html"
        if file is None or not file.is_file():
            raise NotFound("there is no such resource")
        answer = _file(request, file, path)
        answer.headers["Content-Security-Policy"] = OHIF_DECODER_CSP if "/decoder/" in path else OHIF_CSP
        return answer

    @app.get("/{path:path}", include_in_schema=False)
    def page(request: Request, path: str) -> Response:
        if path.startswith(NOT_PAGES):
            if methods_of(request):
                raise HTTPException(405, "Method Not Allowed")
            raise NotFound("there is no such resource")
        file = _within(web, path) or web / "index.html"
        if not file.is_file():
            return PlainTextResponse("The web page is not built yet: run `make web`.\n", 503)
        return _file(request, file, path)


def has_ohif(settings: Settings) -> bool:
    """Whether there is something at /ohif/."""
    return (settings.ohif_dist / "index.html").is_file()


def _file(request: Request, file: Path, path: str) -> Response:
    """A file; as the build compressed it, if it did: to do that for each request costs the first picture its second."""
    lasting = "/assets/" in f"/{path}" and file.name != "index.html"
    headers = {"Cache-Control": FOREVER if lasting else ASK_FIRST, "Vary": "Accept-Encoding"}
    zipped = file.with_name(file.name + ".gz")
    if "gzip" in request.headers.get("accept-encoding", "") and zipped.is_file():
        kind = mimetypes.guess_type(file.name)[0]
        return FileResponse(zipped, headers={**headers, "Content-Encoding": "gzip"}, media_type=kind)
    return FileResponse(file, headers=headers)


def _within(dist: Path, path: str) -> Path | None:
    """The file of a path, if it is one and lies in the folder; raises NotFound for what can be no path."""
    try:
        file = (dist / path).resolve()
        return file if path and file.is_relative_to(dist) and file.is_file() else None
    except (ValueError, OSError):  # a NUL, or longer than names may be
        raise NotFound("there is no such resource") from None
