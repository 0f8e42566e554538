"""The HTTP side as one application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.datastructures import MutableHeaders
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pacs import VERSION
from pacs.settings import Settings
from storage.archive import Archive
from storage.health import waiting
from storage.intake import Intake
from viewer_api import (
    account,
    audit,
    auth,
    cross_origin,
    devices,
    direct,
    exchange,
    fhir,
    fhir_capabilities,
    launch,
    looked,
    metrics,
    openapi,
    openid,
    pages,
    persons,
    portal,
    problems,
    provider,
    rejections,
    share_links,
    sharing,
    sign_in,
    users,
    worklist,
)
from viewer_api.audited import Audited
from viewer_api.dicomweb import capabilities, frames, qido, rendered, stow, wado, wado_uri
from viewer_api.limits import HeadAsGet, SmallBodies

CSP = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; connect-src 'self'; "
    "img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; font-src 'self'; manifest-src 'self'; "
    "object-src blob:; frame-src blob:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
SERVICES = ("/dicom-web/", "/wado")
SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": CSP,
}


def create_app(settings: Settings) -> FastAPI:
    """The application; opens its archive at start-up and closes it at the end."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        direct.start()
        archive = Archive.open(settings)
        app.state.archive = archive
        app.state.provider = provider.Provider(settings)
        app.state.tokens = auth.TokenIssuer(archive)
        app.state.intake = Intake(archive)
        app.state.intake.recover()
        archive.audit.recover()
        archive.audit.start()
        yield
        app.state.intake.close()
        archive.close()

    app = FastAPI(title="Tongying 通影", version=VERSION, lifespan=lifespan, openapi_url="/api/openapi.json",
                  docs_url=None, redoc_url=None)  # fmt: skip
    app.add_middleware(Audited)
    app.add_middleware(SmallAnswersZipped)
    app.add_middleware(SmallBodies)
    app.add_middleware(Located)
    app.add_middleware(SafeHeaders)
    app.add_middleware(HeadAsGet)
    cross_origin.install(app, settings)  # the outermost: what is refused says too who may read it
    problems.install(app)
    openapi.install(app)
    for router in (
        # What is asked most often first: a request looks through the routes in this order.
        wado.router, frames.router, rendered.router, qido.router, stow.router, wado_uri.router,
        capabilities.router,
        portal.router, sign_in.router, account.router, launch.router, openid.router,
        devices.router, exchange.router, worklist.router, rejections.router,
        sharing.router, share_links.router, users.router, persons.router, fhir.router,
        fhir_capabilities.router, audit.router, looked.router,
    ):  # fmt: skip
        app.include_router(router)
    direct.install(app, frames.router, rendered.router, wado.router)
    _add_health(app, metrics.registry(settings.http_process_count))
    pages.install(app, settings)
    return app


class SmallAnswersZipped(GZipMiddleware):
    """Compresses JSON and pages; pixels pass as they are, since compressing them again costs more than it saves."""

    async def __call__(self, scope, receive, send) -> None:  # type: ignore[no-untyped-def]  # ASGI's shapes
        path = scope.get("path", "")
        if (
            scope["type"] == "http"
            and path.startswith(SERVICES)
            and not path.endswith(("/studies", "/series", "/instances", "/metadata"))
        ):
            await self.app(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


class SafeHeaders:
    """Adds what keeps browsers from guessing and embedding, where an answer does not say it itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SAFE_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)


class Located:
    """Says of what DICOMweb gives where it is (PS3.18 8.4.2), and that a browser keeps it for one user alone: a
    workstation has many."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_location(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] in (200, 206):
                url = b"?".join(filter(None, (scope["raw_path"], scope["query_string"])))
                headers = MutableHeaders(scope=message)
                headers.setdefault("Content-Location", url.decode("latin-1"))
                headers.add_vary_header("Authorization")
            await send(message)

        of_dicomweb = (
            scope["type"] == "http" and scope["method"] == "GET" and scope["path"].startswith(SERVICES)
        )
        await self._app(scope, receive, with_location if of_dicomweb else send)


def _add_health(app: FastAPI, metered: CollectorRegistry) -> None:
    @app.get("/healthz", include_in_schema=False)
    def alive() -> PlainTextResponse:
        return PlainTextResponse("ok")

    @app.get("/readyz", include_in_schema=False)
    def ready(request: Request) -> JSONResponse:
        now = waiting(request.app.state.archive)
        return JSONResponse({"ready": True, "packs_waiting": now.packs, "packs_again": now.again})

    @app.get("/metrics", include_in_schema=False)
    def told() -> Response:
        return Response(generate_latest(metered), media_type=CONTENT_TYPE_LATEST)
