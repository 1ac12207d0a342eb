"""Every kind of link: its table checked offline, TLS with both certificates, and a port for a second client."""

import asyncio
import socket
import ssl
import struct
import subprocess
import time
from pathlib import Path

import pytest
from pymodbus.client import AsyncModbusTcpClient

from cem.driver import DriverContext, NoAnswer
from cem_drivers.modbus import bus_faults, open_bus
from support.modbus_wire import Registers, wire_server

CONTEXT = DriverContext(time.monotonic)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    ("link", "faults"),
    [
        ({"host": "192.0.2.4"}, []),
        ({"kind": "rtu", "device": "/dev/serial/by-id/usb-x", "baud": 19200, "parity": "E", "min_gap_ms": 50}, []),
        ({"kind": "rtu-tcp", "host": "h", "port": 4001, "slowest_answer_s": 2.0}, []),
        ({"kind": "tls", "host": "h", "ca_file": "a", "cert_file": "b", "key_file": "c", "server_name": "d"}, []),
        (
            {"kind": "rtu_tcp", "host": "h"},
            ["link.kind: 'rtu_tcp' is not one of tcp, rtu, rtu-tcp, tls; did you mean "],
        ),
        ({"kind": "rtu"}, ["link.device: missing"]),
        ({"kind": "rtu", "device": "x", "buad": 9600}, ["link.buad: unknown key; did you mean 'baud'?"]),
        ({"kind": "rtu", "device": "x", "parity": "even"}, ["link.parity: 'even' is not one of N, E, O"]),
        ({"host": "h", "baud": 9600}, ["link.baud: belongs to a link of kind rtu, this one is 'tcp'"]),
        ({"kind": "tls", "host": "h", "key_file": "c"}, ["link.cert_file: missing where key_file is given"]),
        ({"host": "h", "proxy_writes": True}, ["link.proxy_port: missing where proxy_writes is given"]),
    ],
)
def test_faults_of_a_link_table_are_told_offline(link: dict[str, str | int | float | bool], faults: list[str]) -> None:
    seen = bus_faults(link)
    assert len(seen) == len(faults)
    assert all(line.startswith(start) for line, start in zip(seen, faults, strict=True)), seen


def test_two_tables_that_disagree_about_one_line_are_told() -> None:
    async def main() -> None:
        bus = open_bus({"kind": "rtu", "device": "/dev/nothing", "baud": 9600}, CONTEXT)
        with pytest.raises(NoAnswer, match="other settings"):
            open_bus({"kind": "rtu", "device": "/dev/nothing", "baud": 19200, "unit": 2}, CONTEXT)
        bus.close()

    asyncio.run(main())


# --- TLS ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, a server named inverter.test, a client, and an authority that nobody trusts."""
    folder = tmp_path_factory.mktemp("tls")

    def run(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    for authority in ("ca", "other"):
        run(
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", f"/CN={authority}"),
            *("-keyout", f"{authority}.key", "-out", f"{authority}.pem"),
        )
    for name in ("inverter.test", "client"):
        run("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", "r.csr")
        (folder / "ext").write_text(f"subjectAltName=DNS:{name}\n")
        run(
            *("x509", "-req", "-in", "r.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30"),
            *("-extfile", "ext", "-out", f"{name}.pem"),
        )
    return folder


async def _secured(folder: Path, link: dict[str, str], pieces: int = 1) -> bytes:
    """One read over TLS from a server that insists on a client's certificate and answers in pieces."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(folder / "ca.pem"))
    context.load_cert_chain(folder / "inverter.test.pem", folder / "inverter.test.key")
    context.verify_mode = ssl.CERT_REQUIRED

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = await reader.readexactly(12)
                answer = request[:4] + struct.pack(">HBBBHH", 7, request[6], 3, 4, 11, 22)
                for at in range(0, len(answer), -(-len(answer) // pieces)):
                    writer.write(answer[at : at + -(-len(answer) // pieces)])
                    await asyncio.sleep(0.005)
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            return
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    bus = open_bus({"kind": "tls", "host": "127.0.0.1", "port": port, **link}, CONTEXT)
    try:
        return await bus.read(0, 2)
    finally:
        bus.close()
        server.close()
        await asyncio.sleep(0.02)


def _files(folder: Path, **changes: str) -> dict[str, str]:
    names = {"ca_file": "ca.pem", "cert_file": "client.pem", "key_file": "client.key"} | changes
    return {key: str(folder / name) for key, name in names.items()}


@pytest.mark.parametrize("pieces", [1, 3, 13])
def test_tls_with_both_certificates_carries_answers_in_any_pieces(certificates: Path, pieces: int) -> None:
    link = {**_files(certificates), "server_name": "inverter.test"}
    assert asyncio.run(_secured(certificates, link, pieces)) == struct.pack(">HH", 11, 22)


def test_a_server_of_another_name_or_authority_is_not_talked_to(certificates: Path) -> None:
    with pytest.raises(NoAnswer, match="certificate"):
        asyncio.run(_secured(certificates, {**_files(certificates), "server_name": "meter.test"}))
    other = {**_files(certificates, ca_file="other.pem"), "server_name": "inverter.test"}
    with pytest.raises(NoAnswer, match="certificate"):
        asyncio.run(_secured(certificates, other))


def test_a_certificate_that_is_missing_is_told(certificates: Path) -> None:
    with pytest.raises(NoAnswer, match="No such file"):
        asyncio.run(_secured(certificates, _files(certificates, cert_file="nowhere.pem")))


# --- a second client -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("writes", [False, True])
def test_a_second_client_shares_the_only_connection(writes: bool) -> None:
    async def main() -> None:
        registers = Registers()
        registers.put(0, range(100))
        async with wire_server(registers.respond) as server:
            server.delay_s = 0.002
            proxy = _free_port()
            link: dict[str, str | int | float | bool] = {"host": "127.0.0.1", "port": server.port}
            link |= {"proxy_port": proxy, "proxy_writes": writes}
            bus = open_bus(link, CONTEXT)
            await bus.read(0, 1)
            client = AsyncModbusTcpClient("127.0.0.1", port=proxy, retries=0)
            assert await client.connect()
            ours = [bus.read(at, 2) for at in range(20)]
            theirs = [client.read_holding_registers(at, count=3) for at in range(20)]
            first, second = await asyncio.gather(asyncio.gather(*ours), asyncio.gather(*theirs))
            assert first == [struct.pack(">HH", at, at + 1) for at in range(20)]
            assert [answer.registers for answer in second] == [[at, at + 1, at + 2] for at in range(20)]
            written = await client.write_register(5, 777)
            assert written.isError() is not writes
            assert registers.words[5] == (777 if writes else 5)
            refused = await client.read_holding_registers(5000, count=1)
            assert refused.exception_code == 2
            assert (server.connections, server.most_in_flight) == (1, 1)
            client.close()
            bus.close()
            await asyncio.sleep(0.02)
            late = AsyncModbusTcpClient("127.0.0.1", port=proxy, retries=0, reconnect_delay=0)
            assert not await late.connect()
            late.close()

    asyncio.run(main())
