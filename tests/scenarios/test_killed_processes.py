"""Any of the processes killed with SIGKILL and started again: nothing acknowledged is lost, and all comes back."""

import itertools
import random
import sqlite3
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cem.model.request import RequestKind
from cem.model.setpoint import Health
from support.stand import Stand, all_online, all_well, limit_of, linked, stand
from support.stand_files import DEFAULT_LIMIT_W
from support.waiting import until_blocking

LIMIT_W = 6000.0


def test_what_was_accepted_is_in_force_at_once_after_a_kill_with_the_vtn_dead(tmp_path: Path) -> None:
    with stand(tmp_path) as house:
        house.start()
        house.limit(LIMIT_W)
        house.until(lambda status: limit_of(status) == [LIMIT_W])
        until = datetime.now(UTC) + timedelta(hours=1)
        asked = house.client.request("car", RequestKind.PAUSE, until)
        house.vtn.kill()
        house.until(lambda status: status.links[0].reports_queued >= 1)
        house.gateway.kill()
        house.gateway.start()
        first = house.until(lambda _: True)
        assert limit_of(first) == [LIMIT_W]
        assert [request.id for request in first.requests] == [asked.id]
        assert first.links[0].reports_queued >= 1
        assert [event.name for event in first.events] == ["evening peak"]
        house.until(lambda status: all_online(status) and limit_of(status) == [LIMIT_W])
        house.vtn.start()
        back = house.until(linked)
        assert limit_of(back) == [LIMIT_W]
        assert [event["eventName"] for event in house.operator("event", "list")] == ["evening peak"]
        until_blocking(lambda: len(_reported(house)) >= 3)
        starts = _reported(house)
        assert len(set(starts)) == len(starts)
        steps = {round((after - before).total_seconds()) for before, after in itertools.pairwise(starts)}
        assert steps == {5}, starts


def test_a_gateway_killed_while_its_link_was_good_takes_no_default_limit_for_it(tmp_path: Path) -> None:
    with stand(tmp_path) as house:
        house.start()
        house.until(lambda status: linked(status) and limit_of(status) == [])
        house.gateway.kill()
        house.gateway.start()
        first = house.until(lambda _: True)
        assert limit_of(first) == []
        house.until(lambda status: linked(status) and limit_of(status) == [])
        happened = house.command("history", "--show", "grid").stdout
        assert happened.count("limit ended") == 1, happened  # the default until the very first contact
        assert "link" not in happened


@pytest.mark.slow
def test_the_home_killed_and_started_again_is_taken_up_by_itself(tmp_path: Path) -> None:
    with stand(tmp_path) as house:
        house.start()
        house.home.kill()
        lost = house.until(lambda status: all(device.health is Health.SILENT for device in status.devices))
        ids = {alarm.id for alarm in lost.alarms}
        assert {f"device.{device.id}" for device in lost.devices} <= ids
        assert all(alarm.advice for alarm in lost.alarms)
        assert linked(lost)
        count = lost.tick.count
        house.until(lambda status: status.tick.count >= count + 2, within_s=4)
        house.home.start()
        back = house.until(all_well)
        assert back.alarms == ()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 8))
def test_any_order_of_kills_and_starts_ends_with_everything_back(tmp_path: Path, seed: int) -> None:
    order = random.Random(seed)
    with stand(tmp_path, plan=True) as house:
        house.start()
        house.limit(LIMIT_W)
        house.until(lambda status: limit_of(status) == [LIMIT_W])
        parts = [house.home, house.vtn, house.gateway]
        for part in order.sample(parts, 3):
            part.kill()
        for part in order.sample(parts, 3):
            part.start()
        back = house.until(lambda status: all_well(status) and limit_of(status) == [LIMIT_W] and not status.alarms)
        assert [event.name for event in back.events] == ["evening peak"]
        assert house.gateway.terminate() == 0


@pytest.mark.slow
def test_a_kill_costs_at_most_the_last_minute_of_the_history(tmp_path: Path) -> None:
    with stand(tmp_path) as house:
        house.start()
        ends = time.monotonic() + 150
        until_blocking(lambda: time.monotonic() > ends, within_s=160)
        house.gateway.kill()
        killed = time.time()
        with sqlite3.connect(f"file:{tmp_path / 'state' / 'history.db'}?mode=ro", uri=True) as history:
            (last,) = history.execute("SELECT MAX(minute) FROM raw_chunk").fetchone()
        history.close()
        kept_until = _minute_end(last)
        assert killed - kept_until <= 62, "a minute, and the time of its commit"
        house.gateway.start()
        house.until(all_well)


@pytest.mark.slow
def test_a_gateway_without_any_contact_holds_what_was_agreed_for_that(tmp_path: Path) -> None:
    with stand(tmp_path) as house:
        house.start()
        house.vtn.kill()
        house.until(lambda status: limit_of(status) == [DEFAULT_LIMIT_W])
        house.gateway.kill()
        house.gateway.start()
        first = house.until(lambda _: True)
        assert limit_of(first) == [DEFAULT_LIMIT_W]
        assert first.links[0].state == "fallback"


def _minute_end(minute: int) -> float:
    """The end of a stored minute in Unix seconds; the table counts minutes or their seconds."""
    return (minute + 1) * 60.0 if minute < 1_000_000_000 else minute + 60.0


def _reported(house: Stand) -> list[datetime]:
    """The starts of the site's reported intervals as the operator holds them."""
    return sorted(
        datetime.fromisoformat(interval["intervalPeriod"]["start"])
        for report in house.operator("report", "list")
        for resource in report["resources"]
        if resource["resourceName"] in {"AGGREGATED_REPORT", "site"}
        for interval in resource["intervals"]
    )
