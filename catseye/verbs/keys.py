"""Whose bundles this machine takes, and the key with which it signs its own."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from catseye.console import output_console, print_table
from catseye.verbs.options import Json, print_json

keys_app = typer.Typer(help="Keys that sign bundles and keys that are trusted.", no_args_is_help=True)


@keys_app.command("new")
def keys_new() -> None:
    """Make a signing key pair and trust its public half on this machine."""
    from catseye.runtime.signing import new_key

    output_console.print(f"new signing key {new_key()}")


@keys_app.command("list")
def keys_list(as_json: Json = False) -> None:
    """The keys that are trusted, and the one that signs here."""
    from catseye.runtime.signing import key_home, known_keys

    keys = known_keys()
    if as_json:
        print_json([asdict(key) for key in keys])
        return
    rows = [(key.id, "yes" if key.trusted else "no", "yes" if key.signs else "") for key in keys]
    print_table(f"keys in {key_home()}", ("key", "trusted", "signs here"), rows)


@keys_app.command("show")
def keys_show(
    key: Annotated[
        str | None, typer.Argument(help="Id of a trusted key; else the one that signs here.")
    ] = None,
) -> None:
    """A public key as text, for `keys trust` on another machine."""
    from catseye.runtime.signing import public_key

    typer.echo(public_key(key), nl=False)


@keys_app.command("trust")
def keys_trust(
    public_key: Annotated[Path, typer.Argument(help="Public key, as `keys show` prints it.")],
    only: Annotated[
        bool, typer.Option("--only", help="Distrust all others: for a vehicle of one fleet.")
    ] = False,
) -> None:
    """Trust bundles that someone else's key signed."""
    from catseye.runtime.signing import trust

    key = trust(public_key, only=only)
    output_console.print(f"trusted {key}" + (" and no other" if only else ""))


@keys_app.command("remove")
def keys_remove(key: Annotated[str, typer.Argument(help="Id of the key.")]) -> None:
    """Trust a key no longer."""
    from catseye.runtime.signing import distrust

    distrust(key)
    output_console.print(f"no longer trusted: {key}")
