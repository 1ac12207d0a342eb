"""`cem curves`: by which curves an inverter supports the grid, and setting them."""

import asyncio
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from cem.cli.curves_text import change_lines, curve_json, set_lines
from cem.cli.gateway_socket import DEFAULT_SITE
from cem.commissioning.curves import Changed, read_curves, set_curves
from cem.commissioning.running import gateway_answers
from cem.config.curve_file import load_curves
from cem.config.drivers import load_drivers
from cem.config.load import load_site
from cem.config.sitefile import SiteFile
from cem.model.errors import SiteFileError
from cem.model.inverter_curve import PROTECTION, CurveSet, WantedCurve
from cem.model.trip_curve import completed, contradiction
from cem.ports import DeviceConfig, DriverContext


@click.command()
@click.argument("device_id", metavar="DEVICE")
@click.option(
    "--config",
    envvar="CEM_CONFIG",
    type=click.Path(dir_okay=False, path_type=Path),
    default=DEFAULT_SITE,
    show_default=True,
    help="The site file; also CEM_CONFIG.",
)
@click.option(
    "--set",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Put the curves of this file in force.",
)
@click.option("--dry-run", is_flag=True, help="Show what --set would change, and change nothing.")
@click.option("--yes", is_flag=True, help="Ask nothing.")
@click.option("--protection", is_flag=True, help="With --yes: write trip curves too.")
@click.option("--json", "as_json", is_flag=True, help="The result as JSON.")
def curves(
    device_id: str, config: Path, file: Path | None, dry_run: bool, yes: bool, protection: bool, as_json: bool
) -> None:
    """Shows the curves that DEVICE of the site file holds for supporting the grid: volt-var, volt-watt, watt-var,
    frequency-watt, and its trip curves: at which voltage and frequency, and after how long, it leaves the grid. They
    are settings of the device, in force without a gateway too.

    --set writes each curve of FILE to a place that is not in force, has the device adopt it, reads it back and
    switches the function on; before that it shows what there is and what shall be, and asks. Only what the grid
    operator wants belongs there. A function in FILE with off = true is switched off.

    Trip curves (low-voltage-trip, high-voltage-trip, low-frequency-trip, high-frequency-trip) are protection settings
    of the grid code: for them it asks once more; --yes alone does not write them, --yes --protection does. A region
    that FILE does not name stays as it is in force. Regions that contradict each other are refused: a device can't
    have to trip where it may not.

    Refused while a gateway runs on this site, which holds the devices; --set also where the site or the device is
    read-only, or has no serial number to insist on. Exit code 1 when the device did not take a curve.

    \b
    Example:
      cem curves inverter
      cem curves inverter --set grid-code.toml
    with [[curve]] tables in the file:
      [[curve]]
      function = "volt-var"
      points = [[92, 44], [98, 0], [102, 0], [108, -44]]
      settings = { RspTms = 5 }
      [[curve]]
      function = "low-voltage-trip"
      must_trip = [[50, 2], [88, 21]]
    """
    drivers = load_drivers()
    try:
        site_file = load_site(config, drivers)
        wanted = () if file is None else load_curves(file)
    except SiteFileError as error:
        for fault in error.faults:
            click.echo(fault, err=True)
        click.echo("nothing was touched", err=True)
        sys.exit(2)
    device = _device(site_file, device_id)
    _check(site_file, device, wanted)
    context = DriverContext(time.monotonic)
    driver = drivers[device.driver]
    held = asyncio.run(read_curves(device, driver, context))
    if not wanted:
        _show(device, held, as_json)
        return
    wanted = _whole(held, wanted)
    _offer(held, wanted, as_json)
    if dry_run:
        click.echo("dry run: nothing was written", err=True)
        return
    _ask(device, wanted, yes, protection)
    changed = asyncio.run(set_curves(device, driver, context, wanted))
    _tell(device, held, changed, as_json)
    sys.exit(int(any(one.error for one in changed)))


def _device(site_file: SiteFile, device_id: str) -> DeviceConfig:
    known = {device.id: device for device in site_file.devices}
    if device_id not in known:
        raise click.BadParameter(
            f"{device_id!r} is no device of the site file; there are {', '.join(known)}", param_hint="DEVICE"
        )
    return known[device_id]


def _check(site_file: SiteFile, device: DeviceConfig, wanted: Sequence[WantedCurve]) -> None:
    """Raises UsageError where the device may not be touched, or not be written."""
    if asyncio.run(gateway_answers(site_file.socket_path)):
        raise click.UsageError(
            f"a gateway runs on this site ({site_file.socket_path} answers) and holds its devices; nothing was "
            "touched. Stop it first (systemctl stop cem), and start it again afterwards"
        )
    if not wanted:
        return
    if site_file.read_only or device.read_only:
        raise click.UsageError(f"{'the site' if site_file.read_only else device.id} is read-only: nothing is written")
    if device.serial is None:
        raise click.UsageError(f"{device.id} has no serial number in the site file to insist on: nothing is written")


def _show(device: DeviceConfig, held: Sequence[CurveSet], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"device": device.id, "curves": [curve_json(one) for one in held]}, indent=2))
        return
    for one in held:
        for line in set_lines(one):
            click.echo(line)
    if not held:
        click.echo(f"{device.name}: it has none of the models for curves (705 to 712)", err=True)


def _whole(held: Sequence[CurveSet], wanted: Sequence[WantedCurve]) -> tuple[WantedCurve, ...]:
    """What is wanted with the regions that it leaves as they are. Raises UsageError where they contradict."""
    there = {one.function: one.active for one in held}
    whole = []
    for one in wanted:
        curve = one.curve and completed(one.function, one.curve, there.get(one.function))
        if curve is not None and (fault := contradiction(one.function, curve)):
            raise click.UsageError(f"{one.function}: {fault}, with what the device holds; nothing was written")
        whole.append(replace(one, curve=curve))
    return tuple(whole)


def _ask(device: DeviceConfig, wanted: Sequence[WantedCurve], yes: bool, protection: bool) -> None:
    """Has a person agree, twice where protection is written."""
    trips = ", ".join(one.function for one in wanted if one.function in PROTECTION)
    if trips:
        click.echo(
            f"{trips}: protection settings of the grid code. They decide when {device.name} leaves the grid; wrong "
            "ones make it trip needlessly, or stay where it endangers people. The grid operator has to want them",
            err=True,
        )
    if yes and trips and not protection:
        raise click.UsageError("--yes does not write protection settings; --yes --protection does. Nothing was written")
    if yes:
        return
    click.confirm(f"write to {device.name} (serial number {device.serial})?", abort=True, err=True)
    if trips:
        click.confirm(f"does the grid operator want {trips} to be so?", abort=True, err=True)


def _offer(held: Sequence[CurveSet], wanted: Sequence[WantedCurve], as_json: bool) -> None:
    """Before and after of each function, for people; with --json on stderr."""
    there = {one.function: one for one in held}
    for one in wanted:
        for line in change_lines(one, there.get(one.function)):
            click.echo(line, err=as_json)


def _tell(device: DeviceConfig, held: Sequence[CurveSet], changed: Sequence[Changed], as_json: bool) -> None:
    before = {one.function: curve_json(one) for one in held}
    if as_json:
        rows: list[Mapping[str, Any]] = [
            {
                "function": one.function,
                "before": before.get(one.function),
                "after": None if one.after is None else curve_json(one.after),
                "error": one.error or None,
            }
            for one in changed
        ]
        click.echo(json.dumps({"device": device.id, "changed": rows}, indent=2))
        return
    for one in changed:
        if one.after is None:
            click.echo(f"FAIL {one.function}: {one.error}")
        else:
            click.echo(f"ok   {one.function}: {'in force' if one.after.enabled else 'off'}, read back")
