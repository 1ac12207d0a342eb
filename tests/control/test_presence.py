"""The grid's voltage: gone at once, back with patience, and what the control does in between."""

from dataclasses import replace
from datetime import timedelta

import pytest

from cem.control import Memory, decide
from cem.control.memory_json import from_json, to_json
from cem.model.directive import Directive, GridPresence, LinkState, LinkStatus
from cem.model.envelope import SITE, Envelope, Rank
from cem.model.reading import Snapshot, Value
from cem.model.resource import Contact, Resource, Role
from cem.model.setpoint import Decision, Mode
from cem.model.site import SPREAD_S, ControlPolicy, IslandPolicy, LoadPolicy, LoadRun, Site
from cem.model.time import Instant
from support.houses import BATTERY, BOILER, CAR, GRID, NOON, PV, house, inputs, of, settled, snapshot, watts

HOME = house(GRID, PV, BATTERY, CAR, BOILER)
STABLE_S = HOME.policy.island.stable_s
LIMIT = Directive(envelopes=(Envelope(SITE, None, 4000.0, Rank.OBLIGATION, "utility", "limit"),))


def seen(volts: tuple[float | None, ...], power_w: float = 0.0, mono_s: float = 1000.0) -> Snapshot:
    """The house with these voltages at the meter; the battery carries 800 W."""
    grid: dict[str, Value] = {"power_w": power_w}
    grid |= {f"voltage_l{n}_v": v for n, v in enumerate(volts, 1)}
    return snapshot(
        {
            "grid": grid,
            "pv": {"power_w": 0.0},
            "battery": {"power_w": -800.0, "soc_pct": 60.0},
            "car": {"power_w": 0.0, "state": "B"},
            "boiler": {"power_w": 0.0},
        },
        mono_s=mono_s,
    )


def after(*pictures: tuple[tuple[float | None, ...], float]) -> tuple[Decision, Memory]:
    """What is decided on the last of (voltages, at second)."""
    memory = Memory()
    for volts, at_s in pictures:
        decision, memory = decide(HOME, inputs(seen(volts, mono_s=1000.0 + at_s), directive=LIMIT), memory)
    return decision, memory


ON, OFF = (230.0, 231.0, 229.0), (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("volts", "power_w", "presence"),
    [
        (ON, 0.0, GridPresence.CONNECTED),
        (OFF, 0.0, GridPresence.ISLANDED),
        ((3.0, 5.0, 2.0), 0.0, GridPresence.ISLANDED),
        ((0.0, 230.0, 230.0), 0.0, GridPresence.CONNECTED),  # one phase lost is no island
        ((170.0, 170.0, 170.0), 0.0, GridPresence.CONNECTED),  # nor is a low voltage
        (OFF, 2500.0, GridPresence.CONNECTED),  # nor voltages that are not told right: power flows
        ((None, None, None), 0.0, GridPresence.CONNECTED),
    ],
)
def test_an_island_is_no_voltage_on_any_phase_and_no_power(
    volts: tuple[float | None, ...], power_w: float, presence: GridPresence
) -> None:
    _, memory = decide(HOME, inputs(seen(ON, power_w, 999.0)), Memory())
    decision, _ = decide(HOME, inputs(seen(volts, power_w)), memory)
    assert decision.grid is presence


def test_a_meter_that_never_shows_a_voltage_says_nothing_about_the_grid() -> None:
    assert after((OFF, 0), (OFF, 1), (OFF, 60))[0].grid is GridPresence.CONNECTED


def test_a_gateway_that_starts_during_an_outage_knows_what_the_meter_showed_before() -> None:
    _, memory = after((ON, 0))
    kept = from_json(to_json(memory, Instant(NOON, 1000.0)), Instant(NOON, 5.0))
    decision, _ = decide(HOME, inputs(seen(OFF, mono_s=10.0)), kept)
    assert decision.grid is GridPresence.ISLANDED


def test_one_sample_without_voltage_suspends_the_grids_word_and_pauses_the_car() -> None:
    before, _ = after((ON, 0))
    assert before.band.max_w == 4000
    decision, _ = after((ON, 0), (OFF, 1))
    assert decision.mode is Mode.ISLANDED
    assert decision.band.max_w > 4000
    assert watts(decision, "car") == 0


def test_the_grids_limit_holds_again_with_the_first_voltage_and_nothing_returns_before_it_is_stable() -> None:
    decision, _ = after((ON, 0), (OFF, 1), (ON, 2))
    assert decision.mode is Mode.ISLANDED
    assert decision.band.max_w == 4000
    assert watts(decision, "car") == 0
    assert "only just come back" in of(decision, "car").reason
    assert after((ON, 0), (OFF, 1), (ON, 2), (ON, 1 + STABLE_S))[0].grid is GridPresence.ISLANDED
    assert after((ON, 0), (OFF, 1), (ON, 2), (ON, 2 + STABLE_S))[0].grid is GridPresence.CONNECTED


@pytest.mark.parametrize(
    "between", [(150.0, 150.0, 150.0), (230.0, 0.0, 230.0), (None, None, None), (254.0, 231.0, 229.0)]
)
def test_an_island_ends_only_when_every_phase_is_clearly_back(between: tuple[float | None, ...]) -> None:
    decision, memory = after((ON, 0), (OFF, 1), (between, 2), (between, 200))
    assert decision.grid is GridPresence.ISLANDED
    assert memory.grid_back_at_s is None


def test_a_flapping_grid_is_one_island_until_it_has_stayed() -> None:
    decision, memory = after((ON, 0), *((OFF if second % 20 < 8 else ON, second) for second in range(1, 181)))
    assert decision.mode is Mode.ISLANDED
    for second in range(181, 181 + int(STABLE_S) - 15):
        decision, memory = decide(HOME, inputs(seen(ON, mono_s=1000.0 + second)), memory)
        assert decision.mode is Mode.ISLANDED
    decision, _ = decide(HOME, inputs(seen(ON, mono_s=1200.0 + STABLE_S)), memory)
    assert decision.mode is Mode.NORMAL


def test_a_load_that_runs_on_surplus_is_off_at_once_whatever_its_minimum_time() -> None:
    policy = LoadPolicy("boiler", runs=LoadRun.ON_SURPLUS, min_on_s=3600.0)
    site = replace(house(GRID, PV, BATTERY, BOILER), loads=(policy,))

    def sunny(volts: tuple[float | None, ...], mono_s: float, boiler_w: float) -> Snapshot:
        points = seen(volts, mono_s=mono_s).readings
        values: dict[str, dict[str, Value]] = {k: {p: r.value for p, r in row.items()} for k, row in points.items()}
        values["boiler"]["power_w"] = boiler_w
        values["pv"]["power_w"] = -6000.0
        del values["car"]
        values["grid"]["power_w"] = 0.0 if volts == OFF else -3000.0
        values["battery"] = {"power_w": 0.0, "soc_pct": 60.0}
        return snapshot(values, mono_s=mono_s)

    memory = Memory()
    for second in range(100):
        decision, memory = decide(site, inputs(sunny(ON, 1000.0 + second, 0.0)), memory)
    assert of(decision, "boiler").value == 1
    decision, _ = decide(site, inputs(sunny(OFF, 1101.0, 2000.0)), memory)
    assert of(decision, "boiler").value == 0
    assert "without the grid" in of(decision, "boiler").reason


def test_the_effect_of_a_battery_that_carries_the_house_is_not_watched() -> None:
    assert of(after((ON, 0))[0], "battery").watched
    assert not of(after((ON, 0), (OFF, 1))[0], "battery").watched
    assert of(after((ON, 0), (OFF, 1), (ON, 2))[0], "battery").watched


def test_the_time_that_is_left_is_told_from_what_the_battery_gives() -> None:
    decision, _ = settled(HOME, inputs(seen(OFF)), memory=Memory(voltage_seen=True))
    assert "the battery lasts for about 6.2 h" in decision.headline  # (60 - 10) % of 10 kWh over 800 W


# --- who says it, beside the meter ---

SWITCH = Resource("switch", Role.CONTACTS, "switch", "Switch", contacts=frozenset({Contact.ISLAND}))


@pytest.mark.parametrize(
    ("volts", "power_w", "contact", "inverter", "presence"),
    [
        (ON, 0.0, 1.0, None, GridPresence.ISLANDED),  # the switch is open, the grid's voltage is there before it
        (ON, 0.0, None, 0.0, GridPresence.ISLANDED),
        (ON, 0.0, 0.0, 0.0, GridPresence.ISLANDED),  # one of them is enough
        (ON, 1500.0, 1.0, 0.0, GridPresence.CONNECTED),  # power flows: it is not believed
        (ON, 0.0, 0.0, 1.0, GridPresence.CONNECTED),
        (ON, 0.0, None, None, GridPresence.CONNECTED),  # a contact that can't be read says nothing
        (OFF, 0.0, 0.0, 1.0, GridPresence.ISLANDED),  # the meter sees it by itself
        ((None, None, None), 0.0, 1.0, None, GridPresence.ISLANDED),
        ((None, None, None), 0.0, 0.0, 1.0, GridPresence.CONNECTED),
    ],
)
def test_the_switch_or_an_inverter_says_that_the_house_is_cut_off(
    volts: tuple[float | None, ...],
    power_w: float,
    contact: float | None,
    inverter: float | None,
    presence: GridPresence,
) -> None:
    site = house(GRID, PV, BATTERY, CAR, BOILER, SWITCH)
    _, memory = decide(site, inputs(seen(ON, power_w, 999.0)), Memory())
    points: dict[str, dict[str, Value]] = {
        key: {point: reading.value for point, reading in row.items()}
        for key, row in seen(volts, power_w).readings.items()
    }
    points["switch"] = {"island": contact}
    points["battery"]["on_grid"] = inverter
    decision, _ = decide(site, inputs(snapshot(points)), memory)
    assert decision.grid is presence


# --- the return ---


def returned(
    site: Site, directive: Directive = LIMIT, *, hertz: float | None = None, until_s: float = 4000.0
) -> tuple[float | None, Memory]:
    """At which second after the voltage came back the grid counts as back, in steps of 10 s, and the memory then."""

    def at(volts: tuple[float | None, ...], mono_s: float) -> Snapshot:
        points: dict[str, dict[str, Value]] = {
            key: {point: reading.value for point, reading in row.items()}
            for key, row in seen(volts, mono_s=mono_s).readings.items()
        }
        points["grid"] |= {} if hertz is None else {"frequency_hz": hertz}
        return snapshot(points, mono_s=mono_s)

    memory = Memory()
    for volts, second in ((ON, 0.0), (OFF, 1.0)):
        _, memory = decide(site, inputs(at(volts, 1000.0 + second), directive=directive), memory)
    second = 0.0
    while second <= until_s:
        now = Instant(NOON + timedelta(seconds=second), 1002.0 + second)
        told = replace(inputs(at(ON, now.mono_s), directive=directive), now=now)
        decision, memory = decide(site, told, memory)
        if decision.grid is GridPresence.CONNECTED:
            return second, memory
        second += 10.0
    return None, memory


@pytest.mark.parametrize(
    ("hertz", "back_s"), [(50.0, 300.0), (49.5, 300.0), (49.4, None), (50.3, None), (60.0, 300.0), (59.4, None)]
)
def test_the_frequency_too_has_to_be_in_its_window(hertz: float, back_s: float | None) -> None:
    assert returned(HOME, hertz=hertz, until_s=600.0)[0] == back_s


def _link(state: LinkState, heard_s: float) -> LinkStatus:
    return LinkStatus("utility", state, NOON, NOON + timedelta(seconds=heard_s), "")


BLACK_START = (Envelope(SITE, None, 0.0, Rank.OBLIGATION, "utility", "black start"),)


@pytest.mark.parametrize(
    ("directive", "back_s"),
    [
        (Directive(links=(_link(LinkState.ONLINE, 0.0),)), 300.0),
        (Directive(links=(_link(LinkState.ONLINE, 0.0),), envelopes=LIMIT.envelopes), 300.0),
        (Directive(links=(_link(LinkState.ONLINE, -1000.0),)), 2100.0),  # heard before the outage alone
        (Directive(links=(_link(LinkState.FALLBACK, 0.0),)), 2100.0),
        (Directive(), 2100.0),
        (Directive(links=(_link(LinkState.ONLINE, 0.0),), envelopes=BLACK_START), 2100.0),
    ],
)
def test_a_provider_that_permits_the_return_is_waited_for_half_an_hour_at_most(
    directive: Directive, back_s: float
) -> None:
    asks = replace(HOME, policy=ControlPolicy(island=IslandPolicy(permitted_by=frozenset({"utility"}))))
    assert returned(asks, directive)[0] == back_s
    assert returned(HOME, directive)[0] == 300.0


def test_after_the_return_the_house_waits_once_for_both_sides_and_rises_by_a_tenth_a_minute_of_the_default_limit() -> (
    None
):
    island = IslandPolicy(import_limit_w=12_000.0, export_limit_w=6000.0)
    delays = []
    for name in ("one", "two", "three", "four", "five"):
        _, memory = returned(replace(HOME, name=name, policy=ControlPolicy(island=island)))
        kept = from_json(to_json(memory, Instant(NOON, 2000.0)), Instant(NOON, 2000.0))
        assert kept.releases == memory.releases  # the time is drawn once, and outlives a restart
        imports, exports = memory.releases
        assert (imports.side, exports.side) == ("import", "export")
        assert imports.delay_s == exports.delay_s
        assert (imports.ramp_w_per_s, exports.ramp_w_per_s) == (20.0, 10.0)
        delays.append(imports.delay_s)
    assert all(0.0 <= delay <= SPREAD_S for delay in delays)
    assert len(set(delays)) == 5


def test_after_the_return_a_car_charges_only_as_the_ramp_leaves_room() -> None:
    island = IslandPolicy(import_limit_w=12_000.0)
    site = replace(house(GRID, CAR), policy=ControlPolicy(island=island))

    def at(second: float, car_w: float) -> Snapshot:
        volts = {f"voltage_l{n}_v": v for n, v in enumerate(ON, 1)}
        return snapshot(
            {"grid": {"power_w": 500.0 + car_w} | volts, "car": {"power_w": car_w, "state": "C" if car_w else "B"}},
            mono_s=second,
        )

    memory = replace(Memory(), islanded=True, voltage_seen=True, grid_back_at_s=0.0, grid_back="then")
    began: float | None = None
    car_w = 0.0
    for second in range(0, 2400, 5):
        decision, memory = decide(site, inputs(at(float(second), car_w)), memory)
        car_w = 690.0 * (watts(decision, "car") or 0.0)
        if second == 300:
            assert decision.grid is GridPresence.CONNECTED
            (release,) = [r for r in memory.releases if r.side == "import"]
            begins_s = 300 + release.delay_s
        if second >= 300:
            most_w = 500.0 + max(0.0, second - begins_s) * 20.0
            assert car_w + 500.0 <= max(most_w, 500.0) + 1.0
        if car_w and began is None:
            began = second
    assert began is not None
    assert 300 < begins_s < began <= begins_s + 4200 / 20.0 + 15
    assert car_w == 11_040.0
