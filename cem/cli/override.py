"""`cem override`: the owner's acts, each with an end."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from cem.cli.acting import USUAL, energy_wh, in_words, level_pct, moment, resource_named
from cem.cli.gateway_socket import find_socket, socket_options
from cem.io.local_client import LocalClient
from cem.io.status_json import REQUEST
from cem.model.envelope import SITE
from cem.model.request import RequestKind, UserRequest
from cem.model.status import Status

ACTS = {
    "charge-now": RequestKind.CHARGE_NOW,
    "sun-only": RequestKind.SURPLUS_ONLY,
    "pause": RequestKind.PAUSE,
    "hold": RequestKind.HOLD,
    "release": RequestKind.RELEASE,
    "reserve": RequestKind.RESERVE,
}


@dataclass(frozen=True, slots=True)
class Wish:
    """The options of the command as they were typed."""

    until: str | None
    ready: str | None
    energy: str | None
    soc: str | None


@click.command()
@click.argument("words", nargs=-1, metavar="WHAT...")
@click.option("--until", metavar="TIME", help="When it ends: 18:00, 2h, 90min, an ISO time. [default: in 12 h]")
@click.option("--ready", metavar="TIME", help="Of a car: when the energy or the level shall be in it.")
@click.option("--energy", metavar="KWH", help="Of a car, with --ready: so much more, such as 20kWh.")
@click.option("--soc", metavar="PCT", help="Of a car, with --ready: the level, such as 80.")
@click.option("--json", "as_json", is_flag=True, help="The acts as JSON.")
@socket_options
def override(
    words: tuple[str, ...],
    until: str | None,
    ready: str | None,
    energy: str | None,
    soc: str | None,
    as_json: bool,
    socket_path: Path | None,
    config: Path | None,
) -> None:
    """What the owner wants for a while, instead of the plan: safety and the grid's mandatory limits still hold.

    WHAT is a resource of the house and an act (charge-now, sun-only, pause; for a battery hold, release, reserve
    LEVEL), or: read-only on, read-only off, list, end ID, end all. Every act ends by itself. While read-only is on,
    nothing is written to any device; what a device was told before, it keeps or lets go by its own timer.

    \b
    Example:
      cem override car charge-now --until 18:00
      cem override car --ready 07:00 --energy 20kWh
      cem override car sun-only
      cem override battery reserve 40% --until 22:00
      cem override read-only on --until 2h
      cem override list
      cem override end all
    """
    client = LocalClient(find_socket(socket_path, config))
    status = client.status()
    wish = Wish(until, ready, energy, soc)
    match list(words):
        case ["list"]:
            show(status.requests, status, as_json)
        case ["end", which]:
            end(client, status.requests, which, as_json)
        case ["read-only", "on"]:
            show([client.request(SITE, RequestKind.READ_ONLY, _end(wish, status))], status, as_json)
        case ["read-only", "off"]:
            acts = [act for act in status.requests if act.kind is RequestKind.READ_ONLY]
            end(client, acts, "all", as_json)
        case [subject, *rest]:
            show([_asked(client, status, subject, rest, wish)], status, as_json)
        case _:
            raise click.UsageError("what shall the house do? See cem override --help")


def _asked(client: LocalClient, status: Status, subject: str, rest: Sequence[str], wish: Wish) -> UserRequest:
    resource = resource_named(subject, status)
    details: dict[str, Any] = {}
    if not rest:
        kind = RequestKind.CHARGE_BY
        if wish.ready is None or (wish.energy is None) == (wish.soc is None):
            raise click.UsageError(
                f"what shall {resource.name} do? Name one of {', '.join(ACTS)}, or --ready with --energy or --soc"
            )
        details["ready_at"] = moment(wish.ready, status)
        details["energy_wh"] = None if wish.energy is None else energy_wh(wish.energy)
        details["target_soc_pct"] = None if wish.soc is None else level_pct(wish.soc)
        until = details["ready_at"] if wish.until is None else _end(wish, status)
    else:
        act, *levels = rest
        if act not in ACTS:
            raise click.UsageError(f"'{act}' is no act; there are {', '.join(ACTS)}")
        if wish.ready is not None or wish.energy is not None or wish.soc is not None:
            raise click.UsageError("--ready, --energy and --soc stand alone, without an act")
        kind, until = ACTS[act], _end(wish, status)
        if (kind is RequestKind.RESERVE) != (len(levels) == 1) or len(levels) > 1:
            raise click.UsageError("reserve takes a level, such as 40%; the other acts take none")
        if levels:
            details["target_soc_pct"] = level_pct(levels[0])
    return client.request(resource.id, kind, until, **details)


def _end(wish: Wish, status: Status) -> Any:
    return status.at + USUAL if wish.until is None else moment(wish.until, status)


def show(acts: Sequence[UserRequest], status: Status, as_json: bool) -> None:
    """The acts, one a line, with the id that ends them."""
    if as_json:
        click.echo(json.dumps([json.loads(REQUEST.dump_json(act)) for act in acts]))
        return
    for act in acts:
        click.echo(f"{act.id}  {in_words(act, status)}")
    if not acts:
        click.echo("nothing is asked", err=True)


def end(client: LocalClient, acts: Sequence[UserRequest], which: str, as_json: bool) -> None:
    """Takes one act back, or all of those given."""
    ids = [act.id for act in acts] if which == "all" else [which]
    for act_id in ids:
        client.withdraw(act_id)
    click.echo(json.dumps({"ended": ids}) if as_json else f"ended: {', '.join(ids) or 'nothing, as nothing was asked'}")
