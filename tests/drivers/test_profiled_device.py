"""A Modbus device with a profile: groups, identity, arming, heartbeats, phases, the budget over restarts."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cem.driver import Control, CountsLine, DriverContext, NoAnswer, Refused, WrongDevice
from cem.io.state_store import SqliteStateStore
from cem.io.virtual import run_virtual
from cem.model.envelope import Rank
from cem.model.setpoint import Setpoint, WriteState
from cem.model.time import Instant
from cem.runtime.board import Board
from cem.runtime.writer import Writer
from cem_drivers.profiled import DRIVER
from cem_drivers.profiled.catalogue import parse_profile
from cem_drivers.profiles.store import shipped_texts
from support.modbus_wire import wire_server
from support.profile_bench import ProfileBench

TEXTS = shipped_texts(mqtt=False)
LIMIT = Control.EV_LIMIT_A
SG_READY = Control.HEAT_PUMP_SG_READY


def bench_of(
    name: str, change: Callable[[str], str] = lambda text: text, phases: int = 3, chosen: int = 0
) -> ProfileBench:
    """A bench of a shipped profile, changed and lifted from draft for the test."""
    text = change(TEXTS[name])
    profile, faults = parse_profile(text)
    assert profile is not None, faults
    return ProfileBench(profile.model_copy(update={"status": "documented"}), text, phases, chosen)


def play(bench: ProfileBench, act: Callable[[ProfileBench], Awaitable[None]]) -> ProfileBench:
    async def main() -> None:
        await act(bench)

    asyncio.run(main())
    return bench


def test_signs_and_scales_are_those_of_the_house() -> None:
    async def act(bench: ProfileBench) -> None:
        bench.image.put("battery.power_w", -1500)
        bench.image.put("grid.power_w", 2000)
        bench.image.put("pv.power_w", -4200)
        found = []
        for role in ("battery", "grid", "pv"):
            bench.profile = bench.profile.model_copy(update={"roles": [role], "control": []})
            device = bench.device(bench.config(bench.serial))
            await device.open()
            found += [reading.value for reading in await device.poll() if reading.point == "power_w"]
            await device.close()
        assert found == [-1500.0, 2000.0, -4200.0]
        assert bench.image.raw(bench.image.row("grid.power_w")) == -2000  # fed in positive there

    play(bench_of("huawei.sun2000"), act)


def test_what_somebody_else_must_set_first_is_asked_for_in_words() -> None:
    async def act(bench: ProfileBench) -> None:
        bench.image.put("battery_management", 1)
        device = bench.device(bench.config(bench.serial))
        await device.open()
        with pytest.raises(
            Refused, match=r"battery_management is 1.0, so nothing is written: let the installer choose"
        ):
            await device.write("battery", Control.BATTERY_SETPOINT_W, 1500)
        assert bench.writes() == []
        bench.image.put("battery_management", 2)
        for _ in range(40):  # of the slow blocks one a round
            await bench.pass_s(2)
            await device.poll()
        await device.write("battery", Control.BATTERY_SETPOINT_W, 1500)
        assert await device.read_back("battery", Control.BATTERY_SETPOINT_W) == 1500
        await device.close()

    play(bench_of("kostal.plenticore"), act)


def test_a_limit_in_per_cent_is_cut_to_whole_ones_and_told_as_it_was_asked_for() -> None:
    async def act(bench: ProfileBench) -> None:
        bench.image.put("pv.rating_w", 10000)
        for expected in (4755, 4700):  # the second session knows only what the register holds
            device = bench.device(bench.config(bench.serial))
            await device.open()
            if expected == 4755:
                await device.write("pv", Control.PV_LIMIT_W, 4755)
            assert bench.image.words[3, 3] == 47
            assert await device.read_back("pv", Control.PV_LIMIT_W) == expected
            await device.close()

    play(bench_of("growatt.tl3-x"), act)


def test_a_set_point_may_be_counted_down_from_an_offset() -> None:
    async def act(bench: ProfileBench) -> None:
        bench.image.put("battery.max_charge_w", 5000)
        bench.image.put("battery.max_discharge_w", 4000)
        for asked, held in ((2500, 29500), (0, 32000), (-9000, 36000), (None, 36000)):  # charging is below 32000
            device = bench.device(bench.config(bench.serial))
            await device.open()
            if asked is not None:
                await device.write("battery", Control.BATTERY_SETPOINT_W, asked)
            assert bench.image.words[3, 0x0881] * 65536 + bench.image.words[3, 0x0882] == held
            assert await device.read_back("battery", Control.BATTERY_SETPOINT_W) == 32000 - held
            await device.close()

    play(bench_of("alpha-ess.smile"), act)


def test_the_external_mode_is_kept_up_by_its_count_down_alone() -> None:
    async def act(bench: ProfileBench) -> None:
        device = bench.device(bench.config(bench.serial))
        await device.open()
        await device.write("battery", Control.BATTERY_SETPOINT_W, -1500)
        assert [bench.image.words[3, at] for at in (13051, 13050, 13049, 13079)] == [1500, 0xBB, 3, 60]
        bench.image.words[3, 13079] = 35  # the inverter counts
        sent = len(bench.image.writes)
        for _ in range(5):
            await bench.pass_s(5)
            await device.poll()
        assert [pdu[1:3] for pdu in bench.image.writes[sent:]] == [(13079).to_bytes(2, "big")]
        bench.image.words[3, 13049] = 0  # what the inverter does at 0
        assert await device.read_back("battery", Control.BATTERY_SETPOINT_W) is None
        await device.close()

    play(bench_of("sungrow.sh"), act)


def test_one_register_may_take_another_function_than_the_others() -> None:
    async def act(bench: ProfileBench) -> None:
        device = bench.device(bench.config(bench.serial))
        await device.open()
        await device.write("pv", Control.PV_LIMIT_W, 2000)
        assert [pdu[0] for pdu in bench.image.writes] == [6]
        await device.close()

    play(bench_of("kostal.plenticore", chosen=1), act)


def test_a_block_that_is_refused_is_read_in_its_parts_while_the_device_opens() -> None:
    async def act(bench: ProfileBench) -> None:
        del bench.image.words[3, 37119]  # half of what was fed in, which lies in front of what was taken
        device = bench.device(bench.config(bench.serial))
        await device.open()
        asked = [pdu[1:5] for pdu in bench.image.log]
        assert (37119).to_bytes(2, "big") + (4).to_bytes(2, "big") in asked
        assert (37121).to_bytes(2, "big") + (2).to_bytes(2, "big") in asked
        await device.close()

    play(bench_of("huawei.sun2000"), act)


@pytest.mark.parametrize(("every_s", "oldest_s"), [(2, 40), (10, 50)])
def test_fast_groups_are_read_each_round_and_one_slow_block_for_each_second_at_most(
    every_s: int, oldest_s: int
) -> None:
    async def act(bench: ProfileBench) -> None:
        device = bench.device(bench.config(bench.serial))
        await device.open()
        slow = {row.at for row in bench.profile.rows if row.group == "slow"}
        told: set[int] = set()
        seen = []
        for _ in range(70):
            await bench.pass_s(every_s)
            bench.image.log.clear()
            readings = await device.poll()
            told.add(len(readings))
            asked = [int.from_bytes(pdu[1:3], "big") for pdu in bench.image.log]
            seen.append(sum(at in slow for at in asked))
            assert len(asked) - seen[-1] >= 1
            assert all(bench.image.now_s - reading.taken_at_s <= oldest_s for reading in readings)
        assert max(seen) <= every_s
        assert len(told) == 1  # nothing grows too old in between
        assert sum(seen) >= 4
        await device.close()

    play(bench_of("huawei.sun2000"), act)


def test_what_is_too_old_is_no_reading() -> None:
    async def act(bench: ProfileBench) -> None:
        device = bench.device(bench.config(bench.serial))
        await device.open()
        points = {reading.point for reading in await device.poll()}
        assert {"power_w", "import_wh"} <= points
        await bench.pass_s(29)
        assert "import_wh" in {reading.point for reading in await device.poll()}
        await device.close()

    play(bench_of("abb.b23"), act)


def test_a_register_that_is_refused_costs_only_its_own_point(caplog: pytest.LogCaptureFixture) -> None:
    async def act(bench: ProfileBench) -> None:
        del bench.image.words[3, 0x5B2C]
        device = bench.device(bench.config(bench.serial))
        await device.open()
        for _ in range(3):
            await bench.pass_s(1)
            points = {reading.point for reading in await device.poll()}
            assert "power_w" in points
            assert "frequency_hz" not in points
        await device.close()

    with caplog.at_level(logging.WARNING):
        play(bench_of("abb.b23"), act)
    assert sum("frequency_hz" in record.message for record in caplog.records) == 1


def test_a_device_that_is_busy_when_it_is_asked_who_it_is_is_no_wrong_one() -> None:
    async def act(bench: ProfileBench) -> None:
        bench.image.refuses = frozenset({3})  # exception 4: not now
        device = bench.device(bench.config(bench.serial))
        with pytest.raises(Refused):
            await device.open()
        bench.image.refuses = frozenset()
        assert (await device.open()).serial == bench.serial
        await device.close()

    play(bench_of("abb.b23"), act)


def test_what_is_refused_for_now_is_asked_again() -> None:
    async def act(bench: ProfileBench) -> None:
        device = bench.device(bench.config(bench.serial))
        await device.open()
        before = {reading.point for reading in await device.poll()}
        bench.image.refuses = frozenset({3})  # exception 4: not now
        await bench.pass_s(10)
        with pytest.raises(Refused):
            await device.poll()
        bench.image.refuses = frozenset()
        for _ in range(40):
            await bench.pass_s(1)
            after = {reading.point for reading in await device.poll()}
        assert after == before
        await device.close()

    play(bench_of("abb.b23"), act)


def test_the_same_over_real_bytes() -> None:
    async def main() -> None:
        bench = bench_of("alfen.eve")
        async with wire_server(bench.image.respond) as server:
            config = replace(bench.config(bench.serial), link={"host": "127.0.0.1", "port": server.port})
            device = DRIVER.device(config, DriverContext(asyncio.get_running_loop().time))
            assert isinstance(device, CountsLine)
            identity = await device.open()
            assert (identity.maker, identity.serial) == ("Alfen", bench.serial)
            await device.write("ev", LIMIT, 10)
            assert await device.read_back("ev", LIMIT) == 10.0
            await device.release("ev", LIMIT)
            assert {"power_w", "current_a", "limit_a", "state"} <= {reading.point for reading in await device.poll()}
            seen = device.line
            await device.close()
            assert seen is not None
            assert (seen.name, seen.opened, seen.errors) == (f"127.0.0.1:{server.port}", 1, 0)
            assert seen.requests > seen.writes > 0
            assert device.line == seen  # still told while it is closed
        assert server.most_in_flight == 1

    asyncio.run(main())


@pytest.mark.parametrize("name", ["alfen.eve", "abb.b23", "huawei.sun2000", "carlo-gavazzi.em24", "victron.gx"])
def test_probing_tells_a_family_by_its_identity_and_writes_nothing(name: str) -> None:
    async def main() -> None:
        bench = bench_of(name)
        found = await DRIVER.probe({"host": "memory"}, bench.context, 0.2)
        assert [(one.profile, one.identity.serial) for one in found if one.profile == name] == [(name, bench.serial)]
        assert all(one.resources for one in found)
        bench.silence(True)
        assert await DRIVER.probe({"host": "memory"}, bench.context, 0.2) == []
        assert bench.writes() == []

    asyncio.run(main())


def test_another_model_at_the_address_is_never_written_to() -> None:
    async def act(bench: ProfileBench) -> None:
        row = bench.image.profile["identify"]["points"][0]
        bench.image.hold(row, "Somebody NV")
        device = bench.device(bench.config(bench.serial))
        with pytest.raises(WrongDevice, match="Somebody"):
            await device.open()
        with pytest.raises(NoAnswer):
            await device.write("ev", LIMIT, 10)

    assert play(bench_of("alfen.eve"), act).writes() == []


def test_after_a_lost_connection_the_device_is_identified_before_the_next_write() -> None:
    async def act(bench: ProfileBench) -> None:
        device = bench.device(bench.config(bench.serial))
        await device.open()
        await device.write("ev", LIMIT, 10)
        written = len(bench.writes())
        bench.silence(True)
        await bench.pass_s(2)
        with pytest.raises(NoAnswer):
            await device.poll()
        bench.silence(False)
        bench.image.hold(bench.image.profile["identify"]["points"][1], "ANOTHER")
        with pytest.raises(WrongDevice, match="ANOTHER"):
            await device.write("ev", LIMIT, 12)
        with pytest.raises(WrongDevice):
            await device.release("ev", LIMIT)
        assert len(bench.writes()) == written
        await device.close()

    play(bench_of("alfen.eve"), act)


def test_the_time_out_is_armed_before_the_first_set_point_and_again_after_a_release() -> None:
    async def act(bench: ProfileBench) -> None:
        device = bench.device(bench.config(bench.serial))
        await device.open()
        assert bench.writes() == []
        for value in (10.0, 8.0, 10.0):
            await device.write("ev", LIMIT, value)
        addresses = [int.from_bytes(pdu[1:3], "big") for pdu in bench.image.writes]
        assert addresses[:3] == [257, 261, 261]  # 262 is 0 already
        assert addresses.count(257) == 1
        await device.release("ev", LIMIT)
        assert bench.image.words[3, 257] == 0
        bench.image.log.clear()
        await device.write("ev", LIMIT, 9)
        assert [int.from_bytes(pdu[1:3], "big") for pdu in bench.image.writes] == [257, 261]
        assert bench.image.words[3, 257] == 60000
        await device.close()

    play(bench_of("heidelberg.energy-control"), act)


def test_a_time_out_that_is_not_kept_is_told_in_the_specification(caplog: pytest.LogCaptureFixture) -> None:
    async def act(bench: ProfileBench) -> None:
        bench.image.deaf.add(257)
        device = bench.device(bench.config(bench.serial))
        await device.open()
        await device.write("ev", LIMIT, 10)
        (spec,) = device.controls()
        assert spec.device_timeout_s is None
        assert "could not be armed" in spec.falls_back_to
        await device.close()

    with caplog.at_level(logging.WARNING):
        play(bench_of("heidelberg.energy-control"), act)
    assert "register 257 does not keep 60000" in caplog.text


def test_heartbeats_are_sent_while_a_set_point_of_ours_is_in_force_and_never_otherwise() -> None:
    async def act(bench: ProfileBench) -> None:
        device = bench.device(bench.config(bench.serial))
        await device.open()

        async def beats(seconds: int) -> int:
            bench.image.log.clear()
            for _ in range(seconds):
                await bench.pass_s(1)
                await device.poll()
            return sum(pdu[1:3] == b"\x0d\x00" for pdu in bench.image.writes)

        assert await beats(20) == 0
        await device.write("ev", LIMIT, 10)
        assert 3 <= await beats(20) <= 5
        assert bench.image.fell_back == 0
        await device.release("ev", LIMIT)
        assert await beats(20) == 0
        await device.close()

    play(bench_of("mennekes.amtron-compact"), act)


def test_a_pause_is_zero_and_below_six_ampere_is_never_sent() -> None:
    async def act(bench: ProfileBench) -> None:
        device = bench.device(bench.config(bench.serial))
        await device.open()
        await device.write("ev", LIMIT, 5.9)
        assert await device.read_back("ev", LIMIT) == 0.0
        await device.write("ev", LIMIT, 40)
        assert await device.read_back("ev", LIMIT) == 32.0
        await device.write("ev", LIMIT, 10.99)
        assert await device.read_back("ev", LIMIT) == 10.0
        with pytest.raises(Refused):
            await device.write("ev", LIMIT, -6)
        await device.close()

    play(bench_of("go-e.modbus"), act)


def test_phases_are_switched_only_while_no_current_flows_and_not_twice_in_a_row() -> None:
    async def act(bench: ProfileBench) -> None:
        for name in ("current_l1_a", "current_l2_a", "current_l3_a"):
            bench.image.put(name, 10)
        device = bench.device(bench.config(bench.serial))
        await device.open()
        with pytest.raises(Refused, match="still charging"):
            await device.write("ev", LIMIT, 10)
        assert bench.image.words[3, 1215] == 3
        assert await device.read_back("ev", LIMIT) == 0.0  # the pause was sent
        for name in ("current_l1_a", "current_l2_a", "current_l3_a"):
            bench.image.put(name, 0)
        await device.write("ev", LIMIT, 10)
        assert bench.image.words[3, 1215] == 1
        assert await device.read_back("ev", LIMIT) == 10.0
        bench.image.words[3, 1215] = 3  # somebody else
        with pytest.raises(Refused, match="a moment ago"):
            await device.write("ev", LIMIT, 12)
        await bench.pass_s(301)
        await device.write("ev", LIMIT, 12)
        assert bench.image.words[3, 1215] == 1
        await device.close()

    async def main() -> None:
        await act(bench_of("alfen.eve", phases=1))

    run_virtual(main(), datetime(2026, 3, 10, tzinfo=UTC))


def test_a_charger_without_a_register_for_its_phases_is_steered_all_the_same() -> None:
    async def act(bench: ProfileBench) -> None:
        del bench.image.words[3, 332]
        device = bench.device(bench.config(bench.serial))
        await device.open()
        await device.write("ev", LIMIT, 10)
        assert await device.read_back("ev", LIMIT) == 10.0
        await device.close()

    play(bench_of("go-e.modbus", phases=1), act)


def test_a_pause_left_by_a_crash_is_lifted_even_where_it_can_not_be_read() -> None:
    async def act(bench: ProfileBench) -> None:
        device = bench.device(bench.config(bench.serial))
        await device.open()
        await device.write("ev", LIMIT, 10)
        await device.write("ev", LIMIT, 0)
        await device.close()
        bench.image.log.clear()
        again = bench.device(bench.config(bench.serial))
        await again.open()
        assert await again.read_back("ev", LIMIT) is not None
        await again.release("ev", LIMIT)
        assert bench.image.words[3, 5014] == 1
        assert bench.image.words[3, 5004] == bench.image.words[3, 1111]  # what it supports, mA
        await again.close()

    play(bench_of("keba.p30"), act)


@pytest.mark.parametrize(
    ("name", "at", "armed", "free"),
    [
        ("keba.p30", 5018, 60, 0),  # seconds; 0 is off
        ("vestel.evc04", 2000, 6, None),  # amperes; None: as much as the charger allows
        ("bender.cc613", 131, 6, None),
    ],
)
def test_a_released_charger_is_not_held_by_the_failsafe_that_was_armed(
    name: str, at: int, armed: int, free: int | None
) -> None:
    async def act(bench: ProfileBench) -> None:
        device = bench.device(bench.config(bench.serial))
        await device.open()
        await device.write("ev", LIMIT, 8)
        assert bench.image.words[3, at] == armed
        await device.release("ev", LIMIT)
        assert await device.read_back("ev", LIMIT) is None
        left = bench.image.words[3, at]
        assert left > 8 if free is None else left == free
        await device.close()

    play(bench_of(name), act)


@pytest.mark.parametrize(
    ("name", "at", "held"),
    [
        ("stiebel-eltron.isg", 4001, {3.0: [1, 0], 4.0: [1, 1], 1.0: [0, 1], 2.0: [0, 0]}),  # input 1, input 2
        ("dimplex.nwpm", 5167, {3.0: [11], 4.0: [13], 1.0: [12], 2.0: [10]}),
    ],
)
def test_sg_ready_is_written_as_the_maker_codes_it_and_in_one_request(
    name: str, at: int, held: dict[float, list[int]]
) -> None:
    async def act(bench: ProfileBench) -> None:
        device = bench.device(bench.config(bench.serial))
        await device.open()
        for state, words in held.items():
            written = len(bench.writes())
            await device.write("heat_pump", SG_READY, state)
            assert [bench.image.words[3, at + index] for index in range(len(words))] == words
            assert [pdu[1:3] for pdu in bench.image.writes[written:]].count(at.to_bytes(2, "big")) == 1
            assert await device.read_back("heat_pump", SG_READY) == state
        for nonsense in (0.0, 2.5, 5.0):
            with pytest.raises(Refused):
                await device.write("heat_pump", SG_READY, nonsense)
        await device.release("heat_pump", SG_READY)
        assert await device.read_back("heat_pump", SG_READY) is None
        await device.close()

    play(bench_of(name), act)


def test_a_code_that_stands_for_no_state_is_none_of_ours() -> None:
    async def act(bench: ProfileBench) -> None:
        device = bench.device(bench.config(bench.serial))
        await device.open()
        bench.image.words[3, 5167] = 7
        assert await device.read_back("heat_pump", SG_READY) is None
        bench.image.words[3, 5167] = 13
        assert await device.read_back("heat_pump", SG_READY) == 4.0
        await device.close()

    play(bench_of("dimplex.nwpm"), act)


def test_a_limit_that_the_device_does_not_tell_is_no_reason_to_guess() -> None:
    async def act(bench: ProfileBench) -> None:
        bench.image.words[4, 100] = 0xFFFF
        device = bench.device(bench.config(bench.serial))
        await device.open()
        with pytest.raises(Refused, match="hw_max_a is not known"):
            await device.write("ev", LIMIT, 10)
        assert bench.writes() == []
        await device.close()

    play(bench_of("heidelberg.energy-control"), act)


def test_the_write_budget_of_a_profile_is_counted_on_disk_over_restarts(tmp_path: Path) -> None:
    clock = HandClock()

    async def session(steps: int) -> tuple[int, list[WriteState]]:
        bench = bench_of("heidelberg.energy-control")
        store, board = SqliteStateStore(tmp_path / "state.db", clock), Board()
        device = bench.device(bench.config(bench.serial))
        await device.open()
        writer = Writer(device, board, store, clock, read_only=False)
        await writer.opened(device.controls())
        for step in range(steps):
            setpoint = Setpoint("ev", LIMIT, 6.0 + step % 8, 3600.0, Rank.PLAN, "plan", "test")
            writer.post([setpoint], clock.now().mono_s)
            await writer.write_due()
            clock.pass_s(901)
        sent = sum(pdu[1:3] == b"\x01\x05" for pdu in bench.image.writes)
        await device.close()
        await store.close()
        return sent, [outcome.state for outcome in board.outcomes()]

    async def main() -> None:
        assert (await session(12))[0] == 12
        sent, states = await session(12)
        assert sent == 8  # twenty a day, the first twelve before the restart
        assert states == [WriteState.BLOCKED]

    asyncio.run(main())


class HandClock:
    """A clock moved by hand, within one day."""

    def __init__(self) -> None:
        self._at_s = 1000.0

    def now(self) -> Instant:
        return Instant(datetime(2026, 3, 10, 1, tzinfo=UTC) + timedelta(seconds=self._at_s), self._at_s)

    def pass_s(self, seconds: float) -> None:
        self._at_s += seconds
