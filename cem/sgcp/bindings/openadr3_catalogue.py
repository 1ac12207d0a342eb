"""Every payload type of OpenADR 3.1.0 (Definition, tables 1 and 2), and what this VEN does with it. Data.

`python -m cem.sgcp.bindings.openadr3_catalogue` prints the tables of cem/README.md.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from cem.model.event import SignalKind
from cem.wire.openadr3 import EventPayload, ReportPayload


class Treatment(StrEnum):
    """What becomes of a payload."""

    ACTED_ON = "acted on"
    SHOWN = "shown"
    REPORTED = "reported"
    NOT_SUPPORTED = "not supported"


class Form(StrEnum):
    """How its values are read."""

    POWER = "power"  # kW unless the descriptor says otherwise
    PRICE = "price"  # per kWh unless the descriptor says otherwise
    LEVEL = "level"  # a whole number from 0 to 3
    CHARGE = "charge"  # percent (0 to 100) or energy
    SHARE = "share"  # 0 to 1
    PLAIN = "plain"  # a number in the unit that the Definition gives
    CURVE = "curve"  # points (x, y); units and currency of the descriptor say what they are
    WORDS = "words"  # text for people; `level` and `charge_pct` say what it means


@dataclass(frozen=True, slots=True)
class Meaning:
    """One payload type. `signal` is what its values become; None where they become none."""

    treatment: Treatment
    what: str  # what we do, or why not
    signal: SignalKind | None = None
    form: Form = Form.WORDS
    level: int = 0  # of load shedding, for words
    import_limit_w: float | None = None  # for words: another limit than that of the level
    charge_pct: float | None = None  # of batteries, for words


def _acts(signal: SignalKind, form: Form, what: str) -> Meaning:
    return Meaning(Treatment.ACTED_ON, what, signal, form)


def _alert(what: str, level: int = 0, charge_pct: float | None = None, import_limit_w: float | None = None) -> Meaning:
    treatment = Treatment.ACTED_ON if level or charge_pct is not None else Treatment.SHOWN
    return Meaning(treatment, what, level=level, charge_pct=charge_pct, import_limit_w=import_limit_w)


def _not(why: str) -> Meaning:
    return Meaning(Treatment.NOT_SUPPORTED, why)


def _reported(what: str) -> Meaning:
    return Meaning(Treatment.REPORTED, what)


_OFFER = "capacity is not reserved by this gateway; what is granted all the same is acted on"
_BEFORE_OUTAGE = "batteries are charged full and kept so, before the supply may fail; the text is shown"

EVENT_PAYLOADS: Mapping[str, Meaning] = {
    EventPayload.SIMPLE: _acts(
        SignalKind.LOAD_SHED_LEVEL, Form.LEVEL, "levels 1 to 3 limit the import to `shed_import_w` of the provider"
    ),
    EventPayload.PRICE: _acts(
        SignalKind.IMPORT_PRICE_PER_KWH, Form.PRICE, "the import price of plan and control, in the tariff's currency"
    ),
    EventPayload.PRICE_ALTERNATE: _not("the price of another form of energy: nothing here can change over to it"),
    EventPayload.CHARGE_STATE_SETPOINT: _acts(
        SignalKind.CHARGE_TARGET_PCT, Form.CHARGE, "batteries below it are charged to it, those above keep no more"
    ),
    EventPayload.DISPATCH_SETPOINT: _acts(
        SignalKind.DISPATCH_W, Form.POWER, "the power of the targeted resource, else of the connection point"
    ),
    EventPayload.DISPATCH_SETPOINT_RELATIVE: _acts(
        SignalKind.DISPATCH_CHANGE_W, Form.POWER, "the same as a change against the power at the beginning"
    ),
    EventPayload.DISPATCH_INSTRUCTION: _not("its values are agreed out of band; there is no such agreement"),
    EventPayload.CONTROL_SETPOINT: _acts(
        SignalKind.DISPATCH_W, Form.POWER, "in a unit of power as DISPATCH_SETPOINT; other units are not supported"
    ),
    EventPayload.CONTROL_LEVEL_OFFSET: _not("offsets of a device's own control levels: our devices have none"),
    EventPayload.CONTROL_LEVEL_OFFSET_PERCENT: _not("offsets of a device's own control levels: our devices have none"),
    EventPayload.EXPORT_PRICE: _acts(
        SignalKind.EXPORT_PRICE_PER_KWH, Form.PRICE, "the export price of plan and control"
    ),
    EventPayload.GHG: _acts(
        SignalKind.GHG_G_PER_KWH, Form.PLAIN, "weighs on the import price by `ghg_price_per_t` of the tariff"
    ),
    EventPayload.CURVE: _acts(
        SignalKind.CURVE,
        Form.CURVE,
        "what may be given at a voltage or frequency (units a power or PERCENT), taken at a price (with a currency); "
        "volt-var and curves without units are not supported: no device here is told a reactive power",
    ),
    EventPayload.OLS: _acts(
        SignalKind.LOAD_SHAPE, Form.SHARE, "low values weigh on the import price by `load_shape_per_kwh` of the tariff"
    ),
    EventPayload.IMPORT_CAPACITY_SUBSCRIPTION: _acts(
        SignalKind.DEFAULT_IMPORT_LIMIT_W, Form.POWER, "the import limit where none is scheduled, and without a link"
    ),
    EventPayload.IMPORT_CAPACITY_RESERVATION: _acts(
        SignalKind.RESERVED_IMPORT_W, Form.POWER, "added to the subscription while it runs"
    ),
    EventPayload.IMPORT_CAPACITY_RESERVATION_FEE: _not(_OFFER),
    EventPayload.IMPORT_CAPACITY_AVAILABLE: _not(_OFFER),
    EventPayload.IMPORT_CAPACITY_AVAILABLE_PRICE: _not(_OFFER),
    EventPayload.EXPORT_CAPACITY_SUBSCRIPTION: _acts(
        SignalKind.DEFAULT_EXPORT_LIMIT_W, Form.POWER, "the export limit where none is scheduled, and without a link"
    ),
    EventPayload.EXPORT_CAPACITY_RESERVATION: _acts(
        SignalKind.RESERVED_EXPORT_W, Form.POWER, "added to the subscription while it runs"
    ),
    EventPayload.EXPORT_CAPACITY_RESERVATION_FEE: _not(_OFFER),
    EventPayload.EXPORT_CAPACITY_AVAILABLE: _not(_OFFER),
    EventPayload.EXPORT_CAPACITY_AVAILABLE_PRICE: _not(_OFFER),
    EventPayload.IMPORT_CAPACITY_LIMIT: _acts(SignalKind.IMPORT_LIMIT_W, Form.POWER, "the import limit while it runs"),
    EventPayload.EXPORT_CAPACITY_LIMIT: _acts(SignalKind.EXPORT_LIMIT_W, Form.POWER, "the export limit while it runs"),
    EventPayload.ALERT_GRID_EMERGENCY: _alert("load is shed as at SIMPLE level 3; the text is shown", level=3),
    EventPayload.ALERT_BLACK_START: _alert(
        "as little as possible is taken from the grid; the text is shown", level=3, import_limit_w=0.0
    ),
    EventPayload.ALERT_POSSIBLE_OUTAGE: _alert(_BEFORE_OUTAGE, charge_pct=100.0),
    EventPayload.ALERT_FLEX_ALERT: _alert("load is shed as at SIMPLE level 1; the text is shown", level=1),
    EventPayload.ALERT_FIRE: _alert(_BEFORE_OUTAGE, charge_pct=100.0),
    EventPayload.ALERT_FREEZING: _alert("the text is shown; nothing is moved for it"),
    EventPayload.ALERT_WIND: _alert(_BEFORE_OUTAGE, charge_pct=100.0),
    EventPayload.ALERT_TSUNAMI: _alert(_BEFORE_OUTAGE, charge_pct=100.0),
    EventPayload.ALERT_AIR_QUALITY: _alert("the text is shown; nothing is moved for it"),
    EventPayload.ALERT_OTHER: _alert("the text is shown; nothing is moved for it"),
    EventPayload.CTA2045_REBOOT: _not("no device here has a CTA-2045 port"),
    EventPayload.CTA2045_SET_OVERRIDE_STATUS: _not("no device here has a CTA-2045 port"),
    # as the User Guide's example 8.10.2-1 writes it
    "CAPACITY_SUBSCRIPTION": _acts(
        SignalKind.DEFAULT_IMPORT_LIMIT_W, Form.POWER, "IMPORT_CAPACITY_SUBSCRIPTION, as the User Guide spells it"
    ),
}

_LIMITS = frozenset({SignalKind.IMPORT_LIMIT_W, SignalKind.EXPORT_LIMIT_W, SignalKind.LOAD_SHED_LEVEL})


def limits_flow(payload_type: str) -> bool:
    """Whether a payload of this type limits what flows at the connection point."""
    meaning = EVENT_PAYLOADS.get(payload_type)
    return meaning is not None and (meaning.signal in _LIMITS or meaning.level > 0)


_NO_RESERVATION = "capacity is not reserved by this gateway"
_HEADROOM = "of batteries, steered consumers and roofs that can be limited, kW, for the whole interval"

REPORT_PAYLOADS: Mapping[str, Meaning] = {
    ReportPayload.READING: _reported("the power at the end of an interval, kW; where an event asks for it"),
    ReportPayload.USAGE: _reported(
        "what was bought, kWh; always, and for an event's own intervals where it asks; ahead of them from the plan"
    ),
    ReportPayload.DEMAND: _reported(
        "the mean power bought, kW (or PEAK: the highest minute); always, and where asked for; ahead from the plan"
    ),
    ReportPayload.SETPOINT: _reported(
        "the power that the event asks for, as far as it is followed, kW; where asked for"
    ),
    ReportPayload.DELTA_USAGE: _reported("against the baseline, kWh; in settlements, and where asked for"),
    ReportPayload.BASELINE: _reported("high 4 of 5, kWh; in settlements, and where asked for"),
    ReportPayload.OPERATING_STATE: _reported("NORMAL, CURTAILED or OPTED_OUT, running or idle; where asked for"),
    ReportPayload.UP_REGULATION_AVAILABLE: _reported(f"by how much less could be taken or more given {_HEADROOM}"),
    ReportPayload.DOWN_REGULATION_AVAILABLE: _reported(f"by how much more could be taken or less given {_HEADROOM}"),
    ReportPayload.REGULATION_SETPOINT: _not("no regulation service is run here; SETPOINT tells what is followed"),
    ReportPayload.STORAGE_USABLE_CAPACITY: _reported("the rating of each battery and their sum, kWh; where asked for"),
    ReportPayload.STORAGE_CHARGE_LEVEL: _reported("of each battery, percent; where asked for, ahead from the plan"),
    ReportPayload.STORAGE_MAX_DISCHARGE_POWER: _reported(
        "the rating of each battery and their sum, kW; where asked for"
    ),
    ReportPayload.STORAGE_MAX_CHARGE_POWER: _reported("the rating of each battery and their sum, kW; where asked for"),
    ReportPayload.SIMPLE_LEVEL: _reported("the level that is followed: 0 while opted out; where asked for"),
    ReportPayload.USAGE_FORECAST: _reported("what the plan expects to be bought, kWh; where asked for"),
    ReportPayload.STORAGE_DISPATCH_FORECAST: _reported(
        "what batteries are expected to hold above the owner's reserve and can give within the interval, kWh"
    ),
    ReportPayload.LOAD_SHED_DELTA_AVAILABLE: _reported(
        "UP_REGULATION_AVAILABLE as the plan expects it, as energy, kWh"
    ),
    ReportPayload.GENERATION_DELTA_AVAILABLE: _reported("what roofs are expected and batteries able to give, kWh"),
    ReportPayload.DATA_QUALITY: _reported("OK or MISSING, in every interval of every report"),
    ReportPayload.IMPORT_RESERVATION_CAPACITY: _not(_NO_RESERVATION),
    ReportPayload.IMPORT_RESERVATION_FEE: _not(_NO_RESERVATION),
    ReportPayload.EXPORT_RESERVATION_CAPACITY: _not(_NO_RESERVATION),
    ReportPayload.EXPORT_RESERVATION_FEE: _not(_NO_RESERVATION),
}


def _rows(meanings: Iterable[tuple[str, Meaning]]) -> Iterable[str]:
    yield "| payload type | | how, or why not |"
    yield "| --- | --- | --- |"
    for name, meaning in meanings:
        yield f"| {name} | {meaning.treatment} | {meaning.what} |"


def tables() -> str:
    """The tables as they stand in cem/README.md."""
    parts = ("\n".join(_rows(found.items())) for found in (EVENT_PAYLOADS, REPORT_PAYLOADS))
    return "\nAnd every payload type of a report:\n\n".join(f"{part}\n" for part in parts)


if __name__ == "__main__":
    import sys

    sys.stdout.write(tables())
