"""The house as one resource, between processes: the operator asks what it could do, and then for some of it."""

from pathlib import Path
from typing import Any

import pytest

from cem.model.status import Status
from support.stand import Stand, stand
from support.waiting import until_blocking

ASKED = ("UP_REGULATION_AVAILABLE", "DOWN_REGULATION_AVAILABLE", "STORAGE_USABLE_CAPACITY", "STORAGE_CHARGE_LEVEL")
INTERVAL = "PT1M"
LATEST_S = 240.0  # the minute itself, two for its record to be whole, and the turns of both
CAR_KW, BATTERY_KW, BATTERY_KWH = 11.04, 5.0, 10.0


def _report(house: Stand, event_id: str) -> dict[str, dict[str, Any]]:
    """What stands in the report that an event asked for, by resource and payload type."""
    found: list[dict[str, Any]] = []

    def came() -> bool:
        found[:] = [
            one
            for one in house.operator("report", "list")
            if one["eventID"] == event_id and ASKED[0] in str(one["payloadDescriptors"])
        ]
        return bool(found)

    until_blocking(came, LATEST_S, every_s=5.0)
    return {
        one["resourceName"]: {part["type"]: part["values"][0] for part in one["intervals"][0]["payloads"]}
        for one in found[0]["resources"]
    }


def _battery_w(status: Status) -> float:
    known = [one.power_w for device in status.devices for one in device.resources if one.id == "battery"]
    assert known[0] is not None
    return known[0]


@pytest.mark.slow
def test_an_operator_is_told_what_the_house_can_do_and_is_given_what_he_asks_of_the_battery(tmp_path: Path) -> None:
    with stand(tmp_path) as house:
        house.start()
        house.operator("program", "add", "limits")
        asks = [word for kind in ASKED for word in ("--report", kind)]
        plain = ("--type", "SIMPLE", "--value", "0", "--duration", INTERVAL)
        event = house.operator("event", "add", "--program", "limits", *plain, *asks)
        said = _report(house, event["id"])
        assert set(said) == {"AGGREGATED_REPORT", "battery", "car", "pv"}
        whole, battery = said["AGGREGATED_REPORT"], said["battery"]
        # it rests at first but for the second in which it takes its set point
        assert battery["UP_REGULATION_AVAILABLE"] == pytest.approx(BATTERY_KW, abs=0.3)
        assert battery["DOWN_REGULATION_AVAILABLE"] == pytest.approx(BATTERY_KW, abs=0.3)
        assert (battery["STORAGE_USABLE_CAPACITY"], battery["STORAGE_CHARGE_LEVEL"]) == (BATTERY_KWH, 50.0)
        assert said["car"]["UP_REGULATION_AVAILABLE"] == pytest.approx(CAR_KW, abs=0.1)
        up_kw = sum(said[name]["UP_REGULATION_AVAILABLE"] for name in ("battery", "car", "pv"))
        down_kw = sum(said[name]["DOWN_REGULATION_AVAILABLE"] for name in ("battery", "car", "pv"))
        assert whole["UP_REGULATION_AVAILABLE"] == pytest.approx(up_kw, abs=0.01)
        assert whole["DOWN_REGULATION_AVAILABLE"] == pytest.approx(down_kw, abs=0.01)

        house.operator("ven", "grant", "home-1", "--target", "battery")
        power = ("--type", "DISPATCH_SETPOINT", "--unit", "KW", "--value", "-3", "--duration", "PT5M")
        house.operator("event", "add", "--program", "limits", *power, "--target", "battery")
        house.until(lambda status: abs(_battery_w(status) + 3000.0) < 150.0)
        assert house.storage_control() != 0  # the register of the device itself
