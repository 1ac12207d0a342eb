"""Relays that answer requests: leases by their own timers, a safe order of contacts, and what the owner had set."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence

import pytest

from cem.driver import Control, Device, DeviceConfig, DriverContext, NoAnswer, Refused, WrongDevice
from cem_drivers.mqtt import DRIVER
from cem_drivers.mqtt.rpc import Requests, notice
from hw_sim.simulation import SimulatedHome
from support.driver_cases import CASES, Case, Scene, scene
from support.sim_homes import HEAT_PUMP, METER, NOON, RELAY, home

RELAY_CASE, PUMP_CASE = (next(case for case in CASES if case.name == name) for name in ("relay", "heat-pump"))
ON, SG = Control.LOAD_ON, Control.HEAT_PUMP_SG_READY
LOCKED, NORMAL, RECOMMENDED, FORCED = 1.0, 2.0, 3.0, 4.0


def _play(case: Case, act: Callable[[Scene, Device], Awaitable[None]]) -> Scene:
    async def main() -> Scene:
        async with scene(case) as stage:
            device = stage.device()
            await device.open()
            await act(stage, device)
            await device.close()
            return stage

    return asyncio.run(main())


def _calls(writes: Sequence[str]) -> list[dict[str, object]]:
    """The parameters of what was asked for."""
    return [json.loads(write.partition(" ")[2])["params"] for write in writes]


def _state(stage: Scene) -> int:
    return next(iter(stage.home.truth().heat_pump.values())).sg_state


@pytest.mark.parametrize("before", [LOCKED, NORMAL, RECOMMENDED, FORCED])
@pytest.mark.parametrize("after", [LOCKED, NORMAL, RECOMMENDED, FORCED])
def test_on_the_way_from_one_state_to_another_a_heat_pump_is_never_locked(before: float, after: float) -> None:
    passed: list[tuple[bool, bool]] = []

    async def act(stage: Scene, device: Device) -> None:
        await device.write("heat_pump", SG, before)
        first, second = stage.home.fronts["heat-pump"].commands(), len(stage.writes)
        closed = [bool(first["switch:0"]), bool(first["switch:1"])]
        await device.write("heat_pump", SG, after)
        for call in _calls(stage.writes[second:]):
            closed[int(str(call["id"]))] = call["on"] is True
            passed.append((closed[0], closed[1]))
        await stage.pass_s(1)
        assert _state(stage) == after

    _play(PUMP_CASE, act)
    if LOCKED not in (before, after):
        assert (True, False) not in passed


def test_every_closed_contact_has_a_timer_and_the_first_opens_before_the_second() -> None:
    states: list[int] = []

    async def act(stage: Scene, device: Device) -> None:
        await device.write("heat_pump", SG, FORCED)
        for _ in range(64):
            await stage.pass_s(1)
            states.append(_state(stage))

    stage = _play(PUMP_CASE, act)
    assert [call["toggle_after"] for call in _calls(stage.writes)] == [60.0, 58.0]
    assert states[0] == FORCED
    assert states[-1] == NORMAL
    assert LOCKED not in states
    assert states.index(2) <= 61


def test_a_contact_in_its_own_position_gets_no_timer() -> None:
    async def act(stage: Scene, device: Device) -> None:
        await device.write("heat_pump", SG, NORMAL)
        assert stage.writes == []
        assert await device.read_back("heat_pump", SG) == NORMAL
        await device.release("heat_pump", SG)
        assert await device.read_back("heat_pump", SG) is None

    assert _play(PUMP_CASE, act).writes == []


def test_a_relay_that_tells_what_is_wanted_and_stands_otherwise_is_told_again_once_it_was_let_go() -> None:
    async def act(stage: Scene, device: Device) -> None:
        await device.write("load", ON, 1.0)
        stage.home.faults.inject("relay", "ineffective")
        await stage.pass_s(1)
        await device.write("load", ON, 0.0)  # taken, and the contact stays closed
        await device.release("load", ON)
        stage.home.faults.clear("relay", "ineffective")
        await stage.pass_s(1)
        assert stage.home.truth().relay_load["boiler"].on
        await device.write("load", ON, 0.0)
        await stage.pass_s(1)
        assert not stage.home.truth().relay_load["boiler"].on

    _play(RELAY_CASE, act)


def _switched_by_hand(stage: Scene, payload: str) -> None:
    stage.home.broker.spread(f"{stage.serial}/command/switch:0", payload.encode(), False)


@pytest.mark.parametrize("owners", [0.0, 1.0])
@pytest.mark.parametrize("ours", [0.0, 1.0])
def test_without_us_a_relay_goes_back_to_where_its_owner_had_it(owners: float, ours: float) -> None:
    async def act(stage: Scene, device: Device) -> None:
        _switched_by_hand(stage, "on" if owners else "off")
        await stage.pass_s(2)
        await device.write("load", ON, ours)
        await stage.pass_s(1)
        assert stage.home.truth().relay_load["boiler"].on is (ours == 1.0)
        assert await device.read_back("load", ON) == ours
        await stage.pass_s(62)
        assert stage.home.truth().relay_load["boiler"].on is (owners == 1.0)
        assert await device.read_back("load", ON) is None

    _play(RELAY_CASE, act)


def test_after_a_crash_the_owners_position_is_known_by_the_timer_that_runs() -> None:
    async def act(stage: Scene, device: Device) -> None:
        await device.write("load", ON, 1.0)
        again = stage.device()
        await again.open()
        assert await again.read_back("load", ON) == 1.0
        await again.release("load", ON)
        await stage.pass_s(1)
        assert not stage.home.truth().relay_load["boiler"].on
        assert await again.read_back("load", ON) is None
        await again.close()

    _play(RELAY_CASE, act)


def test_what_somebody_else_switches_shows_and_becomes_the_owners_position() -> None:
    async def act(stage: Scene, device: Device) -> None:
        await device.write("load", ON, 0.0)
        _switched_by_hand(stage, "on")
        await stage.pass_s(1)
        assert await device.read_back("load", ON) == 1.0
        await device.write("load", ON, 0.0)
        await device.release("load", ON)
        await stage.pass_s(1)
        assert stage.home.truth().relay_load["boiler"].on

    _play(RELAY_CASE, act)


def test_a_value_between_the_states_is_refused() -> None:
    async def act(stage: Scene, device: Device) -> None:
        for value in (0.5, 2.0, 7.0):
            with pytest.raises(Refused, match=r"is no value for load\.on; allowed are 0, 1"):
                await device.write("load", ON, value)

    assert _play(RELAY_CASE, act).writes == []


def test_a_device_that_signs_with_another_number_is_the_wrong_one() -> None:
    async def act(stage: Scene, device: Device) -> None:
        stage.home.faults.inject("relay", "stranger")
        await stage.pass_s(1)
        with pytest.raises(WrongDevice, match="nothing is written"):
            await device.write("load", ON, 1.0)
        with pytest.raises(WrongDevice, match="nothing is written"):
            await device.poll()

    assert _play(RELAY_CASE, act).writes == []


def test_without_the_broker_nothing_is_sent_later() -> None:
    async def act(stage: Scene, device: Device) -> None:
        stage.home.broker.set_up(False)
        await asyncio.sleep(0.01)
        with pytest.raises(NoAnswer):
            await device.write("load", ON, 1.0)
        stage.home.broker.set_up(True)
        await stage.pass_s(3)
        assert not stage.home.truth().relay_load["boiler"].on

    _play(RELAY_CASE, act)


@pytest.mark.parametrize(
    ("parts", "profiles"),
    [((RELAY, METER), ["shelly.relay"]), ((HEAT_PUMP, METER), ["shelly.sg-ready"]), ((METER,), [])],
)
def test_the_probe_tells_the_kinds_apart_by_their_components(parts: tuple[str, ...], profiles: list[str]) -> None:
    async def main() -> list[str | None]:
        house = SimulatedHome(home(*parts), NOON)
        await house.start()
        context = DriverContext(lambda: house.house.elapsed_s, topics=lambda _link: house.broker.client())
        found = await DRIVER.probe({"host": "memory"}, context, 0.1)
        await house.stop()
        return [one.profile for one in found]

    assert asyncio.run(main()) == profiles


def test_a_device_with_a_topic_prefix_of_its_own_is_found_and_written_under_it() -> None:
    relay = RELAY.replace(
        'kind = "shelly.relay"', 'kind = "shelly.relay"\nserial = "shellyplus1pm-a1"\ntopic_prefix = "tank"'
    )

    async def main() -> None:
        house = SimulatedHome(home(relay, METER), NOON)
        await house.start()
        context = DriverContext(lambda: house.house.elapsed_s, topics=lambda _link: house.broker.client())
        (found,) = await DRIVER.probe({"host": "memory"}, context, 0.1)
        assert (found.identity.serial, found.link) == ("shellyplus1pm-a1", {"host": "memory", "serial": "tank"})
        resources = RELAY_CASE.config("x").resources
        config = DeviceConfig(
            "dev", "", "mqtt", found.link, resources, profile="shelly.relay", serial="shellyplus1pm-a1"
        )
        device = DRIVER.device(config, context)
        await device.open()
        await device.write("load", ON, 1.0)
        house.step(1.0)
        assert house.truth().relay_load["boiler"].on
        await device.close()
        await house.stop()

    asyncio.run(main())


def test_an_answer_counts_once_and_only_for_who_asked() -> None:
    requests = Requests("me")
    number, frame = requests.frame("Switch.Set", {"id": 0, "on": True})
    assert json.loads(frame) == {"id": number, "src": "me", "method": "Switch.Set", "params": {"id": 0, "on": True}}
    assert requests.take(b'{"id": 99, "src": "x", "result": {}}') is None
    assert requests.waits(number)
    requests.take(json.dumps({"id": number, "src": "x", "error": {"code": -109, "message": "locked"}}).encode())
    answer = requests.answer(number)
    assert answer is not None
    assert answer.error == "-109: locked"
    assert requests.answer(number) is None
    assert requests.answered_by == "x"


def test_a_notification_tells_its_changes_and_any_other_none() -> None:
    told = {"method": "NotifyStatus", "params": {"ts": 1.0, "switch:0": {"id": 0, "output": True}}}
    assert notice(json.dumps(told).encode()).changes == {"switch:0": {"id": 0, "output": True}}
    assert notice(b'{"method": "NotifyEvent", "params": {"events": []}}').changes == {}
