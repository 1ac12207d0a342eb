"""Times of OpenADR 3.1.0: interval starts (RFC 3339, or the beginning of time for "now") and ISO 8601 durations.

Both keep the text they came as, so that what is passed on is what was received.
"""

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

_INFINITE_YEARS = 9999
_MAX_TEXT = 64
_NOW = re.compile(r"(?:0000-00-00|0001-01-01)(?:[Tt ]00:00:00(?:\.0{1,9})?(?:[Zz]|[+-]00:00)?)?")
_RFC3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}):([0-9]{2})(?:\.([0-9]{1,12}))?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_DURATION = re.compile(
    r"(-?)P(?=[0-9]|T[0-9])(?:([0-9]+)Y)?(?:([0-9]+)M)?(?:([0-9]+)([DW]))?"
    r"(?:T(?:([0-9]+)H)?(?:([0-9]+)M)?(?:([0-9]+)(?:\.([0-9]+))?S)?)?"
)


def parse_datetime(text: str) -> datetime:
    """An RFC 3339 time as aware UTC; any offset and up to 12 digits of a fraction are accepted (kept to 1 us).

    Raises ValueError for everything else, a time without an offset included.
    """
    match = _RFC3339.fullmatch(text) if len(text) <= _MAX_TEXT else None
    if match is None:
        raise ValueError(f"{text[:_MAX_TEXT]!r} is not an RFC 3339 time with an offset, such as 2026-01-15T09:30:00Z")
    date, clock, seconds, fraction, offset = match.groups()
    leap = seconds == "60"  # RFC 3339 clause 5.7; datetime has no leap second: the second that follows it
    zone = "+00:00" if offset in "Zz" else offset
    try:
        at = datetime.fromisoformat(f"{date}T{clock}:{'59' if leap else seconds}{zone}")
        micros = int((fraction or "0").ljust(6, "0")[:6])
        return (at + timedelta(seconds=int(leap), microseconds=micros)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text!r} is not a time that exists: {error}") from error


def format_datetime(at: datetime) -> str:
    """An aware instant in RFC 3339, UTC, with milliseconds only where there are any."""
    utc = at.astimezone(UTC)
    spec = "milliseconds" if utc.microsecond else "seconds"
    return utc.replace(tzinfo=None).isoformat(timespec=spec) + "Z"


@dataclass(frozen=True, slots=True)
class Start:
    """The start of an interval period; `instant` (aware UTC) is None for "now" (User Guide 7.3)."""

    text: str
    instant: datetime | None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads the wire's form; raises ValueError.

        Interpretation: the "beginning of time" is 0001-01-01 with or without midnight and a zero offset, and the
        0000-00-00 of earlier editions.
        """
        if len(text) <= _MAX_TEXT and _NOW.fullmatch(text):
            return cls(text, None)
        return cls(text, parse_datetime(text))

    @classmethod
    def at(cls, instant: datetime) -> Self:
        """The start at an aware instant."""
        return cls.parse(format_datetime(instant))

    @classmethod
    def now(cls) -> Self:
        """The start "now"."""
        return cls("0001-01-01T00:00:00Z", None)

    @property
    def is_now(self) -> bool:
        """Whether it stands for "now" or, after the first interval, "follows the one before"."""
        return self.instant is None

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Duration:
    """An ISO 8601 duration. `months` (years and months) are calendar months, `span` is the rest; both have one sign."""

    text: str
    months: int
    span: timedelta

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads the wire's form (pattern of the schema `duration`); raises ValueError."""
        match = _DURATION.fullmatch(text) if len(text) <= _MAX_TEXT else None
        if match is None:
            raise ValueError(f"{text[:_MAX_TEXT]!r} is not an ISO 8601 duration, such as PT15M")
        sign, years, months, count, unit, hours, minutes, seconds, fraction = match.groups()
        way = -1 if sign else 1
        try:
            span = timedelta(
                days=int(count or 0) * (7 if unit == "W" else 1),
                hours=int(hours or 0),
                minutes=int(minutes or 0),
                seconds=int(seconds or 0),
                microseconds=int((fraction or "0").ljust(6, "0")[:6]),
            )
        except OverflowError as error:
            raise ValueError(f"{text!r} is too long a duration; P9999Y is the way to say infinite") from error
        return cls(text, way * (int(years or 0) * 12 + int(months or 0)), way * span)

    @classmethod
    def of(cls, span: timedelta) -> Self:
        """The duration of a span, such as PT1H30M."""
        sign, total = ("-", -span) if span < timedelta() else ("", span)
        hours, rest = divmod(total.days * 86400 + total.seconds, 3600)
        minutes, seconds = divmod(rest, 60)
        fraction = f".{total.microseconds:06d}".rstrip("0") if total.microseconds else ""
        clock = (f"{hours}H" if hours else "") + (f"{minutes}M" if minutes else "")
        if seconds or fraction or not clock:
            clock += f"{seconds}{fraction}S"
        return cls.parse(f"{sign}PT{clock}")

    @classmethod
    def infinite(cls) -> Self:
        """P9999Y: open until changed or cancelled."""
        return cls.parse(f"P{_INFINITE_YEARS}Y")

    @property
    def is_infinite(self) -> bool:
        """Whether it means "without an end"."""
        return abs(self.months) >= _INFINITE_YEARS * 12

    @property
    def is_negative(self) -> bool:
        """Whether it runs backwards."""
        return self.months < 0 or self.span < timedelta()

    def after(self, start: datetime) -> datetime | None:
        """The instant a duration after `start`; None when it never ends (infinite, or beyond the year 9999).

        Years and months are calendar ones: a day that the month lacks becomes its last day.
        """
        if self.is_infinite:
            return None
        year, month = divmod(start.year * 12 + start.month - 1 + self.months, 12)
        try:
            day = min(start.day, calendar.monthrange(year, month + 1)[1])
            return start.replace(year=year, month=month + 1, day=day) + self.span
        except (ValueError, OverflowError, IndexError):
            return None

    def length(self) -> timedelta | None:
        """Its length where no start is known; None when infinite. A month counts 30 days, a year 365."""
        if self.is_infinite:
            return None
        years, months = divmod(abs(self.months), 12)
        calendar_part = timedelta(days=years * 365 + months * 30)
        return self.span + (-calendar_part if self.months < 0 else calendar_part)

    def __str__(self) -> str:
        return self.text
