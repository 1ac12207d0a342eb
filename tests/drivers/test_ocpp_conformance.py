"""The safe driver contract for OCPP, in front of simulated chargers of both versions and with several habits."""

import asyncio

import pytest

from cem.driver import NoAnswer
from cem.driver.conformance import CHECKS
from support.ocpp_bench import OcppBench

HABITS = {
    "1.6": 'version = "1.6"\n',
    "2.0.1": 'version = "2.0.1"\n',
    "1.6, watts alone": 'version = "1.6"\nrate_unit = "W"\n',
    "1.6, an owner's default, clock an hour behind": 'version = "1.6"\ndefault_a = 12\nclock_off_s = -3600\n',
    "1.6, takes no TriggerMessage": 'version = "1.6"\ntriggers = false\n',
}
NEEDS_TRIGGERS = "silence_is_no_answer_and_passes"
"""A charger that called while we did not listen, and that can't be asked, says who it is at its next restart only."""


@pytest.mark.parametrize("habit", HABITS)
@pytest.mark.parametrize("check", CHECKS)
def test_the_contract_holds(habit: str, check: str) -> None:
    async def held() -> None:
        await CHECKS[check](await OcppBench(HABITS[habit]).begin())

    if habit.endswith("TriggerMessage") and check == NEEDS_TRIGGERS:
        with pytest.raises(NoAnswer, match="does not say who it is"):
            asyncio.run(held())
    else:
        asyncio.run(held())
