"""The devices on TCP, read by another implementation of SunSpec; both transports give the same bytes."""

import asyncio
import struct
from collections.abc import Callable
from typing import Any

import pytest
from pymodbus.client import AsyncModbusTcpClient
from sunspec2.modbus.client import SunSpecModbusClientDeviceTCP

from hw_sim.faults import Condition
from hw_sim.modbus_server import TcpEndpoint
from hw_sim.simulation import SimulatedHome
from support.sim_homes import BATTERY, METER, NIGHT, NOON, PV, home, whole_home

BATTERY_MODE = 40155


class Oracle:
    """pysunspec2 on one endpoint; blocking, so it works in a thread."""

    def __init__(self, endpoint: TcpEndpoint) -> None:
        self._device: Any = SunSpecModbusClientDeviceTCP(
            slave_id=endpoint.unit.unit, ipaddr=endpoint.host, ipport=endpoint.port, timeout=5
        )

    def scan(self) -> list[int]:
        self._device.scan()
        self._device.connect()
        return [number for number in self._device.models if isinstance(number, int)]

    def values(self, number: int) -> dict[str, Any]:
        model = self._device.models[number][0]
        model.read()
        return {name: point.cvalue for name, point in model.points.items()}

    def write(self, number: int, **values: float) -> None:
        model = self._device.models[number][0]
        for name, value in values.items():
            model.points[name].cvalue = value
        model.write()

    def close(self) -> None:
        self._device.disconnect()


def with_oracles(simulation: SimulatedHome, check: Callable[[dict[str, Oracle]], None]) -> None:
    """Serves all Modbus devices and runs `check` against them in a thread."""

    async def main() -> None:
        endpoints = {d.id: TcpEndpoint(simulation.modbus(d.id), "127.0.0.1", 0) for d in simulation.home.device[:2]}
        endpoints["meter"] = TcpEndpoint(simulation.modbus("meter"), "127.0.0.1", 0)
        for endpoint in endpoints.values():
            await endpoint.start()
        oracles = {name: Oracle(endpoint) for name, endpoint in endpoints.items()}
        try:
            await asyncio.to_thread(check, oracles)
        finally:
            for oracle in oracles.values():
                oracle.close()
            for endpoint in endpoints.values():
                await endpoint.stop()

    asyncio.run(main())


def test_another_reader_finds_the_models_and_sees_the_truth() -> None:
    simulation = SimulatedHome(whole_home(), NOON)
    for _ in range(30):
        simulation.step(1.0)
    truth = simulation.truth()

    def check(oracles: dict[str, Oracle]) -> None:
        assert oracles["meter"].scan() == [1, 203]
        assert oracles["inverter"].scan() == [1, 103, 120, 123]
        assert oracles["battery"].scan() == [1, 103, 120, 124, 802, 122]
        meter = oracles["meter"].values(203)
        assert meter["W"] == pytest.approx(truth.grid_w, abs=0.51)
        assert [meter[f"Wph{p}"] for p in "ABC"] == pytest.approx(truth.grid_phases_w, abs=0.51)
        assert [meter[f"PhVph{p}"] for p in "ABC"] == [230.0] * 3
        assert (meter["Hz"], meter["PhV"]) == (50.0, 230.0)
        assert meter["TotWhExp"] == int(truth.export_wh)
        inverter = oracles["inverter"].values(103)
        assert inverter["W"] == pytest.approx(-truth.pv_w, abs=0.51)
        assert inverter["WH"] == int(truth.pv_wh) > 0
        assert inverter["St"] == 4
        assert oracles["inverter"].values(120)["WRtg"] == 8000
        assert oracles["inverter"].values(123)["WMaxLim_Ena"] == 0
        battery = oracles["battery"].values(103)
        assert battery["W"] == pytest.approx(-truth.battery_w, abs=0.51)
        storage = oracles["battery"].values(124)
        assert (storage["WChaMax"], storage["StorCtl_Mod"], storage["InWRte"]) == (5000, 0, 100.0)
        assert storage["ChaState"] == pytest.approx(truth.battery["battery"].soc_pct, abs=0.051)
        pack = oracles["battery"].values(802)
        assert pack["SoC"] == pytest.approx(truth.battery["battery"].soc_pct, abs=0.051)
        assert (pack["WHRtg"], pack["SoH"], pack["WChaRteMax"], pack["WDisChaRteMax"]) == (10000, 100, 5000, 4000)
        nameplate = oracles["battery"].values(120)
        assert (nameplate["DERTyp"], nameplate["MaxChaRte"], nameplate["MaxDisChaRte"]) == (82, 5000, 4000)
        identity = oracles["battery"].values(1)
        assert (identity["Mn"], identity["SN"]) == ("hw-sim", "SIM-BAT-battery")

    with_oracles(simulation, check)


def test_what_another_client_writes_moves_the_physics() -> None:
    simulation = SimulatedHome(home(PV, BATTERY, METER), NOON)
    simulation.step(1.0)

    def settle() -> None:
        for _ in range(15):
            simulation.step(1.0)

    def check(oracles: dict[str, Oracle]) -> None:
        oracles["battery"].scan()
        oracles["inverter"].scan()
        oracles["battery"].write(124, OutWRte=-40.0, InWRte=40.0, StorCtl_Mod=3)
        oracles["inverter"].write(123, WMaxLimPct=12.5, WMaxLim_Ena=1)
        settle()
        truth = simulation.truth()
        assert truth.battery_w == pytest.approx(2000.0)
        assert truth.pv_w == pytest.approx(-1000.0)
        assert oracles["battery"].values(103)["W"] == -2000
        assert oracles["battery"].values(802)["ChaSt"] == 4
        assert oracles["inverter"].values(103)["St"] == 5
        oracles["battery"].write(124, StorCtl_Mod=0)
        oracles["inverter"].write(123, WMaxLim_Ena=0)
        settle()
        assert simulation.truth().pv["pv"].limit_w is None
        assert simulation.truth().battery_w > 4000.0  # the surplus of noon

    with_oracles(simulation, check)


async def tcp_exchange(host: str, port: int, unit: int, pdu: bytes) -> bytes:
    """One request on a fresh connection, MBAP framed by hand."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(struct.pack(">HHHB", 7, 0, len(pdu) + 1, unit) + pdu)
        async with asyncio.timeout(5):
            transaction, protocol, length, answered = struct.unpack(">HHHB", await reader.readexactly(7))
            assert (transaction, protocol, answered) == (7, 0, unit)
            return await reader.readexactly(length - 1)
    finally:
        writer.close()
        await writer.wait_closed()


REQUESTS = [
    "03 9c40 0002",
    "03 9c40 007d",
    "03 9c40 0046",
    "04 9c86 0034",
    "03 0000 0001",
    "03 ffff 0001",
    "03 9c3f 0002",
    "03 fde8 0001",
    "06 9cdb 0003",  # StorCtl_Mod = 3
    "06 9cdb 0009",  # not a mode
    "06 9c40 0001",  # read-only
    "10 9ce2 0002 04 f060 0fa0",  # OutWRte -40 %, InWRte 40 %
    "10 9ce2 0001 02 7530",  # 300 %
    "10 9c40 0001 02 0001",
    "03 9cdb 0010",
]


def test_memory_and_tcp_give_the_same_bytes() -> None:
    async def main() -> None:
        one, other = SimulatedHome(whole_home(), NOON), SimulatedHome(whole_home(), NOON)
        endpoint = TcpEndpoint(other.modbus("battery"), "127.0.0.1", 0)
        await endpoint.start()
        try:
            for text in REQUESTS:
                pdu = bytes.fromhex(text)
                one.step(1.0)
                other.step(1.0)
                in_memory = await one.modbus("battery").exchange(1, pdu)
                assert await tcp_exchange("127.0.0.1", endpoint.port, 1, pdu) == in_memory, text
                in_memory = await one.modbus("battery").exchange(9, pdu)
                assert await tcp_exchange("127.0.0.1", endpoint.port, 9, pdu) == in_memory, text
            assert one.truth() == other.truth()
        finally:
            await endpoint.stop()

    asyncio.run(main())


def test_a_silent_device_answers_nothing_and_then_again() -> None:
    async def main() -> None:
        simulation = SimulatedHome(whole_home(), NIGHT)
        unit = simulation.modbus("battery")
        endpoint = TcpEndpoint(unit, "127.0.0.1", 0)
        await endpoint.start()
        client = AsyncModbusTcpClient("127.0.0.1", port=endpoint.port, timeout=0.3, retries=0)
        try:
            assert await client.connect()
            assert (await client.read_holding_registers(40000, count=2)).registers == [0x5375, 0x6E53]
            unit.take(Condition(silent=True))
            with pytest.raises(Exception, match="No response"):
                await client.read_holding_registers(40000, count=2)
            unit.take(Condition())
            client.close()
            assert await client.connect()
            assert (await client.read_holding_registers(BATTERY_MODE, count=1)).registers == [0]
        finally:
            client.close()
            await endpoint.stop()

    asyncio.run(main())


def test_a_stopped_endpoint_refuses_and_comes_back_at_its_port() -> None:
    async def main() -> None:
        simulation = SimulatedHome(whole_home(), NIGHT)
        endpoint = TcpEndpoint(simulation.modbus("meter"), "127.0.0.1", 0)
        await endpoint.start()
        port = endpoint.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await endpoint.stop()
        async with asyncio.timeout(5):
            assert await reader.read() == b""  # the open connection was dropped
        writer.close()
        with pytest.raises(OSError, match=r"Connect call failed|refused"):
            await asyncio.open_connection("127.0.0.1", port)
        await endpoint.start()
        assert endpoint.port == port
        assert (await tcp_exchange("127.0.0.1", port, 1, bytes.fromhex("039c400001")))[2:] == b"Su"
        await endpoint.stop()

    asyncio.run(main())


def test_a_taken_port_is_said_to_be_taken() -> None:
    async def main() -> None:
        simulation = SimulatedHome(whole_home(), NIGHT)
        first = TcpEndpoint(simulation.modbus("meter"), "127.0.0.1", 0)
        await first.start()
        try:
            with pytest.raises(OSError, match="can't listen"):
                await TcpEndpoint(simulation.modbus("battery"), "127.0.0.1", first.port).start()
        finally:
            await first.stop()

    asyncio.run(main())
