"""What a kWh costs and brings now: an event's price where one covers, else the contract's tariff."""

from datetime import datetime

from cem.control.tuning import VALUE_TOLERANCE
from cem.model.site import Site
from cem.model.tariff import TARIFF
from cem.model.tick import Inputs
from cem.model.values import value


@value(frozen=True, slots=True)
class Prices:
    """Per kWh; None while the clock can't be trusted: then no price counts."""

    import_per_kwh: float | None
    export_per_kwh: float | None
    source: str = TARIFF
    until: datetime | None = None  # of the event that says so
    spread: bool = False


def prices_now(site: Site, inputs: Inputs) -> Prices:
    """The prices that hold at this tick; later windows win over earlier ones, as in the directive's order."""
    now = inputs.now.wall
    if not inputs.now.trusted:
        return Prices(None, None)
    import_price, export_price, source = (
        site.tariff.import_price_per_kwh(now),
        site.tariff.export_price_per_kwh,
        TARIFF,
    )
    until, spread = None, False
    for window in reversed(inputs.directive.prices):
        if window.start <= now and (window.end is None or now < window.end):
            if window.import_price_per_kwh is not None:
                import_price = window.import_price_per_kwh
            if window.export_price_per_kwh is not None:
                export_price = window.export_price_per_kwh
            if window.source == TARIFF:  # of the dynamic tariff, the last of all
                continue
            if window.import_price_per_kwh is not None or window.export_price_per_kwh is not None:
                source, until = window.source, window.end
            spread = window.spread
    import_price += inputs.directive.weight_at(now, site.tariff)
    return Prices(import_price, export_price, source, until, spread)


def clearly_more(one: float, other: float) -> bool:
    """Whether a price is above another by more than rounding."""
    return one > other + VALUE_TOLERANCE * max(abs(one), abs(other)) + 1e-4
