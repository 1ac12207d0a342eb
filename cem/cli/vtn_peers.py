"""`cem vtn report|ven|subscription`: what business logic learns of VENs, and what it grants them."""

import click

from cem.cli.vtn_print import json_option, print_all, print_one
from cem.cli.vtn_rest import Access, Vtn, access_options, every, fetched, removed, removed_by_name, run, shown
from cem.wire.openadr3 import Report, Resource, Subscription, Ven, VenRequest


@click.group()
def report() -> None:
    """Reports that VENs wrote.

    Example: cem vtn report list --json
    """


@report.command("list")
@click.option("--event", "event_id", help="Only reports on this event.")
@access_options
@json_option
def report_list(event_id: str | None, access: Access, as_json: bool) -> None:
    """Lists the reports.

    Example: cem vtn report list --event 3f2a9c --json
    """

    query = {} if event_id is None else {"eventID": event_id}
    found = run(every(access, Report, "reports", **query))
    print_all(found, as_json, [_report_line(one) for one in found])


@report.command("show")
@click.argument("report_id", metavar="ID")
@access_options
def report_show(report_id: str, access: Access) -> None:
    """Prints a report as JSON.

    Example: cem vtn report show 9b1c55
    """
    click.echo(shown(run(fetched(access, Report, "reports", report_id))))


def _report_line(one: Report) -> str:
    intervals = sum(len(resource.intervals) for resource in one.resources)
    names = ", ".join(resource.resource_name for resource in one.resources)
    event_part = f"on event {one.event_id} by {one.client_name}"
    return f"{one.id}  {one.report_name or '-'}  {event_part}: {intervals} intervals of {names or 'nothing'}"


@click.group()
def ven() -> None:
    """VENs known to the VTN.

    Example: cem vtn ven list
    """


@ven.command("list")
@access_options
@json_option
def ven_list(access: Access, as_json: bool) -> None:
    """Lists the VENs.

    Example: cem vtn ven list
    """
    found = run(every(access, Ven, "vens"))
    print_all(found, as_json, [_ven_line(one) for one in found])


def _ven_line(one: Ven) -> str:
    targets = f"  targets {', '.join(one.targets)}" if one.targets else ""
    return f"{one.id}  {one.ven_name}  client {one.client_id or '-'}{targets}"


@ven.command("add")
@click.argument("name")
@click.option("--client", "owner", required=True, help="The client whose ven it is.")
@click.option("--target", "targets", multiple=True, help="A target that is granted to it; repeatable.")
@access_options
@json_option
def ven_add(name: str, owner: str, targets: tuple[str, ...], access: Access, as_json: bool) -> None:
    """Makes a ven for a client, before it registers by itself.

    Example: cem vtn ven add house-7 --client home --target street-1
    """

    async def work() -> Ven:
        async with Vtn(access) as vtn:
            wanted = VenRequest(object_type="BL_VEN_REQUEST", ven_name=name, client_id=owner, targets=targets)
            return await vtn.create(Ven, "vens", wanted)

    made = run(work())
    print_one(made, as_json, _ven_line(made))


@ven.command("grant")
@click.argument("name")
@click.option("--target", "targets", multiple=True, help="A target; repeatable. Without any, all are taken away.")
@access_options
@json_option
def ven_grant(name: str, targets: tuple[str, ...], access: Access, as_json: bool) -> None:
    """Grants a ven these targets and no others: it sees the programs and events that have one of them.

    Example: cem vtn ven grant house-7 --target street-1 --target heat-pumps
    """

    async def work() -> Ven:
        async with Vtn(access) as vtn:
            old = await vtn.named(Ven, "vens", "venName", name)
            return await vtn.replace(Ven, "vens", old.id, old.model_copy(update={"targets": targets}))

    made = run(work())
    print_one(made, as_json, _ven_line(made))


@ven.command("show")
@click.argument("name")
@access_options
@json_option
def ven_show(name: str, access: Access, as_json: bool) -> None:
    """Shows a ven and its resources.

    Example: cem vtn ven show house-7 --json
    """

    async def work() -> tuple[Ven, list[Resource]]:
        async with Vtn(access) as vtn:
            found = await vtn.named(Ven, "vens", "venName", name)
            return found, await vtn.every(Resource, "resources", venID=found.id)

    found, resources = run(work())
    lines = [_ven_line(found), *(f"  {one.id}  resource {one.resource_name}" for one in resources)]
    print_all([found, *resources], as_json, lines)


@ven.command("remove")
@click.argument("name")
@access_options
@json_option
def ven_remove(name: str, access: Access, as_json: bool) -> None:
    """Removes a ven and its resources; its client can register anew.

    Example: cem vtn ven remove house-7
    """
    gone = run(removed_by_name(access, Ven, "vens", "venName", name))
    print_one(gone, as_json, f"removed {_ven_line(gone)}")


@click.group()
def subscription() -> None:
    """Subscriptions of clients to notifications.

    Example: cem vtn subscription list
    """


@subscription.command("list")
@access_options
@json_option
def subscription_list(access: Access, as_json: bool) -> None:
    """Lists the subscriptions, and which callbacks were given up.

    Example: cem vtn subscription list
    """
    found = run(every(access, Subscription, "subscriptions"))
    print_all(found, as_json, [line for one in found for line in _subscription_lines(one)])


def _subscription_lines(one: Subscription) -> list[str]:
    head = f"{one.id}  {one.client_name}  client {one.client_id or '-'}"
    wants = [
        f"  {', '.join(entry.objects)}: {', '.join(entry.operations)}  to {entry.callback_url}"
        for entry in one.object_operations
    ]
    marks = (one.model_extra or {}).get("givenUpCallbacks")
    given_up = [
        f"  given up: {mark.get('callbackUrl')} at {mark.get('at')}: {mark.get('reason')}"
        for mark in (marks if isinstance(marks, list) else [])
        if isinstance(mark, dict)
    ]
    return [head, *wants, *given_up]


@subscription.command("remove")
@click.argument("subscription_id", metavar="ID")
@access_options
@json_option
def subscription_remove(subscription_id: str, access: Access, as_json: bool) -> None:
    """Removes a subscription.

    Example: cem vtn subscription remove 77aa01
    """
    gone = run(removed(access, Subscription, "subscriptions", subscription_id))
    print_one(gone, as_json, f"removed {_subscription_lines(gone)[0]}")
