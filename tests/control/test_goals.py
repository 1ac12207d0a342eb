"""What a car still lacks of what was asked for, and what follows from it for its set point."""

from dataclasses import replace
from datetime import time, timedelta

import pytest

from cem.model.plan import Intent, IntentKind, Plan
from cem.model.reading import Snapshot, Value
from cem.model.request import RequestKind, UserRequest
from cem.model.resource import Ratings
from cem.model.site import ChargeGoal
from support.houses import CAR, GRID, NOON, house, inputs, of, plan, settled, snapshot

CAPABLE = replace(CAR, ratings=Ratings(max_current_a=16, capacity_wh=60000))
HOME = house(GRID, CAPABLE)
WAITS = plan({"car": Intent(IntentKind.HOLD)})


def plugged(session_wh: float = 0.0, soc_pct: float | None = None) -> Snapshot:
    """A plugged car that does not draw."""
    car: dict[str, Value] = {"power_w": 0.0, "state": "B", "session_wh": session_wh}
    if soc_pct is not None:
        car["soc_pct"] = soc_pct
    return snapshot({"grid": {"power_w": 500.0}, "car": car})


def by(hours: float, **details: float) -> UserRequest:
    """The wish to have it in the car by so many hours from noon."""
    ready = NOON + timedelta(hours=hours)
    request = UserRequest("1", "car", RequestKind.CHARGE_BY, ready + timedelta(hours=1), NOON, ready_at=ready)
    return replace(request, **details)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "image", "planned", "amperes", "words"),
    [
        (by(1, energy_wh=10500.0), plugged(), WAITS, 16, "10.5 kWh are missing until 13:00"),
        (by(4, energy_wh=10500.0), plugged(), WAITS, 0, "waits for a cheaper hour"),
        (by(1, energy_wh=10500.0, session_from_wh=2000.0), plugged(9000.0), WAITS, 0, "waits for a cheaper hour"),
        (by(1, energy_wh=10500.0, session_from_wh=9000.0), plugged(0.0), WAITS, 16, "10.5 kWh"),  # a new session
        (by(1, energy_wh=5000.0, session_from_wh=2000.0), plugged(7000.0), WAITS, 0, "has what was asked for"),
        (by(-0.1, energy_wh=5000.0), plugged(100.0), WAITS, 16, "4.9 kWh are missing"),  # too late, and not given up
        (by(1, target_soc_pct=60.0), plugged(soc_pct=40.0), WAITS, 16, "12.0 kWh are missing until 13:00"),
        (by(4, target_soc_pct=60.0), plugged(soc_pct=40.0), WAITS, 0, "waits for a cheaper hour"),
        (by(4, target_soc_pct=60.0), plugged(soc_pct=60.0), WAITS, 0, "has what was asked for"),
        (by(1, target_soc_pct=60.0), plugged(), WAITS, 0, "waits for a cheaper hour"),  # the car does not tell
        (by(4, energy_wh=5000.0), plugged(), None, 16, "no plan holds it back"),
        (by(4, energy_wh=5000.0), plugged(), plan({}), 0, "made without the car"),
    ],
)
def test_what_is_asked_by_a_time_is_charged_for_when_it_must_and_no_further(
    asked: UserRequest, image: Snapshot, planned: Plan | None, amperes: float, words: str
) -> None:
    setpoint = of(settled(HOME, inputs(image, plan=planned, requests=(asked,)))[0], "car")
    assert (setpoint.value, words in setpoint.reason) == (amperes, True), setpoint.reason


def test_the_owners_word_stands_in_place_of_the_standing_goal() -> None:
    site = replace(HOME, goals=(ChargeGoal("car", time(13, 0), energy_wh=11000.0),))
    assert of(settled(site, inputs(plugged(), plan=WAITS))[0], "car").value == 16
    asked = by(6, energy_wh=11000.0)
    assert of(settled(site, inputs(plugged(), plan=WAITS, requests=(asked,)))[0], "car").value == 0


@pytest.mark.parametrize("last", [RequestKind.CHARGE_NOW, RequestKind.PAUSE, RequestKind.SURPLUS_ONLY])
def test_of_several_acts_on_one_thing_the_newest_counts_alone(last: RequestKind) -> None:
    others = {RequestKind.CHARGE_NOW, RequestKind.PAUSE, RequestKind.SURPLUS_ONLY, RequestKind.CHARGE_BY} - {last}
    until = NOON + timedelta(hours=1)
    older = [
        UserRequest(kind, "car", kind, until, NOON - timedelta(minutes=n + 1), energy_wh=9000.0, ready_at=until)
        for n, kind in enumerate(sorted(others))
    ]
    newest = UserRequest("new", "car", last, until, NOON)
    setpoint = of(settled(HOME, inputs(plugged(), plan=WAITS, requests=(newest, *older)))[0], "car")
    assert setpoint.value == (16 if last is RequestKind.CHARGE_NOW else 0)
    words = {RequestKind.CHARGE_NOW: "full power as asked", RequestKind.PAUSE: "paused by the owner"}
    assert words.get(last, "from the sun only") in setpoint.reason
