"""What every answer says of itself beside what its route does: one pass over its headers."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

CSP = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; connect-src 'self'; "
    "img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; font-src 'self'; manifest-src 'self'; "
    "object-src blob:; frame-src blob:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
# What keeps browsers from guessing and embedding, where an answer does not say it itself.
SAFE = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", CSP.encode()),
)
SERVICES = ("/dicom-web/", "/wado")
LOCATION, VARY, FOR_ONE = b"content-location", b"vary", b"Authorization"

Header = tuple[bytes, bytes]


class SafeHeaders:
    """Adds them. Of what DICOMweb gives also where it is (PS3.18 8.4.2), and that a browser keeps it for one user
    alone: a workstation has many."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        of_dicomweb = scope["method"] == "GET" and scope["path"].startswith(SERVICES)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers: list[Header] = list(message.get("headers", ()))
                said = {name.lower() for name, _ in headers}
                headers += (one for one in SAFE if one[0] not in said)
                if of_dicomweb and message["status"] in (200, 206):
                    if LOCATION not in said:
                        headers.append((LOCATION, _address(scope)))
                    _for_one_user(headers, is_said=VARY in said)
                message["headers"] = headers
            await send(message)

        await self._app(scope, receive, with_headers)


def _address(scope: Scope) -> bytes:
    query: bytes = scope["query_string"]
    path: bytes = scope["raw_path"]
    return path + b"?" + query if query else path


def _for_one_user(headers: list[Header], *, is_said: bool) -> None:
    if not is_said:
        headers.append((VARY, FOR_ONE))
        return
    at = next(number for number, (name, _) in enumerate(headers) if name.lower() == VARY)
    headers[at] = (VARY, headers[at][1] + b", " + FOR_ONE)
