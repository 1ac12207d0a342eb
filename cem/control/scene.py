"""Everything that the choosers of one tick look at."""

import math
from collections.abc import Callable, Mapping
from dataclasses import field
from datetime import datetime
from types import MappingProxyType
from typing import Any, TypeVar

from cem.control import words
from cem.control.asked import site_dispatch
from cem.control.memory import Memory
from cem.control.picture import Picture
from cem.control.presence import gone
from cem.control.prices import Prices
from cem.control.spreading import Waiting
from cem.control.trend import lead_w, room_w
from cem.control.tuning import EV_FOLLOW_S, EXPORT_MARGIN_W, IMPORT_MARGIN_W, START_S
from cem.model.directive import LinkState
from cem.model.envelope import Band, Envelope, Rank
from cem.model.plan import Intent, Slot
from cem.model.resource import Resource, Role
from cem.model.site import Site
from cem.model.tick import Inputs
from cem.model.values import lazy, value

T = TypeVar("T")


@value(frozen=True, slots=False)
class Scene:
    """The house, this tick's inputs, and the folded band of the connection point; what follows is worked out once."""

    site: Site
    inputs: Inputs
    picture: Picture
    band: Band
    envelopes: tuple[Envelope, ...]
    memory: Memory = field(default_factory=Memory)
    prices: Prices = field(default_factory=lambda: Prices(None, None))
    guaranteed_w: float = 0.0  # what steered consumers may draw under a mandatory import limit
    waits: Mapping[str, Waiting] = field(default_factory=lambda: MappingProxyType({}))  # by side
    own: Mapping[str, tuple[Envelope, ...]] = field(default_factory=lambda: MappingProxyType({}))  # by subject
    explained: bool = False  # whether the terms behind each set point are wanted

    def once(self, work: Callable[["Scene"], T]) -> T:
        """What a pure function makes of this scene: worked out when it is asked for the first time."""
        known = self._worked_out
        if work not in known:
            known[work] = work(self)
        found: T = known[work]
        return found

    @lazy
    def _worked_out(self) -> dict[Callable[["Scene"], Any], Any]:
        return {}

    @lazy
    def now(self) -> datetime:
        """The wall clock of this tick."""
        return self.inputs.now.wall

    @lazy
    def now_s(self) -> float:
        """The monotonic clock of this tick."""
        return self.inputs.now.mono_s

    @lazy
    def unread_cars(self) -> tuple[Resource, ...]:
        """The charging points that can't be read: what their cars draw counts as load then."""
        known = self.site.of(Role.EV)
        if len(self.picture.chargers) == len(known):
            return ()
        read = {charger.resource.id for charger in self.picture.chargers}
        return tuple([resource for resource in known if resource.id not in read])

    @lazy
    def hidden_car(self) -> bool:
        """Whether a car may be in the load: where none was seen, only if the load has grown by what a car takes."""
        unread = self.unread_cars
        if not unread:
            return False
        known_w = self.memory.house_w
        if known_w is None or any(resource.id not in self.memory.no_car for resource in unread):
            return True
        least_w = min(resource.ratings.min_current_a * resource.ratings.nominal_voltage_v for resource in unread)
        return (self.picture.load_w or 0.0) - self.picture.switched_w - known_w >= least_w

    @lazy
    def house_w(self) -> float:
        """What is not a car or a battery: negative when the sun gives more than the house takes."""
        return (self.picture.load_w or 0.0) + self.picture.pv_w

    @lazy
    def islanded(self) -> bool:
        """The grid's voltage is not there, or has not been back for long enough to count on it."""
        return self.memory.islanded

    @lazy
    def gone(self) -> bool:
        """The grid's voltage is not there now."""
        return gone(self.memory)

    @lazy
    def special(self) -> bool:
        """Whether more than fuses, limits and the sun may bound consumers: an island, a wait, an asked power."""
        return self.gone or bool(self.waits) or bool(self.inputs.directive.dispatches)

    @lazy
    def obliged(self) -> bool:
        """Whether a power asked of the connection point is an obligation."""
        asked = site_dispatch(self.inputs)
        return asked is not None and asked.rank is Rank.OBLIGATION

    @lazy
    def follows_in_s(self) -> float:
        """After so long a car is seen to follow a new offer: a measurement of the tick after next shows it at last."""
        trend = self.memory.trend
        return EV_FOLLOW_S if trend is None else max(EV_FOLLOW_S, 2.0 * trend.every_s)

    @property
    def first(self) -> bool:
        """The first tick of this run: nothing starts with a jump."""
        return self.memory.decided_at_s is None

    def unheard(self, source: str) -> bool:
        """Whether a limit may be the default of a provider that was not heard yet, a moment after the start.

        It has a minute's time; a contactor that opens for it stays open for five.
        """
        begun_s, links = self.memory.begun_at_s, self.inputs.directive.links
        if begun_s is None or self.now_s - begun_s >= START_S:
            return False
        return any(link.provider_id == source and link.state is not LinkState.ONLINE for link in links)

    @lazy
    def slot(self) -> Slot | None:
        """The plan's slot for now; None without a valid plan, a trusted clock or a grid."""
        if self.inputs.plan is None or not self.inputs.now.trusted or self.islanded:
            return None
        return self.inputs.plan.slot_at(self.now)

    def intent(self, resource_id: str) -> Intent | None:
        """The plan's intent for a resource now."""
        slot = self.slot
        return slot.intents.get(resource_id) if slot is not None else None

    def envelopes_of(self, subject: str) -> tuple[Envelope, ...]:
        """The envelopes of one subject."""
        return self.own.get(subject, ())

    @lazy
    def margins_w(self) -> tuple[float, float]:
        """How far to stay inside the import and the export limit: nothing for the fuse, which has its own tolerance.

        Where so little lies between the two that both can't be had, each gets its share of it.
        """
        import_w, export_w = self._wished_w
        if import_w + export_w <= self._between_w:
            return import_w, export_w
        share = self._between_w / (import_w + export_w)
        return share * import_w, share * export_w

    @lazy
    def lead_w(self) -> float:
        """By how much the batteries run ahead of the trend of load and sun, into import positive.

        Only where import and export limit leave no room for it: each tick's lag would else lie beyond the same one.
        """
        return 0.0 if sum(self._wished_w) <= self._between_w else lead_w(self.memory.trend)

    @lazy
    def _wished_w(self) -> tuple[float, float]:
        """A bounded roof opens as far as we let it: no trend that could run away from us beyond an export limit."""
        known, band = self.memory, self.band
        return (
            _margin_w(band.max_by, IMPORT_MARGIN_W + room_w(known.trend, importing=True)),
            _margin_w(band.min_by, EXPORT_MARGIN_W + room_w(known.free_trend, importing=False)),
        )

    @lazy
    def _between_w(self) -> float:
        return max(0.0, self.band.max_w - self.band.min_w)

    @lazy
    def import_room_w(self) -> float:
        """How much more may be drawn from the grid for a moment; none without the grid."""
        by = self.band.max_by
        if self.gone or by is None:
            return 0.0 if self.gone else math.inf
        return max(0.0, self.band.max_w - self.margins_w[0] - (self.picture.grid_w or 0.0))

    @lazy
    def export_room_w(self) -> float:
        """How much less may be drawn from the grid, or more be fed into it, for a moment."""
        if self.band.min_by is None:
            return math.inf
        return max(0.0, (self.picture.grid_w or 0.0) - self.band.min_w - self.margins_w[1])

    def bound(self, by: Envelope) -> str:
        """A bound in words, with its end."""
        return words.bound(by, self.site.zone, self.now)


def _margin_w(by: Envelope | None, margin_w: float) -> float:
    return 0.0 if by is None or by.rank is Rank.SAFETY else margin_w
