"""The pure parts of the OCPP driver: samples, clocks, composite schedules, who may call."""

import math
from datetime import UTC, datetime
from typing import Any

import pytest

from cem.driver import Caller
from cem_drivers.ocpp.composite import composite_of
from cem_drivers.ocpp.dialect import dialect_of
from cem_drivers.ocpp.link import Admission
from cem_drivers.ocpp.samples import Measured, mean_w, measured
from cem_drivers.ocpp.station import Composite, Connector, Station, Terms
from cem_drivers.ocpp.times import ChargerClock, instant, written

POWER, CURRENT, ENERGY = "Power.Active.Import", "Current.Import", "Energy.Active.Import.Register"


def value(measurand: str | None, text: object, unit: str = "", phase: str = "", **more: object) -> dict[str, Any]:
    told: dict[str, Any] = {"value": text, **more}
    return told | {k: v for k, v in (("measurand", measurand), ("unit", unit), ("phase", phase)) if v}


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([value(None, "1234")], Measured(energy_wh=1234.0)),
        ([value(ENERGY, "1.5", "kWh")], Measured(energy_wh=1500.0)),
        ([value(POWER, "7.2", "kW")], Measured(power_w=7200.0)),
        ([value(POWER, "10", "W", "L1"), value(POWER, "20", "W", "L2")], Measured(power_w=30.0)),
        ([value(POWER, "35", "W"), value(POWER, "10", "W", "L1")], Measured(power_w=35.0)),
        (
            [value(CURRENT, "15.9", "A", "L1"), value(CURRENT, "0.2", "A", "L2"), value(CURRENT, "16", "A", "L3")],
            Measured(current_a=16.0, phases=2),
        ),
        ([value(CURRENT, "7", "A", "L1-N"), value(CURRENT, "3", "A", "N")], Measured(current_a=7.0, phases=1)),
        ([value(CURRENT, "9", "A")], Measured(current_a=9.0)),
        ([value("Current.Offered", "16", "A")], Measured(offered_a=16.0)),
        ([value("SoC", "55", "Percent", location="EV")], Measured()),  # of another place than the outlet
        ([value("SoC", "55", "Percent")], Measured(soc_pct=55.0)),
        ([value(POWER, "11000", "W", location="Inlet")], Measured()),
        ([value(POWER, 5.5, unitOfMeasure={"unit": "W", "multiplier": 3})], Measured(power_w=5500.0)),
        ([value(POWER, "NaN", "W"), value(CURRENT, "inf", "A")], Measured()),
        ([value(POWER, "7,2", "kW"), value(POWER, True, "W"), value(POWER, None, "W")], Measured()),
        ([value(POWER, "7200", "VA"), value(POWER, "1", "Fahrenheit")], Measured()),
        ([{"measurand": POWER}, {}], Measured()),
    ],
)
def test_samples_are_read_in_the_houses_units_and_nothing_is_invented(
    samples: list[dict[str, Any]], expected: Measured
) -> None:
    assert measured(samples) == expected


@pytest.mark.parametrize(
    ("before", "now", "power_w"),
    [
        ((1000.0, 0.0), (1010.0, 10.0), 3600.0),
        ((1000.0, 0.0), (1000.0, 10.0), 0.0),
        ((1000.0, 0.0), (999.0, 10.0), None),  # a counter never runs back
        ((1000.0, 0.0), (1010.0, 1.0), None),  # too soon for a mean
        ((1000.0, 0.0), (1010.0, 3600.0), None),  # says nothing of now
    ],
)
def test_a_charger_that_tells_energy_alone_tells_its_mean_power(
    before: tuple[float, float], now: tuple[float, float], power_w: float | None
) -> None:
    assert mean_w(*before, *now) == power_w


def test_a_power_that_was_measured_once_is_never_made_up_from_energy_again() -> None:
    connector = Connector()
    connector.measure(Measured(power_w=7000.0, energy_wh=100.0), 0.0, 0.0)
    connector.measure(Measured(energy_wh=200.0), 60.0, 60.0)
    assert connector.values["power_w"] == (7000.0, 0.0)


def test_an_older_sample_does_not_take_the_place_of_a_newer_one() -> None:
    connector = Connector()
    connector.measure(Measured(power_w=1.0), 100.0, 100.0)
    connector.measure(Measured(power_w=2.0), 40.0, 40.0)
    assert connector.values["power_w"] == (1.0, 100.0)


@pytest.mark.parametrize(
    ("text", "unix_s"),
    [
        ("1970-01-01T00:01:00Z", 60.0),
        ("1970-01-01T01:01:00.500+01:00", 60.5),
        ("1970-01-01T00:01:00", 60.0),
        ("yesterday", None),
        ("", None),
        (7, None),
        (None, None),
    ],
)
def test_times_are_read_as_they_are_met(text: object, unix_s: float | None) -> None:
    assert instant(text) == unix_s


def test_times_are_written_in_whole_seconds() -> None:
    assert written(60.9) == "1970-01-01T00:01:00Z"


@pytest.mark.parametrize(
    ("told", "shown", "sampled", "taken_at_s"),
    [
        (1000.0, None, 1100.0, 100.0),  # its clock is ours: live
        (1000.0, None, 1090.0, 100.0),  # some seconds under way: live
        (1000.0, None, 500.0, -500.0),  # kept while it was offline
        (1000.0, None, 1400.0, None),  # from the future: its clock is not ours, and not known
        (None, None, 1000.0, None),  # nothing is known of its clock
        (1000.0, 4700.0, 4700.0, 100.0),  # an hour ahead, as it has shown: live
        (1000.0, 4700.0, 4100.0, -500.0),  # an hour ahead, and ten minutes old
        (1000.0, 4700.0, 1100.0, -3500.0),  # an hour ahead, and from an hour ago: not live, though our clock says so
        (1000.0, 1098.0, 1100.0, 100.0),
    ],
)
def test_what_was_kept_while_offline_is_never_news(
    told: float | None, shown: float | None, sampled: float, taken_at_s: float | None
) -> None:
    clock = ChargerClock()
    if told is not None:
        clock.told(told, 0.0)
    if shown is not None:
        clock.shown(shown, 100.0)
    assert clock.taken_at_s(sampled, 100.0) == taken_at_s


def test_a_jump_of_our_own_clock_changes_no_age() -> None:
    clock = ChargerClock()
    clock.told(1000.0, 0.0)
    clock.shown(1050.0, 50.0)
    clock.told(90_000.0, 60.0)  # our wall clock jumped; the charger has not taken it yet
    assert clock.taken_at_s(1065.0, 65.0) == 65.0
    clock.shown(90_010.0, 70.0)  # now it has
    assert clock.taken_at_s(90_015.0, 75.0) == 75.0
    assert clock.taken_at_s(1065.0, 75.0) != 75.0


def schedule(*periods: tuple[int, object], unit: str = "A", duration: int | None = 360) -> dict[str, Any]:
    told: dict[str, Any] = {"chargingRateUnit": unit}
    told["chargingSchedulePeriod"] = [{"startPeriod": at, "limit": limit} for at, limit in periods]
    return told | ({} if duration is None else {"duration": duration})


@pytest.mark.parametrize(
    ("given", "into_s", "expected"),
    [
        (schedule((0, 10.0), (170, 16.0)), 0.0, Composite("A", 10.0, None, 170.0)),
        (schedule((0, 10.0), (170, 16.0)), 20.0, Composite("A", 10.0, None, 150.0)),
        (schedule((0, 16.0)), 0.0, Composite("A", 16.0, None, None)),
        (schedule((0, 16.0), (60, 15.99)), 0.0, Composite("A", 16.0, None, None)),  # the same, written otherwise
        (schedule((0, "6.0"), (100, 16)), 0.0, Composite("A", 6.0, None, 100.0)),  # amps as texts
        (schedule((0, 10.0), duration=170), 0.0, Composite("A", 10.0, None, 170.0)),  # no default behind it
        (schedule((0, 6900.0), (90, 11040.0), unit="W"), 0.0, Composite("W", 6900.0, None, 90.0)),
        (schedule((0, 10.0), (170, 16.0)), 5000.0, Composite("A", 10.0, None, 170.0)),  # a start from somewhere else
        (schedule((0, math.nan)), 0.0, None),
        (schedule((0, -1)), 0.0, None),
        (schedule(), 0.0, None),
        ({}, 0.0, None),
        ({"chargingSchedulePeriod": "none"}, 0.0, None),
    ],
)
def test_a_composite_schedule_tells_the_limit_now_and_its_end(
    given: dict[str, Any], into_s: float, expected: Composite | None
) -> None:
    assert composite_of(given, 1000.0, 1000.0 + into_s, 360) == expected


@pytest.mark.parametrize(
    ("password", "user", "given", "opens"),
    [
        (None, None, None, True),
        ("s3cret", "CP1", b"s3cret", True),
        ("s3cret", "CP1", b"S3cret", False),
        ("s3cret", "CP2", b"s3cret", False),
        ("s3cret", None, None, False),
        ("00" * 20, "CP1", bytes(20), True),  # the AuthorizationKey of 1.6 is hexadecimal
        ("00" * 20, "CP1", b"00" * 20, True),
        ("äöü", "CP1", "äöü".encode(), True),
    ],
)
def test_only_the_right_name_with_the_right_password_opens(
    password: str | None, user: str | None, given: bytes | None, opens: bool
) -> None:
    assert Admission("CP1", password).opens(Caller("CP1", ("ocpp1.6",), user, given)) is opens


@pytest.mark.parametrize(
    "told",
    [
        {"eventType": "Ended", "transactionInfo": {"transactionId": "T1", "stoppedReason": "EVDisconnected"}},
        {"eventType": "Updated", "transactionInfo": {"transactionId": "T1", "chargingState": "Idle"}},
    ],
)
def test_a_cable_that_is_taken_out_is_no_car_although_its_transaction_is_told_of_after_the_status(
    told: dict[str, object],
) -> None:
    station = Station("CP1", Terms(), lambda: 100.0, lambda: datetime(2026, 6, 15, 10, 0, tzinfo=UTC))
    dialect = dialect_of("ocpp2.0.1", station)
    began = {"transactionId": "T1", "chargingState": "EVConnected"}
    dialect.answer("TransactionEvent", {"eventType": "Started", "evse": {"id": 1}, "transactionInfo": began})
    assert station.connector(1).state == "B"
    dialect.answer("StatusNotification", {"connectorStatus": "Available", "evseId": 1, "connectorId": 1})
    dialect.answer("TransactionEvent", told)
    assert station.connector(1).state == "A"
