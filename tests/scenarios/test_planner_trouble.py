"""The planning worker hangs or dies: the ticks go on, the plan ages, it is told, and a new worker makes a new plan."""

import json
import os
import signal
from datetime import datetime
from pathlib import Path

import pytest

from cem.model.status import Status
from support.stand import Stand, all_well, stand
from support.waiting import until_blocking

PLANNED_WITHIN_S = 25.0  # the interval of 10 s, the time-out of 3 s, and the making of two plans


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL], ids=["hangs", "dies"])
def test_a_lost_planning_worker_costs_the_age_of_the_plan_and_nothing_else(
    tmp_path: Path, number: signal.Signals
) -> None:
    with stand(tmp_path, plan=True) as house:
        house.start()
        planned = house.until(lambda status: all_well(status) and status.plan is not None and _worker(house) > 0)
        assert planned.plan is not None
        made_at, worker = planned.plan.made_at, _worker(house)
        os.kill(worker, number)
        before = json.loads(house.command("status", "--json").stdout)
        if number is signal.SIGSTOP:
            house.limit(6000)  # a change of the plan's conditions: the hanging worker is asked at once
            told = house.until(_troubled, within_s=PLANNED_WITHIN_S)
            alarm = next(alarm for alarm in told.alarms if alarm.id == "planner")
            assert "no plan within 3 s" in alarm.cause
            assert alarm.effect
            assert told.plan is not None
            assert told.plan.made_at == made_at
            assert told.plan.slots
        after = house.until(
            lambda status: status.plan is not None and status.plan.made_at > made_at and not _troubled(status),
            within_s=PLANNED_WITHIN_S,
        )
        assert after.plan is not None
        assert after.plan.status == "optimal"
        assert _worker(house) != worker
        ticks = after.tick.count - before["tick"]["count"]
        seconds = after.at.timestamp() - _seconds(before["at"])
        assert ticks >= seconds - 2
        assert after.tick.worst_ms < 200
        assert not Path(f"/proc/{worker}").exists()
        assert house.gateway.terminate() == 0


def test_a_killed_gateway_leaves_no_planning_worker_behind(tmp_path: Path) -> None:
    with stand(tmp_path, plan=True) as house:
        house.gateway.start()
        house.until(lambda status: status.plan is not None)
        worker = _worker(house)
        assert worker > 0
        house.gateway.kill()
        until_blocking(lambda: not _alive(worker), within_s=5)


def _troubled(status: Status) -> bool:
    return any(alarm.id == "planner" for alarm in status.alarms)


def _worker(house: Stand) -> int:
    """The process id of the gateway's only child, its planning worker; 0 if there is none."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        if int(fields[1]) == house.gateway.pid and fields[0] != "Z":
            return int(stat.parent.name)
    return 0


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _seconds(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()
