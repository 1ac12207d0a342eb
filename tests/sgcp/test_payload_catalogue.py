"""What each payload type of an OpenADR 3.1 event means: the whole enumeration, as a table and to the directive."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cem.model.curve import Curve, CurveOver
from cem.model.directive import Directive
from cem.model.envelope import SITE, Rank
from cem.model.event import GridEvent, SignalKind
from cem.model.tariff import Tariff
from cem.sgcp.bindings.openadr3 import Binding
from cem.sgcp.bindings.openadr3_catalogue import EVENT_PAYLOADS, REPORT_PAYLOADS, Treatment, tables
from cem.sgcp.events.rows import event_of, event_row
from cem.sgcp.events.store import Listing, Rejection
from cem.sgcp.point import ConnectionPoint
from cem.wire.openadr3 import EventPayload, ReportPayload
from support.ven_world import T0, at, utility, wall, wire_event, wire_program

NOON = "2026-01-15T12:00:00Z"
README = Path(__file__).parents[2] / "cem" / "README.md"
PROVIDER = utility(shed_import_w=(10_000.0, 5000.0, 1000.0))


def outcome(payloads: list[dict[str, Any]], descriptors: list[dict[str, Any]], targets: list[str]) -> Any:
    """One interval of an hour with these payloads, as bound."""
    body = wire_event(
        intervalPeriod={"start": NOON, "duration": "PT1H"},
        intervals=[{"id": 0, "payloads": payloads}],
        payloadDescriptors=[{"objectType": "EVENT_PAYLOAD_DESCRIPTOR", **d} for d in descriptors],
        targets=targets,
    )
    return Binding(PROVIDER, lambda: 0.0).event(body, wire_program(), None, {}, T0)


def bound(kind: str, *values: Any, units: str | None = None, targets: tuple[str, ...] = ()) -> GridEvent:
    """The event of one payload, accepted."""
    described = [] if units is None else [{"payloadType": kind, "units": units}]
    event = outcome([{"type": kind, "values": list(values)}], described, list(targets))
    assert isinstance(event, GridEvent), event
    return event


def directive(*events: GridEvent) -> Directive:
    """What the connection point says one minute into the events."""
    point = ConnectionPoint([PROVIDER], resources=frozenset({"battery", "car"}))
    point.answered(PROVIDER.id, at(0))
    listing = Listing(tuple(replace(e, id=f"e{n}") for n, e in enumerate(events)), at(0).mono_s)
    difference, _ = point.difference(PROVIDER.id, listing, at(0))
    point.apply(PROVIDER.id, difference, at(0))
    point.synchronised(PROVIDER.id, at(0))
    return point.directive(at(60))


def test_every_payload_type_of_the_definition_has_its_line() -> None:
    assert set(EventPayload) <= set(EVENT_PAYLOADS)
    assert set(ReportPayload) == set(REPORT_PAYLOADS)
    assert all(meaning.what for meaning in EVENT_PAYLOADS.values())


def test_the_readme_shows_the_table_as_it_is() -> None:
    assert tables() in README.read_text(encoding="utf-8"), "run: python -m cem.sgcp.bindings.openadr3_catalogue"


SIGNALS: list[tuple[str, tuple[Any, ...], str | None, dict[SignalKind, float]]] = [
    ("SIMPLE", (0,), None, {SignalKind.LOAD_SHED_LEVEL: 0}),
    ("SIMPLE", (2,), None, {SignalKind.LOAD_SHED_LEVEL: 2, SignalKind.IMPORT_LIMIT_W: 5000}),
    ("ALERT_GRID_EMERGENCY", ("now",), None, {SignalKind.LOAD_SHED_LEVEL: 3, SignalKind.IMPORT_LIMIT_W: 1000}),
    ("ALERT_BLACK_START", ("now",), None, {SignalKind.LOAD_SHED_LEVEL: 3, SignalKind.IMPORT_LIMIT_W: 0}),
    ("ALERT_FLEX_ALERT", ("now",), None, {SignalKind.LOAD_SHED_LEVEL: 1, SignalKind.IMPORT_LIMIT_W: 10_000}),
    ("ALERT_POSSIBLE_OUTAGE", ("now",), None, {SignalKind.CHARGE_TARGET_PCT: 100}),
    ("ALERT_AIR_QUALITY", ("bad",), None, {}),
    ("CHARGE_STATE_SETPOINT", (80,), "PERCENT", {SignalKind.CHARGE_TARGET_PCT: 80}),
    ("CHARGE_STATE_SETPOINT", (5.5,), "KWH", {SignalKind.CHARGE_TARGET_WH: 5500}),
    ("DISPATCH_SETPOINT", (-2,), None, {SignalKind.DISPATCH_W: -2000}),
    ("DISPATCH_SETPOINT_RELATIVE", (-1500,), "W", {SignalKind.DISPATCH_CHANGE_W: -1500}),
    ("CONTROL_SETPOINT", (3,), "KW", {SignalKind.DISPATCH_W: 3000}),
    ("IMPORT_CAPACITY_RESERVATION", (2,), None, {SignalKind.RESERVED_IMPORT_W: 2000}),
    ("GHG", (420.5,), None, {SignalKind.GHG_G_PER_KWH: 420.5}),
    ("OLS", (0.25,), None, {SignalKind.LOAD_SHAPE: 0.25}),
    ("PRICE", (0.31,), None, {SignalKind.IMPORT_PRICE_PER_KWH: 0.31}),
    ("PRICE", (310.0,), "MWH", {SignalKind.IMPORT_PRICE_PER_KWH: 0.31}),
    ("EXPORT_PRICE", (-0.02,), "KWH", {SignalKind.EXPORT_PRICE_PER_KWH: -0.02}),
    ("IMPORT_CAPACITY_LIMIT", (4.2,), "KW", {SignalKind.IMPORT_LIMIT_W: 4200}),
    ("EXPORT_CAPACITY_LIMIT", (6000,), "W", {SignalKind.EXPORT_LIMIT_W: 6000}),
    ("IMPORT_CAPACITY_SUBSCRIPTION", (7,), None, {SignalKind.DEFAULT_IMPORT_LIMIT_W: 7000}),
    ("EXPORT_CAPACITY_SUBSCRIPTION", (5,), None, {SignalKind.DEFAULT_EXPORT_LIMIT_W: 5000}),
    ("EXPORT_CAPACITY_RESERVATION", (1,), None, {SignalKind.RESERVED_EXPORT_W: 1000}),
    ("CAPACITY_SUBSCRIPTION", (7,), None, {SignalKind.DEFAULT_IMPORT_LIMIT_W: 7000}),
    ("ALERT_FIRE", ("now",), None, {SignalKind.CHARGE_TARGET_PCT: 100}),
    ("ALERT_WIND", ("now",), None, {SignalKind.CHARGE_TARGET_PCT: 100}),
    ("ALERT_TSUNAMI", ("now",), None, {SignalKind.CHARGE_TARGET_PCT: 100}),
    ("ALERT_FREEZING", ("now",), None, {}),
    ("ALERT_OTHER", ("now",), None, {}),
]


def test_each_row_of_the_table_that_is_acted_on_or_shown_is_tried() -> None:
    tried = {row[0] for row in SIGNALS} | {"CURVE"}
    assert {
        kind for kind, meaning in EVENT_PAYLOADS.items() if meaning.treatment is not Treatment.NOT_SUPPORTED
    } == tried


@pytest.mark.parametrize(("kind", "values", "units", "signals"), SIGNALS)
def test_a_payload_becomes_signals_in_our_units(
    kind: str, values: tuple[Any, ...], units: str | None, signals: dict[SignalKind, float]
) -> None:
    event = bound(kind, *values, units=units)
    assert dict(event.intervals[0].signals) == signals
    assert event.unsupported == ()
    assert event_of(event_row(event)) == event


@pytest.mark.parametrize(
    ("kind", "value"), [("SIMPLE", 4), ("SIMPLE", 1.5), ("CHARGE_STATE_SETPOINT", 101), ("OLS", 1.1), ("GHG", -1)]
)
def test_a_value_that_cannot_be_is_refused(kind: str, value: float) -> None:
    found = outcome([{"type": kind, "values": [value]}], [], [])
    assert isinstance(found, Rejection)
    assert found.limits is (kind == "SIMPLE")  # of a mandatory programme: the default limit stands in


@pytest.mark.parametrize("kind", [k for k, m in EVENT_PAYLOADS.items() if m.treatment is Treatment.NOT_SUPPORTED])
def test_what_is_not_supported_is_named_and_moves_nothing(kind: str) -> None:
    event = bound(kind, 1)
    assert event.unsupported == (kind,)
    assert dict(event.intervals[0].signals) == {}


VOLT_WATT = [{"x": 253, "y": 100}, {"x": 259, "y": 0}]
CURVES: list[tuple[list[Any], dict[str, str], Curve | str]] = [
    (VOLT_WATT, {"units": "PERCENT"}, Curve(CurveOver.VOLTS, ((253, 1.0), (259, 0.0)), shares=True)),
    ([VOLT_WATT], {"units": "PERCENT"}, Curve(CurveOver.VOLTS, ((253, 1.0), (259, 0.0)), shares=True)),
    ([{"x": 1.1, "y": 0}, {"x": 1.06, "y": 8}], {"units": "KW"},
     Curve(CurveOver.VOLTS_SHARE, ((1.06, 8000.0), (1.1, 0.0)), shares=False)),
    ([{"x": 50.2, "y": 100}, {"x": 51.5, "y": 0}], {"units": "PERCENT"},
     Curve(CurveOver.HERTZ, ((50.2, 1.0), (51.5, 0.0)), shares=True)),
    ([{"x": 0.2, "y": 11}, {"x": 0.5, "y": 2}], {"units": "KW", "currency": "EUR"},
     Curve(CurveOver.PRICE_PER_KWH, ((0.2, 11_000.0), (0.5, 2000.0)), shares=False)),
    ([{"x": 0.9, "y": 0.4}, {"x": 1.06, "y": -0.44}], {}, "CURVE without units (it may be volt-var)"),
    ([{"x": 0.9, "y": 40}, {"x": 1.06, "y": -44}], {"units": "KVAR"}, "CURVE in KVAR"),
    ([{"x": 0.9, "y": 4}, {"x": 1.06, "y": -4}], {"units": "KW"}, "CURVE with a y below 0 or above any house"),
    ([{"x": 0.17, "y": 26}], {"units": "KW"}, "CURVE over 0.17 to 0.17: no voltage and no frequency"),
]  # fmt: skip


@pytest.mark.parametrize(("values", "described", "meant"), CURVES)
def test_a_curve_is_read_by_its_descriptor_or_named_as_not_supported(
    values: list[Any], described: dict[str, str], meant: Curve | str
) -> None:
    event = outcome([{"type": "CURVE", "values": values}], [{"payloadType": "CURVE", **described}], [])
    assert isinstance(event, GridEvent)
    if isinstance(meant, str):
        assert (event.unsupported, event.curves, dict(event.intervals[0].signals)) == ((meant,), (), {})
    else:
        assert (event.unsupported, event.curves) == ((), (meant,))
        assert dict(event.intervals[0].signals) == {SignalKind.CURVE: 0.0}
        assert event_of(event_row(event)) == event


@pytest.mark.parametrize("values", [[1.0], [], [{"x": 230, "y": 1}] * 101, [[{"x": 230, "y": 1}], "x"]])
def test_what_is_no_curve_is_refused(values: list[Any]) -> None:
    described = [{"payloadType": "CURVE", "units": "KW"}]
    assert isinstance(outcome([{"type": "CURVE", "values": values}], described, []), Rejection)


def test_each_interval_has_its_curve_and_the_directive_the_one_of_now() -> None:
    curves = [{"type": "CURVE", "values": values} for values in ([{"x": 240, "y": 50}], VOLT_WATT)]
    body = wire_event(
        intervalPeriod={"start": NOON, "duration": "PT50S"},
        intervals=[{"id": number, "payloads": [curve]} for number, curve in enumerate(curves)],
        payloadDescriptors=[{"objectType": "EVENT_PAYLOAD_DESCRIPTOR", "payloadType": "CURVE", "units": "PERCENT"}],
        targets=["battery"],
    )
    event = Binding(PROVIDER, lambda: 0.0).event(body, wire_program(), None, {}, T0)
    assert isinstance(event, GridEvent)
    found = directive(event)
    assert [(c.subject, c.curve, c.rank) for c in found.curves] == [("battery", event.curves[1], Rank.OBLIGATION)]
    assert found.events[0].asks == "follow its curve"


def test_a_second_curve_in_one_interval_is_named_as_not_supported() -> None:
    described = [{"payloadType": "CURVE", "units": "PERCENT"}]
    event = outcome([{"type": "CURVE", "values": VOLT_WATT}] * 2, described, [])
    assert (len(event.curves), event.unsupported) == (1, ("CURVE beside another one",))


def test_several_levels_of_one_interval_share_its_time() -> None:
    event = bound("SIMPLE", 0, 2, 0)
    limits = [(i.start, i.signals.get(SignalKind.IMPORT_LIMIT_W)) for i in event.intervals]
    assert limits == [(wall(0), None), (wall(1200), 5000.0), (wall(2400), None)]


def test_the_words_of_an_alert_are_shown_bounded() -> None:
    found = directive(bound("ALERT_FREEZING", "pipes\n may   burst"), bound("ALERT_OTHER", "x" * 1000))
    assert found.events[0].asks == "alert: freezing: pipes may burst"
    assert len(found.events[1].asks) < 230


def test_an_emergency_is_no_measure_for_the_limit_without_a_link() -> None:
    provider = utility(default_import_limit_w=None, stale_s=30.0)

    def fallback_w(*events: GridEvent) -> list[float | None]:
        point = ConnectionPoint([provider])
        point.answered(provider.id, at(0))
        difference, _ = point.difference(provider.id, Listing(events, at(0).mono_s), at(0))
        point.apply(provider.id, difference, at(0))
        point.synchronised(provider.id, at(0))
        return [e.max_w for e in point.directive(at(7200)).envelopes]

    assert fallback_w(bound("ALERT_BLACK_START", "now")) == [4200.0]
    assert fallback_w(bound("IMPORT_CAPACITY_LIMIT", 3)) == [3000.0]


def test_a_reservation_raises_the_subscription_while_it_runs() -> None:
    found = directive(bound("IMPORT_CAPACITY_SUBSCRIPTION", 6), bound("IMPORT_CAPACITY_RESERVATION", 2))
    assert [e.max_w for e in found.envelopes] == [8000.0]
    found = directive(bound("IMPORT_CAPACITY_RESERVATION", 2))
    assert found.envelopes == ()
    limited = directive(bound("IMPORT_CAPACITY_LIMIT", 3), bound("IMPORT_CAPACITY_RESERVATION", 2))
    assert [e.max_w for e in limited.envelopes] == [3000.0]


def test_a_relative_dispatch_and_a_charge_target_name_their_subject() -> None:
    found = directive(
        bound("DISPATCH_SETPOINT_RELATIVE", -1, targets=("car",)),
        bound("CHARGE_STATE_SETPOINT", 70, units="PERCENT", targets=("battery",)),
    )
    assert [(d.subject, d.power_w, d.change, d.since) for d in found.dispatches] == [("car", -1000.0, True, wall(0))]
    assert [(c.subject, c.soc_pct, c.rank) for c in found.charges] == [("battery", 70.0, Rank.OBLIGATION)]
    assert found.dispatches[0].reason == "utility: take less, by 1 kW until 13:00 (event e1)"
    outage = directive(bound("ALERT_WIND", "storm"))
    assert [(c.subject, c.soc_pct) for c in outage.charges] == [(SITE, 100.0)]


def test_gas_and_load_shape_weigh_on_the_import_price_and_are_on_no_bill() -> None:
    found = directive(bound("GHG", 400), bound("OLS", 0.25))
    tariff = Tariff("UTC", "EUR", 0.30, 0.08, ghg_price_per_t=100.0, load_shape_per_kwh=0.2)
    assert found.weight_at(wall(60), tariff) == pytest.approx(0.04 + 0.15)
    assert found.weight_at(wall(3600), tariff) == 0.0
    assert found.prices_at(wall(60), tariff) == (0.30, 0.08)
