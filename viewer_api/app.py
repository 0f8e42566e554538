"""The HTTP side as one application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.middleware.gzip import GZipMiddleware

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
from viewer_api.safe_headers import SERVICES, SafeHeaders


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
    problems.install(app)
    direct.install(app, frames.router, rendered.router, wado.router)
    app.add_middleware(Audited)
    app.add_middleware(SmallAnswersZipped)
    app.add_middleware(SmallBodies)
    app.add_middleware(SafeHeaders)
    app.add_middleware(HeadAsGet)
    cross_origin.install(app, settings)  # the outermost: what is refused says too who may read it
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
