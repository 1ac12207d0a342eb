"""Resources: what the house is made of, as the control and the grid see it."""

from enum import IntEnum, StrEnum

from cem.model.values import value


class Role(StrEnum):
    """What a resource is to the house."""

    GRID = "grid"  # the meter at the electrical connection point
    PV = "pv"
    BATTERY = "battery"
    EV = "ev"  # one charging point
    HEAT_PUMP = "heat_pump"
    LOAD = "load"
    CONTACTS = "contacts"  # of a ripple-control receiver or control box: what the grid operator signals by wire


class Contact(StrEnum):
    """What is signalled by a contact, a point of role contacts, 1 while signalled: by the grid operator (VDE FNN,
    control box), and by the house's own transfer switch.

    Several of the operator's at once, or contradicting ones: the most restrictive holds.
    """

    W3 = "w3"  # feed in nothing
    S2 = "s2"  # feed in 30 % of the installed power
    S1 = "s1"  # feed in 60 % of it
    W4 = "w4"  # dim what is steered to the guaranteed minimum (paragraph 14a EnWG)
    ISLAND = "island"  # an auxiliary contact of the transfer switch: the house is cut off from the grid


FEED_IN_PCT: dict[Contact, float] = {Contact.W3: 0.0, Contact.S2: 30.0, Contact.S1: 60.0}
"""What a contact leaves of the installed power."""


class Control(StrEnum):
    """What can be set on a resource. The unit and the sense are part of the name."""

    BATTERY_SETPOINT_W = "battery.setpoint_w"  # charging positive
    BATTERY_RESERVE_PCT = "battery.reserve_pct"  # the state of charge below which it gives nothing, whoever steers it
    PV_LIMIT_W = "pv.limit_w"  # the largest generation allowed, a magnitude
    EV_LIMIT_A = "ev.limit_a"  # current per phase; 0 pauses, below 6 A is never sent (IEC 61851-1)
    EV_PHASES = "ev.phases"  # 1 or 3 phases offered to the car; only changed while it is paused
    HEAT_PUMP_SG_READY = "heat_pump.sg_ready"  # a state 1 to 4, see SgReady
    LOAD_ON = "load.on"  # 1 switched on, 0 switched off


class SgReady(IntEnum):
    """The operating states of a heat pump (SG Ready label of the BWP); the value of Control.HEAT_PUMP_SG_READY."""

    LOCKED = 1  # contacts 1:0, at most 2 h a day
    NORMAL = 2  # 0:0
    RECOMMENDED = 3  # 0:1, stores more heat than it would by itself
    FORCED = 4  # 1:1


@value(frozen=True, slots=True)
class Ratings:
    """Physical ratings, as magnitudes; None where the device does not tell and the site file does not say."""

    max_charge_w: float | None = None
    max_discharge_w: float | None = None
    capacity_wh: float | None = None
    max_generation_w: float | None = None  # contacts: the installed power of which they leave a share
    max_current_a: float | None = None
    min_current_a: float = 6.0
    phases: int = 3
    nominal_voltage_v: float = 230.0
    max_power_w: float | None = None  # heat pump and load: what it draws when it runs
    phase: int | None = None  # of a single-phase device: on which of 1 to 3 it is; None: not known, the worst counts


@value(frozen=True, slots=True)
class Resource:
    """One controllable or measured thing. `id` is unique in the site; a device may carry several."""

    id: str
    role: Role
    device_id: str
    name: str
    ratings: Ratings = Ratings()
    controls: frozenset[Control] = frozenset()
    contacts: frozenset[Contact] = frozenset()  # role contacts: which of them are wired
    priority: int | None = None  # 1 is served first and shed last, 9 the reverse; None: that of its role


POINTS: dict[Role, dict[str, str]] = {
    Role.GRID: {
        "power_w": "W",
        "power_l1_w": "W",
        "power_l2_w": "W",
        "power_l3_w": "W",
        "current_l1_a": "A",
        "current_l2_a": "A",
        "current_l3_a": "A",
        "voltage_l1_v": "V",
        "voltage_l2_v": "V",
        "voltage_l3_v": "V",
        "frequency_hz": "Hz",
        "on_grid": "",  # 1 the house hangs on the grid, 0 it is cut off, as the device at the switch says itself
        "import_wh": "Wh",  # register of the meter, only ever grows
        "export_wh": "Wh",
    },
    Role.PV: {
        "power_w": "W",  # generating is negative
        "energy_wh": "Wh",  # generated, only ever grows
        "rating_w": "W",
        "limit_w": "W",  # the limit the device says is in force; a magnitude
        "voltage_v": "V",
        "frequency_hz": "Hz",
        "state": "",
    },
    Role.BATTERY: {
        "power_w": "W",  # charging is positive
        "soc_pct": "%",
        "capacity_wh": "Wh",
        "max_charge_w": "W",  # what it accepts now; a magnitude
        "max_discharge_w": "W",
        "setpoint_w": "W",  # as the device holds it
        "charged_wh": "Wh",
        "discharged_wh": "Wh",
        "temperature_c": "°C",
        "on_grid": "",  # 1 it follows the grid, 0 it forms the house's voltage itself
        "state": "",
    },
    Role.EV: {
        "power_w": "W",
        "current_a": "A",  # the largest of the phases, measured
        "limit_a": "A",  # as the charger holds it
        "state": "",  # IEC 61851-1: A no car, B connected, C charging, D with ventilation, E and F faults
        "session_wh": "Wh",
        "phases": "",
        "soc_pct": "%",
    },
    Role.HEAT_PUMP: {"power_w": "W", "state": "", "temperature_c": "°C", "energy_wh": "Wh"},
    Role.LOAD: {"power_w": "W", "state": "", "energy_wh": "Wh"},
    Role.CONTACTS: {contact.value: "" for contact in Contact},  # 1 signalled, 0 not
}
"""The fixed vocabulary: which points a role may have, with their unit ("" is text or a count)."""
