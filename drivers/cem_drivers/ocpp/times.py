"""When a charger means: its own clock against ours, so that what it kept while offline is never taken for news."""

from dataclasses import dataclass
from datetime import UTC, datetime

LIVE_S = 15.0
"""What was sampled so long before it arrived is taken as of its arrival: sending takes time, and clocks are coarse."""


def instant(text: object) -> float | None:
    """Unix seconds of a dateTime of OCPP; without an offset UTC is meant (OCPP-J 1.6, 3.13 of the errata)."""
    if not isinstance(text, str):
        return None
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    try:
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (OverflowError, OSError):
        return None


def written(unix_s: float) -> str:
    """A dateTime in UTC, whole seconds, as every charger understands it."""
    return datetime.fromtimestamp(int(unix_s), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(slots=True)
class ChargerClock:
    """The charger's clock, followed by the monotonic one: a jump of our own wall clock moves nothing.

    `told` is the time that we gave it, which it should have taken; `shown` the one in an answer that we had just
    asked for, which is proof. A charger whose proof contradicts what it was told does not follow us.
    """

    _told: tuple[float, float] | None = None  # Unix seconds at monotonic seconds
    _shown: tuple[float, float] | None = None

    def told(self, unix_s: float, mono_s: float) -> None:
        """We answered with our time."""
        if self._shown is None or self._told is None or self._agree(mono_s):
            self._told = (unix_s, mono_s)

    def shown(self, unix_s: float, mono_s: float) -> None:
        """It gave its time in what was asked for right now."""
        self._shown = (unix_s, mono_s)

    def _agree(self, mono_s: float) -> bool:
        told, shown = self._now(self._told, mono_s), self._now(self._shown, mono_s)
        return told is not None and shown is not None and abs(told - shown) <= LIVE_S

    @staticmethod
    def _now(reference: tuple[float, float] | None, mono_s: float) -> float | None:
        return None if reference is None else reference[0] + mono_s - reference[1]

    def now(self, mono_s: float) -> float | None:
        """What its clock shows, in Unix seconds; None: nothing is known of it."""
        shown = self._now(self._shown, mono_s)
        return shown if shown is not None else self._now(self._told, mono_s)

    def taken_at_s(self, unix_s: float | None, mono_s: float) -> float | None:
        """When a sample with this time was taken, monotonic; None where that can't be said.

        Without a time it counts from its arrival; one from the future of every clock that may be meant can't be dated.
        """
        if unix_s is None:
            return mono_s
        references = [self._shown] if self._shown is not None and not self._agree(mono_s) else [self._shown, self._told]
        ages = [now - unix_s for reference in references if (now := self._now(reference, mono_s)) is not None]
        if any(abs(age) <= LIVE_S for age in ages):
            return mono_s
        past = [age for age in ages if age > 0]
        return mono_s - min(past) if past and len(past) == len(ages) else None
