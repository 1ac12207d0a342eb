"""Sample statuses of a house with a roof, a battery, a car, a heat pump and a meter, one per state of the gateway."""

import dataclasses
import math
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from cem.model.directive import EventSummary, GridPresence, LinkState, LinkStatus
from cem.model.event import EventStatus
from cem.model.plan import Intent, IntentKind, Plan, Slot
from cem.model.resource import Role
from cem.model.setpoint import Health, Mode
from cem.model.status import Alarm, DeviceStatus, EnergyToday, Flow, LimitStatus, ResourceStatus, Status, TickStatus

NOON = datetime(2026, 6, 17, 10, 3, 5, tzinfo=UTC)  # 12:03:05 on the wall of a house in Berlin
STARTED = NOON - timedelta(hours=3, minutes=14)


def _price(hour: float) -> float:
    """A night tariff, a morning and an evening peak, cheap sun at noon."""
    morning, evening = math.exp(-(((hour - 7.5) / 1.8) ** 2)), math.exp(-(((hour - 19) / 2.2) ** 2))
    noon, night = math.exp(-(((hour - 13) / 2.5) ** 2)), math.exp(-((min(hour, abs(24 - hour)) / 4) ** 2))
    return round(0.29 + 0.07 * morning + 0.12 * evening - 0.07 * noon - 0.08 * night, 4)


def _intent(hour: float) -> Intent:
    if hour < 5:
        return Intent(IntentKind.CHARGE_TO, target_soc_pct=60, max_w=2500, value_per_kwh=0.27)
    if hour < 9:
        return Intent(IntentKind.HOLD)
    if 18 <= hour < 20:
        return Intent(IntentKind.DISCHARGE_TO, target_soc_pct=25, value_per_kwh=0.31)
    return Intent(IntentKind.SELF_CONSUME)


def sample_plan(at: datetime = NOON) -> Plan:
    """A day of quarter hours from the running one on, with every intent in it."""
    start = at.replace(minute=at.minute // 15 * 15, second=0, microsecond=0)
    slots = []
    for index in range(96):
        begins = start + timedelta(minutes=15 * index)
        hour = (begins.hour + 2 + begins.minute / 60) % 24
        sun_w = 5200 * max(0.0, math.sin((hour - 6) / 14 * math.pi)) if 6 < hour < 20 else 0.0
        soc = 62 + 28 * math.sin((index - 4) / 96 * 2 * math.pi)
        slots.append(
            Slot(
                begins,
                begins + timedelta(minutes=15),
                MappingProxyType(
                    {
                        "battery": _intent(hour),
                        "car": Intent(IntentKind.CHARGE_TO if 1 <= hour < 4 else IntentKind.SURPLUS_ONLY),
                    }
                ),
                import_price_per_kwh=_price(hour),
                grid_w=600 - sun_w,
                pv_w=-sun_w,
                load_w=600.0,
                power_w=MappingProxyType({"battery": 500.0}),
                soc_pct=MappingProxyType({"battery": soc}),
            )
        )
    return Plan(
        at - timedelta(minutes=4),
        at + timedelta(hours=3),
        tuple(slots),
        "optimal",
        cost=1.84,
        gap=0.003,
        solve_s=0.41,
        reasons=(
            "the battery fills from the roof until 15:00 and covers the evening",
            "from 01:00 to 04:00 power is cheapest: the car takes its 22 kWh then",
        ),
    )


def _device(device_id: str, name: str, dies: str, *resources: ResourceStatus) -> DeviceStatus:
    return DeviceStatus(device_id, name, Health.ONLINE, STARTED, "answers every second", "", dies, resources)


def sample_devices() -> tuple[DeviceStatus, ...]:
    """Everything online."""
    return (
        _device(
            "meter",
            "Grid meter",
            "only read",
            ResourceStatus("grid", Role.GRID, "Grid meter", -512.0, 0.4, False),
        ),
        _device(
            "inverter",
            "Roof inverter",
            "makes what the sun gives after 60 s",
            ResourceStatus("roof", Role.PV, "Roof", -4210.0, 0.6, False, setpoint="free", outcome="effective"),
        ),
        _device(
            "battery",
            "House battery",
            "returns to its own self-consumption after 60 s",
            ResourceStatus(
                "battery",
                Role.BATTERY,
                "Battery",
                3098.0,
                0.5,
                False,
                soc_pct=62.0,
                setpoint="charge 3.1 kW",
                outcome="effective",
                reason="stores the sun for the evening, when power costs 0.41 EUR/kWh",
            ),
        ),
        _device(
            "wallbox",
            "Wallbox",
            "charges with 6 A after 30 s",
            ResourceStatus(
                "car",
                Role.EV,
                "Car",
                0.0,
                1.2,
                False,
                soc_pct=None,
                state="B",
                setpoint="pause",
                outcome="effective",
                reason="waits for the cheap hours from 01:00; needs 22 kWh by 07:00",
            ),
        ),
        _device(
            "heatpump",
            "Heat pump",
            "runs on its own controller",
            ResourceStatus("heatpump", Role.HEAT_PUMP, "Heat pump", 180.0, 3.0, False, state="running"),
        ),
    )


def normal() -> Status:
    """A sunny noon: roof to battery, the rest exported, one event tomorrow."""
    return Status(
        at=NOON,
        site="Lindenweg 4",
        version="0.1.0",
        mode=Mode.NORMAL,
        headline="Storing the sun in the battery for the evening; the rest is sold.",
        time_trusted=True,
        grid=GridPresence.CONNECTED,
        flow=Flow(grid_w=-512.0, pv_w=-4210.0, battery_w=3098.0, ev_w=0.0, load_w=600.0),
        import_price_per_kwh=0.2931,
        export_price_per_kwh=0.0786,
        currency="EUR",
        devices=sample_devices(),
        limits=(
            LimitStatus("import", 24150.0, "fuse", "main fuse 35 A", None, True),
            LimitStatus("export", 10000.0, "contract", "grid connection contract", None, True),
        ),
        links=(
            LinkStatus("utility", LinkState.ONLINE, STARTED, NOON - timedelta(seconds=12), "polled every 30 s"),
            LinkStatus("prices", LinkState.ONLINE, STARTED, NOON - timedelta(seconds=21), "polled every 30 s"),
        ),
        events=(
            EventSummary(
                "ev-17",
                "utility",
                "Evening peak",
                EventStatus.FAR,
                NOON + timedelta(hours=5),
                NOON + timedelta(hours=7),
                "import at most 4.2 kW",
            ),
        ),
        plan=sample_plan(),
        today=EnergyToday(import_wh=2140.0, export_wh=6520.0, pv_wh=18230.0, cost=0.12),
        alarms=(),
        tick=TickStatus(11640, 4.1, 38.0, STARTED),
        zone="Europe/Berlin",
    )


def limited() -> Status:
    """An export limit of the grid operator binds; the car is charged at the owner's word."""
    status = normal()
    since, until = NOON - timedelta(minutes=33), NOON + timedelta(hours=2, minutes=57)
    limit = LimitStatus(
        "export", 500.0, "utility", "local voltage too high (event Midday peak)", until, True, since=since
    )
    return dataclasses.replace(
        status,
        mode=Mode.LIMITED,
        headline="The grid operator allows 0.5 kW to go out until 15:00; the battery takes the rest.",
        limits=(status.limits[0], limit, dataclasses.replace(status.limits[1], binding=False)),
        events=(
            EventSummary("ev-16", "utility", "Midday peak", EventStatus.ACTIVE, since, until, "export at most 0.5 kW"),
            *status.events,
        ),
        alarms=(
            Alarm(
                "battery-full",
                "info",
                NOON - timedelta(minutes=3),
                "the battery will be full by about 13:40",
                "the roof will then be held back",
                "plug in the car or start the washing now and use that sun",
            ),
        ),
    )


def fallback() -> Status:
    """The utility's link is lost: its default limit holds; everything local goes on."""
    status = normal()
    lost = NOON - timedelta(minutes=41)
    return dataclasses.replace(
        status,
        mode=Mode.FALLBACK,
        headline="No word from utility since 11:22: keeping to the agreed 4.2 kW import until it is back.",
        limits=(
            LimitStatus(
                "import", 4200.0, "utility (default)", "link lost; subscribed capacity holds", None, True, since=lost
            ),
            dataclasses.replace(status.limits[0], binding=False),
            status.limits[1],
        ),
        links=(
            LinkStatus(
                "utility",
                LinkState.FALLBACK,
                NOON - timedelta(minutes=31),
                lost,
                "no answer from vtn.utility.example since 11:22 (connection timed out)",
                "nothing to do in the house; if the internet works elsewhere, call utility",
                reports_queued=41,
            ),
            status.links[1],
        ),
        alarms=(
            Alarm(
                "link-utility",
                "warning",
                lost,
                "utility has not answered since 11:22",
                "its default limit of 4.2 kW import holds; 41 reports wait",
                "check the internet connection; the house needs nothing else",
            ),
        ),
    )


def safe() -> Status:
    """The meter is silent: nothing is steered beyond its safe value."""
    status = normal()
    since = NOON - timedelta(seconds=47)
    meter = dataclasses.replace(
        status.devices[0],
        health=Health.SILENT,
        since=since,
        detail="no answer from 192.0.2.30:502 unit 1 in 2.0 s (try 19); the connection point is unknown",
        advice="check the meter's network cable and that its address is still 192.0.2.30",
        resources=(dataclasses.replace(status.devices[0].resources[0], power_w=-512.0, age_s=47.0, stale=True),),
    )
    battery = status.devices[2]
    resting = dataclasses.replace(
        battery.resources[0], power_w=0.0, setpoint="0 W", reason="the meter is silent: batteries rest, cars at 6 A"
    )
    return dataclasses.replace(
        status,
        mode=Mode.SAFE,
        headline="The grid meter is silent: nothing is steered beyond its safe value until it answers.",
        flow=Flow(grid_w=None, pv_w=-4210.0, battery_w=0.0, ev_w=0.0, load_w=None),
        devices=(meter, status.devices[1], dataclasses.replace(battery, resources=(resting,)), *status.devices[3:]),
        alarms=(
            Alarm(
                "device-meter",
                "alarm",
                since,
                "the grid meter has not answered for 47 s",
                "the battery rests and the car may take 6 A at most",
                "check the meter's network cable and that its address is still 192.0.2.30",
            ),
        ),
    )


def islanded() -> Status:
    """The street is dark; the battery carries the house."""
    status = normal()
    now = {
        "grid": (0.0, None),
        "roof": (-900.0, None),
        "battery": (-1500.0, "the grid is gone: the battery carries the house down to its reserve"),
        "car": (0.0, "the grid is gone: cars wait"),
        "heatpump": (180.0, None),
    }
    devices = tuple(
        dataclasses.replace(
            device,
            resources=tuple(
                dataclasses.replace(one, power_w=now[one.id][0], reason=now[one.id][1], setpoint=None, outcome=None)
                for one in device.resources
            ),
        )
        for device in status.devices
    )
    return dataclasses.replace(
        status,
        mode=Mode.ISLANDED,
        grid=GridPresence.ISLANDED,
        headline="The grid's power is gone: the battery carries the house; the car waits.",
        flow=Flow(grid_w=0.0, pv_w=-900.0, battery_w=-1500.0, ev_w=0.0, load_w=2400.0),
        devices=devices,
        alarms=(
            Alarm(
                "islanded",
                "alarm",
                NOON - timedelta(minutes=5),
                "no voltage at the connection point since 11:58",
                "the battery lasts about 4 h at this load",
                "switch off what you can do without; nothing else to do",
            ),
        ),
    )


def starting() -> Status:
    """Just switched on: nothing has answered yet, no clock, no plan."""
    status = normal()
    return dataclasses.replace(
        status,
        mode=Mode.SAFE,
        headline="Starting: waiting for the devices.",
        time_trusted=False,
        grid=GridPresence.UNKNOWN,
        flow=Flow(None, None, None, None, None),
        import_price_per_kwh=None,
        export_price_per_kwh=None,
        devices=tuple(
            dataclasses.replace(
                device,
                health=Health.STARTING,
                since=NOON,
                detail="has not answered yet",
                resources=tuple(
                    dataclasses.replace(
                        r, power_w=None, age_s=None, stale=True, soc_pct=None, state=None, setpoint=None, outcome=None
                    )
                    for r in device.resources
                ),
            )
            for device in status.devices
        ),
        links=(),
        events=(),
        plan=None,
        today=EnergyToday(0.0, 0.0, 0.0, 0.0),
        tick=TickStatus(1, 3.0, 3.0, NOON),
    )
