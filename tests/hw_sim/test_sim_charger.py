"""The charger speaks the go-eCharger API v2 dialect (mqtt-en.md, apikeys-en.md) and moves the car."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from hw_sim.devices.charger import Charger
from hw_sim.simulation import SimulatedHome
from support.sim_homes import EV, NIGHT, home
from support.sim_topics import Watcher
from support.waiting import until

TOPIC = "go-eCharger/000001/"


class Bench:
    """A simulated home, a watcher on its broker, and steps that let messages through."""

    def __init__(self, *parts: str) -> None:
        self.sim = SimulatedHome(home(EV, *parts), NIGHT)
        self.watcher = Watcher(self.sim.broker)

    async def start(self) -> None:
        await self.watcher.start()
        await self.charger.start()
        await self.run(1)

    @property
    def charger(self) -> Charger:
        assert self.sim.charger is not None
        return self.sim.charger

    async def run(self, seconds: int) -> None:
        for _ in range(seconds):
            self.sim.step(1.0)
            for _ in range(4):
                await asyncio.sleep(0)

    async def set(self, key: str, text: str) -> str:
        self.watcher.texts.pop(f"{key}/result", None)
        assert self.watcher.client.publish(f"{TOPIC}{key}/set", text.encode())
        for _ in range(6):
            await asyncio.sleep(0)
        return self.watcher.texts[f"{key}/result"]


def bench(main: Callable[[Bench], Awaitable[None]], *parts: str) -> None:
    async def whole() -> None:
        one = Bench(*parts)
        await one.start()
        await main(one)

    asyncio.run(whole())


def test_all_keys_are_published_retained_as_json() -> None:
    async def main(b: Bench) -> None:
        await b.run(2)
        topics = b.sim.broker.retained
        assert all(topic.startswith(TOPIC) for topic in topics)
        w = b.watcher
        assert (w["sse"], w["amp"], w["ama"], w["frc"], w["psm"], w["err"]) == ("000001", 16, 16, 0, 0, 0)
        assert (w["car"], w["alw"], w["acu"], w["modelStatus"], w["mcc"]) == (3, True, 16, 15, True)
        assert (w["rbc"], w["eto"], w["wh"], w["fsp"], w["var"]) == (1, 0, 0.0, False, 11)
        assert isinstance(w["fwv"], str)
        assert w["utc"].startswith("2026-01-15T01:00:0")
        assert set(w.texts) == {topic.removeprefix(TOPIC) for topic in topics}

    bench(main)


def test_charging_shows_in_the_power_array() -> None:
    async def main(b: Bench) -> None:
        await b.run(10)
        nrg = b.watcher["nrg"]
        assert nrg == [230.0, 230.0, 230.0, 0, 16.0, 16.0, 16.0, 3680.0, 3680.0, 3680.0, 0, 11040.0, 100, 100, 100, 0]
        assert b.watcher["car"] == 2
        truth = b.sim.truth()
        assert nrg[11] == pytest.approx(truth.ev_w)
        await b.run(60)
        assert b.watcher["wh"] == pytest.approx(b.sim.truth().ev["ev"].session_wh, abs=0.01)
        assert b.watcher["eto"] == int(b.sim.truth().ev_wh)

    bench(main)


def test_the_current_is_set_and_confirmed() -> None:
    async def main(b: Bench) -> None:
        await b.run(10)
        assert await b.set("amp", "8") == "success"
        assert b.watcher["amp"] == 8
        await b.run(5)
        assert b.sim.truth().ev_w == pytest.approx(3 * 230.0 * 8)
        assert b.watcher["acu"] == 8
        result = [entry for entry in b.watcher.log if entry[0] == "amp/result"]
        assert result == [("amp/result", "success", False)]
        assert f"{TOPIC}amp/result" not in b.sim.broker.retained

    bench(main)


def test_force_off_pauses_and_neutral_goes_on() -> None:
    async def main(b: Bench) -> None:
        await b.run(10)
        assert await b.set("frc", "1") == "success"
        await b.run(5)
        assert b.sim.truth().ev_w == 0.0
        assert (b.watcher["car"], b.watcher["alw"], b.watcher["acu"], b.watcher["modelStatus"]) == (4, False, None, 4)
        assert await b.set("frc", "0") == "success"
        await b.run(10)
        assert b.sim.truth().ev_w == pytest.approx(11040.0)
        assert (b.watcher["car"], b.watcher["modelStatus"]) == (2, 15)
        assert await b.set("frc", "2") == "success"
        await b.run(1)
        assert b.watcher["modelStatus"] == 3
        assert b.sim.truth().ev["ev"].contactor_closures == 2

    bench(main)


def test_switching_phases_pauses_first() -> None:
    async def main(b: Bench) -> None:
        await b.run(10)
        assert await b.set("psm", "1") == "success"
        await b.run(1)
        assert (b.watcher["modelStatus"], b.watcher["fsp"]) == (23, True)
        seen = set()
        for _ in range(40):
            await b.run(1)
            seen.add(round(b.sim.truth().ev_w))
        assert seen == {11040, 0, 3680}  # never one phase under load
        assert b.watcher["nrg"][4:7] == [16.0, 0.0, 0.0]
        assert await b.set("psm", "2") == "success"
        await b.run(40)
        assert b.sim.truth().ev_w == pytest.approx(11040.0)

    bench(main)


@pytest.mark.parametrize(
    ("key", "text", "result"),
    [
        ("amp", "5", "value must be between 6 and 16 5"),
        ("amp", "17", "value must be between 6 and 16 17"),
        ("amp", '"10"', 'value must be integer "10"'),
        ("amp", "true", "value must be integer true"),
        ("amp", "ten", "invalid json InvalidInput: ten"),
        ("frc", "3", "value must be between 0 and 2 3"),
        ("psm", "-1", "value must be between 0 and 2 -1"),
        ("fna", "0", "value must be string 0"),
        ("nrg", "1", "key is read only 1"),
        ("car", "1", "key is read only 1"),
        ("xyz", "1", "unknown key 1"),
    ],
)
def test_wrong_commands_are_answered_and_change_nothing(key: str, text: str, result: str) -> None:
    async def main(b: Bench) -> None:
        before = b.charger.values()
        assert await b.set(key, text) == result
        assert b.charger.values() == before

    bench(main)


def test_the_power_array_comes_at_least_every_five_seconds_and_the_rest_on_change() -> None:
    async def main(b: Bench) -> None:
        await b.set("frc", "1")
        await b.run(10)
        b.watcher.log.clear()
        await b.run(60)
        keys = [key for key, _, _ in b.watcher.log]
        assert keys.count("nrg") == 12
        assert set(keys) == {"nrg", "utc", "rbt"}

    bench(main)


def test_a_new_connection_to_the_broker_brings_everything_again() -> None:
    async def main(b: Bench) -> None:
        await b.run(10)
        b.sim.broker.set_up(False)
        await b.run(5)
        b.watcher.texts.clear()
        b.sim.broker.retained.clear()
        b.sim.broker.set_up(True)
        await b.run(3)
        assert {"sse", "nrg", "car", "amp", "mcc"} <= set(b.watcher.texts)
        assert await b.set("amp", "6") == "success"

    bench(main)


def fault(kind: str) -> str:
    return f'[[fault]]\ntarget = "wallbox"\nkind = "{kind}"\nat_s = 10\nfor_s = 60\n'


def test_a_silent_charger_says_and_does_nothing() -> None:
    async def main(b: Bench) -> None:
        await b.run(12)
        b.watcher.log.clear()
        b.watcher.client.publish(f"{TOPIC}amp/set", b"6")
        await b.run(30)
        assert [key for key, _, _ in b.watcher.log] == ["amp/set"]
        assert b.sim.truth().ev["ev"].offered_a == 16.0
        await b.run(40)
        assert b.watcher["nrg"][11] == 11040.0

    bench(main, fault("silence"))


def test_a_read_only_charger_refuses_commands() -> None:
    async def main(b: Bench) -> None:
        await b.run(12)
        assert "disabled" in await b.set("amp", "6")
        assert b.charger.settings["amp"] == 16
        await b.run(60)
        assert await b.set("amp", "6") == "success"

    bench(main, fault("refuse_writes"))


def test_a_frozen_charger_takes_commands_without_effect() -> None:
    async def main(b: Bench) -> None:
        await b.run(12)
        b.watcher.log.clear()
        assert await b.set("amp", "6") == "success"
        await b.run(30)
        assert b.sim.truth().ev_w == pytest.approx(11040.0)
        assert "nrg" not in {key for key, _, _ in b.watcher.log}

    bench(main, fault("freeze"))


def test_the_home_runs_by_the_loop_and_the_charger_goes_and_comes() -> None:
    async def main() -> None:
        sim = SimulatedHome(
            home(EV, fault("disconnect").replace("= 10\n", "= 1\n").replace("60", "1")), NIGHT, step_s=0.01
        )
        watcher = await Watcher(sim.broker).start()
        running = asyncio.create_task(sim.run())
        await until(lambda: sim.broker.retained.get(f"{TOPIC}mcc") == b"true")
        await until(lambda: watcher.texts.get("mcc") == "false")
        await until(lambda: watcher.texts.get("mcc") == "true")
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert sim.broker.retained[f"{TOPIC}mcc"] == b"false"  # said goodbye
        assert sim.truth().elapsed_s >= 2.0

    asyncio.run(main())


def test_settings_survive_a_restart_and_reboots_are_counted() -> None:
    first = SimulatedHome(home(EV), NIGHT)
    assert first.charger is not None
    assert first.charger.set("amp", b"9") == "success"
    second = SimulatedHome(home(EV), NIGHT)
    second.restore(first.save())
    assert second.charger is not None
    assert (second.charger.settings["amp"], second.charger.values()["rbc"]) == (9, 2)


def test_the_topic_prefix_and_serial_can_be_set() -> None:
    parts = EV.replace('kind = "goe.charger"', 'kind = "goe.charger"\nserial = "42"\ntopic_prefix = "/go-eCharger/"')

    async def main() -> None:
        sim = SimulatedHome(home(parts), NIGHT)
        assert sim.charger is not None
        await sim.charger.start()
        await asyncio.sleep(0)
        assert sim.broker.retained["/go-eCharger/42/sse"] == b'"42"'

    asyncio.run(main())
