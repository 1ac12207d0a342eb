"""F8 and F9 on TCP, under the device's own task: a half-open connection, and answers to other questions."""

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cem.driver import DriverContext, Role
from cem.model.setpoint import Health
from cem_drivers.sunspec import DRIVER
from support.driver_devices import sunspec_config
from support.half_open import APART, may_be_apart
from support.modbus_wire import Registers, common_model, meter_203, sunspec_map, wire_server
from support.supervised import supervised

TESTS = Path(__file__).parents[1]
NOTICED_S = 10.0
BACK_S = 60.0


@pytest.mark.skipif(not may_be_apart(), reason="this machine gives no network namespace")
def test_a_half_open_connection_is_noticed_in_ten_seconds_and_never_doubled(tmp_path: Path) -> None:
    done = subprocess.run(
        [*APART, sys.executable, "-m", "support.half_open", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
        cwd=TESTS,
        env=os.environ | {"PYTHONPATH": str(TESTS)},
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["noticed_s"] < NOTICED_S
    assert seen["back_s"] < BACK_S
    assert seen["most_sockets"] == 1
    assert seen["connections"] == 2


@pytest.mark.parametrize("fault", ["transaction", "register"])
def test_an_answer_to_another_question_never_lands_in_a_registers_place(tmp_path: Path, fault: str) -> None:
    registers = Registers()
    sunspec_map(registers, [common_model("SN-1"), meter_203(500)])
    wrong = Registers()
    sunspec_map(wrong, [common_model("SN-1"), meter_203(9999)])

    async def main() -> None:
        async with wire_server(registers.respond) as server:
            config = sunspec_config({"host": "127.0.0.1", "port": server.port}, Role.GRID)
            device = DRIVER.device(config, DriverContext(time.monotonic))
            async with supervised(device, config, tmp_path) as meter:
                await meter.until(lambda: meter.value("grid", "power_w") == 500.0, 10.0)
                before = server.connections
                seen: set[object] = set()
                if fault == "transaction":  # the number of the question after
                    server.other_transaction, server.respond = True, wrong.respond
                else:  # two registers too many, as of a longer question
                    server.respond = lambda unit, pdu: _longer(wrong.respond(unit, pdu))

                def lost() -> bool:
                    seen.add(meter.value("grid", "power_w"))
                    return meter.health in {Health.SILENT, Health.WRONG_DEVICE} and server.connections > before

                await meter.until(lost, 15.0)
                assert seen == {500.0}
                server.other_transaction, server.respond = False, registers.respond
                await meter.until(lambda: meter.health is Health.ONLINE, 30.0)
                assert meter.value("grid", "power_w") == 500.0

    asyncio.run(main())


def _longer(answer: bytes | None) -> bytes | None:
    if answer is None or answer[0] & 0x80:
        return answer
    return bytes((answer[0], answer[1] + 4)) + answer[2:] + bytes(4)
