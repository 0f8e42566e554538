"""What is done by the command line, told to the audit trail: by whom, which command, and whether it worked."""

from __future__ import annotations

import contextlib
import getpass
import os
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING

from pacs.audit import Action, Entry, Outcome, Service, Subject

if TYPE_CHECKING:  # it loads much, and who only prints needs no archive
    from storage.archive import Archive

OPERATOR = "operator"  # their role: whoever may run it may do all
UNTOLD = frozenset(
    {"--password", "--reason", "--url", "--username"}
)  # options that hold secrets, or free text
invoked: ContextVar[tuple[str, ...]] = ContextVar(
    "invoked", default=()
)  # the arguments of the command that runs
# By the command's path; `tests/house` proves that all commands that open the archive stand here.
ACTIONS: dict[str, Action] = {
    **dict.fromkeys(
        (
            "facility add", "facility change", "device add", "device change", "device remove", "user add",
            "user password", "remote add", "remote remove", "route add", "route remove", "orthanc add",
            "orthanc remove", "reindex", "audit accept", "facility share", "person link",
            "person unlink", "person undo", "person review", "client add", "client remove", "client rotate",
            "secret reseal", "secret rotate", "user forget-factor", "user sign-out", "user unlock",
            "sharing revoke", "sharing lift", "sharing revoke-link",
        ),
        Action.CHANGE,
    ),
    **dict.fromkeys(
        (
            "check", "stats", "rejected list", "facility list", "device list", "user list", "remote list",
            "remote echo", "route list", "orthanc list", "orthanc compare", "person list",
            "person show", "client list", "sharing grants",
            "sharing restrictions", "sharing emergencies", "sharing links",
        ),
        Action.QUERY,
    ),
    **dict.fromkeys(("audit verify", "audit list", "audit export", "audit who-looked"), Action.READ_TRAIL),
    "import": Action.STORE,
    "send": Action.EXPORT,
    "orthanc push": Action.EXPORT,
    "reject": Action.REJECT,
    "rejected restore": Action.RESTORE,
    "rejected erase": Action.ERASE,
}  # fmt: skip


@contextlib.contextmanager
def told(archive: Archive) -> Iterator[None]:
    """Whatever the block does is told at its end, however it ends."""
    outcome = Outcome.FAILED
    try:
        yield
        outcome = Outcome.SUCCESS
    finally:
        if arguments := invoked.get():
            archive.audit.record(_entry(arguments, outcome))


def _entry(arguments: tuple[str, ...], outcome: Outcome) -> Entry:
    shown = _shown(arguments)
    study, facility = _given(shown, "--study"), _given(shown, "--facility")
    return Entry.of(
        None, service=Service.COMMAND_LINE, action=action_of(shown), outcome=outcome, who=_who(), role=OPERATOR,
        asked=" ".join(shown), studies=(study,) if study else (), subjects=(Subject(facility),) if facility else (),
    )  # fmt: skip


def action_of(arguments: tuple[str, ...]) -> Action:
    """By the command and, where it is a group, the one within."""
    return ACTIONS.get(" ".join(arguments[:2])) or ACTIONS.get(arguments[0], Action.CHANGE)


def _shown(arguments: tuple[str, ...]) -> tuple[str, ...]:
    """Without the values of options that hold secrets."""
    shown: list[str] = []
    for argument in arguments:
        name = argument.partition("=")[0]
        if shown and shown[-1] in UNTOLD:
            argument = "…"
        shown.append(f"{name}=…" if name in UNTOLD and "=" in argument else argument)
    return tuple(shown)


def _given(arguments: tuple[str, ...], option: str) -> str:
    for place, argument in enumerate(arguments):
        if argument == option and place + 1 < len(arguments):
            return arguments[place + 1]
        if argument.startswith(f"{option}="):
            return argument.partition("=")[2]
    return ""


def _who() -> str:
    """The account of the machine; behind sudo the one that called it."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # a container knows its users by number only
        return str(os.getuid())
