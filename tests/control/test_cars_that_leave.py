"""What a car that has just left could still draw is nobody else's until its charger has taken the offer back."""

from collections.abc import Mapping
from datetime import timedelta

import pytest

from cem.control import Memory, decide
from cem.control.tuning import EV_TOLD_S
from cem.model.directive import Directive
from cem.model.reading import Value
from cem.model.request import RequestKind, UserRequest
from cem.model.tick import Inputs
from support.houses import BATTERY, CAR, GRID, NOON, house, inputs, limited, snapshot, watts

SITE = house(GRID, BATTERY, CAR)
LIMIT_W, LOAD_W, OFFER_A, DRAWN_W = 5000.0, 400.0, 16.0, 3680.0
DRAWING: Mapping[str, Value] = {"power_w": DRAWN_W, "state": "C", "limit_a": OFFER_A, "current_a": OFFER_A}
GONE: Mapping[str, Value] = {"power_w": 0.0, "state": "A", "limit_a": 0.0}
WAITS: Mapping[str, Value] = {"power_w": 0.0, "state": "B", "limit_a": OFFER_A}


def _at(mono_s: float, car: Mapping[str, Value], limit: Directive) -> Inputs:
    """Battery and car are to charge now, as the owner said."""
    asked = [
        UserRequest(one, one, RequestKind.CHARGE_NOW, NOON + timedelta(hours=1), NOON) for one in ("battery", "car")
    ]
    drawn_w = car["power_w"]
    assert isinstance(drawn_w, float)
    battery: dict[str, Value] = {"power_w": 0.0, "soc_pct": 40.0}
    image = snapshot({"grid": {"power_w": LOAD_W + drawn_w}, "car": car, "battery": battery}, mono_s=mono_s)
    return inputs(image, directive=limit, requests=tuple(asked))


def _after(car: Mapping[str, Value], limit: Directive) -> list[float]:
    """What the battery is told in the ten seconds after a minute with such a car."""
    memory = Memory()
    for second in range(60):
        _, memory = decide(SITE, _at(1000.0 + second, car, limit), memory)
    told = []
    for second in range(10):
        decision, memory = decide(SITE, _at(1060.0 + second, GONE, limit), memory)
        told.append(watts(decision, "battery"))
    return told


def test_the_battery_takes_the_room_of_a_car_that_left_once_its_charger_has_taken_the_offer_back() -> None:
    told = _after(DRAWING, limited(LIMIT_W))
    kept = round(EV_TOLD_S)
    assert max(told[:kept]) <= LIMIT_W - LOAD_W - DRAWN_W
    assert told[kept] > LIMIT_W - LOAD_W - DRAWN_W
    assert told[-1] == pytest.approx(LIMIT_W - LOAD_W, abs=100.0)


@pytest.mark.parametrize(
    ("car", "limit"), [(WAITS, limited(LIMIT_W)), (DRAWING, Directive())], ids=["it never drew", "no limit"]
)
def test_nothing_is_kept_for_a_car_that_never_drew_or_where_nothing_limits(
    car: Mapping[str, Value], limit: Directive
) -> None:
    assert _after(car, limit)[0] > LIMIT_W - LOAD_W - DRAWN_W
