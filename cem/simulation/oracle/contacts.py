"""The contacts of loads and heat pumps: how long each position must last, how often it may change, how long a lock."""

from dataclasses import dataclass, field
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from cem.model.envelope import Rank
from cem.model.resource import Role
from cem.model.setpoint import Mode
from cem.model.site import Site
from cem.simulation.oracle.excuses import Excuse
from cem.simulation.oracle.facts import LOCK_LONGEST_S, LOCKED, SwitchedFact
from cem.simulation.oracle.seen import Bounds, Seen, Told, Violation, setpoint_in
from cem.simulation.oracle.wires import switched

DAY_S = 86400.0
STAY_S = 600.0
"""SG Ready (Bundesverband Waermepumpe): each state but the lock is given for ten minutes at least."""
NORMAL, OFF = 2, 0
FREED = "None"
"""A pin of the gateway's own board that nobody drives any more."""


@dataclass(slots=True)
class _Kept:
    """What the judge remembers of one device, whatever happens to the gateway."""

    state: int | None = None
    since_s: float | None = None  # None: it has not been switched yet
    disturbed_s: float = float("-inf")  # when it last did not do what it is told
    written_s: float = float("-inf")  # when it was last told anything
    words: dict[Any, Any] = field(default_factory=dict)  # what each of its contacts was told last
    reworded_s: float = float("-inf")  # when one was last told something else
    by_us: bool = False  # and by the present gateway; else one that ends handed it back, or freed a dead one's pins
    ours: bool = False  # the last change was by that
    meant: bool = True  # and to what was told: a heat pump's two contacts pass through another state on their way
    ordered: Rank | None = None  # of the set point that last asked for another state
    was_told: float | None = None
    safe_s: float = float("-inf")  # when safe mode was last decided, in which nothing is held
    closings: list[float] = field(default_factory=list)
    locked_s: float = 0.0  # on the house's day `day`
    day: date | None = None
    lasted_s: float = 0.0  # likewise, with what it was while no gateway ran
    lock_s: float = 0.0  # without a break
    seen_s: float | None = None


class Contacts:
    """The part of I8 that is about relays. Over restarts of the gateway, and as the contacts really stand.

    Not judged is what the gateway did not switch: a contact's own timer, another hand, a device that does not obey,
    what a gateway that ends hands back (I22), and pins of the board that a killed one left energised: no timer lets go
    of them, so that the next start does, before it decides anything (I14, I21).
    """

    name = "I8"
    PROTECTS = Excuse("I8", "a contact opens for what is stronger than the plan", "I8, protective opening; law 1", "s")
    SAFE = Excuse("I8", "safe mode lets go of a contact", "F1: safe mode", "s")
    ASKED = Excuse("I8", "the owner asks for a contact's position", "law 1, the owner's acts", "s")
    DEAF = Excuse("I8", "a contact does not obey, or only just does", "F7, F11", "s")
    LAG = Excuse("I8", "a contact follows its word some seconds later", "bars: the device's own delay", "s")
    USED_UP = Excuse("I8", "a heat pump was locked for as long as it may be", "SG Ready: two hours a day", "s")
    PASSES = Excuse("I8", "two contacts close one after the other", "SG Ready: a state is that of both", "s")

    def __init__(self, site: Site, bounds: Bounds) -> None:
        self._site = site
        self._bounds = bounds
        self._zone = ZoneInfo(site.zone)
        self._kept: dict[str, _Kept] = {}
        self._told = Told()

    def observe(self, seen: Seen) -> list[Violation]:
        """Every change of a contact, and every lock."""
        found = []
        for part in seen.facts.switched:
            mine = self._kept.setdefault(part.resource.id, _Kept())
            if not part.well:
                mine.disturbed_s = seen.at_s
            for write in seen.writes:
                told = switched(write.what) if write.by_topic and write.device_id == part.resource.device_id else None
                if told is not None:
                    if mine.words.get(told.get("id")) != told.get("on"):
                        mine.reworded_s = seen.at_s
                    mine.words[told.get("id")] = told.get("on")
                    mine.written_s = seen.at_s
                    mine.by_us = not write.former and told.get("on") != FREED
            self._listen(seen, part, mine)
            found += self._changed(seen, part, mine)
        for pump in seen.facts.heat_pumps:
            found += self._locks(seen, pump, self._kept[pump.resource.id])
        return found

    @staticmethod
    def _listen(seen: Seen, part: SwitchedFact, mine: _Kept) -> None:
        """Remembers by whose word it was told to change: the contact follows a step later."""
        if not seen.runs:
            mine.was_told = None
        for decision in seen.decisions:
            if decision.mode is Mode.SAFE:
                mine.safe_s = seen.at_s
            setpoint = setpoint_in(decision, part.resource.id)
            value = setpoint.value if setpoint is not None else None
            if setpoint is not None and value != mine.was_told:
                mine.ordered = Rank.SAFETY if decision.mode is Mode.SAFE else setpoint.rank
            mine.was_told = value

    def _changed(self, seen: Seen, part: SwitchedFact, mine: _Kept) -> list[Violation]:
        if mine.state is None:
            mine.state = part.state
            return []
        if part.state == mine.state:
            return []
        before, since_s = mine.state, mine.since_s
        mine.state, mine.since_s = part.state, seen.at_s
        both_ours, passes = mine.ours, not mine.meant
        mine.meant = mine.was_told in {None, float(part.state)}
        # the very word that it left was told again: it did not take it, and went back by its own timer
        kept = mine.was_told == float(before) and seen.at_s - mine.reworded_s > self._bounds.lag_s
        mine.ours = mine.by_us and seen.at_s - mine.written_s <= self._bounds.lag_s and not kept
        if not mine.ours:
            return []  # somebody else switched it, or its own timer: whether that was fed is I13
        disturbed = seen.at_s - mine.disturbed_s <= self._bounds.lag_s and not (both_ours and part.held is not None)
        found = [] if disturbed else self._too_often(seen, part, mine)
        least_s = self._least_s(part, before)
        held_s = None if since_s is None else seen.at_s - since_s
        if held_s is None or held_s >= least_s:
            return found
        excuse = self.DEAF if disturbed else self._excuse(seen, part, mine, before)
        excuse = self.LAG if held_s >= least_s - self._bounds.lag_s else excuse
        excuse = self.PASSES if passes and held_s <= self._bounds.step_s else excuse
        if excuse is not None:
            seen.excused.take(excuse, seen.at_s, least_s - held_s)
            return found
        allowed = f"{part.resource.id}: {before} for {least_s:g} s"
        return [*found, self._broken(seen, part, allowed, f"{part.state} after {held_s:.0f} s")]

    def _excuse(self, seen: Seen, part: SwitchedFact, mine: _Kept, before: int) -> Excuse | None:
        """Why a position may be left before its time."""
        if part.held is None and seen.at_s - mine.safe_s <= self._bounds.lag_s:
            return self.SAFE
        if before == LOCKED and mine.lasted_s >= LOCK_LONGEST_S - 60.0 - self._bounds.lag_s:
            return self.USED_UP
        less = part.state < before  # off, or a state in which less is taken
        if less and mine.ordered is not None and mine.ordered <= Rank.OBLIGATION:
            return self.PROTECTS
        return self.ASKED if mine.ordered is Rank.USER else None

    def _least_s(self, part: SwitchedFact, before: int) -> float:
        """How long the former position must have lasted."""
        if part.resource.role is Role.HEAT_PUMP:
            return STAY_S
        policy = self._site.load_policy(part.resource.id)
        return policy.min_on_s if before else policy.min_off_s

    def _too_often(self, seen: Seen, part: SwitchedFact, mine: _Kept) -> list[Violation]:
        """At most so many closings of a load's relay a day, and as many times that a heat pump is given another state
        than its own."""
        if part.state == (NORMAL if part.resource.role is Role.HEAT_PUMP else OFF):
            return []
        mine.closings = [*(at for at in mine.closings if at > seen.at_s - DAY_S), seen.at_s]
        if len(mine.closings) <= self._bounds.operations_per_day:
            return []
        allowed = f"{part.resource.id}: {self._bounds.operations_per_day} closings a day"
        return [self._broken(seen, part, allowed, f"{len(mine.closings)}")]

    def _locks(self, seen: Seen, pump: SwitchedFact, mine: _Kept) -> list[Violation]:
        """Two hours a day of the house, and no longer without a break either."""
        passed_s = 0.0 if mine.seen_s is None else seen.at_s - mine.seen_s
        mine.seen_s = seen.at_s
        mine.lasted_s += passed_s if pump.state == LOCKED else 0.0
        if seen.inputs is None:
            return []
        today = seen.inputs.now.wall.astimezone(self._zone).date()
        if mine.day != today:
            # a lock that runs over midnight counts to the new day as a whole
            mine.day, mine.locked_s, mine.lasted_s = today, 0.0, mine.lock_s if pump.state == LOCKED else 0.0
        if pump.state != LOCKED:
            mine.lock_s = 0.0
            return []
        mine.locked_s += passed_s
        mine.lock_s += passed_s
        most_s = LOCK_LONGEST_S + self._bounds.lag_s + 2 * self._bounds.step_s
        longest_s = max(mine.locked_s, mine.lock_s)
        safe = mine.ordered is Rank.SAFETY  # the fuse, or an island near its reserve
        ours = seen.runs and pump.well and not safe
        if not self._told.once(f"{pump.resource.id} lock", ours and longest_s > most_s):
            return []
        allowed = f"{pump.resource.id}: locked for {LOCK_LONGEST_S:g} s a day at most"
        return [self._broken(seen, pump, allowed, f"{longest_s:.0f} s")]

    def _broken(self, seen: Seen, part: SwitchedFact, allowed: str, what: str) -> Violation:
        return Violation(self.name, seen.at_s, allowed, what, seen.words(part.resource.id))
