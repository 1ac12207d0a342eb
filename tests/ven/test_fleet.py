"""A thousand houses at one VTN after an outage: they come back spread, their requests as well as their load."""

import pytest

from support.fleet import POLL_S, Figures, Outage, busiest, fleet_outage

CASES = [
    pytest.param(Outage.LINK, 1200.0, id="link, 20 min"),
    pytest.param(Outage.LINK, 400.0, id="link, 7 min"),
    pytest.param(Outage.GRID, 1200.0, id="grid, 20 min"),
    pytest.param(Outage.POWER, 1200.0, id="grid, 20 min, gateways too"),
    pytest.param(Outage.REFUSED, 1200.0, id="Retry-After, 20 min"),
]


def test_the_busiest_ten_seconds_are_found_wherever_they_begin() -> None:
    assert busiest([]) == 0
    assert busiest([0.0, 4.0, 9.0, 12.0, 13.0, 25.0]) == 4


def test_after_a_power_cut_houses_come_no_denser_than_over_a_poll() -> None:
    seen = fleet_outage(25, Outage.POWER, for_s=30.0, steady_s=60.0)
    assert POLL_S / 2 < seen.window_s < 2 * POLL_S
    assert seen.peak_10s < 25 * 8 / 2  # all of them at once would be eight requests of each
    assert seen.back_pct_a_min < 20.0


@pytest.mark.slow
@pytest.mark.parametrize(("outage", "for_s"), CASES)
def test_a_thousand_houses_come_back_without_a_rush(outage: Outage, for_s: float) -> None:
    seen: Figures = fleet_outage(1000, outage, for_s=for_s)
    assert seen.peak_to_mean <= 2.0
    assert 0.0 < seen.back_pct_a_min <= seen.held_pct_a_min <= 10.0
