"""Reports by descriptor: which intervals, when, and what stands in them."""

from datetime import timedelta
from typing import Any

import pytest

from cem.sgcp.reports.asked import AskedReport, Measured, Span, due, not_offered, report_request
from cem.wire.openadr3 import Event, to_json
from support.openadr3_messages import schema_faults
from support.ven_world import T0, limit_intervals, wall, wire_event

HOUR_S = 3600.0
NOON = "2026-01-15T12:00:00Z"


def event(count: int, *descriptors: dict[str, Any], **more: Any) -> Event:
    """Intervals of an hour from T0 on, with the ids 10, 11, ..."""
    intervals = [{**one, "id": 10 + n} for n, one in enumerate(limit_intervals(*[5.0] * count))]
    period = {"start": NOON, "duration": "PT1H"}
    asked = [{"payloadType": "USAGE", **one} for one in descriptors or ({},)]
    return wire_event(**{"intervalPeriod": period, "intervals": intervals, "reportDescriptors": asked, **more})


def made(body: Event, since_h: float = -1.0, until_h: float = 100.0) -> list[tuple[float, list[int]]]:
    """(hour after T0, ids of the intervals) of every report."""
    found = due(body, T0, 0.0, wall(since_h * HOUR_S), wall(until_h * HOUR_S))
    return [((one.at - T0) / timedelta(hours=1), [span.id for span in one.spans]) for one in found]


@pytest.mark.parametrize(
    ("count", "descriptor", "expected"),
    [
        (4, {}, [(4.0, [10, 11, 12, 13])]),  # all defaults: everything, at the end of the last
        (5, {"startInterval": 1, "numIntervals": 3}, [(4.0, [11, 12, 13])]),  # a subset
        (10, {"startInterval": 5}, [(10.0, [15, 16, 17, 18, 19])]),  # the last five of ten
        (
            6,
            {"startInterval": 1, "numIntervals": 2, "frequency": 2, "repeat": 3},
            [(2.0, [10, 11]), (4.0, [12, 13]), (6.0, [14, 15])],
        ),  # the figure "periodic reporting"
        (
            3,
            {"startInterval": 0, "numIntervals": 1, "frequency": 1, "repeat": -1},
            [(1.0, [10]), (2.0, [11]), (3.0, [12])],
        ),
        (3, {"startInterval": 0, "frequency": 1, "repeat": 2}, [(1.0, [10]), (2.0, [10, 11])]),
        (3, {"frequency": 1, "repeat": -1, "numIntervals": 2}, [(3.0, [11, 12])]),
        (3, {"startInterval": 7, "numIntervals": 2}, []),  # there are no such intervals
        (3, {"frequency": 0}, []),  # ad hoc: the usage reports answer it
        (3, {"historical": False}, []),
        (3, {"payloadType": "UP_REGULATION_AVAILABLE"}, []),
    ],
)
def test_which_intervals_are_reported_when(
    count: int, descriptor: dict[str, Any], expected: list[tuple[float, list[int]]]
) -> None:
    assert made(event(count, descriptor)) == expected


def test_a_looping_event_asks_with_each_turn_and_an_open_one_not_yet() -> None:
    loop = event(2, duration="PT6H")
    assert made(loop) == [(2.0, [10, 11]), (4.0, [10, 11]), (6.0, [10, 11])]
    endless = event(2, duration="P9999Y")
    assert made(endless, 1000.5, 1004.5) == [(1002.0, [10, 11]), (1004.0, [10, 11])]
    assert made(event(1, intervalPeriod={"start": NOON, "duration": "P9999Y"})) == []


def test_an_event_without_intervals_implies_them() -> None:
    body = event(0, {"startInterval": 0, "numIntervals": 1, "frequency": 1, "repeat": -1})
    assert made(body, 0.0, 2.5) == [(1.0, [0]), (2.0, [1])]
    assert made(event(0, intervalPeriod=None)) == []


def test_each_moment_falls_due_once_however_it_is_cut() -> None:
    body = event(6, {"startInterval": 0, "numIntervals": 1, "frequency": 1, "repeat": -1})
    whole = made(body, 0.0, 6.0)
    cut = [one for hour in range(12) for one in made(body, hour / 2, (hour + 1) / 2)]
    assert cut == whole
    assert len(whole) == 6


def test_what_is_asked_for_together_comes_in_one_report() -> None:
    body = event(1, {}, {"payloadType": "DEMAND", "readingType": "PEAK"}, {"targets": ["battery"]})
    found = due(body, T0, 0.0, wall(0), wall(2 * HOUR_S))
    assert [(one.payloads, one.targets) for one in found] == [
        ((("USAGE", None), ("DEMAND", "PEAK")), ()),
        ((("USAGE", None),), ("battery",)),
    ]
    assert len({one.name for one in found}) == 2


def test_what_is_not_offered_is_named() -> None:
    body = event(1, {}, {"payloadType": "USAGE_FORECAST"}, {"payloadType": "DEMAND", "historical": False})
    assert not_offered(body) == ["DEMAND", "USAGE_FORECAST"]


def values(*payloads: tuple[str, str | None], **more: Any) -> dict[str, Any]:
    """The payloads of one interval of an hour, half of it at 1 kW and half at 3 kW."""
    minutes = [(int(T0.timestamp()) + 60 * n, 1000.0 if n < 30 else 3000.0) for n in range(60)]
    asked = AskedReport("e", wall(HOUR_S), (Span(7, T0, wall(HOUR_S)),), payloads, (), aggregate=False)
    message = to_json(report_request(asked, "house-1", {"AGGREGATED_REPORT": [Measured(minutes, **more)]}))
    assert schema_faults("reportRequest", message) == []
    interval = message["resources"][0]["intervals"][0]
    assert interval["id"] == 7
    return {p["type"]: p["values"][0] for p in interval["payloads"]}


@pytest.mark.parametrize(
    ("kind", "reading", "more", "expected"),
    [
        ("USAGE", None, {}, 2.0),
        ("DEMAND", "MEAN", {}, 2.0),
        ("DEMAND", "PEAK", {}, 3.0),
        ("READING", None, {}, 3.0),
        ("BASELINE", None, {"baseline_w": 2500.0}, 2.5),
        ("DELTA_USAGE", None, {"baseline_w": 2500.0}, -0.5),
        ("STORAGE_CHARGE_LEVEL", None, {"soc_pct": 55.5}, 55.5),
        ("OPERATING_STATE", None, {}, "RUNNING_NORMAL"),
        ("OPERATING_STATE", None, {"curtailed": True}, "RUNNING_CURTAILED"),
        ("OPERATING_STATE", None, {"curtailed": True, "opted_out": True}, "RUNNING_OPTED_OUT"),
    ],
)
def test_what_stands_in_an_interval(kind: str, reading: str | None, more: dict[str, Any], expected: object) -> None:
    assert values((kind, reading), **more) == {kind: expected, "DATA_QUALITY": "OK"}


def test_what_is_not_known_is_missing_and_never_a_zero() -> None:
    assert values(("BASELINE", None), ("STORAGE_CHARGE_LEVEL", None)) == {"DATA_QUALITY": "MISSING"}
