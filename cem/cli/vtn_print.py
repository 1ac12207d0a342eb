"""How the commands to a running VTN print what they got."""

import json
from collections.abc import Sequence

import click

from cem.wire.openadr3 import Message, to_json

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def plain(line: str) -> str:
    """A line without what a peer's text could do to a terminal."""
    return "".join(character if character.isprintable() else "?" for character in line)


def print_all(messages: Sequence[Message], as_json: bool, lines: Sequence[str]) -> None:
    """The messages as JSON, or a line for each."""
    if as_json:
        click.echo(json.dumps([to_json(message) for message in messages], indent=2))
        return
    for line in lines:
        click.echo(plain(line))
    if not lines:
        click.echo("none", err=True)


def print_one(message: Message, as_json: bool, line: str) -> None:
    """The message as JSON, or its line."""
    click.echo(json.dumps(to_json(message), indent=2) if as_json else plain(line))
