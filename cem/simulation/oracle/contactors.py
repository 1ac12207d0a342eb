"""The contactors of cars: how long each must stay open or closed, and how often it may close."""

from cem.model.envelope import Rank
from cem.model.request import RequestKind
from cem.model.setpoint import Mode
from cem.model.site import Site
from cem.simulation.oracle.contacts import Contacts
from cem.simulation.oracle.data import releases
from cem.simulation.oracle.excuses import Excuse
from cem.simulation.oracle.facts import ChargerFact
from cem.simulation.oracle.seen import Bounds, Seen, Violation, setpoint_in
from cem.simulation.oracle.wires import amps_told, forces_on

DAY_S = 86400.0
CHARGES = {RequestKind.CHARGE_NOW, RequestKind.CHARGE_BY}
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
        self.taught_s: float | None = None  # in this session the car stopped at a lower offer: it needs more
        self.told_off: Rank | None = None  # by what rank it was last told to open
        self.told_off_s = float("-inf")
        self.was_told: float | None = None
        self.wishes: dict[str, tuple[float, float]] = {}  # the owner's for a charge: since when, and until when
        self.own_hands_s: float | None = None  # since when it is told nothing at all
        self.written_a, self.written_s = 0.0, float("-inf")  # the last current that went over the wire, and when
        self.offered_s = float("-inf")  # when the present gateway last offered it anything
        self.left = False  # and by one that has ended since: what it hands back is no switching (I22)
        self.ours = False  # the last change was by the present gateway's word
        self.handed_back = False  # or by such a one's


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
        if mine.taught_s is not None and seen.died_s is not None:
            ran_s = seen.died_s - mine.taught_s
            if 0.0 <= ran_s < self._bounds.lag_s:
                mine.taught_s = None  # the gateway ended before it could have seen that
        self._listen(seen, charger, mine)
        self._hear(seen, charger, mine)
        plugged, closed = charger.state != "A", charger.state == "C"
        if LEAST_A <= charger.offered_a < mine.offered_a:
            mine.lowered_s = seen.at_s
        mine.offered_a = charger.offered_a
        mine.by_car = mine.by_car and charger.offered_a >= LEAST_A
        another = charger.plug_ins != mine.plug_ins
        mine.plug_ins = charger.plug_ins
        if not plugged or not mine.plugged or another:  # a session begins or is over: what was before does not count
            mine.plugged, mine.closed, mine.since_s = plugged, closed, seen.at_s if closed else None
            mine.taught_s, mine.ours = None, False
            return []
        if closed == mine.closed:
            return []
        held = None if mine.since_s is None else seen.at_s - mine.since_s
        mine.closed, mine.since_s = closed, seen.at_s
        lately = seen.at_s - mine.written_s <= 3.0 * self._bounds.lag_s  # a car takes some seconds
        before, follows = mine.ours, lately and (mine.written_a >= LEAST_A) is closed
        mine.ours = follows and not mine.left
        mine.handed_back = follows and mine.left
        both = before and mine.ours
        if closed:
            return self._closed(seen, charger, mine, held, both_ours=both)
        return self._opened(seen, charger, mine, held, closed_by_us=before)

    @staticmethod
    def _listen(seen: Seen, charger: ChargerFact, mine: _Contactor) -> None:
        """Remembers why it was told to open: the car takes seconds, and by then the words may be others."""
        if not seen.runs:
            mine.was_told, mine.offered_s = None, float("-inf")
        for write in seen.writes:
            if write.device_id == charger.resource.device_id:
                amps = amps_told(write.what) if write.by_topic else write.offered_a
                if releases(write) or forces_on(write.what):  # what is let go charges as it likes
                    amps = float("inf")
                if amps is not None:
                    mine.written_a, mine.written_s, mine.left = amps, write.at_s, write.former
                if amps is not None and amps >= LEAST_A and not write.former:
                    mine.offered_s = write.at_s
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

    @staticmethod
    def _hear(seen: Seen, charger: ChargerFact, mine: _Contactor) -> None:
        """Remembers what the owner asks for: the car takes seconds, and by then it may be taken back."""
        for request in () if seen.inputs is None else seen.inputs.requests:
            if request.resource_id == charger.resource.id and request.kind in CHARGES:
                since_s, _ = mine.wishes.get(request.id, (seen.at_s, seen.at_s))
                mine.wishes[request.id] = (since_s, seen.at_s)

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
        within_s, lately_s = max(held or 0.0, told_s), 3.0 * self._bounds.lag_s  # taken back long before, it is none
        asked = any(
            seen.at_s - since <= within_s and seen.at_s - last <= lately_s for since, last in mine.wishes.values()
        )
        excuse = self.ASKED if asked else self._excuse(seen, mine, both_ours=both_ours)
        if self._early(seen, held, self._bounds.min_off_s, excuse):
            allowed = f"{charger.resource.id}: off for {self._bounds.min_off_s:g} s"
            found.append(self._broken(seen, charger, allowed, f"{held:.0f} s"))
        return found

    def _opened(
        self, seen: Seen, charger: ChargerFact, mine: _Contactor, held: float | None, *, closed_by_us: bool
    ) -> list[Violation]:
        lowered = seen.at_s - mine.lowered_s <= 2 * self._bounds.lag_s
        # the charger offers on: the car itself has stopped; for less than it takes only once
        mine.by_car = charger.offered_a >= LEAST_A and not (lowered and mine.taught_s is not None)
        if mine.by_car and lowered and mine.taught_s is None:
            mine.taught_s = seen.at_s
        told = mine.was_told == 0.0 or seen.at_s - mine.told_off_s <= 3.0 * self._bounds.lag_s
        protects = told and mine.told_off is not None and mine.told_off <= Rank.USER
        excuse = self._excuse(seen, mine, both_ours=closed_by_us and mine.ours)
        closed_s = seen.at_s - (held or 0.0)
        off_before = mine.was_told == 0.0 and mine.told_off_s <= closed_s and not closed_by_us
        if off_before and closed_s - mine.offered_s > 3.0 * self._bounds.lag_s:
            excuse = self.NOBODY  # it closed by itself, against the word that it opens by
        excuse = self.BY_CAR if mine.by_car else self.PROTECTS if protects else excuse
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
        nobody = not seen.runs or mine.handed_back or (lets_go and not mine.ours)
        return self.NOBODY if nobody else None

    def _broken(self, seen: Seen, charger: ChargerFact, allowed: str, what: str) -> Violation:
        return Violation(self.name, seen.at_s, allowed, what, seen.words(charger.resource.id))
