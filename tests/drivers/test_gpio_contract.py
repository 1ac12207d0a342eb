"""The safe driver contract, held against the gpio driver in each of its roles."""

import asyncio

import pytest

from cem.driver import Control, Role
from cem.driver.conformance import CHECKS
from support.pin_bench import BOX, METER, RELAY, SG_READY, Link, PinBench

LOAD_ON, READY = Control.LOAD_ON, Control.HEAT_PUMP_SG_READY
BENCHES: dict[str, tuple[Link, Role, Control | None, tuple[float, ...]]] = {
    "relay": (RELAY, Role.LOAD, LOAD_ON, (1.0, 0.0, 1.0)),
    "relay on its normally closed contact": ({"relay": "17 nc active-low"}, Role.LOAD, LOAD_ON, (0.0, 1.0, 0.0)),
    "relay with a meter": (RELAY | METER, Role.HEAT_PUMP, LOAD_ON, (1.0, 0.0)),
    "SG Ready": (SG_READY, Role.HEAT_PUMP, READY, (3.0, 1.0, 4.0, 2.0, 1.0, 3.0, 4.0)),
    "pulse meter": (METER, Role.PV, None, ()),
    "control box": (BOX, Role.CONTACTS, None, ()),
}


@pytest.mark.parametrize("name", BENCHES)
@pytest.mark.parametrize("check", CHECKS)
def test_the_contract_holds(name: str, check: str) -> None:
    async def main() -> None:
        await CHECKS[check](PinBench(*BENCHES[name]))

    asyncio.run(main())
