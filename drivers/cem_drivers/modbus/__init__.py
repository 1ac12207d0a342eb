"""Modbus as every Modbus driver uses it: one guarded link per address, over TCP, TLS, RTU or memory."""

from cem_drivers.modbus.bus import Bus, link_statistics, open_bus
from cem_drivers.modbus.link import Link
from cem_drivers.modbus.pdu import BUSY, ILLEGAL_ADDRESS, ILLEGAL_FUNCTION, MAX_READ, NOT_THERE, Function
from cem_drivers.modbus.planner import Read, Span, plan_reads, split_span
from cem_drivers.modbus.table import BUS_KEYS, BUS_KEYS_OF, KINDS, bus_faults

__all__ = [
    "BUSY",
    "BUS_KEYS",
    "BUS_KEYS_OF",
    "ILLEGAL_ADDRESS",
    "ILLEGAL_FUNCTION",
    "KINDS",
    "MAX_READ",
    "NOT_THERE",
    "Bus",
    "Function",
    "Link",
    "Read",
    "Span",
    "bus_faults",
    "link_statistics",
    "open_bus",
    "plan_reads",
    "split_span",
]
