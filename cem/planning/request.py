"""The planning problem of this site at this moment: prices, limits and forecasts per slot."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from types import MappingProxyType
from typing import Final, Protocol

from cem.model.directive import LimitWindow, PriceWindow, WeightWindow, weight_at
from cem.model.plan import EvNeed, Extras, PlanRequest
from cem.model.resource import Control, Resource, Role
from cem.model.site import Site
from cem.model.tariff import Tariff
from cem.model.values import replace
from cem.planning.courses import courses_of
from cem.planning.flexible import NOTHING, Asked, band_of, heat_needs, level_goals, load_needs, month_peak_w
from cem.planning.forecast import Forecast, load_forecast, pv_forecast, slot_edges
from cem.planning.past import Past
from cem.planning.problem import car_power_kw
from cem.planning.tail import tail_of

SAMPLE: Final = timedelta(minutes=1)


class _Window(Protocol):
    @property
    def start(self) -> datetime: ...

    @property
    def end(self) -> datetime | None: ...


def build_request(
    now: datetime,
    site: Site,
    soc_pct: Mapping[str, float],
    ev_needs: Sequence[EvNeed],
    past: Past,
    prices: Sequence[PriceWindow],
    limits: Sequence[LimitWindow],
    weights: Sequence[WeightWindow] = (),
    *,
    temperatures_c: Mapping[str, float] = MappingProxyType({}),
    asked: Asked = NOTHING,
    horizon_s: int = 86400,
    step_s: int = 900,
) -> PlanRequest:
    """Everything that the planner needs, one value per slot.

    `now` is aware. Prices of grid events override the contract's where they cover (the first that does), `weights` are
    added to the import price, limits only narrow the contract's; a window that covers part of a slot counts for its
    share of time. Batteries without a known `soc_pct` or capacity are left out, and so are heat pumps without one of
    `temperatures_c`.
    """
    edges = slot_edges(now, horizon_s, step_s)
    import_price, export_price = _prices(site.tariff, prices, edges, weights)
    import_limit, export_limit = _limits(site, limits, edges)
    needs = tuple(_with_tail(site, past, need, now) for need in ev_needs)
    needed = {need.resource_id for need in needs}
    extras = _extras(site, now, edges, past, temperatures_c, asked)
    needed |= {need.resource_id for need in extras.loads} | {need.store.resource_id for need in extras.heat}
    planned = [r for r in site.resources if _is_planned(r, soc_pct, needed)]
    load = _load(site, past, edges, extras)
    sun = pv_forecast(past.generation, edges, pv_rating_w(site), place=site.place)
    policies = {r.id: site.battery_policy(r.id) for r in planned if r.role is Role.BATTERY}
    return PlanRequest(
        edges=edges,
        resources=tuple(planned),
        soc_pct={resource_id: float(soc_pct[resource_id]) for resource_id in policies},
        reserve_pct={resource_id: policy.reserve_pct for resource_id, policy in policies.items()},
        grid_charge={resource_id: policy.grid_charge for resource_id, policy in policies.items()},
        ev=needs,
        import_price_per_kwh=import_price,
        export_price_per_kwh=export_price,
        import_limit_w=import_limit,
        export_limit_w=export_limit,
        load_w=load.expected_w,
        pv_w=sun.expected_w,
        extras=extras,
        zone=site.zone,
        courses=courses_of(past, edges, site.zone, load, sun, site.place),
    )


def _extras(
    site: Site,
    now: datetime,
    edges: Sequence[datetime],
    past: Past,
    temperatures_c: Mapping[str, float],
    asked: Asked,
) -> Extras:
    band = band_of(asked.dispatches, edges)
    peak_price = site.tariff.peak_price_per_kw
    return Extras(
        loads=load_needs(site, now, past),
        heat=heat_needs(site, temperatures_c, past, edges),
        levels=level_goals(site, asked.charges, now),
        grid_min_w=band,
        grid_max_w=band,
        reserve_up_w=site.policy.reserve_up_w,
        reserve_down_w=site.policy.reserve_down_w,
        peak_price_per_kw=peak_price,
        peak_so_far_w=month_peak_w(past.grid, now, site.zone) if peak_price > 0.0 else 0.0,
    )


def _with_tail(site: Site, past: Past, need: EvNeed, now: datetime) -> EvNeed:
    """The need with how much longer the car takes, as far as its last charges tell."""
    _, most_kw = car_power_kw(site.resource(need.resource_id))
    course, now_s = past.cars[need.resource_id].power, now.timestamp()
    tail = course.learnt("tail", int(now_s // 86400), lambda: tail_of(course, now_s, 1000.0 * most_kw))
    return replace(need, slower_h=tail.slower_h(need.energy_wh))


def _load(site: Site, past: Past, edges: Sequence[datetime], extras: Extras) -> Forecast:
    """What is not planned: the rest of the house, and heat pumps of whose store the temperature is not known now."""
    planned = {need.store.resource_id for need in extras.heat}
    load = load_forecast(past.load, edges, site.zone)
    for pump in site.of(Role.HEAT_PUMP):
        if pump.id in past.apart and pump.id not in planned:
            load = load.beside(load_forecast(past.apart[pump.id], edges, site.zone, default_w=0.0).expected_w)
    return load


def _is_planned(resource: Resource, soc_pct: Mapping[str, float], needed: set[str]) -> bool:
    if resource.role is Role.BATTERY:
        return math.isfinite(soc_pct.get(resource.id, math.nan)) and bool(resource.ratings.capacity_wh)
    if resource.role is Role.PV:
        return Control.PV_LIMIT_W in resource.controls
    return resource.id in needed


# --- prices and limits -------------------------------------------------------------------------------------


def _prices(
    tariff: Tariff, windows: Sequence[PriceWindow], edges: Sequence[datetime], weights: Sequence[WeightWindow] = ()
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Import and export price per slot; a price that is not a number is as good as none."""
    into = [w for w in windows if w.import_price_per_kwh is not None and math.isfinite(w.import_price_per_kwh)]
    out = [w for w in windows if w.export_price_per_kwh is not None and math.isfinite(w.export_price_per_kwh)]

    def buy(at: datetime) -> float:
        window = next((w for w in into if _covers(w, at)), None)
        weight = weight_at(weights, at, tariff)
        if window is None or window.import_price_per_kwh is None:
            return tariff.import_price_per_kwh(at) + weight
        return window.import_price_per_kwh + weight

    def sell(at: datetime) -> float:
        window = next((w for w in out if _covers(w, at)), None)
        if window is None or window.export_price_per_kwh is None:
            return tariff.export_price_per_kwh
        return window.export_price_per_kwh

    odd = any((t.hour * 60 + t.minute) % 15 or t.second for p in tariff.periods for t in (p.start, p.end))
    return (
        tuple(_mean(buy, a, b, _cuts([*into, *weights], a, b, every_minute=odd)) for a, b in _pairs(edges)),
        tuple(_mean(sell, a, b, _cuts(out, a, b)) for a, b in _pairs(edges)),
    )


def _limits(
    site: Site, windows: Sequence[LimitWindow], edges: Sequence[datetime]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Import and export limit per slot: the narrowest of fuse, contract and the windows in force."""
    connection = site.connection
    contract_in = _least(connection.fuse_w, connection.import_limit_w)
    contract_out = _least(connection.fuse_w, connection.export_limit_w)

    def most_in(at: datetime) -> float:
        return _least(contract_in, *(w.import_limit_w for w in windows if _covers(w, at)))

    def most_out(at: datetime) -> float:
        return _least(contract_out, *(w.export_limit_w for w in windows if _covers(w, at)))

    cuts = [(a, b, _cuts(windows, a, b)) for a, b in _pairs(edges)]
    return tuple(_mean(most_in, *cut) for cut in cuts), tuple(_mean(most_out, *cut) for cut in cuts)


def _least(contract: float, *others: float | None) -> float:
    """The narrowest limit that is one; never negative."""
    return max(min([contract, *(other for other in others if other is not None and not math.isnan(other))]), 0.0)


def _covers(window: _Window, at: datetime) -> bool:
    return window.start <= at and (window.end is None or at < window.end)


def _cuts(windows: Iterable[_Window], start: datetime, end: datetime, *, every_minute: bool = False) -> list[datetime]:
    """Where within a slot something changes."""
    cuts = {
        edge for window in windows for edge in (window.start, window.end) if edge is not None and start < edge < end
    }
    if every_minute:
        at = start.replace(second=0, microsecond=0) + SAMPLE
        while at < end:
            cuts.add(at)
            at += SAMPLE
    return sorted(cuts)


def _mean(value: Callable[[datetime], float], start: datetime, end: datetime, cuts: Sequence[datetime]) -> float:
    """The mean over time of something that is constant between the cuts."""
    if not cuts:
        return value(start)
    edges = [start, *cuts, end]
    return sum(value(a) * ((b - a) / (end - start)) for a, b in _pairs(edges))


def _pairs(edges: Sequence[datetime]) -> list[tuple[datetime, datetime]]:
    return list(pairwise(edges))


def pv_rating_w(site: Site) -> float | None:
    ratings = [resource.ratings.max_generation_w for resource in site.of(Role.PV)]
    known = [rating for rating in ratings if rating is not None]
    return sum(known) if known and len(known) == len(ratings) else None
