"""Grid signals in plain words, for the owner."""

from collections.abc import Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from cem.model.event import SignalKind

LARGEST_HOUSE_W = 3 * 230.0 * 125.0
"""Three phases at the largest current of a household circuit breaker (IEC 60898-1)."""

_ASKS = {
    SignalKind.IMPORT_LIMIT_W: "import at most {kw}",
    SignalKind.EXPORT_LIMIT_W: "export at most {kw}",
    SignalKind.DEFAULT_IMPORT_LIMIT_W: "import at most {kw} where no limit is scheduled",
    SignalKind.DEFAULT_EXPORT_LIMIT_W: "export at most {kw} where no limit is scheduled",
    SignalKind.IMPORT_PRICE_PER_KWH: "import at {money}{currency}/kWh",
    SignalKind.EXPORT_PRICE_PER_KWH: "export at {money}{currency}/kWh",
    SignalKind.RESERVED_IMPORT_W: "import {kw} more than subscribed",
    SignalKind.RESERVED_EXPORT_W: "export {kw} more than subscribed",
    SignalKind.CHARGE_TARGET_PCT: "batteries at {plain} %",
    SignalKind.CHARGE_TARGET_WH: "battery at {kwh} kWh",
    SignalKind.LOAD_SHED_LEVEL: "load shed level {plain}",
    SignalKind.GHG_G_PER_KWH: "{plain} g of greenhouse gas per kWh",
    SignalKind.LOAD_SHAPE: "load shape {plain}",
    SignalKind.CURVE: "follow its curve",
}


def kilowatts(power_w: float) -> str:
    """A power with its unit: '4.2 kW'."""
    power_kw = round(power_w / 1000, 3) + 0.0  # no minus before a zero
    return f"{power_kw:.0f} kW" if abs(power_kw) >= 100 else f"{power_kw:.3g} kW"


def _limit(limit_w: float) -> str:
    doubt = " (far more than a house can draw: check the unit with the provider)" if limit_w > LARGEST_HOUSE_W else ""
    return f"{kilowatts(limit_w)}{doubt}"


def _money(value: float) -> str:
    if abs(value) >= 1000:
        return f"{value:.0f}"
    return f"{value:.4g}" if abs(value) >= 1e-4 or value == 0 else f"{value:.6f}"


def asked(signals: Mapping[SignalKind, float], currency: str | None = None) -> str:
    """What signals ask for, as one phrase; empty when they ask for nothing."""
    phrases = []
    for kind, value in sorted(signals.items()):
        if kind is SignalKind.DISPATCH_W:
            way = "take" if value >= 0 else "give"
            phrases.append(f"{way} {kilowatts(abs(value))}")
        elif kind is SignalKind.DISPATCH_CHANGE_W:
            way = "more" if value >= 0 else "less"
            phrases.append(f"take {kilowatts(abs(value))} {way} than before")
        else:
            money = f" {currency}" if currency else ""
            texts = {"kw": _limit(value), "money": _money(value), "plain": f"{value:g}", "kwh": f"{value / 1000:g}"}
            phrases.append(_ASKS[kind].format(currency=money, **texts))
    return ", ".join(phrases)


def until_words(until: datetime | None, now: datetime, zone: str) -> str:
    """When something ends, local time: 'until 18:00', with the date where it is another day."""
    if until is None:
        return "until further notice"
    local, here = until.astimezone(ZoneInfo(zone)), now.astimezone(ZoneInfo(zone))
    spec = "%H:%M" if until.second == 0 else "%H:%M:%S"
    return f"until {local.strftime(spec if local.date() == here.date() else f'%d %b %Y {spec}')}"
