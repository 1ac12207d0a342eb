"""Devices with a profile are found on real sockets: by what they say, or because a person says what is there."""

import asyncio

import pytest

from cem.cli.commissioning_text import model_lines
from cem.commissioning.discover import Sighting, discover
from cem.commissioning.targets import Link, parse_target
from cem.config.drivers import load_drivers
from cem.driver import Control, DriverContext, Ratings, Role
from hw_sim.modbus_server import TcpEndpoint
from support.profiled_homes import file_of, profiled_home


def seen(name: str, suffix: str | None, *, rtu: bool = False) -> Sighting:
    """What is seen of a simulated device of a profile at an address that ends so."""

    async def main() -> Sighting:
        home = profiled_home(name)
        home.step(1.0)
        endpoint = TcpEndpoint(home.modbus("dev"), "127.0.0.1", 0, rtu=rtu)
        await endpoint.start()
        scheme = "rtu-tcp" if rtu else "modbus"
        links: list[Link] = parse_target(f"{scheme}://127.0.0.1:{endpoint.port}{suffix or ''}")
        if suffix is None:  # as a sweep through a network gives it
            links = [{"kind": "tcp", "host": "127.0.0.1", "port": endpoint.port}]
        (sighting,) = await discover(
            links, load_drivers(), DriverContext(asyncio.get_running_loop().time), timeout_s=0.4
        )
        await endpoint.stop()
        return sighting

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("name", "suffix", "ratings"),
    [
        ("huawei.sun2000", "", {Role.PV: Ratings(max_generation_w=8000), Role.BATTERY: Ratings(capacity_wh=10000)}),
        ("kostal.plenticore", "/71", {Role.PV: Ratings(max_generation_w=8000)}),
        ("alfen.eve", "", {Role.EV: Ratings()}),
        ("victron.gx", "/100", {Role.GRID: Ratings()}),
        ("sigenergy.sigenstor", "", {Role.GRID: Ratings()}),
        ("solaredge.storedge", "", {Role.BATTERY: Ratings(capacity_wh=10000)}),
        ("goodwe.et", "", {Role.GRID: Ratings()}),
        ("keba.p30", "", {Role.EV: Ratings(max_current_a=16)}),
        ("vestel.evc04", "", {Role.EV: Ratings(max_current_a=16)}),
    ],
)
def test_a_device_that_says_who_it_is_is_found_at_any_port(
    name: str, suffix: str, ratings: dict[Role, Ratings]
) -> None:
    sighting = seen(name, suffix)
    (found,) = sighting.found
    assert (found.driver, found.profile, found.identity.serial) == ("modbus", name, profiled_home(name).serial("dev"))
    told = {role: one for role, one, _ in found.resources}
    assert {role: told[role] for role in ratings} == ratings


@pytest.mark.parametrize(
    ("name", "suffix", "rtu"),
    [
        ("keba.p30", "=keba.p30", False),
        ("eastron.sdm630", "/1=eastron.sdm630", True),
        ("keba.p30", "/255=keba.p30", False),
    ],
)
def test_a_device_that_does_not_is_found_where_a_person_says_what_it_is(name: str, suffix: str, rtu: bool) -> None:
    sighting = seen(name, suffix, rtu=rtu)
    (found,) = sighting.found
    assert (found.profile, found.identity.serial) == (name, profiled_home(name).serial("dev"))
    assert "profile" not in found.link
    assert found.link["unit"] == profiled_home(name).modbus("dev").unit


@pytest.mark.parametrize(("name", "unit"), [("kostal.plenticore", 71), ("huawei.sun2000", 1)])
def test_a_sweep_looks_at_the_unit_that_a_device_is_delivered_with(name: str, unit: int) -> None:
    (found,) = seen(name, None).found
    assert (found.profile, found.link["unit"]) == (name, unit)


def test_what_a_device_tells_is_shown_beside_its_display() -> None:
    (found,) = seen("eastron.sdm630", "=eastron.sdm630", rtu=True).found
    shown = model_lines(found, values=True)
    assert any(line.strip().startswith("grid.voltage_l1_v = 2") for line in shown)
    assert model_lines(found) == []


def test_a_profile_of_ones_own_may_be_named() -> None:
    path = str(file_of("keba.p30"))
    (found,) = seen("keba.p30", f"={path}").found
    assert found.profile == path
    assert any(Control.EV_LIMIT_A in controls for _, _, controls in found.resources)


@pytest.mark.parametrize(
    ("suffix", "said"),
    [
        ("=keba.p31", "profile: no profile 'keba.p31'; did you mean 'keba.p30'?"),
        ("/1=kostal.plenticore", "nothing is written. Check address, unit and profile"),
    ],
)
def test_what_is_not_there_is_told(suffix: str, said: str) -> None:
    sighting = seen("huawei.sun2000", suffix)
    assert sighting.found == ()
    assert said in " ".join(sighting.trouble)


@pytest.mark.parametrize(
    ("name", "suffix", "rtu"),
    [
        pytest.param("mennekes.amtron-compact", "", True, marks=pytest.mark.slow),
        ("idm.navigator", "/1", False),
    ],
)
def test_what_nothing_tells_from_others_is_named_in_words(name: str, suffix: str, rtu: bool) -> None:
    sighting = seen(name, suffix, rtu=rtu)
    assert sighting.found == ()
    _, _, words = sighting.instead.partition("no way to recognise: ")
    assert name in words.split(", ")
    assert "keba.p30" not in words
