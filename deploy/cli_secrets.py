"""`tongying secret`: the keys that sign and seal, rotated while the server runs."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from deploy.console import console, opened
from storage import clients, edges, factors, identity, keys, seals
from storage.archive import Archive
from storage.audit import keys as audit_keys

secret_app = typer.Typer(no_args_is_help=True, help="The keys that sign and seal: rotate them.")
Kind = Annotated[Literal["signing", "sealing"], typer.Argument(help="The key of access tokens, or of seals.")]


@secret_app.command("rotate")
def secret_rotate(
    kind: Kind,
    at_once: Annotated[
        bool, typer.Option("--at-once", help="signing: everybody signs in anew, as after a theft.")
    ] = False,
) -> None:
    """Make a new key. What the old one signed is taken until it expires; what it sealed is sealed anew."""
    with opened() as archive:
        if kind == "signing":
            forgotten = keys.rotate(archive, at_once=at_once)
            console.print(f"A new key signs; {forgotten} old ones are forgotten", markup=False)
        else:
            seals.rotate_key_file(archive.settings)
            _reseal(archive)


@secret_app.command("reseal")
def secret_reseal() -> None:
    """Seal everything with the key of now, after TONGYING_SECRET_KEY was changed."""
    with opened() as archive:
        _reseal(archive)


def _reseal(archive: Archive) -> None:
    done = {
        "passwords of Orthancs": edges.reseal_passwords(archive),
        "second factors": factors.reseal_secrets(archive),
        "launch keys": clients.reseal_keys(archive),
        "keys of resident numbers": identity.reseal_key(archive),
        "keys of the audit trail": audit_keys.reseal_key(archive.settings, archive.objects),
    }
    console.print("Sealed anew: " + ", ".join(f"{n} {what}" for what, n in done.items()), markup=False)
