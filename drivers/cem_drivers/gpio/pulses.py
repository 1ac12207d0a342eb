"""A pulse meter (S0, EN 62053-31): energy from the count, power from the time between pulses. Pure."""

from collections import deque
from collections.abc import Iterable

from cem_drivers.gpio.debounce import Change, Debouncer

WINDOW_S = 2.0  # fast pulses are averaged over so much
NOTHING_W = 2.0  # below this nothing flows
SOON_W = 100.0  # no pulse since the start proves that less than this flows: it is told from then on
SHORTED_S = 60.0  # a pulse that lasts so long is none
LOAD_SPIKE = 3.0  # pulses that mean so many times the rating are disturbances on the wire


class PulseMeter:
    """Counts pulses of `pulses_per_kwh`. Powers are magnitudes in W, energies Wh.

    When the next pulse is late the power is what would just have produced none, so it decays and ends at 0.
    `most_w`: the rating of what is measured; pulses that come three times as fast are not believed, but counted apart.
    """

    def __init__(self, pulses_per_kwh: float, now_s: float, most_w: float | None = None, pulses: int = 0) -> None:
        self.pulses = pulses
        self.disturbed = 0
        self._wh = 1000.0 / pulses_per_kwh
        self._least_s = 0.0 if not most_w else self._wh * 3600.0 / (LOAD_SPIKE * most_w)
        self._since_s = now_s
        self._times: deque[float] = deque()

    @property
    def energy_wh(self) -> float:
        """Of all pulses."""
        return self.pulses * self._wh

    def pulse(self, at_s: float) -> None:
        """One pulse came."""
        if self._times and at_s - self._times[-1] < self._least_s:
            self.disturbed += 1
            return
        self.pulses += 1
        self._times.append(at_s)
        while len(self._times) > 2 and self._times[0] < at_s - WINDOW_S:
            self._times.popleft()

    def power_w(self, now_s: float) -> float | None:
        """The present power; None until two pulses, or their absence, tell it."""
        waited_s = now_s - (self._times[-1] if self._times else self._since_s)
        bound_w = self._wh * 3600.0 / waited_s if waited_s > 0.0 else float("inf")
        if len(self._times) < 2:
            return None if bound_w > SOON_W else _shown(bound_w)
        span_s = self._times[-1] - self._times[0]
        mean_w = self._wh * 3600.0 * (len(self._times) - 1) / span_s if span_s > 0.0 else bound_w
        return _shown(min(mean_w, bound_w))


class PulseContact:
    """The meter's output: a pulse begins where the contact closes, and where its end was lost the next one counts."""

    def __init__(self, meter: PulseMeter, contact: Debouncer, now_s: float) -> None:
        self.meter = meter
        self._contact = contact
        self._closed_s = now_s

    def edge(self, at_s: float, closed: bool) -> None:
        """One edge."""
        missed = self._contact.missed
        self._count(self._contact.edge(at_s, closed))
        if self._contact.missed > missed and closed and self._contact.closed:
            self._count([Change(at_s, True)])

    def level(self, now_s: float, closed: bool) -> None:
        """The polled level."""
        self._count(self._contact.level(now_s, closed))

    def shorted(self, now_s: float) -> bool:
        """Whether the contact never opens."""
        return self._contact.closed and now_s - self._closed_s > SHORTED_S

    def _count(self, changes: Iterable[Change]) -> None:
        for change in changes:
            if change.closed:
                self.meter.pulse(change.at_s)
                self._closed_s = change.at_s


def _shown(power_w: float) -> float:
    return 0.0 if power_w < NOTHING_W else power_w
