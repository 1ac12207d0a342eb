"""The go-e charger behind a broker: age, silence, identity, and writes that are confirmed."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest

from cem.driver import Control, Device, DeviceConfig, DriverContext, NoAnswer, Ratings, Refused, Value, WrongDevice
from cem.io.virtual import run_virtual
from cem_drivers.mqtt import DRIVER
from support.driver_devices import Link, charger_config
from support.topics import ScriptedTopics

LIMIT = Control.EV_LIMIT_A
LINK: Link = {"host": "memory", "timeout_s": 0.2}
START = datetime(2026, 6, 15, 12, tzinfo=UTC)
BASE = "go-eCharger/012345"
IDLE = "[230,231,232,0,0,0,0,0,0,0,0,0,100,100,100,0]"
RETAINED = {
    f"{BASE}/{key}": value
    for key, value in {
        "sse": '"012345"',
        "typ": '"go-eCharger_V4"',
        "fwv": '"60.4"',
        "mcc": "true",
        "nrg": IDLE,
        "car": "3",
        "amp": "16",
        "frc": "0",
        "wh": "0",
        "fsp": "false",
    }.items()
}


class Chargers(ScriptedTopics):
    """The chargers of the retained messages, which say something as soon as one listens, unless they are `dead`."""

    dead = False

    def subscribe(self, topic_filter: str) -> None:
        super().subscribe(topic_filter)
        for topic in [topic for topic in self.retained if topic.endswith("/sse") and not self.dead]:
            asyncio.get_running_loop().call_soon(self.tell, topic.removesuffix("sse") + "rbt", "1000")


@dataclass
class Stage:
    """A charger on stage: its broker, its clock, the driver's device."""

    topics: Chargers
    device: Device = field(init=False)
    now_s: float = 100.0

    def obey(self, topic: str, payload: str) -> None:
        """A charger that does what it is told."""
        self.topics.say(topic.removesuffix("/set"), json.loads(payload))
        self.topics.tell(topic.removesuffix("set") + "result", "success")

    async def values(self) -> dict[str, Value]:
        """The points of one poll."""
        return {reading.point: reading.value for reading in await self.device.poll()}


def _play(
    act: Callable[[Stage], Awaitable[None]],
    config: DeviceConfig | None = None,
    retained: dict[str, str] | None = None,
) -> Stage:
    config = config or charger_config(LINK)
    assert DRIVER.faults(config) == []

    async def main() -> Stage:
        stage = Stage(Chargers(RETAINED if retained is None else retained))
        stage.device = DRIVER.device(config, DriverContext(lambda: stage.now_s, topics=lambda _link: stage.topics))
        stage.topics.react = stage.obey
        try:
            await act(stage)
        finally:
            await stage.device.close()
        return stage

    return run_virtual(main(), START)


def test_retained_messages_identify_and_have_no_age() -> None:
    async def act(stage: Stage) -> None:
        identity = await stage.device.open()
        assert (identity.serial, identity.model, identity.version) == ("012345", "go-eCharger_V4", "60.4")
        assert {"power_w", "current_a"}.isdisjoint(await stage.values())

    _play(act)


def test_opening_a_charger_that_only_left_retained_messages_is_no_answer_within_seven_seconds() -> None:
    async def act(stage: Stage) -> None:
        stage.topics.dead = True
        loop = asyncio.get_running_loop()
        for _ in range(2):
            began_s = loop.time()
            with pytest.raises(NoAnswer, match=r"said nothing in 6\.0 s; alive, it does every 5 s"):
                await stage.device.open()
            assert 5.0 < loop.time() - began_s <= 7.0
            with pytest.raises(NoAnswer, match="not open"):
                await stage.device.poll()

    _play(act)


@pytest.mark.parametrize("retained", [RETAINED, {}], ids=["identity retained", "identity live"])
def test_opening_ends_with_the_first_live_message(retained: dict[str, str]) -> None:
    async def act(stage: Stage) -> None:
        stage.topics.dead = True
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        for topic, payload in RETAINED.items():
            loop.call_later(2.5 if topic.endswith("nrg") or not retained else 60.0, stage.topics.tell, topic, payload)
        await stage.device.open()
        assert loop.time() - began_s == pytest.approx(2.5, abs=0.1)

    _play(act, charger_config({"host": "memory"}), retained)


def test_the_last_will_is_the_brokers_word_and_no_sign_of_life() -> None:
    async def act(stage: Stage) -> None:
        stage.topics.dead = True
        asyncio.get_running_loop().call_later(1.0, stage.topics.say, f"{BASE}/mcc", False)
        with pytest.raises(NoAnswer, match="said nothing"):
            await stage.device.open()

    _play(act)


def test_a_live_message_dates_its_own_topic_and_proves_the_others_of_a_living_device() -> None:
    async def act(stage: Stage) -> None:
        await stage.device.open()
        stage.now_s = 103.0
        stage.topics.tell(f"{BASE}/rbt", "1000")
        assert await stage.values() == {"limit_a": 16.0, "state": "B", "session_wh": 0.0, "phases": 3.0}
        stage.now_s = 105.0
        stage.topics.tell(f"{BASE}/nrg", IDLE.replace("0,0,0,0,0,0,0,0,0", "0,6.1,6.2,6,0,0,0,0,4140", 1))
        readings = {reading.point: reading for reading in await stage.device.poll()}
        assert (readings["power_w"].value, readings["current_a"].value) == (4140.0, 6.2)
        assert {reading.taken_at_s for reading in readings.values()} == {105.0}
        stage.now_s = 107.0
        stage.topics.tell(f"{BASE}/rbt", "2000")
        readings = {reading.point: reading for reading in await stage.device.poll()}
        assert (readings["power_w"].taken_at_s, readings["state"].taken_at_s) == (105.0, 107.0)

    _play(act)


def test_our_own_commands_are_no_sign_of_life() -> None:
    async def act(stage: Stage) -> None:
        await stage.device.open()
        stage.now_s += 16.0
        stage.topics.tell(f"{BASE}/amp/set", "16")
        with pytest.raises(NoAnswer, match="no message"):
            await stage.device.poll()

    _play(act)


def test_silence_is_no_answer() -> None:
    async def act(stage: Stage) -> None:
        await stage.device.open()
        stage.topics.tell(f"{BASE}/rbt", "1000")
        stage.now_s += 15.0
        assert await stage.values() != {}
        stage.now_s += 1.0
        with pytest.raises(NoAnswer, match="no message for 16 s, allowed are 15 s"):
            await stage.device.poll()
        with pytest.raises(NoAnswer):
            await stage.device.read_back("ev", LIMIT)
        stage.topics.tell(f"{BASE}/rbt", "2000")
        assert await stage.values() != {}

    _play(act)


def test_a_charger_that_was_dead_before_us_is_found_out() -> None:
    async def act(stage: Stage) -> None:
        await stage.device.open()
        stage.now_s += 16.0
        with pytest.raises(NoAnswer):
            await stage.device.poll()

    _play(act)


def test_the_last_will_is_no_answer_at_once() -> None:
    async def act(stage: Stage) -> None:
        await stage.device.open()
        stage.topics.say(f"{BASE}/mcc", False)
        with pytest.raises(NoAnswer, match="says that it is gone"):
            await stage.device.poll()

    _play(act)


def test_a_lost_broker_is_no_answer_and_what_was_known_loses_its_age() -> None:
    async def act(stage: Stage) -> None:
        await stage.device.open()
        stage.topics.tell(f"{BASE}/nrg", IDLE)
        assert (await stage.values())["power_w"] == 0.0
        stage.topics.connect(False)
        with pytest.raises(NoAnswer, match="broker"):
            await stage.device.poll()
        with pytest.raises(NoAnswer, match="broker"):
            await stage.device.write("ev", LIMIT, 10)
        stage.topics.dead = True
        stage.topics.connect(True)
        with pytest.raises(NoAnswer, match="was lost meanwhile; it is identified anew"):
            await stage.device.poll()
        with pytest.raises(NoAnswer, match="identified anew"):
            await stage.device.write("ev", LIMIT, 10)
        assert stage.topics.published == []

    _play(act)


def test_an_absent_broker_is_no_answer() -> None:
    async def act(stage: Stage) -> None:
        stage.topics.connect = lambda connected: None  # type: ignore[method-assign]
        with pytest.raises(NoAnswer, match="no connection to the broker memory:1883"):
            await stage.device.open()

    _play(act)


def test_a_broker_that_never_saw_the_charger_is_no_answer() -> None:
    async def act(stage: Stage) -> None:
        with pytest.raises(NoAnswer, match="nothing under go-eCharger/012345/sse"):
            await stage.device.open()

    _play(act, retained={})


@pytest.mark.parametrize("link", [LINK, {**LINK, "serial": "012345"}])
def test_another_serial_number_is_named_and_nothing_is_sent(link: Link) -> None:
    async def act(stage: Stage) -> None:
        with pytest.raises(WrongDevice, match=r"'012345'.*'999999'"):
            await stage.device.open()
        with pytest.raises(NoAnswer):
            await stage.device.write("ev", LIMIT, 10)

    assert _play(act, charger_config(link, serial="999999")).topics.published == []


def test_several_chargers_need_a_serial_number() -> None:
    async def act(stage: Stage) -> None:
        with pytest.raises(WrongDevice, match=r"several devices.*012345, 022222"):
            await stage.device.open()

    _play(act, charger_config(LINK, serial=None), {**RETAINED, "go-eCharger/022222/sse": '"022222"'})


@pytest.mark.parametrize("config", [charger_config(LINK, serial=None), charger_config(LINK, read_only=True)])
def test_without_a_serial_number_or_when_read_only_nothing_is_sent(config: DeviceConfig) -> None:
    async def act(stage: Stage) -> None:
        await stage.device.open()
        assert stage.device.controls() == ()
        with pytest.raises(Refused, match="not written"):
            await stage.device.write("ev", LIMIT, 10)
        await stage.device.release("ev", LIMIT)

    assert _play(act, config).topics.published == []


def test_only_one_charger_there_is_read_without_a_serial_number() -> None:
    async def act(stage: Stage) -> None:
        assert (await stage.device.open()).serial == "012345"

    _play(act, charger_config(LINK, serial=None))


@pytest.mark.parametrize(
    ("value", "held", "sent"),
    [
        (10, 10.0, [("amp", "10"), ("frc", "2")]),
        (10.9, 10.0, [("amp", "10"), ("frc", "2")]),
        (16, 16.0, [("frc", "2")]),
        (40, 32.0, [("amp", "32"), ("frc", "2")]),
        (6, 6.0, [("amp", "6"), ("frc", "2")]),
        (5.9, 0.0, [("frc", "1")]),
        (0, 0.0, [("frc", "1")]),
    ],
)
def test_six_amperes_or_more_charge_and_less_pauses(value: float, held: float, sent: list[tuple[str, str]]) -> None:
    async def act(stage: Stage) -> None:
        await stage.device.open()
        await stage.device.write("ev", LIMIT, value)
        assert await stage.device.read_back("ev", LIMIT) == held

    published = _play(act).topics.published
    assert published == [(f"{BASE}/{key}/set", payload) for key, payload in sent]


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_what_is_no_current_is_refused(value: float) -> None:
    async def act(stage: Stage) -> None:
        await stage.device.open()
        with pytest.raises(Refused, match="no value"):
            await stage.device.write("ev", LIMIT, value)

    assert _play(act).topics.published == []


def test_a_refusal_is_told_with_its_words_and_the_rest_is_not_sent() -> None:
    async def act(stage: Stage) -> None:
        stage.topics.react = lambda topic, _payload: stage.topics.tell(
            topic.removesuffix("set") + "result", "read only"
        )
        await stage.device.open()
        with pytest.raises(Refused, match="'read only'"):
            await stage.device.write("ev", LIMIT, 10)

    assert len(_play(act).topics.published) == 1


def test_a_write_that_is_not_confirmed_is_no_answer_and_not_repeated() -> None:
    async def act(stage: Stage) -> None:
        stage.topics.react = lambda _topic, _payload: None
        await stage.device.open()
        with pytest.raises(NoAnswer, match="still reads 16"):
            await stage.device.write("ev", LIMIT, 10)

    assert len(_play(act).topics.published) == 1


def test_a_word_that_was_not_confirmed_is_sent_anew_whatever_the_charger_reports_since() -> None:
    """It hangs as it is told, and reports the word afterwards without having followed it."""

    async def act(stage: Stage) -> None:
        stage.topics.react = lambda _topic, _payload: None
        await stage.device.open()
        with pytest.raises(NoAnswer):
            await stage.device.write("ev", LIMIT, 0)
        stage.topics.say(f"{BASE}/frc", 1)
        stage.topics.react = stage.obey
        await stage.device.write("ev", LIMIT, 0)
        await stage.device.write("ev", LIMIT, 0)
        assert _sent(stage) == [("frc", "1"), ("frc", "1")]

    _play(act)


def test_releasing_gives_the_charger_back_once() -> None:
    async def act(stage: Stage) -> None:
        await stage.device.open()
        await stage.device.write("ev", LIMIT, 0)
        await stage.device.release("ev", LIMIT)
        await stage.device.release("ev", LIMIT)
        assert await stage.device.read_back("ev", LIMIT) is None

    assert [payload for _, payload in _play(act).topics.published] == ["1", "0"]


def _sent(stage: Stage) -> list[tuple[str, str]]:
    return [(topic.removeprefix(f"{BASE}/").removesuffix("/set"), value) for topic, value in stage.topics.published]


def _rated(max_current_a: float | None) -> DeviceConfig:
    config = charger_config(LINK)
    (one,) = config.resources
    return replace(config, resources=(replace(one, ratings=Ratings(max_current_a=max_current_a)),))


def test_releasing_gives_the_owners_current_back() -> None:
    async def act(stage: Stage) -> None:
        await stage.device.open()
        for value in (10, 16, 0, 6):
            await stage.device.write("ev", LIMIT, value)
        before = len(stage.topics.published)
        await stage.device.release("ev", LIMIT)
        assert _sent(stage)[before:] == [("amp", "16"), ("frc", "0")]
        assert await stage.device.read_back("ev", LIMIT) is None
        await stage.device.release("ev", LIMIT)
        assert len(stage.topics.published) == before + 2

    _play(act)


def test_the_owners_current_is_looked_at_anew_after_each_release() -> None:
    async def act(stage: Stage) -> None:
        await stage.device.open()
        await stage.device.write("ev", LIMIT, 8)
        await stage.device.release("ev", LIMIT)
        stage.topics.say(f"{BASE}/amp", 13)
        await stage.device.write("ev", LIMIT, 6)
        await stage.device.release("ev", LIMIT)
        assert _sent(stage)[-2:] == [("amp", "13"), ("frc", "0")]

    _play(act)


def test_the_owners_current_outlives_a_silence_and_a_restart_of_the_charger() -> None:
    async def act(stage: Stage) -> None:
        await stage.device.open()
        await stage.device.write("ev", LIMIT, 8)
        await stage.device.close()
        stage.topics.retained |= {f"{BASE}/frc": "0"}
        await stage.device.open()
        assert await stage.device.read_back("ev", LIMIT) == 8.0, "neutral, and yet our current stands"
        await stage.device.write("ev", LIMIT, 6)
        await stage.device.release("ev", LIMIT)
        assert _sent(stage)[-2:] == [("amp", "16"), ("frc", "0")]
        assert await stage.device.read_back("ev", LIMIT) is None

    _play(act)


def test_a_current_that_the_owner_sets_meanwhile_is_left_to_him() -> None:
    async def act(stage: Stage) -> None:
        await stage.device.open()
        await stage.device.write("ev", LIMIT, 10)
        stage.topics.say(f"{BASE}/amp", 7)
        await stage.device.release("ev", LIMIT)
        assert _sent(stage)[-1:] == [("frc", "0")]
        assert len(_sent(stage)) == 3

    _play(act)


@pytest.mark.parametrize(
    ("max_current_a", "ama", "sent"),
    [
        (32.0, "16", [("amp", "16"), ("frc", "0")]),
        (13.5, "16", [("amp", "13"), ("frc", "0")]),
        (None, "16", [("frc", "0")]),
        (32.0, None, [("frc", "0")]),
    ],
    ids=["what the device takes", "what the site allows", "no rating: left", "not told by the device: left"],
)
@pytest.mark.parametrize("forced", ["1", "2"])
def test_after_a_crash_the_largest_allowed_current_is_restored_or_the_last_one_left_and_told(
    max_current_a: float | None,
    ama: str | None,
    sent: list[tuple[str, str]],
    forced: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def act(stage: Stage) -> None:
        await stage.device.open()
        await stage.device.release("ev", LIMIT)
        await stage.device.release("ev", LIMIT)
        assert await stage.device.read_back("ev", LIMIT) is None

    left = {**RETAINED, f"{BASE}/amp": "6", f"{BASE}/frc": forced} | ({} if ama is None else {f"{BASE}/ama": ama})
    assert _sent(_play(act, _rated(max_current_a), left)) == sent
    assert [record.getMessage() for record in caplog.records if "the owner's value is not known" in record.getMessage()]
    assert len(caplog.records) == 1


def test_a_refused_owners_current_does_not_keep_the_charger_from_being_released(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def act(stage: Stage) -> None:
        await stage.device.open()
        await stage.device.write("ev", LIMIT, 8)

        def stubborn(topic: str, payload: str) -> None:
            if topic.endswith("/amp/set"):
                stage.topics.tell(f"{BASE}/amp/result", "value must be between 6 and 10")
            else:
                stage.obey(topic, payload)

        stage.topics.react = stubborn
        await stage.device.release("ev", LIMIT)
        assert await stage.device.read_back("ev", LIMIT) is None
        assert stage.topics.retained[f"{BASE}/frc"] == "0"

    _play(act)
    assert "it stays as it is" in caplog.text


def test_a_release_without_any_confirmation_fits_into_a_stop_and_can_be_repeated() -> None:
    async def act(stage: Stage) -> None:
        await stage.device.open()
        await stage.device.write("ev", LIMIT, 8)
        stage.topics.react = lambda _topic, _payload: None
        began_s = asyncio.get_running_loop().time()
        with pytest.raises(NoAnswer, match="frc/set was sent 0 and frc still reads 2"):
            await stage.device.release("ev", LIMIT)
        assert asyncio.get_running_loop().time() - began_s < 2.0
        stage.topics.react = stage.obey
        await stage.device.release("ev", LIMIT)
        assert (stage.topics.retained[f"{BASE}/amp"], stage.topics.retained[f"{BASE}/frc"]) == ("16", "0")

    _play(act)


def test_the_specification_says_that_there_is_no_time_limit() -> None:
    (spec,) = DRIVER.device(
        charger_config(LINK), DriverContext(lambda: 0.0, topics=lambda _link: ScriptedTopics())
    ).controls()
    assert (spec.dead_band, spec.min_interval_s, spec.device_timeout_s) == (0.5, 5.0, None)
    assert spec.daily_budget == 4000  # kept over a restart, in levelled flash
    assert "no time limit" in spec.falls_back_to


def test_devices_at_one_broker_share_its_connection() -> None:
    async def main() -> None:
        topics = Chargers(
            RETAINED
            | {topic.replace("012345", "022222"): v.replace("012345", "022222") for topic, v in RETAINED.items()}
        )
        made: list[object] = []

        def port(link: object) -> Chargers:
            made.append(link)
            return topics

        context = DriverContext(lambda: 0.0, topics=port)
        devices = [DRIVER.device(charger_config(LINK, serial), context) for serial in ("012345", "022222")]
        assert [(await device.open()).serial for device in devices] == ["012345", "022222"]
        assert (len(made), topics.starts) == (1, 1)
        await devices[0].close()
        topics.tell("go-eCharger/022222/rbt", "1")
        assert len(await devices[1].poll()) == 4
        await devices[1].close()
        assert not topics.connected

    asyncio.run(main())


def test_every_fault_of_a_table_is_told_with_its_path() -> None:
    config = charger_config({"hosts": "a", "tls": "yes", "prefix": "go/#", "ca_file": "x", "password_file": "y"})
    assert DRIVER.faults(config) == [
        "link.host: missing",
        "link.hosts: unknown key; did you mean 'host'?",
        "link.tls: 'yes' is not true or false",
        "link.prefix: 'go/#' has a wildcard; write the plain topic prefix",
        "link.username: missing; a password needs it",
        "link.tls: must be true where ca_file is given",
    ]


def test_probing_lists_the_chargers_of_a_broker() -> None:
    topics = ScriptedTopics({**RETAINED, "go-eCharger/022222/sse": '"022222"'})
    found = asyncio.run(DRIVER.probe(LINK, DriverContext(lambda: 0.0, topics=lambda _link: topics), 0.05))
    assert [(one.identity.serial, one.profile) for one in found] == [("012345", "go-e.v2"), ("022222", "go-e.v2")]
    assert topics.published == []
