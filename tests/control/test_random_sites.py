"""Laws over random sites: circuits, phases, three cars, two batteries, a heat pump and loads under one limit."""

import itertools
import math
from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from cem.control import Memory, decide
from cem.control.guarantee import guaranteed_w
from cem.control.sharing import Claim, Pools, share
from cem.model.directive import Directive
from cem.model.plan import Intent, IntentKind, Plan
from cem.model.reading import Snapshot, Value
from cem.model.request import RequestKind, UserRequest
from cem.model.resource import Control, Ratings, Resource, Role, SgReady
from cem.model.setpoint import Decision
from cem.model.site import (
    BatteryPolicy,
    Circuit,
    ControlPolicy,
    ElectricalConnection,
    GuaranteedMinimum,
    LoadPolicy,
    LoadRun,
    Site,
)
from support.houses import (
    BATTERY,
    BOILER,
    CAR,
    GRID,
    HEAT_PUMP,
    NOON,
    PV,
    house,
    inputs,
    limited,
    plan,
    settled,
    snapshot,
    watts,
)
from support.lag_house import LagHouse

VOLTS = 230.0
CARS = ("car0", "car1", "car2")
STORES = ("store0", "store1")


@st.composite
def cars(draw: st.DrawFn) -> list[Resource]:
    """Three charging points of any kind."""
    found = []
    for key in CARS:
        phases = draw(st.sampled_from([1, 3, 3]))
        ratings = Ratings(
            max_current_a=draw(st.sampled_from([6.0, 10.0, 16.0, 32.0])),
            phases=phases,
            phase=draw(st.sampled_from([None, 1, 2, 3])) if phases == 1 else None,
        )
        controls = {Control.EV_LIMIT_A} | ({Control.EV_PHASES} if phases == 3 and draw(st.booleans()) else set())
        priority = draw(st.sampled_from([None, None, 2, 5, 8]))
        found.append(replace(CAR, id=key, ratings=ratings, controls=frozenset(controls), priority=priority))
    return found


@st.composite
def sites(draw: st.DrawFn) -> Site:
    """Any site with the usual kinds of devices, some of them behind circuits."""
    stores = [replace(BATTERY, id=key) for key in STORES]
    others = [HEAT_PUMP, BOILER, replace(BOILER, id="pump", ratings=Ratings(max_power_w=800, phases=1))]
    resources = [GRID, PV, *draw(cars()), *stores, *others]
    members = st.lists(st.sampled_from([*CARS, "store0", "boiler"]), min_size=1, max_size=4, unique=True)
    circuits = tuple(
        Circuit(f"c{n}", draw(st.sampled_from([10.0, 16.0, 25.0])), tuple(draw(members)), limit_w=limit)
        for n, limit in enumerate(draw(st.lists(st.sampled_from([None, 3000.0, 8000.0]), max_size=2)))
    )
    site = house(*resources, connection=ElectricalConnection(fuse_a=draw(st.sampled_from([25.0, 35.0, 63.0]))))
    return replace(
        site,
        circuits=circuits,
        batteries=tuple(BatteryPolicy(key, grid_charge=draw(st.booleans())) for key in STORES),
        loads=(LoadPolicy("boiler", draw(st.sampled_from(LoadRun))),),
        policy=ControlPolicy(draw(st.sampled_from(GuaranteedMinimum))),
    )


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Site, Snapshot]:
    """A site and any consistent state of it; the meter does not tell its phases."""
    site = draw(sites())
    values: dict[str, dict[str, Value]] = {"pv": {"power_w": draw(st.floats(-8000.0, 0.0))}}
    for key in STORES:
        values[key] = {"power_w": draw(st.floats(-5000.0, 5000.0)), "soc_pct": draw(st.floats(0.0, 100.0))}
    for key in CARS:
        ratings = site.resource(key).ratings
        state = draw(st.sampled_from("ABCC"))
        amperes = draw(st.floats(6.0, ratings.max_current_a or 6.0)) if state == "C" else 0.0
        values[key] = {"power_w": amperes * ratings.phases * VOLTS, "state": state}
    values["heat_pump"] = {"power_w": draw(st.sampled_from([0.0, 2500.0]))}
    values["boiler"] = {"power_w": draw(st.sampled_from([0.0, 2000.0]))}
    values["pump"] = {"power_w": draw(st.sampled_from([0.0, 800.0]))}
    moved = sum(float(points["power_w"] or 0.0) for points in values.values())
    values["grid"] = {"power_w": draw(st.floats(0.0, 9000.0)) + moved}
    return site, snapshot(values)


kinds = st.sampled_from([IntentKind.CHARGE_TO, IntentKind.HOLD, IntentKind.SURPLUS_ONLY, IntentKind.SELF_CONSUME])
plans = st.none() | st.dictionaries(
    st.sampled_from([*CARS, *STORES]), st.builds(Intent, kinds, value_per_kwh=st.floats(0.0, 0.6))
).map(plan)
directives = st.just(Directive()) | st.floats(0.0, 30000.0).map(limited)
acts = st.lists(
    st.builds(
        lambda key, kind, n: UserRequest(str(n), key, kind, NOON + timedelta(hours=1), NOON - timedelta(minutes=n)),
        st.sampled_from([*CARS]),
        st.sampled_from([RequestKind.CHARGE_NOW, RequestKind.PAUSE, RequestKind.SURPLUS_ONLY]),
        st.integers(0, 9),
    ),
    max_size=3,
).map(tuple)


def power(image: Snapshot, key: str) -> float:
    """A resource's measured power."""
    return image.number(key, "power_w", 99.0) or 0.0


def places(resource: Resource, phases: int) -> tuple[int, ...]:
    """The phases on which a device counts: on every one where nobody knows."""
    if phases == 1:
        return (1, 2, 3) if resource.ratings.phase is None else (resource.ratings.phase,)
    return (1, 2, 3)


def told(site: Site, decision: Decision) -> dict[str, tuple[float, int]]:
    """(amperes, phases) of each car with a set point."""
    phases = {s.resource_id: int(s.value or 3) for s in decision.setpoints if s.control is Control.EV_PHASES}
    return {
        s.resource_id: (s.value or 0.0, phases.get(s.resource_id, site.resource(s.resource_id).ratings.phases))
        for s in decision.setpoints
        if s.control is Control.EV_LIMIT_A
    }


@settings(max_examples=80)
@given(worlds(), plans, directives, acts)
def test_what_cars_are_told_fits_every_fuse_whatever_the_law_guarantees(
    given_world: tuple[Site, Snapshot], planned: Plan | None, directive: Directive, asked: tuple[UserRequest, ...]
) -> None:
    site, image = given_world
    decision, _ = settled(site, inputs(image, plan=planned, directive=directive, requests=asked), 2)
    amperes = told(site, decision)
    moved = sum(power(image, r.id) for r in site.resources if r.role is not Role.GRID and r.role is not Role.PV)
    base_a = (power(image, "grid") - moved) / (3 * VOLTS)
    for phase in (1, 2, 3):
        used = sum(a for key, (a, count) in amperes.items() if phase in places(site.resource(key), count))
        assert used == 0 or used + base_a <= site.connection.fuse_a + 1e-6
        for circuit in site.circuits:
            inside = [(key, a, count) for key, (a, count) in amperes.items() if key in circuit.members]
            used = sum(a for key, a, count in inside if phase in places(site.resource(key), count))
            assert used <= circuit.fuse_a + 1e-6
    for circuit in site.circuits:
        used_w = sum(a * count * VOLTS for key, (a, count) in amperes.items() if key in circuit.members)
        assert circuit.limit_w is None or used_w <= circuit.limit_w + 1e-6
    left_w = decision.band.max_w - 3 * VOLTS * base_a
    assert _given_w(site, decision) <= max(left_w, guaranteed_w(site), 0.0) + 1e-6


@settings(max_examples=80)
@given(worlds(), plans, directives, acts)
def test_every_set_point_has_a_reason_in_words_and_a_value_that_its_device_takes(
    given_world: tuple[Site, Snapshot], planned: Plan | None, directive: Directive, asked: tuple[UserRequest, ...]
) -> None:
    site, image = given_world
    memory = Memory()
    for _ in range(3):
        decision, memory = decide(
            site, inputs(image, plan=planned, directive=directive, requests=asked), memory, explained=True
        )
        charging = [s.value or 0.0 for s in decision.setpoints if s.control is Control.BATTERY_SETPOINT_W]
        assert not (max(charging) > 0.0 > min(charging))  # no battery feeds another one
        for setpoint in decision.setpoints:
            assert setpoint.source
            assert len(setpoint.reason) > 5
            assert not {"None", "nan", "inf"} & set(setpoint.reason.replace(":", " ").split())
            most_a = site.resource(setpoint.resource_id).ratings.max_current_a or 0.0
            if setpoint.control is Control.EV_LIMIT_A and setpoint.value is not None:
                assert setpoint.value == 0 or 6 <= setpoint.value <= most_a
            below = setpoint.control is Control.EV_LIMIT_A and setpoint.rank.name in {"SAFETY", "OBLIGATION"}
            if below and decision.setpoints and not decision.headline.startswith("No grid"):
                assert any(term.binding for term in setpoint.bound_by), setpoint.reason


@settings(max_examples=80)
@given(worlds(), plans, st.floats(0.0, 30000.0), st.floats(0.0, 30000.0))
def test_a_second_limit_never_gives_more(
    given_world: tuple[Site, Snapshot], planned: Plan | None, one_w: float, two_w: float
) -> None:
    site, image = given_world
    one, both = limited(one_w), limited(two_w)
    both = replace(one, envelopes=(*one.envelopes, *both.envelopes))
    alone, _ = settled(site, inputs(image, plan=planned, directive=one), 2)
    together, _ = settled(site, inputs(image, plan=planned, directive=both), 2)
    assert alone.band.min_w <= together.band.min_w <= together.band.max_w <= alone.band.max_w
    may_w = _given_w(site, alone) + _begins_w(site, alone) + _switched_w(site, alone)
    assert _given_w(site, together) + _switched_w(site, together) <= may_w + 1e-6


def _begins_w(site: Site, decision: Decision) -> float:
    """What cars will be given as soon as a battery has stopped for them, at the least: another limit may forbid it."""
    waits = {s.resource_id for s in decision.setpoints if s.reason.endswith("waits until others have made room")}
    return sum(6.0 * phases * VOLTS for key, (_, phases) in told(site, decision).items() if key in waits)


def _switched_w(site: Site, decision: Decision) -> float:
    """The ratings of the heat pump and the loads that may run: what they leave, because they may not, is the cars'."""
    off = {Control.HEAT_PUMP_SG_READY: float(SgReady.LOCKED), Control.LOAD_ON: 0.0}
    runs = [s.resource_id for s in decision.setpoints if s.control in off and s.value != off[s.control]]
    return sum(site.resource(key).ratings.max_power_w or 0.0 for key in runs)


def _given_w(site: Site, decision: Decision) -> float:
    return sum(amperes * phases * VOLTS for amperes, phases in told(site, decision).values())


uses = st.dictionaries(st.sampled_from(["site", "L1", "L2", "circuit"]), st.floats(0.1, 5.0), min_size=1)


@st.composite
def claims(draw: st.DrawFn) -> list[Claim]:
    """Any claims on four pools."""
    found = []
    for n in range(draw(st.integers(1, 6))):
        least = float(draw(st.sampled_from([1, 6, 8])))
        most = least + draw(st.integers(-9, 12))
        rank, use = (float(draw(st.integers(0, 2))),), draw(uses)
        found.append(Claim(str(n), rank, (0.0,), least, most, use, held=draw(st.booleans())))
    return found


rooms = st.fixed_dictionaries({pool: st.floats(-10.0, 60.0) for pool in ("site", "L1", "L2", "circuit")})


@given(claims(), rooms)
def test_sharing_never_empties_a_pool_beyond_nothing_and_gives_whole_steps(
    given_claims: list[Claim], room: dict[str, float]
) -> None:
    shares = share(given_claims, Pools(dict(room)))
    for pool, there in room.items():
        used = sum(claim.use.get(pool, 0.0) * shares[claim.id].level for claim in given_claims)
        assert used <= max(0.0, there) + 1e-6
    for claim in given_claims:
        level = shares[claim.id].level
        assert level == 0 or claim.least <= level <= max(claim.most, claim.least)
        assert level == int(level)
        if level < claim.most and claim.most >= claim.least:
            assert shares[claim.id].bound_by in room, "who gets less than it would like is told by what"


@given(uses, rooms, st.lists(st.integers(0, 3), min_size=2, max_size=6), st.sampled_from([1.0, 6.0]))
def test_of_alike_claims_the_stronger_never_gets_less_and_equals_get_alike(
    use: dict[str, float], room: dict[str, float], ranks: list[int], least: float
) -> None:
    alike = [Claim(str(n), (float(rank),), (0.0,), least, least + 10, use) for n, rank in enumerate(ranks)]
    shares = share(alike, Pools(dict(room)))
    by_rank = sorted(zip(ranks, (shares[claim.id].level for claim in alike), strict=True))
    for (rank, level), (other_rank, other) in itertools.combinations(by_rank, 2):
        assert rank == other_rank or level >= other
        if rank == other_rank and level > 0 and other > 0:
            assert abs(level - other) <= 1


@settings(max_examples=4)
@given(st.sampled_from([4800.0, 5200.0, 9200.0, 10500.0]), st.permutations(CARS))
def test_over_time_equals_are_served_alike(limit_w: float, order: list[str]) -> None:
    site = house(GRID, *(replace(CAR, id=key) for key in order))
    home = LagHouse(site, directive=limited(limit_w))
    seconds = dict.fromkeys(CARS, 0)
    for decision in home.run(6000):
        for key in CARS:
            seconds[key] += watts(decision, key) > 0
    at_once = math.floor((limit_w - 550.0) / 4140.0)
    assert sum(seconds.values()) >= 0.8 * at_once * 6000
    assert max(seconds.values()) - min(seconds.values()) <= 1300  # a turn, and the time that a contactor stays open
