"""OCPP on real sockets: who is let in, what hostile peers achieve, and a charger made of somebody else's code."""

import asyncio
import base64
import json
import logging
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from ocpp.messages import get_validator

from cem.driver import Control, Device, DeviceConfig, DriverContext, NoAnswer, Ratings, Resource, Role
from cem_drivers.ocpp import DRIVER
from cem_drivers.ocpp.central import CENTRALS, Central
from cem_drivers.ocpp.conversation import MOST_BYTES, MOST_MALFORMED, Conversation
from cem_drivers.ocpp.dialect import Dialect, dialect_of
from cem_drivers.ocpp.link import Admission
from cem_drivers.ocpp.station import Lease, Station, Terms
from cem_drivers.ocpp.times import written
from support.certificates import Authority
from support.ocpp_peer import Peer16, calling, limit_of
from support.silent_tls import SilentTls
from support.stand import free_ports

LIMIT = Control.EV_LIMIT_A
CONTEXT = DriverContext(time.monotonic)


@asynccontextmanager
async def listening(*admissions: Admission, **link: str) -> AsyncIterator[tuple[Central, int]]:
    (port,) = free_ports(1)
    table: dict[str, str | int | float | bool] = {"listen": "127.0.0.1", "port": port, **link}
    central = await CENTRALS.take(table, CONTEXT, admissions[0])
    for admission in admissions[1:]:
        central.let_in(admission)
    try:
        yield central, port
    finally:
        CENTRALS.drop(central, admissions[0])
        await central.stop()


def run(act: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(20):
            await act()

    asyncio.run(main())


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.mark.parametrize(
    ("name", "headers", "protocols", "status"),
    [
        ("CP1", {}, ("ocpp1.6",), 101),
        ("CP%31", {}, ("ocpp2.0.1", "ocpp1.6"), 101),
        ("CP1", basic("x", "y"), ("ocpp1.6",), 101),  # nobody asked for it
        ("STRANGER", {}, ("ocpp1.6",), 404),
        ("", {}, ("ocpp1.6",), 404),
        ("x" * 60, {}, ("ocpp1.6",), 404),
        ("CP1", {}, ("ocpp1.5",), 400),
        ("CP1", {}, (), 400),
        ("LOCKED", {}, ("ocpp1.6",), 401),
        ("LOCKED", basic("LOCKED", "wrong"), ("ocpp1.6",), 401),
        ("LOCKED", basic("CP1", "s3cret"), ("ocpp1.6",), 401),
        ("LOCKED", {"Authorization": "Basic ???"}, ("ocpp1.6",), 401),
        ("LOCKED", basic("LOCKED", "s3cret"), ("ocpp1.6",), 101),
    ],
)
def test_only_who_is_known_and_proves_it_is_let_in(
    name: str, headers: dict[str, str], protocols: tuple[str, ...], status: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def act() -> None:
        async with (
            listening(Admission("CP1"), Admission("LOCKED", "s3cret")) as (_, port),
            aiohttp.ClientSession() as http,
        ):
            for _ in range(2):
                try:
                    async with http.ws_connect(
                        f"http://127.0.0.1:{port}/any/{name}", protocols=protocols, headers=headers
                    ) as ws:
                        seen = 101
                        assert ws.protocol == protocols[0]
                except aiohttp.WSServerHandshakeError as error:
                    seen = error.status
                assert seen == status

    caplog.set_level(logging.WARNING)
    run(act)
    told = [record for record in caplog.records if "calls in from" in record.message]
    assert len(told) == (status != 101)  # once, however often it tries
    assert "s3cret" not in caplog.text


def test_something_that_is_no_websocket_is_answered_and_forgotten() -> None:
    async def act() -> None:
        async with listening(Admission("CP1")) as (central, port), aiohttp.ClientSession() as http:
            async with http.get(f"http://127.0.0.1:{port}/CP1") as answer:
                assert answer.status == 400
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"\x00\x01\x00\x00\x00\x06\x01\x03\x00\x00\x00\x01")  # Modbus
            assert b"400" in await reader.read(200)
            writer.close()
            await writer.wait_closed()
            assert central.session("CP1") is None

    run(act)


@asynccontextmanager
async def socket_of(
    port: int, name: str = "CP1", protocol: str = "ocpp1.6"
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"ws://127.0.0.1:{port}/{name}", protocols=(protocol,)) as socket,
    ):
        yield socket


async def ended(socket: aiohttp.ClientWebSocketResponse) -> int | None:
    """The code with which the other end closes."""
    while not (await socket.receive()).type.name.startswith("CLOS"):
        pass
    return socket.close_code


@pytest.mark.parametrize(
    "frames",
    [
        ["x" * (MOST_BYTES + 1)],
        ["{{{"] * (MOST_MALFORMED + 1),
        ["[" * 5000] * (MOST_MALFORMED + 1),
        ['{"a":1}'] * (MOST_MALFORMED + 1),
        ["[9,1,2]"] * (MOST_MALFORMED + 1),
        ["[]"] * (MOST_MALFORMED + 1),
        ["[2]"] * (MOST_MALFORMED + 1),
        ['[2,{"a":1},"Heartbeat",{}]'] * (MOST_MALFORMED + 1),
        ['[2,"1","Heartbeat",[]]'] * (MOST_MALFORMED + 1),
    ],
    ids=lambda frames: frames[0][:12],
)
def test_what_is_no_ocpp_ends_the_connection_and_nothing_else(frames: list[str]) -> None:
    async def act() -> None:
        async with listening(Admission("CP1"), Admission("CP2")) as (central, port):
            async with socket_of(port, "CP2") as good, socket_of(port) as bad:
                for frame in frames:
                    await bad.send_str(frame)
                await ended(bad)
                await good.send_str('[2,"1","Heartbeat",{}]')
                assert (await good.receive_json())[0] == 3
            assert central.session("CP1") is None

    run(act)


def test_strange_questions_are_answered_with_an_error() -> None:
    async def act() -> None:
        async with listening(Admission("CP1")) as (_, port), socket_of(port) as socket:
            for text, code in (
                ('[2,"1","MakeCoffee",{}]', "NotImplemented"),
                ('[2,"2","SetChargingProfile",{}]', "NotImplemented"),
                ('[2,"3","BootNotification",7]', "InternalError"),
            ):
                await socket.send_str(text)
                answer = await socket.receive_json()
                assert answer[0] == 4
                assert answer[2] == code
            for text in (
                '[2,"4","StatusNotification",{"connectorId":"one","status":["x"]}]',
                '[2,"5","MeterValues",{"connectorId":99,"meterValue":[{"sampledValue":[{"value":{}}]}]}]',
                '[2,"6","MeterValues",{"connectorId":1,"meterValue":{"a":1}}]',
                '[2,"7","StopTransaction",{}]',
                '[2,"8","BootNotification",{"chargePointVendor":["ABB"],"chargePointModel":null}]',
                '[2,"9","DataTransfer",{"vendorId":"x","data":"y"}]',
                '[2,"10","StatusNotification",{"connectorId":1e400,"status":"Charging"}]',
            ):
                await socket.send_str(text)
                assert (await socket.receive_json())[0] == 3

    run(act)


def test_a_flood_is_slowed_down_and_answers_nobody_asked_for_are_dropped() -> None:
    async def act() -> None:
        async with listening(Admission("CP1")) as (central, port), socket_of(port) as socket:
            for number in range(150):
                await socket.send_str(f'[3,"{number}",{{"status":"Accepted"}}]')
            await socket.send_str('[2,"last","Heartbeat",{}]')
            began = time.monotonic()
            assert (await socket.receive_json())[1] == "last"
            assert time.monotonic() - began > 0.8  # two pauses of half a second
            session = central.session("CP1")
            assert session is not None
            assert session.talk.dropped == 150

    run(act)


def test_the_newest_connection_of_a_name_counts_and_two_chargers_with_one_name_are_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def act() -> None:
        async with listening(Admission("CP1")) as (central, port), socket_of(port) as first:
            sessions = [central.session("CP1")]
            for _ in range(3):
                async with socket_of(port) as newer:
                    await ended(first)
                    await newer.send_str('[2,"1","Heartbeat",{}]')
                    assert (await newer.receive_json())[0] == 3
                    sessions.append(central.session("CP1"))
                    async with socket_of(port) as first:  # noqa: PLW2901 - the two take turns
                        await ended(newer)
                        await first.send_str('[2,"1","Heartbeat",{}]')
                        await first.receive_json()
            assert len({id(session) for session in sessions}) == 4

    run(act)
    assert sum("second charger of this name" in record.message for record in caplog.records) == 1


def device_at(port: int, name: str, serial: str, *resources: str) -> Device:
    ratings = Ratings(max_current_a=16.0)
    points = tuple(Resource(one, Role.EV, "box", "Box", ratings, frozenset({LIMIT})) for one in resources)
    table: dict[str, str | int | float | bool] = {"listen": "127.0.0.1", "port": port, "identity": name}
    config = DeviceConfig("box", "Box", "ocpp", table, points, None, serial)
    assert DRIVER.faults(config) == []
    return DRIVER.device(config, CONTEXT)


async def listened(port: int) -> None:
    """Waits until somebody listens there."""
    for _ in range(1000):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            await asyncio.sleep(0.01)
        else:
            writer.close()
            await writer.wait_closed()
            return


async def until_lost(device: Device) -> None:
    """Polls until the device says that its connection is lost."""
    words = ""
    for _ in range(1000):
        try:
            await device.poll()
        except NoAnswer as error:
            words = str(error)
            break
        await asyncio.sleep(0.01)
    assert "connection is lost" in words


@pytest.mark.parametrize(
    ("protocol", "serial", "state"), [("ocpp1.6", "TMH-1", "C"), ("ocpp2.0.1", "ANE-1", "B")], ids=["1.6", "2.0.1"]
)
def test_a_charger_of_somebody_elses_code_is_steered(protocol: str, serial: str, state: str) -> None:
    async def act() -> None:
        (port,) = free_ports(1)
        device = device_at(port, "CP_1", serial, "ev")
        opening = asyncio.create_task(device.open())
        await listened(port)
        async with calling(port, "CP_1", protocol) as peer:
            assert (await opening).serial == serial
            await device.write("ev", LIMIT, 10.0)
            assert await device.read_back("ev", LIMIT) == 10.0
            assert limit_of(peer) == 10.0
            readings = {reading.point: reading.value for reading in await device.poll()}
            assert readings["state"] == state
            await device.release("ev", LIMIT)
            assert limit_of(peer) is None
            assert await device.read_back("ev", LIMIT) is None
        await until_lost(device)
        await device.close()

    run(act)


def test_two_connectors_of_one_charger_are_steered_apart() -> None:
    async def act() -> None:
        (port,) = free_ports(1)
        device = device_at(port, "CP_1", "TMH-1", "left", "right")
        opening = asyncio.create_task(device.open())
        await listened(port)
        async with calling(port, "CP_1", "ocpp1.6") as peer:
            await opening
            assert [spec.resource_id for spec in device.controls()] == ["left", "right"]
            await device.write("left", LIMIT, 10.0)
            await device.write("right", LIMIT, 8.0)
            assert isinstance(peer, Peer16)
            assert sorted(peer.profiles.values()) == [(1, 10.0), (2, 8.0)]
            await device.release("left", LIMIT)
            assert await device.read_back("left", LIMIT) is None
            assert await device.read_back("right", LIMIT) == 8.0
            assert {reading.resource_id for reading in await device.poll()} == {"left", "right"}
        await device.close()

    run(act)


def test_over_tls_only_its_certificate_is_believed(tmp_path: Path) -> None:
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    made = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    subprocess.run([*made, *names, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)

    async def act() -> None:
        async with (
            listening(Admission("CP1"), cert_file=str(cert), key_file=str(key)) as (central, port),
            aiohttp.ClientSession() as http,
        ):
            url = f"https://127.0.0.1:{port}/CP1"
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await http.ws_connect(url, protocols=("ocpp1.6",))
            trusted = ssl.create_default_context(cafile=str(cert))
            async with http.ws_connect(url, protocols=("ocpp1.6",), ssl=trusted) as socket:
                await socket.send_str('[2,"1","Heartbeat",{}]')
                assert (await socket.receive_json())[0] == 3
                assert central.session("CP1") is not None

    run(act)


def test_no_charger_is_connected_over_tls_once_nothing_listens(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    us = authority.issue("us")
    asked = (
        b"GET /CP1 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        b"Sec-WebSocket-Protocol: ocpp1.6\r\n\r\n"
    )

    async def act() -> None:
        async with listening(Admission("CP1"), cert_file=str(us.certificate), key_file=str(us.key)) as (_, port):
            charger = await SilentTls(port, authority.certificate).greet()
            assert (await charger.asks(asked)).startswith(b"HTTP/1.1 101")
        assert await charger.is_cut()

    run(act)


class Ear:
    """A peer that accepts everything and remembers what it was asked."""

    def __init__(self) -> None:
        self.heard: list[list[Any]] = []
        self._answers: asyncio.Queue[str] = asyncio.Queue()

    async def recv(self) -> str:
        return await self._answers.get()

    async def send(self, text: str) -> None:
        frame = json.loads(text, parse_float=Decimal)  # the schemas of 1.6 want tenths, and 10.4 is none in binary
        self.heard.append(frame)
        self._answers.put_nowait(json.dumps([3, frame[1], {"status": "Accepted"}]))

    async def close(self) -> None:
        """Nothing to close."""


async def everything(dialect: Dialect) -> None:
    """Asks all that is ever asked."""
    unix_s = 1_781_517_600.0
    await dialect.knock(1.0)
    await dialect.abilities(1.0)
    for message in ("BootNotification", "StatusNotification", "MeterValues"):
        assert await dialect.trigger(message, None if message == "BootNotification" else 1, 1.0)
    await dialect.configure({"MeterValueSampleInterval": "10", "MeterValuesSampledData": "Power.Active.Import"}, 1.0)
    for unit, limit in (("A", 10.4), ("W", 4140.0)):
        for phases, ends_s, transaction in ((3, unix_s + 180, None), (None, None, 7)):
            purpose = "TxDefaultProfile" if transaction is None else "TxProfile"
            lease = Lease(1, 8801, 8, purpose, unit, limit, phases, unix_s, 240, ends_s, transaction)
            assert await dialect.set_limit(lease, 1.0) == "Accepted"
    await dialect.composite(1, 360, "A", 1.0)
    await dialect.clear(8801, 1.0)
    await dialect.start(1, "GATEWAY", 1.0)


@pytest.mark.parametrize("version", ["1.6", "2.0.1", "2.1"])
def test_everything_that_is_ever_asked_is_as_the_schemas_want_it(version: str) -> None:
    async def act() -> None:
        station = Station("CP1", Terms(), time.monotonic, CONTEXT.wall)
        dialect, ear = dialect_of(f"ocpp{version}", station), Ear()
        dialect.talk = Conversation("CP1", ear, dialect.answer, lambda: None, time.monotonic)
        listener = asyncio.create_task(dialect.talk.listen())
        await everything(dialect)
        listener.cancel()
        await asyncio.wait([listener])
        assert len(ear.heard) > 10
        for _, _, action, payload in ear.heard:
            get_validator(2, action, version, parse_float=Decimal).validate(payload)

    run(act)


QUESTIONS: dict[str, dict[str, dict[str, Any]]] = {
    "1.6": {
        "BootNotification": {"chargePointVendor": "V", "chargePointModel": "M"},
        "Heartbeat": {},
        "StatusNotification": {"connectorId": 1, "errorCode": "NoError", "status": "Available"},
        "MeterValues": {"connectorId": 1, "meterValue": []},
        "StartTransaction": {"connectorId": 1, "idTag": "A", "meterStart": 0, "timestamp": written(0)},
        "StopTransaction": {"transactionId": 1, "idTag": "A", "meterStop": 0, "timestamp": written(0)},
        "Authorize": {"idTag": "A"},
        "DataTransfer": {"vendorId": "V"},
        "FirmwareStatusNotification": {"status": "Idle"},
        "DiagnosticsStatusNotification": {"status": "Idle"},
        "SecurityEventNotification": {"type": "x", "timestamp": written(0)},
        "LogStatusNotification": {"status": "Idle"},
        "SignCertificate": {"csr": "x"},
    },
    "2.0.1": {
        "BootNotification": {"reason": "PowerUp", "chargingStation": {"model": "M", "vendorName": "V"}},
        "Heartbeat": {},
        "StatusNotification": {"timestamp": written(0), "connectorStatus": "Available", "evseId": 1, "connectorId": 1},
        "MeterValues": {"evseId": 1, "meterValue": []},
        "TransactionEvent": {
            "eventType": "Started",
            "timestamp": written(0),
            "triggerReason": "Authorized",
            "seqNo": 0,
            "transactionInfo": {"transactionId": "t"},
            "idToken": {"idToken": "A", "type": "Central"},
        },
        "Authorize": {"idToken": {"idToken": "A", "type": "Central"}},
        "DataTransfer": {"vendorId": "V"},
        "NotifyEvent": {},
        "NotifyReport": {},
        "NotifyEVChargingNeeds": {},
        "ReportChargingProfiles": {},
        "SecurityEventNotification": {},
        "SignCertificate": {"csr": "x"},
    },
}


@pytest.mark.parametrize(("version", "action"), [(v, a) for v, actions in QUESTIONS.items() for a in actions])
def test_every_answer_is_as_the_schemas_want_it(version: str, action: str) -> None:
    async def act() -> None:
        async with listening(Admission("CP1")) as (_, port), socket_of(port, protocol=f"ocpp{version}") as socket:
            await socket.send_str(json.dumps([2, "1", action, QUESTIONS[version][action]]))
            kind, number, payload = await socket.receive_json()
            assert (kind, number) == (3, "1")
            get_validator(3, action, version).validate(payload)

    run(act)
