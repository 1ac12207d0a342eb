"""Addresses as people type them, and the link tables that they mean."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from cem.driver import BUILT_IN, serial_ports

Link = Mapping[str, str | int | float | bool]

MODBUS_PORT, MODBUS_TLS_PORT, MQTT_PORT, OCPP_PORT = 502, 802, 1883, 8887
INVERTERS_PORT = 1502  # where KOSTAL and SolarEdge inverters are delivered to answer
HIGHEST_UNIT = 247  # Modbus over serial line 1.02, 2.2; 255 is used over TCP

_TARGET = re.compile(
    r"^(?:(?P<kind>modbus|mqtt|rtu-tcp|tls|ocpp)://)?(?P<host>\[[0-9A-Fa-f:.%\w]+\]|[^/:\s]+)(?::(?P<port>\d{1,5}))?(?:/(?P<units>[\d,-]*))?$"
)
_METER = re.compile(r"^serial:(?P<device>/[^@\s]+)(?:@(?P<baud>\d{3,6}))?$")
_METER_TCP = re.compile(r"^serial-tcp://(?P<host>\[[0-9A-Fa-f:.%\w]+\]|[^/:\s]+):(?P<port>\d{1,5})$")
ALL_PORTS = "serial"
"""Stands for every serial port of this machine."""
_DECIMAL = re.compile(r"^[0-9]+\.[0-9]+$")
_SERIAL = re.compile(r"^rtu:(?P<device>/[^@\s]+)(?:@(?P<baud>\d{3,7})(?P<parity>[NEO]?)(?:/(?P<units>[\d,-]*))?)?$")


class LinkKind(StrEnum):
    """What `kind` says in a link table."""

    MODBUS_TCP = "tcp"
    MODBUS_RTU = "rtu"
    MODBUS_RTU_TCP = "rtu-tcp"
    MODBUS_TLS = "tls"
    MQTT = "mqtt"
    SERIAL = "serial"  # a meter that speaks by itself, on a port of this machine
    SERIAL_TCP = "serial-tcp"  # the same behind a serial server
    OCPP = "ocpp"
    GPIO = "gpio"


_NAMED = {
    "modbus": LinkKind.MODBUS_TCP,
    "rtu-tcp": LinkKind.MODBUS_RTU_TCP,
    "tls": LinkKind.MODBUS_TLS,
    "mqtt": LinkKind.MQTT,
    "ocpp": LinkKind.OCPP,
}


MODBUS_KINDS = frozenset({LinkKind.MODBUS_TCP, LinkKind.MODBUS_RTU, LinkKind.MODBUS_RTU_TCP, LinkKind.MODBUS_TLS})


@dataclass(frozen=True, slots=True)
class BrokerLogin:
    """How to enter the MQTT brokers that are looked at. Files with their whole path."""

    username: str | None = None
    password_file: str | None = None
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None

    def of(self, link: Link) -> Link:
        """The link with what it takes to enter; links of another kind as they are."""
        if link.get("kind") != LinkKind.MQTT:
            return link
        given = {name: value for name in self.__slots__ if (value := getattr(self, name)) is not None}
        return {**link, **given, **({"tls": True} if "ca_file" in given or "cert_file" in given else {})}


def parse_target(text: str, kind: LinkKind | None = None) -> list[Link]:
    """The links of HOST[:PORT][/UNITS], UNITS being such as 1 or 1,200 or 1-4, optionally with modbus:// or mqtt://.

    Without units each driver looks where its devices are delivered to answer; on a serial line that is unit 1.
    What hangs on the board's own pins is named: gpio:WIRE=PIN,... with the keys of the gpio driver's link table.
    Without a kind both are meant, unless the port is MQTT's own. Also rtu-tcp:// and tls:// with the same,
    rtu:DEVICE[@BAUD[PARITY][/UNITS]] for a serial line, and ocpp://HOST[:PORT] for an address of this machine at which
    chargers call in. A meter that speaks by itself is at serial:DEVICE[@BAUD] or serial-tcp://HOST:PORT; `serial` alone
    is every serial port. With =PROFILE behind it a person says what is there: the link then carries `profile`, and no
    unit where none is given. Raises ValueError with a sentence.
    """
    if kind is LinkKind.GPIO or text.strip().startswith("gpio:"):
        return [_wires(text)]
    text, said, profile = text.strip().partition("=")
    if said and not profile:
        raise ValueError(f"{text + said!r}: a profile is missing behind =, such as keba.p30 or mine.toml")
    links = _links_of(text, kind)
    if not said:
        return links
    behind = text.partition("@")[2] if text.startswith("rtu:") else text.rpartition("//")[2]
    given = "/" in behind  # units follow host and port, or the baud rate
    return [
        {key: value for key, value in link.items() if given or key != "unit"} | {"profile": profile}
        for link in links
        if link["kind"] != LinkKind.MQTT
    ]


def _links_of(text: str, kind: LinkKind | None) -> list[Link]:
    meter = _meter(text.strip(), kind)
    if meter is not None:
        return meter
    serial = _SERIAL.match(text.strip())
    if serial is not None:
        line: Link = {"kind": "rtu", "device": serial["device"], "baud": int(serial["baud"] or 9600)}
        parity: Link = {"parity": serial["parity"]} if serial["parity"] else {}
        return [{**line, **parity, "unit": unit} for unit in _units(text, serial["units"])]
    match = _TARGET.match(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no address; needed: HOST:PORT or HOST:PORT/UNIT, such as 192.0.2.40:502/1")
    named = _NAMED.get(match["kind"] or "")
    if kind is LinkKind.MODBUS_TCP and named in MODBUS_KINDS - {LinkKind.MODBUS_RTU}:
        kind = named  # any way to a Modbus device will do where one is meant
    if named and kind and named is not kind:
        raise ValueError(f"{text!r} was given where an address of kind {kind} is meant")
    host = match["host"].strip("[]")
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 1 <= port <= 65535:
        raise ValueError(f"{text!r}: port {port} does not exist; 1 to 65535 do")
    kind = kind or named or (LinkKind.MQTT if port == MQTT_PORT else None)
    if kind is LinkKind.OCPP:
        if match["units"]:
            raise ValueError(f"{text!r}: chargers call in at an address of this machine, such as ocpp://0.0.0.0:8887")
        return [{"kind": "ocpp", "listen": host, "port": port or OCPP_PORT}]
    links: list[Link] = []
    if kind is not LinkKind.MQTT:
        default = MODBUS_TLS_PORT if kind is LinkKind.MODBUS_TLS else MODBUS_PORT
        link: Link = {"kind": (kind or LinkKind.MODBUS_TCP).value, "host": host, "port": port or default}
        links += [{**link, "unit": unit} for unit in _units(text, match["units"])] if match["units"] else [link]
    if kind is LinkKind.MQTT or (kind is None and not match["units"]):
        links.append({"kind": "mqtt", "host": host, "port": port or MQTT_PORT})
    return links


def _meter(text: str, kind: LinkKind | None) -> list[Link] | None:
    """The links of a meter that speaks by itself; None where the text means something else."""
    if kind in {LinkKind.SERIAL, LinkKind.SERIAL_TCP} and text.startswith("/"):
        text = f"serial:{text}"
    if text == ALL_PORTS:
        return [{"kind": LinkKind.SERIAL.value, "device": port} for port in serial_ports(built_in=BUILT_IN)]
    port = _METER.match(text)
    if port is not None:
        baud: Link = {"baud": int(port["baud"])} if port["baud"] else {}
        return [{"kind": LinkKind.SERIAL.value, "device": port["device"], **baud}]
    server = _METER_TCP.match(text)
    if server is not None and 1 <= int(server["port"]) <= 65535:
        host = server["host"].strip("[]")
        return [{"kind": LinkKind.SERIAL_TCP.value, "host": host, "port": int(server["port"])}]
    if (
        server is not None
        or kind in {LinkKind.SERIAL, LinkKind.SERIAL_TCP}
        or text.startswith(("serial:", "serial-tcp:"))
    ):
        raise ValueError(
            f"{text!r} is no line of a meter; needed: a device such as /dev/serial/by-id/NAME, with @BAUD where it is "
            "no usual one, or serial-tcp://HOST:PORT"
        )
    return None


def _wires(text: str) -> Link:
    """The link table of gpio:contact_1=17,contact_2=27,s0=22,pulses_per_kwh=1000."""
    link: dict[str, str | int | float | bool] = {"kind": LinkKind.GPIO.value}
    for part in text.strip().removeprefix("gpio:").split(","):
        name, equals, value = (word.strip() for word in part.partition("="))
        if not (name and equals and value):
            raise ValueError(f"{text!r}: WIRE=PIN,... is meant, such as gpio:contact_1=17,contact_2=27")
        link[name] = int(value) if value.isdigit() else float(value) if _DECIMAL.match(value) else value
    return link


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
    if link.get("kind") == LinkKind.GPIO:
        rest = {"kind", "role", "board", "simulated_file", "chip", "pulses_per_kwh", "counter_wh", "debounce_ms"}
        return "pins " + ", ".join(f"{name} {value}" for name, value in link.items() if name not in rest)
    where = str(link.get("host", link.get("listen", link.get("device", link.get("port", "?")))))
    if ("host" in link or "listen" in link) and "port" in link:
        where = f"[{where}]:{link['port']}" if ":" in where else f"{where}:{link['port']}"
    return f"{where} unit {link['unit']}" if "unit" in link else where
