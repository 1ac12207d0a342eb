"""The two halves of provisioning: finding what is there, and proving it and writing it down."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from cem.commissioning.discover import Sighting, discover
from cem.commissioning.examination import Examination, OnResult, Scope, examine
from cem.commissioning.proposal import Proposal, propose
from cem.commissioning.record import Record, write_record
from cem.commissioning.result import Step, Verdict
from cem.commissioning.running import gateway_answers, refusal
from cem.commissioning.site import Answers, assemble, with_age_limit
from cem.commissioning.targets import Link, address, parse_target
from cem.commissioning.write_check import sun_only
from cem.config.build import device_config
from cem.config.schema import ApiTable, BatteryTable, DeviceTable, SiteTable
from cem.config.write import SITE_MODE, write_atomically, write_site
from cem.model.errors import CemError
from cem.model.resource import Role
from cem.ports import Clock, Driver, DriverContext, Found


class GatewayRuns(CemError):  # noqa: N818 - the field's word
    """A gateway holds this site's devices; nothing was touched."""


SURE_ENOUGH = 0.5
"""What a driver is less sure of is not put into a site file."""


class NothingFound(CemError):  # noqa: N818
    """No driver knows anything that answered."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be done. `dry_run` writes neither device nor file; `force` writes the file though a check failed."""

    out: Path
    scope: Scope
    dry_run: bool = False
    force: bool = False
    installer: str | None = None


@dataclass(frozen=True, slots=True)
class Tools:
    """The world, as provisioning needs it."""

    drivers: Mapping[str, Driver]
    context: DriverContext
    clock: Clock
    version: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found, and the site file that would come of it."""

    started_at: datetime
    searched: tuple[str, ...]
    proposal: Proposal
    table: SiteTable


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended; a path is None where no file was written."""

    record: Record
    record_path: Path | None
    site_path: Path | None


async def find(
    order: Order, answers: Answers, tools: Tools, on_sighting: Callable[[Sighting], None] = lambda _sighting: None
) -> Finding:
    """Looks at every address and proposes a site file; no device is written.

    Raises GatewayRuns, NothingFound, and SiteFileError when answers and devices together make no good site file.
    """
    socket_path = order.out.parent / answers.site.get("api", {}).get("socket", ApiTable().socket)
    if await gateway_answers(socket_path):
        raise GatewayRuns(refusal(socket_path))
    started_at = tools.clock.now().wall
    links = all_links(answers)
    sightings = await discover(links, tools.drivers, tools.context, on_sighting)
    seen = [item for sighting in sightings for item in sighting.found]
    found = [item for item in seen if item.confidence >= SURE_ENOUGH]
    left_out = [_left_out(item) for item in seen if item not in found]
    searched = tuple(address(link) for link in links)
    if not found:
        raise NothingFound(
            f"nothing that a driver knows answers at {', '.join(searched)}; "
            "check power, cable, address and unit, and whether Modbus, MQTT or OCPP is switched on in the device"
            + "".join(f"; {words}" for words in left_out)
        )
    connection = answers.connection()
    proposal = propose(
        found,
        phases=connection.phases,
        fuse_a=connection.fuse_a,
        grid_serial=answers.find.grid,
        read_only=answers.find.read_only,
        max_power_w=answers.find.max_power_w,
    )
    answers, slow = with_age_limit(answers, proposal.meter_every_s)
    proposal = replace(proposal, notes=(*proposal.notes, *left_out, *slow))
    table = assemble(answers, proposal.devices, order.out.parent, tools.drivers)
    return Finding(started_at, searched, proposal, table)


async def prove(order: Order, finding: Finding, tools: Tools, on_result: OnResult = lambda _result: None) -> Outcome:
    """Checks every device, then writes the site file and the record. Raises OSError when a file can't be written."""
    table = finding.table
    connection = table.connection
    fuse_w = connection.fuse_a * connection.phases * connection.nominal_voltage_v
    configs = [device_config(device, order.out.parent, connection.phases, table.read_only) for device in table.device]
    examination = await examine(configs, tools.drivers, tools.context, fuse_w, order.scope, on_result)
    notes = list(finding.proposal.notes)
    table = _by_sun(table, sun_only(examination.results), notes)
    failed = examination.failed_devices()
    if failed:
        table = _locked(table, examination, notes) if order.force else table
    site_path = None if order.dry_run or (failed and not order.force) else order.out
    if site_path is not None:
        keep_old(site_path)
        write_site(site_path, table)
    record = Record(
        gateway_version=tools.version,
        site_name=table.name,
        installer=order.installer,
        started_at=finding.started_at,
        ended_at=tools.clock.now().wall,
        searched=finding.searched,
        devices=table.device,
        examination=examination,
        notes=tuple(notes),
        site_file=site_path,
    )
    record_path = None if order.dry_run else write_record(order.out.parent, record)
    return Outcome(record, record_path, site_path)


def all_links(answers: Answers) -> list[Link]:
    """Every link of the answers' addresses, each once; raises ValueError with a sentence."""
    login = answers.find.login()
    links = [login.of(link) for text, kind in answers.targets() for link in parse_target(text, kind)]
    return [link for index, link in enumerate(links) if link not in links[:index]]


def _left_out(found: Found) -> str:
    who = f"{found.identity.maker} {found.identity.serial}".strip()
    return (
        f"{who} may be a device of profile {found.profile}, only {found.confidence:.0%} sure: it is left out; "
        "name it in the site file if it is one"
    )


def keep_old(path: Path) -> None:
    """Keeps a file that is about to be replaced as .old beside it."""
    if path.exists():
        write_atomically(path.with_name(f"{path.name}.old"), path.read_bytes(), SITE_MODE)


def _by_sun(table: SiteTable, by_sun: frozenset[str], notes: list[str]) -> SiteTable:
    """The table in which batteries that follow no charge from the grid are not planned to take any."""
    told = {one.resource for one in table.battery}
    for resource_id in sorted(by_sun - told):
        notes.append(f"{resource_id} took nothing from the grid: it is written with grid_charge = false")
        policy = BatteryTable(resource=resource_id, grid_charge=False)
        table = table.model_copy(update={"battery": (*table.battery, policy)})
    return table


def _locked(table: SiteTable, examination: Examination, notes: list[str]) -> SiteTable:
    """The table in which what failed is only read: the device, or everything where the meter cannot be trusted."""
    failed = {result.device_id for result in examination.results if result.verdict is Verdict.FAILED}
    signs = any(result.step is Step.SIGN and result.verdict is Verdict.FAILED for result in examination.results)
    meters = {device.id for device in table.device if any(item.role is Role.GRID for item in device.resource)}
    if signs or failed & meters:
        notes.append("the meter at the connection point failed: the whole site is written with read_only = true")
        return table.model_copy(update={"read_only": True})
    notes += [f"{device_id} failed: it is written with read_only = true" for device_id in sorted(failed)]
    return table.model_copy(update={"device": tuple(_lock(device, failed) for device in table.device)})


def _lock(device: DeviceTable, failed: Iterable[str]) -> DeviceTable:
    return device.model_copy(update={"read_only": True}) if device.id in failed else device
