"""The rules for a broker that we ship: the gateway may send what a profile sends, nobody speaks in another's name."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cem_drivers.mqtt.profile import Profile, shipped_profiles
from cem_drivers.mqtt.rpc import Requests
from cem_drivers.mqtt.topics import Topics, matches

RULES = Path(__file__).parents[2] / "deploy" / "mosquitto" / "cem.acl"
NAME = "it"


def _rules(user: str | None, kind: str, ways: set[str]) -> list[str]:
    """The topics of a user's `topic` lines, or of the `pattern` lines of every user, that allow one of the ways."""
    found: list[str] = []
    present: str | None = None
    for line in RULES.read_text().splitlines():
        words = line.split()
        if words[:1] == ["user"]:
            present = words[1]
        elif words[:1] == [kind] and words[1] in ways and (kind == "pattern" or present == user):
            found.append(words[2])
    return found


GATEWAY = _rules("cem", "topic", {"write", "readwrite"})
SAID = [rule.replace("%u", NAME) for rule in _rules(None, "pattern", {"write", "readwrite"})]


def _sent(profile: Profile) -> Iterator[str]:
    """Every topic to which the gateway publishes for a device."""
    for prefix in profile.find.prefixes or [profile.link.prefix]:
        topics = Topics(profile.link, prefix)
        rows = [row for control in profile.control for row in (*control.write, *control.write_zero, *control.release)]
        named = [*(row.to for row in rows), *(row.topic for row in profile.ask)]
        named += [profile.rpc.request] if profile.rpc is not None else []
        yield from (topics.whole(topic, NAME) for topic in named)


@pytest.mark.parametrize("profile", shipped_profiles().values(), ids=lambda profile: profile.id)
def test_the_gateway_may_send_what_a_profile_sends(profile: Profile) -> None:
    refused = [topic for topic in _sent(profile) if not any(matches(rule, topic) for rule in GATEWAY)]
    assert refused == []


def test_the_gateway_says_no_measurement() -> None:
    for profile in shipped_profiles().values():
        topics = Topics(profile.link, profile.link.prefix)
        told = {topics.whole(topic, NAME) for row in profile.point for topic in row.topics}
        assert not [topic for topic in told if any(matches(rule, topic) for rule in GATEWAY)], profile.id


@pytest.mark.parametrize(
    "profile", [one for one in shipped_profiles().values() if one.rpc is not None], ids=lambda profile: profile.id
)
def test_a_device_may_answer_the_gateway_and_its_scan(profile: Profile) -> None:
    for source in (f"cem-{NAME}", f"cem-scan-{profile.id}"):
        assert any(matches(rule, Requests(source).answers_topic) for rule in SAID)


def test_no_device_may_speak_where_another_one_does() -> None:
    ours = {"cem-scan-", "tasmota/discovery", "openevse/announce"}
    open_to_all = [rule for rule in _rules(None, "pattern", {"write", "readwrite"}) if "%u" not in rule]
    assert [rule for rule in open_to_all if not rule.startswith(tuple(ours))] == []
