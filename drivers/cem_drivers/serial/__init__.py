"""Meters that speak by themselves on a serial line: P1, SML, IEC 62056-21 mode D."""

from cem_drivers.serial.driver import SerialDriver

DRIVER = SerialDriver()

__all__ = ["DRIVER", "SerialDriver"]
