"""Whatever a charger sends, it gets an answer, and what is known of it stays sound."""

import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cem_drivers.ocpp.composite import composite_of
from cem_drivers.ocpp.dialect import dialect_of
from cem_drivers.ocpp.station import MOST_CONNECTORS, Station, Terms

KEYS = (
    *("connectorId", "evseId", "evse", "id", "status", "connectorStatus", "timestamp", "transactionId", "meterStart"),
    *("meterValue", "sampledValue", "value", "measurand", "unit", "unitOfMeasure", "multiplier", "phase", "context"),
    *("transactionInfo", "eventType", "chargingState", "triggerReason", "offline", "idTag", "idToken", "type"),
    *("chargingStation", "chargePointVendor", "model", "serialNumber", "chargingSchedulePeriod", "startPeriod"),
    *("limit", "numberPhases", "duration", "chargingRateUnit", "location"),
)
WORDS = (
    *("Charging", "Available", "Occupied", "Started", "Updated", "Ended", "Trigger", "Power.Active.Import", "kW", "W"),
    *("Current.Import", "A", "L1", "L1-N", "SoC", "Percent", "2026-06-15T10:00:00Z", "1e999", "NaN", "12", "-7", ""),
    *("NoAuthorization", "Transaction.Begin", "Outlet", "Wh"),
)
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(WORDS) | st.text(max_size=6)
) | st.just(10**400)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=25,
)
PAYLOADS = st.dictionaries(st.sampled_from(KEYS), JSON, max_size=7)
ACTIONS = {
    "ocpp1.6": (
        "BootNotification",
        "StatusNotification",
        "MeterValues",
        "StartTransaction",
        "StopTransaction",
        "Authorize",
    ),
    "ocpp2.0.1": ("BootNotification", "StatusNotification", "MeterValues", "TransactionEvent", "Authorize"),
}


@pytest.mark.parametrize("protocol", ACTIONS)
@settings(max_examples=12)
@given(messages=st.lists(st.tuples(st.integers(0, 5), PAYLOADS), max_size=6))
def test_no_message_breaks_anything(protocol: str, messages: list[tuple[int, dict[str, Any]]]) -> None:
    now = datetime(2026, 6, 15, 10, tzinfo=UTC)
    station = Station("CP1", Terms(), lambda: 100.0, lambda: now)
    dialect = dialect_of(protocol, station)
    for number, payload in messages:
        actions = ACTIONS[protocol]
        assert dialect.answer(actions[number % len(actions)], payload) is not None
    assert len(station.connectors) <= MOST_CONNECTORS + 1
    for connector in station.connectors.values():
        assert connector.state in {None, "A", "B", "C", "F"}
        for value, taken_at_s in connector.values.values():
            assert math.isfinite(value)
            assert taken_at_s <= 100.0


@settings(max_examples=30)
@given(JSON)
def test_no_schedule_breaks_anything(schedule: Any) -> None:
    composite = composite_of(schedule if isinstance(schedule, dict) else {}, 0.0, 1.0, 360)
    assert composite is None or (math.isfinite(composite.limit) and composite.limit >= 0)
