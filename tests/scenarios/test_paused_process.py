"""The gateway's process is stopped and goes on (F48): it decides on nothing that it knew before, and is soon well."""

import os
import signal
import time
from pathlib import Path

import pytest

from cem.model.setpoint import Mode
from cem.model.status import Status
from support.stand import Stand, all_well, stand

PAUSED_S = 20.0  # longer than every lease and every age limit of this house
LOOKED_S = 12.0


@pytest.mark.first
def test_a_process_that_was_stopped_goes_on_with_fresh_values(tmp_path: Path) -> None:
    with stand(tmp_path) as house:
        house.start()
        before = house.until(lambda status: all_well(status) and house.storage_control() != 0)
        os.kill(house.gateway.pid, signal.SIGSTOP)
        time.sleep(PAUSED_S)  # what is tested is the time that passes
        os.kill(house.gateway.pid, signal.SIGCONT)
        modes, seen = _looked_at(house, before)
        assert Mode.SAFE not in modes
        assert all_well(seen), seen
        assert seen.tick.count > before.tick.count + 3
        assert "stood still for" in house.gateway.words()
        assert house.storage_control() != 0
        assert house.gateway.running()


def _looked_at(house: Stand, before: Status) -> tuple[set[Mode], Status]:
    """The modes of every tick's status for some seconds after the first one, and the last status."""
    last = house.until(lambda status: status.tick.count > before.tick.count)
    modes, until_s = {last.mode}, time.monotonic() + LOOKED_S
    while time.monotonic() < until_s:
        last = house.until(lambda _: True)
        modes.add(last.mode)
        time.sleep(0.05)
    return modes, last
