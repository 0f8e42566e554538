"""`tongying user`: who may sign in."""

from __future__ import annotations

import sys

import typer

from deploy.console import console, opened
from pacs.access import Role
from storage import accounts

user_app = typer.Typer(no_args_is_help=True, help="Who may sign in.")


@user_app.command("add")
def user_add(name: str, display_name: str = "") -> None:
    """Add an administrator; the password is asked for, or read from standard input."""
    with opened() as archive:
        accounts.add_user(archive, name, _password(), Role.ADMINISTRATOR, display_name)


@user_app.command("password")
def user_password(name: str) -> None:
    """Set a user's password."""
    with opened() as archive:
        accounts.set_password(archive, name, _password())


@user_app.command("list")
def user_list() -> None:
    """All users."""
    with opened() as archive:
        for user in accounts.list_users(archive):
            console.print(f"{user.name}\t{user.display_name}\t{user.role.value}", markup=False)


def _password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
