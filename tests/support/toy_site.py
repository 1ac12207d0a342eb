"""A toy home as commissioning meets it: links, answers, tools, and runs in virtual time."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from cem.commissioning.provisioning import Tools
from cem.commissioning.site import Answers, FindTable
from cem.io.virtual import VirtualClock, run_virtual
from cem.ports import DriverContext
from support.toy_driver import ToyDriver
from support.toy_house import ToyHouse

START = datetime(2026, 6, 17, 10, 0, tzinfo=UTC)
ADDRESS = "192.0.2.1:502/1-4"

T = TypeVar("T")


def answers(**changes: Any) -> Answers:
    """What a person says about the toy home."""
    site = {
        "name": "Toy home",
        "timezone": "Europe/Berlin",
        "connection": {"phases": 3, "fuse_a": 35},
        "tariff": {"base_price_per_kwh": 0.3},
        "api": {"socket": "cem.sock"},
    }
    return Answers(site | changes, FindTable(modbus=(ADDRESS,)))


def run_toy(house: ToyHouse, main: Callable[[Tools], Awaitable[T]]) -> T:
    """Runs a coroutine with tools whose wire is the toy house and whose clock is virtual."""

    async def start(clock: VirtualClock) -> T:
        context = DriverContext(lambda: clock.now().mono_s, pdu=lambda _link: house)
        return await main(Tools({"toy": ToyDriver()}, context, clock, "0.0"))

    return run_virtual(start, START)


def site_folder(folder: Path) -> Path:
    """Where the toy home's site file goes."""
    return folder / "site.toml"
