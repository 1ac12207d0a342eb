"""`cem vtn ven state|reregister|dismiss` and `cem vtn report offers|request|end`: VENs of OpenADR 2.0b."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import click

from cem.cli.vtn_print import json_option, plain
from cem.cli.vtn_rest import Access, Vtn, access_options, run
from cem.wire.openadr3 import Duration, parse_datetime

_PATH = "/openadr2b/vens"


def _read_span(_ctx: click.Context, _param: click.Parameter, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        length = Duration.parse(text).length()
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    if length is None or length.total_seconds() < 0:
        raise click.BadParameter(f"{text} is no length of time; write it like PT15M")
    return length.total_seconds()


def _read_start(_ctx: click.Context, _param: click.Parameter, text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return parse_datetime(text).isoformat()
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


async def _ven_id(vtn: Vtn, name: str) -> str:
    """The venID of a VEN that is named by that or by its name."""
    known = await vtn.beside("GET", _PATH)
    for one in known:
        if name in (one["venID"], one["venName"]):
            return str(one["venID"])
    names = ", ".join(one["venName"] for one in known) or "none"
    raise click.ClickException(f"no VEN {name!r} is admitted for OpenADR 2.0b; there are: {names}")


def _asked(access: Access, name: str) -> Any:
    async def work() -> Any:
        async with Vtn(access) as vtn:
            return await vtn.beside("GET", f"{_PATH}/{await _ven_id(vtn, name)}")

    return run(work())


def _ordered(
    access: Access, as_json: bool, name: str, method: str, path: str, body: object = None, **query: str
) -> None:
    """Gives an order about a VEN and says when that hears of it."""

    async def work() -> Any:
        async with Vtn(access) as vtn:
            return await vtn.beside(method, f"{_PATH}/{await _ven_id(vtn, name)}/{path}", body, **query)

    found = run(work())
    request = f" {found['requestID']}" if "requestID" in found else ""
    click.echo(json.dumps(found) if as_json else plain(f"{found['message']}{request} to {name}: {found['way']}"))


@click.command("state")
@click.argument("name", required=False)
@access_options
@json_option
def ven_state(name: str | None, access: Access, as_json: bool) -> None:
    """Shows who is registered with OpenADR 2.0b; of one VEN also its events, answers, opts, reports and messages.

    Example: cem vtn ven state house-7
    """
    if name is not None:
        known = _asked(access, name)
        lines = [_line(known), *_details(known)]
    else:

        async def work() -> Any:
            async with Vtn(access) as vtn:
                return await vtn.beside("GET", _PATH)

        known = run(work())
        lines = [_line(one) for one in known]
    if as_json:
        click.echo(json.dumps(known, indent=2))
        return
    for line in lines:
        click.echo(plain(line))


def _line(one: Any) -> str:
    if one["registered"] is None:
        return f"{one['venID']}  {one['venName']}  not registered"
    way = "polls" if one["pushedTo"] is None else f"posted to at {one['pushedTo']}"
    waiting = f", {one['waiting']} messages wait" if one["waiting"] else ""
    return f"{one['venID']}  {one['venName']}  registered {one['registered']}, {way}{waiting}"


def _details(known: Any) -> Iterator[str]:
    for event in known["events"]:
        state = "cancelled" if event["cancelled"] else "told" if event["told"] else "not told yet"
        answer = event["opt"] or ("no answer" if event["answerWanted"] else "no answer wanted")
        code = f" ({event['code']})" if event["code"] not in (None, "200") else ""
        yield f"  event {event['eventID']}, modification {event['modification']}: {state}, {answer}{code}"
    for opt in known["opts"]:
        of = (
            f"of event {opt['event_id']}" if opt["event_id"] else ", ".join(f"{a} for {b}" for a, b in opt["stretches"])
        )
        yield f"  {opt['opt_type']} {opt['opt_id']} ({opt['reason']}): {of or 'until taken back'}"
    for request in known["requests"]:
        words = f" ({request['words']})" if request["words"] else ""
        last = f", last {request['last_at']}" if request["last_at"] else ""
        yield f"  report {request['request_id']} of {request['specifier_id']}: {request['state']}{words}{last}"
    for message in known["messages"]:
        yield f"  {message['message']}: {'sent, not answered' if message['sent'] else 'waits'}"


@click.command("reregister")
@click.argument("name")
@access_options
@json_option
def ven_reregister(name: str, access: Access, as_json: bool) -> None:
    """Asks a VEN of OpenADR 2.0b to register again.

    Example: cem vtn ven reregister house-7
    """
    _ordered(access, as_json, name, "POST", "reregistrations")


@click.command("dismiss")
@click.argument("name")
@access_options
@json_option
def ven_dismiss(name: str, access: Access, as_json: bool) -> None:
    """Ends the registration of a VEN of OpenADR 2.0b; as long as it is admitted it may register anew.

    Example: cem vtn ven dismiss house-7
    """
    _ordered(access, as_json, name, "DELETE", "registration")


@click.command("offers")
@click.argument("name")
@click.option("--ask", is_flag=True, help="Ask the VEN to say anew what it offers, in place of showing what is known.")
@click.option("--tell", is_flag=True, help="Tell the VEN what this VTN offers itself, which is nothing.")
@access_options
@json_option
def report_offers(name: str, ask: bool, tell: bool, access: Access, as_json: bool) -> None:
    """Lists the reports that a VEN of OpenADR 2.0b offers, with their data points.

    Example: cem vtn report offers house-7
    """
    if ask and tell:
        raise click.UsageError("either --ask or --tell")
    if ask or tell:
        _ordered(access, as_json, name, "POST", "report-offers" if ask else "report-registrations")
        return
    offers = _asked(access, name)["offers"]
    if as_json:
        click.echo(json.dumps(offers, indent=2))
        return
    for offer in offers:
        click.echo(plain(f"{offer['specifier_id']}  {offer['report_name']}"))
        for point in offer["points"]:
            click.echo(plain(f"  {point['r_id']}  {point['report_type']}, {point['reading_type']}  {point['unit']}"))
    if not offers:
        click.echo("none", err=True)


@click.command("request")
@click.argument("name")
@click.argument("specifier")
@click.option("--every", "every_s", callback=_read_span, help="How often it is sent, such as PT15M; else once.")
@click.option("--granularity", "granularity_s", callback=_read_span, help="Length of its intervals.  [default: PT1M]")
@click.option("--point", "points", multiple=True, help="Only this data point; repeatable.")
@click.option("--start", callback=_read_start, help="From when on, such as 2026-01-15T09:30:00Z; else from now on.")
@click.option("--duration", "duration_s", callback=_read_span, help="For how long, such as PT24H; else until ended.")
@access_options
@json_option
def report_request(
    name: str,
    specifier: str,
    every_s: float | None,
    granularity_s: float | None,
    points: tuple[str, ...],
    start: str | None,
    duration_s: float | None,
    access: Access,
    as_json: bool,
) -> None:
    """Asks a VEN of OpenADR 2.0b for one of the reports that it offers (`cem vtn report offers`).

    Example: cem vtn report request house-7 TELEMETRY_USAGE --every PT15M --granularity PT5M
    """
    if duration_s is not None and start is None:
        raise click.UsageError("--duration needs --start")
    wish: dict[str, object] = {"specifierID": specifier, "points": list(points)}
    given = {"every_s": every_s, "granularity_s": granularity_s, "start": start, "duration_s": duration_s}
    wish.update({key: value for key, value in given.items() if value is not None})
    _ordered(access, as_json, name, "POST", "report-requests", wish)


@click.command("end")
@click.argument("name")
@click.argument("request_id", metavar="REQUEST")
@click.option("--last", is_flag=True, help="A last report is to follow.")
@access_options
@json_option
def report_end(name: str, request_id: str, last: bool, access: Access, as_json: bool) -> None:
    """Wants no more of a report of a VEN of OpenADR 2.0b (`cem vtn ven state` shows the requests).

    Example: cem vtn report end house-7 3f2a9c --last
    """
    query = {"toFollow": "true"} if last else {}
    _ordered(access, as_json, name, "DELETE", f"report-requests/{quote(request_id, safe='')}", **query)
