"""Modbus as every Modbus driver uses it: one guarded link per address over pymodbus or over memory."""

from cem_drivers.modbus.bus import BUS_KEYS, Bus, bus_faults, open_bus
from cem_drivers.modbus.link import Link, LinkStatistics
from cem_drivers.modbus.pdu import ILLEGAL_ADDRESS, ILLEGAL_FUNCTION, MAX_READ, Function
from cem_drivers.modbus.planner import Read, Span, plan_reads, split_span

__all__ = [
    "BUS_KEYS",
    "ILLEGAL_ADDRESS",
    "ILLEGAL_FUNCTION",
    "MAX_READ",
    "Bus",
    "Function",
    "Link",
    "LinkStatistics",
    "Read",
    "Span",
    "bus_faults",
    "open_bus",
    "plan_reads",
    "split_span",
]
