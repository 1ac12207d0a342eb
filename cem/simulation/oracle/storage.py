"""Batteries: reserve, envelope, one direction, no hunting; and what every set point must be."""

import math
from collections import deque

from cem.model.plan import IntentKind
from cem.model.request import RequestKind
from cem.model.resource import Control
from cem.model.setpoint import Health, Setpoint
from cem.model.site import Site
from cem.simulation.oracle.excuses import Breaches, Excuse
from cem.simulation.oracle.facts import BatteryFact
from cem.simulation.oracle.limits import TRIED_AGAIN_S
from cem.simulation.oracle.seen import TAKEN, Bounds, Lasting, Seen, Told, Violation

MOVES_W = 100.0
"""A battery below this power stands still."""
ROUNDING_PCT = 0.15
"""What the state of charge may be off by, as the device tells it."""
OWN_WILL = frozenset({"plan", "rule"})
"""Sources of what nobody outside asked for."""
JUMP_PCT_PER_S = 0.1
"""A state of charge that moves faster is not moved by any power: somebody else changed what is in the battery."""
START_S, GRACE_S = 10.0, 30.0
"""After a start nobody can be steered before the one and a lag, nor later than the other."""


class Reserve:
    """I5: at or below the reserve no discharge; from there on only above reserve + 2 %.

    Excused: the owner's explicit, dated word; a device that does not obey; the first seconds of a gateway. One that
    was found not to follow is tried again after five minutes (F13): so long it may go on after it obeys again. Of a
    device that stands still nobody knows what it has reached (F2).
    """

    name = "I5"
    START = Excuse("I5", "no gateway runs, or only just", "reliability paper, watchdog chain: a start of 8 s")
    DEAF = Excuse("I5", "a battery does not obey, or only just does", "F7, F11")
    WAITS = Excuse("I5", "a battery that did not follow is tried again", "F13: tried each 5 min")
    OWNER = Excuse("I5", "the owner lets a battery below its reserve", "I5, the owner's dated word")
    LAG = Excuse("I5", "three ticks and the device's own delay", "bars: 3 ticks and the device's own delay")

    def __init__(self, site: Site, bounds: Bounds) -> None:
        self._site = site
        self._bounds = bounds
        self._locked: set[str] = set()
        self._deaf_s: dict[str, float] = {}  # when it last did not obey
        self._breaches = Breaches()
        self._told = Told()

    def observe(self, seen: Seen) -> list[Violation]:
        """Each battery's true power and state of charge."""
        found = []
        for battery in seen.facts.batteries:
            key = battery.resource.id
            reserve = _reserve_pct(self._site, seen, key)
            hung = battery.resource.device_id in seen.facts.hung
            if battery.soc_pct <= reserve - ROUNDING_PCT and not hung:
                self._locked.add(key)
            elif battery.soc_pct >= reserve + self._bounds.reserve_clear_pct - ROUNDING_PCT:
                self._locked.discard(key)
            if not battery.obeys:
                self._deaf_s[key] = seen.at_s
            lasts = False
            if key in self._locked and battery.power_w < -MOVES_W:
                lasts = self._breaches.broken(
                    key, seen.at_s, 10.0, seen.excused,
                    excuse=self._excuse(seen, battery), grace=self.LAG, grace_s=self._bounds.lag_s,
                    amount=-battery.power_w,
                )  # fmt: skip
            else:
                self._breaches.end(key)
            if self._told.once(key, lasts):
                allowed = f"{key}: no discharge, reserve {reserve:g} %, until {reserve + 2:g} %"
                what = f"{-battery.power_w:.0f} W out at {battery.soc_pct:.1f} %"
                found.append(Violation(self.name, seen.at_s, allowed, what, seen.words(key)))
        return found

    def _excuse(self, seen: Seen, battery: BatteryFact) -> Excuse | None:
        key = battery.resource.id
        if seen.runs_for_s() < grace_s(self._bounds):
            return self.START
        if not battery.obeys:
            return self.DEAF
        if seen.at_s - self._deaf_s.get(key, float("-inf")) < TRIED_AGAIN_S and _given_up(seen, key):
            return self.WAITS
        return self.OWNER if _owner_lets(seen, key) else None


def grace_s(bounds: Bounds) -> float:
    """After a start: so long nobody need be steered."""
    return min(GRACE_S, START_S + bounds.lag_s)


def _given_up(seen: Seen, battery_id: str) -> bool:
    """Whether the house says that the battery does not follow."""
    return battery_id in seen.ineffective


def _reserve_pct(site: Site, seen: Seen, battery_id: str) -> float:
    asked = [
        r.target_soc_pct
        for r in (seen.inputs.requests if seen.inputs is not None else ())
        if r.kind is RequestKind.RESERVE and r.resource_id == battery_id and r.target_soc_pct is not None
    ]
    return asked[-1] if asked else site.battery_policy(battery_id).reserve_pct


def _owner_lets(seen: Seen, battery_id: str) -> bool:
    if seen.inputs is None:
        return True
    return any(r.kind is RequestKind.RELEASE and r.resource_id == battery_id for r in seen.inputs.requests)


STATES = {Control.LOAD_ON: {0.0, 1.0}, Control.HEAT_PUMP_SG_READY: {1.0, 2.0, 3.0, 4.0}}


class DeviceEnvelope:
    """I6: every set point within what the device can, and what the device then holds is what it was told."""

    name = "I6"

    def __init__(self, site: Site, bounds: Bounds) -> None:
        self._site = site
        self._bounds = bounds
        self._lasts = Lasting()
        self._told = Told()

    def observe(self, seen: Seen) -> list[Violation]:
        """The decision against ratings and BMS, the device against the last write."""
        found = []
        for setpoint in seen.decision.setpoints if seen.decision is not None else ():
            allowed = self._allowed(seen, setpoint)
            if allowed is None and not self._told.open:
                continue
            if self._told.once(f"{setpoint.resource_id} decided", allowed is not None):
                assert allowed is not None
                what = f"{setpoint.value:g} decided"
                found.append(Violation(self.name, seen.at_s, allowed, what, seen.words(setpoint.resource_id)))
        for fact in seen.facts.batteries:
            told = _told_w(seen, fact) if fact.obeys else None
            rated = max(fact.resource.ratings.max_charge_w or 0.0, fact.resource.ratings.max_discharge_w or 0.0)
            apart = told is not None and (fact.held_w is None or abs(fact.held_w - told) > 25.0 + 0.02 * rated)
            lasts = self._lasts.for_s(fact.resource.id, apart, seen.at_s)
            if self._told.once(f"{fact.resource.id} holds", lasts > self._bounds.lag_s):
                what = "nothing held" if fact.held_w is None else f"{fact.held_w:.0f} W held"
                allowed = f"{fact.resource.id} holds {told:.0f} W as it was told"
                found.append(Violation(self.name, seen.at_s, allowed, what, seen.words(fact.resource.id)))
        return found

    def _allowed(self, seen: Seen, setpoint: Setpoint) -> str | None:
        """What is allowed where the set point is not; None where it is."""
        value, ratings = setpoint.value, self._site.resource(setpoint.resource_id).ratings
        if value is None:
            return None
        if setpoint.control is Control.BATTERY_SETPOINT_W:
            side = "max_charge_w" if value > 0 else "max_discharge_w"
            rated = ratings.max_charge_w if value > 0 else ratings.max_discharge_w
            assert seen.inputs is not None
            now = seen.inputs.snapshot.number(setpoint.resource_id, side, self._bounds.device_stale_s)
            most = min([w for w in (rated, now) if w is not None], default=0.0)
            return None if abs(value) <= most + 1.0 else f"{setpoint.resource_id}: {side} {most:.0f}"
        if setpoint.control is Control.PV_LIMIT_W:
            most = ratings.max_generation_w or float("inf")
            return None if 0.0 <= value <= most + 1.0 else f"{setpoint.resource_id}: 0 to {most:g} W"
        if setpoint.control is Control.EV_LIMIT_A:
            most = ratings.max_current_a or 0.0
            fits = value == 0.0 or ratings.min_current_a <= value <= most
            return None if fits else f"{setpoint.resource_id}: 0 or {ratings.min_current_a:g} to {most:g} A"
        if setpoint.control in STATES:
            return None if value in STATES[setpoint.control] else f"{setpoint.resource_id}: a state that there is"
        return None


def _told_w(seen: Seen, battery: BatteryFact) -> float | None:
    state = seen.inputs.devices.get(battery.resource.device_id) if seen.inputs is not None else None
    if not seen.runs or state is None or state.health is not Health.ONLINE:
        return None
    for outcome in seen.outcomes:
        if outcome.resource_id == battery.resource.id and outcome.control is Control.BATTERY_SETPOINT_W:
            return outcome.value if outcome.state in TAKEN else None
    return None


class OneDirection:
    """I7: batteries never work against each other, and none is emptied into a car unless somebody asked for it.

    Excused while a battery still holds what it held when it did not obey, such as another master's value, until its
    timer has run out; as much as a car takes beyond what its charger, which stands still, goes on telling of it: the
    meter shows that as it shows the house; and what keeps an import limit beside a car whose charger does not obey.
    """

    name = "I7"
    LIMIT = Excuse("I7", "a limit is kept beside a car whose charger does not obey", "I2; law 1")
    STANDS_STILL = Excuse("I7", "a charger that stands still tells less than its car takes", "F2")

    def __init__(self, site: Site, bounds: Bounds) -> None:
        self._site = site
        self._bounds = bounds
        self._foreign: dict[str, tuple[float, float | None]] = {}  # since when it obeys again, what it held then
        self._lasts = Lasting()
        self._told = Told()

    def observe(self, seen: Seen) -> list[Violation]:
        """Pairs of batteries, and batteries against cars."""
        steered = seen.runs_for_s() > grace_s(self._bounds)
        ours = [battery for battery in seen.facts.batteries if self._is_ours(seen, battery)]
        own = [battery for battery in ours if battery.held_w is not None] if steered else []
        gives = sum([-b.power_w for b in own if b.power_w < -MOVES_W])
        takes = sum([b.power_w for b in own if b.power_w > MOVES_W])
        found = []
        opposed = self._lasts.for_s("opposed", gives > 0 and takes > 0, seen.at_s)
        if self._told.once("opposed", opposed > 10.0 + self._bounds.lag_s):
            what = f"{gives:.0f} W out of one and {takes:.0f} W into another for {opposed:.0f} s"
            found.append(Violation(self.name, seen.at_s, "no battery against another", what, seen.words()))
        deficit = max(0.0, seen.facts.load_w + seen.facts.switched_w + seen.facts.roofs_w)
        fed = min(seen.facts.cars_w, gives - deficit)
        at_fault = fed > 2 * MOVES_W and not self._asked(seen, own)
        if at_fault and fed - _owed_w(seen, fed) <= 2 * MOVES_W:
            seen.excused.take(self.LIMIT, seen.at_s, fed)
            at_fault = False
        if at_fault and fed - _untold_w(seen) <= 2 * MOVES_W:
            seen.excused.take(self.STANDS_STILL, seen.at_s, fed)
            at_fault = False
        lasts = self._lasts.for_s("car", at_fault, seen.at_s)
        if self._told.once("car", lasts > 10.0 + self._bounds.lag_s):
            what = f"{fed:.0f} W of a battery go into a car for {lasts:.0f} s"
            found.append(Violation(self.name, seen.at_s, "no battery into a car", what, seen.words()))
        return found

    def _is_ours(self, seen: Seen, battery: BatteryFact) -> bool:
        """Whether what a battery holds can be the gateway's word."""
        key = battery.resource.id
        if not battery.obeys:
            self._foreign[key] = (seen.at_s, battery.held_w)
            return False
        since_s, held_w = self._foreign.get(key, (float("-inf"), None))
        if battery.held_w == held_w and seen.at_s - since_s <= self._bounds.watchdog_s + self._bounds.step_s:
            return False
        self._foreign.pop(key, None)
        return True

    def _asked(self, seen: Seen, batteries: list[BatteryFact]) -> bool:
        """Whether a limit, a programme, the plan's feeding in, or the owner wants the battery to give more."""
        if seen.facts.meter != "ok" or seen.inputs is None or seen.decision is None:
            return True
        slot = seen.inputs.plan.slot_at(seen.inputs.now.wall) if seen.inputs.plan is not None else None
        for battery in batteries:
            key = battery.resource.id
            setpoint = seen.setpoint(key)
            intent = slot.intents.get(key) if slot is not None else None
            if (
                self._site.battery_policy(key).into_car
                or (setpoint is not None and setpoint.source not in OWN_WILL)
                or (intent is not None and intent.kind is IntentKind.DISCHARGE_TO)
            ):
                return True
        return False


def _owed_w(seen: Seen, fed_w: float) -> float:
    """What batteries must give, of `fed_w`, to keep the import limit beside cars whose chargers do not obey, once all
    others take nothing."""
    limit_w = seen.limit_w("import", -math.inf)  # one that is not due yet may be followed already
    if limit_w is None:
        return 0.0
    free_w = sum([charger.power_w for charger in seen.facts.chargers if not charger.obeys])
    obeying_w = seen.facts.cars_w - free_w
    return min(max(0.0, seen.facts.grid_w + fed_w - obeying_w - limit_w), free_w)


def _untold_w(seen: Seen) -> float:
    """What cars take beyond what chargers that stand still tell of them."""
    if seen.inputs is None:
        return 0.0
    untold = 0.0
    for charger in seen.facts.chargers:
        if charger.resource.device_id in seen.facts.hung:
            told_w = seen.inputs.snapshot.number(charger.resource.id, "power_w", math.inf)
            untold += max(0.0, charger.power_w - (told_w or 0.0))
    return untold


class NoHunting:
    """I11: while nothing outside changes for ten minutes a battery turns at most twice and comes to rest.

    A battery that takes or gives all that its cells allow, which falls near full and near empty, is at rest.
    """

    name = "I11"
    CALM_S = 600.0
    REST_S = 180.0

    def __init__(self, site: Site, bounds: Bounds) -> None:
        self._site = site
        self._bounds = bounds
        self._since_s = 0.0
        self._outside: tuple[float, float] | None = None
        self._socs: tuple[float, ...] = ()
        self._why: object = None
        self._turns: dict[str, int] = {}
        self._sign: dict[str, int] = {}
        self._rest: dict[str, deque[tuple[float, float]]] = {}
        self._told = Told()

    def observe(self, seen: Seen) -> list[Violation]:
        """Counts turns, and looks at how far the power moved in the last minutes, as long as it is calm outside."""
        facts = seen.facts
        outside = facts.load_w + facts.roofs_w + facts.cars_w + facts.switched_w
        why = (
            facts.unwell,
            seen.started_s,
            seen.imports,
            seen.exports,
            seen.safe,
            tuple([(b.soc_pct < 8.0, b.soc_pct > 92.0) for b in facts.batteries]),
            self._regime(seen),
        )
        low, high = self._outside or (outside, outside)
        low, high = min(low, outside), max(high, outside)
        if why != self._why or high - low > 60.0 or not seen.runs or self._jumped(seen):
            self._since_s, self._why, self._outside = seen.at_s, why, (outside, outside)
            self._turns, self._sign, self._rest = {}, {}, {}
            return []
        self._outside = (low, high)
        return [v for b in facts.batteries if b.obeys for v in self._battery(seen, b)]

    def _jumped(self, seen: Seen) -> bool:
        """Whether a battery holds something else than a step before: near full its cells take another power then."""
        before, self._socs = self._socs, tuple(b.soc_pct for b in seen.facts.batteries)
        most_pct = ROUNDING_PCT + JUMP_PCT_PER_S * self._bounds.step_s
        return any(abs(now - then) > most_pct for now, then in zip(self._socs, before, strict=False))

    def _regime(self, seen: Seen) -> object:
        """What the plan and the reserve say now: a change of these is a change outside."""
        if seen.decision is None or seen.inputs is None:
            return None
        slot = seen.inputs.plan.slot_at(seen.inputs.now.wall) if seen.inputs.plan is not None else None
        wanted = [slot.intents.get(b.resource.id) for b in seen.facts.batteries] if slot is not None else []
        intents = tuple([None if one is None else (one.kind, one.target_soc_pct, one.max_w) for one in wanted])
        return intents, tuple([(s.resource_id, s.rank, s.source, s.reason[:12]) for s in seen.decision.setpoints])

    def _battery(self, seen: Seen, battery: BatteryFact) -> list[Violation]:
        key, found = battery.resource.id, []
        sign = 0 if abs(battery.power_w) <= MOVES_W else 1 if battery.power_w > 0 else -1
        if sign and self._sign.get(key, sign) != sign:
            self._turns[key] = self._turns.get(key, 0) + 1
        self._sign[key] = sign or self._sign.get(key, 0)
        rest = self._rest.setdefault(key, deque())
        if battery.at_its_most:
            rest.clear()
        rest.append((seen.at_s, battery.power_w))
        while rest[0][0] < seen.at_s - self.REST_S:
            rest.popleft()
        calm_s = seen.at_s - self._since_s
        if self._told.once(f"{key} turns", self._turns.get(key, 0) > 2):
            what = f"{self._turns[key]} turns in {calm_s:.0f} s"
            found.append(Violation(self.name, seen.at_s, f"{key}: at most two turns", what, seen.words(key)))
        powers = [power for _, power in rest] if calm_s >= self.CALM_S else [0.0]
        swing = max(powers) - min(powers)
        if self._told.once(f"{key} rest", swing > 2 * MOVES_W + 60.0):
            what = f"a swing of {swing:.0f} W within {self.REST_S:.0f} s"
            found.append(Violation(self.name, seen.at_s, f"{key}: at rest within 100 W", what, seen.words(key)))
        return found
