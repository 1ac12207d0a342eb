"""Grid signals in plain words, for the owner."""

from collections.abc import Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from cem.model.event import SignalKind

_ASKS = {
    SignalKind.IMPORT_LIMIT_W: "import at most {kw}",
    SignalKind.EXPORT_LIMIT_W: "export at most {kw}",
    SignalKind.DEFAULT_IMPORT_LIMIT_W: "import at most {kw} where no limit is scheduled",
    SignalKind.DEFAULT_EXPORT_LIMIT_W: "export at most {kw} where no limit is scheduled",
    SignalKind.IMPORT_PRICE_PER_KWH: "import at {value:.4g}{currency}/kWh",
    SignalKind.EXPORT_PRICE_PER_KWH: "export at {value:.4g}{currency}/kWh",
}


def kilowatts(power_w: float) -> str:
    """A power with its unit: '4.2 kW'."""
    return f"{power_w / 1000:.3g} kW"


def asked(signals: Mapping[SignalKind, float], currency: str | None = None) -> str:
    """What signals ask for, as one phrase; empty when they ask for nothing."""
    phrases = []
    for kind, value in sorted(signals.items()):
        if kind is SignalKind.DISPATCH_W:
            way = "take" if value >= 0 else "give"
            phrases.append(f"{way} {kilowatts(abs(value))}")
        else:
            money = f" {currency}" if currency else ""
            phrases.append(_ASKS[kind].format(kw=kilowatts(value), value=value, currency=money))
    return ", ".join(phrases)


def until_words(until: datetime | None, now: datetime, zone: str) -> str:
    """When something ends, local time: 'until 18:00', with the date where it is another day."""
    if until is None:
        return "until further notice"
    local, here = until.astimezone(ZoneInfo(zone)), now.astimezone(ZoneInfo(zone))
    spec = "%H:%M" if until.second == 0 else "%H:%M:%S"
    return f"until {local.strftime(spec if local.date() == here.date() else f'%d %b %Y {spec}')}"
