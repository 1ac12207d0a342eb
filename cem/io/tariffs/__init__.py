"""Providers of dynamic tariffs: each one's bytes to prices as a pure function, and the fetch around it."""

from collections.abc import Callable, Mapping

from cem.io.tariffs.awattar import AwattarPrices
from cem.io.tariffs.entsoe import EntsoePrices
from cem.io.tariffs.octopus import OctopusPrices
from cem.io.tariffs.tibber import TibberPrices
from cem.model.market import PriceService
from cem.ports import Http, PriceSource

PROVIDERS: Mapping[str, Callable[[PriceService, Http], PriceSource]] = {
    "awattar": AwattarPrices,
    "entsoe": EntsoePrices,
    "octopus": OctopusPrices,
    "tibber": TibberPrices,
}
"""By the name that the site file gives them."""


def price_source(service: PriceService, http: Http) -> PriceSource:
    """The source of a service; KeyError for a provider that is none of these."""
    return PROVIDERS[service.provider](service, http)
