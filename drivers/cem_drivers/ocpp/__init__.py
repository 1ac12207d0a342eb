"""EV chargers that call in over OCPP: the gateway is their central system."""

from cem_drivers.ocpp.driver import OcppDriver

DRIVER = OcppDriver()

__all__ = ["DRIVER", "OcppDriver"]
