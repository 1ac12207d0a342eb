"""`cem provision`: from an empty box to a tested site file and a commissioning record."""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace as changed
from pathlib import Path
from typing import Any, NoReturn

import click

from cem import __version__
from cem.cli.broker_options import broker_options
from cem.cli.commissioning_text import result_lines, sighting_lines
from cem.cli.provision_ask import ask_missing, system_timezone
from cem.cli.provision_options import site_options, with_options
from cem.commissioning.examination import Scope, if_it_stops
from cem.commissioning.proposal import SWITCHED
from cem.commissioning.provisioning import Finding, Order, Outcome, Tools, all_links, find, prove
from cem.commissioning.record import record_json
from cem.commissioning.result import Verdict
from cem.commissioning.site import Answers, answer_faults, read_answers
from cem.config.drivers import load_drivers
from cem.config.schema import DEFAULT_PATH
from cem.io.clock import SystemClock
from cem.model.errors import CemError, SiteFileError
from cem.ports import DriverContext

PROBLEM, WRONG_USE = 1, 2
ASSUMED_PRICES = {"base_price_per_kwh": 0.30, "export_price_per_kwh": 0.08}

Say = Callable[[str], None]


@click.command()
@click.option(
    "--out",
    "--config",
    "out",
    envvar="CEM_CONFIG",
    default=DEFAULT_PATH,
    show_default=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The site file to write; also CEM_CONFIG.",
)
@click.option("--from", "answers_file", type=click.Path(path_type=Path, dir_okay=False), help="File with the answers.")
@click.option(
    "--modbus",
    multiple=True,
    metavar="HOST:PORT[/UNIT][=PROFILE]",
    help="A Modbus device, with rtu-tcp:// or tls:// in front where it is so reached; repeatable.",
)
@click.option("--mqtt", multiple=True, metavar="HOST:PORT", help="An MQTT broker; repeatable.")
@broker_options
@click.option(
    "--serial",
    multiple=True,
    metavar="LINE",
    help="A meter's line: /dev/..., serial-tcp://HOST:PORT, or serial for every port; repeatable.",
)
@click.option("--gpio", multiple=True, metavar="WIRE=PIN,...", help="What is wired to this board's pins; repeatable.")
@click.option(
    "--ocpp", multiple=True, metavar="LISTEN[:PORT]", help="An address of this machine at which EV chargers call in."
)
@click.option("--grid", metavar="SERIAL", help="Which meter is at the connection point, where there are several.")
@click.option("--read-only", multiple=True, metavar="SERIAL", help="A device never to be written; repeatable.")
@click.option(
    "--max-power", multiple=True, metavar="SERIAL=W", help="What a switched load or a heat pump draws; repeatable."
)
@click.option(
    "--try-contact",
    multiple=True,
    metavar="SERIAL",
    help="A relay or heat pump that may be switched for a moment, to see that it follows; repeatable.",
)
@site_options
@click.option("--installer", help="Your name, for the commissioning record.")
@click.option("--no-sign-test", is_flag=True, help="Leave out the check of the meter's sign with the battery.")
@click.option("--replace", is_flag=True, help="Write over a site file that is there; the old one is kept as .old.")
@click.option("--force", is_flag=True, help="Write the site file though a check failed, with what failed read only.")
@click.option("--yes", is_flag=True, help="Ask nothing.")
@click.option("--dry-run", is_flag=True, help="Find and read only: no device and no file is written.")
@click.option("--json", "as_json", is_flag=True, help="The commissioning record as JSON; the steps go to stderr.")
def provision(
    out: Path, answers_file: Path | None, replace: bool, yes: bool, dry_run: bool, as_json: bool, **options: Any
) -> None:
    """Finds the devices at the addresses given, tests each, and writes the site file that `cem run` starts from.

    Every control is set to a safe value, read back, and handed back; a battery also proves that the meter counts the
    right way round. A relay or heat pump is switched only with consent (--try-contact, or when asked). All results go
    into commissioning-<UTC>.json beside the site file. Ends with 0 when all is well, with 1 when a check failed, with
    2 when something needed was not given.

    Example: cem provision --out site.toml --modbus 192.0.2.40:502/1 --mqtt 192.0.2.10:1883 --phases 3 --fuse-a 35
    """

    def say(line: str) -> None:
        click.echo(line, err=as_json)

    interactive = sys.stdin.isatty() and not yes
    if out.exists() and not (replace or dry_run):
        _stop([f"{out} is there already; --replace writes over it and keeps the old one as {out.name}.old"], WRONG_USE)
    answers = _answers(out, answers_file, options, interactive)
    scope = Scope(not dry_run, not options["no_sign_test"], frozenset(answers.find.try_contacts))
    order = Order(out, scope, dry_run=dry_run, force=options["force"], installer=options["installer"])
    tools = Tools(load_drivers(), DriverContext(time.monotonic), SystemClock(), __version__)
    try:
        outcome = asyncio.run(_provisioned(order, answers, tools, say, interactive))
    except SiteFileError as error:
        _stop(["what was found and answered makes no site file:", *error.faults], PROBLEM)
    except CemError as error:
        _stop([str(error)], PROBLEM)
    except OSError as error:
        _stop([f"{error.filename or out}: {error.strerror}; choose another --out, or check its folder"], PROBLEM)
    if outcome is None:
        _stop(["nothing was written"], PROBLEM)
    _show_outcome(outcome, order, say)
    if as_json:
        path = None if outcome.record_path is None else str(outcome.record_path)
        click.echo(json.dumps(record_json(outcome.record) | {"record_file": path}, indent=2, ensure_ascii=False))
    sys.exit(0 if outcome.record.passed else PROBLEM)


def _ask_contacts(finding: Finding, scope: Scope) -> frozenset[str]:
    """The devices whose contacts the owner lets be switched for a moment; nothing is switched without that."""
    return frozenset(
        device.id
        for device in finding.table.device
        if SWITCHED & {control for resource in device.resource for control in resource.controls}
        and not scope.consents(device.id, device.serial)
        and click.confirm(f"Switch {device.id} ({device.name}) for a moment, to see that it follows?", err=True)
    )


async def _provisioned(order: Order, answers: Answers, tools: Tools, say: Say, asks: bool) -> Outcome | None:
    """Finds, shows and proves, all in one go: a charger that called in stays connected. None where a person says no."""
    finding = await find(order, answers, tools, lambda seen: _say_all(say, sighting_lines(seen)))
    _show_proposal(finding, say)
    question = "Test these devices now? Each control moves for some seconds"
    if asks and not await asyncio.to_thread(click.confirm, question, err=True):
        return None
    if asks and not order.dry_run:
        consent = await asyncio.to_thread(_ask_contacts, finding, order.scope)
        order = changed(order, scope=changed(order.scope, consent=order.scope.consent | consent))
    return await prove(order, finding, tools, lambda result: _say_all(say, result_lines(result)))


def _answers(out: Path, answers_file: Path | None, options: dict[str, Any], interactive: bool) -> Answers:
    """The whole of the answers, or the end of the command with everything that is wrong with them."""
    try:
        given = read_answers(answers_file) if answers_file else Answers()
    except SiteFileError as error:
        _stop([line if str(answers_file) in line else f"{answers_file}: {line}" for line in error.faults], WRONG_USE)
    answers = with_options(given, options, out.parent)
    faults = [] if out.parent.is_dir() else [f"{out.parent}: no such folder for the site file; choose another --out"]
    if interactive:  # what is wrong already is told before a person answers anything
        early = [*_given_faults(answers, out.parent), *faults]
        if early:
            _stop(early, WRONG_USE)
        answers = ask_missing(answers)
    answers = _with_defaults(answers)
    faults = [*answer_faults(answers, out.parent), *faults]
    try:
        if not all_links(answers):
            faults.append(
                "no address to look at: give --modbus HOST:PORT/UNIT, --mqtt HOST:PORT, --serial LINE or "
                "--ocpp LISTEN:PORT, or --gpio WIRE=PIN,... for what is wired to this board's pins; each repeatable"
            )
    except ValueError as error:
        faults.append(str(error))
    if faults:
        _stop([_with_option(line) for line in faults], WRONG_USE)
    return answers


def _given_faults(answers: Answers, folder: Path) -> list[str]:
    """What is wrong with what was given, as far as it will not be asked for: harmless values stand for the rest."""
    site = answers.site
    stand_in = {"name": "Home", "timezone": "UTC"} | site
    stand_in["connection"] = {"phases": 3, "fuse_a": 35.0} | site.get("connection", {})
    stand_in["tariff"] = ASSUMED_PRICES | site.get("tariff", {})
    if "fuse_a" not in site.get("connection", {}):  # no limit is too high for a fuse that is not known yet
        stand_in["connection"]["fuse_a"] = 100_000.0
    return answer_faults(changed(answers, site=stand_in), folder)


def _with_defaults(answers: Answers) -> Answers:
    """Fills in what is harmless when guessed, and says so; never the fuse."""
    site = {"name": "Home", "timezone": system_timezone()} | answers.site
    tariff = site.get("tariff", {})
    if isinstance(tariff, dict) and "base_price_per_kwh" not in tariff:
        site["tariff"] = ASSUMED_PRICES | tariff
        click.echo(
            f"no prices given: {ASSUMED_PRICES['base_price_per_kwh']:.2f} bought and "
            f"{ASSUMED_PRICES['export_price_per_kwh']:.2f} sold per kWh are assumed; correct [tariff] in the site file",
            err=True,
        )
    return changed(answers, site=site)


def _with_option(fault: str) -> str:
    """Names the option that mends a missing answer."""
    hints = {"connection.phases: missing": "--phases", "connection.fuse_a: missing": "--fuse-a"}
    for start, option in hints.items():
        if fault.startswith(start):
            return f"{fault}; give {option}"
    return f"{fault}; give --phases and --fuse-a" if fault.startswith("connection: missing") else fault


def _show_proposal(finding: Finding, say: Say) -> None:
    say("")
    for device in finding.table.device:
        parts = ", ".join(f"{item.id} ({item.role})" for item in device.resource)
        say(f"{device.id}: {device.name}, serial {device.serial or 'not told'}: {parts}")
    _say_all(say, (f"note: {note}" for note in finding.proposal.notes))
    say("")


def _show_outcome(outcome: Outcome, order: Order, say: Say) -> None:
    record = outcome.record
    say("")
    for specs in record.examination.specs.values():
        _say_all(say, (if_it_stops(spec) for spec in specs))
    say("")
    results = record.examination.results
    counts = ", ".join(f"{sum(r.verdict is verdict for r in results)} {verdict}" for verdict in Verdict)
    say(f"{len(record.devices)} devices: {counts}")
    failed = record.examination.failed_devices()
    if order.dry_run:
        say("dry run: no device was steered and no file written")
    elif outcome.site_path is None:
        say(f"no site file was written, because of {', '.join(failed)}: mend that and provision again,")
        say("or --force to write it with what failed read only, or --read-only SERIAL to leave a device unsteered")
    else:
        _say_all(say, (f"note: {note}" for note in record.notes if "is written with" in note))
        say(f"site file: {outcome.site_path}; start the gateway with: cem run --config {outcome.site_path}")
    if outcome.record_path is not None:
        say(f"commissioning record: {outcome.record_path}")


def _say_all(say: Say, lines: Iterable[str]) -> None:
    for line in lines:
        say(line)


def _stop(lines: Iterable[str], code: int) -> NoReturn:
    for line in lines:
        click.echo(line, err=True)
    sys.exit(code)
