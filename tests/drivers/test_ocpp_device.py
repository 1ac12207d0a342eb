"""OCPP chargers with their habits and faults: leases, offline times, identifiers, phases, profiles of families."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from cem.driver import Control, Device, DeviceConfig, DriverContext, NoAnswer, Ratings, Refused, Resource, Role
from cem_drivers.ocpp import DRIVER
from cem_drivers.ocpp.profile import parse_profile, profile_for, shipped_profiles
from cem_drivers.profiles.store import OCPP, family_texts
from support.ocpp_bench import OcppBench

LIMIT, PHASES = Control.EV_LIMIT_A, Control.EV_PHASES
BOTH = 'version = "1.6"\n', 'version = "2.0.1"\n'
both = pytest.mark.parametrize("version", BOTH, ids=["1.6", "2.0.1"])


def play(bench: OcppBench, act: Callable[[OcppBench, Device], Awaitable[None]], serial: str | None = "") -> None:
    async def main() -> None:
        await bench.begin()
        device = bench.device(bench.config(bench.serial if serial == "" else serial))
        await device.open()
        await act(bench, device)
        await device.close()
        await bench.home.stop()

    asyncio.run(main())


async def live(bench: OcppBench, device: Device, seconds: int) -> None:
    """Time passes, and the device is polled as the supervisor does."""
    for _ in range(seconds):
        await bench.pass_s(1)
        await device.poll()


@both
def test_a_limit_ends_by_itself_and_the_owners_default_holds_again(version: str) -> None:
    async def act(bench: OcppBench, device: Device) -> None:
        (spec,) = device.controls()
        await device.write("ev", LIMIT, 7.0)
        await bench.pass_s(10)
        assert bench.home.truth().ev["ev"].current_a == 7.0
        until_s = bench.home.truth().devices["wallbox"].holds["ev"].until_s
        assert until_s is not None
        assert spec.device_timeout_s is not None
        assert until_s - bench.home.house.elapsed_s <= spec.device_timeout_s
        await bench.pass_s(spec.device_timeout_s)  # nobody says anything more
        assert bench.home.truth().ev["ev"].current_a == 12.0
        assert not bench.home.truth().devices["wallbox"].remote

    play(OcppBench(version + "default_a = 12\n"), act)


@both
def test_a_clock_that_is_wrong_by_hours_neither_hides_nor_stretches_a_limit(version: str) -> None:
    async def act(bench: OcppBench, device: Device) -> None:
        await device.write("ev", LIMIT, 7.0)
        await bench.pass_s(10)
        truth = bench.home.truth()
        assert truth.ev["ev"].current_a == 7.0
        assert (truth.devices["wallbox"].holds["ev"].until_s or 1e9) - truth.elapsed_s <= 180

    play(OcppBench(version + "clock_off_s = 7200\n"), act)


@both
@pytest.mark.parametrize("clock_off_s", [0, -1500])
def test_what_was_measured_while_it_was_away_is_never_shown_as_news(version: str, clock_off_s: int) -> None:
    async def act(bench: OcppBench, device: Device) -> None:
        await live(bench, device, 30)
        bench.home.faults.inject("wallbox", "disconnect")
        await bench.pass_s(300)
        bench.home.faults.inject("wallbox", "unplug")  # while nobody looks the car leaves
        await bench.pass_s(30)
        assert len(bench.charger._rpc.waiting) > 3  # it has kept what it measured
        bench.home.faults.clear("wallbox", "disconnect")
        await bench.pass_s(2)
        with pytest.raises(NoAnswer, match="lost"):
            await device.poll()
        await device.open()
        for _ in range(30):
            await bench.pass_s(1)
            now_s = bench.home.house.elapsed_s
            for reading in await device.poll():
                fresh = now_s - reading.taken_at_s < 25
                if reading.point in {"power_w", "current_a"} and fresh:
                    assert reading.value == 0.0
                if reading.point == "state":
                    assert reading.value == "A"

    play(OcppBench(f"{version}clock_off_s = {clock_off_s}\nmeter_every_s = 10\n"), act)


@both
def test_a_car_that_leaves_while_it_is_paused_is_gone(version: str) -> None:
    async def act(bench: OcppBench, device: Device) -> None:
        await live(bench, device, 30)
        await device.write("ev", LIMIT, 0.0)
        await live(bench, device, 30)
        bench.home.faults.inject("wallbox", "unplug")
        await live(bench, device, 30)
        assert [r.value for r in await device.poll() if r.point == "state"] == ["A"]

    play(OcppBench(version), act)


@both
def test_a_late_answer_is_not_taken_for_the_next_one(version: str) -> None:
    async def act(bench: OcppBench, device: Device) -> None:
        bench.home.faults.inject("wallbox", "slow", delay_s=2.0)
        await bench.pass_s(1)
        with pytest.raises(NoAnswer, match="no answer to"):
            await device.write("ev", LIMIT, 6.0)
        bench.home.faults.clear("wallbox", "slow")
        await bench.pass_s(4)  # the late answers arrive, to nobody
        await device.write("ev", LIMIT, 9.0)
        assert await device.read_back("ev", LIMIT) == 9.0

    play(OcppBench(version), act)


@both
def test_without_an_identifier_a_charge_begins_only_where_the_site_allows_it(version: str) -> None:
    async def no(bench: OcppBench, device: Device) -> None:
        await device.write("ev", LIMIT, 10.0)
        await bench.pass_s(20)
        assert bench.home.truth().ev["ev"].state == "B"

    async def yes(bench: OcppBench, device: Device) -> None:
        await device.write("ev", LIMIT, 0.0)
        await bench.pass_s(5)
        assert not any("Start" in text for text in bench.writes())  # nothing to start for
        await device.write("ev", LIMIT, 10.0)
        await bench.pass_s(20)
        assert bench.home.truth().ev["ev"].current_a == 10.0
        await device.write("ev", LIMIT, 11.0)
        assert sum("StartTransaction" in text for text in bench.writes()) == 1

    play(OcppBench(version + "needs_start = true\n"), no)
    play(OcppBench(version + "needs_start = true\n", remote_start=True, tag="GATEWAY"), yes)


@both
def test_a_tag_that_is_not_on_the_list_does_not_charge(version: str) -> None:
    async def act(bench: OcppBench, device: Device) -> None:
        await live(bench, device, 20)
        assert bench.home.truth().ev["ev"].power_w == 0.0

    play(OcppBench(version + "needs_start = true\n", tags="04AB, 04CD", remote_start=True, tag="FREE"), act)


@both
def test_phases_are_switched_while_it_is_paused(version: str) -> None:
    bench = OcppBench(version + "switches_phases = true\n")
    resource = Resource("ev", Role.EV, "wallbox", "Wallbox", Ratings(max_current_a=16.0), frozenset({LIMIT, PHASES}))

    async def main() -> None:
        await bench.begin()
        config = DeviceConfig("wallbox", "Wallbox", "ocpp", bench.link, (resource,), None, bench.serial)
        device = DRIVER.device(config, bench.context)
        await device.open()
        assert [spec.control for spec in device.controls()] == [LIMIT, PHASES]
        await device.write("ev", LIMIT, 0.0)
        await live(bench, device, 10)
        await device.write("ev", PHASES, 1.0)
        assert await device.read_back("ev", PHASES) == 1.0
        assert await device.read_back("ev", LIMIT) == 0.0  # the pause stays
        await device.write("ev", LIMIT, 10.0)
        await live(bench, device, 20)
        assert bench.home.truth().ev["ev"].power_w == pytest.approx(2300.0)
        with pytest.raises(Refused, match="2 phases"):
            await device.write("ev", PHASES, 2.0)
        await device.release("ev", PHASES)
        await device.release("ev", LIMIT)
        assert await device.read_back("ev", LIMIT) is None
        await device.close()

    asyncio.run(main())


def test_a_charger_that_can_not_switch_offers_no_phases() -> None:
    async def act(_bench: OcppBench, device: Device) -> None:
        assert [spec.control for spec in device.controls()] == [LIMIT]

    bench = OcppBench()
    bench.control = LIMIT
    play(bench, act)


def test_energy_alone_gives_a_power_and_once_asked_for_the_current_too() -> None:
    async def act(bench: OcppBench, device: Device) -> None:
        await live(bench, device, 45)
        seen = {reading.point: reading.value for reading in await device.poll()}
        assert seen["power_w"] == pytest.approx(11040.0, rel=0.02)
        assert "current_a" not in seen
        await device.write("ev", LIMIT, 10.0)
        await live(bench, device, 15)
        seen = {reading.point: reading.value for reading in await device.poll()}
        assert seen["current_a"] == 10.0

    play(OcppBench(), act)


def test_values_that_are_no_numbers_are_unknown_and_garbage_ends_nothing() -> None:
    async def act(bench: OcppBench, device: Device) -> None:
        await device.write("ev", LIMIT, 10.0)
        await live(bench, device, 20)
        for kind in ("nan", "garbage"):
            bench.home.faults.inject("wallbox", kind)
            await live(bench, device, 60)
            age_s = {r.point: bench.home.house.elapsed_s - r.taken_at_s for r in await device.poll()}
            assert age_s["power_w"] > 30  # nothing new was made of it
            bench.home.faults.clear("wallbox", kind)
            await live(bench, device, 20)
        await device.write("ev", LIMIT, 9.0)
        assert await device.read_back("ev", LIMIT) == 9.0

    play(OcppBench(), act)


def test_a_restart_of_the_charger_keeps_the_limit_and_is_identified_again() -> None:
    async def act(bench: OcppBench, device: Device) -> None:
        await device.write("ev", LIMIT, 8.0)
        bench.home.faults.inject("wallbox", "reboot")
        await bench.pass_s(10)
        bench.home.faults.clear("wallbox", "reboot")
        await bench.pass_s(3)
        with pytest.raises(NoAnswer):
            await device.poll()
        assert (await device.open()).serial == "OC-77"
        assert await device.read_back("ev", LIMIT) == 8.0

    play(OcppBench(), act)


def family(tmp_path: Path, quirks: str) -> str:
    """A site's own profile: the generic one with other habits."""
    text = family_texts(OCPP)["ocpp.generic"].replace("ocpp.generic", "mine") + f"\n[quirks]\n{quirks}\n"
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_family_that_takes_limits_only_within_a_charge_is_told_so(tmp_path: Path) -> None:
    profile = family(tmp_path, 'purpose = "TxProfile"')

    async def act(bench: OcppBench, device: Device) -> None:
        await live(bench, device, 15)
        await device.write("ev", LIMIT, 9.0)
        await bench.pass_s(5)
        assert bench.home.truth().ev["ev"].current_a == 9.0
        bench.home.faults.inject("wallbox", "unplug")
        await live(bench, device, 5)
        with pytest.raises(Refused, match="only while a charge is under way"):
            await device.write("ev", LIMIT, 9.0)

    play(OcppBench(profile=profile), act)


def test_a_family_that_can_not_be_read_back_is_handed_back_without_looking(tmp_path: Path) -> None:
    profile = family(tmp_path, "composite = false\nvalid_to = false\nnumber_phases = false\nstack_level = 0")

    async def act(bench: OcppBench, device: Device) -> None:
        await device.write("ev", LIMIT, 9.0)
        assert await device.read_back("ev", LIMIT) is None
        (text,) = [text for text in bench.writes() if "SetChargingProfile" in text]
        assert '"stackLevel":0' in text
        assert "validTo" not in text
        assert "numberPhases" not in text
        await device.close()
        again = bench.device(bench.config(bench.serial))  # as after a crash: nothing is known
        await again.open()
        await again.release("ev", LIMIT)
        assert not bench.home.truth().devices["wallbox"].remote
        before = len(bench.writes())
        await again.release("ev", LIMIT)
        assert len(bench.writes()) == before
        await again.close()

    play(OcppBench(profile=profile), act)


@pytest.mark.parametrize(
    ("vendor", "model", "profile"),
    [
        ("ABB", "CDT_TACW11::NET_WIFI", "abb.terra-ac-ocpp"),
        ("ABB", "Terra 54", "ocpp.generic"),
        ("go-e", "go-eCharger_V4", "go-e.ocpp"),
        ("UCHEN", "DUOSIDA Mode3@96A", "uchen.duosida-ocpp"),
        ("", "", "ocpp.generic"),
        ("Delta.Electronics", "EVPE3225MUN", "ocpp.generic"),
    ],
)
def test_a_family_is_known_by_what_its_chargers_say_of_themselves(vendor: str, model: str, profile: str) -> None:
    assert profile_for(vendor, model).id == profile


@pytest.mark.parametrize("name", shipped_profiles())
def test_every_profile_names_its_sources_and_is_named_by_its_id(name: str) -> None:
    profile = shipped_profiles()[name]
    assert name in family_texts(OCPP)
    assert all(len(evidence.doc) > 10 and evidence.says for evidence in profile.evidence)
    assert profile.limit.device_timeout_s == profile.limit.lease_s


@pytest.mark.parametrize(
    ("was", "becomes", "words"),
    [
        ("refresh_s = 60", "refresh_s = 100", "at most half of lease_s"),
        ("device_timeout_s = 180", "device_timeout_s = 60", "must be lease_s"),
        ('MeterValueSampleInterval = "10"', 'HeartbeatIntervall = "10"', "is not set by this driver"),
        ('kinds = ["ocpp"]', 'kinds = ["ocpp"]\nportt = 1', "unknown key"),
        ("lease_s = 180", "lease_s = 86400", "lease_s"),
        ('id = "ev.limit_a"', 'id = "ev.limit_w"', "allowed: ev.limit_a"),
    ],
)
def test_a_faulty_profile_is_told_with_its_fault(was: str, becomes: str, words: str) -> None:
    text = family_texts(OCPP)["ocpp.generic"]
    assert was in text
    profile, faults = parse_profile(text.replace(was, becomes, 1))
    assert profile is None
    assert any(words in fault for fault in faults), faults


@pytest.mark.parametrize(
    ("link", "serial", "words"),
    [
        ({"identity": "A"}, "S", "link.listen: missing"),
        ({"listen": "0.0.0.0", "identity": "A/B"}, "S", "link.identity: 'A/B'"),
        ({"listen": "0.0.0.0"}, None, "link.identity: missing"),
        ({"listen": "0.0.0.0", "identity": "A", "cert_file": "c"}, "S", "link.key_file: missing"),
        ({"listen": "0.0.0.0", "identity": "A", "remote_start": True}, "S", "link.tag: missing"),
        ({"listen": "0.0.0.0", "identity": "A", "kind": "mqtt"}, "S", "link.kind"),
        ({"listen": "0.0.0.0", "identity": "A", "prot": 1}, "S", "link.prot: unknown key; did you mean 'port'?"),
    ],
)
def test_a_device_table_is_checked_offline(link: dict[str, str | bool | int], serial: str | None, words: str) -> None:
    resource = Resource("ev", Role.EV, "box", "Box", controls=frozenset({LIMIT}))
    faults = DRIVER.faults(DeviceConfig("box", "Box", "ocpp", link, (resource,), None, serial))
    assert any(fault.startswith(words) for fault in faults), faults


def test_a_place_that_is_taken_is_told() -> None:
    async def main() -> None:
        server = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        link = {"listen": "127.0.0.1", "port": port, "identity": "A"}
        resource = Resource("ev", Role.EV, "box", "Box")
        device = DRIVER.device(
            DeviceConfig("box", "Box", "ocpp", link, (resource,), None, "S"),
            DriverContext(asyncio.get_running_loop().time),
        )
        with pytest.raises(NoAnswer, match="can't listen at ws"):
            await device.open()
        server.close()
        await server.wait_closed()

    asyncio.run(main())
