"""Until when an event runs, as a table (User Guide 7.3, 7.4 and 7.9)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cem.sgcp.vtn.lifespan import ends_at
from cem.wire.openadr3 import Event, validate

KNOWN = datetime(2026, 1, 15, 12, tzinfo=UTC)
NINE = "2026-01-15T09:00:00Z"


def _intervals(*periods: dict[str, str] | None) -> list[dict[str, Any]]:
    return [
        {"id": number, "payloads": [], **({"intervalPeriod": period} if period is not None else {})}
        for number, period in enumerate(periods)
    ]


HOURLY = {"start": NINE, "duration": "PT1H"}
TABLE: list[tuple[str, dict[str, Any], timedelta | None]] = [
    ("three consecutive hours", {"intervalPeriod": HOURLY, "intervals": _intervals(None, None, None)}, timedelta(0)),
    ("no interval", {"intervalPeriod": HOURLY}, timedelta(hours=-2)),
    ("nothing at all", {}, None),
    ("no duration", {"intervalPeriod": {"start": NINE}, "intervals": _intervals(None)}, None),
    ("infinite", {"intervalPeriod": {"start": NINE, "duration": "P9999Y"}, "intervals": _intervals(None)}, None),
    ("cancelled", {"intervalPeriod": {"start": "0001-01-01", "duration": "PT0S"}}, timedelta(0)),
    ("now", {"intervalPeriod": {"start": "0001-01-01", "duration": "PT10M"}}, timedelta(minutes=10)),
    ("event duration shortens", {"duration": "PT1H", "intervalPeriod": HOURLY, "intervals": _intervals(None, None)},
     timedelta(hours=-2)),
    ("event duration loops", {"duration": "P9999Y", "intervalPeriod": HOURLY, "intervals": _intervals(None)}, None),
    ("own periods with a gap", {"intervals": _intervals(HOURLY, {"start": KNOWN.isoformat(), "duration": "PT2H"})},
     timedelta(hours=2)),
    ("a long one first", {"intervals": _intervals({"start": NINE, "duration": "PT8H"}, HOURLY)}, timedelta(hours=5)),
    ("own duration, follows", {"intervalPeriod": HOURLY, "intervals": _intervals(None, {"duration": "PT3H"})},
     timedelta(hours=1)),
    ("randomised", {"intervalPeriod": {**HOURLY, "randomizeStart": "-PT5M"}, "intervals": _intervals(None)},
     timedelta(hours=-2, minutes=5)),
    ("randomised without a bound", {"intervalPeriod": {**HOURLY, "randomizeStart": "P9999Y"}},
     datetime.max.replace(tzinfo=UTC) - KNOWN),
]  # fmt: skip


@pytest.mark.parametrize(("name", "attributes", "after_known"), TABLE, ids=[row[0] for row in TABLE])
def test_an_event_ends_when_its_last_interval_does(
    name: str, attributes: dict[str, Any], after_known: timedelta | None
) -> None:
    event = validate(Event, {"id": "e", "programID": "p", **attributes})
    end = ends_at(event, KNOWN)
    assert end == (None if after_known is None else KNOWN + after_known), name
