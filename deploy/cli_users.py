"""`tongying user`: who may sign in."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from deploy.console import console, opened
from pacs.access import Role
from pacs.errors import NotFound
from storage import accounts, factors, lockout, sessions
from storage.archive import Archive

user_app = typer.Typer(no_args_is_help=True, help="Who may sign in.")


MustChange = Annotated[
    bool, typer.Option("--must-change", help="He must choose another password at his first sign-in.")
]


@user_app.command("add")
def user_add(name: str, display_name: str = "", must_change: MustChange = False) -> None:
    """Add an administrator; the password is asked for, or read from standard input."""
    with opened() as archive:
        accounts.add_user(
            archive, name, _password(), Role.ADMINISTRATOR, display_name, must_change=must_change
        )


@user_app.command("password")
def user_password(name: str, must_change: MustChange = False) -> None:
    """Set a user's password, which ends his sessions."""
    with opened() as archive:
        accounts.set_password(archive, name, _password(), must_change=must_change)


@user_app.command("sign-out")
def user_sign_out(name: str) -> None:
    """End all sessions of a user."""
    with opened() as archive:
        _there(archive, name)
        console.print(f"{sessions.end(archive, name)} sessions ended", markup=False)


@user_app.command("unlock")
def user_unlock(name: str) -> None:
    """Open an account that wrong passwords have closed."""
    with opened() as archive:
        _there(archive, name)
        lockout.unlock(archive, name)


@user_app.command("forget-factor")
def user_forget_factor(name: str) -> None:
    """Ask a user who lost the device for no second factor any more; his sessions end."""
    with opened() as archive:
        _there(archive, name)
        if not factors.remove(archive, name):
            raise NotFound(f"{name} has no second factor")


def _there(archive: Archive, name: str) -> None:
    if accounts.find_user(archive, name) is None:
        raise NotFound(f"there is no user {name}")


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
