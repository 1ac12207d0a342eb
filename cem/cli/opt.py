"""`cem opt`: taking no part in voluntary events, and taking part again."""

from datetime import datetime, timedelta
from pathlib import Path

import click

from cem.cli.acting import moment
from cem.cli.gateway_socket import find_socket, socket_options
from cem.cli.override import end, show
from cem.io.local_client import LocalClient
from cem.model.directive import EventSummary
from cem.model.envelope import SITE
from cem.model.request import RequestKind, UserRequest
from cem.model.status import Status

LONGEST = timedelta(days=7)

json_option = click.option("--json", "as_json", is_flag=True, help="The acts as JSON.")


@click.group()
def opt() -> None:
    """Opts out of voluntary events of the grid, and in again. Mandatory ones are refused with the reason.

    \b
    Example:
      cem opt out evening-peak
      cem opt out --from 18:00 --to 20:00
      cem opt in
    """


@opt.command("out")
@click.argument("event", required=False)
@click.option("--from", "since", metavar="TIME", help="From then on: 18:00, 2h, an ISO time. [default: now]")
@click.option("--to", "until", metavar="TIME", help="Until then. [default with an event: its end]")
@socket_options
@json_option
def out(
    event: str | None,
    since: str | None,
    until: str | None,
    socket_path: Path | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """Leaves an event out, by its name or id, or every voluntary one of a time: neither followed nor planned with.

    \b
    Example:
      cem opt out evening-peak
      cem opt out --from 18:00 --to 20:00
    """
    client = LocalClient(find_socket(socket_path, config))
    status = client.status()
    begins = None if since is None else moment(since, status)
    if event is None:
        if until is None:
            raise click.UsageError("name an event, or a time by --from and --to")
        act = client.request(SITE, RequestKind.OPT_OUT, moment(until, status), since=begins)
    else:
        known = _event(event, status)
        ends = _end_of(known, status) if until is None else moment(until, status)
        act = client.request(SITE, RequestKind.OPT_OUT, ends, since=begins, event_id=known.id)
    show([act], status, as_json)


def _event(text: str, status: Status) -> EventSummary:
    found = [event for event in status.events if text in {event.id, event.name}]
    if len(found) == 1:
        return found[0]
    known = ", ".join(f"{event.name} ({event.id})" for event in status.events) or "none"
    raise click.BadParameter(f"'{text}' is {'more than one event' if found else 'no known event'}; known: {known}")


def _end_of(event: EventSummary, status: Status) -> datetime:
    longest = status.at + LONGEST
    return longest if event.end is None else min(event.end, longest)


@opt.command("in")
@click.argument("which", required=False)
@socket_options
@json_option
def in_(which: str | None, socket_path: Path | None, config: Path | None, as_json: bool) -> None:
    """Takes part again: in one event (by its id) or what one opt-out (by its id) left out, else in everything.

    \b
    Example:
      cem opt in
    """
    client = LocalClient(find_socket(socket_path, config))
    status = client.status()
    acts = [act for act in _outs(status) if which is None or which in {act.id, act.event_id}]
    if which is not None and not acts:
        raise click.BadParameter(f"nothing was opted out of by '{which}'; cem opt list shows what was")
    end(client, acts, "all", as_json)


@opt.command("list")
@socket_options
@json_option
def list_(socket_path: Path | None, config: Path | None, as_json: bool) -> None:
    """What the house takes no part in.

    \b
    Example:
      cem opt list --json
    """
    status = LocalClient(find_socket(socket_path, config)).status()
    show(_outs(status), status, as_json)


def _outs(status: Status) -> list[UserRequest]:
    return [act for act in status.requests if act.kind is RequestKind.OPT_OUT]
