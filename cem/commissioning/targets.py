"""Addresses as people type them, and the link tables that they mean."""

import re
from collections.abc import Mapping
from enum import StrEnum

Link = Mapping[str, str | int | float | bool]

MODBUS_PORT, MQTT_PORT = 502, 1883
HIGHEST_UNIT = 247  # Modbus over serial line 1.02, 2.2; 255 is used over TCP

_TARGET = re.compile(
    r"^(?:(?P<kind>modbus|mqtt)://)?(?P<host>\[[0-9A-Fa-f:.%\w]+\]|[^/:\s]+)(?::(?P<port>\d{1,5}))?(?:/(?P<units>[\d,-]*))?$"
)


class LinkKind(StrEnum):
    """What `kind` says in a link table."""

    MODBUS_TCP = "tcp"
    MQTT = "mqtt"


def parse_target(text: str, kind: LinkKind | None = None) -> list[Link]:
    """The links of HOST[:PORT][/UNITS], UNITS being such as 1 or 1,200 or 1-4, optionally with modbus:// or mqtt://.

    Without a kind both are meant, unless the port is MQTT's own. Raises ValueError with a sentence.
    """
    match = _TARGET.match(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no address; needed: HOST:PORT or HOST:PORT/UNIT, such as 192.0.2.40:502/1")
    named = {"modbus": LinkKind.MODBUS_TCP, "mqtt": LinkKind.MQTT}.get(match["kind"] or "")
    if named and kind and named is not kind:
        raise ValueError(f"{text!r} was given where an address of kind {kind} is meant")
    host = match["host"].strip("[]")
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 1 <= port <= 65535:
        raise ValueError(f"{text!r}: port {port} does not exist; 1 to 65535 do")
    kind = kind or named or (LinkKind.MQTT if port == MQTT_PORT else None)
    links: list[Link] = []
    if kind is not LinkKind.MQTT:
        links += [
            {"kind": "tcp", "host": host, "port": port or MODBUS_PORT, "unit": unit}
            for unit in _units(text, match["units"])
        ]
    if kind is LinkKind.MQTT or (kind is None and not match["units"]):
        links.append({"kind": "mqtt", "host": host, "port": port or MQTT_PORT})
    return links


def _units(text: str, units: str | None) -> list[int]:
    found: list[int] = []
    for part in (units or "1").split(","):
        first, dash, last = part.partition("-")
        if not first.isdigit() or (dash and not last.isdigit()):
            raise ValueError(f"{text!r}: units are such as /1 or /1,200 or /1-4")
        found += range(int(first), int(last if dash else first) + 1)
    if not found or not all(1 <= unit <= HIGHEST_UNIT or unit == 255 for unit in found):
        raise ValueError(f"{text!r}: a unit is 1 to {HIGHEST_UNIT}, or 255")
    return found


def address(link: Link) -> str:
    """A link as a person reads it: 127.0.0.1:5021 unit 1."""
    where = str(link.get("host", link.get("port", "?")))
    if "host" in link and "port" in link:
        where = f"[{where}]:{link['port']}" if ":" in where else f"{where}:{link['port']}"
    return f"{where} unit {link['unit']}" if "unit" in link else where
