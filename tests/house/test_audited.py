"""Nothing is done that the audit trail is not told of: each route, service and command has its place there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from deploy.cli import COMMANDS, Deferred, commands
from deploy.telling import ACTIONS
from dicom_node.commitment import PUSH_MODEL
from dicom_node.services import SERVICES
from dicom_node.syntaxes import VERIFICATION
from pacs.audit import Action
from pacs.auditcodes import EVENTS
from pacs.settings import Settings
from viewer_api.app import create_app
from viewer_api.audit_rules import RULES, Untold

UNTOLD_SERVICES = {
    VERIFICATION: "it tells nothing but that we are there",
    PUSH_MODEL: "a device asks whether what it sent is kept, and is told no more",
}
UNTOLD_COMMANDS = {"up": "it runs the parts, which tell themselves what is done with them"}


def routes() -> Iterator[tuple[str, str]]:
    for route in create_app(Settings()).router.routes:
        router = getattr(route, "original_router", None)
        found: list[Any] = router.routes if router is not None else [route]
        for one in found:
            yield from ((method, one.path) for method in one.methods if method != "HEAD")


def test_every_route_is_told_or_has_a_reason() -> None:
    """Else: give it a rule in viewer_api/audit_rules.py."""
    assert set(routes()) == RULES.keys()
    assert all(rule.reason for rule in RULES.values() if isinstance(rule, Untold))


def test_every_service_is_told_or_has_a_reason() -> None:
    assert {uid for uid, service in SERVICES.items() if service.action is None} == UNTOLD_SERVICES.keys()


def leaves(name: str, command: Any) -> Iterator[str]:
    if isinstance(command, Deferred):
        command = command.load()
    if isinstance(command, typer.core.TyperGroup):
        for below, one in command.commands.items():
            yield from leaves(f"{name} {below}", one)
    else:
        yield name


def test_every_command_is_told_or_has_a_reason() -> None:
    """Else: give it an action in deploy/telling.py."""
    group = commands()
    found = {path for name in COMMANDS for path in leaves(name, group.commands[name])}
    assert found == ACTIONS.keys() | UNTOLD_COMMANDS.keys()


def test_every_action_has_a_code_for_others() -> None:
    assert EVENTS.keys() == set(Action)
