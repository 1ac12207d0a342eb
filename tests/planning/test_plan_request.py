"""The problem of the moment: tariff, windows, limits and history per slot."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cem.model.directive import LimitWindow, PriceWindow
from cem.model.plan import EvNeed, PlanRequest
from cem.model.resource import Resource, Role
from cem.model.site import BatteryPolicy, ElectricalConnection, Site
from cem.model.tariff import Tariff, TariffPeriod
from cem.planning.past import Past, past_of
from cem.planning.request import build_request
from cem.planning.solve import solve
from support.planning import BATTERY, CAR, PV

ZONE = "Europe/Berlin"
NOW = datetime(2026, 6, 10, 12, tzinfo=UTC)
METER = Resource("meter", Role.GRID, "meter", "Meter")
SITE = Site(
    name="house",
    zone=ZONE,
    connection=ElectricalConnection(fuse_a=35.0, import_limit_w=15000.0, export_limit_w=7000.0),
    tariff=Tariff(ZONE, "EUR", 0.30, 0.08, (TariffPeriod(time(2), time(6), 0.18),)),
    resources=(METER, BATTERY, PV, CAR),
    batteries=(BatteryPolicy("battery", reserve_pct=20.0, grid_charge=False),),
)


def made(
    now: datetime = NOW,
    *,
    history: dict[str, list[tuple[int, float]]] | None = None,
    prices: tuple[PriceWindow, ...] = (),
    limits: tuple[LimitWindow, ...] = (),
    ev: tuple[EvNeed, ...] = (),
    site: Site = SITE,
) -> PlanRequest:
    """A request of the site."""
    return build_request(now, site, {"battery": 50.0}, ev, past_of(site, history or {}), prices, limits)


def window(start_min: float, minutes: float | None, import_w: float | None, export_w: float | None) -> LimitWindow:
    """A limit from so many minutes after now."""
    start = NOW + timedelta(minutes=start_min)
    return LimitWindow(
        start, None if minutes is None else start + timedelta(minutes=minutes), import_w, export_w, "dso"
    )


@pytest.mark.parametrize(("day", "cheap"), [("2026-03-29", 12), ("2026-06-10", 16), ("2026-10-25", 20)])
def test_the_tariff_runs_in_local_time_on_days_of_23_24_and_25_hours(day: str, cheap: int) -> None:
    midnight = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(ZONE))
    request = made(midnight.astimezone(UTC))
    morning = midnight.replace(hour=12)
    prices = [
        price for start, price in zip(request.edges, request.import_price_per_kwh, strict=False) if start < morning
    ]
    assert prices.count(0.18) == cheap
    assert all(
        (price == 0.18) == (2 <= start.astimezone(ZoneInfo(ZONE)).hour < 6)
        for start, price in zip(request.edges, request.import_price_per_kwh, strict=False)
    )


def test_a_tariff_that_changes_within_a_slot_counts_by_the_minute() -> None:
    site = Site(
        "h",
        "UTC",
        ElectricalConnection(),
        Tariff("UTC", "EUR", 0.3, 0.1, (TariffPeriod(time(12, 5), time(0), 0.6),)),
        (),
    )
    assert made(site=site).import_price_per_kwh[0] == pytest.approx(0.3 * 5 / 15 + 0.6 * 10 / 15)


def test_a_grid_price_overrides_the_tariff_where_it_covers() -> None:
    start = NOW + timedelta(minutes=20)
    event = PriceWindow(start, start + timedelta(minutes=30), 0.90, None, "utility")
    request = made(prices=(event,))
    assert request.import_price_per_kwh[0] == 0.30
    assert request.import_price_per_kwh[1] == pytest.approx((5 * 0.30 + 10 * 0.90) / 15)
    assert request.import_price_per_kwh[2] == 0.90
    assert request.import_price_per_kwh[3] == pytest.approx((5 * 0.90 + 10 * 0.30) / 15)
    assert set(request.export_price_per_kwh) == {0.08}


def test_a_gap_in_the_prices_is_the_contracts_and_never_zero() -> None:
    nan = PriceWindow(NOW, None, float("nan"), 0.05, "utility")
    later = PriceWindow(NOW + timedelta(hours=2), None, 0.0, None, "utility")
    request = made(prices=(nan, later))
    assert request.import_price_per_kwh[:8] == (0.30,) * 8
    assert request.import_price_per_kwh[8] == 0.0
    assert set(request.export_price_per_kwh) == {0.05}


def test_limits_are_the_narrowest_of_contract_and_windows() -> None:
    request = made(limits=(window(30, 60, 4200.0, None), window(45, None, 6000.0, 3000.0)))
    assert request.import_limit_w[:2] == (15000.0, 15000.0)
    assert request.import_limit_w[2:6] == (4200.0,) * 4
    assert set(request.import_limit_w[6:]) == {6000.0}
    assert request.export_limit_w[2] == 7000.0
    assert set(request.export_limit_w[3:]) == {3000.0}


def test_without_a_contract_the_fuse_bounds() -> None:
    site = Site("h", "UTC", ElectricalConnection(phases=1, fuse_a=25.0), SITE.tariff, ())
    assert set(made(site=site).import_limit_w) == {5750.0}


WINDOWS = st.lists(
    st.builds(
        window,
        st.integers(-60, 600).map(float),
        st.none() | st.integers(1, 300).map(float),
        st.none() | st.floats(0, 20000),
        st.none() | st.floats(0, 20000),
    ),
    max_size=4,
)


@given(WINDOWS)
def test_a_window_only_narrows(windows: list[LimitWindow]) -> None:
    plain, narrowed = made(), made(limits=tuple(windows))
    for side in ("import_limit_w", "export_limit_w"):
        for at, (before, after) in enumerate(zip(getattr(plain, side), getattr(narrowed, side), strict=True)):
            assert 0.0 <= after <= before + 1e-6
            for one in windows:
                limit = getattr(one, side)
                covers = one.start <= plain.edges[at] and (one.end is None or one.end >= plain.edges[at + 1])
                if covers and limit is not None:
                    assert after <= limit + 1e-6


def test_the_request_names_what_may_be_planned() -> None:
    need = EvNeed("car", 5e3, None)
    assert [r.id for r in made().resources] == ["battery", "pv"]
    request = made(ev=(need,))
    assert [r.id for r in request.resources] == ["battery", "pv", "car"]
    assert request.reserve_pct == {"battery": 20.0}
    assert request.grid_charge == {"battery": False}
    assert request.ev == (need,)
    assert request.zone == ZONE


def test_a_battery_of_unknown_charge_is_left_out() -> None:
    request = build_request(NOW, SITE, {}, (), Past(SITE), (), ())
    assert [r.id for r in request.resources] == ["pv"]
    assert request.soc_pct == {}


def test_the_load_comes_from_the_meter_less_the_devices_where_it_is_not_recorded() -> None:
    minutes = range(int(NOW.timestamp()) - 86400, int(NOW.timestamp()), 60)
    history = {
        "meter.power_w": [(m, -1500.0) for m in minutes],
        "pv.power_w": [(m, -4000.0) for m in minutes],
        "battery.power_w": [(m, 2000.0) for m in minutes],
        "car.power_w": [(m, 0.0) for m in minutes],
    }
    request = made(history=history)
    assert all(load == pytest.approx(500.0) for load in request.load_w)
    assert all(pv == pytest.approx(4000.0) for pv in request.pv_w)
    recorded = made(history=history | {"site.load_w": [(m, 700.0) for m in minutes]})
    assert all(load == pytest.approx(700.0) for load in recorded.load_w)


def test_with_nothing_known_there_is_still_a_plan() -> None:
    plan = solve(build_request(NOW, SITE, {}, (), Past(SITE), (), ()))
    assert plan.status == "optimal"
    assert 96 <= len(plan.slots) <= 97


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        made(datetime(2026, 6, 10, 12))  # noqa: DTZ001
