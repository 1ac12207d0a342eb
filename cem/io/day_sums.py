"""The sums of the local day, kept minute by minute so that a status costs no query."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cem.io.minute_row import EnergySums


def day_span(at: datetime, zone: ZoneInfo) -> tuple[int, int]:
    """[begin, end) in minutes since 1970 of the local day of an aware instant: 1380 to 1500 of them."""
    midnight = at.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    following = (midnight.replace(tzinfo=None) + timedelta(days=1)).replace(tzinfo=zone)
    return int(midnight.timestamp() // 60), int(following.timestamp() // 60)


class DaySums:
    """Energies per minute of one local day, and their total."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._minutes: dict[int, EnergySums] = {}
        self.span = (0, 0)
        self.total = EnergySums()

    def start(self, at: datetime) -> tuple[int, int]:
        """Begins the day of an instant with nothing counted; gives its span in minutes."""
        self.span = day_span(at, self._zone)
        self._minutes = {}
        self.total = EnergySums()
        return self.span

    def turn(self, minute: int) -> None:
        """Begins the next day when `minute` belongs to it."""
        if minute >= self.span[1]:
            self.start(datetime.fromtimestamp(minute * 60, UTC))

    def count(self, minute: int, sums: EnergySums, *, replace: bool) -> None:
        """Counts a minute of the day, in addition to or in place of what was counted of it before."""
        if not self.span[0] <= minute < self.span[1]:
            return
        before = self._minutes.get(minute, EnergySums())
        after = sums if replace else before.plus(sums)
        self._minutes[minute] = after
        self.total = self.total.plus(after).plus(before, sign=-1)
