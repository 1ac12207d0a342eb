"""MQTT profiles: what ships is whole and reads its golden messages; what is wrong is told with its path."""

import json
from importlib.resources import files
from pathlib import Path

import pytest

from cem.driver import Control, Value
from cem_drivers.mqtt.messages import Messages, UnreadableError, pointed, read
from cem_drivers.mqtt.profile import Profile, find_profile, parse_profile, shipped_profiles

GOE = (files("cem_drivers.profiles") / "go-e.v2.toml").read_text(encoding="utf-8")


def _read(profile: Profile, messages: dict[str, str]) -> dict[str, Value]:
    held = Messages()
    for topic, payload in messages.items():
        held.take(topic, read(topic, payload.encode(), profile.link.plain), False, 1.0)
    return {row.id: held.value(row) for row in profile.point if held.taken_at_s(row) is not None}


@pytest.mark.parametrize("profile", shipped_profiles().values(), ids=lambda profile: profile.id)
def test_golden_messages_are_read_as_the_document_says(profile: Profile) -> None:
    for golden in profile.golden:
        values = _read(profile, golden.messages)
        expected = {point: None if value == "none" else value for point, value in golden.expect.items()}
        assert {point: values[point] for point in golden.expect} == pytest.approx(expected, nan_ok=False)


@pytest.mark.parametrize("profile", shipped_profiles().values(), ids=lambda profile: profile.id)
def test_every_control_can_be_released_and_says_what_happens_without_us(profile: Profile) -> None:
    for control in profile.control:
        assert Control(control.id)
        assert control.release or control.rests
        assert len(control.falls_back_to.split()) > 5


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("[life]", "[live]", "live: unknown key (did you mean 'life'?)"),
        ("expire_s = 15", "expire_s = 0", "life.expire_s: "),
        ('json = "/11"', 'jsn = "/11"', "point[0].jsn: unknown key (did you mean 'json'?)"),
        ('id = "ev.power_w"', 'id = "ev.power"', "'ev.power' is not in the vocabulary"),
        ('fold = "max"', "", "point[1]: "),
        ("confirm_s = 1.5", "confirm_s = 30", "control[0].confirm_s: "),
        ("min_interval_s = 5, daily = 4000", "min_interval_s = 5", "'budget.daily' is needed"),
        ("dead_band = 0.5", "dead_band = 1", "control[0]: 'dead_band' is below 1: a step of 1 A must be sent"),
        ('release = [{ topic = "frc", to = "frc/set", value = 0 }]', "", "control[0]: 'release' is needed, or else"),
        ('restore = [{ topic = "amp"', 'restore = [{ topic = "frc"', "control[0]: 'restore': 'frc' must be written by"),
        ("every_s = 5 ", "every_s = 601 ", "life.every_s: "),
        ("release = [{", "freed = [{", "control[0].freed: unknown key"),
        ('{ from = "amp" },\n]\nrange', "{ },\n]\nrange", "point[2].cases[1]: "),
        ('roles = ["ev"]', 'roles = ["car"]', "'car' is not a role"),
        ('"ev.power_w" = 7069', '"ev.power_w" = 7070', "golden[0].expect: ev.power_w is read as 7069.0, not as 7070.0"),
        ('amp = "10", frc', 'amp = "ten", frc', "golden[0].expect: ev.limit_a is read as amp: b'ten' is not JSON"),
        ("profile = 1", "profile = 2", "profile: "),
        ("profile = 1", "profile = ", "profile: Invalid value"),
    ],
)
def test_a_fault_is_told_with_its_path(old: str, new: str, fault: str) -> None:
    assert old in GOE
    profile, faults = parse_profile(GOE.replace(old, new, 1))
    assert profile is None
    assert any(fault in text for text in faults), faults


def test_pointers_into_what_is_not_there_point_at_nothing() -> None:
    assert pointed({"a": {"b/c": [1, 2]}}, "/a/b~1c/1") == 2
    assert [pointed([1], "/1"), pointed([1], "/x"), pointed(3, "/a"), pointed(None, "/0")] == [None] * 4


@pytest.mark.parametrize(
    ("payload", "value"),
    [("[0,0,0,0,1,2,null]", None), ("[0,0,0,0,1,true,2]", None), ("[0,0,0,0,1,2,900]", None), ("{}", None)],
)
def test_what_a_device_does_not_know_or_can_not_be_is_none(payload: str, value: Value) -> None:
    profile = shipped_profiles()["go-e.v2"]
    assert _read(profile, {"nrg": payload})["ev.current_a"] is value


@pytest.mark.parametrize(
    ("code", "state"), [(0, "F"), (1, "A"), (2, "C"), (3, "B"), (4, "B"), (5, "F"), (6, None), (None, None)]
)
def test_car_codes_are_the_letters_of_the_standard(code: int | None, state: str | None) -> None:
    assert _read(shipped_profiles()["go-e.v2"], {"car": json.dumps(code)})["ev.state"] == state


@pytest.mark.parametrize("payload", [b"", b"{", b"NaN", b"Infinity", b"\xff", b"[" * 3000])
@pytest.mark.parametrize("plain", [False, True])
def test_what_is_not_json_is_not_read(payload: bytes, plain: bool) -> None:
    with pytest.raises(UnreadableError, match="nrg"):
        read("nrg", payload, plain)


def test_text_is_read_only_where_a_profile_expects_it() -> None:
    assert read("status", b"online", True) == "online"
    with pytest.raises(UnreadableError):
        read("status", b"online", False)


def test_a_site_may_bring_its_own_profile(tmp_path: Path) -> None:
    own = tmp_path / "mine.toml"
    own.write_text(GOE.replace('id = "go-e.v2"', 'id = "mine"'), encoding="utf-8")
    profile, faults = find_profile(str(own))
    assert profile is not None
    assert (profile.id, faults) == ("mine", [])
    own.write_text(GOE.replace("expire_s = 15", "expire_s = -1"), encoding="utf-8")
    assert find_profile(str(own))[1][0].startswith(f"{own}: line 40: life.expire_s: ")
    assert "can't be read" in find_profile(str(tmp_path / "none.toml"))[1][0]
    assert find_profile("goe.v2")[1] == ["no profile 'goe.v2'; did you mean 'go-e.v2'?"]
