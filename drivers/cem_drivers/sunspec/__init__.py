"""SunSpec devices over Modbus: inverters, batteries and meters that describe themselves."""

from cem_drivers.sunspec.driver import SunSpecDriver

DRIVER = SunSpecDriver()

__all__ = ["DRIVER", "SunSpecDriver"]
