"""A planning request as a problem: what the optimiser needs, in kW, kWh and hours, every number finite."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np

from cem.model.plan import EvNeed, PlanRequest
from cem.model.resource import Control, Resource, Role
from cem.planning.parts import Array, CarPart, Goal, LoadPart, Problem, Services, StorePart

EFFICIENCY = 0.95  # of charging and of discharging each, where the ratings do not tell
HOURS_TO_FULL = 2.0  # power of a battery that does not tell its own: full in this time
WEAR_SHARE = 0.02  # of the median import price, per kWh discharged
END_SHARE = 0.9  # of what a stored kWh replaces at the median import price; below 1, so that a flat tariff never hoards
AT_RESERVE = 0.01  # of its capacity: so close below its reserve a battery counts as being there
AFTERWARDS = 0.5  # weight of a goal that was missed in time: still wanted within the horizon
EARLY = 0.05  # weight of having it a little before its time, where there is time to spare; above any hour's price
EARLY_H, EARLY_SHARE = 0.25, 0.05  # so much before, or so much of the hours that it takes: cars wake late and take less


def problem_of(request: PlanRequest) -> tuple[Problem, list[str]]:
    """The request as arrays, and in words what of it could not be used.

    Raises ValueError where the shapes do not fit (fewer than one slot, edges out of order, a tuple of another length).
    """
    _check_shape(request)
    notes: list[str] = []
    hours = np.array([(b - a).total_seconds() / 3600.0 for a, b in pairwise(request.edges)])
    import_price = _prices(request.import_price_per_kwh, "import", notes)
    export_price = _prices(request.export_price_per_kwh, "export", notes)
    median = float(np.median(import_price))
    problem = Problem(
        hours=hours,
        import_price=import_price,
        export_price=export_price,
        import_limit_kw=_limits(request.import_limit_w),
        export_limit_kw=_limits(request.export_limit_w),
        load_kw=_powers(request.load_w, "load", notes),
        pv_kw=_powers(request.pv_w, "PV", notes),
        curtailable=any(r.role is Role.PV and Control.PV_LIMIT_W in r.controls for r in request.resources),
        stores=(*_batteries(request, median, notes), *_heat_stores(request, median)),
        cars=tuple(_cars(request, hours, median, notes)),
        loads=tuple(_loads(request)),
        services=_services(request),
        peak_price=request.extras.peak_price_per_kw,
        peak_kw=request.extras.peak_so_far_w / 1000.0,
    )
    return problem, notes


def _check_shape(request: PlanRequest) -> None:
    n = len(request.edges) - 1
    if n < 1 or any(b <= a for a, b in pairwise(request.edges)):
        raise ValueError(f"a planning request needs edges in rising order, at least two; got {len(request.edges)}")
    for name in ("import_price_per_kwh", "export_price_per_kwh", "import_limit_w", "export_limit_w", "load_w", "pv_w"):
        if len(getattr(request, name)) != n:
            raise ValueError(f"{name} has {len(getattr(request, name))} values for {n} slots")
    extras = request.extras
    bands = {"grid_min_w": extras.grid_min_w, "grid_max_w": extras.grid_max_w}
    bands |= {f"demand_w of {need.store.resource_id}": need.demand_w for need in extras.heat}
    for name, values in bands.items():
        if values and len(values) != n:
            raise ValueError(f"{name} has {len(values)} values for {n} slots")
    if any(len(values) != n for course in request.courses for values in (course.load_w, course.pv_w)):
        raise ValueError(f"every course of load and generation needs {n} values")


def _prices(values: Sequence[float], side: str, notes: list[str]) -> Array:
    prices = np.array(values, dtype=np.float64)
    good = np.isfinite(prices)
    if not good.all():
        notes.append(f"prices: {int((~good).sum())} {side} prices missing, their median taken instead")
        prices[~good] = float(np.median(prices[good])) if good.any() else 0.0
    return prices


def _powers(values: Sequence[float], what: str, notes: list[str]) -> Array:
    powers = np.array(values, dtype=np.float64) / 1000.0
    good = np.isfinite(powers)
    if not good.all():
        notes.append(f"forecast: {int((~good).sum())} {what} values missing, their mean taken instead")
        powers[~good] = float(powers[good].mean()) if good.any() else 0.0
    return np.maximum(powers, 0.0)


def _limits(values: Sequence[float | None]) -> Array:
    """A limit that is not a number counts as none: the control loop enforces limits, the plan only foresees them."""
    limits = np.array([np.inf if value is None else max(value, 0.0) / 1000.0 for value in values])
    limits[np.isnan(limits)] = np.inf
    return limits


def _batteries(request: PlanRequest, median_price: float, notes: list[str]) -> list[StorePart]:
    parts = []
    for resource in request.resources:
        if resource.role is not Role.BATTERY:
            continue
        soc_pct, capacity_wh = request.soc_pct.get(resource.id), resource.ratings.capacity_wh
        if soc_pct is None or not np.isfinite(soc_pct) or not capacity_wh:
            what = "state of charge" if capacity_wh else "capacity"
            notes.append(f"{resource.name}: not planned, its {what} is not known")
            continue
        parts.append(_battery(request, resource, soc_pct, capacity_wh / 1000.0, median_price))
    return parts


def _battery(
    request: PlanRequest, resource: Resource, soc_pct: float, capacity_kwh: float, median_price: float
) -> StorePart:
    ratings, usual_kw, slots = resource.ratings, capacity_kwh / HOURS_TO_FULL, len(request.edges) - 1
    charge_w, discharge_w = ratings.max_charge_w, ratings.max_discharge_w
    soc_kwh = capacity_kwh * min(max(soc_pct, 0.0), 100.0) / 100.0
    floor_kwh = capacity_kwh * min(max(request.reserve_pct.get(resource.id, 0.0), 0.0), 100.0) / 100.0
    if floor_kwh - AT_RESERVE * capacity_kwh < soc_kwh < floor_kwh:
        floor_kwh = soc_kwh  # what it fell below its reserve while it stopped is not worth buying
    return StorePart(
        id=resource.id,
        name=resource.name,
        capacity_kwh=capacity_kwh,
        soc_kwh=soc_kwh,
        floor_kwh=floor_kwh,
        max_charge_kw=np.full(slots, usual_kw if charge_w is None else charge_w / 1000.0),
        max_discharge_kw=np.full(slots, usual_kw if discharge_w is None else discharge_w / 1000.0),
        charge_efficiency=np.full(slots, EFFICIENCY),
        discharge_efficiency=EFFICIENCY,
        grid_charge=request.grid_charge.get(resource.id, True),
        end_value=max(median_price, 0.0) * EFFICIENCY * END_SHARE,
        wear=abs(median_price) * WEAR_SHARE,
        goals=tuple(
            Goal(capacity_kwh * goal.soc_pct / 100.0, _before(request, goal.due))
            for goal in request.extras.levels
            if goal.resource_id == resource.id and goal.due > request.edges[0]
        ),
    )


def _before(request: PlanRequest, due: datetime) -> Array:
    """The share of each slot that lies before an instant."""
    return np.array([min(max((due - a) / (b - a), 0.0), 1.0) for a, b in pairwise(request.edges)])


def _heat_stores(request: PlanRequest, median_price: float) -> list[StorePart]:
    """The stores of heat pumps; what is in them at the end is worth what it would cost to heat it then."""
    names = {resource.id: resource.name for resource in request.resources}
    slots = len(request.edges) - 1
    return [
        StorePart(
            id=store.resource_id,
            name=names.get(store.resource_id, store.resource_id),
            capacity_kwh=store.capacity_wh / 1000.0,
            soc_kwh=store.stored_wh / 1000.0,
            floor_kwh=0.0,
            max_charge_kw=np.full(slots, store.max_w / 1000.0),
            max_discharge_kw=np.zeros(slots),
            charge_efficiency=np.full(slots, store.cop),
            drain_kw=np.maximum(np.array(need.demand_w, dtype=np.float64), 0.0) / 1000.0,
            loss_per_h=store.loss_per_h,
            end_value=max(median_price, 0.0) / store.cop * END_SHARE,
        )
        for need in request.extras.heat
        for store in (need.store,)
    ]


def _loads(request: PlanRequest) -> list[LoadPart]:
    """The runs that fit before their time; one that is late runs as soon as it can."""
    names = {resource.id: resource.name for resource in request.resources}
    slots, parts = len(request.edges) - 1, []
    for need in request.extras.loads:
        pieces = len(need.profile_w)
        if not pieces or pieces > slots:
            continue
        due = sum(end <= need.due for end in request.edges[1:])
        profile_kw = np.array(need.profile_w, dtype=np.float64) / 1000.0
        name = names.get(need.resource_id, need.resource_id)
        parts.append(LoadPart(need.resource_id, name, profile_kw, 0, max(due, pieces), need.interruptible))
    return parts


def _services(request: PlanRequest) -> Services:
    """The bands and the power kept free, as the optimiser takes them."""
    extras, slots = request.extras, len(request.edges) - 1

    def band(values: tuple[float | None, ...], none: float) -> Array | None:
        if not any(value is not None for value in values):
            return None
        return np.array([none if value is None else value / 1000.0 for value in values])

    def kept(watts: float) -> Array | None:
        return np.full(slots, watts / 1000.0) if watts > 0.0 else None

    return Services(
        band(extras.grid_min_w, -np.inf),
        band(extras.grid_max_w, np.inf),
        kept(extras.reserve_up_w),
        kept(extras.reserve_down_w),
    )


def _cars(request: PlanRequest, hours: Array, median_price: float, notes: list[str]) -> list[CarPart]:
    by_id = {resource.id: resource for resource in request.resources if resource.role is Role.EV}
    parts = []
    for need in request.ev:
        resource = by_id.get(need.resource_id)
        if resource is None:
            notes.append(f"{need.resource_id}: not planned, there is no such charging point")
        elif need.energy_wh > 0:
            parts.append(_car(request, resource, need, hours, median_price))
    return parts


def car_power_kw(resource: Resource) -> tuple[float, float]:
    """Smallest and largest charging power of a charging point; 16 A where its rating does not tell."""
    ratings = resource.ratings
    kw_per_amp = ratings.phases * ratings.nominal_voltage_v / 1000.0
    most_a = 16.0 if ratings.max_current_a is None else ratings.max_current_a
    most_kw = most_a * kw_per_amp
    if ratings.max_charge_w is not None:
        most_kw = min(most_kw, ratings.max_charge_w / 1000.0)
    least_kw = ratings.min_current_a * (ratings.nominal_voltage_v / 1000.0 if _switches(resource) else kw_per_amp)
    return min(least_kw, most_kw), most_kw


def _switches(resource: Resource) -> bool:
    """Whether it charges on one phase where that is enough."""
    return Control.EV_PHASES in resource.controls


def _early(due_h: float, takes_h: float, ends_h: Array, hours: Array) -> Array:
    """The slots that end some time before a deadline; where too little is to spare, those that begin before it."""
    early_h = due_h - max(EARLY_H, EARLY_SHARE * takes_h)
    ends = ends_h <= early_h + 1e-9
    return (ends if float(hours[ends].sum()) >= takes_h else ends_h - hours < due_h).astype(np.float64)


def _car(request: PlanRequest, resource: Resource, need: EvNeed, hours: Array, median_price: float) -> CarPart:
    start, end = request.edges[0], request.edges[-1]
    min_kw, full_kw = car_power_kw(resource)
    energy_kwh = need.energy_wh / 1000.0
    max_kw = max(energy_kwh / (energy_kwh / full_kw + need.slower_h), min_kw)  # the mean: it takes less near its end
    ends_h = np.cumsum(hours)
    goals, late, end_value, sip_kwh = [], None, max(median_price, 0.0), 0.0
    least_kwh = min_kw * float(hours.max())
    if need.due is not None and need.due <= end:
        due_h = (need.due - start) / timedelta(hours=1)
        before = np.clip((due_h - (ends_h - hours)) / hours, 0.0, 1.0)
        late = np.maximum(ends_h - hours / 2 - due_h, 0.0) * (before < 1.0)
        goals = [
            Goal(energy_kwh, before),
            Goal(energy_kwh, np.ones(len(hours)), AFTERWARDS),
            Goal(energy_kwh, _early(due_h, energy_kwh / max_kw, ends_h, hours), EARLY),
        ]
        end_value, sip_kwh = 0.0, least_kwh
    elif need.due is not None:
        after_h = (need.due - end) / timedelta(hours=1)
        goals = [Goal(max(energy_kwh - max_kw * after_h * END_SHARE, 0.0), np.ones(len(hours)))]
    return CarPart(
        id=resource.id,
        name=resource.name,
        soc_kwh=0.0,
        capacity_kwh=energy_kwh + sip_kwh,
        efficiency=1.0,
        min_kw=min_kw if energy_kwh >= least_kwh else 0.0,  # a last sip is taken however it comes
        max_kw=np.full(len(hours), max_kw),
        goals=tuple(goals),
        end_value=end_value,
        full_kw=full_kw,
        hours_late=late,
    )
