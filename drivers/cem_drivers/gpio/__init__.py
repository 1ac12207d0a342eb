"""Contacts on the pins of a Raspberry Pi: relays, SG Ready, pulse meters, what the grid operator signals by wire."""

from cem_drivers.gpio.driver import GpioDriver

DRIVER = GpioDriver()

__all__ = ["DRIVER", "GpioDriver"]
