"""Curves that the site file asks for: put in force when the device is opened, read back, told; never written twice."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cem.config.drivers import load_drivers
from cem.config.load import load_site
from cem.driver import Curve, DriverContext, GridFunction, Role
from cem.model.errors import SiteFileError
from cem.model.inverter_curve import WantedCurve
from cem.runtime.grid_support import GridSupport
from cem_drivers.sunspec import DRIVER
from support.driver_devices import sunspec_config
from support.modbus_wire import Registers, common_model, inverter_103, nameplate_120, sunspec_map
from support.sunspec_curves import Adopting, curve_words

VOLT_VAR = WantedCurve(
    GridFunction.VOLT_VAR, Curve(((92.0, 44.0), (98.0, 0.0), (102.0, 0.0), (108.0, -44.0)), {"RspTms": 5.0})
)
NO_DROOP = WantedCurve(GridFunction.FREQUENCY_WATT, None)
FILE = """
[[curve]]
function = "volt-var"
points = [[92, 44], [98, 0], [102, 0.0], [108, -44]]
settings = { RspTms = 5 }
"""


class Stage:
    """An inverter with model 705 that adopts, or refuses."""

    def __init__(self, verdict: int = 1) -> None:
        self.registers = Registers()
        models = [common_model("SN-1"), inverter_103(-500), nameplate_120(8000), curve_words(705)]
        sunspec_map(self.registers, models)
        self.adopting = Adopting(self.registers, 705, 40002 + sum(len(model) for model in models[:-1]), verdict)

    def establish(
        self, *wanted: WantedCurve, times: int = 1, read_only: Callable[[], bool] = lambda: False
    ) -> GridSupport:
        """What a gateway has of it after so many openings."""
        config = replace(sunspec_config({"host": "memory", "timeout_s": 0.1}, Role.PV), grid_support=wanted)
        support = GridSupport(config, read_only=read_only)
        called = []

        async def main() -> None:
            for _ in range(times):
                device = DRIVER.device(config, DriverContext(lambda: 1.0, pdu=lambda _link: self.adopting))
                await device.open()
                await support.establish(device, lambda: called.append(1))
                await device.close()

        asyncio.run(main())
        assert len(called) <= times * len(wanted)
        return support


def test_a_curve_is_put_in_force_once_and_only_looked_at_afterwards() -> None:
    stage = Stage()
    assert stage.establish(VOLT_VAR).words == "supports the grid by its own volt-var"
    written = len(stage.registers.writes)
    assert written > 0
    support = stage.establish(VOLT_VAR, times=2)
    assert (support.held, support.refused) == ({GridFunction.VOLT_VAR: True}, {})
    assert len(stage.registers.writes) == written


def test_what_somebody_changed_is_put_in_force_again() -> None:
    stage = Stage()
    stage.establish(VOLT_VAR)
    stage.registers.words[stage.adopting.address + 2] = 0  # Ena
    assert stage.establish(VOLT_VAR).held == {GridFunction.VOLT_VAR: True}
    assert stage.registers.words[stage.adopting.address + 2] == 1


def test_a_refusal_is_told_and_not_asked_for_again_and_the_others_are_tried() -> None:
    stage = Stage(verdict=2)
    support = stage.establish(NO_DROOP, VOLT_VAR, times=2)
    assert support.words == ""
    assert "it has no model 711" in support.refused[GridFunction.FREQUENCY_WATT]
    assert "the curve was not adopted" in support.refused[GridFunction.VOLT_VAR]
    once = len(stage.registers.writes)
    again = Stage(verdict=2)
    again.establish(VOLT_VAR)
    assert len(again.registers.writes) == once


def test_nothing_is_written_while_it_is_read_only_and_it_is_made_up_for() -> None:
    answers = [True, False]
    stage = Stage()
    support = stage.establish(VOLT_VAR, times=2, read_only=lambda: answers.pop(0))
    assert (support.held, support.refused) == ({GridFunction.VOLT_VAR: True}, {})
    watched = Stage()
    support = watched.establish(VOLT_VAR, read_only=lambda: True)
    assert "read only" in support.refused[GridFunction.VOLT_VAR]
    assert watched.registers.writes == []


def test_the_file_is_read_and_checked_with_the_site_file(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text(SITE, encoding="utf-8")
    curves = tmp_path / "curves.toml"
    curves.write_text(FILE, encoding="utf-8")
    assert load_site(site, load_drivers()).devices[0].grid_support == (VOLT_VAR,)
    curves.write_text(FILE.replace("volt-var", "volt-wat"), encoding="utf-8")
    with pytest.raises(SiteFileError) as raised:
        load_site(site, load_drivers())
    assert [fault.partition(": ")[0] for fault in raised.value.faults] == ["device[0].grid_support"]
    curves.write_text(FILE, encoding="utf-8")
    site.write_text(SITE.replace('serial = "SN-1"\n', "", 1), encoding="utf-8")
    with pytest.raises(SiteFileError, match="needs the serial number"):
        load_site(site, load_drivers())


SITE = """
site = 1
name = "House"
timezone = "Europe/Berlin"
[connection]
phases = 3
fuse_a = 35
[tariff]
base_price_per_kwh = 0.3
[[device]]
id = "inverter"
driver = "sunspec"
serial = "SN-1"
grid_support = "curves.toml"
link = { host = "127.0.0.1", port = 502 }
[[device.resource]]
id = "roof"
role = "pv"
[[device]]
id = "meter"
driver = "modbus"
profile = "eastron.sdm630"
link = { kind = "rtu-tcp", host = "127.0.0.1", port = 9 }
[[device.resource]]
id = "grid"
role = "grid"
"""
