"""Reports by descriptor: which intervals, when, and what stands in them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cem.model.plan import Slot
from cem.sgcp.bindings.openadr3_catalogue import REPORT_PAYLOADS, Treatment
from cem.sgcp.reports.asked import FORECASTS, UNITS, AskedReport, Span, due, not_offered
from cem.sgcp.reports.asked_content import Measured, report_request
from cem.sgcp.reports.compliance import mean_w
from cem.sgcp.reports.flexibility import Part
from cem.sgcp.reports.outlook import Outlook
from cem.wire.openadr3 import Event, ReportPayload, to_json
from support.houses import BATTERY, CAR, HEAT_PUMP, PV
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
        (3, {"historical": False}, [(0.0, [10, 11, 12])]),  # the figure "forecast reporting"
        (4, {"payloadType": "USAGE_FORECAST"}, [(0.0, [10, 11, 12, 13])]),  # a forecast by its nature
        (4, {"payloadType": "DEMAND", "readingType": "FORECAST", "startInterval": 1}, [(1.0, [11, 12, 13])]),
        (
            5,
            {"startInterval": 0, "numIntervals": 3, "frequency": 1, "repeat": 3, "historical": False},
            [(0.0, [10, 11, 12]), (1.0, [11, 12, 13]), (2.0, [12, 13, 14])],
        ),  # the figure "rolling reporting"
        (3, {"payloadType": "UP_REGULATION_AVAILABLE"}, [(3.0, [10, 11, 12])]),
        (3, {"payloadType": "REGULATION_SETPOINT"}, []),
        (3, {"payloadType": "BASELINE", "historical": False}, []),
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
    reserve = {"payloadType": "IMPORT_RESERVATION_CAPACITY"}
    body = event(1, {}, reserve, {"payloadType": "READING", "historical": False}, {"payloadType": "X-OWN"})
    assert not_offered(body) == ["IMPORT_RESERVATION_CAPACITY", "READING", "X-OWN"]


def test_every_type_is_offered_as_the_catalogue_says() -> None:
    reported = {kind for kind, meaning in REPORT_PAYLOADS.items() if meaning.treatment is Treatment.REPORTED}
    assert set(UNITS) == reported
    for kind in ReportPayload:
        assert (not_offered(event(1, {"payloadType": kind.value})) == []) == (kind in reported), kind


AD_HOC = {"payloadType": "STORAGE_CHARGE_LEVEL", "frequency": 0, "reportIntervals": "OPEN_INTERVALS"}


def test_the_state_of_charge_is_told_each_quarter_hour_where_the_time_is_left_to_us() -> None:
    guide = event(0, AD_HOC, intervalPeriod={"start": "0001-01-01", "duration": "PT0H"})  # User Guide 8.6
    assert made(guide, 0.1, 0.8) == [(0.25, [0]), (0.5, [0]), (0.75, [0])]
    assert made(event(0, AD_HOC, intervalPeriod=None), 0.1, 0.4) == [(0.25, [0])]
    while_it_runs = event(1, AD_HOC, intervalPeriod={"start": NOON, "duration": "PT30M"})
    assert made(while_it_runs, -1.0, 2.0) == [(0.25, [0]), (0.5, [0])]
    assert made(event(0, {"frequency": 0}, intervalPeriod=None), 0.0, 4.0) == []  # usage comes each minute anyway


def test_a_forecast_at_our_times_is_one_of_a_day_each_hour() -> None:
    body = event(0, {"payloadType": "USAGE_FORECAST", "frequency": 0}, intervalPeriod=None)
    assert made(body, 0.5, 2.5) == [(1.0, list(range(24))), (2.0, list(range(24)))]


def test_a_rolling_forecast_of_an_event_that_began_years_ago_is_made_without_counting_them_up() -> None:
    """User Guide 8.7."""
    ask = {"startInterval": 0, "numIntervals": 48, "historical": False, "frequency": 1, "repeat": -1}
    body = event(
        0,
        {"payloadType": "LOAD_SHED_DELTA_AVAILABLE", **ask},
        {"payloadType": "GENERATION_DELTA_AVAILABLE", **ask},
        intervalPeriod={"start": "2003-02-10T00:00:00Z", "duration": "PT1H"},
    )
    found = due(body, T0, 0.0, wall(0.5 * HOUR_S), wall(1.5 * HOUR_S))
    assert [(one.at, len(one.spans), one.ahead, len(one.payloads)) for one in found] == [(wall(HOUR_S), 48, True, 2)]
    assert found[0].spans[0].start == wall(HOUR_S)
    assert found[0].spans[0].id == (wall(HOUR_S) - datetime(2003, 2, 10, tzinfo=UTC)) // timedelta(hours=1)
    past = event(0, {**ask, "historical": True, "numIntervals": 2}, intervalPeriod=body_period(body))
    assert [spans for _, spans in made(past, 0.5, 1.5)] == [[found[0].spans[0].id - 2, found[0].spans[0].id - 1]]


def body_period(body: Event) -> dict[str, Any]:
    """The intervalPeriod as JSON."""
    period: dict[str, Any] = to_json(body)["intervalPeriod"]
    return period


PARTS = (
    Part(BATTERY, 1000.0, 50.0, 10.0),
    Part(CAR, 3500.0),
    Part(PV, -2000.0),
    Part(replace(HEAT_PUMP, controls=frozenset()), 700.0),  # nobody steers it
)
HOUSE: dict[str, Any] = {"parts": PARTS}


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
        ("SETPOINT", None, {"asked_w": -1500.0}, -1.5),
        ("SIMPLE_LEVEL", None, {"level": 2}, 2),
        ("SIMPLE_LEVEL", None, {"level": 0}, 0),
        ("USAGE_FORECAST", None, {}, 2.0),
        ("STORAGE_USABLE_CAPACITY", None, HOUSE, 10.0),
        ("STORAGE_MAX_CHARGE_POWER", None, HOUSE, 5.0),
        ("STORAGE_MAX_DISCHARGE_POWER", None, HOUSE, 5.0),
        ("STORAGE_DISPATCH_FORECAST", None, HOUSE, 4.0),  # 50 % less the reserve of 10 %
        ("UP_REGULATION_AVAILABLE", None, HOUSE, 8.5),  # the battery stops charging 1 kW and gives 4, the car 3.5
        ("LOAD_SHED_DELTA_AVAILABLE", None, HOUSE, 8.5),
        ("DOWN_REGULATION_AVAILABLE", None, HOUSE, 6.0),  # the battery 4 kW more, the roof 2 kW less
        ("GENERATION_DELTA_AVAILABLE", None, HOUSE, 6.0),  # the roof 2, the battery 4
        ("OPERATING_STATE", None, {}, "RUNNING_NORMAL"),
        ("OPERATING_STATE", None, {"curtailed": True}, "RUNNING_CURTAILED"),
        ("OPERATING_STATE", None, {"curtailed": True, "opted_out": True}, "RUNNING_OPTED_OUT"),
    ],
)
def test_what_stands_in_an_interval(kind: str, reading: str | None, more: dict[str, Any], expected: object) -> None:
    assert values((kind, reading), **more) == {kind: expected, "DATA_QUALITY": "OK"}


@pytest.mark.parametrize("kind", sorted({*FORECASTS, "UP_REGULATION_AVAILABLE"} - {"USAGE_FORECAST"}))
def test_a_part_that_is_not_known_makes_the_whole_unknown(kind: str) -> None:
    blind = tuple(replace(part, soc_pct=None) for part in PARTS)
    assert values((kind, None), parts=blind) == {"DATA_QUALITY": "MISSING"}


def test_what_a_battery_gives_for_long_is_bounded_by_what_it_holds() -> None:
    battery = Part(BATTERY, 0.0, 50.0, 10.0)
    assert (battery.up_w(0.25), battery.up_w(4.0)) == (5000.0, 1000.0)
    assert (battery.down_w(0.25), battery.down_w(5.0)) == (5000.0, 1000.0)
    assert replace(battery, soc_pct=5.0).up_w(1.0) == 0.0


def test_the_outlook_is_the_plan_minute_by_minute_and_nothing_beyond_it() -> None:
    slots = tuple(
        Slot(
            wall(n * 900), wall((n + 1) * 900), grid_w=1000.0 * n, pv_w=-500.0,
            power_w={"battery": -300.0}, soc_pct={"battery": 60.0 - n},
        )
        for n in range(4)
    )  # fmt: skip
    found = Outlook(("pv",), slots, {"battery": 61.0})
    assert mean_w(found.minutes(None, wall(0), wall(1800)), wall(0), wall(1800)) == 500.0
    assert mean_w(found.minutes("pv", wall(0), wall(3600)), wall(0), wall(3600)) == -500.0
    assert mean_w(found.minutes("battery", wall(0), wall(3600)), wall(0), wall(3600)) == -300.0
    assert mean_w(found.minutes(None, wall(2700), wall(6300)), wall(2700), wall(6300)) is None
    assert found.minutes("car", wall(0), wall(3600)) == []
    assert [found.soc_at("battery", wall(s)) for s in (-1800, 0, 900, 1000, 3600, 3601)] == [None, 61, 60, 60, 57, None]
    assert Outlook().minutes(None, wall(0), wall(900)) == []


def test_what_is_not_known_is_missing_and_never_a_zero() -> None:
    assert values(("BASELINE", None), ("STORAGE_CHARGE_LEVEL", None)) == {"DATA_QUALITY": "MISSING"}
