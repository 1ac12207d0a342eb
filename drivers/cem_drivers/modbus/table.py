"""The link tables of the site file, one per kind of link: checked offline, and made into a transport."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from cem_drivers.modbus.link import DEFAULT_TIMEOUT_S, MAX_TIMEOUT_S
from cem_drivers.modbus.rtu_stream import MAX_SLOWEST_S, SLOWEST_ANSWER_S
from cem_drivers.modbus.transport import PymodbusTcp, Tls, Transport
from cem_drivers.table import Key, LinkTable, flag, number, table_faults, text

TCP, RTU, RTU_TCP, TLS = "tcp", "rtu", "rtu-tcp", "tls"
KINDS = (TCP, RTU, RTU_TCP, TLS)
PORTS = {TCP: 502, RTU_TCP: 502, TLS: 802}

_COMMON = (
    Key("kind", str, choices=KINDS),
    Key("unit", int, low=0, high=255),
    Key("timeout_s", float, low=0.1, high=MAX_TIMEOUT_S),
    Key("proxy_port", int, low=1, high=65535),
    Key("proxy_host", str),
    Key("proxy_writes", bool),
)
_ADDRESS = (Key("host", str, required=True), Key("port", int, low=1, high=65535))
_TIMING = (Key("min_gap_ms", float, low=0, high=1000), Key("slowest_answer_s", float, low=0.05, high=MAX_SLOWEST_S))
_LINE = (
    Key("device", str, required=True),
    Key("baud", int, low=300, high=1_000_000),
    Key("parity", str, choices=("N", "E", "O")),
    Key("stop_bits", int, low=1, high=2),
)
_TLS = (Key("ca_file", str), Key("cert_file", str), Key("key_file", str), Key("server_name", str))
BUS_KEYS_OF = {
    TCP: (*_COMMON, *_ADDRESS),
    RTU: (*_COMMON, *_LINE, *_TIMING),
    RTU_TCP: (*_COMMON, *_ADDRESS, *_TIMING),
    TLS: (*_COMMON, *_ADDRESS, *_TLS),
}
"""The keys of a link table that belong to the bus, by kind; a driver adds its own."""
BUS_KEYS = BUS_KEYS_OF[TCP]
"""Those of the kind that is meant where none is named."""


@dataclass(frozen=True, slots=True)
class Wire:
    """What a link table means: which physical link it is, and what carries PDUs over it."""

    name: str
    key: Hashable  # the same for every table that means this link
    settings: Hashable  # what all tables that mean this link must agree on
    make: Callable[[], Transport]


def bus_faults(link: LinkTable, extra: Sequence[Key] = ()) -> list[str]:
    """Everything wrong with a link table, offline, each with its path."""
    kind = link.get("kind", TCP)
    if not isinstance(kind, str) or kind not in KINDS:
        near = get_close_matches(str(kind), KINDS, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return [f"link.kind: {kind!r} is not one of {', '.join(KINDS)}{hint}"]
    keys = (*BUS_KEYS_OF[kind], *extra)
    known = {key.name for key in keys}
    others = {name: _kinds_with(name) for name in link if name not in known}
    faults = table_faults({name: value for name, value in link.items() if not others.get(name)}, keys)
    faults += [
        f"link.{name}: belongs to a link of kind {' or '.join(kinds)}, this one is {kind!r}"
        for name, kinds in others.items()
        if kinds
    ]
    if "key_file" in link and "cert_file" not in link:
        faults.append("link.cert_file: missing where key_file is given")
    faults += [
        f"link.proxy_port: missing where {name} is given"
        for name in ("proxy_host", "proxy_writes")
        if name in link and "proxy_port" not in link
    ]
    return faults


def _kinds_with(name: str) -> list[str]:
    return [kind for kind, keys in BUS_KEYS_OF.items() if any(key.name == name for key in keys)]


def wire_of(link: LinkTable) -> Wire:
    """The wire of a checked link table; touches nothing."""
    kind = text(link, "kind", TCP)
    gap_s = number(link, "min_gap_ms", 0.0) / 1000
    slowest_s = number(link, "slowest_answer_s", SLOWEST_ANSWER_S)
    if kind == RTU:
        return _serial(link, gap_s, slowest_s)
    host, port = text(link, "host", ""), int(number(link, "port", PORTS[kind]))
    name = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    settings: tuple[Hashable, ...] = (kind, gap_s, slowest_s)
    if kind == RTU_TCP:
        from cem_drivers.modbus.rtu_tcp import RtuTcp

        return Wire(name, (host, port), settings, lambda: RtuTcp(host, port, gap_s, slowest_s))
    tls = Tls(*(text(link, key.name, "") or None for key in _TLS)) if kind == TLS else None
    return Wire(name, (host, port), (*settings, tls), lambda: PymodbusTcp(host, port, tls))


def _serial(link: LinkTable, gap_s: float, slowest_s: float) -> Wire:
    from cem_drivers.modbus.rtu_serial import RtuSerial
    from cem_drivers.serial_port import Line

    line = Line(
        text(link, "device", ""),
        int(number(link, "baud", 9600)),
        text(link, "parity", "N"),
        int(number(link, "stop_bits", 1)),
    )
    return Wire(line.device, (RTU, line.device), (line, gap_s, slowest_s), lambda: RtuSerial(line, gap_s, slowest_s))


def timeout_of(link: LinkTable) -> float:
    """Patience for one answer, s."""
    return number(link, "timeout_s", DEFAULT_TIMEOUT_S)


def proxy_of(link: LinkTable) -> tuple[str, int, bool] | None:
    """Host, port and whether writes pass, of the port for a second client; None where there is none."""
    if "proxy_port" not in link:
        return None
    return text(link, "proxy_host", "127.0.0.1"), int(number(link, "proxy_port", 0)), flag(link, "proxy_writes")
