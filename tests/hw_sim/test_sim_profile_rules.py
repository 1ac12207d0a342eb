"""Every rule of the profile format, run backwards by hw-sim and forwards by the driver, comes out where it began."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cem.driver import DeviceConfig, DriverContext, Ratings, Resource, Role
from cem_drivers.profiled import DRIVER
from hw_sim.home import FaultKind, parse_home
from hw_sim.simulation import SimulatedHome
from support.profiled_homes import HOUSE, PLANTS
from support.sim_homes import NOON

HEAD = """
profile = 1
id = "mine"
title = "Mine"
roles = ["{role}"]
status = "draft"
no_golden = "there is no such device, it is made for a test"
[[evidence]]
doc = "none"
revision = "none"
[link]
kinds = ["tcp"]
max_gap = 8
word_order = "little"
[identify]
maker = "Me"
points = [{{ at = 1, type = "uint32", tells = "serial", source = "-" }}]
[group]
fast = {{ period_s = 1, stale_s = 5 }}
"""


def value(name: str, at: int, kind: str, more: str = "", table: str = "value") -> str:
    return f'[[{table}]]\nid = "{name}"\nat = {at}\ntype = "{kind}"\nsource = "-"\n{more}\n'


def derive(name: str, rule: str) -> str:
    return f'[[derive]]\nid = "{name}"\n{rule}\n'


BESIDE = {"battery": "battery.capacity_wh", "pv": "pv.rating_w", "ev": "ev.session_wh"}
"""A point that stands beside what is tried, as a profile has one at least."""
BATTERY = 'map = { of = "code", codes = { "-1" = "discharging", "0" = "idle", "1" = "charging" } }'
RULES = {
    "scale and offset": ("battery", value("battery.temperature_c", 50, "uint16", "scale = 0.1\noffset = -40", "point")),
    "exponent": (
        "pv",
        value("sf", 50, "int16") + value("pv.power_w", 51, "int16", 'scale = -1\nexponent = "sf"', "point"),
    ),
    "word order": ("pv", value("pv.energy_wh", 50, "uint32", 'word_order = "big"', "point")),
    "64 bits": ("pv", value("pv.energy_wh", 50, "int64", "scale = 0.1", "point")),
    "double": ("battery", value("battery.soc_pct", 50, "float64", "", "point")),
    "sum with a sign each": (
        "battery",
        value("in_w", 50, "uint16") + value("out_w", 51, "uint16", "scale = -1")
        + derive("battery.power_w", 'sum = ["in_w", "out_w"]'),
    ),
    "difference": (
        "battery",
        value("in_w", 50, "uint16") + value("out_w", 51, "uint16")
        + derive("battery.power_w", 'diff = ["in_w", "out_w"]'),
    ),
    "product": (
        "battery",
        value("size_w", 50, "uint16") + value("way", 51, "uint16")
        + derive("sign", 'map = { of = "way", codes = { "7" = -1.0, "8" = 1.0 } }')
        + derive("battery.power_w", 'product = ["size_w", "sign"]'),
    ),
    "ratio": (
        "battery",
        value("held", 50, "float32") + value("whole", 52, "float32")
        + derive("battery.soc_pct", 'ratio = ["held", "whole"]\nscale = 100'),
    ),
    "largest of the phases": (
        "ev",
        value("current_l1_a", 50, "uint16", "scale = 0.01") + value("current_l2_a", 51, "uint16", "scale = 0.01")
        + derive("ev.current_a", 'max = ["current_l1_a", "current_l2_a"]'),
    ),
    "map": ("ev", value("ev.state", 50, "uint16", 'map = { "3" = "A", "4" = "B", "5" = "C" }', "point")),
    "derived map": (
        "battery",
        value("code", 50, "int16")
        + derive("battery.state", BATTERY),
    ),
    "bit": (
        "battery",
        value("flags", 50, "bitfield16")
        + derive("battery.state", 'bit = { of = "flags", bit = 3, set = "discharging", clear = "charging" }'),
    ),
}  # fmt: skip


class Served:
    """A device of such a profile, and the driver before it."""

    def __init__(self, folder: Path, role: str, rows: str) -> None:
        text = HEAD.format(role=role) + value(BESIDE[role], 90, "float32", "", "point") + rows
        path = folder / "mine.toml"
        path.write_text(text)
        device = '[[device]]\nid = "dev"\nkind = "profile"\nprofile = "mine.toml"\n'
        home = parse_home(HOUSE + PLANTS[role] + device, str(folder / "home.toml"))
        self.home = SimulatedHome(home, NOON)
        self.path = path
        self.role = role
        for _ in range(60):
            self.home.step(30.0)

    def fault(self, kind: FaultKind, **given: Any) -> None:
        self.home.faults.inject("dev", kind, **given)
        self.home.step(1.0)

    def read(self) -> dict[str, Any]:
        """The points that the driver makes of it."""
        resource = Resource("it", Role(self.role), "dev", "It", Ratings())
        config = DeviceConfig("dev", "Dev", "modbus", {"host": "memory"}, (resource,), str(self.path))
        assert DRIVER.faults(replace(config)) == []
        context = DriverContext(lambda: self.home.house.elapsed_s, lambda _link: self.home.modbus("dev"))

        async def main() -> dict[str, Any]:
            device = DRIVER.device(config, context)
            await device.open()
            found = {one.point: one.value for one in await device.poll()}
            await device.close()
            return found

        return asyncio.run(main())

    def truth(self) -> dict[str, Any]:
        front: Any = self.home.fronts["dev"]
        seen: dict[str, Any] = front.seen()
        return {name.partition(".")[2]: one for name, one in seen.items()}


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_run_backwards_and_forwards_ends_where_it_began(rule: str, tmp_path: Path) -> None:
    role, rows = RULES[rule]
    served = Served(tmp_path, role, rows)
    name = rows.rpartition('id = "')[2].partition('"')[0].partition(".")[2]
    found, truth = served.read(), served.truth()
    assert truth[name] not in {0.0, None}
    if isinstance(truth[name], str):
        assert found[name] == truth[name]
    else:
        assert found[name] == pytest.approx(truth[name], rel=2e-3, abs=1.01)


def test_a_wild_scale_factor_is_shown_where_there_is_one_and_beyond_all_bounds_nothing_is_known(tmp_path: Path) -> None:
    served = Served(tmp_path, *RULES["exponent"])
    true = served.truth()["power_w"]
    served.fault("scale", value=1.0)
    assert served.read()["power_w"] == pytest.approx(10 * true, rel=0.01)
    served.home.faults.clear("dev", "scale")
    served.fault("scale", value=14.0)
    served.home.step(1.0)
    assert served.read()["power_w"] is None
    served.home.faults.clear("dev", "scale")
    served.home.step(1.0)
    assert served.read()["power_w"] == pytest.approx(served.truth()["power_w"], rel=0.01)
