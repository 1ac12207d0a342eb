"""Numbers, times and states in words."""

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cem.dashboard import notices, words
from cem.dashboard.notices import Tone
from cem.model.resource import POINTS, Role
from cem.model.status import Alarm, Flow
from support.statuses import NOON, fallback, islanded, limited, normal, safe, starting


@pytest.mark.parametrize(
    ("power_w", "text"),
    [
        (None, "unknown"),
        (0.0, "0 W"),
        (-0.4, "0 W"),
        (85.4, "85 W"),
        (99.6, "0.1 kW"),
        (-512.0, "0.5 kW"),
        (3098.0, "3.1 kW"),
        (99_949.0, "99.9 kW"),
        (99_950.0, "100 kW"),
        (999_499.0, "999 kW"),
        (10e6, "10.0 MW"),
    ],
)
def test_powers_read_like_on_a_nameplate(power_w: float | None, text: str) -> None:
    assert words.power(power_w) == text


POWERED = [role for role in Role if "power_w" in POINTS[role]]


@given(st.sampled_from(POWERED), st.floats(-1e8, 1e8))
def test_words_never_carry_a_sign(role: Role, power_w: float) -> None:
    said = words.doing(role, power_w) + words.power(power_w) + words.energy(power_w)
    assert "-" not in said
    assert "+" not in said


@given(st.floats(words.IDLE_W, 1e8))
def test_the_two_directions_have_different_words(power_w: float) -> None:
    for role in POWERED:
        assert words.doing(role, power_w) != words.doing(role, -power_w)


def test_the_flow_reads_as_one_sentence() -> None:
    assert words.flow_sentence(normal()) == (
        "sun 4.2 kW → house 0.6 kW, battery charging 3.1 kW (62 %), car 0 W, exporting 0.5 kW"
    )
    assert "house unknown" in words.flow_sentence(safe())
    assert "battery giving 1.5 kW" in words.flow_sentence(islanded())


def test_what_the_house_does_not_have_is_left_out() -> None:
    bare = dataclasses.replace(normal(), devices=normal().devices[:1], flow=Flow(1200.0, None, None, None, 1200.0))
    assert words.flow_sentence(bare) == "house 1.2 kW, importing 1.2 kW"


@pytest.mark.parametrize(
    ("age_s", "text"),
    [
        (None, "never"),
        (0.3, "now"),
        (3.0, "3 s"),
        (99.4, "99 s"),
        (100.0, "2 min"),
        (3569.0, "59 min"),
        (7200.0, "2 h"),
    ],
)
def test_ages_are_short(age_s: float | None, text: str) -> None:
    assert words.age(age_s) == text


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (NOON + timedelta(hours=3), "15:03"),
        (NOON + timedelta(hours=12), "tomorrow 00:03"),
        (NOON - timedelta(hours=13), "yesterday 23:03"),
        (datetime(2026, 6, 20, 5, 0, tzinfo=UTC), "Sat 07:00"),
        (datetime(2026, 12, 24, 6, 0, tzinfo=UTC), "24 Dec 07:00"),
    ],
)
def test_times_are_those_of_the_clock_on_the_wall(at: datetime, text: str) -> None:
    assert words.moment(at, normal()) == text


def test_an_unknown_zone_shows_universal_time() -> None:
    assert words.clock_s(dataclasses.replace(normal(), zone="Mars/Olympus")) == "10:03:05"


def test_an_act_can_end_tomorrow_morning_on_the_wall_clock() -> None:
    ends = words.until_choices(NOON, "Europe/Berlin")
    assert ends[-1][1] == datetime(2026, 6, 18, 5, 0, tzinfo=UTC)
    assert all(end > NOON for _, end in ends)


def test_a_quiet_house_gets_one_calm_line() -> None:
    assert [notice.tone for notice in notices.banner(normal())] == [Tone.CALM]


def test_the_binding_limit_is_told_with_who_since_until_and_why() -> None:
    (line,) = notices.banner(limited())
    assert line.text == (
        "export at most 0.5 kW · utility · since 11:30 until 15:00 · local voltage too high (event Midday peak)"
    )


def test_a_lost_link_is_told_with_what_holds() -> None:
    limit, link = notices.banner(fallback())
    assert "import at most 4.2 kW · utility (default) · since 11:22" in limit.text
    assert "utility: lost, its default limits hold since 11:32 · last word 11:22" in link.text
    assert (limit.tone, link.tone) == (Tone.WARNING, Tone.WARNING)


def test_an_unset_clock_is_told() -> None:
    assert any("clock is not set" in notice.text for notice in notices.banner(starting()))


def test_the_worst_alarm_comes_first_and_an_unknown_severity_is_bad() -> None:
    info, odd, warning = (
        Alarm(name, name, NOON, "cause", "effect", "advice") for name in ("info", "catastrophe", "warning")
    )
    found = notices.alarms(dataclasses.replace(normal(), alarms=(info, warning, odd)))
    assert [alarm.id for alarm in found] == ["catastrophe", "warning", "info"]


@pytest.mark.parametrize(
    ("text", "width", "short"),
    [
        ("waits for the sun", 17, "waits for the sun"),
        ("waits for the cheap hours from 01:00; needs 22 kWh by 07:00", 40, "waits for the cheap hours from 01:00"),
        ("stores the sun for the evening when power is dear", 32, "stores the sun for the evening …"),
    ],
)
def test_a_text_is_shortened_at_a_clause_or_a_word(text: str, width: int, short: str) -> None:
    assert words.shorten(text, width) == short


@given(st.text(alphabet="ab ;,:(·", max_size=80), st.integers(4, 60))
def test_a_shortened_text_fits(text: str, width: int) -> None:
    assert len(words.shorten(text, width)) <= width
