"""Every answer is told to the audit trail before its first byte leaves: one place for all routes.

What the route, its path and who asks tell is taken from there; what only a handler knows it adds by `tell`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Hashable, Mapping
from contextvars import ContextVar
from typing import Any
from urllib.parse import parse_qsl

from fastapi.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pacs.access import Principal
from pacs.audit import Action, Entry, Outcome, Service, Subject
from pacs.logs import get
from pacs.query import shown_key
from storage.audit.recorder import Recorder
from storage.database import AWAY
from viewer_api.audit_rules import Rule, rule_of
from viewer_api.problems import problem

log = get("audit")
_told: ContextVar[dict[str, Any] | None] = ContextVar("told", default=None)
_PLAIN = re.compile(r"[0-9.,]{1,80}|[A-Z0-9_-]{1,16}")  # of a path: UIDs, numbers, codes of facilities
SHOWN_CHARACTERS_MAX = 100  # of a field
SYNC_SECONDS = 0.01  # after a picture has left
METHOD_NOT_ALLOWED = 405  # nothing is there that could have been done
REFUSALS = {401: Outcome.REFUSED, 403: Outcome.REFUSED, 429: Outcome.REFUSED, 404: Outcome.ABSENT}


def tell(
    *, who: str = "", what: str = "", studies: tuple[str, ...] = (), subjects: tuple[Subject, ...] = ()
) -> None:
    """Add what only a handler knows: who it was found to be, what exactly, and whom it is about."""
    told = _told.get()
    if told is not None:
        told["who"] = who or told.get("who", "")
        told["what"] = ", ".join(filter(None, (told.get("what"), what)))
        told["studies"] = (*told.get("studies", ()), *studies)
        told["subjects"] = (*told.get("subjects", ()), *subjects)


def told_fields(fields: Mapping[str, object]) -> str:
    """Which fields were given, of what is no secret and names nobody, with their values."""
    return ", ".join(f"{name}: {value}"[:SHOWN_CHARACTERS_MAX] for name, value in fields.items())


def owned_by(*facilities: str) -> tuple[Subject, ...]:
    """What belongs to facilities, and is about no patient."""
    return tuple(Subject(code) for code in facilities)


class Audited:
    """The middleware. Within those that change the request's scope, since it reads what the router puts there."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._writing: dict[Hashable, asyncio.Future[None]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        _told.set({})
        answered = refused = False

        async def send_told(message: Message) -> None:
            nonlocal answered, refused
            if message["type"] == "http.response.start" and not answered:
                answered = True
                refused = not await self._tell(scope, message["status"])
                if refused:
                    await problem(
                        503, "unavailable", "The audit trail is away", headers={"Retry-After": "2"}
                    )(scope, receive, send)
            if not refused:
                await send(message)

        try:
            await self._app(scope, receive, send_told)
        except Exception:
            if not answered:
                await self._tell(scope, 500)
            raise

    async def _tell(self, scope: Scope, status: int) -> bool:
        """Whether it is kept, or need not be."""
        template = getattr(scope.get("route"), "path", "")
        rule = rule_of(scope["method"], template)
        if not template or not isinstance(rule, Rule) or status == METHOD_NOT_ALLOWED:
            return True
        event = _Event(scope, template, rule, status, _told.get() or {})
        recorder: Recorder = scope["app"].state.archive.audit
        if event.key is None:
            return await self._write(recorder, event)
        if recorder.recent.has(event.key):
            return True
        return await self._write_once(recorder, event, event.key)

    async def _write_once(self, recorder: Recorder, event: _Event, key: Hashable) -> bool:
        """Of many at once, as a browser asks for frames, one writes and the others wait for it."""
        writing = self._writing.get(key)
        if writing is not None:
            await asyncio.shield(writing)
            if recorder.recent.has(key):
                return True
        self._writing[key] = done = asyncio.get_running_loop().create_future()
        try:
            # Pictures do not wait for the disk: their entry is in the journal, and on the disk a moment later.
            noted = event.is_picture and recorder.note(event.entry())
            if noted:
                asyncio.get_running_loop().call_later(SYNC_SECONDS, recorder.sync_soon)
            kept = noted or await self._write(recorder, event)
            if kept:
                recorder.recent.note(key)
            return kept
        finally:
            if self._writing.get(key) is done:
                del self._writing[key]
            done.set_result(None)

    async def _write(self, recorder: Recorder, event: _Event) -> bool:
        try:
            await run_in_threadpool(recorder.record, event.entry())
        except AWAY as error:
            log.error("audit_away", error=type(error).__name__)
            return False
        return True


class _Event:
    """A request and its answer's status, as the trail tells them."""

    def __init__(self, scope: Scope, template: str, rule: Rule, status: int, told: dict[str, Any]) -> None:
        self._scope, self._rule, self._told, self._status = scope, rule, told, status
        self._template = template
        self._who: Principal | None = scope.get("state", {}).get("who")
        self._address: str = (scope.get("client") or ("",))[0]
        self._path: dict[str, Any] = scope.get("path_params") or {}
        self._outcome = REFUSALS.get(status, Outcome.SUCCESS if status < 400 else Outcome.FAILED)
        self.key = self._key()

    @property
    def is_picture(self) -> bool:
        """Of which many come one after the other."""
        return self._rule.action is Action.VIEW and self._outcome is Outcome.SUCCESS

    def _key(self) -> Hashable | None:
        """What is told once a minute; None for what is told each time."""
        failed = self._outcome is not Outcome.SUCCESS
        if not self._rule.repeated and not (failed and self._rule.action is not Action.SIGN_IN):
            return None
        asked = self._asked() if failed or self._rule.action in (Action.QUERY, Action.READ_TRAIL) else ""
        return (self._who, self._address, self._rule, self._outcome, self._studies(), asked)

    def _studies(self) -> tuple[str, ...]:
        in_path = self._path.get("study_uid") or (
            dict(self._query()).get("studyUID") if self._template == "/wado" else ""
        )
        return (*((in_path,) if in_path else ()), *(uid for uid in self._told.get("studies", ()) if uid))

    def _query(self) -> list[tuple[str, str]]:
        return parse_qsl(self._scope["query_string"].decode("latin-1"), keep_blank_values=True)

    def _asked(self) -> str:
        """The method and path, of what is in the query what tells no names, and what the handler said."""
        path = re.sub(r"{(\w+)(:\w+)?}", lambda m: self._part(m.group(1)), self._template)
        query = "&".join(shown_key(*pair) for pair in self._query())
        said = self._told.get("what", "")
        return " ".join(filter(None, (self._scope["method"], path + ("?" + query if query else ""), said)))

    def _part(self, name: str) -> str:
        value = str(self._path.get(name, ""))
        return value if _PLAIN.fullmatch(value) else "…"

    def entry(self) -> Entry:
        named = {"who": self._told["who"]} if self._told.get("who") else {}
        asked = self._asked() + (f" → {self._status}" if self._status >= 400 else "")
        return Entry.of(
            self._who, service=Service.API, action=self._rule.action, outcome=self._outcome, address=self._address,
            asked=asked, studies=self._studies(), subjects=tuple(sorted(set(self._told.get("subjects", ())))), **named,
        )  # fmt: skip
