"""Contactors, ramps and cars: what wears out, and what a car may be told."""

from dataclasses import dataclass

from cem.model.envelope import SITE, Envelope, Rank
from cem.model.request import RequestKind
from cem.model.resource import Control
from cem.model.setpoint import Mode, Setpoint
from cem.model.site import ControlPolicy, Site
from cem.model.tariff import TARIFF
from cem.model.tick import Inputs
from cem.simulation.oracle.contacts import Contacts
from cem.simulation.oracle.excuses import Excuse
from cem.simulation.oracle.facts import ChargerFact
from cem.simulation.oracle.seen import Bounds, Lasting, Seen, Told, Violation, setpoint_in
from cem.simulation.oracle.wires import amps_told

DAY_S = 86400.0
LEAST_A = 6.0
"""IEC 61851-1: no smaller current can be signalled."""


class _Contactor:
    """What the judge remembers of one contactor, whatever happens to the gateway."""

    def __init__(self) -> None:
        self.closed = False
        self.since_s: float | None = None  # None: in this session it has not been switched yet
        self.plugged = False
        self.plug_ins = 0
        self.disturbed_s = float("-inf")  # when the device last did not obey
        self.closings: list[float] = []
        self.by_car = False  # the car opened it, and was offered current ever since
        self.offered_a = 0.0
        self.lowered_s = float("-inf")  # when it was offered less than before, though not nothing
        self.taught = False  # in this session: the car stopped at a lower offer, so that it is known to need more
        self.told_off: Rank | None = None  # by what rank it was last told to open
        self.told_off_s = float("-inf")
        self.was_told: float | None = None
        self.own_hands_s: float | None = None  # since when it is told nothing at all
        self.written_a, self.written_s = 0.0, float("-inf")  # the last current that went over the wire, and when
        self.ours = False  # the last change was by that


class Switching:
    """I8: minimum times on and off, and at most 24 closings a day, over restarts of the gateway.

    Excused: protective opening (fuse, reserve, a limit, safe mode), the owner's own word, a car that comes, leaves or
    is full, or stops for the first time at a current that it turns out not to take, a device that does not obey, and
    one that has been in its own hands for a while. Heat pumps and loads are judged by `contacts`.
    """

    name = "I8"
    PROTECTS = Excuse("I8", "a car is stopped by what is stronger than the plan", "I8, protective opening; law 1", "s")
    ASKED = Excuse("I8", "the owner asks for a charge", "law 1, the owner's acts", "s")
    BY_CAR = Excuse("I8", "a car stops by itself", "F20; I8 is the gateway's", "s")
    DEAF = Excuse("I8", "a charger does not obey, or only just does", "F7, F11", "s")
    NOBODY = Excuse("I8", "a charger is in its own hands", "I22; I8 is the gateway's", "s")
    LAG = Excuse("I8", "a car follows its word some seconds later", "bars: the device's own delay", "s")

    def __init__(self, site: Site, bounds: Bounds) -> None:
        self._bounds = bounds
        self._contactors: dict[str, _Contactor] = {}
        self._contacts = Contacts(site, bounds)

    def observe(self, seen: Seen) -> list[Violation]:
        """Every opening and closing."""
        cars = [found for charger in seen.facts.chargers for found in self._charger(seen, charger)]
        return cars + self._contacts.observe(seen)

    def _charger(self, seen: Seen, charger: ChargerFact) -> list[Violation]:
        mine = self._contactors.setdefault(charger.resource.id, _Contactor())
        if not charger.obeys:
            mine.disturbed_s = seen.at_s
        self._listen(seen, charger, mine)
        plugged, closed = charger.state != "A", charger.state == "C"
        if LEAST_A <= charger.offered_a < mine.offered_a:
            mine.lowered_s = seen.at_s
        mine.offered_a = charger.offered_a
        mine.by_car = mine.by_car and charger.offered_a >= LEAST_A
        another = charger.plug_ins != mine.plug_ins
        mine.plug_ins = charger.plug_ins
        if not plugged or not mine.plugged or another:  # a session begins or is over: what was before does not count
            mine.plugged, mine.closed, mine.since_s = plugged, closed, seen.at_s if closed else None
            mine.taught = mine.ours = False
            return []
        if closed == mine.closed:
            return []
        held = None if mine.since_s is None else seen.at_s - mine.since_s
        mine.closed, mine.since_s = closed, seen.at_s
        lately = seen.at_s - mine.written_s <= 3.0 * self._bounds.lag_s  # a car takes some seconds
        before, mine.ours = mine.ours, lately and (mine.written_a >= LEAST_A) is closed
        both = before and mine.ours
        if closed:
            return self._closed(seen, charger, mine, held, both_ours=both)
        return self._opened(seen, charger, mine, held, both_ours=both)

    @staticmethod
    def _listen(seen: Seen, charger: ChargerFact, mine: _Contactor) -> None:
        """Remembers why it was told to open: the car takes seconds, and by then the words may be others."""
        if not seen.runs:
            mine.was_told = None
        for write in seen.writes:
            if write.device_id == charger.resource.device_id and not write.former:
                amps = amps_told(write.what) if write.by_topic else write.offered_a
                mine.written_a, mine.written_s = (
                    (mine.written_a, mine.written_s) if amps is None else (amps, write.at_s)
                )
        for decision in seen.decisions:
            setpoint = setpoint_in(decision, charger.resource.id)
            value = setpoint.value if setpoint is not None else None
            if value is not None:
                mine.own_hands_s = None
            elif mine.own_hands_s is None:
                mine.own_hands_s = seen.at_s
            if setpoint is not None and value == 0.0 and mine.was_told != 0.0:
                mine.told_off = Rank.SAFETY if decision.mode is Mode.SAFE else setpoint.rank
                mine.told_off_s = seen.at_s
            mine.was_told = value

    def _closed(
        self, seen: Seen, charger: ChargerFact, mine: _Contactor, held: float | None, *, both_ours: bool
    ) -> list[Violation]:
        if mine.by_car:
            return []
        mine.closings = [*(at for at in mine.closings if at > seen.at_s - DAY_S), seen.at_s]
        found = []
        if len(mine.closings) > self._bounds.operations_per_day:
            allowed = f"{charger.resource.id}: {self._bounds.operations_per_day} closings a day"
            found.append(self._broken(seen, charger, allowed, f"{len(mine.closings)}"))
        # a car takes some seconds to open after the word; what the owner asks meanwhile finds a pause, too
        told_s = min(seen.at_s - mine.told_off_s, (held or 0.0) + 3.0 * self._bounds.lag_s)
        asked = held is not None and _asked(seen, charger, max(held, told_s))
        excuse = self.ASKED if asked else self._excuse(seen, mine, both_ours=both_ours)
        if self._early(seen, held, self._bounds.min_off_s, excuse):
            allowed = f"{charger.resource.id}: off for {self._bounds.min_off_s:g} s"
            found.append(self._broken(seen, charger, allowed, f"{held:.0f} s"))
        return found

    def _opened(
        self, seen: Seen, charger: ChargerFact, mine: _Contactor, held: float | None, *, both_ours: bool
    ) -> list[Violation]:
        lowered = seen.at_s - mine.lowered_s <= 2 * self._bounds.lag_s
        # the charger offers on: the car itself has stopped; for less than it takes only once
        mine.by_car = charger.offered_a >= LEAST_A and not (lowered and mine.taught)
        mine.taught = mine.taught or (mine.by_car and lowered)
        told = mine.was_told == 0.0 or seen.at_s - mine.told_off_s <= 3.0 * self._bounds.lag_s
        protects = told and mine.told_off is not None and mine.told_off <= Rank.USER
        excuse = (
            self.BY_CAR if mine.by_car else self.PROTECTS if protects else self._excuse(seen, mine, both_ours=both_ours)
        )
        if not self._early(seen, held, self._bounds.min_on_s, excuse):
            return []
        return [
            self._broken(seen, charger, f"{charger.resource.id}: on for {self._bounds.min_on_s:g} s", f"{held:.0f} s")
        ]

    def _early(self, seen: Seen, held: float | None, least_s: float, excuse: Excuse | None) -> bool:
        """Whether a position was left before its time, and nothing excuses that."""
        if held is None or held >= least_s:
            return False
        excuse = self.LAG if held >= least_s - self._bounds.lag_s else excuse
        if excuse is not None:
            seen.excused.take(excuse, seen.at_s, least_s - held)
        return excuse is None

    def _excuse(self, seen: Seen, mine: _Contactor, *, both_ours: bool) -> Excuse | None:
        """Why it is not the gateway that switches now, or that switched before."""
        if seen.at_s - mine.disturbed_s <= self._bounds.lag_s and not both_ours:
            return self.DEAF
        lets_go = mine.own_hands_s is not None and seen.at_s - mine.own_hands_s > self._bounds.lag_s
        return self.NOBODY if not seen.runs or lets_go else None

    def _broken(self, seen: Seen, charger: ChargerFact, allowed: str, what: str) -> Violation:
        return Violation(self.name, seen.at_s, allowed, what, seen.words(charger.resource.id))


def _asked(seen: Seen, charger: ChargerFact, within_s: float) -> bool:
    """Whether the owner has asked for this charge since the contactor opened, or was told to."""
    if seen.inputs is None:
        return False
    charges = {RequestKind.CHARGE_NOW, RequestKind.CHARGE_BY}
    ago = [
        (seen.inputs.now.wall - request.made_at).total_seconds()
        for request in seen.inputs.requests
        if request.resource_id == charger.resource.id and request.kind in charges
    ]
    return any(seconds <= within_s for seconds in ago)


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
    taken_w: float  # by what can be controlled, at the end
    until_s: float


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
    return any(dispatch.subject == SITE for dispatch in inputs.directive.dispatches)


class Spread:
    """I9: after a limit of the grid ended, this house takes more only at its own time, and no later than the longest.

    Its time is the share of the longest wait that `Site.chance` gives for "provider/side/end". Excused: what stronger
    ranks or the owner's word ask for, what nobody controls, events that are spread by their sender, and a meter that
    tells what is not so: nobody can know then how much is taken.
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
        kept = self._kept
        if kept is None:
            return found
        facts = seen.facts
        asked = any(s.rank in {Rank.SAFETY, Rank.USER} for s in seen.decision.setpoints)
        # a limit may be what binds a charge that the owner asked for: it is the owner's word all the same
        charges = {RequestKind.CHARGE_NOW, RequestKind.CHARGE_BY}
        asked = asked or any(r.kind in charges and r.in_force(seen.inputs.now.wall) for r in seen.inputs.requests)
        more = facts.grid_w > 1.02 * kept.limit_w + 100.0 and facts.controlled_import_w > kept.taken_w + 100.0
        early = self._more.for_s("more", more and not asked and seen.at_s < kept.until_s, seen.at_s)
        if self._told.once("early", early > self._bounds.lag_s):
            allowed = f"no more than {kept.limit_w:.0f} W for {kept.until_s - seen.at_s:.0f} s more by chance"
            found.append(Violation(self.name, seen.at_s, allowed, f"{facts.grid_w:.0f} W", seen.words()))
        return found

    def _late(self, seen: Seen) -> list[Violation]:
        """No wait is longer than the longest after the last occasion for one, or than an outage calls for."""
        setpoints = seen.decision.setpoints if seen.decision is not None else ()
        waits = any("by chance" in text for text in (seen.words(), *(s.reason for s in setpoints)))
        until_s = max(self._occasions.until_s, self._dark_s + self._return_s)
        late = waits and seen.at_s > until_s + 2 * self._bounds.lag_s
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
        taken_w = seen.facts.controlled_import_w
        self._kept = _Kept(before.max_w, taken_w, ended_s + own_s - self._bounds.lag_s)


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
            words = seen.words(key)
            if self._told.once(f"{key} offer", not fits):
                found.append(Violation(self.name, seen.at_s, f"{key}: 0 or 6 to {most:g} A", f"{amps:g} A", words))
            value = setpoint.value if setpoint is not None else None
            if self._told.once(f"{key} decided", value is not None and not (value == 0.0 or LEAST_A <= value <= most)):
                found.append(
                    Violation(self.name, seen.at_s, f"{key}: 0 or 6 to {most:g} A", f"{value:g} A told", words)
                )
            if self._told.once(f"{key} away", self._stepped_up(seen, charger, setpoint)):
                found.append(Violation(self.name, seen.at_s, f"{key}: no step up without a car", f"{value} A", words))
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
