"""Faults of simulated Modbus devices before the gateway's drivers, over real sockets: nothing wrong is believed, or it
is named here why no byte tells; nothing crashes; what was right before is right again afterwards."""

import asyncio
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pymodbus.client import AsyncModbusTcpClient

from cem.driver import Device, DeviceConfig, DeviceError, DriverContext, Role, Value
from cem_drivers.profiled.catalogue import shipped_profiles
from cem_drivers.profiled.device import ProfiledDevice
from cem_drivers.sunspec import DRIVER as SUNSPEC
from hw_sim.happenings import FAULTS
from hw_sim.home import FaultKind
from hw_sim.modbus_server import PtyEndpoint, TcpEndpoint
from hw_sim.simulation import SimulatedHome
from support.driver_devices import sunspec_config
from support.profiled_homes import SimulatedBench, profiled_home
from support.sim_homes import METER, NOON, home

PROFILES = shipped_profiles()
ON_THE_WIRE: tuple[FaultKind, ...] = (
    "silence",
    "disconnect",
    "busy",
    "slow",
    "foreign_answer",
    "garbage",
    "duplicate",
    "short_answer",
    "half_answer",
    "wrong_unit",
    "hang_up",
    "half_open",
)
IN_THE_VALUES: Mapping[FaultKind, str] = {
    "nan": "",
    "spike": "",
    "scale": "",
    "freeze": "values that stand still look like a house at rest; their age is that of their arrival",
    "stuck": "a power that stands still while the counter moves is found by the counter, above the driver",
    "drift": "a measurement that drifts slowly looks like a load",
}
"""Faults in what a charger shows at full power, and what of it no byte tells."""
KEYS: Mapping[str, dict[str, Any]] = {"slow": {"delay_s": 0.6}, "scale": {"value": 1.0}, "drift": {"value": 600.0}}


@dataclass
class Line:
    """A driver's device before an endpoint of hw-sim."""

    endpoint: TcpEndpoint | PtyEndpoint
    device: Device
    seen: list[Mapping[str, Value]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    async def poll(self) -> Mapping[str, Value] | None:
        """One round; None where the device could not be read."""
        try:
            found = {f"{one.resource_id}.{one.point}": one.value for one in await self.device.poll()}
        except DeviceError as error:
            self.errors.append(f"{type(error).__name__}: {error}")
            return None
        self.seen.append(found)
        return found

    async def until(self, wanted: Mapping[str, Value], clock: list[float]) -> None:
        """Reads, a second apart on the driver's clock, until everything is there again."""
        for _ in range(60):
            if await self.poll() == wanted:
                return
            clock[0] += 1.0
        raise AssertionError(f"not what it was: {self.errors[-3:]} {self.seen[-1:]}")


def link_to(endpoint: TcpEndpoint | PtyEndpoint, kind: str) -> dict[str, str | int | float | bool]:
    """The link table."""
    patience = {"slowest_answer_s": 0.1} if kind != "tcp" else {}
    where: dict[str, Any] = endpoint.where()
    return {"kind": kind, "timeout_s": 0.25, **patience, **where}


def charger(kind: str) -> tuple[SimulatedBench, Line]:
    """A charger that charges at full power."""
    bench = SimulatedBench(PROFILES["alfen.eve"])
    endpoint = TcpEndpoint(bench.unit, "127.0.0.1", 0, rtu=kind == "rtu-tcp")
    bench.unit.line = kind == "rtu-tcp"
    return bench, Line(endpoint, ProfiledDevice(DeviceConfig("", "", "", {}, ()), bench.profile, bench.context))


async def opened(bench: SimulatedBench, line: Line, kind: str, clock: list[float]) -> None:
    """Listens and opens. The driver's clock is ours: every round reads everything."""
    await line.endpoint.start()
    config = bench.config(bench.serial)
    config = DeviceConfig(
        config.id,
        config.name,
        config.driver,
        link_to(line.endpoint, kind),
        config.resources,
        config.profile,
        bench.serial,
    )
    line.device = ProfiledDevice(config, bench.profile, DriverContext(lambda: clock[0]))
    await line.device.open()


@pytest.mark.parametrize("link", ["tcp", "rtu-tcp"])
@pytest.mark.parametrize("kind", ON_THE_WIRE)
def test_no_answer_that_is_wrong_is_believed(kind: FaultKind, link: str) -> None:
    async def main() -> None:
        clock = [0.0]
        bench, line = charger(link)
        await opened(bench, line, link, clock)
        right = await line.poll()
        assert right is not None
        assert right["ev.power_w"] == pytest.approx(11040.0)
        bench.befall(kind, **KEYS.get(kind, {}))
        if kind == "disconnect":
            await line.endpoint.stop()
        for _ in range(2):
            clock[0] += 4.0  # fast values stay fresh for 5 s
            await line.poll()
        if kind != "duplicate":
            assert line.errors, "nothing was noticed"
        bench.befall(kind, begins=False)
        if kind == "disconnect":
            await line.endpoint.start()
        clock[0] += 40.0
        await line.until(right, clock)
        wrong = [{k: v for k, v in found.items() if v is not None and v != right[k]} for found in line.seen]
        assert [one for one in wrong if one] == []
        await line.device.close()
        await line.endpoint.stop()

    asyncio.run(main())


@pytest.mark.parametrize("kind", IN_THE_VALUES)
def test_a_wrong_value_is_unknown_where_the_bytes_tell(kind: FaultKind) -> None:
    async def main() -> None:
        bench = SimulatedBench(PROFILES["alfen.eve"])
        device = bench.device(bench.config(bench.serial))
        await device.open()
        bench.befall(kind, **KEYS.get(kind, {}))
        bench.home.house.charging_points["ev"].spec = bench.home.house.charging_points["ev"].spec.model_copy(
            update={"car_max_a": 10}
        )
        await bench.pass_s(40)
        true = bench.home.truth().ev_w
        shown = {one.point: one.value for one in await device.poll()}["power_w"]
        if IN_THE_VALUES[kind]:
            assert isinstance(shown, float)
            assert shown != pytest.approx(true, abs=1.0), "it is right: then nothing befell it"
        else:
            assert shown is None
        bench.befall(kind, begins=False)
        await bench.pass_s(2)
        shown = {one.point: one.value for one in await device.poll()}["power_w"]
        assert shown == pytest.approx(true, abs=1.0)
        await device.close()

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["duplicate", "short_answer", "half_answer", "wrong_unit", "hang_up", "half_open"])
def test_a_sunspec_device_fails_on_the_wire_in_the_same_ways(kind: FaultKind) -> None:
    async def main() -> None:
        sim = SimulatedHome(home(METER), NOON)
        sim.step(1.0)
        unit = sim.modbus("meter")
        endpoint = TcpEndpoint(unit, "127.0.0.1", 0)
        await endpoint.start()
        config = sunspec_config(link_to(endpoint, "tcp"), Role.GRID, serial=sim.serial("meter"))
        clock = [0.0]
        line = Line(endpoint, SUNSPEC.device(config, DriverContext(lambda: clock[0])))
        await line.device.open()
        right = await line.poll()
        assert right
        sim.faults.inject("meter", kind)
        sim.faults.by_hand()
        unit.take(sim.faults.take_changed()["meter"])
        for _ in range(2):
            clock[0] += 4.0
            await line.poll()
        assert line.errors or kind == "duplicate", "nothing was noticed"
        sim.faults.clear("meter", kind)
        sim.faults.by_hand()
        unit.take(sim.faults.take_changed()["meter"])
        await line.until(right, clock)
        assert [found for found in line.seen if found != right] == []
        await line.device.close()
        await endpoint.stop()

    asyncio.run(main())


def test_one_client_too_many_is_hung_up_on_and_the_first_one_stays() -> None:
    async def main() -> None:
        unit = profiled_home("keba.p30").modbus("dev")
        assert unit.max_clients == 1
        endpoint = TcpEndpoint(unit, "127.0.0.1", 0)
        await endpoint.start()
        first = AsyncModbusTcpClient("127.0.0.1", port=endpoint.port, timeout=2, retries=0)
        assert await first.connect()
        answer = await first.read_holding_registers(1000, count=2, device_id=255)
        reader, writer = await asyncio.open_connection("127.0.0.1", endpoint.port)
        with suppress(ConnectionResetError):
            assert await reader.read(1) == b"", "served although there is one already"
        writer.close()
        assert endpoint.turned_away == 1
        again = await first.read_holding_registers(1000, count=2, device_id=255)
        assert again.registers == answer.registers
        first.close()
        await endpoint.stop()

    asyncio.run(main())


def test_a_serial_line_is_a_pseudo_terminal_that_can_be_pulled(tmp_path: Path) -> None:
    async def main() -> None:
        clock = [0.0]
        bench = SimulatedBench(PROFILES["abb.terra-ac"], device='link = "rtu"')
        endpoint = PtyEndpoint(bench.unit, tmp_path / "line")
        line = Line(endpoint, ProfiledDevice(DeviceConfig("", "", "", {}, ()), bench.profile, bench.context))
        await opened(bench, line, "rtu", clock)
        right = await line.poll()
        assert right is not None
        assert right["ev.power_w"] == pytest.approx(11040.0)
        await endpoint.stop()
        assert not (tmp_path / "line").exists()
        clock[0] += 5.0
        assert await line.poll() is None
        await endpoint.start()
        assert os.readlink(tmp_path / "line").startswith("/dev/")
        clock[0] += 5.0
        await line.until(right, clock)
        await line.device.close()
        await endpoint.stop()

    asyncio.run(main())


def test_a_timer_that_lies_never_runs_out_and_runs_out_once_it_is_honest() -> None:
    async def main() -> None:
        bench = SimulatedBench(PROFILES["keba.p30"])
        device = bench.device(bench.config(bench.serial))
        await device.open()
        bench.befall("lying_timer")
        await device.write("ev", bench.values and bench.control, 10.0)  # type: ignore[arg-type]
        await bench.pass_s(100)
        truth = bench.home.truth()
        assert (truth.devices["dev"].remote, truth.ev["ev"].offered_a) == (True, 10.0)
        assert truth.devices["dev"].holds["ev"].until_s is not None  # so it says
        bench.befall("lying_timer", begins=False)
        await bench.pass_s(2)
        assert bench.home.truth().ev["ev"].offered_a == 0.0
        await device.close()

    asyncio.run(main())


def test_every_fault_of_a_profile_befalls_it_and_is_gone_when_it_is_over() -> None:
    kinds = [kind for kind, rule in FAULTS.items() if "profile" in rule.devices]
    assert len(kinds) > 25

    async def main() -> None:
        for name in ("huawei.sun2000", "alfen.eve"):
            sim = profiled_home(name)
            unit = sim.modbus("dev")
            ask = bytes.fromhex("037d400002" if name == "huawei.sun2000" else "0301580002")
            for _ in range(60):
                sim.step(1.0)
            for kind in kinds:
                if (kind == "unplug") is (name == "huawei.sun2000") or (kind == "bms" and name == "alfen.eve"):
                    continue
                sim.faults.inject("dev", kind, **KEYS.get(kind, {}))  # type: ignore[arg-type]
                sim.step(1.0)
                assert sim.truth().devices["dev"].faults == {kind}
                sim.faults.clear("dev", kind)  # type: ignore[arg-type]
                for _ in range(3):
                    sim.step(1.0)
                if kind == "half_open":
                    with pytest.raises(TimeoutError):
                        await unit.exchange(unit.unit, ask)
                assert (await unit.exchange(unit.unit, ask))[:2] == bytes((3, 4)), kind
                assert sim.truth().devices["dev"].faults == frozenset()

    asyncio.run(main())
