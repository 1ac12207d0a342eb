"""Every Modbus profile of the catalogue, served by hw-sim and read by the driver: what is read is what is so."""

import asyncio
from dataclasses import replace

import pytest

from cem.driver import DeviceConfig, Identity, Ratings, Resource, Role
from cem_drivers.profiled.catalogue import shipped_profiles
from cem_drivers.profiled.device import ProfiledDevice
from cem_drivers.profiled.schema import DeriveRow, Profile, ValueRow
from hw_sim.home import HomeError, parse_home
from hw_sim.profiled.find import ProfileError, path_of, read_profile
from hw_sim.profiled.inverse import alike
from hw_sim.profiled.sight import Facts
from hw_sim.simulation import SimulatedHome
from support.profiled_homes import HOUSE, PLANTS, SimulatedBench, file_of, front_of, home_text, profiled_home
from support.sim_homes import NOON

PROFILES = shipped_profiles()


def resolution(profile: Profile, name: str) -> float:
    """By how much a value moves at least in its registers; of a derived one with all that it is made of."""
    rows = {row.id: row for row in profile.rows}
    if name in rows:
        return _of_row(profile, rows[name])
    rule = next(row for row in profile.derive if row.id == name)
    return _of_rule(profile, rule)


def _of_row(profile: Profile, row: ValueRow) -> float:
    if row.type.startswith("float"):
        return 1e-3
    exponent = next((one for one in profile.rows if one.id == row.exponent), None)
    return abs(row.scale) * (1.0 if exponent is None else 1000.0)


def _of_rule(profile: Profile, rule: DeriveRow) -> float:
    steps = sorted(resolution(profile, one) for one in rule.sources if one != rule.id)
    if rule.sum is not None:
        return steps[0] * len(steps) * abs(rule.scale)  # the coarse parts carry whole steps of theirs
    return max(steps) * abs(rule.scale)


async def read_through(bench: SimulatedBench) -> tuple[Identity, dict[str, object]]:
    """What the driver makes of the device: its identity, and the newest value of each point."""
    profile = bench.profile
    resources = tuple(
        Resource(role, Role(role), "dev", role, Ratings(phases=3, max_current_a=16.0)) for role in profile.roles
    )
    config: DeviceConfig = replace(bench.config(bench.serial), resources=resources)
    device = ProfiledDevice(config, profile, bench.context)
    identity = await device.open()
    found: dict[str, object] = {f"{one.resource_id}.{one.point}": one.value for one in await device.poll()}
    await device.close()
    return identity, found


def same(profile: Profile, name: str, seen: object, truth: Facts) -> bool:
    """Whether a reading is the truth within what its registers can hold."""
    true = truth[name]
    if isinstance(true, str):
        row = next((one for one in profile.rows if one.id == name), None)
        words = list(row.map.values()) if row is not None and row.map is not None else [str(seen)]
        best = alike(true, words)
        return seen == best or best is None
    if not isinstance(seen, float | int) or not isinstance(true, float | int):
        return seen == true
    unsigned = name.startswith("grid.current") and seen == abs(seen)
    wanted = abs(true) if unsigned else true
    return abs(seen - wanted) <= 1.01 * resolution(profile, name) + 1e-6 * abs(wanted)


@pytest.mark.parametrize("name", PROFILES)
def test_what_is_read_is_what_is_so(name: str) -> None:
    bench = SimulatedBench(PROFILES[name])
    for _ in range(120):
        bench.home.step(30.0)
    identity, found = asyncio.run(read_through(bench))
    assert identity.serial == bench.serial
    front = front_of(bench.home)
    truth = front.seen()
    steered = {row.id for row in front.profile.rows} - {row.id for row in front.live_rows}
    judged = {point: value for point, value in found.items() if point in truth and point not in steered}
    assert judged, found
    wrong = {key: (seen, truth[key]) for key, seen in judged.items() if not same(PROFILES[name], key, seen, truth)}
    assert wrong == {}
    assert [role for role in PROFILES[name].roles if not any(key.startswith(f"{role}.") for key in judged)] == []


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_is_read_by_hw_sims_own_code(name: str) -> None:
    profile = read_profile(file_of(name))
    assert [row.id for row in profile.rows] == [row.id for row in PROFILES[name].rows]
    assert [row.id for row in profile.control] == [row.id for row in PROFILES[name].control]
    assert profile.status == PROFILES[name].status


def test_two_devices_of_a_kind_tell_two_serial_numbers() -> None:
    ev = PLANTS["ev"]
    two = ev.replace("[[ev]]", '[[ev]]\nid = "other"')
    device = '[[device]]\nid = "{}"\nkind = "profile"\nprofile = "alfen.eve"\nof = ["{}"]\n'
    home = parse_home(HOUSE + ev + two + device.format("left", "ev") + device.format("right", "other"), "t")
    sim = SimulatedHome(home, NOON)
    assert sim.serial("left") != sim.serial("right")


def test_a_serial_number_of_the_home_file_is_told() -> None:
    assert profiled_home("alfen.eve", device='serial = "ACE0000001"').serial("dev") == "ACE0000001"
    assert profiled_home("keba.p30", device='serial = "17000123"').serial("dev") == "17000123"


MINE = """
profile = 1
id = "mine"
title = "Mine"
roles = ["grid"]
[link]
kinds = ["tcp"]
[identify]
maker = "Me"
points = [{ at = 1, type = "uint32", tells = "serial" }]
[[point]]
id = "grid.power_w"
at = 40
type = "int32"
"""


def test_a_profile_of_ones_own_beside_the_home_or_in_a_folder_of_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("home")
    (folder / "mine.toml").write_text(MINE)
    device = '[[device]]\nid = "dev"\nkind = "profile"\nprofile = "{}"\n'
    by_path = parse_home("home = 1\n" + device.format("mine.toml"), str(folder / "home.toml"))
    assert by_path.device[0].profile == str(folder / "mine.toml")
    by_id = parse_home('home = 1\nprofiles = ["."]\n' + device.format("mine"), str(folder / "home.toml"))
    assert by_id.device[0].profile == by_path.device[0].profile
    assert path_of("victron.gx", [folder]) == file_of("victron.gx")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('type = "int32"', 'type = "int31"', "point.0: Value error, type 'int31'; allowed: uint16"),
        ("[[point]]", "[[point]]\nscael = 2", "point.0: Value error, unknown key 'scael', did you mean 'scale'?"),
        ('roles = ["grid"]', 'roles = ["gird"]', "roles.0: no role 'gird'; did you mean 'grid'?"),
        ("[[point]]", '[[point]]\nexponent = "power_sf"', "point.0.exponent: no value 'power_sf'; did you mean"),
        (
            "[[point]]",
            '[[derive]]\nid = "x"\nsum = ["grid.power"]\n[[point]]',
            "derive.0: no value 'grid.power'; did you",
        ),
        ('kinds = ["tcp"]', 'kinds = ["mqtt"]', "speaks MQTT"),
        ("at = 40", "at = ", "not TOML"),
    ],
)
def test_what_is_wrong_with_a_profile_is_told_with_its_path(
    tmp_path_factory: pytest.TempPathFactory, old: str, new: str, said: str
) -> None:
    path = tmp_path_factory.mktemp("wrong") / "mine.toml"
    path.write_text(MINE.replace(old, new, 1))
    with pytest.raises(ProfileError) as caught:
        read_profile(path)
    assert said in "\n".join(caught.value.faults)


@pytest.mark.parametrize(
    ("name", "device", "more", "said"),
    [
        ("alfen.evee", "", "", "device.0.profile: 'alfen.evee': no profile 'alfen.evee'; did you mean 'alfen.eve'?"),
        ("nowhere.toml", "", "", "device.0.profile: no file"),
        ("go-e.v2", "", "", "speaks MQTT"),
        ("alfen.eve", 'serail = "1"', "", "device.0.serail: Extra inputs are not permitted, did you mean 'serial'?"),
        ("keba.p30", 'serial = "ABC"', "", "device.0.serial: 'ABC' is no number, but this device tells one"),
        ("alfen.eve", 'of = ["pv"]', "", "device.0.of: no plant 'pv'; known: ev"),
        ("alfen.eve", "", '[[fault]]\nkind = "sign"\ntarget = "dev"\nat_s = 1\n', "'sign' is nothing for 'alfen.eve'"),
        ("alfen.eve", 'falls_back = "paus"', "", "device.0.falls_back: 'paus'; allowed: own, pause, keep, or a number"),
        ("alfen.eve", 'link = "rtu"\nunit = 250', "", "device.0.unit: 250; on a serial line at most 247"),
        (
            "eastron.sdm630",
            "",
            '[[fault]]\nkind = "lying_timer"\ntarget = "dev"\nat_s = 1\n',
            "'lying_timer' is nothing for 'eastron.sdm630': it has no control",
        ),
    ],
)
def test_what_is_wrong_with_its_device_is_told(name: str, device: str, more: str, said: str) -> None:
    known = name if name in PROFILES else "alfen.eve"
    text = home_text(known, more, device).replace(f'profile = "{known}"', f'profile = "{name}"')
    with pytest.raises(HomeError) as caught:
        parse_home(text, "test")
    assert said in "\n".join(caught.value.faults)
