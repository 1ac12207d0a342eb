"""Modbus devices described by a profile: data, not code."""

from cem_drivers.profiled.driver import ProfiledDriver

DRIVER = ProfiledDriver()
"""What the entry point group `cem.drivers` names as `modbus`."""

__all__ = ["DRIVER", "ProfiledDriver"]
