"""Planning problems in a few words, and what must hold of every plan."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from cem.model.plan import EvNeed, Plan, PlanRequest
from cem.model.resource import Control, Ratings, Resource, Role

START = datetime(2026, 1, 15, tzinfo=UTC)
STEP = timedelta(minutes=15)
EFFICIENCY = 0.95

BATTERY = Resource("battery", Role.BATTERY, "inverter", "Battery", Ratings(4000.0, 5000.0, 10000.0))
CAR = Resource("car", Role.EV, "wallbox", "Car", Ratings(max_current_a=16.0, phases=3))
PV = Resource("pv", Role.PV, "inverter", "PV", Ratings(max_generation_w=9000.0), frozenset({Control.PV_LIMIT_W}))


def problem(
    slots: int = 8,
    *,
    price: float | Sequence[float] = 0.30,
    export_price: float | Sequence[float] = 0.08,
    load_w: float | Sequence[float] = 500.0,
    pv_w: float | Sequence[float] = 0.0,
    import_limit_w: float | None = None,
    export_limit_w: float | None = None,
    resources: tuple[Resource, ...] = (BATTERY, PV),
    soc_pct: float = 50.0,
    reserve_pct: float = 10.0,
    grid_charge: bool = True,
    ev: tuple[EvNeed, ...] = (),
    step: timedelta = STEP,
    start: datetime = START,
) -> PlanRequest:
    """A request with one value for all slots, or one each."""

    def each(value: float | Sequence[float]) -> tuple[float, ...]:
        return (float(value),) * slots if isinstance(value, int | float) else tuple(map(float, value))

    batteries = [r.id for r in resources if r.role is Role.BATTERY]
    return PlanRequest(
        edges=tuple(start + step * k for k in range(slots + 1)),
        resources=resources,
        soc_pct=dict.fromkeys(batteries, soc_pct),
        reserve_pct=dict.fromkeys(batteries, reserve_pct),
        grid_charge=dict.fromkeys(batteries, grid_charge),
        ev=ev,
        import_price_per_kwh=each(price),
        export_price_per_kwh=each(export_price),
        import_limit_w=(import_limit_w,) * slots,
        export_limit_w=(export_limit_w,) * slots,
        load_w=each(load_w),
        pv_w=each(pv_w),
    )


def violations(plan: Plan, request: PlanRequest) -> list[str]:
    """What can't be in a plan's expected numbers: balance, ratings, state of charge. Empty if it is sound."""
    faults = []
    stored_pct: Mapping[str, float] = request.soc_pct
    by_id = {resource.id: resource for resource in request.resources}
    if [(slot.start, slot.end) for slot in plan.slots] != list(zip(request.edges, request.edges[1:], strict=False)):
        faults.append("other slots than asked for")
    for at, slot in enumerate(plan.slots):
        hours = (slot.end - slot.start) / timedelta(hours=1)
        assert slot.grid_w is not None
        assert slot.pv_w is not None
        assert slot.load_w is not None
        if abs(slot.grid_w - slot.load_w - slot.pv_w - sum(slot.power_w.values())) > 0.2:
            faults.append(f"slot {at}: energy from nowhere")
        if not -request.pv_w[at] - 0.1 <= slot.pv_w <= 0.1:
            faults.append(f"slot {at}: more sun than there is")
        for resource_id, power_w in slot.power_w.items():
            ratings = by_id[resource_id].ratings
            if by_id[resource_id].role is Role.BATTERY:
                assert ratings.capacity_wh is not None
                most = ratings.max_charge_w if power_w > 0 else ratings.max_discharge_w
                gain = power_w * EFFICIENCY if power_w > 0 else power_w / EFFICIENCY
                moved = (slot.soc_pct[resource_id] - stored_pct[resource_id]) / 100.0 * ratings.capacity_wh
                if abs(moved - gain * hours) > 2.0:
                    faults.append(f"slot {at}: {resource_id} {power_w} W moved {moved} Wh in {hours} h")
            else:
                most = (ratings.max_current_a or 0.0) * ratings.phases * ratings.nominal_voltage_v
                if power_w < -0.1:
                    faults.append(f"slot {at}: {resource_id} gives power")
            if abs(power_w) > (most or 0.0) + 0.2:
                faults.append(f"slot {at}: {resource_id} beyond its rating")
        stored_pct = slot.soc_pct
    return faults


def charged_wh(plan: Plan, resource_id: str, before: datetime | None = None) -> float:
    """Energy into a resource over the plan, or over the slots that end by an instant."""
    return sum(
        slot.power_w[resource_id] * ((slot.end - slot.start) / timedelta(hours=1))
        for slot in plan.slots
        if before is None or slot.end <= before
    )
