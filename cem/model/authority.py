"""Who may set what, within which bounds: one pure function for every act that enters the house.

`authorise` is asked where an act enters (grid directive, local API, plan, device reading, commissioning) and once more
before a set point leaves the decision. It answers with the value, clamped where it must be, or with a refusal; both say
why in words. Standard library only, so that every room can ask.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

DAY_S = 86400.0


class Domain(StrEnum):
    """On whose behalf something is set."""

    GRID = "grid"
    OPTIMISER = "optimiser"
    DEVICE = "device"
    OWNER = "owner"
    INSTALLER = "installer"
    UPDATER = "updater"


class Variable(StrEnum):
    """What can be set; powers in W, import and charging positive, limits as magnitudes."""

    IMPORT_LIMIT_W = "import_limit_w"
    EXPORT_LIMIT_W = "export_limit_w"
    GENERATION_LIMIT_W = "generation_limit_w"
    DISPATCH_W = "dispatch_w"
    PRICE_PER_KWH = "price_per_kwh"
    EVENT_STARTS_IN_S = "event_starts_in_s"
    EVENT_LENGTH_S = "event_length_s"
    REPORT = "report"
    BATTERY_SETPOINT_W = "battery.setpoint_w"
    BATTERY_RESERVE_PCT = "battery.reserve_pct"
    PV_LIMIT_W = "pv.limit_w"
    EV_LIMIT_A = "ev.limit_a"
    EV_PHASES = "ev.phases"
    HEAT_PUMP_SG_READY = "heat_pump.sg_ready"
    LOAD_ON = "load.on"
    MEASUREMENT = "measurement"
    CAPABILITY_W = "capability_w"
    RESERVE_PCT = "reserve_pct"
    TARGET_SOC_PCT = "target_soc_pct"
    TARGET_WH = "target_wh"
    PREFERENCE = "preference"
    OPT_OUT = "opt_out"
    FUSE_A = "fuse_a"
    RATING_W = "rating_w"
    METER_DIRECTION = "meter_direction"
    GRID_CODE = "grid_code"
    VTN_TRUST = "vtn_trust"
    CONFIGURATION = "configuration"
    AUDIT = "audit"
    OWNER_DATA = "owner_data"
    SOFTWARE = "software"


SETPOINTS = frozenset(
    {
        Variable.BATTERY_SETPOINT_W,
        Variable.BATTERY_RESERVE_PCT,
        Variable.PV_LIMIT_W,
        Variable.EV_LIMIT_A,
        Variable.EV_PHASES,
        Variable.HEAT_PUMP_SG_READY,
        Variable.LOAD_ON,
    }
)

MAY: dict[Domain, frozenset[Variable]] = {
    Domain.GRID: frozenset(
        {
            Variable.IMPORT_LIMIT_W,
            Variable.EXPORT_LIMIT_W,
            Variable.GENERATION_LIMIT_W,
            Variable.DISPATCH_W,
            Variable.PRICE_PER_KWH,
            Variable.EVENT_STARTS_IN_S,
            Variable.EVENT_LENGTH_S,
            Variable.REPORT,
        }
    ),
    Domain.OPTIMISER: SETPOINTS,
    Domain.DEVICE: frozenset({Variable.MEASUREMENT, Variable.CAPABILITY_W}),
    Domain.OWNER: frozenset(
        {
            Variable.PREFERENCE,
            Variable.RESERVE_PCT,
            Variable.TARGET_SOC_PCT,
            Variable.TARGET_WH,
            Variable.OPT_OUT,
            Variable.OWNER_DATA,
        }
    ),
    Domain.INSTALLER: frozenset(
        {
            Variable.FUSE_A,
            Variable.RATING_W,
            Variable.METER_DIRECTION,
            Variable.GRID_CODE,
            Variable.VTN_TRUST,
            Variable.CONFIGURATION,
        }
    ),
    Domain.UPDATER: frozenset({Variable.SOFTWARE}),
}
"""The matrix: what is not here is refused."""


MAGNITUDES = frozenset(
    {
        Variable.TARGET_WH,
        Variable.CAPABILITY_W,
        Variable.PV_LIMIT_W,
        Variable.RATING_W,
        Variable.EV_LIMIT_A,
        Variable.FUSE_A,
    }
)

FIXED: dict[Variable, tuple[float, float, str]] = {
    Variable.RESERVE_PCT: (0.0, 100.0, "a share from 0 to 100 %"),
    Variable.BATTERY_RESERVE_PCT: (0.0, 100.0, "a share from 0 to 100 %"),
    Variable.TARGET_SOC_PCT: (0.0, 100.0, "a share from 0 to 100 %"),
    Variable.EV_PHASES: (1.0, 3.0, "1 to 3 phases"),
    Variable.HEAT_PUMP_SG_READY: (1.0, 4.0, "SG Ready knows the states 1 to 4"),
    Variable.LOAD_ON: (0.0, 1.0, "on is 1, off is 0"),
    Variable.OPT_OUT: (0.0, 1.0, "on is 1, off is 0"),
}
"""Variables whose range is the same everywhere."""


@dataclass(frozen=True, slots=True)
class Authority:
    """What bounds an act. Bounds are of the subject named in the act, None where nothing is known of that side.

    `own`: the device speaks of itself. `agreed`: the report, the source or the mandatory programme was agreed before.
    `session_open`: an installer's session is open.
    """

    subject: str = "site"
    least: float | None = None  # envelope of the subject: rating, BMS, installer
    most: float | None = None
    fuse_w: float = math.inf  # of the connection point
    contract_minimum_w: float = 0.0  # a grid limit goes no lower
    flexibility_w: tuple[float, float] | None = None  # what was declared for dispatch
    price_ceiling: float = 100.0  # per kWh, either sign
    horizon_s: float = 7 * DAY_S
    longest_s: float = DAY_S
    islanded: bool = False
    own: bool = True
    agreed: bool = True
    mandatory: bool = False
    session_open: bool = True


@dataclass(frozen=True, slots=True)
class Granted:
    """May be set to `value`; `words` is empty unless it was clamped."""

    value: float
    clamped: bool = False
    words: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """May not be set; `words` says who asked for what, and why not."""

    words: str


Answer = Granted | Refusal


def authorise(domain: Domain, variable: Variable, value: float, context: Authority) -> Answer:
    """Whether `domain` may set `variable` of `context.subject` to `value`, and to what at most. Never raises."""
    if variable not in MAY[domain]:
        return Refusal(f"{domain}: {variable} of {context.subject} is not its to set; {_owner_of(variable)}")
    if not math.isfinite(value):
        return Refusal(f"{domain}: {variable} of {context.subject} is {value!r}; a finite number is needed")
    refusal = _forbidden(domain, variable, context)
    if refusal:
        return Refusal(f"{domain}: {variable} of {context.subject} to {value:g} refused: {refusal}")
    low, high, words = _range(variable, context)
    if low <= value <= high:
        return _whole(domain, variable, value, context)
    why = words or f"the envelope of {context.subject} is {_side(context.least)} to {_side(context.most)}"
    if variable in {Variable.EVENT_STARTS_IN_S, Variable.EVENT_LENGTH_S}:
        return Refusal(f"{domain}: {variable} is {value:g}; {why}")
    if low > high:
        return Refusal(f"{domain}: {variable} of {context.subject}: nothing is allowed ({why})")
    held = min(max(value, low), high)
    return Granted(held, True, f"{domain}: {variable} of {context.subject} {value:g} held to {held:g}: {why}")


def _whole(domain: Domain, variable: Variable, value: float, context: Authority) -> Answer:
    """What is within its range, as far as such a value can be set at all."""
    if variable is Variable.EV_LIMIT_A and 0.0 < value < 6.0:
        return Granted(0.0, True, f"{domain}: {context.subject} {value:g} A becomes a pause: below 6 A (IEC 61851-1)")
    if variable in {Variable.EV_PHASES, Variable.HEAT_PUMP_SG_READY, Variable.LOAD_ON} and value != int(value):
        return Refusal(f"{domain}: {variable} of {context.subject} is {value:g}; a whole number is needed")
    return Granted(float(value))


def _owner_of(variable: Variable) -> str:
    owners = [domain.value for domain, variables in MAY.items() if variable in variables]
    return f"it belongs to {', '.join(owners)}" if owners else "nobody may"


def _forbidden(domain: Domain, variable: Variable, context: Authority) -> str:
    """What the matrix forbids beyond the bare list; '' if nothing."""
    if domain is Domain.GRID and context.islanded and variable in {Variable.DISPATCH_W, Variable.PRICE_PER_KWH}:
        return "the house runs as an island; the grid's word is kept and counts again when its voltage is back"
    if domain is Domain.DEVICE and not context.own:
        return "a device speaks for itself alone"
    if domain is Domain.GRID and variable is Variable.REPORT and not context.agreed:
        return "this report was not agreed with the owner"
    if domain is Domain.OWNER and variable is Variable.OPT_OUT and context.mandatory:
        return "this programme is mandatory by law or contract"
    if domain is Domain.INSTALLER and not context.session_open:
        return "no installer's session is open"
    return ""


def _range(variable: Variable, context: Authority) -> tuple[float, float, str]:
    """(lowest, highest, the bound in words) of a variable; no words: it is the envelope of the subject."""
    least = -math.inf if context.least is None else context.least
    most = math.inf if context.most is None else context.most
    if variable in FIXED:
        return FIXED[variable]
    if variable is Variable.IMPORT_LIMIT_W:
        high = min(context.fuse_w, most)
        return min(context.contract_minimum_w, high), high, "from the contract's minimum to fuse and rating"
    if variable in {Variable.EXPORT_LIMIT_W, Variable.GENERATION_LIMIT_W}:
        return 0.0, min(context.fuse_w, most), "from nothing to fuse and rating"
    if variable is Variable.DISPATCH_W:
        low, high = context.flexibility_w if context.flexibility_w is not None else (least, most)
        return max(low, least), min(high, most), "within the flexibility that was declared"
    if variable is Variable.PRICE_PER_KWH:
        return -context.price_ceiling, context.price_ceiling, f"at most {context.price_ceiling:g} a kWh is believed"
    if variable is Variable.EVENT_STARTS_IN_S:
        return -math.inf, context.horizon_s, f"events start at most {context.horizon_s / DAY_S:g} days ahead"
    if variable is Variable.EVENT_LENGTH_S:
        return 0.0, context.longest_s, f"events last at most {context.longest_s / 3600:g} h; renew it"
    return (0.0 if variable in MAGNITUDES else least), most, ""


def span(variable: Variable, context: Authority) -> tuple[float, float]:
    """(lowest, highest) that a variable may be set to."""
    return _range(variable, context)[:2]


def _side(value: float | None) -> str:
    return "open" if value is None else f"{value:g}"
