"""The tables of the site file as they are written: keys, types and ranges. What spans tables is in `checks`."""

import math
import re
from datetime import time
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

from cem.model.provider import Notify
from cem.model.resource import Contact, Control, Role
from cem.model.site import SPREAD_S, GuaranteedMinimum, LoadRun

FORMAT = 1
"""The value of `site` that this version reads and writes."""

DEFAULT_PATH = "/etc/cem/site.toml"
BINDINGS = ("openadr3", "openadr2b")
VEN_ID = r"^[A-Za-z0-9_-]{1,128}$"
FINGERPRINT = r"^([0-9A-F]{2}:){9}[0-9A-F]{2}$"
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MONTHS = tuple(range(1, 13))
AREA_PATTERN = r"^[0-9]{2}[A-Z][0-9A-Z-]{12}[0-9A-Z]$"
TARIFF_CODE_PATTERN = r"^E-[12]R-[A-Z0-9-]{1,60}-[A-P]$"
TOPIC_PATTERN = r"^[A-Za-z0-9_.-]{1,32}(/[A-Za-z0-9_.-]{1,32}){0,3}$"
HABIT = "habit"
"""In place of a time: it is learnt of what the car does."""
ID_PATTERN = r"^[a-z][a-z0-9_-]{0,31}$"
ID_IN_WORDS = "a small letter, then small letters, digits, - and _, at most 32 characters"

_CLOCK = re.compile(r"^([01][0-9]|2[0-3]):([0-5][0-9])$")


def _clock_time(value: object) -> object:
    if isinstance(value, str):
        if not (match := _CLOCK.match(value)):
            raise ValueError('local time as "HH:MM" from "00:00" to "23:59"; midnight is "00:00"')
        return time(int(match[1]), int(match[2]))
    if isinstance(value, time):
        return value
    raise ValueError('local time as "HH:MM" in quotes')


def _goal_time(value: object) -> object:
    if value == HABIT:
        return None
    try:
        return _clock_time(value)
    except ValueError as error:
        raise ValueError(f'{error}, or "{HABIT}"') from error


def _scalar(value: object) -> object:
    if isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise ValueError("text, a number, true or false")


def _one_line(value: str) -> str:
    if not value.strip() or not value.isprintable():
        raise ValueError("one line of printable text, not empty")
    return value


Id = Annotated[str, Field(pattern=ID_PATTERN)]
Text = Annotated[str, Field(max_length=200), AfterValidator(_one_line)]
ClockTime = Annotated[
    time, BeforeValidator(_clock_time), PlainSerializer(lambda value: f"{value:%H:%M}", return_type=str)
]
GoalTime = Annotated[
    time | None,
    BeforeValidator(_goal_time),
    PlainSerializer(lambda value: HABIT if value is None else f"{value:%H:%M}", return_type=str),
]
Power = Annotated[float, Field(ge=0, le=10_000_000_000)]
Month = Annotated[int, Field(ge=1, le=12)]
Price = Annotated[float, Field(ge=-100, le=100)]
LinkValue = Annotated[str | int | float | bool, BeforeValidator(_scalar)]


class Table(BaseModel):
    """A table of the site file: unknown keys are faults, nothing is converted, nothing is infinite."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _arrays_are_tuples(cls, value: object) -> object:
        if isinstance(value, dict):
            return {key: tuple(item) if isinstance(item, list) else item for key, item in value.items()}
        return value


class ConnectionTable(Table):
    """`[connection]`: the electrical connection point."""

    phases: Annotated[int, Field(ge=1, le=3)]
    fuse_a: Annotated[float, Field(gt=0, le=100_000)]
    nominal_voltage_v: Annotated[float, Field(ge=50, le=1_000_000)] = 230.0
    import_limit_w: Power | None = None
    export_limit_w: Power | None = None
    meter_stale_s: Annotated[float, Field(gt=0, le=300)] = 10.0
    device_stale_s: Annotated[float, Field(gt=0, le=3600)] = 30.0


class StoreTable(Table):
    """`[store]`: where history.db and state.db live; relative to the site file."""

    folder: Text = "/var/lib/cem"


class ApiTable(Table):
    """`[api]`: the local API's socket; relative to the site file."""

    socket: Text = "/run/cem/cem.sock"


class ControlTable(Table):
    """`[control]`: the control loop."""

    tick_s: Annotated[float, Field(ge=0.1, le=10)] = 1.0
    guaranteed_minimum: Annotated[GuaranteedMinimum, Field(strict=False)] = GuaranteedMinimum.NONE
    ramp_w_per_s: Annotated[float, Field(gt=0, le=1e10)] | None = None
    spread_s: Annotated[float, Field(ge=0, le=1800)] = SPREAD_S


class DroopTable(Table):
    """`[droop]`: frequency-watt; without the table there is none."""

    dead_band_hz: Annotated[float, Field(ge=0.01, le=5)] = 0.2
    droop_pct: Annotated[float, Field(ge=1, le=100)] = 5.0
    nominal_hz: Annotated[float, Field(ge=40, le=70)] = 50.0


Percent = Annotated[float, Field(ge=0, le=100)]


def _pairs(value: object) -> object:
    return (
        tuple(tuple(pair) if isinstance(pair, list) else pair for pair in value) if isinstance(value, tuple) else value
    )


def _falling(points: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
    for before, after in pairwise(points):
        if after[0] <= before[0] or after[1] > before[1]:
            raise ValueError("each point needs a higher voltage than the one before, and no more power")
    return points


class VoltWattTable(Table):
    """`[volt_watt]`: the gateway's own volt-watt for inverters that have none; without the table there is none."""

    points: Annotated[
        tuple[tuple[Annotated[float, Field(ge=100, le=130)], Percent], ...],
        Field(min_length=2, max_length=20),
        BeforeValidator(_pairs),
        AfterValidator(_falling),
    ]


class IslandTable(Table):
    """`[island]`: when the grid counts as back after an outage, and how the house returns to it."""

    stable_s: Annotated[float, Field(ge=1, le=3600)] = 300.0
    low_voltage_pct: Annotated[float, Field(ge=50, lt=100)] = 85.0
    high_voltage_pct: Annotated[float, Field(gt=100, le=150)] = 110.0
    below_hz: Annotated[float, Field(gt=0, le=4)] = 0.5
    above_hz: Annotated[float, Field(gt=0, le=4)] = 0.2
    permission_most_s: Annotated[float, Field(ge=0, le=86_400)] = 1800.0
    delay_s: Annotated[float, Field(ge=0, le=3600)] = SPREAD_S
    ramp_pct_per_min: Annotated[float, Field(gt=0, le=6000)] = 10.0
    car_from_pct: Annotated[float, Field(ge=0, le=100)] = 80.0


class PlanTable(Table):
    """`[plan]`: the planner."""

    enabled: bool = True
    every_s: Annotated[float, Field(ge=10, le=86_400)] = 900.0
    timeout_s: Annotated[float, Field(ge=1, le=600)] = 20.0
    reserve_up_w: Power = 0.0
    reserve_down_w: Power = 0.0


class PeriodTable(Table):
    """`[[tariff.period]]`: a price from `from` until `to` local time; `to` earlier than `from` runs over midnight."""

    start: Annotated[ClockTime, Field(alias="from")]
    end: Annotated[ClockTime, Field(alias="to")]
    import_price_per_kwh: Price
    days: tuple[Weekday, ...] = Field(default=WEEKDAYS, min_length=1)
    months: tuple[Month, ...] = Field(default=MONTHS, min_length=1)


class GridFeeTable(Table):
    """`[[tariff.dynamic.grid_fee]]`: another grid fee from `from` until `to` local time, in place of the usual one."""

    start: Annotated[ClockTime, Field(alias="from")]
    end: Annotated[ClockTime, Field(alias="to")]
    per_kwh: Price
    days: tuple[Weekday, ...] = Field(default=WEEKDAYS, min_length=1)
    months: tuple[Month, ...] = Field(default=MONTHS, min_length=1)


class DynamicTable(Table):
    """`[tariff.dynamic]`: whom to ask for prices by the hour, and what comes on top of them."""

    provider: Literal["awattar", "entsoe", "octopus", "tibber"]
    country: Literal["AT", "DE"] | None = None
    area: Annotated[str, Field(pattern=AREA_PATTERN)] | None = None
    sequence: Annotated[int, Field(ge=1, le=9)] = 1
    tariff_code: Annotated[str, Field(pattern=TARIFF_CODE_PATTERN)] | None = None
    export_tariff_code: Annotated[str, Field(pattern=TARIFF_CODE_PATTERN)] | None = None
    home: Text | None = None
    token_file: Text | None = None
    url: Text | None = None
    per_kwh: Price = 0.0
    percent: Annotated[float, Field(ge=0, le=100)] = 0.0
    vat_percent: Annotated[float, Field(ge=0, le=100)] = 0.0
    grid_fee_per_kwh: Price = 0.0
    export: Literal["fixed", "market"] = "fixed"
    export_fee_per_kwh: Price = 0.0
    grid_fee: tuple[GridFeeTable, ...] = ()


class TariffTable(Table):
    """`[tariff]`: what energy costs where no provider says otherwise."""

    base_price_per_kwh: Price
    export_price_per_kwh: Price = 0.0
    peak_price_per_kw: Annotated[float, Field(ge=0, le=1000)] = 0.0
    ghg_price_per_t: Annotated[float, Field(ge=0, le=100_000)] = 0.0
    load_shape_per_kwh: Annotated[float, Field(ge=0, le=100)] = 0.1
    period: tuple[PeriodTable, ...] = ()
    dynamic: DynamicTable | None = None


class ResourceTable(Table):
    """`[[device.resource]]`: one thing that the device measures or moves, with its ratings as magnitudes."""

    id: Id
    role: Annotated[Role, Field(strict=False)]
    name: Text | None = None
    max_charge_w: Power | None = None
    max_discharge_w: Power | None = None
    capacity_wh: Annotated[float, Field(gt=0, le=1e12)] | None = None
    max_generation_w: Power | None = None
    max_current_a: Annotated[float, Field(ge=6, le=100_000)] | None = None
    min_current_a: Annotated[float, Field(ge=6, le=100_000)] = 6.0
    phases: Annotated[int, Field(ge=1, le=3)] | None = None  # None: those of the connection
    nominal_voltage_v: Annotated[float, Field(ge=50, le=1_000_000)] = 230.0
    max_power_w: Power | None = None
    phase: Annotated[int, Field(ge=1, le=3)] | None = None
    priority: Annotated[int, Field(ge=1, le=9)] | None = None
    controls: tuple[Annotated[Control, Field(strict=False)], ...] = ()
    contacts: tuple[Annotated[Contact, Field(strict=False)], ...] = ()


class DeviceTable(Table):
    """`[[device]]`: one physical device; `link` is the driver's own and checked by it."""

    id: Id
    name: Text | None = None
    driver: Text
    profile: Text | None = None
    serial: Text | None = None
    read_only: bool = False
    poll_s: Annotated[float, Field(ge=0.1, le=3600)] = 1.0
    grid_support: Text | None = None
    link: dict[str, LinkValue]
    resource: Annotated[tuple[ResourceTable, ...], Field(min_length=1)]


class GoalTable(Table):
    """`[[goal]]`: a standing charge goal of a car; `ready_by` None, in the file "habit": time and amount are learnt."""

    resource: Id
    ready_by: GoalTime
    energy_wh: Annotated[float, Field(gt=0, le=1_000_000)] | None = None
    soc_pct: Annotated[float, Field(gt=0, le=100)] | None = None


class BatteryTable(Table):
    """`[[battery]]`: the owner's word on a battery."""

    resource: Id
    reserve_pct: Annotated[float, Field(ge=0, le=100)] = 10.0
    grid_charge: bool = True
    into_car: bool = False


class CircuitTable(Table):
    """`[[circuit]]`: a part of the installation behind a fuse of its own."""

    id: Id
    fuse_a: Annotated[float, Field(gt=0, le=100_000)]
    members: Annotated[tuple[Id, ...], Field(min_length=1)]
    phases: Annotated[int, Field(ge=1, le=3)] | None = None  # None: those of the connection
    limit_w: Power | None = None


class GroupTable(Table):
    """`[[group]]`: several resources that the grid sees as one resource more."""

    id: Id
    name: Text | None = None
    members: Annotated[tuple[Id, ...], Field(min_length=1)]


class LoadTable(Table):
    """`[[load]]`: the owner's word on a switched load or a heat pump."""

    resource: Id
    runs: Annotated[LoadRun, Field(strict=False)] = LoadRun.BY_ITSELF
    min_on_s: Annotated[float, Field(ge=0, le=86_400)] = 300.0
    min_off_s: Annotated[float, Field(ge=0, le=86_400)] = 300.0
    comfort_min_c: Annotated[float, Field(ge=5, le=90)] | None = None
    comfort_max_c: Annotated[float, Field(ge=5, le=90)] | None = None
    store_litres: Annotated[float, Field(gt=0, le=1_000_000)] | None = None
    cop: Annotated[float, Field(ge=1, le=10)] = 3.5
    daily_wh: Annotated[float, Field(gt=0, le=1_000_000)] | None = None
    profile_w: Annotated[tuple[Power, ...], Field(max_length=96)] = ()
    ready_by: ClockTime = time(0, 0)


class ProgrammeTable(Table):
    """`[[provider.programme]]`: mandatory programmes are obligations, the others may be opted out of."""

    name: Text
    mandatory: bool = False
    incentive_per_kwh: Annotated[float, Field(ge=0, le=1000)] | None = None


class ProviderTable(Table):
    """`[[provider]]`: one energy service at the Smart Grid Connection Point."""

    id: Id
    binding: Literal["openadr3", "openadr2b"] = "openadr3"
    url: Text
    ven_name: Text
    client_id: Text = ""
    client_secret_file: Text | None = None
    vtn_fingerprint: Annotated[str, Field(pattern=FINGERPRINT)] | None = None
    vtn_next_fingerprint: Annotated[str, Field(pattern=FINGERPRINT)] | None = None
    legacy_suites: bool = False
    allow_plain_http: bool = False
    ca_file: Text | None = None
    crl_file: Text | None = None
    client_certificate_file: Text | None = None
    client_key_file: Text | None = None
    notify: Annotated[Notify, Field(strict=False)] = Notify.AUTO
    callback_url: Text | None = None
    callback_listen: Text | None = None
    callback_certificate_file: Text | None = None
    callback_key_file: Text | None = None
    callback_fingerprint: Annotated[str, Field(pattern=FINGERPRINT)] | None = None
    poll_s: Annotated[float, Field(ge=0.5, le=86_400)] = 30.0
    stale_s: Annotated[float, Field(gt=0, le=86_400)] | None = None
    fallback_voluntary_s: Annotated[float, Field(ge=0, le=604_800)] = 1800.0
    fallback_open_ended_s: Annotated[float, Field(ge=0, le=604_800)] = 14400.0
    default_import_limit_w: Power | None = None
    default_export_limit_w: Power | None = None
    report_interval_s: Annotated[float, Field(ge=1, le=86_400)] = 60.0
    shed_import_w: tuple[Power, ...] | None = None  # at load-shed levels 1, 2, 3
    request_timeout_s: Annotated[float, Field(ge=0.5, le=120)] = 10.0
    retry_max_s: Annotated[float, Field(ge=1, le=86_400)] = 300.0
    reconnect_jitter_s: Annotated[float, Field(ge=0, le=3600)] = 10.0
    spread_s: Annotated[float, Field(ge=0, le=1800)] | None = None
    permits_return: bool = False
    programme: tuple[ProgrammeTable, ...] = ()


class VtnBrokerTable(Table):
    """`[vtn.broker]`: the MQTT broker that the domain's notifications go through."""

    uri: Text
    public_uris: tuple[Text, ...] = ()
    user: Text | None = None
    password_file: Text | None = None
    ca_file: Text | None = None
    login: Literal["token", "anonymous"] = "anonymous"
    prefix: Annotated[str, Field(pattern=TOPIC_PATTERN)] = "openadr3"


class VtnClientTable(Table):
    """`[[vtn.client]]`: who may enter the domain's VTN."""

    id: Text
    secret_file: Text
    role: Literal["ven", "bl"] = "ven"


class VtnVen2bTable(Table):
    """`[[vtn.ven_2b]]`: a VEN of OpenADR 2.0b that may register with the domain's VTN."""

    id: Annotated[str, Field(pattern=VEN_ID)]
    name: Text | None = None
    fingerprint: Annotated[str, Field(pattern=FINGERPRINT)] | None = None


class VtnTable(Table):
    """`[vtn]`: a VTN of our own for a domain below this gateway."""

    listen: Text = "127.0.0.1:8081"
    certificate_file: Text | None = None
    key_file: Text | None = None
    allow_plain_http: bool = False
    public_url: Text | None = None
    mdns_name: Annotated[Text, Field(max_length=63)] | None = None
    callback_networks: tuple[Text, ...] = ()
    callback_ca_file: Text | None = None
    lost_after_s: Annotated[float, Field(ge=5, le=86_400)] = 120.0
    client_ca_file: Text | None = None
    crl_file: Text | None = None
    sign_2b: bool = False
    legacy_suites: bool = False
    broker: VtnBrokerTable | None = None
    client: tuple[VtnClientTable, ...] = ()
    ven_2b: tuple[VtnVen2bTable, ...] = ()


class PlaceTable(Table):
    """Where the house stands, degrees; north and east are positive."""

    latitude: Annotated[float, Field(ge=-90, le=90)]
    longitude: Annotated[float, Field(ge=-180, le=180)]


class SiteTable(Table):
    """The whole file, in the order in which it is written."""

    site: Annotated[int, Field(ge=FORMAT, le=FORMAT)] = FORMAT
    name: Text
    timezone: Text
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "EUR"
    read_only: bool = False
    place: PlaceTable | None = None
    connection: ConnectionTable
    store: StoreTable = StoreTable()
    api: ApiTable = ApiTable()
    control: ControlTable = ControlTable()
    plan: PlanTable = PlanTable()
    tariff: TariffTable
    device: Annotated[tuple[DeviceTable, ...], Field(min_length=1)]
    goal: tuple[GoalTable, ...] = ()
    battery: tuple[BatteryTable, ...] = ()
    circuit: tuple[CircuitTable, ...] = ()
    group: tuple[GroupTable, ...] = ()
    load: tuple[LoadTable, ...] = ()
    droop: DroopTable | None = None
    volt_watt: VoltWattTable | None = None
    island: IslandTable = IslandTable()
    provider: tuple[ProviderTable, ...] = ()
    vtn: VtnTable | None = None
