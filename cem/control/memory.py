"""What the control remembers from one tick to the next."""

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from types import MappingProxyType

from cem.control.phase_place import PlaceMemory
from cem.control.prices import Prices
from cem.control.trend import Trend
from cem.control.tuning import EV_FOLLOW_S, METER_LATE_MOST_S
from cem.model.envelope import Rank
from cem.model.reading import Reading
from cem.model.values import value

LONG_AGO_S = float("-inf")


def _none() -> MappingProxyType[str, float]:
    return MappingProxyType({})


@value(frozen=True, slots=True)
class ChargerMemory:
    """One charging point with a car. All times are monotonic seconds."""

    limit_a: float  # that was last set
    switched_at_s: float = LONG_AGO_S  # charging was last switched on or off, by us or by the contactor itself
    offered_at_s: float = LONG_AGO_S  # the present offer was last raised from a pause, or changed
    idle_since_s: float | None = None  # does not draw although it could, since then
    drew: bool = False  # has drawn since it was last offered something
    least_a: float = 0.0  # the car was seen to stop below this
    low_at_s: float = LONG_AGO_S  # it was last offered a current at which some cars stop
    waits_since_s: float | None = None  # would charge, and others are served
    phases: int | None = None  # that were last commanded
    phases_at_s: float = LONG_AGO_S  # of the last change of phases
    phases_wanted_since_s: float | None = None  # another number of phases would fit better, since then
    draws_phases: int | None = None  # on so many the car was seen to draw
    closed: bool = False  # current could flow when it was last read: the contactor is closed
    follows_in_s: float = EV_FOLLOW_S  # its car is seen to follow a new offer after so long
    deaf_at_s: float = LONG_AGO_S  # its charger last did not take, or not heed, what it was told
    asked_at: datetime | None = None  # the owner's last act on it, by the wall clock,
    asked_at_s: float = LONG_AGO_S  # and when that was
    met: bool = True  # it was read in this run; what a former run left may have changed since


@value(frozen=True, slots=True)
class Vacated:
    """What a charging point may still offer whose car has just left, W, until then (monotonic)."""

    offered_w: float
    until_s: float


@value(frozen=True, slots=True)
class Vouched:
    """The load without heat pumps and loads when a charging point had last told its power anew."""

    told_at_s: float  # monotonic
    house_w: float


@value(frozen=True, slots=True)
class Hidden:
    """Cars that are part of the load, as their charging points can't be read (hidden.py). W."""

    house_w: float  # what the house took when it was last told apart
    most_w: float  # so much the cars were seen to take at most
    lately_w: tuple[float, ...]  # the load without heat pumps and loads, of the last ticks


@value(frozen=True, slots=True)
class SwitchMemory:
    """A relay or a heat pump: the state last set and when it changed."""

    state: int
    switched_at_s: float = LONG_AGO_S
    wanted_since_s: float | None = None  # another state would fit better, since then
    locked_s: float = 0.0  # of the day `day`
    day: int = 0
    was: int = 0  # the state before; a restart forgets it
    taken: bool = False  # it was seen to stand so


@value(frozen=True, slots=True)
class Seen:
    """The last believable power of a resource, and since when it is the same to the last bit."""

    value: float
    taken_at_s: float
    same_since_s: float
    counter_wh: float | None  # energy into the terminal when it became the same
    points: Mapping[str, Reading] = field(
        default_factory=lambda: MappingProxyType({})
    )  # of the meter, as they stood when it was last believed
    doubted_at_s: float = LONG_AGO_S  # of the newest sample that was not believed since
    doubted_w: float = 0.0


@value(frozen=True, slots=True)
class Dropped:
    """The readings of one resource in this run that could not be true."""

    count: int
    at_s: float  # of the last, monotonic
    why: str  # the last was not believed


@value(frozen=True, slots=True)
class SignMemory:
    """Whether meter and batteries point the same way: the last samples of both, and what followed from them."""

    samples: tuple[tuple[float, float, float], ...] = ()  # (monotonic s, W at the meter, W of all batteries)
    sure: int = 0  # samples in a row after which the meter seemed to count backwards
    stopped_until_s: float = LONG_AGO_S
    doubt: bool = False  # after a stop, until it was seen to come out right


@value(frozen=True, slots=True)
class Volts:
    """The voltage at the connection point, smoothed, as of `at_s`."""

    volts: float
    at_s: float  # monotonic


@value(frozen=True, slots=True)
class Metered:
    """The meter's last word, and what tells its own power as it was read with it."""

    grid_w: float
    at_s: float  # monotonic
    parts_w: Mapping[str, float]  # by resource, without what is told less often than the meter
    told_w: float = 0.0  # of everything that tells its power


_NO_W = (0.0,) * (METER_LATE_MOST_S + 1)


@value(frozen=True, slots=True)
class Lateness:
    """How late the meter is, and what tells it (lateness.py); tuples of W have a value per second of lateness."""

    seconds: float = 0.0
    told: tuple[str, ...] = ()  # the batteries and charging points that could be read
    trail: tuple[tuple[float, float], ...] = ()  # (monotonic s, W of batteries and cars) of the last seconds
    heard_at_s: float = LONG_AGO_S  # the meter's last word that was compared
    around_w: float | None = None  # what it showed then, without the sun
    gave_w: tuple[float, ...] = ()  # what they had told so much earlier
    shown_w: tuple[float, ...] = _NO_W  # how far that has moved lately, W
    rough_w: tuple[float, ...] = _NO_W  # how far the load has moved lately if the meter is so late, W
    turned_w: tuple[float, ...] = _NO_W  # and if it counts backwards besides


@value(frozen=True, slots=True)
class Imposed:
    """The grid's limit on one side that was last in force, a magnitude."""

    limit_w: float
    source: str
    rank: Rank
    until: datetime | None = None
    spread: bool = False
    since_s: float = LONG_AGO_S  # since when this side is limited


@value(frozen=True, slots=True)
class Release:
    """What ended for many houses at once, and how long this house keeps to it all the same (spreading.py)."""

    side: str  # "import" or "export"
    limit_w: float  # a magnitude
    source: str
    since_s: float  # monotonic
    delay_s: float  # drawn once
    ramp_w_per_s: float | None = None  # after an outage; None: the site's
    firm: bool = True  # a limit that was in force; else: no more than flowed when a price event ended


@value(frozen=True, slots=True)
class Memory:
    """Carried along by the loop, never looked at by anybody else; `memory_json` keeps it over a restart."""

    reserve_locked: frozenset[str] = frozenset()  # batteries that reached their reserve and have not left it yet
    chargers: Mapping[str, ChargerMemory] = field(default_factory=lambda: MappingProxyType({}))
    vacated: Mapping[str, Vacated] = field(default_factory=lambda: MappingProxyType({}))
    batteries_w: Mapping[str, float] = field(default_factory=_none)  # last set points
    load_w: float | None = None  # last trustworthy estimate of what is not controllable
    switched_w: float = 0.0  # of it, what heat pumps and loads told of themselves
    load_at_s: float | None = None  # when it was last taken from readings that were made together
    house_w: float | None = None  # the load without heat pumps and loads when each charging point was last read too
    vouched: Mapping[str, Vouched] = field(default_factory=lambda: MappingProxyType({}))  # by charging point
    supposed_w: Mapping[str, float] = field(
        default_factory=_none
    )  # what cars are given that tell seldom (late_cars.py)
    no_car: frozenset[str] = frozenset()  # charging points at which none was, as last read, nor has shown in the load
    full_at_s: Mapping[str, float] = field(default_factory=_none)  # charging points held without a car: no room by then
    hidden: Hidden | None = None  # while a car may be in the load
    meter_lost_at_s: float | None = None
    moved: tuple[tuple[float, float], ...] = ()  # (monotonic s, W) of all that moves by our will, of the last seconds
    loads_w: tuple[float, ...] = ()  # the last ones as they came out of the measurements
    volts: Volts | None = None  # while a curve of the grid asks for it
    metered: Metered | None = None
    astray: frozenset[str] = frozenset()  # the chargers and batteries that did not follow in the last tick
    sound_w: Mapping[str, float] = field(default_factory=_none)  # the load when each had last told anything new
    late: Lateness = Lateness()
    trend: Trend | None = None  # of load and sun
    free_trend: Trend | None = None  # without the roofs that an export limit bounds
    switches: Mapping[str, SwitchMemory] = field(default_factory=lambda: MappingProxyType({}))
    seen: Mapping[str, Seen] = field(default_factory=lambda: MappingProxyType({}))
    signs: SignMemory = SignMemory()
    decided_at_s: float | None = None  # of the last tick; None: this is the first one
    begun_at_s: float | None = None  # of the first tick of this run
    islanded: bool = False
    grid_back_at_s: float | None = None
    grid_back: str = ""  # the occasion, for chance
    returned: str = ""  # the occasion, in the very tick in which the grid counts as back
    unformed: bool = False  # in this island no battery could be read: nobody knows who carries the house, if anybody
    formed_at_s: float | None = None  # of a black start: since then one can be read
    imposed: Mapping[str, Imposed] = field(default_factory=lambda: MappingProxyType({}))  # by side
    releases: tuple[Release, ...] = ()
    prices: Prices | None = None  # that were last in force
    voltage_seen: bool = False  # the meter has shown the grid's voltage: only then its absence says something
    apart: frozenset[str] = frozenset()  # what was read when the load was last taken
    places: PlaceMemory = field(default_factory=PlaceMemory)
    phases_a: tuple[float, ...] | None = None  # at the meter, each as it was last seen
    heat: tuple[float, ...] = ()  # of the main fuse (fuse_heat.py)
    managed: frozenset[str] = frozenset()  # batteries that have told their state of charge in this run
    begun_w: Mapping[str, float] = field(default_factory=_none)  # what an asked change counts against
    dropped: Mapping[str, Dropped] = field(default_factory=lambda: MappingProxyType({}))  # by resource
