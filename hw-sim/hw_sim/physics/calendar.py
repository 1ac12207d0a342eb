"""Local time of a house from Unix seconds, cheap enough for every step."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

_QUARTER_S = 900


class Calendar:
    """Local dates and times of one zone; changes of the clock fall on quarter hours, so the offset is kept for one."""

    def __init__(self, zone: str) -> None:
        self.zone = ZoneInfo(zone)
        self._quarter = -1
        self._offset_s = 0.0
        self._last = (0.0, self._day_and_second(0.0))  # an instant, and its day and second

    def local_s(self, unix_s: float) -> float:
        """Unix seconds as a local clock would count them."""
        quarter = int(unix_s // _QUARTER_S)
        if quarter != self._quarter:
            offset = datetime.fromtimestamp(quarter * _QUARTER_S, UTC).astimezone(self.zone).utcoffset()
            self._offset_s = offset.total_seconds() if offset is not None else 0.0
            self._quarter = quarter
        return unix_s + self._offset_s

    def day_and_second(self, unix_s: float) -> tuple[int, float]:
        """Local day number since 1970-01-01 and the second of that day; all of a house ask for the same instant."""
        if self._last[0] != unix_s:
            self._last = (unix_s, self._day_and_second(unix_s))
        return self._last[1]

    def _day_and_second(self, unix_s: float) -> tuple[int, float]:
        local_s = self.local_s(unix_s)
        day = int(local_s // 86400)
        return day, local_s - day * 86400

    def unix_s(self, day: int, at: time) -> float:
        """The Unix second of a local time on a local day."""
        local_date = date(1970, 1, 1) + timedelta(days=day)
        return datetime.combine(local_date, at, self.zone).timestamp()
