"""How often somebody may do something in a minute."""

from collections import OrderedDict, deque
from datetime import datetime, timedelta
from http import HTTPStatus

from cem.sgcp.vtn.answers import RefusedRequest

_WINDOW = timedelta(minutes=1)
_MAX_KEYS = 10_000


class Turnstile:
    """Counts by key over the last minute; bounded in memory, the least recent keys are forgotten first."""

    def __init__(self, allowed: int) -> None:
        self._allowed = allowed
        self._times: OrderedDict[str, deque[datetime]] = OrderedDict()

    def count(self, key: str, now: datetime) -> None:
        """Counts one."""
        times = self._times.setdefault(key, deque(maxlen=self._allowed))
        times.append(now)
        self._times.move_to_end(key)
        if len(self._times) > _MAX_KEYS:
            self._times.popitem(last=False)

    def demand(self, key: str, now: datetime) -> None:
        """Refuses with 429, and says when to come again, once all turns of the minute are used."""
        times = self._times.get(key)
        if times is None or len(times) < self._allowed:
            return
        left = times[0] + _WINDOW - now
        if timedelta() < left <= _WINDOW:  # after a step of the clock into the past nobody is shut out
            wait_s = int(left.total_seconds()) + 1
            raise RefusedRequest(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"{self._allowed} a minute are allowed; come again in {wait_s} s",
                {"retry-after": str(wait_s)},
            )
