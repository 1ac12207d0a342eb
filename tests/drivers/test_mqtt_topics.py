"""Names of topics, the order of what was said, and topics that are not listened to for a while: all of it pure."""

import pytest

from cem_drivers.mqtt.messages import Payload
from cem_drivers.mqtt.mutes import MUTED_S, STRIKES, Mutes
from cem_drivers.mqtt.profile import Link
from cem_drivers.mqtt.stamps import OVERTAKEN_S, Stamps
from cem_drivers.mqtt.topics import Topics, pattern

PLAIN = Topics(Link(prefix="go-eCharger", topic="{prefix}/{serial}"), "go-eCharger")
BARE = Topics(Link(prefix="", topic="{prefix}/{serial}"), "")
BRANCHED = Topics(Link(prefix="", topic="{branch}/{serial}", branches=["tele", "stat"], names={"relay": ""}), "")
NAMED = Topics(Link(prefix="", topic="{prefix}/{serial}", names={"switch": "relay"}), "", {"switch": "pump"})
ONE = Topics(Link(prefix="openWB", topic="{prefix}", names={"counter": "0"}), "openWB")


@pytest.mark.parametrize(
    ("topics", "topic", "whole"),
    [
        (PLAIN, "amp", "go-eCharger/7/amp"),
        (PLAIN, "", "go-eCharger/7"),
        (BARE, "status/em:0", "7/status/em:0"),
        (BRANCHED, "tele/SENSOR", "tele/7/SENSOR"),
        (BRANCHED, "cmnd/POWER{relay}", "cmnd/7/POWER"),
        (NAMED, "switch/{switch}/state", "7/switch/pump/state"),
        (NAMED, "/esphome/discover/{serial}", "esphome/discover/7"),
        (ONE, "counter/{counter}/get/power", "openWB/counter/0/get/power"),
    ],
)
def test_a_topic_of_a_profile_is_a_whole_one_at_the_broker(topics: Topics, topic: str, whole: str) -> None:
    assert topics.whole(topic, "7") == whole


@pytest.mark.parametrize(
    ("topics", "topic", "whole", "places"),
    [
        (PLAIN, "sse", "go-eCharger/7/sse", {"serial": "7"}),
        (PLAIN, "sse", "go-eCharger/7/amp", None),
        (PLAIN, "sse", "other/7/sse", None),
        (PLAIN, "sse", "go-eCharger/7/sse/set", None),
        (BRANCHED, "stat/STATUS5", "stat/plug/STATUS5", {"serial": "plug"}),
        (
            NAMED,
            "/ha/switch/{serial}/{switch}/config",
            "ha/switch/node/rod/config",
            {"serial": "node", "switch": "rod"},
        ),
        (NAMED, "/{serial}/{serial}/x", "a/b/x", None),
        (ONE, "system/serial_number", "openWB/system/serial_number", {}),
    ],
)
def test_places_are_read_out_of_a_whole_topic(
    topics: Topics, topic: str, whole: str, places: dict[str, str] | None
) -> None:
    assert topics.extract(topic, whole) == places
    assert "{" not in pattern(topics.whole_template(topic))


def test_everything_that_a_device_says_is_below_its_branches() -> None:
    assert PLAIN.own("7") == ("go-eCharger/7/#",)
    assert BRANCHED.own("7") == ("tele/7/#", "stat/7/#")
    assert ONE.own("") == ("openWB/#",)


def test_more_than_ten_unreadable_messages_in_a_minute_mute_a_topic_and_no_other() -> None:
    mutes = Mutes()
    told = [mutes.strike("bad", second) for second in range(STRIKES + 1)]
    assert told[0] == "such messages are left out"
    assert told[1:STRIKES] == [None] * (STRIKES - 1)
    assert str(told[STRIKES]).startswith("more than 10 unreadable messages in 60 s")
    assert mutes.muted("bad", STRIKES + MUTED_S - 1)
    assert mutes.present(STRIKES) == ["bad"]
    assert mutes.present(STRIKES + MUTED_S) == []
    assert not mutes.muted("good", STRIKES)
    assert not mutes.muted("bad", STRIKES + MUTED_S)
    assert mutes.dropped == STRIKES + 2


def test_ten_unreadable_messages_spread_over_more_than_a_minute_mute_nothing() -> None:
    mutes = Mutes()
    for second in range(0, 40 * STRIKES, 7):
        mutes.strike("bad", second)
        assert not mutes.muted("bad", second)


@pytest.mark.parametrize(
    ("said", "fresh"),
    [
        (["2026-06-15T12:00:02", "2026-06-15T12:00:01", "2026-06-15T12:00:03"], [True, False, True]),
        (["2026-06-15T12:00:02", "2026-06-15T12:00:02"], [True, True]),
        (["2026-06-15T12:00:02", "1970-01-01T00:00:09", "1970-01-01T00:00:08"], [True, True, False]),
        ([10, 9, 11, 11 - OVERTAKEN_S - 1], [True, False, True, True]),
        ([10, None, "yesterday", True, 9], [True, True, True, True, False]),
    ],
)
def test_what_was_overtaken_on_the_way_is_dropped_and_a_clock_that_was_set_is_not(
    said: list[Payload], fresh: list[bool]
) -> None:
    stamps = Stamps({"tele/SENSOR": "/Time"})
    assert [stamps.fresh("tele/SENSOR", {"Time": one}) for one in said] == fresh
    assert stamps.fresh("tele/STATE", {"Time": 0})
