"""The command line: `tongying --help`. A command's module is loaded when the command is called, and not before:
each loads much, and nobody should wait for what he did not ask for."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from deploy import telling
from deploy.console import complaints
from pacs import logs
from pacs.errors import TongyingError

# Where each command is, and the first sentence of its own help.
COMMANDS = {
    "audit": ("cli_audit:audit_app", "Who looked, asked and changed: the audit trail."),
    "up": (
        "cli_up:up",
        "Run the all-in-one server: DICOM node, worker, API, web page, and the embedded PostgreSQL.",
    ),
    "import": ("cli_archive:import_", "Take files into the archive."),
    "check": ("cli_archive:check", "Verify the archive: every byte, count and row."),
    "reindex": ("cli_reindex:reindex", "Index anew what is stored, as it is read now."),
    "stats": ("cli_archive:stats", "What waits, and what an operator must look at."),
    "send": ("cli_exchange:send", "Send a study or series to a remote."),
    "reject": ("cli_rejection:reject", "Reject a study, a series or instances."),
    "rejected": ("cli_rejection:rejected_app", "What is rejected: look, restore, erase."),
    "facility": ("cli_registry:facility_app", "Hospitals and clinics."),
    "device": ("cli_registry:device_app", "Modalities and other systems that may call the node."),
    "person": ("cli_persons:person_app", "Who is who: patients linked across facilities."),
    "sharing": ("cli_sharing:sharing_app", "Grants, restrictions, emergencies and share links."),
    "user": ("cli_users:user_app", "Who may sign in."),
    "client": ("cli_clients:client_app", "Other systems that call the API with credentials of their own."),
    "secret": ("cli_secrets:secret_app", "The keys that sign and seal: rotate them."),
    "remote": ("cli_exchange:remote_app", "Systems that we call: receivers of images, and their like."),
    "route": ("cli_exchange:route_app", "Rules: what arrives and fits is sent on."),
    "orthanc": ("cli_orthanc:orthanc_app", "Hospitals that run an Orthanc: followed by their change logs."),
}
app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def _commands() -> None:
    """Tongying 通影: a regional cloud PACS. Settings are read from TONGYING_… variables."""


class Deferred(TyperCommand):
    """Stands for a command in the list of commands; when it is called, the real one is."""

    name: str

    def __init__(self, name: str, place: str, said: str) -> None:
        super().__init__(name, help=said)
        self._place = place

    def load(self) -> TyperCommand | TyperGroup:
        """The real one: a group of commands, or a function that becomes one."""
        module, _, attribute = self._place.partition(":")
        found = getattr(import_module(f"deploy.{module}"), attribute)
        holder = typer.Typer(add_completion=False)
        if isinstance(found, typer.Typer):
            holder.add_typer(found, name=self.name)
        else:
            holder.command(self.name)(found)
        command = typer.main.get_group(holder).commands[self.name]
        assert isinstance(command, (TyperCommand, TyperGroup))
        return command

    def make_context(self, *given: Any, **extra: Any) -> Any:
        return self.load().make_context(*given, **extra)


def commands() -> TyperGroup:
    """All commands as one."""
    group = typer.main.get_group(app)
    for name, (place, said) in COMMANDS.items():
        group.add_command(Deferred(name, place, said))
    return group


def main() -> None:
    """The entry point."""
    logs.configure()
    run(sys.argv[1:])


def run(arguments: list[str]) -> None:
    """Ends by SystemExit: expected errors are one clear line and exit status 1."""
    telling.invoked.set(tuple(arguments))
    try:
        commands()(arguments, prog_name="tongying")
    except TongyingError as error:
        complaints.print(f"tongying: {error}")
        sys.exit(1)
