"""The safe driver contract as checks that any driver's author can run: on every driver, on every profile.

Give each check a `Bench`: your device behind a simulated one of your own, with everything that is sent counted.
A check raises `BrokenContract` with a sentence. Nothing here needs a test framework; `CHECKS` is a plain table:

    for name, check in CHECKS.items():
        asyncio.run(check(make_bench()))
"""

import contextlib
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from cem.driver import (
    POINTS,
    Control,
    ControlSpec,
    Device,
    DeviceConfig,
    DeviceError,
    Driver,
    NoAnswer,
    Refused,
    Role,
    Storage,
    WrongDevice,
)

FLASH_MIN_INTERVAL_S = 900.0
FLASH_DAILY = 20
RELEASE_WRITES = 8  # more requests than this do not fit into the 2 s that a stop may take


class BrokenContract(AssertionError):  # noqa: N818 - it is what it says
    """A clause of the contract does not hold; the message says which one and what was seen."""


class Bench(Protocol):
    """A device under test and the simulated device behind it. Every method acts on the same two."""

    @property
    def driver(self) -> Driver:
        """The driver under test."""

    @property
    def role(self) -> Role:
        """The role of the resource, whose id is the role's name."""

    @property
    def control(self) -> Control | None:
        """The control under test; None for a device that is only read."""

    @property
    def values(self) -> Sequence[float]:
        """Set points worth writing, each different from the one before."""

    @property
    def serial(self) -> str:
        """The serial number that the simulated device has."""

    def config(self, serial: str | None, read_only: bool = False) -> DeviceConfig:
        """The device table of the site file, carrying `control`."""

    def device(self, config: DeviceConfig) -> Device:
        """The driver's device for that table, over the simulated link."""

    def writes(self) -> Sequence[str]:
        """Everything sent so far that changes the device, in words."""

    def strays(self) -> Sequence[str]:
        """What of it went to places that the device's description does not own."""

    async def pass_s(self, seconds: float) -> None:
        """Lets time pass, for the driver's clock and for the simulated device."""

    def silence(self, silent: bool) -> None:
        """The simulated device stops answering, or answers again."""

    def refuse(self, refusing: bool) -> None:
        """The simulated device refuses writes, or takes them again."""

    async def meddle(self, value: float) -> bool:
        """Somebody else sets the control to `value`; False where that can't be simulated."""


Check = Callable[[Bench], Awaitable[None]]


def _require(holds: bool, clause: str) -> None:
    if not holds:
        raise BrokenContract(clause)


@dataclass(frozen=True, slots=True)
class _Opened:
    device: Device
    spec: ControlSpec
    control: Control
    resource_id: str


async def _opened(bench: Bench) -> _Opened | None:
    """The device, open, with its one control; None where the bench has none."""
    if bench.control is None:
        return None
    device = bench.device(bench.config(bench.serial))
    await device.open()
    specs = [spec for spec in device.controls() if spec.control is bench.control]
    _require(len(specs) == 1, f"controls(): one {bench.control} expected, seen {len(specs)}")
    return _Opened(device, specs[0], bench.control, specs[0].resource_id)


def _near(spec: ControlSpec, held: float | None, value: float) -> bool:
    return held is not None and abs(held - value) <= max(spec.dead_band, abs(value) * 0.01, 1e-6)


async def opening_identifies_and_writes_nothing(bench: Bench) -> None:
    """`open` tells maker and serial number; neither it nor reading nor closing twice changes the device."""
    device = bench.device(bench.config(bench.serial))
    identity = await device.open()
    _require(identity.serial == bench.serial, f"open(): serial {bench.serial!r} expected, seen {identity.serial!r}")
    _require(bool(identity.maker), "open(): the identity names no maker")
    await device.poll()
    await device.close()
    await device.close()
    _require(not bench.writes(), f"open, poll and close wrote: {bench.writes()}")


async def readings_are_of_the_vocabulary_and_never_nan(bench: Bench) -> None:
    """Every reading is a known point of its resource, finite or None, and dated no later than now."""
    device = bench.device(bench.config(bench.serial))
    await device.open()
    await bench.pass_s(2)
    readings = await device.poll()
    _require(bool(readings), "poll(): nothing was read")
    for reading in readings:
        _require(reading.point in POINTS[bench.role], f"poll(): {reading.point!r} is no point of a {bench.role}")
        number = isinstance(reading.value, float | int)
        _require(not number or math.isfinite(float(reading.value or 0)), f"poll(): {reading.point} is {reading.value}")
        _require(reading.taken_at_s >= 0, f"poll(): {reading.point} is dated {reading.taken_at_s}")
    await device.close()


async def before_it_is_open_nothing_is_written(bench: Bench) -> None:
    """Identity comes before the first write: a device never opened refuses."""
    if bench.control is None:
        return
    device = bench.device(bench.config(bench.serial))
    with contextlib.suppress(DeviceError):
        await device.write(bench.role.value, bench.control, bench.values[0])
        raise BrokenContract("write() before open() did not raise")
    _require(not bench.writes(), f"write() before open() sent {bench.writes()}")


async def a_wrong_serial_number_is_never_written_to(bench: Bench) -> None:
    """Another serial number than the site file's is WrongDevice, names both, and nothing is sent."""
    other = f"{bench.serial}-OTHER"
    device = bench.device(bench.config(other))
    try:
        await device.open()
    except WrongDevice as error:
        told = bench.serial in str(error) and other in str(error)
        _require(told, f"open(): the message names not both serial numbers: {error}")
    else:
        raise BrokenContract("open() took a device with another serial number")
    if bench.control is not None:
        with contextlib.suppress(DeviceError):
            await device.write(bench.role.value, bench.control, bench.values[0])
            raise BrokenContract("write() to a wrong device did not raise")
    await device.close()
    _require(not bench.writes(), f"a wrong device was sent {bench.writes()}")


async def read_only_is_hard(bench: Bench) -> None:
    """Read-only, or no serial number in the site file: no control is offered, write refuses, nothing leaves."""
    for config in (bench.config(bench.serial, read_only=True), bench.config(None)):
        device = bench.device(config)
        await device.open()
        await bench.pass_s(2)
        _require(not device.controls(), "controls() offers something on a device that is not to be written")
        if bench.control is not None:
            with contextlib.suppress(Refused):
                await device.write(bench.role.value, bench.control, bench.values[0])
                raise BrokenContract("write() on a device that is not to be written did not raise Refused")
            await device.release(bench.role.value, bench.control)
        _require(bool(await device.poll()), "a device that is not to be written must still be read")
        await device.close()
    _require(not bench.writes(), f"read-only, and yet sent: {bench.writes()}")


async def the_specification_can_be_lived_by(bench: Bench) -> None:
    """The writer can keep budget, refresh and effect by what the specification says."""
    opened = await _opened(bench)
    if opened is None:
        return
    spec = opened.spec
    _require(bool(spec.falls_back_to.strip()), "the specification does not say what the device does without us")
    if spec.storage in {Storage.FLASH, Storage.UNKNOWN}:
        _require(spec.daily_budget is not None and spec.daily_budget <= FLASH_DAILY, "flash: at most 20 writes a day")
        _require(spec.min_interval_s >= FLASH_MIN_INTERVAL_S, "flash: at least 900 s between two writes")
    if spec.storage is Storage.LEVELLED:
        _require(spec.daily_budget is not None, "wear-levelled storage has a daily budget of its own")
    if spec.device_timeout_s is not None and spec.refresh_s is not None:
        _require(spec.refresh_s <= spec.device_timeout_s / 2, "refresh_s is at most half of the device's time-out")
    if spec.effect_point is not None:
        _require(spec.effect_point in POINTS[bench.role], f"effect_point {spec.effect_point!r} is no point of the role")
    await opened.device.close()


async def what_is_written_is_read_back(bench: Bench) -> None:
    """Every set point is read back from the device; only places that it owns are written."""
    opened = await _opened(bench)
    if opened is None:
        return
    for value in bench.values:
        await opened.device.write(opened.resource_id, opened.control, value)
        held = await opened.device.read_back(opened.resource_id, opened.control)
        _require(_near(opened.spec, held, value), f"wrote {value:g}, read_back gives {held}")
        await bench.pass_s(1)
    _require(bool(bench.writes()), "nothing was sent")
    _require(not bench.strays(), f"written beyond what the description owns: {bench.strays()}")
    await opened.device.close()


async def nonsense_is_refused(bench: Bench) -> None:
    """NaN and infinity never reach a device."""
    opened = await _opened(bench)
    if opened is None:
        return
    for value in (math.nan, math.inf, -math.inf):
        with contextlib.suppress(Refused):
            await opened.device.write(opened.resource_id, opened.control, value)
            raise BrokenContract(f"write({value}) did not raise Refused")
    _require(not bench.writes(), f"nonsense was sent: {bench.writes()}")
    await opened.device.close()


async def releasing_is_confirmed_and_harmless_twice(bench: Bench) -> None:
    """After `release` nothing of ours is in force; a second one, or one without a write, sends nothing."""
    opened = await _opened(bench)
    if opened is None:
        return
    await opened.device.release(opened.resource_id, opened.control)
    _require(not bench.writes(), f"releasing what nobody set wrote: {bench.writes()}")
    await opened.device.write(opened.resource_id, opened.control, bench.values[0])
    before = len(bench.writes())
    await opened.device.release(opened.resource_id, opened.control)
    released = len(bench.writes())
    _require(released - before <= RELEASE_WRITES, f"release took {released - before} writes, too many for 2 s")
    held = await opened.device.read_back(opened.resource_id, opened.control)
    _require(held is None, f"released, and read_back still gives {held}")
    await opened.device.release(opened.resource_id, opened.control)
    _require(len(bench.writes()) == released, "a second release wrote again")
    _require(not bench.strays(), f"written beyond what the description owns: {bench.strays()}")
    await opened.device.close()


async def a_new_session_can_release_what_an_old_one_left(bench: Bench) -> None:
    """After a crash the next start sees what is in force and hands it back."""
    opened = await _opened(bench)
    if opened is None:
        return
    await opened.device.write(opened.resource_id, opened.control, bench.values[0])
    readable = await opened.device.read_back(opened.resource_id, opened.control)
    await opened.device.close()
    again = bench.device(bench.config(bench.serial))
    await again.open()
    held = await again.read_back(opened.resource_id, opened.control)
    _require(held is not None or readable is None, "after a new start read_back does not see what is in force")
    await again.release(opened.resource_id, opened.control)
    _require(await again.read_back(opened.resource_id, opened.control) is None, "a new session could not release")
    await again.close()


async def somebody_else_is_noticed(bench: Bench) -> None:
    """`read_back` asks the device each time: a foreign writer's value shows."""
    opened = await _opened(bench)
    if opened is None or len(bench.values) < 2:
        return
    await opened.device.write(opened.resource_id, opened.control, bench.values[0])
    if await bench.meddle(bench.values[1]):
        held = await opened.device.read_back(opened.resource_id, opened.control)
        _require(not _near(opened.spec, held, bench.values[0]), f"somebody else's value is hidden: {held}")
    await opened.device.close()


async def repeating_is_no_storm(bench: Bench) -> None:
    """Refreshing the same value sends no more than the first time did."""
    opened = await _opened(bench)
    if opened is None:
        return
    counts = []
    for _ in range(3):
        before = len(bench.writes())
        await opened.device.write(opened.resource_id, opened.control, bench.values[0])
        counts.append(len(bench.writes()) - before)
        await bench.pass_s(1)
    _require(max(counts[1:]) <= counts[0], f"writes for the same value three times: {counts}")
    await opened.device.close()


async def a_refusal_is_told_as_one(bench: Bench) -> None:
    """A device that refuses a write is `Refused`, not success and not silence."""
    opened = await _opened(bench)
    if opened is None:
        return
    bench.refuse(True)
    await bench.pass_s(1)
    with contextlib.suppress(Refused):
        await opened.device.write(opened.resource_id, opened.control, bench.values[0])
        raise BrokenContract("the device refused, and write() did not raise Refused")
    bench.refuse(False)
    await opened.device.close()


async def silence_is_no_answer_and_passes(bench: Bench) -> None:
    """A silent device is `NoAnswer`; once it answers again it can be opened and read."""
    device = bench.device(bench.config(bench.serial))
    await device.open()
    bench.silence(True)
    await bench.pass_s(30)
    with contextlib.suppress(NoAnswer):
        await device.poll()
        raise BrokenContract("the device is silent, and poll() did not raise NoAnswer")
    await device.close()
    bench.silence(False)
    await bench.pass_s(2)
    await device.open()
    await bench.pass_s(2)
    _require(bool(await device.poll()), "after a silence nothing is read any more")
    await device.close()


async def refreshed_in_time_a_value_stays(bench: Bench) -> None:
    """Living by `refresh_s`, and polling, keeps the value for three times the device's time-out."""
    opened = await _opened(bench)
    if opened is None or opened.spec.device_timeout_s is None:
        return
    step_s = min(opened.spec.refresh_s or opened.spec.device_timeout_s / 3, 10.0)
    passed = 0.0
    await opened.device.write(opened.resource_id, opened.control, bench.values[0])
    since = 0.0
    while passed < 3 * opened.spec.device_timeout_s and passed < 600:
        await bench.pass_s(step_s)
        passed, since = passed + step_s, since + step_s
        await opened.device.poll()
        if opened.spec.refresh_s is not None and since >= opened.spec.refresh_s:
            await opened.device.write(opened.resource_id, opened.control, bench.values[0])
            since = 0.0
    held = await opened.device.read_back(opened.resource_id, opened.control)
    _require(_near(opened.spec, held, bench.values[0]), f"refreshed in time, and yet read_back gives {held}")
    await opened.device.close()


CHECKS: Mapping[str, Check] = MappingProxyType(
    {
        check.__name__: check
        for check in (
            opening_identifies_and_writes_nothing,
            readings_are_of_the_vocabulary_and_never_nan,
            before_it_is_open_nothing_is_written,
            a_wrong_serial_number_is_never_written_to,
            read_only_is_hard,
            the_specification_can_be_lived_by,
            what_is_written_is_read_back,
            nonsense_is_refused,
            releasing_is_confirmed_and_harmless_twice,
            a_new_session_can_release_what_an_old_one_left,
            somebody_else_is_noticed,
            repeating_is_no_storm,
            a_refusal_is_told_as_one,
            silence_is_no_answer_and_passes,
            refreshed_in_time_a_value_stays,
        )
    }
)
"""Every clause that can be checked from outside, by name."""
