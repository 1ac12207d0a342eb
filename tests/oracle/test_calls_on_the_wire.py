"""How the judge reads what a gateway says to a charger that called in."""

import json

import pytest

from cem.simulation.oracle.wires import amps_told, releases_call, stray, wears

PERIOD = {"startPeriod": 0, "limit": 10.0, "numberPhases": 3}
IN_AMPS = {"chargingRateUnit": "A", "chargingSchedulePeriod": [PERIOD], "duration": 240}
IN_WATTS = {"chargingRateUnit": "W", "chargingSchedulePeriod": [PERIOD | {"limit": 6900}], "duration": 240}
FOREVER = {"chargingRateUnit": "A", "chargingSchedulePeriod": [PERIOD]}


def call(action: str, payload: object) -> bytes:
    return json.dumps([2, "1", action, payload], separators=(",", ":")).encode()


def profile(schedule: object) -> bytes:
    return call("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": {"chargingSchedule": schedule}})


def profile_201(schedule: object) -> bytes:
    return call("SetChargingProfile", {"evseId": 1, "chargingProfile": {"chargingSchedule": [schedule]}})


def setting(name: str) -> bytes:
    return call("SetVariables", {"setVariableData": [{"variable": {"name": name}, "attributeValue": "1"}]})


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (profile(IN_AMPS), None),
        (profile_201(IN_WATTS), None),
        (profile(FOREVER), "SetChargingProfile without an end"),
        (profile_201(FOREVER | {"duration": 86_400}), "SetChargingProfile without an end"),
        (call("ClearChargingProfile", {"id": 8801}), None),
        (call("ClearChargingProfile", {"chargingProfileId": 8801}), None),
        (call("ClearChargingProfile", {}), "ClearChargingProfile of everything"),
        (call("ChangeConfiguration", {"key": "MeterValueSampleInterval", "value": "10"}), None),
        (
            call("ChangeConfiguration", {"key": "AuthorizationKey", "value": "x"}),
            "ChangeConfiguration of AuthorizationKey",
        ),
        (setting("TxUpdatedInterval"), None),
        (setting("BasicAuthPassword"), "SetVariables of BasicAuthPassword"),
        (call("Reset", {"type": "Hard"}), "Reset"),
        (b"go-eCharger/012345/amp/set 10", None),
    ],
)
def test_only_what_is_meant_to_be_said_is_on_the_list(message: bytes, words: str | None) -> None:
    assert stray(message) == words


@pytest.mark.parametrize(
    ("message", "amps"),
    [
        (profile(IN_AMPS), 10.0),
        (profile_201(IN_WATTS), 10.0),
        (call("ClearChargingProfile", {"id": 1}), None),
        (b"go-eCharger/012345/amp/set 10", 10.0),
    ],
)
def test_the_current_is_read_out_of_a_profile(message: bytes, amps: float | None) -> None:
    assert amps_told(message) == amps


def test_taking_a_profile_away_hands_back_and_every_call_is_kept_in_memory() -> None:
    clear = call("ClearChargingProfile", {"id": 1})
    assert releases_call(clear)
    assert not releases_call(profile(IN_AMPS))
    assert wears(clear)
    assert wears(b"go-eCharger/012345/amp/set 10")
    assert not wears(b'shelly/rpc {"method":"Switch.Set"}')
