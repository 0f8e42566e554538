"""`tongying client`: other systems that call the API with credentials of their own."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from deploy.console import console, opened, tables
from storage import clients
from storage.clients import OVERLAP_HOURS, SCOPES, Client
from storage.facilities import LOCAL

client_app = typer.Typer(
    no_args_is_help=True, help="Other systems that call the API with credentials of their own."
)


@client_app.command("add")
def client_add(
    name: str,
    scopes: Annotated[
        list[str], typer.Option("--scope", help=f"What it may: {', '.join(SCOPES)}. Repeat for several.")
    ],
    facility: Annotated[str, typer.Option(help="The facility that it belongs to.")] = LOCAL,
    description: str = "",
) -> None:
    """Register a system. Its secret is printed once."""
    with opened() as archive:
        secret = clients.add_client(archive, Client(name, facility, tuple(scopes), description))
    console.print(secret, markup=False, soft_wrap=True)


@client_app.command("rotate")
def client_rotate(
    name: str,
    overlap_hours: Annotated[
        float, typer.Option(help="For so long the old secret is taken too.")
    ] = OVERLAP_HOURS,
) -> None:
    """Give a system a new secret, which is printed once."""
    with opened() as archive:
        secret = clients.rotate_secret(archive, name, overlap_hours)
    console.print(secret, markup=False, soft_wrap=True)


@client_app.command("remove")
def client_remove(name: str) -> None:
    """Let a system in no more; its tokens end within five seconds."""
    with opened() as archive:
        clients.remove_client(archive, name)


@client_app.command("list")
def client_list() -> None:
    """All systems."""
    with opened() as archive:
        found = clients.list_clients(archive)
    table = Table(box=None, pad_edge=False)
    for heading in ("name", "facility", "scopes", "description"):
        table.add_column(heading, overflow="fold")
    for client in found:
        table.add_row(client.name, client.facility, " ".join(client.scopes), client.description)
    tables.print(table, markup=False)
