"""The contract kit itself: it finds every way of breaking the contract, and our other drivers keep it too."""

import asyncio
import math
from collections.abc import Callable, Sequence

import pytest

from cem.driver import Control, ControlSpec, Device, DeviceConfig, Driver, Identity, Reading, Role
from cem.driver.conformance import CHECKS, BrokenContract
from cem_drivers.profiled.catalogue import shipped_profiles
from cem_drivers.profiles.store import shipped_texts
from support.driver_cases import CASES, Case, Scene, scene
from support.profile_bench import ProfileBench
from support.profile_image import ProfileImage


class Through:
    """A device that passes everything on; the sabotaged ones override one method."""

    def __init__(self, inner: Device, image: ProfileImage) -> None:
        self.inner = inner
        self.image = image

    @property
    def id(self) -> str:
        return self.inner.id

    async def open(self) -> Identity:
        return await self.inner.open()

    def controls(self) -> Sequence[ControlSpec]:
        return self.inner.controls()

    async def poll(self) -> Sequence[Reading]:
        return await self.inner.poll()

    async def write(self, resource_id: str, control: Control, value: float) -> None:
        await self.inner.write(resource_id, control, value)

    async def read_back(self, resource_id: str, control: Control) -> float | None:
        return await self.inner.read_back(resource_id, control)

    async def release(self, resource_id: str, control: Control) -> None:
        await self.inner.release(resource_id, control)

    async def close(self) -> None:
        await self.inner.close()

    async def send(self, address: int) -> None:
        await self.image.exchange(1, bytes((6, address >> 8, address & 255, 0, 1)))


class WritesAtTheStart(Through):
    async def open(self) -> Identity:
        await self.send(4000)
        return await self.inner.open()


class TellsNotANumber(Through):
    async def poll(self) -> Sequence[Reading]:
        return [Reading("ev", "power_w", math.nan, 0.0)]


class InventsPoints(Through):
    async def poll(self) -> Sequence[Reading]:
        return [Reading("ev", "watts", 1.0, 0.0)]


class WritesBeyond(Through):
    async def write(self, resource_id: str, control: Control, value: float) -> None:
        await self.inner.write(resource_id, control, value)
        await self.send(999)


class ForgetsToWrite(Through):
    async def write(self, resource_id: str, control: Control, value: float) -> None:
        if math.isfinite(value):
            return
        await self.inner.write(resource_id, control, value)


class TakesNonsense(Through):
    async def write(self, resource_id: str, control: Control, value: float) -> None:
        await self.inner.write(resource_id, control, value if math.isfinite(value) else 10.0)


class RemembersInsteadOfReading(Through):
    async def write(self, resource_id: str, control: Control, value: float) -> None:
        await self.inner.write(resource_id, control, value)
        self.last = value

    async def read_back(self, resource_id: str, control: Control) -> float | None:
        return getattr(self, "last", None)


class NeverReleases(Through):
    async def release(self, resource_id: str, control: Control) -> None:
        """Nothing."""


class ReleasesAlways(Through):
    async def release(self, resource_id: str, control: Control) -> None:
        await self.inner.release(resource_id, control)
        await self.send(4000)


class Storms(Through):
    sent = 0

    async def write(self, resource_id: str, control: Control, value: float) -> None:
        await self.inner.write(resource_id, control, value)
        self.sent += 1
        for _ in range(2 * self.sent):
            await self.send(4000)


class HidesRefusals(Through):
    async def write(self, resource_id: str, control: Control, value: float) -> None:
        try:
            await self.inner.write(resource_id, control, value)
        except Exception:
            if not self.image.refuses:
                raise


class HidesSilence(Through):
    async def poll(self) -> Sequence[Reading]:
        return [] if self.image.silent else await self.inner.poll()


class SabotagedBench(ProfileBench):
    """The bench of the Alfen profile with a driver that breaks one clause."""

    def __init__(self, wrap: Callable[[Device, ProfileImage], Device]) -> None:
        super().__init__(shipped_profiles()["alfen.eve"], shipped_texts(mqtt=False)["alfen.eve"])
        self.wrap = wrap

    def device(self, config: DeviceConfig) -> Device:
        return self.wrap(super().device(config), self.image)


class TrustingBench(ProfileBench):
    """A driver that insists on no serial number and knows no read-only."""

    def __init__(self) -> None:
        super().__init__(shipped_profiles()["alfen.eve"], shipped_texts(mqtt=False)["alfen.eve"])

    def device(self, config: DeviceConfig) -> Device:
        return super().device(super().config(self.serial))


@pytest.mark.parametrize(
    ("check", "wrap"),
    [
        ("opening_identifies_and_writes_nothing", WritesAtTheStart),
        ("readings_are_of_the_vocabulary_and_never_nan", TellsNotANumber),
        ("readings_are_of_the_vocabulary_and_never_nan", InventsPoints),
        ("what_is_written_is_read_back", WritesBeyond),
        ("what_is_written_is_read_back", ForgetsToWrite),
        ("nonsense_is_refused", TakesNonsense),
        ("somebody_else_is_noticed", RemembersInsteadOfReading),
        ("a_new_session_can_release_what_an_old_one_left", RemembersInsteadOfReading),
        ("releasing_is_confirmed_and_harmless_twice", NeverReleases),
        ("releasing_is_confirmed_and_harmless_twice", ReleasesAlways),
        ("repeating_is_no_storm", Storms),
        ("a_refusal_is_told_as_one", HidesRefusals),
        ("silence_is_no_answer_and_passes", HidesSilence),
    ],
)
def test_the_kit_finds_a_driver_that_breaks_a_clause(
    check: str, wrap: Callable[[Device, ProfileImage], Device]
) -> None:
    with pytest.raises(BrokenContract):
        asyncio.run(CHECKS[check](SabotagedBench(wrap)))  # type: ignore[arg-type]


@pytest.mark.parametrize("check", ["a_wrong_serial_number_is_never_written_to", "read_only_is_hard"])
def test_the_kit_finds_a_driver_that_trusts_anybody(check: str) -> None:
    with pytest.raises(BrokenContract):
        asyncio.run(CHECKS[check](TrustingBench()))  # type: ignore[arg-type]


class SceneBench:
    """The kit's bench around a simulated home, for the SunSpec and the MQTT driver."""

    def __init__(self, stage: Scene) -> None:
        self.stage = stage

    @property
    def driver(self) -> Driver:
        return self.stage.case.driver

    @property
    def role(self) -> Role:
        return self.stage.case.role

    @property
    def control(self) -> Control | None:
        return self.stage.case.control

    @property
    def values(self) -> Sequence[float]:
        return self.stage.case.values

    @property
    def serial(self) -> str:
        return self.stage.serial

    def config(self, serial: str | None, read_only: bool = False) -> DeviceConfig:
        return self.stage.case.config(serial, read_only)

    def device(self, config: DeviceConfig) -> Device:
        return self.driver.device(config, self.stage.context)

    def writes(self) -> Sequence[str]:
        return self.stage.writes

    def strays(self) -> Sequence[str]:
        return []

    async def pass_s(self, seconds: float) -> None:
        await self.stage.pass_s(round(seconds))

    def silence(self, silent: bool) -> None:
        (self.stage.home.faults.inject if silent else self.stage.home.faults.clear)(self.stage.case.name, "silence")

    def refuse(self, refusing: bool) -> None:
        faults = self.stage.home.faults
        (faults.inject if refusing else faults.clear)(self.stage.case.name, "refuse_writes")

    async def meddle(self, value: float) -> bool:
        return False


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("check", CHECKS)
def test_our_other_drivers_keep_the_contract(check: str, case: Case) -> None:
    async def main() -> None:
        async with scene(case) as stage:
            await CHECKS[check](SceneBench(stage))

    asyncio.run(main())
    assert check in CHECKS
