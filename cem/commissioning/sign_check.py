"""The sign check: charging the battery with 500 W more must raise the import by about as much.

A meter that was mounted the wrong way round turns every correction into its opposite, up to full power.
"""

import asyncio
from dataclasses import dataclass
from statistics import mean

from cem.commissioning.bench import Bench
from cem.commissioning.plausible import number
from cem.commissioning.result import Result, Step, Verdict
from cem.commissioning.trial import BATTERY_STEP_W, NEARLY_FULL_PCT
from cem.commissioning.write_check import eventually, released_result, subject
from cem.model.errors import DeviceError
from cem.model.resource import Control, Resource, Role
from cem.ports import ControlSpec

SAMPLES = 4
SAMPLE_EVERY_S = 1.0
ROUNDS = 3
"""So often is the step repeated while the house is too restless for a verdict."""
SURE = 2
"""So often must the meter have moved against the battery: once may be the household, or a meter that is late."""
LATE_S = 20.0
"""A meter that is asked by an inverter, or comes by way of a server, shows within so long what the battery did."""
MOVED_SHARE = 0.6
"""The battery has moved when it shows this share of the step."""
ENOUGH, TOO_MUCH = 0.5, 1.6
"""The meter's step over the battery's: within these it is the battery's power that it sees."""


@dataclass(frozen=True, slots=True)
class Pair:
    """The meter and the battery of a sign check, open both; one device may carry both."""

    meter: Bench
    grid: Resource
    battery_bench: Bench
    battery: Resource
    spec: ControlSpec
    charges: bool = True  # False: from the sun alone

    async def powers_w(self) -> tuple[float, float] | None:
        """(grid, battery) as measured now; None when either is unknown."""
        battery = await self.battery_bench.values()
        grid = battery if self.meter is self.battery_bench else await self.meter.values()
        grid_w = number(grid.get(self.grid.id, {}), "power_w")
        battery_w = number(battery.get(self.battery.id, {}), "power_w")
        return None if grid_w is None or battery_w is None else (grid_w, battery_w)


def pair_of(benches: list[Bench]) -> Pair | None:
    """The grid meter and the first battery that may be steered, or None."""
    meter = next(((b, r) for b in benches for r in b.config.resources if r.role is Role.GRID), None)
    battery = next(
        (
            (bench, resource, spec)
            for bench in benches
            for resource in bench.config.resources
            for spec in bench.device.controls()
            if spec.control is Control.BATTERY_SETPOINT_W and spec.resource_id == resource.id
        ),
        None,
    )
    if meter is None or battery is None:
        return None
    return Pair(meter=meter[0], grid=meter[1], battery_bench=battery[0], battery=battery[1], spec=battery[2])


async def check_sign(pair: Pair) -> list[Result]:
    """The verdict on the signs, and on the release after it."""
    lower_w: float | None = None
    try:
        values = (await pair.battery_bench.values()).get(pair.battery.id, {})
        soc_pct, start_w = number(values, "soc_pct"), number(values, "power_w")
        if soc_pct is None or start_w is None:
            return [_result(pair, Verdict.SKIPPED, "the battery tells no power or no state of charge")]
        lower_w, higher_w = _step_w(pair.battery, start_w, soc_pct, charges=pair.charges)
        result = await _compare(pair, lower_w, higher_w)
    except DeviceError as error:
        result = _result(pair, Verdict.FAILED, str(error), "look at the read and write checks first")
    finally:
        released = await released_result(pair.battery_bench, pair.spec, lower_w)
    return [result, released]


async def _compare(pair: Pair, lower_w: float, higher_w: float) -> Result:
    seen, against = "", 0
    for _ in range(ROUNDS):
        ratio, seen = await _one_step(pair, lower_w, higher_w)
        if ratio is not None and ENOUGH <= ratio <= TOO_MUCH:
            return _result(pair, Verdict.PASSED, seen, ratio=ratio)
        against += ratio is not None and -TOO_MUCH <= ratio <= -ENOUGH
        if ratio is not None and against >= SURE:
            advice = "the meter (or the battery) counts the wrong way round: turn its current transformers, or its sign"
            return _result(pair, Verdict.FAILED, seen, advice, ratio)
    advice = "the meter does not see the battery, or the house is too restless: check its place, or try again later"
    return _result(pair, Verdict.FAILED, seen, advice)


def _step_w(battery: Resource, start_w: float, soc_pct: float, *, charges: bool) -> tuple[float, float]:
    """(lower, higher) power of the step: from the present power upwards, within the ratings and the charge."""
    most_w = battery.ratings.max_charge_w if battery.ratings.max_charge_w is not None else BATTERY_STEP_W
    least_w = -(battery.ratings.max_discharge_w or 0.0)
    if soc_pct >= NEARLY_FULL_PCT or not charges:
        most_w = min(most_w, 0.0)
    low_w = max(min(start_w, most_w - BATTERY_STEP_W), least_w)
    return low_w, min(low_w + BATTERY_STEP_W, most_w)


async def _one_step(pair: Pair, low_w: float, high_w: float) -> tuple[float | None, str]:
    """(the meter's step over the battery's, in words): low, high, low again, so that a slow drift cancels out."""
    before = await _settled(pair, low_w, low_w)
    during = await _settled(pair, high_w, low_w, before)
    after = await _settled(pair, low_w, high_w, during)
    if before is None or during is None or after is None:
        return None, f"the battery did not follow a step of {high_w - low_w:.0f} W"
    battery_w = during[1] - (before[1] + after[1]) / 2
    grid_w = during[0] - (before[0] + after[0]) / 2
    seen = f"battery {battery_w:+.0f} W, meter {grid_w:+.0f} W"
    return (grid_w / battery_w if abs(battery_w) > 0.2 * BATTERY_STEP_W else None), seen


async def _settled(
    pair: Pair, target_w: float, from_w: float, former: tuple[float, float] | None = None
) -> tuple[float, float] | None:
    """Mean (grid, battery) power at a setpoint, once the battery has moved there; None when it does not.

    `former`: at the setpoint before. A late meter is waited for until it has moved from there, whichever way.
    """
    await pair.battery_bench.write(pair.spec, target_w)
    reach_w = max((1 - MOVED_SHARE) * abs(target_w - from_w), pair.spec.effect_tolerance)

    async def has_moved() -> bool:
        powers = await pair.powers_w()
        return powers is not None and abs(powers[1] - target_w) <= reach_w

    if not await eventually(pair.battery_bench, has_moved, pair.spec.effect_within_s):
        return None

    async def shows() -> bool:
        powers = await pair.powers_w()
        if powers is None or former is None:
            return False
        return abs(powers[0] - former[0]) >= ENOUGH * abs(powers[1] - former[1])

    if former is not None:
        await eventually(pair.battery_bench, shows, LATE_S)
    samples: list[tuple[float, float]] = []
    for _ in range(SAMPLES):
        await asyncio.sleep(SAMPLE_EVERY_S)
        powers = await pair.powers_w()
        if powers is not None:
            samples.append(powers)
    return (mean(grid for grid, _ in samples), mean(battery for _, battery in samples)) if samples else None


def _result(pair: Pair, verdict: Verdict, seen: str, advice: str = "", ratio: float | None = None) -> Result:
    values: dict[str, float | str | None] = {} if ratio is None else {"ratio": round(ratio, 3)}
    name = f"{pair.grid.id} and {subject(pair.spec)}"
    return Result(Step.SIGN, pair.meter.config.id, name, verdict, seen, advice, values)
