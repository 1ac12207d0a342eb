"""Who may set what: the matrix, its clamps and its refusals."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cem.control.authority import VARIABLE, admitted, bounds_of, guarded
from cem.model.authority import DAY_S, MAY, Authority, Domain, Granted, Refusal, Variable, authorise
from cem.model.envelope import SITE, Envelope, Rank
from cem.model.resource import Control, Resource
from support.houses import BATTERY, BOILER, CAR, HEAT_PUMP, PV, house

HOUSE = Authority(least=-5000.0, most=5000.0, fuse_w=24000.0, contract_minimum_w=4200.0)
anything = st.floats(allow_nan=True, allow_infinity=True)


@pytest.mark.parametrize(
    ("domain", "variable", "value", "context", "allowed"),
    [
        (Domain.GRID, Variable.IMPORT_LIMIT_W, 6000.0, Authority(fuse_w=24000.0), 6000.0),
        (Domain.GRID, Variable.IMPORT_LIMIT_W, 99999.0, Authority(fuse_w=24000.0), 24000.0),
        (Domain.GRID, Variable.IMPORT_LIMIT_W, 100.0, Authority(fuse_w=24000.0, contract_minimum_w=4200.0), 4200.0),
        (Domain.GRID, Variable.EXPORT_LIMIT_W, -1.0, Authority(fuse_w=24000.0), 0.0),
        (Domain.GRID, Variable.DISPATCH_W, 9000.0, Authority(flexibility_w=(-2000.0, 3000.0)), 3000.0),
        (Domain.GRID, Variable.PRICE_PER_KWH, 1e9, Authority(), 100.0),
        (Domain.GRID, Variable.DISPATCH_W, 1000.0, Authority(islanded=True), None),
        (Domain.GRID, Variable.RESERVE_PCT, 0.0, Authority(), None),
        (Domain.GRID, Variable.FUSE_A, 63.0, Authority(), None),
        (Domain.GRID, Variable.BATTERY_SETPOINT_W, 1000.0, Authority(), None),
        (Domain.GRID, Variable.EVENT_STARTS_IN_S, 8 * DAY_S, Authority(), None),
        (Domain.GRID, Variable.EVENT_STARTS_IN_S, 6 * DAY_S, Authority(), 6 * DAY_S),
        (Domain.GRID, Variable.EVENT_LENGTH_S, 2 * DAY_S, Authority(), None),
        (Domain.GRID, Variable.REPORT, 1.0, Authority(agreed=False), None),
        (Domain.OPTIMISER, Variable.BATTERY_SETPOINT_W, -7000.0, Authority(least=-5000.0, most=5000.0), -5000.0),
        (Domain.OPTIMISER, Variable.EV_LIMIT_A, 4.0, Authority(most=16.0), 0.0),
        (Domain.OPTIMISER, Variable.EV_LIMIT_A, 20.0, Authority(most=16.0), 16.0),
        (Domain.OPTIMISER, Variable.HEAT_PUMP_SG_READY, 7.0, Authority(), 4.0),
        (Domain.OPTIMISER, Variable.LOAD_ON, 0.5, Authority(), None),
        (Domain.OPTIMISER, Variable.IMPORT_LIMIT_W, 1.0, Authority(), None),
        (Domain.DEVICE, Variable.MEASUREMENT, 230.0, Authority(own=True), 230.0),
        (Domain.DEVICE, Variable.MEASUREMENT, 230.0, Authority(own=False), None),
        (Domain.DEVICE, Variable.IMPORT_LIMIT_W, 230.0, Authority(), None),
        (Domain.OWNER, Variable.RESERVE_PCT, 130.0, Authority(), 100.0),
        (Domain.OWNER, Variable.OPT_OUT, 1.0, Authority(mandatory=True), None),
        (Domain.OWNER, Variable.OPT_OUT, 1.0, Authority(mandatory=False), 1.0),
        (Domain.OWNER, Variable.FUSE_A, 63.0, Authority(), None),
        (Domain.INSTALLER, Variable.FUSE_A, 63.0, Authority(session_open=True), 63.0),
        (Domain.INSTALLER, Variable.FUSE_A, 63.0, Authority(session_open=False), None),
        (Domain.INSTALLER, Variable.OWNER_DATA, 1.0, Authority(), None),
        (Domain.INSTALLER, Variable.AUDIT, 0.0, Authority(), None),
        (Domain.UPDATER, Variable.CONFIGURATION, 1.0, Authority(), None),
    ],
)
def test_the_matrix_grants_clamps_or_refuses(
    domain: Domain, variable: Variable, value: float, context: Authority, allowed: float | None
) -> None:
    answer = authorise(domain, variable, value, context)
    assert (answer.value if isinstance(answer, Granted) else None) == allowed
    if isinstance(answer, Refusal) or answer.clamped:
        assert domain in answer.words


@given(st.sampled_from(Domain), st.sampled_from(Variable), anything)
def test_nobody_sets_what_is_not_his_and_nothing_infinite_comes_through(
    domain: Domain, variable: Variable, value: float
) -> None:
    answer = authorise(domain, variable, value, HOUSE)
    if variable not in MAY[domain] or not math.isfinite(value):
        assert isinstance(answer, Refusal)
        assert answer.words
    elif isinstance(answer, Granted):
        assert math.isfinite(answer.value)
        assert answer.clamped == (answer.value != value)
        assert bool(answer.words) == answer.clamped


@given(st.floats(-1e9, 1e9), st.floats(0, 50_000), st.floats(0, 50_000))
def test_a_set_point_never_leaves_the_envelope_of_its_device(value: float, give: float, take: float) -> None:
    answer = authorise(Domain.OPTIMISER, Variable.BATTERY_SETPOINT_W, value, Authority("battery", -give, take))
    assert isinstance(answer, Granted)
    assert -give <= answer.value <= take


@given(st.floats(0, 1e9), st.floats(0, 1e9), st.floats(0, 24000))
def test_what_is_granted_is_granted_again_unchanged(value: float, fuse: float, minimum: float) -> None:
    context = Authority(fuse_w=fuse, contract_minimum_w=minimum)
    first = authorise(Domain.GRID, Variable.IMPORT_LIMIT_W, value, context)
    assert isinstance(first, Granted)
    assert authorise(Domain.GRID, Variable.IMPORT_LIMIT_W, first.value, context) == Granted(first.value)


def test_limits_of_the_grid_that_are_no_numbers_do_not_reach_the_decision() -> None:
    good = Envelope(SITE, None, 6000.0, Rank.OBLIGATION, "utility", "limit")
    bad = Envelope(SITE, None, math.nan, Rank.OBLIGATION, "utility", "limit")
    endless = Envelope("battery", -math.inf, None, Rank.PROGRAMME, "market", "limit")
    assert admitted(house(), (bad, good, endless)) == (good,)


@given(
    anything | st.sampled_from([0.0, -0.0, 5.9, 6.0, 6.5, 16.0, 1.0, 2.0, 3.0, 4.0, -5000.0, 5000.0, 1e300]),
    st.sampled_from([PV, BATTERY, CAR, HEAT_PUMP, BOILER]),
    st.sampled_from(Control),
)
def test_a_set_point_leaves_the_decision_as_the_matrix_grants_it(
    value: float, resource: Resource, control: Control
) -> None:
    site = house(PV, BATTERY, CAR, HEAT_PUMP, BOILER)
    answer = authorise(Domain.OPTIMISER, VARIABLE[control], value, bounds_of(resource, control))
    held, reason = guarded(site, resource, control, value, "as planned")
    if isinstance(answer, Granted):
        assert held == answer.value
        assert reason == (f"as planned; {answer.words}" if answer.clamped else "as planned")
    else:
        assert (held, reason) == (None, f"handed back: {answer.words}")
