"""What is at an address where no driver knew anything: refused, silent, or something that answers otherwise."""

import asyncio
import contextlib
import socket
import ssl
import struct
from dataclasses import dataclass
from pathlib import Path

from cem.commissioning.targets import Link, LinkKind

MODBUS_QUESTION = struct.pack(">HHHBBHH", 0x4345, 0, 6, 1, 3, 0, 1)
"""One holding register of unit 1 (Modbus messaging on TCP/IP 1.0b, 3.1); the unit is put in before it is sent."""
UNIT_AT = 6
MQTT_CONNECT = b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00"
"""A clean session without a name (MQTT 3.1.1, 3.1)."""
MQTT_DISCONNECT = b"\xe0\x00"
MQTT_LOCKED = {4, 5}  # bad user name or password, not authorised (3.2.2.3)
NOBODY_BEHIND = {0x0A, 0x0B}  # gateway path unavailable, target does not respond (Modbus application 1.1b3, 7)

REFUSED = "refused: a host answers there, but nothing listens at this port"
NO_ANSWER = "no answer: nothing has this address, or it is switched off, or a firewall is in between"
NO_HOST = "no such host name in this network"
UNKNOWN = "answers, but no driver knows it"
SAY_WHAT = "if you know what it is, say so with =PROFILE behind the address: many devices don't tell"
UNKNOWN_LINE = "the serial line is there, but nothing that a driver knows answers: check unit, baud rate and wires"

SILENT_LINE = (
    "the serial line is there, but no meter speaks on it: check that the head sits on the meter's eye or the cable in "
    "its P1 port; a P1 port may have to be switched on by the grid operator, an optical one by the meter's PIN"
)
SILENT_SERVER = (
    "takes the connection, but no meter speaks on it: check the serial server's baud rate and the meter's head"
)


@dataclass(frozen=True, slots=True)
class Knock:
    """What was seen. `reached` is false where no connection came about, whatever is asked over it."""

    reached: bool
    words: str


async def connects(host: str, port: int, timeout_s: float) -> Knock | None:
    """None where a TCP connection comes about, else why not."""
    try:
        async with asyncio.timeout(timeout_s):
            _, writer = await asyncio.open_connection(host, port)
    except ConnectionRefusedError:
        return Knock(False, REFUSED)
    except socket.gaierror:
        return Knock(False, NO_HOST)
    except (TimeoutError, OSError):
        return Knock(False, NO_ANSWER)
    await _ended(writer)
    return None


async def knock(link: Link, timeout_s: float) -> Knock:
    """Asks in the link's own protocol, then in the other one; only reads. Never raises for what is out there."""
    if "host" not in link or "port" not in link:
        words = SILENT_LINE if link.get("kind") == LinkKind.SERIAL else UNKNOWN_LINE
        return _line(Path(str(link.get("device", ""))), words)
    host, port = str(link["host"]), int(link["port"])
    if (failed := await connects(host, port, timeout_s)) is not None:
        return failed
    if link.get("kind") == LinkKind.MQTT:
        mqtt = await _mqtt(host, port, timeout_s)
        if mqtt is not None:
            return Knock(True, mqtt)
        if await _modbus(host, port, 1, timeout_s) is not None:
            return Knock(True, f"answers Modbus, not MQTT: ask it as modbus://{_place(host, port)}")
        return Knock(True, "takes the connection, but answers neither MQTT nor Modbus at unit 1")
    if link.get("kind") == LinkKind.SERIAL_TCP:
        return Knock(True, SILENT_SERVER)
    if link.get("kind") == LinkKind.MODBUS_TLS and (failing := await _untrusted(host, port, timeout_s)):
        return Knock(True, failing)
    if link.get("kind") != LinkKind.MODBUS_TCP:
        return Knock(True, "takes the connection, but nothing that a driver knows answers")
    unit = int(link.get("unit", 1))
    modbus = await _modbus(host, port, unit, timeout_s)
    if modbus is not None:
        return Knock(True, modbus)
    if await _mqtt(host, port, timeout_s) is not None:
        return Knock(True, f"answers MQTT, not Modbus: ask it as mqtt://{_place(host, port)}")
    return Knock(True, f"takes the connection, but answers neither Modbus at unit {unit} nor MQTT: try another unit")


async def _untrusted(host: str, port: int, timeout_s: float) -> str:
    """Why no TLS comes about with what this machine trusts; '' where it does."""
    try:
        async with asyncio.timeout(timeout_s):
            _, writer = await asyncio.open_connection(host, port, ssl=ssl.create_default_context())
    except ssl.SSLCertVerificationError as error:
        return (
            f"speaks TLS, but its certificate is not trusted here ({error.verify_message}): name its authority as "
            "ca_file in the link table, or in the environment variable SSL_CERT_FILE for a scan"
        )
    except (TimeoutError, OSError):
        return "takes the connection, but no TLS comes about: it speaks none, or wants a certificate of ours"
    await _ended(writer)
    return ""


async def _ended(writer: asyncio.StreamWriter) -> None:
    """Closes a connection; how the other side takes it is of no interest."""
    writer.close()
    with contextlib.suppress(OSError):
        async with asyncio.timeout(1.0):
            await writer.wait_closed()


def _line(device: Path, words: str) -> Knock:
    return Knock(True, words) if device.exists() else Knock(False, f"no such serial line: {device}")


def _place(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def _modbus(host: str, port: int, unit: int, timeout_s: float) -> str | None:
    """Words for an answer in Modbus, None for anything else."""
    question = bytearray(MODBUS_QUESTION)
    question[UNIT_AT] = unit
    answer = await _asked(host, port, bytes(question), 9, timeout_s)
    if len(answer) < 9 or answer[:4] != question[:4] or answer[7] & 0x7F != 3:
        return None
    if answer[7] & 0x80 and answer[8] in NOBODY_BEHIND:
        nobody = f"a Modbus gateway answers, but nothing behind it at unit {unit}"
        return f"{nobody}: try other units, such as /1,71,200,247,255; {SAY_WHAT}"
    return f"{UNKNOWN} (Modbus); {SAY_WHAT}"


async def _mqtt(host: str, port: int, timeout_s: float) -> str | None:
    """Words for a broker's answer, None for anything else."""
    answer = await _asked(host, port, MQTT_CONNECT, 4, timeout_s, MQTT_DISCONNECT)
    if len(answer) < 4 or answer[:2] != b"\x20\x02":
        return None
    if answer[3] in MQTT_LOCKED:
        return "a broker answers (MQTT), but wants a user and a password"
    if answer[3]:
        return f"a broker answers (MQTT), but refuses us with code {answer[3]}"
    return "a broker answers (MQTT), but no device that a driver knows was heard there"


async def _asked(host: str, port: int, question: bytes, length: int, timeout_s: float, bye: bytes = b"") -> bytes:
    """The first bytes of an answer on a connection of its own; fewer, or none, where they do not come."""
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(question)
                answer = await reader.readexactly(length)
                writer.write(bye)
                await writer.drain()
                return answer
            finally:
                await _ended(writer)
    except (TimeoutError, OSError, asyncio.IncompleteReadError):
        return b""
