"""Room for what is under way: a slow change counts, a step does not."""

import pytest

from cem.control import Memory, decide
from cem.control.trend import FOLLOW_S, MOST_LEAD_W, MOST_OUT_W, MOST_W, Trend, followed, lead_w, room_w
from cem.model.directive import Directive
from cem.model.envelope import SITE, Envelope, Rank
from support.houses import BATTERY, GRID, house, inputs, snapshot, watts, world


def run(values: list[float], every_s: float = 1.0) -> Trend:
    trend: Trend | None = None
    for tick, value in enumerate(values):
        trend = followed(trend, value, 1000.0 + every_s * tick)
    assert trend is not None
    return trend


def test_a_lasting_rise_keeps_as_much_room_as_it_brings_until_devices_follow() -> None:
    rising = run([80.0 * second for second in range(60)])
    assert room_w(rising, importing=True) == pytest.approx(80.0 * (1.0 + FOLLOW_S), rel=0.01)
    assert room_w(rising, importing=False) == 0.0
    falling = run([-80.0 * second for second in range(60)])
    assert room_w(falling, importing=False) == pytest.approx(80.0 * (1.0 + FOLLOW_S), rel=0.01)


@pytest.mark.parametrize("every_s", [2.0, 10.0, 30.0, 60.0])
def test_long_ticks_have_trends_too_and_keep_the_room_of_a_tick(every_s: float) -> None:
    rising = run([8.0 * every_s * tick for tick in range(60)], every_s)
    assert room_w(rising, importing=True) == pytest.approx(8.0 * (every_s + FOLLOW_S), rel=0.01)


@pytest.mark.parametrize("values", [[500.0] * 9, [500.0] * 5 + [9000.0] * 5, [0.0, 700.0] * 20, []])
def test_a_step_and_a_flicker_are_no_trend(values: list[float]) -> None:
    assert room_w(run(values) if values else None, importing=True) == pytest.approx(0.0, abs=1e-9)


def test_no_trend_keeps_more_room_than_the_most() -> None:
    assert room_w(run([1e5 * second for second in range(60)]), importing=True) == MOST_W


def test_a_gap_begins_anew_and_a_second_look_at_the_same_values_changes_nothing() -> None:
    rising = run([80.0 * second for second in range(60)])
    assert followed(rising, 4000.0, 1070.0).w_per_s == 0.0
    assert followed(rising, 5000.0, 1059.2) is rising


def test_a_tick_between_two_words_of_the_meter_does_not_end_a_trend() -> None:
    """Load rises by 90 W in ten seconds; news of the grid makes two ticks more, one before the meter has spoken."""
    site, memory = house(), Memory()
    for word in range(12):
        mono_s = 1000.0 + 10.0 * word
        _, memory = decide(site, inputs(world(load_w=500 + 90 * word, mono_s=mono_s)), memory)
        for later_s in (6.0, 8.0):
            image = world(load_w=500 + 90 * word, ages_s={"grid": later_s}, mono_s=mono_s + later_s)
            _, memory = decide(site, inputs(image), memory)
    assert room_w(memory.trend, importing=True) == pytest.approx(9.0 * (10.0 + FOLLOW_S), rel=0.01)


@pytest.mark.parametrize(
    ("w_per_s", "lead"), [(0.0, 0.0), (12.0, 12.0), (-12.0, -12.0), (300.0, MOST_OUT_W), (-300.0, -MOST_LEAD_W)]
)
def test_a_trend_leads_by_what_it_brings_until_the_next_tick(w_per_s: float, lead: float) -> None:
    assert lead_w(run([w_per_s * second for second in range(60)])) == pytest.approx(lead, abs=0.1)


def test_a_trend_leads_a_long_tick_by_no_more_than_the_mean_of_a_minute_may_be_if_it_ends() -> None:
    rising = run([10.0 * 60.0 * tick for tick in range(60)], 60.0)
    assert lead_w(rising) == pytest.approx(50.0, abs=0.1)


@pytest.mark.parametrize("per_tick_w", [-90.0, 90.0])
def test_where_nothing_may_flow_either_way_a_lasting_trend_brings_no_minute_beyond_a_limit(per_tick_w: float) -> None:
    """Ticks are ten seconds apart, and the battery follows within one."""
    nothing = Envelope(SITE, 0.0, 0.0, Rank.OBLIGATION, "utility", "nothing may flow")
    site, memory, battery_w, load_w, flows_w = house(GRID, BATTERY), Memory(), -2500.0, 2500.0, [0.0] * 6
    for tick in range(24):
        load_w += (per_tick_w if tick >= 12 else 0.0) + (3.0, -5.0, 4.0, -2.0)[tick % 4]
        flows_w.append(load_w + battery_w)
        image = snapshot(
            {"grid": {"power_w": flows_w[-1]}, "battery": {"power_w": battery_w, "soc_pct": 50.0}},
            mono_s=1000.0 + 10.0 * tick,
        )
        decision, memory = decide(site, inputs(image, directive=Directive(envelopes=(nothing,))), memory)
        battery_w = watts(decision, "battery")
        assert abs(sum(flows_w[-6:])) / 6 <= 50.0
