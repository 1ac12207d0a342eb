"""The account of a simulated time: what really flowed, what it cost, what was kept to and what was not.

Energies, limits and comfort come from the plant's true state; only prices, decisions and alarms are the gateway's.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from cem.model.directive import Directive, PriceWindow
from cem.model.resource import Role
from cem.model.site import ChargeGoal, Site
from cem.model.status import Status
from cem.model.tariff import TARIFF
from cem.simulation.grid import GridSide, Order, Signal
from cem.simulation.harness import Step
from cem.simulation.plant import EvTruth, Truth

GRACE_S = 60.0
"""After a limit's begin; the programme may say otherwise."""
TOLERANCE_W, TOLERANCE = 50.0, 0.02
"""A minute's mean may exceed a limit by the larger of the two."""
GOAL_SHARE = 0.98
"""A goal of which so much is in the car counts as met."""
_SIDES = {Signal.IMPORT_LIMIT_W: 1.0, Signal.EXPORT_LIMIT_W: -1.0}


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit on the connection point in [start, end); `sign` -1 for export, the limit a magnitude."""

    name: str
    start: datetime
    end: datetime
    limit_w: float
    sign: float


@dataclass(slots=True)
class Kept:
    """Minutes under one limit. Excused: the house's own load alone was above it."""

    name: str
    limit_w: float
    side: str
    minutes: int = 0
    broken: int = 0
    excused: int = 0
    worst_w: float = 0.0
    over_wh: float = 0.0  # beyond it, in the minutes that broke it
    broken_at: list[tuple[int, float]] = field(
        default_factory=list
    )  # those, as minutes of the epoch, and by how many W


@dataclass(frozen=True, slots=True)
class Due:
    """A standing charge goal that was due with its car plugged: what the car held then, and what it lacked."""

    at: datetime
    car: str  # the plant's
    soc_pct: float
    missing_wh: float  # at the charging point; 0 where the goal was met


@dataclass(frozen=True, slots=True)
class Sample:
    """One minute for the picture: means in W, states at its end."""

    at: datetime
    grid_w: float
    load_w: float
    pv_w: float
    battery_w: float
    ev_w: float
    switched_w: float  # heat pumps and what hangs on relays
    battery_soc_pct: float
    ev_soc_pct: float
    import_price: float
    export_price: float
    import_limit_w: float | None


@dataclass(slots=True)
class _Minute:
    number: int = -1
    seconds: float = 0.0
    grid: float = 0.0
    load: float = 0.0
    pv: float = 0.0
    battery: float = 0.0
    ev: float = 0.0
    switched: float = 0.0

    def add(self, truth: Truth, dt_s: float) -> None:
        self.seconds += dt_s
        self.grid += truth.grid_w * dt_s
        self.load += truth.load_w * dt_s
        self.pv += truth.pv_w * dt_s
        self.battery += truth.battery_w * dt_s
        self.ev += truth.ev_w * dt_s
        self.switched += (truth.heat_pump_w + truth.relay_w) * dt_s


def limits_of(site: Site, sides: Sequence[GridSide], start: datetime, end: datetime) -> list[Limit]:
    """Every limit that is to be kept to: the contract's, and those of the grid's orders after their grace."""
    connection = site.connection
    found = [
        Limit(f"contract {side}", start, end, limit, sign)
        for side, sign, limit in (
            ("import", 1.0, connection.import_limit_w),
            ("export", -1.0, connection.export_limit_w),
        )
        if limit is not None
    ]
    for side in sides:
        for number, order in enumerate(side.orders, 1):
            found += _ordered(f"{side.id} {order.name or f'order {number}'}", order, start)
    return found


def _ordered(name: str, order: Order, since: datetime) -> Iterator[Limit]:
    sign = _SIDES.get(order.signal)
    if sign is None:
        return
    step_s = order.for_s / len(order.values)
    for index, value in enumerate(order.values):
        begin = since + timedelta(seconds=order.start_s + index * step_s)
        part = name if len(order.values) == 1 else f"{name}, part {index + 1}"
        yield Limit(part, begin + timedelta(seconds=GRACE_S), begin + timedelta(seconds=step_s), value, sign)


class Account:
    """Takes every step of the plant; `summary` at the end. `status` is asked once a simulated minute.

    `cars` names the plant's car behind each charging point of the site; a goal of any other is not judged. `contract`
    gives the price of an instant under a dynamic tariff, whether a gateway knows it or not; None: the site's own holds.
    """

    def __init__(
        self,
        site: Site,
        limits: Sequence[Limit],
        cars: Mapping[str, str],
        contract: Callable[[datetime], PriceWindow] | None = None,
    ) -> None:
        self.samples: list[Sample] = []
        self.dues: list[Due] = []
        self._site = site
        self._zone = ZoneInfo(site.zone)
        self._limits = limits
        self._cars = cars
        self._contract = contract
        self._told: Directive = Directive()  # by the grid, as the last gateway heard it: its prices run to their ends
        self._kept = {limit.name: Kept(limit.name, limit.limit_w, _side(limit)) for limit in limits}
        self._minute = _Minute()
        self._first: Truth | None = None
        self._last: Truth | None = None
        self.cost = 0.0
        self.least_soc_pct: dict[str, float] = {}  # the emptiest that each battery was
        self._prices = (0.0, 0.0)
        self._ranks: Counter[str] = Counter()
        self._alarms: dict[str, dict[str, Any]] = {}
        self._ticks = 0
        self._decided: object = None

    def take(self, step: Step) -> None:
        """One step of the plant."""
        truth = step.truth
        begins = self._first is None  # energies count from the end of the first step on
        if self._first is None:
            self._first = truth
        dt_s = step.length_s
        number = int(truth.now.timestamp() - dt_s / 2) // 60
        if number != self._minute.number:
            self._close_minute()
            self._minute = _Minute(number)
        self._minute.add(truth, dt_s)
        price = self._price_now(step, dt_s)
        if not begins:
            self.cost += truth.grid_w * dt_s / 3.6e6 * price
        for name, battery in truth.battery.items():
            self.least_soc_pct[name] = min(battery.soc_pct, self.least_soc_pct.get(name, battery.soc_pct))
        if self._last is not None:
            for goal in self._site.goals:
                self._judge(goal, self._last, truth)
        self._last = truth
        if step.decision is not None and step.decision is not self._decided:
            self._decided = step.decision
            self._ticks += 1
            self._ranks.update(setpoint.rank.name.lower() for setpoint in step.decision.setpoints)

    def look(self, status: Status) -> None:
        """Notes the alarms that are shown."""
        for alarm in status.alarms:
            known = self._alarms.setdefault(
                alarm.id, {"id": alarm.id, "severity": alarm.severity, "cause": alarm.cause, "since": alarm.since}
            )
            known["seen"] = known.get("seen", 0) + 1

    def _price_now(self, step: Step, dt_s: float) -> float:
        """What the kWh costs or brings that flows in this step; notes what a bought one costs."""
        truth, site = step.truth, self._site
        at = truth.now - timedelta(seconds=dt_s / 2)  # a price may change with the step's end
        if step.inputs is not None:
            self._told = step.inputs.directive
        directive = self._told
        if self._contract is not None:
            events = (window for window in directive.prices if window.source != TARIFF)
            directive = Directive(prices=(*events, self._contract(at)))
        import_price, export_price = directive.prices_at(at, site.tariff)
        self._prices = (import_price, export_price)
        return import_price if truth.grid_w > 0 else export_price

    def _close_minute(self) -> None:
        minute, last = self._minute, self._last
        if minute.seconds <= 0 or last is None:
            return
        grid_w, load_w = minute.grid / minute.seconds, minute.load / minute.seconds
        at = last.now
        import_limit: float | None = None
        for limit in self._limits:
            if not (limit.start.timestamp() <= minute.number * 60 and minute.number * 60 + 60 <= limit.end.timestamp()):
                continue
            if limit.sign > 0:
                import_limit = limit.limit_w if import_limit is None else min(import_limit, limit.limit_w)
            self._hold_against(limit, grid_w, load_w)
        self.samples.append(
            Sample(
                at,
                grid_w,
                load_w,
                minute.pv / minute.seconds,
                minute.battery / minute.seconds,
                minute.ev / minute.seconds,
                minute.switched / minute.seconds,
                _mean(one.soc_pct for one in last.battery.values()),
                _mean(one.soc_pct for one in last.ev.values()),
                *self._prices,
                import_limit,
            )
        )

    def _hold_against(self, limit: Limit, grid_w: float, load_w: float) -> None:
        kept = self._kept[limit.name]
        kept.minutes += 1
        above = limit.sign * grid_w - limit.limit_w - max(TOLERANCE_W, TOLERANCE * limit.limit_w)
        if above <= 0:
            return
        if limit.sign > 0 and load_w > limit.limit_w:
            kept.excused += 1
        else:
            kept.broken += 1
            kept.broken_at.append((self._minute.number, limit.sign * grid_w - limit.limit_w))
            kept.over_wh += (limit.sign * grid_w - limit.limit_w) / 60.0
            kept.worst_w = max(kept.worst_w, limit.sign * grid_w - limit.limit_w)

    @property
    def kept(self) -> tuple[Kept, ...]:
        """The minutes under each limit, as the summary lists them."""
        return tuple(self._kept.values())

    def _judge(self, goal: ChargeGoal, before: Truth, after: Truth) -> None:
        """At the goal's time of day: whether what was wanted is in the car that is there."""
        due = before.now.astimezone(self._zone).replace(
            hour=goal.ready_by.hour, minute=goal.ready_by.minute, second=0, microsecond=0
        )
        name = self._cars.get(goal.resource_id, "")
        car = before.ev.get(name)
        if not before.now < due <= after.now or car is None or not car.plugged:
            return
        missing_wh = self._missing_wh(goal, car)
        if missing_wh is not None:
            self.dues.append(Due(due, name, car.soc_pct, missing_wh))

    def _missing_wh(self, goal: ChargeGoal, car: EvTruth) -> float | None:
        """At the charging point; None where the goal says nothing that could be judged."""
        if goal.energy_wh is not None:
            missing_wh, wanted_wh = goal.energy_wh - car.session_wh, goal.energy_wh
            met = car.soc_pct >= 99.0
        elif goal.soc_pct is not None:
            capacity_wh = self._site.resource(goal.resource_id).ratings.capacity_wh
            share = (goal.soc_pct - car.soc_pct) / 100.0
            missing_wh = car.missing_wh if capacity_wh is None else share * capacity_wh
            wanted_wh, met = 0.0, car.soc_pct >= goal.soc_pct * GOAL_SHARE
        else:
            return None
        return 0.0 if met or missing_wh <= wanted_wh * (1 - GOAL_SHARE) else missing_wh

    def summary(self, writes: dict[str, int]) -> dict[str, Any]:
        """The account as JSON types; energies in kWh, money in the tariff's currency."""
        self._close_minute()
        self._minute = _Minute()
        first, last = self._first, self._last
        if first is None or last is None:
            return {}
        energy = _energies(first, last)
        capacity = sum(r.ratings.capacity_wh or 0.0 for r in self._site.of(Role.BATTERY))
        used = energy["load"] + energy["ev"] + energy["heat_pump"] + energy["relay"]
        return {
            "from": first.now.isoformat(),
            "to": last.now.isoformat(),
            "ticks": self._ticks,
            "energy_kwh": {key: round(value, 3) for key, value in energy.items()},
            "cost": round(self.cost, 4),
            "currency": self._site.tariff.currency,
            "self_consumption": _share(energy["pv"] - energy["export"], energy["pv"]),
            "self_sufficiency": _share(used - energy["import"], used),
            "limits": [
                {
                    "name": kept.name,
                    "side": kept.side,
                    "limit_w": kept.limit_w,
                    "minutes": kept.minutes,
                    "broken": kept.broken,
                    "excused": kept.excused,
                    "worst_w": round(kept.worst_w, 1),
                    "over_kwh": round(kept.over_wh / 1000, 4),
                }
                for kept in self._kept.values()
            ],
            "limits_broken": sum(kept.broken for kept in self._kept.values()),
            "goals": {
                "met": sum(due.missing_wh <= 0 for due in self.dues),
                "missed": sum(due.missing_wh > 0 for due in self.dues),
                "missing_kwh": round(sum(due.missing_wh for due in self.dues) / 1000, 3),
            },
            "battery_cycles": round(energy["discharged"] * 1000 / capacity, 3) if capacity else None,
            "contactor_closures": _closures(last) - _closures(first),
            "switched": _switched(first, last),
            "writes": dict(sorted(writes.items())),
            "decisions_by_rank": dict(sorted(self._ranks.items())),
            "alarms": [{**alarm, "since": alarm["since"].isoformat()} for alarm in self._alarms.values()],
        }


def _mean(values: Iterable[float]) -> float:
    """0 where there is none."""
    found = list(values)
    return sum(found) / len(found) if found else 0.0


def _closures(truth: Truth) -> int:
    return sum(one.contactor_closures for one in truth.ev.values())


def _switched(first: Truth, last: Truth) -> dict[str, dict[str, float]]:
    """Of each heat pump and each load behind a relay: how often it was switched, and what it lacked."""
    found: dict[str, dict[str, float]] = {}
    for name, pump in last.heat_pump.items():
        before = first.heat_pump[name]
        found[name] = {
            "switchings": pump.contact_switchings - before.contact_switchings,
            "starts": pump.starts - before.starts,
            "unmet_kwh": round((pump.unmet_wh - before.unmet_wh) / 1000, 3),
            "below_comfort_min": round((pump.below_comfort_s - before.below_comfort_s) / 60, 1),
        }
    for name, load in last.relay_load.items():
        was = first.relay_load[name]
        found[name] = {
            "switchings": load.switchings - was.switchings,
            "unmet_kwh": round((load.unmet_wh - was.unmet_wh) / 1000, 3),
        }
    return found


def _side(limit: Limit) -> str:
    return "import" if limit.sign > 0 else "export"


def _energies(first: Truth, last: Truth) -> dict[str, float]:
    return {
        "import": (last.import_wh - first.import_wh) / 1000,
        "export": (last.export_wh - first.export_wh) / 1000,
        "load": (last.load_wh - first.load_wh) / 1000,
        "pv": (last.pv_wh - first.pv_wh) / 1000,
        "curtailed": (last.pv_curtailed_wh - first.pv_curtailed_wh) / 1000,
        "charged": (last.charged_wh - first.charged_wh) / 1000,
        "discharged": (last.discharged_wh - first.discharged_wh) / 1000,
        "ev": (last.ev_wh - first.ev_wh) / 1000,
        "heat_pump": (last.heat_pump_wh - first.heat_pump_wh) / 1000,
        "relay": (last.relay_wh - first.relay_wh) / 1000,
    }


def _share(part: float, whole: float) -> float | None:
    return round(min(1.0, max(0.0, part / whole)), 4) if whole > 0 else None
