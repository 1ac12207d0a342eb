"""Pictures of lines over time."""

import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from cem.io.chart import Line, Panel, svg

START = datetime(2026, 1, 3, tzinfo=UTC)
LABEL = re.compile(r'<text x="64" y="([^"]*)" text-anchor="end">([^<]*)</text>')


@given(low=st.floats(-1e4, 0.0), high=st.floats(1e-3, 1e4))
def test_no_two_numbers_of_a_scale_are_written_over_each_other(low: float, high: float) -> None:
    points = [(START, low), (START + timedelta(hours=1), high)]
    told = LABEL.findall(svg([Panel("power, kW", 160, (Line("grid", "#000", points),))], "a day", "UTC"))
    places = sorted(float(y) for y, _ in told)
    assert all(after - before > 12.0 for before, after in pairwise(places))
    assert "0" in {text for _, text in told}
