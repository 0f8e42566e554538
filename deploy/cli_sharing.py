"""`tongying sharing`: to whom studies are opened, and what keeps them closed: list, and end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.table import Table

from deploy.console import OPERATOR, console, opened, tables
from pacs.access import Principal
from pacs.identity import shown_id
from storage import links, sharing
from storage.archive import Archive
from storage.sharing import Row

sharing_app = typer.Typer(no_args_is_help=True, help="Grants, restrictions, emergencies and share links.")
Number = Annotated[int, typer.Argument(min=1, help="As the list shows it.")]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="So many at most, the newest first.")]
SHOWN = 50
ABOUT = ("id", "facility", "kind", "study_uid", "patient_id", "issuer")
TIMES = ("since", "until", "made_by", "ended_by")


@sharing_app.command("grants")
def list_grants(limit: Limit = SHOWN) -> None:
    """What was opened, and to whom."""
    to = ("to_facility", "to_department", "to_user", "sensitive")
    _list(sharing.list_grants, (*ABOUT, *to, *TIMES, "reason"), limit)


@sharing_app.command("restrictions")
def list_restrictions(limit: Limit = SHOWN) -> None:
    """Objections, marks and embargoes."""
    _list(sharing.list_restrictions, (*ABOUT, "everywhere", *TIMES, "reason"), limit)


@sharing_app.command("emergencies")
def list_emergencies(limit: Limit = SHOWN) -> None:
    """What was opened in emergencies, and who took note of it."""
    _list(sharing.list_alerts, (*ABOUT, *TIMES, "reason", "noted_by"), limit)


@sharing_app.command("links")
def list_links(limit: Limit = SHOWN) -> None:
    """Share links, and when they were opened last."""
    columns = ("id", "facility", "patient_id", "issuer", "study_uids", "with_code", *TIMES, "opened_at")
    _list(links.list_links, columns, limit)


@sharing_app.command("revoke")
def revoke(number: Number) -> None:
    """End a grant, or what an emergency opened."""
    _end(sharing.revoke, number)


@sharing_app.command("lift")
def lift(number: Number) -> None:
    """End a restriction."""
    _end(sharing.lift, number)


@sharing_app.command("revoke-link")
def revoke_link(number: Number) -> None:
    """End a share link."""
    _end(links.revoke, number)


def _end(end: Callable[[Archive, Principal, int], object], number: int) -> None:
    with opened() as archive:
        end(archive, OPERATOR, number)
    console.print(f"{number} is ended")


def _list(find: Callable[..., list[Row]], columns: tuple[str, ...], limit: int) -> None:
    with opened() as archive:
        rows = find(archive, OPERATOR, before=None, limit=limit)
    table = Table(box=None, pad_edge=False)
    for name in columns:
        table.add_column(name.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(_shown(row[name]) for name in columns))
    tables.print(table, markup=False)


def _shown(value: Any) -> str:
    if hasattr(value, "astimezone"):
        return str(value.astimezone().isoformat(sep=" ", timespec="minutes"))
    if isinstance(value, bool):
        return "yes" if value else ""
    return " ".join(value) if isinstance(value, list) else shown_id(str(value or ""))
