"""A plan without a solver: the battery follows the meter, cars and daily loads take the cheapest hours before due."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from cem.model.plan import EvNeed, Intent, IntentKind, LoadNeed, Plan, PlanRequest, Slot
from cem.model.resource import Resource, Role

EFFICIENCY = 0.95


@dataclass(frozen=True, slots=True)
class _Moved:
    resource_id: str
    power_w: list[float]
    intents: list[Intent]
    missing_wh: float


def rules_plan(request: PlanRequest, valid_for: timedelta = timedelta(hours=1), reasons: Sequence[str] = ()) -> Plan:
    """A plan of status "rules": batteries SELF_CONSUME, cars in the cheapest slots before their deadline.

    Needs no solver and no numpy. Expected powers follow the house's signs; numbers that are missing count as 0.
    """
    hours = [(b - a) / timedelta(hours=1) for a, b in pairwise(request.edges)]
    net_w = [_finite(load) - _finite(pv) for load, pv in zip(request.load_w, request.pv_w, strict=True)]
    moved = []
    words = list(reasons)
    for need in request.ev:
        resource = next((r for r in request.resources if r.id == need.resource_id and r.role is Role.EV), None)
        if resource is not None and need.energy_wh > 0:
            car = _car(request, resource, need, hours, net_w)
            net_w = [net + power for net, power in zip(net_w, car.power_w, strict=True)]
            moved.append(car)
            words.append(f"{resource.name}: in the cheapest hours before it is due, by rule")
            if car.missing_wh > 50.0:
                words.append(f"{resource.name}: {car.missing_wh / 1000:.1f} kWh will be missing, the time is too short")
    for load in request.extras.loads:
        run = _load(request, load, net_w)
        net_w = [net + power for net, power in zip(net_w, run.power_w, strict=True)]
        moved.append(run)
    batteries = _batteries(request, hours, net_w)
    return Plan(
        made_at=request.edges[0],
        expires_at=request.edges[0] + valid_for,
        slots=_slots(request, moved, batteries),
        status="rules",
        reasons=tuple(words),
    )


def _finite(value: float) -> float:
    return value if math.isfinite(value) else 0.0


def _car(
    request: PlanRequest, resource: Resource, need: EvNeed, hours: Sequence[float], net_w: Sequence[float]
) -> _Moved:
    """Fills the cheapest slots first; a slot with a surplus costs what feeding in would have paid."""
    least_w, most_w = _car_power_w(resource)
    count = len(hours)
    due = need.due if need.due is not None and need.due > request.edges[0] else request.edges[-1]

    def price(t: int) -> float:
        surplus = -net_w[t] >= least_w
        return _finite(request.export_price_per_kwh[t] if surplus else request.import_price_per_kwh[t])

    power_w, left_wh = [0.0] * count, need.energy_wh
    for t in sorted((t for t in range(count) if request.edges[t + 1] <= due), key=lambda t: (price(t), t)):
        if left_wh <= 0:
            break
        limit_w = request.import_limit_w[t]
        room_w = most_w if limit_w is None else min(most_w, limit_w - net_w[t])
        if room_w >= least_w:
            power_w[t] = max(min(room_w, left_wh / hours[t]), least_w)
            left_wh -= power_w[t] * hours[t]
    intents = [
        Intent(IntentKind.CHARGE_TO, None, round(power)) if power > 0 else Intent(IntentKind.SURPLUS_ONLY)
        for power in power_w
    ]
    return _Moved(resource.id, power_w, intents, max(left_wh, 0.0))


def _load(request: PlanRequest, need: LoadNeed, net_w: Sequence[float]) -> _Moved:
    """The cheapest quarter hours before its time, or the cheapest begin of a run in one go; at once when it is late."""
    count, pieces = len(net_w), len(need.profile_w)
    before = [t for t in range(count) if request.edges[t + 1] <= need.due] or [0]

    def price(t: int, watts: float) -> float:
        surplus = -net_w[t] >= watts
        return _finite(request.export_price_per_kwh[t] if surplus else request.import_price_per_kwh[t])

    power_w = [0.0] * count
    if need.interruptible:
        cheapest = sorted(before, key=lambda t: (price(t, need.profile_w[0]), t))[:pieces]
        for t, watts in zip(sorted(cheapest), need.profile_w, strict=False):
            power_w[t] = watts
    else:
        starts = range(max(len(before) - pieces, 0) + 1)
        start = min(
            starts, key=lambda s: sum(price(s + k, w) * w for k, w in enumerate(need.profile_w) if s + k < count)
        )
        for k, watts in enumerate(need.profile_w[: count - start]):
            power_w[start + k] = watts
    intents = [Intent(IntentKind.CHARGE_TO if watts > 0 else IntentKind.SURPLUS_ONLY) for watts in power_w]
    return _Moved(need.resource_id, power_w, intents, 0.0)


def _car_power_w(resource: Resource) -> tuple[float, float]:
    ratings = resource.ratings
    w_per_amp = ratings.phases * ratings.nominal_voltage_v
    most_w = w_per_amp * (16.0 if ratings.max_current_a is None else ratings.max_current_a)
    if ratings.max_charge_w is not None:
        most_w = min(most_w, ratings.max_charge_w)
    return min(ratings.min_current_a * w_per_amp, most_w), most_w


def _batteries(
    request: PlanRequest, hours: Sequence[float], net_w: Sequence[float]
) -> dict[str, tuple[list[float], list[float]]]:
    """Power and state of charge per slot of each battery that follows the meter, one after the other."""
    result, left_w = {}, list(net_w)
    for resource in request.resources:
        soc_pct, capacity_wh = request.soc_pct.get(resource.id), resource.ratings.capacity_wh
        if resource.role is not Role.BATTERY or soc_pct is None or not capacity_wh:
            continue
        stored_wh = capacity_wh * soc_pct / 100.0
        floor_wh = min(capacity_wh * request.reserve_pct.get(resource.id, 0.0) / 100.0, stored_wh)
        most_in = resource.ratings.max_charge_w or capacity_wh / 2.0
        most_out = resource.ratings.max_discharge_w or capacity_wh / 2.0
        power_w, socs = [], []
        for t, step_h in enumerate(hours):
            into = min(max(-left_w[t], 0.0), most_in, (capacity_wh - stored_wh) / EFFICIENCY / step_h)
            out = min(max(left_w[t], 0.0), most_out, (stored_wh - floor_wh) * EFFICIENCY / step_h)
            stored_wh += (into * EFFICIENCY - out / EFFICIENCY) * step_h
            left_w[t] += into - out
            power_w.append(into - out)
            socs.append(100.0 * stored_wh / capacity_wh)
        result[resource.id] = (power_w, socs)
    return result


def _slots(
    request: PlanRequest, moved: Sequence[_Moved], batteries: dict[str, tuple[list[float], list[float]]]
) -> tuple[Slot, ...]:
    slots = []
    for t, (start, end) in enumerate(_pairs(request.edges)):
        intents = {battery_id: Intent(IntentKind.SELF_CONSUME) for battery_id in batteries}
        power_w = {battery_id: powers[t] for battery_id, (powers, _) in batteries.items()}
        for one in moved:
            intents[one.resource_id] = one.intents[t]
            power_w[one.resource_id] = one.power_w[t]
        load_w, pv_w = _finite(request.load_w[t]), _finite(request.pv_w[t])
        slots.append(
            Slot(
                start=start,
                end=end,
                intents=intents,
                import_price_per_kwh=_finite(request.import_price_per_kwh[t]),
                grid_w=load_w - pv_w + sum(power_w.values()),
                pv_w=-pv_w,
                load_w=load_w,
                power_w=power_w,
                soc_pct={battery_id: socs[t] for battery_id, (_, socs) in batteries.items()},
            )
        )
    return tuple(slots)


def _pairs(edges: Sequence[datetime]) -> list[tuple[datetime, datetime]]:
    return list(pairwise(edges))
