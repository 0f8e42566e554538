"""`tongying user`: who may sign in."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from deploy.console import console, opened
from pacs.access import USERS, Role
from pacs.errors import NotFound
from storage import accounts, factors, lockout, sessions
from storage.archive import Archive
from storage.facilities import add_department

user_app = typer.Typer(no_args_is_help=True, help="Who may sign in.")
RoleOption = Annotated[Role, typer.Option(help=f"What they are: {', '.join(sorted(USERS))}.")]
FacilityOption = Annotated[str, typer.Option(help="Where they work; '' for the region.")]
DepartmentOption = Annotated[str, typer.Option(help="Of the facility; it is made if there is none.")]


MustChange = Annotated[
    bool, typer.Option("--must-change", help="He must choose another password at his first sign-in.")
]


@user_app.command("add")
def user_add(
    name: str, display_name: str = "", role: RoleOption = Role.ADMINISTRATOR, facility: FacilityOption = "",
    department: DepartmentOption = "", must_change: MustChange = False,
) -> None:  # fmt: skip
    """Add a user, an administrator of the region if nothing else is said; the password is asked for, or read from
    standard input."""
    with opened() as archive:
        if facility and department:
            add_department(archive, facility, department)
        accounts.add_user(
            archive,
            name,
            _password(),
            role,
            display_name,
            facility or None,
            department or None,
            must_change=must_change,
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
            place = f"{user.facility or ''}\t{user.department or ''}"
            console.print(f"{user.name}\t{user.display_name}\t{user.role.value}\t{place}", markup=False)


def _password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
