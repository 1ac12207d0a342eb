"""The tables of a time line: events and faults, when they come, and what each kind takes."""

from datetime import datetime, time
from typing import Any, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from hw_sim.specs import CALLING, ON_LINE, ON_PINS, OVER_MQTT, PROFILE, Id, Percent, Phase, Table

EventKind = Literal[
    "weather", "load", "arrive", "leave", "draw_off", "voltage", "frequency", "grid_loss", "quirk", "contact"
]
FaultKind = Literal[
    "silence",
    "disconnect",
    "refuse_writes",
    "freeze",
    "ineffective",
    "stuck",
    "nan",
    "reboot",
    "second_master",
    "scale",
    "spike",
    "sign",
    "phase_lost",
    "phases_swapped",
    "stranger",
    "busy",
    "slow",
    "foreign_answer",
    "garbage",
    "duplicate",
    "short_answer",
    "half_answer",
    "wrong_unit",
    "hang_up",
    "half_open",
    "drift",
    "lying_timer",
    "flood",
    "stale_retained",
    "broker_down",
    "bms",
    "bms_lost",
    "unplug",
    "bad_crc",
    "cut",
    "noise",
    "no_sign",
    "no_pin",
    "broken_wire",
]
BROKER = "broker"
"""The target of `broker_down`."""


class Moment(Table):
    """When something comes: `at_s` after the start, or `at` a local time: a date with time, or the next such time of
    day (`daily`: each day). It lasts `for_s`, or for good; with `repeat_s` it comes `times` times."""

    at_s: float | None = Field(default=None, ge=0)
    at: datetime | time | None = None
    daily: bool = False
    for_s: float | None = Field(default=None, gt=0)
    repeat_s: float | None = Field(default=None, gt=0)
    times: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _one_time(self) -> Self:
        if (self.at_s is None) == (self.at is None):
            raise ValueError("give either at_s or at")
        if self.daily and not isinstance(self.at, time):
            raise ValueError("daily needs a time of day in at")
        if self.times > 1 and self.repeat_s is None:
            raise ValueError("times needs repeat_s")
        if self.repeat_s is not None and self.for_s is not None and self.for_s >= self.repeat_s:
            raise ValueError("for_s has to be below repeat_s")
        return self


class EventSpec(Moment):
    """Something that happens to the house. Which keys a kind takes: `EVENTS`."""

    kind: EventKind
    target: Id | None = None
    cloudiness: float | None = Field(default=None, ge=0, le=1)
    shift_c: float | None = Field(default=None, ge=-40, le=40)
    extra_w: float | None = None
    phase: Phase | None = None
    soc_pct: Percent | None = None
    wants_wh: float | None = Field(default=None, ge=0)
    used_wh: float | None = Field(default=None, ge=0)
    draw_w: float | None = Field(default=None, gt=0)
    volts: float | None = Field(default=None, ge=0, le=300)
    hz: float | None = Field(default=None, ge=40, le=70)
    ramp_s: float = Field(default=0.0, ge=0)
    profile: tuple[tuple[float, float], ...] | None = Field(default=None, min_length=1)
    set: dict[str, Any] | None = None
    contact: Literal["w3", "s1", "s2", "w4"] | None = None


class FaultSpec(Moment):
    """Something that goes wrong with one device. Which keys a kind takes: `FAULTS`."""

    kind: FaultKind
    target: Id
    value: float | None = None
    phase: Phase | None = None
    period_s: float = Field(default=10.0, gt=0)
    delay_s: float = Field(default=30.0, gt=0)
    rate_per_s: float = Field(default=100.0, gt=0, le=10_000)
    charge: bool = True
    discharge: bool = True


class EventRule(NamedTuple):
    """Keys of which one is needed, keys that may come with them, and the tables that may be the target."""

    needed: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    targets: frozenset[str] = frozenset()


class FaultRule(NamedTuple):
    """Keys that it takes, kinds of devices that it may befall, and how long it lasts where no `for_s` is given."""

    keys: frozenset[str] = frozenset()
    devices: frozenset[str] = frozenset()
    usual_s: float | None = None


_PLANTS = frozenset({"pv", "battery", "ev", "heat_pump", "relay_load"})
EVENTS: dict[str, EventRule] = {
    "weather": EventRule(frozenset({"cloudiness", "shift_c"})),
    "load": EventRule(frozenset({"extra_w"}), frozenset({"phase"})),
    "arrive": EventRule(optional=frozenset({"soc_pct", "wants_wh", "used_wh"}), targets=frozenset({"ev"})),
    "leave": EventRule(optional=frozenset({"used_wh"}), targets=frozenset({"ev"})),
    "draw_off": EventRule(frozenset({"draw_w"}), targets=frozenset({"heat_pump"})),
    "voltage": EventRule(frozenset({"volts", "profile"}), frozenset({"ramp_s", "phase"})),
    "frequency": EventRule(frozenset({"hz", "profile"}), frozenset({"ramp_s"})),
    "grid_loss": EventRule(),
    "quirk": EventRule(frozenset({"set"}), targets=_PLANTS | {"device"}),
    "contact": EventRule(frozenset({"contact"}), targets=frozenset({"device"})),
}

_MODBUS = frozenset({"sunspec.meter", "sunspec.inverter", "sunspec.battery", "sunspec.hybrid", PROFILE})
_ALL = _MODBUS | OVER_MQTT | ON_LINE | CALLING
_CONTROLLED = _ALL - {"sunspec.meter"} - ON_LINE
_METER = frozenset({"sunspec.meter", PROFILE}) | ON_LINE
_NO_KEYS: frozenset[str] = frozenset()

FAULTS: dict[str, FaultRule] = {
    "silence": FaultRule(devices=_ALL),
    "disconnect": FaultRule(devices=_ALL),
    "refuse_writes": FaultRule(devices=_ALL - ON_LINE),
    "freeze": FaultRule(devices=_ALL),
    "ineffective": FaultRule(devices=_CONTROLLED),
    "stuck": FaultRule(devices=_ALL),
    "nan": FaultRule(devices=_ALL),
    "reboot": FaultRule(_NO_KEYS, _ALL, 10.0),
    "second_master": FaultRule(frozenset({"value", "period_s"}), _CONTROLLED),
    "scale": FaultRule(frozenset({"value"}), _MODBUS | CALLING, 1.0),
    "spike": FaultRule(frozenset({"value"}), _ALL, 1.0),
    "sign": FaultRule(devices=_METER),
    "phase_lost": FaultRule(frozenset({"phase"}), _METER),
    "phases_swapped": FaultRule(devices=_METER),
    "stranger": FaultRule(devices=_ALL),
    "busy": FaultRule(frozenset({"value"}), _MODBUS),
    "slow": FaultRule(frozenset({"delay_s"}), _MODBUS | CALLING),
    "foreign_answer": FaultRule(devices=_MODBUS),
    "garbage": FaultRule(devices=_ALL),
    "flood": FaultRule(frozenset({"rate_per_s"}), OVER_MQTT | CALLING),
    "duplicate": FaultRule(devices=_MODBUS),
    "short_answer": FaultRule(devices=_MODBUS),
    "half_answer": FaultRule(devices=_MODBUS),
    "wrong_unit": FaultRule(devices=_MODBUS),
    "hang_up": FaultRule(devices=_MODBUS),
    "half_open": FaultRule(devices=_MODBUS),
    "drift": FaultRule(frozenset({"value"}), _MODBUS),
    "lying_timer": FaultRule(devices=_MODBUS - {"sunspec.meter"}),
    "stale_retained": FaultRule(devices=OVER_MQTT),
    "broker_down": FaultRule(devices=frozenset({BROKER})),
    "bms": FaultRule(frozenset({"charge", "discharge"}), frozenset({"sunspec.battery", "sunspec.hybrid", PROFILE})),
    "bms_lost": FaultRule(frozenset({"delay_s"}), frozenset({"sunspec.battery", "sunspec.hybrid"})),
    "unplug": FaultRule(devices=frozenset({"goe.charger", "ocpp.charger", PROFILE})),
    "bad_crc": FaultRule(devices=ON_LINE - {"d0.meter"}),
    "cut": FaultRule(devices=ON_LINE),
    "noise": FaultRule(devices=ON_LINE),
    "no_sign": FaultRule(devices=ON_LINE),
    "no_pin": FaultRule(devices=ON_LINE),
    "broken_wire": FaultRule(devices=frozenset(ON_PINS) - {"gpio.relay", "gpio.sg_ready"}),
}

PROFILE_NEEDS: dict[str, str] = {
    **dict.fromkeys(("sign", "phase_lost", "phases_swapped"), "grid"),
    "bms": "battery",
    "unplug": "ev",
}
"""The role that a profile must have for a fault to befall its device."""
STEERED = frozenset({"ineffective", "second_master", "lying_timer"})
"""Faults of a device that is steered: its profile needs a control."""

_MOMENT = frozenset(Moment.model_fields) | {"kind", "target"}


def extra_keys(spec: EventSpec | FaultSpec) -> frozenset[str]:
    """The keys given beyond time, kind and target."""
    return frozenset(spec.model_fields_set) - _MOMENT
