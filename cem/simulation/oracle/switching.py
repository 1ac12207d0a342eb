"""Ramps, waits by chance and cars: how fast and when power may rise, and what a car may be told."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from cem.model.envelope import SITE, Envelope, Rank
from cem.model.request import RequestKind
from cem.model.resource import Control
from cem.model.setpoint import Setpoint
from cem.model.site import ControlPolicy, Site
from cem.model.tariff import TARIFF
from cem.model.tick import Inputs
from cem.simulation.oracle.contactors import LEAST_A
from cem.simulation.oracle.facts import ChargerFact, Facts
from cem.simulation.oracle.seen import Bounds, Lasting, Seen, Told, Violation


class Ramp:
    """I9: where the site asks for a ramp, a battery is not told to move faster, protection excepted."""

    name = "I9"

    def __init__(self, site: Site, bounds: Bounds) -> None:
        self._ramp = site.policy.ramp_w_per_s
        self._bounds = bounds
        self._before: dict[str, tuple[float, float]] = {}
        self._told = Told()

    def observe(self, seen: Seen) -> list[Violation]:
        """Each new set point of a battery against the former one."""
        found: list[Violation] = []
        if self._ramp is None or seen.decision is None or seen.inputs is None or not seen.runs:
            self._before.clear()
            return found
        now_s = seen.inputs.now.mono_s
        for setpoint in seen.decision.setpoints:
            if setpoint.control is not Control.BATTERY_SETPOINT_W or setpoint.value is None:
                continue
            before = self._before.get(setpoint.resource_id)
            self._before[setpoint.resource_id] = (now_s, setpoint.value)
            if before is None or now_s <= before[0] or setpoint.rank <= Rank.OBLIGATION or seen.safe:
                continue
            moved, most = abs(setpoint.value - before[1]), self._ramp * (now_s - before[0])
            if self._told.once(setpoint.resource_id, moved > 1.1 * most + 25.0):
                allowed = f"{setpoint.resource_id}: {most:.0f} W in {now_s - before[0]:.1f} s"
                words = seen.words(setpoint.resource_id)
                found.append(Violation(self.name, seen.at_s, allowed, f"{moved:.0f} W", words))
        return found


@dataclass(frozen=True, slots=True)
class _Kept:
    """A limit that ended, and the second until which this house has to keep to it all the same."""

    limit_w: float
    taken_w: Mapping[str, float]  # by each that can be controlled, at the end
    states: Mapping[str, int]  # of what is switched, at the end
    until_s: float

    def without_switched(self, facts: Facts) -> "_Kept":
        """Likewise, without what has been switched since: it does not start by itself any more."""
        now = {part.resource.id: part.state for part in facts.switched}
        return replace(self, states={key: state for key, state in self.states.items() if now.get(key) == state})

    def more_w(self, facts: Facts) -> float:
        """What is taken beyond that; whatever stood as it was all the time starts by its own thermostat, like any other
        load."""
        stood = {p.resource.id for p in facts.switched if p.may_run and p.resource.id in self.states}
        parts = _taken_w(facts)
        return sum([parts[key] - self.taken_w.get(key, 0.0) for key in parts if key not in stood])


def _taken_w(facts: Facts) -> dict[str, float]:
    """By each device that obeys."""
    return {part.resource.id: max(0.0, part.power_w) for part in facts.movers if part.obeys}


class _Occasions:
    """Until when a wait may last: whenever the grid ends or loosens a limit, a price or an asked power, one may begin.

    The longest one is that of whoever had asked for something. What happened while nobody could look (no gateway, no
    trusted clock, no meter) may have ended until now, and may have been anybody's.
    """

    def __init__(self, policy: ControlPolicy) -> None:
        self._policy = policy
        self._anybody_s = max(policy.spread_s, *policy.spread_by.values(), 0.0)
        self.until_s = self._anybody_s
        self._before: tuple[float, float, bool, bool] | None = None
        self._sources: frozenset[str] = frozenset()

    def unseen(self, at_s: float) -> None:
        """Takes one step at which nobody could look."""
        self.until_s, self._before = at_s + self._anybody_s, None

    def follow(self, inputs: Inputs, at_s: float) -> None:
        """Takes one step."""
        bounds = [e for e in inputs.directive.envelopes if e.subject == SITE]
        most_w = min((e.max_w for e in bounds if e.max_w is not None), default=float("inf"))
        least_w = max((e.min_w for e in bounds if e.min_w is not None), default=float("-inf"))
        wall = inputs.now.wall
        events = [window for window in inputs.directive.prices if window.source != TARIFF]
        prices = [w for w in events if w.start <= wall and (w.end is None or wall < w.end)]
        priced, asked = bool(prices), _asked_of_site(inputs)
        asking = {d.source for d in inputs.directive.dispatches if d.subject == SITE}
        before, self._before = self._before, (most_w, least_w, priced, asked)
        sources, self._sources = (
            self._sources,
            frozenset(asking | {e.source for e in bounds} | {w.source for w in prices}),
        )
        if before is None:
            return
        if most_w > before[0] or least_w < before[1] or (before[2] and not priced) or (before[3] and not asked):
            longest_s = max((self._policy.spread_for(source) for source in sources), default=self._anybody_s)
            self.until_s = max(self.until_s, at_s + longest_s)


def _asked_of_site(inputs: Inputs) -> bool:
    dispatches = inputs.directive.dispatches
    return bool(dispatches) and any(dispatch.subject == SITE for dispatch in dispatches)


class Spread:
    """I9: after a limit of the grid ended, this house takes more only at its own time, and no later than the longest.

    Its time is the share of the longest wait that `Site.chance` gives for "provider/side/end". Excused: what stronger
    ranks or the owner's word ask for, what nobody controls, what stands as it stood and starts by its own thermostat,
    events that are spread by their sender, and a meter that tells what is not so: nobody can know then how much is
    taken.
    """

    name = "I9"

    def __init__(self, site: Site, bounds: Bounds) -> None:
        self._site = site
        self._bounds = bounds
        self._before: Envelope | None = None
        self._kept: _Kept | None = None
        island = site.policy.island
        asking_s = island.permission_most_s if island.permitted_by else 0.0
        self._return_s = island.stable_s + asking_s + island.delay_s
        self._dark_s = float("-inf")  # when the grid was last not there, in truth
        self._started_s: float | None = None
        self._occasions = _Occasions(site.policy)
        self._more = Lasting()
        self._told = Told()

    def observe(self, seen: Seen) -> list[Violation]:
        """The limit's end, and what is taken afterwards."""
        if not seen.facts.grid_there:
            self._dark_s = seen.at_s
        # a new gateway begins with the agreed default, however short the moment until it hears of anything else
        anew, self._started_s = seen.started_s != self._started_s, seen.started_s
        knows = seen.runs and not anew and seen.trusted and not seen.safe and seen.facts.meter != "lies"
        if seen.inputs is None or seen.decision is None or not knows:
            self._before = self._kept = None
            self._occasions.unseen(seen.at_s)
            return []
        self._listen(seen, seen.inputs)
        self._occasions.follow(seen.inputs, seen.at_s)
        found = self._late(seen)
        facts = seen.facts
        if self._kept is not None:
            self._kept = self._kept.without_switched(facts)
        kept = self._kept
        if kept is None:
            return found
        asked = any(s.rank in {Rank.SAFETY, Rank.USER} for s in seen.decision.setpoints)
        # a limit may be what binds a charge that the owner asked for: it is the owner's word all the same
        charges = {RequestKind.CHARGE_NOW, RequestKind.CHARGE_BY}
        asked = asked or any(r.kind in charges and r.in_force(seen.inputs.now.wall) for r in seen.inputs.requests)
        more = facts.grid_w > 1.02 * kept.limit_w + 100.0 and kept.more_w(facts) > 100.0
        early = self._more.for_s("more", more and not asked and seen.at_s < kept.until_s, seen.at_s)
        if self._told.once("early", early > self._bounds.lag_s):
            allowed = f"no more than {kept.limit_w:.0f} W for {kept.until_s - seen.at_s:.0f} s more by chance"
            found.append(Violation(self.name, seen.at_s, allowed, f"{facts.grid_w:.0f} W", seen.words()))
        return found

    def _late(self, seen: Seen) -> list[Violation]:
        """No wait is longer than the longest after the last occasion for one, or than an outage calls for."""
        until_s = max(self._occasions.until_s, self._dark_s + self._return_s)
        late = seen.at_s > until_s + 2 * self._bounds.lag_s and _waits(seen)
        if not self._told.once("late", late):
            return []
        return [Violation(self.name, seen.at_s, "an end of the wait", "it still waits", seen.words())]

    def _listen(self, seen: Seen, inputs: Inputs) -> None:
        limits = [e for e in inputs.directive.envelopes if e.subject == SITE and e.max_w is not None]
        now = min(limits, key=lambda envelope: envelope.max_w or 0.0, default=None)
        before, self._before = self._before, now
        if now is not None and self._kept is not None and (now.max_w or 0.0) <= self._kept.limit_w:
            self._kept = None
        if _asked_of_site(inputs):  # the grid's word for this very moment
            self._kept = None
            return
        if before is None or before.max_w is None or before.until is None or before.spread:
            return
        ended = now is None or (now.max_w or 0.0) > before.max_w + 1.0
        opted = before.rank is Rank.PROGRAMME and any(r.kind is RequestKind.OPT_OUT for r in inputs.requests)
        if not ended or opted:
            return
        most_s = self._site.policy.spread_for(before.source)
        occasion = f"{before.source}/import/{before.until.isoformat(timespec='seconds')}"
        own_s = most_s * self._site.chance(occasion)
        # from the end that was told: a clock that is put right after it finds no other houses to start with
        ended_s = seen.at_s - max(0.0, (inputs.now.wall - before.until).total_seconds())
        facts = seen.facts
        states = {part.resource.id: part.state for part in facts.switched}
        self._kept = _Kept(before.max_w, _taken_w(facts), states, ended_s + own_s - self._bounds.lag_s)


def _waits(seen: Seen) -> bool:
    """Whether a wait by chance is among what is said of the last decision."""
    setpoints = seen.decision.setpoints if seen.decision is not None else ()
    texts = [seen.words(), *[setpoint.reason for setpoint in setpoints]]
    return any("by chance" in text for text in texts)


class Car:
    """I10: a current is 0 or between 6 A and the charger's largest; never a step up while no car is there."""

    name = "I10"

    def __init__(self, site: Site, bounds: Bounds) -> None:
        del site
        self._bounds = bounds
        self._before: dict[str, float] = {}
        self._away_s: dict[str, float] = {}
        self._told = Told()

    def observe(self, seen: Seen) -> list[Violation]:
        """The pilot's true current, and what was decided."""
        found = []
        for charger in seen.facts.chargers:
            key, amps = charger.resource.id, charger.offered_a
            most = charger.resource.ratings.max_current_a or float("inf")
            fits = amps == 0.0 or LEAST_A <= amps <= most
            setpoint = seen.setpoint(key, Control.EV_LIMIT_A)
            if self._told.once(f"{key} offer", not fits):
                found.append(
                    Violation(self.name, seen.at_s, f"{key}: 0 or 6 to {most:g} A", f"{amps:g} A", seen.words(key))
                )
            value = setpoint.value if setpoint is not None else None
            if self._told.once(f"{key} decided", value is not None and not (value == 0.0 or LEAST_A <= value <= most)):
                allowed, what = f"{key}: 0 or 6 to {most:g} A", f"{value:g} A told"
                found.append(Violation(self.name, seen.at_s, allowed, what, seen.words(key)))
            if self._told.once(f"{key} away", self._stepped_up(seen, charger, setpoint)):
                allowed, what = f"{key}: no step up without a car", f"{value} A"
                found.append(Violation(self.name, seen.at_s, allowed, what, seen.words(key)))
        return found

    def _stepped_up(self, seen: Seen, charger: ChargerFact, setpoint: Setpoint | None) -> bool:
        """Whether a higher current was told although the car had been gone for longer than anybody takes to notice."""
        key = charger.resource.id
        if charger.state != "A" or not charger.obeys:
            self._away_s.pop(key, None)
        away = seen.at_s - self._away_s.setdefault(key, seen.at_s) if charger.state == "A" else 0.0
        value = setpoint.value if setpoint is not None else None
        before = self._before.get(key)
        if value is not None:
            self._before[key] = value
        return away > 2 * self._bounds.lag_s and value is not None and before is not None and value > before
