"""Forecasts from the house's own past."""

import math
import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cem.model.site import Place
from cem.planning.forecast import DEFAULT_LOAD_W, USUAL_LOAD, load_forecast, pv_forecast, slot_edges
from cem.planning.past import Course
from cem.planning.sky import clear_sky

NOW = datetime(2026, 6, 10, 12, tzinfo=UTC)  # a Wednesday
BERLIN = Place(52.5, 13.4)


def past(days: float, value_w: object = None, *, until: datetime = NOW) -> list[tuple[int, float]]:
    """Minute means of the days before an instant: a number, or a function of the instant."""
    count, end_s = int(days * 1440), int(until.timestamp())
    minutes = [end_s - 60 * k for k in range(count, 0, -1)]
    if callable(value_w):
        return [(minute, float(value_w(datetime.fromtimestamp(minute, UTC)))) for minute in minutes]
    return [(minute, float(value_w)) for minute in minutes if isinstance(value_w, int | float)]


def evening(at: datetime) -> float:
    """A load with an evening peak."""
    return 2000.0 if 17 <= at.hour < 21 else 300.0


def sun(at: datetime) -> float:
    """A clear day's generation."""
    return max(5000.0 * math.sin((at.hour + at.minute / 60 - 5) / 14 * math.pi), 0.0)


@given(st.floats(0, 4e8))
def test_edges_start_now_and_run_on_full_quarter_hours(seconds: float) -> None:
    now = NOW + timedelta(seconds=seconds)
    edges = slot_edges(now)
    assert abs((edges[0] - now).total_seconds()) < 1.0
    assert 96 <= len(edges) - 1 <= 97
    assert all(edge.timestamp() % 900 == 0 for edge in edges[1:])
    assert edges[-1] - edges[0] >= timedelta(hours=24)
    assert all(a < b for a, b in pairwise(edges))


@pytest.mark.parametrize(("day", "slots"), [("2026-03-29", 92), ("2026-06-10", 96), ("2026-10-25", 100)])
def test_a_local_day_has_its_own_number_of_quarter_hours(day: str, slots: int) -> None:
    zone = ZoneInfo("Europe/Berlin")
    start = datetime.fromisoformat(day).replace(tzinfo=zone)
    end = (start + timedelta(days=1)).replace(tzinfo=zone)
    edges = slot_edges(start, horizon_s=int((end.astimezone(UTC) - start.astimezone(UTC)).total_seconds()))
    assert len(edges) - 1 == slots
    assert edges[-1] == end


def test_without_history_there_is_still_a_forecast() -> None:
    edges = slot_edges(NOW)
    assert set(load_forecast(Course([]), edges).expected_w) == {DEFAULT_LOAD_W}
    assert set(pv_forecast(Course([]), edges).expected_w) == {0.0}
    assert set(pv_forecast(Course([]), edges, 3000.0, place=BERLIN).expected_w) == {0.0}


def test_a_daily_pattern_is_found_again() -> None:
    edges = slot_edges(NOW)
    forecast = load_forecast(Course(past(14, evening)), edges).expected_w
    for start, value in zip(edges, forecast, strict=False):
        assert value == pytest.approx(evening(start), abs=1.0)


def test_the_pattern_follows_local_time_over_the_change_of_the_clocks() -> None:
    zone = ZoneInfo("Europe/Berlin")
    now = datetime(2026, 3, 29, 12, tzinfo=UTC)
    history = past(7, lambda at: evening(at.astimezone(zone)), until=now)
    forecast = load_forecast(Course(history), slot_edges(now), "Europe/Berlin").expected_w
    for start, value in zip(slot_edges(now), forecast, strict=False):
        assert value == pytest.approx(evening(start.astimezone(zone)), abs=1.0)


def test_recent_days_weigh_more() -> None:
    old, new = past(14, 1000.0, until=NOW - timedelta(days=7)), past(7, 200.0)
    assert load_forecast(Course(old + new), slot_edges(NOW)).expected_w[-1] < 500.0


def test_weekends_are_learnt_apart() -> None:
    def weekly(at: datetime) -> float:
        return 1500.0 if at.weekday() >= 5 else 300.0

    friday = datetime(2026, 6, 12, 23, 45, tzinfo=UTC)
    saturday = load_forecast(Course(past(28, weekly, until=friday)), slot_edges(friday)).expected_w[40]
    assert saturday > 700.0


def surprised(lasts_h: float, a_day: int, *, days: int = 14) -> Course:
    """A load of 300 W with 1 kW more for a while, so often a day at any time, and in the last hour."""
    rng = random.Random(7)
    begins = [NOW - timedelta(days=day, hours=rng.uniform(2, 24)) for day in range(days) for _ in range(a_day)]

    def load(at: datetime) -> float:
        more = any(begin <= at < begin + timedelta(hours=lasts_h) for begin in (*begins, NOW - timedelta(hours=1)))
        return 300.0 + (1000.0 if more else 0.0)

    return Course(past(days, load))


@pytest.mark.parametrize(("lasts_h", "a_day", "in_an_hour_w"), [(0.5, 6, (0.0, 100.0)), (8.0, 1, (250.0, 900.0))])
def test_how_long_a_surprise_lasts_is_learnt_of_the_house(
    lasts_h: float, a_day: int, in_an_hour_w: tuple[float, float]
) -> None:
    history, edges = surprised(lasts_h, a_day), slot_edges(NOW)
    usual = load_forecast(history, [edge + timedelta(days=1) for edge in edges]).expected_w  # too far off for it
    more_w = load_forecast(history, edges).expected_w[5] - usual[5]
    assert in_an_hour_w[0] <= more_w <= in_an_hour_w[1]


@pytest.mark.parametrize("lasts", [False, True])
def test_how_long_clouds_last_is_learnt_of_the_sky(lasts: bool) -> None:
    """A dull day, or hours of any kind side by side; the last hour was dull."""
    rng = random.Random(3)
    skies = [rng.choice((0.2, 1.0)) for _ in range(24 * 22)]

    def sky(at: datetime) -> float:
        hour = (at - NOW + timedelta(days=21)) // timedelta(hours=1)
        dull = hour == 24 * 21 - 1 or (lasts and hour >= 24 * 21 - 12)
        return sun(at) * (0.2 if dull else skies[hour // 24 if lasts else hour])

    forecast = pv_forecast(Course(past(21, sky)), slot_edges(NOW)).expected_w
    share = sum(forecast[4:16]) / sum(sun(edge) for edge in slot_edges(NOW)[4:16])
    assert (share < 0.4) if lasts else (0.5 < share < 0.7)


def test_the_last_hours_error_is_carried_forward_and_fades() -> None:
    def at_once(at: datetime) -> float:
        return 300.0 + (1000.0 if at >= NOW - timedelta(hours=1) else 0.0)

    forecast = load_forecast(Course(past(14, at_once)), slot_edges(NOW)).expected_w
    assert forecast[0] == pytest.approx(300.0 + 1000.0 * USUAL_LOAD.at(0.125), rel=0.01)
    assert forecast[40] < 350.0
    assert all(a >= b - 1e-6 for a, b in pairwise(forecast[:80]))


def test_todays_clouds_are_carried_forward_and_fade() -> None:
    def cloudy(at: datetime) -> float:
        return -0.0 + sun(at) * (0.3 if at >= NOW - timedelta(hours=6) else 1.0)

    edges = slot_edges(NOW)
    forecast = pv_forecast(Course(past(7, cloudy)), edges).expected_w
    assert forecast[0] < 0.5 * sun(NOW)
    assert all(a < 0.8 * sun(at) for a, at in zip(forecast[:8], edges, strict=False))
    assert forecast[92] > 0.8 * sun(edges[92])


def test_pv_never_exceeds_its_rating() -> None:
    assert max(pv_forecast(Course(past(7, sun)), slot_edges(NOW), 3000.0).high_w) == 3000.0


def test_nothing_younger_than_now_is_looked_at() -> None:
    known = past(7, evening)
    future = [(int(NOW.timestamp()) + 60 * k, 9e9) for k in range(1440)]
    edges = slot_edges(NOW)
    assert load_forecast(Course(known + future), edges) == load_forecast(Course(known), edges)
    assert pv_forecast(Course(known + future), edges) == pv_forecast(Course(known), edges)


def test_gaps_and_broken_values_are_skipped() -> None:
    broken = [(minute, math.nan if k % 3 == 0 else value) for k, (minute, value) in enumerate(past(7, 500.0))]
    forecast = load_forecast(Course(broken[: len(broken) // 2] + broken[-600:]), slot_edges(NOW)).expected_w
    assert all(value == pytest.approx(500.0) for value in forecast)


def test_a_few_minutes_of_history_are_enough() -> None:
    forecast = load_forecast(Course(past(0.01, 800.0)), slot_edges(NOW)).expected_w
    assert all(value == pytest.approx(800.0) for value in forecast)


@pytest.mark.parametrize(
    ("place", "noon", "day", "light_h"),
    [  # noon in UTC by the equation of time, hours of light by the almanac; in summer the sun rises behind the roof
        (BERLIN, 10.98, "2026-09-22", 12.2),
        (BERLIN, 11.07, "2026-12-21", 7.6),
        (BERLIN, 10.84, "2026-11-03", 9.6),
        (Place(-33.9, 18.4), 10.8, "2026-06-21", 9.9),
        (Place(34.1, -117.4), 19.83, "2026-03-20", 12.1),
    ],
)
def test_a_clear_sky_is_light_as_long_as_the_almanac_says(place: Place, noon: float, day: str, light_h: float) -> None:
    midday = int(datetime.fromisoformat(f"{day}T{int(noon):02}:00:00+00:00").timestamp()) // 900
    sky = {quarter: clear_sky(quarter, place) for quarter in range(midday - 48, midday + 48)}
    lit = [quarter for quarter, share in sky.items() if share > 0.0]
    assert len(lit) / 4.0 == pytest.approx(light_h, abs=0.5)
    assert ((lit[0] + lit[-1] + 1) / 8.0) % 24.0 == pytest.approx(noon, abs=0.3)
    assert max(sky.values()) <= 1.0
    assert max(sky, key=lambda quarter: sky[quarter]) in range(midday - 4, midday + 8)


@pytest.mark.parametrize("month", [2, 4, 9, 11])
def test_a_roofs_mean_of_two_weeks_is_brought_to_the_season_where_the_place_is_known(month: int) -> None:
    """A steep roof to the west; the shape in mind is another one."""
    now = datetime(2026, month, 15, tzinfo=UTC)

    def west(at: datetime) -> float:
        quarter = int(at.timestamp()) // 900
        return 6000.0 * clear_sky(quarter, Place(45.0, 0.0))

    history, edges = Course(past(21, west, until=now)), slot_edges(now)
    came = [west(start) for start in edges[:-1]]
    errors = {}
    for place in (None, BERLIN):
        found = pv_forecast(history, edges, place=place).expected_w
        errors[place] = sum(abs(one - other) for one, other in zip(found, came, strict=True))
    assert errors[BERLIN] < 0.6 * errors[None]


def test_the_next_days_hours_do_not_depend_on_where_the_season_stands_still() -> None:
    forecast = [pv_forecast(Course(past(14, sun)), slot_edges(NOW), place=place).expected_w for place in (None, BERLIN)]
    assert sum(forecast[1]) == pytest.approx(sum(forecast[0]), rel=0.02)  # in June two weeks change little


def test_the_band_holds_four_days_of_five_and_is_narrower_for_the_next_hours() -> None:
    rng = random.Random(4)
    level = {day: rng.uniform(200.0, 2000.0) for day in range(-40, 2)}

    def noisy(at: datetime) -> float:
        return level[(at - NOW).days]

    inside, widths = [], []
    for day in range(-12, 1):
        now = NOW + timedelta(days=day)
        found = load_forecast(Course(past(28, noisy, until=now)), slot_edges(now))
        came = [noisy(start) for start in slot_edges(now)[:-1]]
        inside += [a <= b <= c for a, b, c in zip(found.low_w, came, found.high_w, strict=True)][40:]
        widths.append((found.high_w[0] - found.low_w[0], found.high_w[60] - found.low_w[60]))
        assert all(a <= b <= c for a, b, c in zip(found.low_w, found.expected_w, found.high_w, strict=True))
    assert 0.7 <= sum(inside) / len(inside) <= 0.97
    assert all(soon < late for soon, late in widths)


def test_little_history_means_a_wide_band() -> None:
    found = load_forecast(Course(past(1, 500.0)), slot_edges(NOW))
    assert found.high_w[-1] > 1000.0
    assert found.low_w[-1] < 250.0
