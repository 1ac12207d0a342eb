"""Puts the answers of a person and the devices found together into a site file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from cem.commissioning.targets import BrokerLogin, LinkKind
from cem.config.checks import SITE_CHECKS
from cem.config.draft import draft
from cem.config.load import check_table
from cem.config.provider_checks import PROVIDER_CHECKS
from cem.config.raw import read_raw
from cem.config.schema import FORMAT, ConnectionTable, DeviceTable, Power, SiteTable, Table
from cem.config.schema_faults import schema_faults
from cem.model.errors import SiteFileError
from cem.ports import Driver

INTERVALS = 2.5
"""A value may be so many of its meter's intervals old: one may be lost."""
PLACEHOLDER: dict[str, Any] = {"id": "x", "driver": "x", "link": {}, "resource": [{"id": "x", "role": "grid"}]}
"""Stands for the devices while the answers are checked before any is known."""


class BrokerTable(Table):
    """`[find.broker]` of an answers file: how to enter the MQTT brokers. Files are beside the answers file."""

    username: str | None = None
    password_file: str | None = None
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None


class FindTable(Table):
    """`[find]` of an answers file: the addresses to look at."""

    modbus: tuple[str, ...] = ()
    mqtt: tuple[str, ...] = ()
    serial: tuple[str, ...] = ()  # lines of meters that speak by themselves
    gpio: tuple[str, ...] = ()  # what is wired to the board's own pins, such as "contact_1=17,contact_2=27"
    try_contacts: tuple[str, ...] = ()  # serial numbers or ids whose contacts may be switched for a moment
    ocpp: tuple[str, ...] = ()  # addresses of this machine at which chargers call in
    grid: str | None = None  # serial number of the meter at the connection point
    read_only: tuple[str, ...] = ()  # serial numbers or ids never to be written
    max_power_w: dict[str, Power] = Field(
        default={}
    )  # by serial number or id: what a switched load or a heat pump draws
    broker: BrokerTable = BrokerTable()

    def login(self) -> BrokerLogin:
        """The same for links."""
        return BrokerLogin(**self.broker.model_dump())


@dataclass(frozen=True, slots=True)
class Answers:
    """A site file without its devices, as bare tables, and where to look for them."""

    site: dict[str, Any] = field(default_factory=dict)
    find: FindTable = field(default_factory=FindTable)

    def connection(self) -> ConnectionTable:
        """The connection point; only after `check` found no fault."""
        return ConnectionTable.model_validate(self.site["connection"])

    def targets(self) -> list[tuple[str, LinkKind]]:
        """Every address with its kind."""
        modbus = [(text, LinkKind.MODBUS_TCP) for text in self.find.modbus]
        brokers = [(text, LinkKind.MQTT) for text in self.find.mqtt]
        lines = [(text, LinkKind.SERIAL) for text in self.find.serial]
        calls = [(text, LinkKind.OCPP) for text in self.find.ocpp]
        return [*modbus, *brokers, *lines, *calls, *((text, LinkKind.GPIO) for text in self.find.gpio)]


def with_age_limit(answers: Answers, meter_every_s: float | None) -> tuple[Answers, tuple[str, ...]]:
    """The answers with an age limit that fits a meter which tells new values so seldom, unless they have one."""
    connection = answers.site.get("connection", {})
    if meter_every_s is None or "meter_stale_s" in connection:
        return answers, ()
    stale_s = INTERVALS * meter_every_s
    if stale_s <= ConnectionTable.model_fields["meter_stale_s"].default:
        return answers, ()
    note = f"the meter tells new values every {meter_every_s:g} s only: its age limit is set to {stale_s:g} s"
    return replace(answers, site=answers.site | {"connection": connection | {"meter_stale_s": stale_s}}), (note,)


def read_answers(path: Path) -> Answers:
    """An answers file: a site file without [[device]], with [find]; raises SiteFileError with every fault."""
    raw = read_raw(path)
    find = raw.pop("find", {})
    broker = find.get("broker") if isinstance(find, dict) else None
    if isinstance(broker, dict):
        beside = path.absolute().parent
        find["broker"] = {
            key: str(beside / value) if key.endswith("_file") and isinstance(value, str) else value
            for key, value in broker.items()
        }
    try:
        table = FindTable.model_validate(find)
    except ValidationError as error:
        raise SiteFileError([f"find.{line}" for line in schema_faults(error, FindTable)]) from error
    if "device" in raw:
        raise SiteFileError(["device: seen in an answers file; devices are found at the addresses in [find]"])
    return Answers(raw, table)


def answer_faults(answers: Answers, folder: Path | None = None) -> list[str]:
    """What is wrong with or missing from the answers, before any device is known.

    With the site file's folder also what spans keys or is outside the file: the time zone, the secrets, the limits.
    """
    raw = {"site": FORMAT} | answers.site | {"device": [PLACEHOLDER]}
    try:
        SiteTable.model_validate(raw)
    except ValidationError as error:
        return schema_faults(error)
    if folder is None:
        return []
    known = draft({"site": FORMAT} | answers.site, folder, {})
    return [line for check in (*SITE_CHECKS, *PROVIDER_CHECKS) for line in check(known)]


def assemble(
    answers: Answers, devices: Sequence[DeviceTable], folder: Path, drivers: Mapping[str, Driver]
) -> SiteTable:
    """The whole site file, checked like any other; raises SiteFileError with every fault."""
    tables = [device.model_dump(mode="json", by_alias=True, exclude_defaults=True) for device in devices]
    return check_table({"site": FORMAT} | answers.site | {"device": tables}, folder, drivers)
