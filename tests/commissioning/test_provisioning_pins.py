"""What hangs on pins can't be found: it is named, read, and switched only with consent."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from cem.commissioning.examination import Scope
from cem.commissioning.provisioning import Order, Outcome, Tools, find, prove
from cem.commissioning.result import Result, Step, Verdict
from cem.commissioning.site import Answers, FindTable
from cem.commissioning.targets import LinkKind, address, parse_target
from cem.commissioning.trial import trial
from cem.config.drivers import load_drivers
from cem.config.load import load_site
from cem.io.virtual import VirtualClock, run_virtual
from cem.model.reading import Value
from cem.model.resource import Contact, Control, Resource, Role
from cem.ports import ControlSpec
from cem.simulation.plant import SimulatedHome, Wire, open_home
from cem.simulation.site import BEFORE

HOME = Path(__file__).parents[2] / "hw-sim" / "homes" / "contacts.toml"
PUMP, BOILER = "SIM-PI/17-22-27", "SIM-PI/23-24"
FIND = FindTable(
    modbus=("meter:502/1", "inverter:502/1", "storage:502/1"),
    gpio=(
        "contact_1=17,contact_2=27,s0=22,pulses_per_kwh=1000",
        "gpio:relay=23,s0=24,pulses_per_kwh=1000",
        "w3=5 nc,s2=6 nc,s1=13 nc,w4=19 nc",
    ),
    max_power_w={PUMP: 5000.0, BOILER: 2000.0},
)
SITE = {
    "name": "Home",
    "timezone": "Europe/Berlin",
    "connection": {"phases": 3, "fuse_a": 35.0},
    "control": {"guaranteed_minimum": "14a"},
    "tariff": {"base_price_per_kwh": 0.3},
    "store": {"folder": "state"},
    "api": {"socket": "cem.sock"},
}


def provisioned(folder: Path, consent: frozenset[str]) -> tuple[Outcome, Mapping[str, int], Mapping[int, bool]]:
    """How it went, what was written to whom, and which pins are driven afterwards."""
    order = Order(folder / "site.toml", Scope(True, False, consent), dry_run=False, force=False, installer="Ada")

    async def main(clock: VirtualClock) -> tuple[Outcome, Mapping[str, int], Mapping[int, bool]]:
        plant = SimulatedHome(open_home(HOME), BEFORE, seed=1)
        running = asyncio.create_task(plant.run())
        await asyncio.sleep(5)
        wire = Wire(plant, clock)
        tools = Tools(load_drivers(), wire.context(), clock, "test")
        outcome = await prove(order, await find(order, Answers(SITE, FIND), tools), tools)
        running.cancel()
        await asyncio.wait([running])
        return outcome, wire.writes, plant.pins.driven

    return run_virtual(main, BEFORE)


def _of(outcome: Outcome, step: Step, subject: str) -> Result:
    results = outcome.record.examination.results
    return next(one for one in results if one.step is step and one.subject.startswith(subject))


def test_a_contact_is_tried_with_consent_alone_its_effect_seen_and_let_go(tmp_path: Path) -> None:
    outcome, writes, driven = provisioned(tmp_path, frozenset({BOILER}))
    assert outcome.record.passed
    assert _of(outcome, Step.WRITE, "heat_pump").verdict is Verdict.SKIPPED
    assert "heat-pump" not in writes
    boiler = _of(outcome, Step.WRITE, "load")
    assert boiler.verdict is Verdict.PASSED
    assert isinstance(boiler.values["effect"], float)
    assert boiler.values["effect"] > 1000.0
    assert writes["boiler-relay"] >= 2
    assert driven == {}
    site = load_site(tmp_path / "site.toml", load_drivers())
    (box,) = site.site.of(Role.CONTACTS)
    assert box.contacts == frozenset(Contact) - {Contact.ISLAND}  # the operator's four; no transfer switch is wired
    assert {device.serial for device in site.devices} >= {PUMP, BOILER, "SIM-PI/5-6-13-19"}


@pytest.mark.parametrize(
    ("control", "values", "value", "effect_point"),
    [
        (Control.HEAT_PUMP_SG_READY, {"power_w": 900.0}, 4.0, None),
        (Control.LOAD_ON, {"power_w": 900.0}, 0.0, "power_w"),
        (Control.LOAD_ON, {"power_w": 0.0}, 1.0, "power_w"),
        (Control.LOAD_ON, {"state": "off"}, 1.0, None),
    ],
)
def test_with_consent_the_other_position_is_tried(
    control: Control, values: Mapping[str, Value], value: float, effect_point: str | None
) -> None:
    resource, spec = Resource("x", Role.HEAT_PUMP, "d", "X"), ControlSpec("x", control, "runs by itself")
    tried = trial(spec, resource, values, None, consent=True)
    assert tried is not None
    assert (tried.value, tried.effect_point) == (value, effect_point)
    assert trial(spec, resource, values, None) is None


def test_wires_are_written_as_keys_of_the_link_table() -> None:
    (link,) = parse_target("gpio:relay=17 nc, s0=22, pulses_per_kwh=0.5")
    assert link == {"kind": "gpio", "relay": "17 nc", "s0": 22, "pulses_per_kwh": 0.5}
    assert address(link) == "pins relay 17 nc, s0 22"
    with pytest.raises(ValueError, match="WIRE=PIN"):
        parse_target("relay 17", LinkKind.GPIO)
