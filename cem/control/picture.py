"""The snapshot as numbers: what each resource does now, as far as it is known."""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

from cem.control.meter import Meter
from cem.control.tuning import EV_DRAWS_W
from cem.model.reading import Snapshot
from cem.model.resource import Resource, Role
from cem.model.site import Site
from cem.model.values import lazy, replace, value

LOWEST_HZ, HIGHEST_HZ = 40.0, 70.0
"""Beyond these there is no frequency, whatever is told."""
LATE_S = 0.6
"""So much older than the meter's a power may be before it no longer counts as of the same time."""
TOGETHER_S = 0.1
"""Values of one message bear the same time."""
POWER_W: Callable[[Any], float] = attrgetter("power_w")
BATTERY_POINTS = ("power_w", "soc_pct", "max_charge_w", "max_discharge_w")
CHARGER_POINTS = ("power_w", "phases", "session_wh", "soc_pct", "limit_a")


@value(frozen=True, slots=True)
class BatteryPicture:
    """A battery whose power and state of charge are fresh. Limits are magnitudes that hold now."""

    resource: Resource
    power_w: float
    soc_pct: float
    max_charge_w: float
    max_discharge_w: float


@value(frozen=True, slots=True)
class ChargerPicture:
    """A charging point whose state is fresh; `state` is IEC 61851-1's letter."""

    resource: Resource
    power_w: float
    state: str
    session_wh: float | None
    phases: int = 3  # that carry or would carry current
    soc_pct: float | None = None
    phases_told: int | None = None  # by the charger itself
    draws_phases: int | None = None  # on which the car draws, as measured; None: it does not draw, or nobody tells
    offers_a: float | None = None  # the limit that it holds now, whoever set it; None: it does not tell
    late: bool = False  # its power was told before the meter's: what the car does since is part of the load
    age_s: float = 0.0  # of its power

    @property
    def closed(self) -> bool:
        """The contactor is closed: current may flow."""
        return self.state in {"C", "D"}

    @property
    def plugged(self) -> bool:
        """A car is connected."""
        return self.state in {"B", "C", "D"}

    @property
    def watts_per_amp(self) -> float:
        """Power of one ampere on all phases that the charger uses."""
        return self.phases * self.resource.ratings.nominal_voltage_v

    @property
    def amperes(self) -> float:
        """Measured current per phase."""
        return max(0.0, self.power_w) / self.watts_per_amp


@value(frozen=True, slots=True)
class PvPicture:
    """A PV system whose power is fresh (generating is negative)."""

    resource: Resource
    power_w: float


@value(frozen=True, slots=True)
class SwitchedPicture:
    """A heat pump or a switched load; `power_w` None: nobody measures it; `state` as the device tells it."""

    resource: Resource
    power_w: float | None
    state: str | None = None

    @property
    def rated_w(self) -> float:
        """What it draws when it runs."""
        return self.resource.ratings.max_power_w or 0.0


@value(frozen=True, slots=False)
class Picture:
    """The house now. `grid_w` None: the meter is stale; then `load_w` is None too."""

    grid_w: float | None
    load_w: float | None
    batteries: tuple[BatteryPicture, ...]
    chargers: tuple[ChargerPicture, ...]
    pvs: tuple[PvPicture, ...]
    skewed: bool  # the readings were not taken together
    switched: tuple[SwitchedPicture, ...] = ()  # those that can be steered
    phases_a: tuple[float, ...] | None = None  # signed current per phase at the meter; None: it does not tell
    frequency_hz: float | None = None
    grid_at_s: float | None = None  # when the meter was read, monotonic; None: it is stale

    @lazy
    def parts(self) -> tuple[BatteryPicture | ChargerPicture | PvPicture | SwitchedPicture, ...]:
        """All of them."""
        return (*self.batteries, *self.chargers, *self.pvs, *self.switched)

    @lazy
    def pv_w(self) -> float:
        """Sum of the PV systems (negative when generating)."""
        return sum(map(POWER_W, self.pvs))

    @lazy
    def ev_w(self) -> float:
        """Sum of the charging points."""
        return sum(map(POWER_W, self.chargers))

    @lazy
    def switched_w(self) -> float:
        """Sum of the heat pumps and loads, as far as somebody measures them; the load has them in it."""
        return sum([max(0.0, switched.power_w or 0.0) for switched in self.switched])

    @lazy
    def battery_w(self) -> float:
        """Sum of the batteries."""
        return sum(map(POWER_W, self.batteries))


def look(site: Site, snapshot: Snapshot, meter: Meter, skew_s: float) -> Picture:
    """Reads the snapshot; a resource that is stale is left out, so its power counts as part of the load."""
    stale_s = site.connection.device_stale_s
    pvs = tuple([
        PvPicture(r, power)
        for r in site.of(Role.PV)
        if (power := snapshot.number(r.id, "power_w", stale_s)) is not None
    ])  # fmt: skip
    batteries = tuple([
        _beside_roof(b, pvs) for r in site.of(Role.BATTERY) if (b := _battery(r, snapshot, stale_s)) is not None
    ])  # fmt: skip
    grid_s = 0.0 if meter.told_at_s is None else snapshot.mono_s - meter.told_at_s
    chargers = tuple([c for r in site.of(Role.EV) if (c := _charger(r, snapshot, stale_s, grid_s)) is not None])
    grid = meter.power_w
    load = None
    if grid is not None:
        load = grid - sum(map(POWER_W, batteries)) - sum(map(POWER_W, chargers)) - sum(map(POWER_W, pvs))
    switched = tuple([
        SwitchedPicture(r, snapshot.number(r.id, "power_w", stale_s), snapshot.text(r.id, "state", stale_s))
        for r in site.once(_steered)
    ])  # fmt: skip
    return Picture(
        grid,
        load,
        batteries,
        chargers,
        pvs,
        _skewed(snapshot, meter, batteries, skew_s),
        switched,
        _phases_a(site, meter),
        _frequency_hz(site, snapshot, meter),
        None if grid is None else meter.told_at_s,
    )


def _steered(site: Site) -> tuple[Resource, ...]:
    """The heat pumps and loads that can be steered."""
    return tuple(one for one in (*site.of(Role.HEAT_PUMP), *site.of(Role.LOAD)) if one.controls)


def _phases_a(site: Site, meter: Meter) -> tuple[float, ...] | None:
    """From the powers of the phases, which have a sign; else from their currents, all taken as drawn from the grid."""
    nominal_v, found = site.connection.nominal_voltage_v, []
    for power, current in zip(meter.powers_w, meter.currents_a, strict=True):
        if power is not None:
            # the current is what heats the fuse: where both are told, the larger one in the power's direction
            drawn = max(abs(power) / nominal_v, abs(current or 0.0))
            found.append(drawn if power >= 0 else -drawn)
        elif current is not None:
            found.append(abs(current))
        else:
            return None
    return tuple(found) if found else None


def _frequency_hz(site: Site, snapshot: Snapshot, meter: Meter) -> float | None:
    """As the grid meter measures it, else an inverter."""
    if meter.frequency_hz is not None and LOWEST_HZ <= meter.frequency_hz <= HIGHEST_HZ:
        return meter.frequency_hz  # 0: the meter sees no voltage
    for resource in site.of(Role.PV):
        frequency = snapshot.number(resource.id, "frequency_hz", site.connection.meter_stale_s)
        if frequency is not None and LOWEST_HZ <= frequency <= HIGHEST_HZ:
            return frequency
    return None


def _skewed(snapshot: Snapshot, meter: Meter, batteries: Sequence[BatteryPicture], skew_s: float) -> bool:
    """Only batteries count: they are what moves because of us, and fast."""
    if meter.told_at_s is None:
        return False
    grid_age_s = snapshot.mono_s - meter.told_at_s
    for battery in batteries:
        age_s = snapshot.age_s(battery.resource.id, "power_w")
        if age_s is not None and abs(age_s - grid_age_s) > skew_s:
            return True
    return False


def _battery(resource: Resource, snapshot: Snapshot, stale_s: float) -> BatteryPicture | None:
    power, soc, charge_w, discharge_w = snapshot.numbers(resource.id, BATTERY_POINTS, stale_s)
    if power is None or soc is None:
        return None
    ratings = resource.ratings
    charge, discharge = _least(charge_w, ratings.max_charge_w), _least(discharge_w, ratings.max_discharge_w)
    return BatteryPicture(resource, power, soc, charge, discharge)


def _beside_roof(battery: BatteryPicture, pvs: tuple[PvPicture, ...]) -> BatteryPicture:
    """What the roof behind the same inverter gives, its battery can't: an inverter has one rating for both."""
    device_id = battery.resource.device_id
    roofs = [pv for pv in pvs if pv.resource.device_id == device_id]
    if not roofs:
        return battery
    ratings_w = [pv.resource.ratings.max_generation_w for pv in roofs]
    if None in ratings_w:
        return battery
    left_w = sum([rating_w or 0.0 for rating_w in ratings_w]) + sum([min(0.0, pv.power_w) for pv in roofs])
    return replace(battery, max_discharge_w=min(battery.max_discharge_w, max(0.0, left_w)))


def _charger(resource: Resource, snapshot: Snapshot, stale_s: float, grid_s: float) -> ChargerPicture | None:
    power, told, session_wh, soc_pct, limit_a = snapshot.numbers(resource.id, CHARGER_POINTS, stale_s)
    state = snapshot.text(resource.id, "state", stale_s)
    if power is None or state is None:
        return None
    age_s = snapshot.age_s(resource.id, "power_w") or 0.0
    if state == "A" and power and grid_s <= (snapshot.age_s(resource.id, "state") or 0.0) < age_s:
        power = 0.0  # told while a car was there, which had left before the meter was read
    phases = resource.ratings.phases
    if told is not None and 1 <= told <= 3 and state in {"C", "D"} and power > EV_DRAWS_W:
        phases = min(phases, int(told))  # while nothing flows, chargers tell all sorts of numbers
    draws = None
    if state in {"C", "D"} and power > EV_DRAWS_W:
        draws = _drawn_on(resource, snapshot, power, stale_s)
        phases = min(phases, draws or phases)
    return ChargerPicture(
        resource,
        power,
        state,
        session_wh,
        phases,
        soc_pct,
        None if told is None else int(told),
        draws,
        limit_a,
        age_s - grid_s > LATE_S,
        age_s,
    )


def _drawn_on(resource: Resource, snapshot: Snapshot, power_w: float, stale_s: float) -> int | None:
    """On how many phases the car draws, from power and current of one sample: a car may use fewer than are offered."""
    current = snapshot.number(resource.id, "current_a", stale_s)
    ages = (snapshot.age_s(resource.id, "current_a"), snapshot.age_s(resource.id, "power_w"))
    if current is None or current < 1.0 or None in ages or abs((ages[0] or 0.0) - (ages[1] or 0.0)) > TOGETHER_S:
        return None
    return max(1, round(power_w / (current * resource.ratings.nominal_voltage_v)))


def _least(reported: float | None, rated: float | None) -> float:
    """The smaller of what the device accepts now and its rating; 0 where neither is known: then it is not driven."""
    if reported is None or rated is None:
        return max(0.0, rated or 0.0) if reported is None else max(0.0, reported)
    return max(0.0, min(reported, rated))
