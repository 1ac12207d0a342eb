"""Answers that get lost while the gateway opens a device of hw-sim: it opens whole, or nobody has answered."""

import asyncio
from dataclasses import dataclass

import pytest

from cem.driver import BadAnswer, Control, Device, DeviceError, DriverContext, NoAnswer, Role, WrongDevice
from cem_drivers.sunspec import DRIVER
from hw_sim.faults import HEALTHY, condition_of
from hw_sim.happenings import FaultKind, FaultSpec
from hw_sim.modbus import ModbusUnit
from hw_sim.simulation import SimulatedHome
from support.driver_devices import CONTROL_OF, sunspec_config
from support.modbus_wire import Registers, common_model, inverter_103, nameplate_120, sunspec_map
from support.sim_homes import BATTERY, METER, NIGHT, PV, home

FOR_GOOD = 1000
LINK: dict[str, str | int | float | bool] = {"host": "memory", "timeout_s": 0.1}


@dataclass
class Faulty:
    """A device that has a fault while it is asked for the `first` time and some more, counted from 0."""

    unit: ModbusUnit
    kind: FaultKind
    first: int
    lasts: int
    asked: int = 0

    async def exchange(self, unit: int, pdu: bytes) -> bytes:
        wrong = self.first <= self.asked < self.first + self.lasts
        self.asked += 1
        spec = FaultSpec(kind=self.kind, target="device", at_s=0.0)
        self.unit.take(condition_of({self.kind: spec}) if wrong else HEALTHY)
        return await self.unit.exchange(unit, pdu)


async def _open(device: Device) -> frozenset[Control] | DeviceError:
    """The controls of the device as it opened, or why it did not."""
    try:
        await device.open()
    except DeviceError as error:
        return error
    else:
        return frozenset(spec.control for spec in device.controls())
    finally:
        await device.close()


@pytest.mark.parametrize("lasts", [1, 2, 3, 4, FOR_GOOD])
@pytest.mark.parametrize("kind", ["silence", "garbage"])
@pytest.mark.parametrize(("name", "role"), [("inverter", Role.PV), ("battery", Role.BATTERY), ("meter", Role.GRID)])
def test_wherever_answers_get_lost_the_device_opens_whole_or_is_not_there(
    name: str, role: Role, kind: FaultKind, lasts: int
) -> None:
    sim = SimulatedHome(home(PV, BATTERY, METER), NIGHT)
    config = sunspec_config(LINK, role, serial=sim.serial(name))

    async def attempt(first: int, lost: int) -> tuple[frozenset[Control] | DeviceError, int]:
        port = Faulty(sim.modbus(name), kind, first, lost)
        context = DriverContext(asyncio.get_running_loop().time, pdu=lambda _link: port)
        return await _open(DRIVER.device(config, context)), port.asked

    async def main() -> None:
        await sim.start()
        whole, questions = await attempt(0, 0)
        assert whole == CONTROL_OF[role]
        for first in range(questions):
            outcome, _ = await attempt(first, lasts)
            told = outcome == whole or isinstance(outcome, NoAnswer | BadAnswer)
            assert told, f"lost from question {first} on: {outcome!r}"

    asyncio.run(main())


class EndsInSilence(Registers):
    """A device that keeps silent about addresses that it does not have, the one behind its last model too."""

    def respond(self, unit: int, pdu: bytes) -> bytes | None:
        answer = super().respond(unit, pdu)
        return None if answer is not None and answer[0] & 0x80 else answer


@pytest.mark.parametrize(
    ("role", "serial", "words"),
    [(Role.PV, "SN-1", None), (Role.BATTERY, "SN-1", "no model for battery"), (Role.PV, "SN-2", "'SN-1'.*'SN-2'")],
)
def test_a_map_that_always_ends_in_silence_is_believed(role: Role, serial: str, words: str | None) -> None:
    registers = EndsInSilence()
    sunspec_map(registers, [common_model("SN-1"), inverter_103(4200), nameplate_120(8000)])
    end = max(address for address in registers.words)
    del registers.words[end], registers.words[end - 1]

    async def main() -> None:
        context = DriverContext(asyncio.get_running_loop().time, pdu=lambda _link: registers)
        device = DRIVER.device(sunspec_config(LINK, role, serial=serial), context)
        if words is None:
            assert (await device.open()).serial == "SN-1"
            return
        with pytest.raises(WrongDevice, match=words):
            await device.open()

    asyncio.run(main())
