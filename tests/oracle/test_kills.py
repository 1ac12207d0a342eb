"""Killed at any tick: the first command after the start makes no bump (I21), and minimum times still hold (I8)."""

import random
from datetime import UTC, datetime

import pytest

from cem.simulation.play import play
from support.oracle_random import house

START = datetime(2026, 5, 4, 4, tzinfo=UTC)
LIMITS = (4200, 11000, 1500, 6000)


def _hour_of_kills(home: str, seed: int, every_s: tuple[int, int]) -> list[str]:
    """An hour in which limits come and go and the gateway is killed again and again; what the judge says."""
    draw = random.Random(seed)
    acts: list[dict[str, object]] = [
        {"at_s": at_s, "do": "signal", "signal": "import_limit", "values": [limit_w], "in_s": 5, "for_s": 420}
        for at_s, limit_w in zip(range(300, 3300, 780), LIMITS, strict=True)
    ]
    at_s, kills = 20, 0
    while at_s < 3500:
        acts.append({"at_s": at_s, "do": "kill"})
        at_s += draw.randint(1, 12)
        acts.append({"at_s": at_s, "do": "start"})
        at_s += draw.randint(*every_s)
        kills += 1
    assert kills > 15
    acts.sort(key=lambda act: float(str(act["at_s"])))
    played = play(house(f"kills-{seed}", home, START, seed=seed, for_s=3600, act=acts))
    assert played.judged_steps >= 3600
    return [str(violation) for violation in played.violations]


@pytest.mark.parametrize(("home", "seed"), [("two-cars.toml", 1), ("all-electric.toml", 2)])
def test_no_promise_is_broken_by_a_kill_at_any_tick(home: str, seed: int) -> None:
    assert _hour_of_kills(home, seed, (3, 240)) == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 30))
@pytest.mark.parametrize(
    "home", ["demo.toml", "small-fuse.toml", "farm.toml", "two-cars.toml", "heat-pump.toml", "contacts.toml"]
)
def test_no_promise_is_broken_by_kills_in_any_home(home: str, seed: int) -> None:
    assert _hour_of_kills(home, seed, (1, 200)) == []
