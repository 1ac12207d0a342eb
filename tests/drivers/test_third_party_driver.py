"""A driver from somebody else: installed as its own package, found by its entry point, held to the contract."""

import asyncio
import importlib.util
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from cem.config.drivers import load_drivers
from cem.driver import Control, Device, DeviceConfig, Driver, DriverContext, PduPort, Resource, Role
from cem.driver.conformance import CHECKS
from support.modbus_wire import Registers, text_words

PACKAGE = Path(__file__).parents[1] / "support" / "acme_driver"


@pytest.fixture(scope="module")
def acme(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    """The driver, from a folder of its own that is on the path for these tests only."""
    target = tmp_path_factory.mktemp("site")
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, "--target", str(target), str(PACKAGE)],
        check=True,
        timeout=120,
    )
    sys.path.insert(0, str(target))
    try:
        yield load_drivers()["acme"]
    finally:
        sys.path.remove(str(target))
        sys.modules.pop("acme_cem", None)


class AcmeBench:
    """Satisfies cem.driver.conformance.Bench with sixty lines of somebody else's."""

    role = Role.EV
    control = Control.EV_LIMIT_A
    values = (10.0, 0.0, 6.0)
    serial = "AC000001"

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.registers = Registers()
        self.registers.put(0, text_words(self.serial, 4))
        self.registers.put(10, [2300, 100])
        self.registers.put(20, [0, 160])
        self.now_s = 0.0

    def config(self, serial: str | None, read_only: bool = False) -> DeviceConfig:
        resource = Resource("ev", Role.EV, "box", "Box", controls=frozenset({self.control}))
        return DeviceConfig("box", "Box", "acme", {"host": "memory"}, (resource,), None, serial, read_only=read_only)

    def device(self, config: DeviceConfig) -> Device:
        assert self.driver.faults(config) == []

        def port(_link: object) -> PduPort:
            return self.registers

        return self.driver.device(config, DriverContext(lambda: self.now_s, port))

    def writes(self) -> Sequence[str]:
        return [pdu.hex() for pdu in self.registers.writes]

    def strays(self) -> Sequence[str]:
        return [pdu.hex() for pdu in self.registers.writes if pdu[2] not in (20, 21)]

    async def pass_s(self, seconds: float) -> None:
        self.now_s += seconds

    def silence(self, silent: bool) -> None:
        self.registers.silent = silent

    def refuse(self, refusing: bool) -> None:
        self.registers.refuses = frozenset({6, 16} if refusing else ())

    async def meddle(self, value: float) -> bool:
        self.registers.words[21] = int(value * 10)
        return True


def test_it_is_found_by_its_entry_point_and_comes_from_its_own_package(acme: Driver) -> None:
    assert acme.name == "acme"
    spec = importlib.util.find_spec("acme_cem")
    assert spec is not None
    assert spec.origin is not None
    assert "acme_driver" not in spec.origin


def test_it_imports_the_driver_kit_and_nothing_else_of_ours() -> None:
    source = (PACKAGE / "acme_cem" / "__init__.py").read_text(encoding="utf-8")
    imports = [line for line in source.splitlines() if line.startswith(("from cem", "import cem"))]
    assert imports == ["from cem.driver import ("]


@pytest.mark.parametrize("check", CHECKS)
def test_it_keeps_the_contract(acme: Driver, check: str) -> None:
    asyncio.run(CHECKS[check](AcmeBench(acme)))  # type: ignore[arg-type]
    assert check in CHECKS
