"""Relays and a heat pump speak the Gen2 RPC dialect and move what hangs on them."""

import json

import pytest

from hw_sim.home import parse_home
from hw_sim.specs import DeviceSpec
from hw_sim.truth import Hold
from support.sim_worlds import WINTER, World, played, ready

RELAY = "shellyplus1pm-a8032ab636ec"
PUMP = "shellypro3em-34987a4512e0"
HOME = ready("heat-pump")


def test_a_relay_is_switched_and_told_of() -> None:
    async def main(world: World) -> None:
        await world.run(3)
        assert world.last(f"{RELAY}/online") is True
        assert world.sim.broker.retained[f"{RELAY}/online"] == b"true"
        before = world.last(f"{RELAY}/status/switch:0")
        assert (before["output"], before["apower"]) == (False, 0.0)
        answer = await world.call("boiler-relay", "Switch.Set", id=0, on=True)
        assert answer == {"id": 7, "src": RELAY, "dst": "tester", "result": {"was_on": False}}
        await world.run(3)
        now = world.last(f"{RELAY}/status/switch:0")
        assert (now["output"], now["apower"], now["source"]) == (True, 2000.0, "MQTT")
        assert now["current"] == pytest.approx(2000.0 / 230.0, abs=0.001)
        told = [json.loads(payload) for topic, payload, _ in world.said if topic == f"{RELAY}/events/rpc"]
        assert any(frame["params"].get("switch:0", {}).get("output") is True for frame in told)
        truth = world.sim.truth()
        assert truth.relay_w == 2000.0
        assert truth.relay_load["boiler"].phases_w == (0.0, 2000.0, 0.0)
        assert truth.relay_load["boiler"].switchings == 1
        assert truth.devices["boiler-relay"].writes == {"switch:0": 1}
        assert not any(topic.startswith(f"{RELAY}/status") for topic in world.sim.broker.retained)

    played(HOME, main)


def test_toggle_after_is_the_lease() -> None:
    async def main(world: World) -> None:
        await world.run(2)
        await world.call("boiler-relay", "Switch.Set", id=0, on=True, toggle_after=30)
        status = world.last(f"{RELAY}/status/switch:0")
        assert status["timer_duration"] == 30
        assert status["timer_started_at"] == pytest.approx(WINTER.timestamp() + 2.0, abs=0.01)
        hold = world.sim.truth().devices["boiler-relay"].holds["boiler"]
        assert hold == Hold(remote=True, until_s=32.0, state=1)
        await world.run(20)
        await world.call("boiler-relay", "Switch.Set", id=0, on=True, toggle_after=30)  # renewed
        await world.run(25)
        assert world.sim.truth().relay_load["boiler"].on
        await world.run(8)
        assert not world.sim.truth().relay_load["boiler"].on
        assert world.last(f"{RELAY}/status/switch:0")["source"] == "timer"
        assert world.sim.truth().devices["boiler-relay"].holds["boiler"] == Hold(remote=False, state=0)

    played(HOME, main)


@pytest.mark.parametrize(
    ("first", "second", "state"),
    [(True, False, 1), (False, False, 2), (False, True, 3), (True, True, 4)],
)
def test_two_contacts_are_the_sg_ready_state(first: bool, second: bool, state: int) -> None:
    async def main(world: World) -> None:
        await world.run(2)
        await world.call("heat-pump", "Switch.Set", id=0, on=first)
        await world.call("heat-pump", "Switch.Set", id=1, on=second)
        await world.run(2)
        truth = world.sim.truth()
        assert truth.heat_pump["heat_pump"].sg_state == state
        assert truth.heat_pump["heat_pump"].contact_switchings == first + second
        assert truth.devices["heat-pump"].holds["heat_pump"] == Hold(remote=state != 2, state=state)

    played(HOME, main)


def test_the_heat_pump_is_metered_and_its_store_measured() -> None:
    async def main(world: World) -> None:
        await world.run(1800)
        world.client.publish(f"{PUMP}/command", b"status_update")
        await world.run(2)
        truth = world.sim.truth().heat_pump["heat_pump"]
        assert truth.running
        em = world.last(f"{PUMP}/status/em:0")
        assert em["total_act_power"] == pytest.approx(truth.power_w, rel=0.02)
        assert em["a_act_power"] == pytest.approx(truth.power_w / 3.0, rel=0.02)
        assert world.last(f"{PUMP}/status/emdata:0")["total_act"] == pytest.approx(truth.energy_wh, rel=0.02)
        assert world.last(f"{PUMP}/status/temperature:100")["tC"] == pytest.approx(truth.store_c, abs=0.2)

    played(HOME, main)


def test_it_speaks_at_least_once_a_minute_and_not_all_the_time() -> None:
    async def main(world: World) -> None:
        await world.run(10)
        world.said.clear()
        await world.run(600)
        spoken = [topic for topic, _, _ in world.said if topic == f"{RELAY}/status/switch:0"]
        assert 9 <= len(spoken) <= 11

    played(HOME, main)


def test_what_is_wrong_with_a_request_is_told() -> None:
    async def main(world: World) -> None:
        async def code(method: str, **params: object) -> int:
            return int((await world.call("boiler-relay", method, **params))["error"]["code"])

        assert await code("Switch.Set", id=0, on="yes") == -103
        assert await code("Switch.Set", id=0, on=True, toggle_after=-1) == -103
        assert await code("Switch.Set", id=3, on=True) == -105
        assert await code("Cover.Open", id=0) == 404
        assert world.sim.truth().devices["boiler-relay"].refused == 4
        world.sim.faults.inject("boiler-relay", "refuse_writes")
        await world.run(1)
        assert await code("Switch.Set", id=0, on=True) == -109
        assert not world.sim.truth().relay_load["boiler"].on
        world.said.clear()
        for nonsense in (b"{", b"[]", b"null", b'{"id":1}', b'{"src":5,"method":"Switch.Set"}'):
            world.client.publish(f"{RELAY}/rpc", nonsense)
        await world.run(1)
        assert {t for t, _, _ in world.said if t.endswith("/rpc") and not t.startswith(PUMP)} <= {f"{RELAY}/rpc"}

    played(HOME, main)


def test_it_says_who_it_is_and_all_it_knows() -> None:
    async def main(world: World) -> None:
        info = (await world.call("boiler-relay", "Shelly.GetDeviceInfo"))["result"]
        assert (info["id"], info["gen"], info["mac"]) == (RELAY, 2, "A8032AB636EC")
        status = (await world.call("boiler-relay", "Shelly.GetStatus"))["result"]
        assert set(status) == {"switch:0", "mqtt"}
        assert (await world.call("boiler-relay", "Switch.GetStatus", id=0))["result"] == status["switch:0"]
        assert (await world.call("boiler-relay", "Switch.GetConfig", id=0))["result"]["initial_state"] == "off"
        assert (await world.call("boiler-relay", "Switch.Toggle", id=0))["result"] == {"was_on": False}
        world.client.publish(f"{RELAY}/command/switch:0", b"off")
        await world.run(1)
        assert not world.sim.truth().relay_load["boiler"].on
        world.client.publish(f"{RELAY}/command/switch:0", b"on,5")
        await world.run(3)
        assert world.sim.truth().relay_load["boiler"].on
        await world.run(5)
        assert not world.sim.truth().relay_load["boiler"].on

    played(HOME, main)


def test_a_restart_opens_the_relays() -> None:
    async def main(world: World) -> None:
        await world.call("boiler-relay", "Switch.Set", id=0, on=True)
        await world.run(2)
        world.sim.faults.inject("boiler-relay", "reboot")
        await world.run(3)
        assert world.sim.truth().relay_w == 0.0
        assert world.last(f"{RELAY}/online") is False
        world.sim.faults.clear("boiler-relay", "reboot")
        await world.run(3)
        assert world.last(f"{RELAY}/online") is True

    played(HOME, main)


def test_a_load_with_a_daily_need_takes_no_more_and_misses_what_it_does_not_get() -> None:
    async def main(world: World) -> None:
        world.sim.house.relay_loads["boiler"].on = True
        await world.run(86_400)
        truth = world.sim.truth().relay_load["boiler"]
        assert truth.energy_wh == pytest.approx(4500.0 * 1.5, rel=0.01)
        assert truth.unmet_wh == 0.0

    played(HOME, main, step_s=30.0)


def test_two_relays_need_names_and_have_different_ids() -> None:
    text = "".join(
        f'[[relay_load]]\nid = "{name}"\npower_w = 1000\n[[device]]\nid = "relay-{name}"\nkind = "shelly.relay"\n'
        f'of = ["{name}"]\nserial = "shellyplus1pm-00000000000{n}"\n'
        for n, name in enumerate(("one", "two"))
    )
    home = parse_home("home = 1\n" + text)
    assert [home.of(device) for device in home.device] == [("one",), ("two",)]
    assert DeviceSpec(id="x", kind="shelly.relay").over_mqtt
