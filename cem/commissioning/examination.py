"""Goes through all checks of all devices, side by side, then the checks that need several."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from cem.commissioning.bench import Bench
from cem.commissioning.read_check import check_reading, identify
from cem.commissioning.result import Result, Step, Verdict
from cem.commissioning.sign_check import check_sign, pair_of
from cem.commissioning.write_check import check_writing, sun_only
from cem.ports import ControlSpec, DeviceConfig, Driver, DriverContext

OnResult = Callable[[Result], None]


@dataclass(frozen=True, slots=True)
class Scope:
    """What may be tried: writing at all, the step of the battery, and the contacts of the devices in `consent`."""

    write: bool = True
    sign: bool = True
    consent: frozenset[str] = frozenset()  # serial numbers or device ids

    def consents(self, device_id: str, serial: str | None) -> bool:
        """Whether the owner lets this device's contacts be switched for a moment."""
        return device_id in self.consent or serial in self.consent


@dataclass(frozen=True, slots=True)
class Examination:
    """All results, and what each device does when the gateway stops."""

    results: tuple[Result, ...]
    specs: Mapping[str, tuple[ControlSpec, ...]]  # by device id

    def failed_devices(self) -> list[str]:
        """Ids of the devices of which a step failed, each once."""
        return list(dict.fromkeys(r.device_id for r in self.results if r.verdict is Verdict.FAILED))


async def examine(
    configs: Sequence[DeviceConfig],
    drivers: Mapping[str, Driver],
    context: DriverContext,
    fuse_w: float,
    scope: Scope,
    on_result: OnResult = lambda _result: None,
) -> Examination:
    """Checks every device; no device is left controlled or open, however this ends."""
    results: list[Result] = []
    specs: dict[str, tuple[ControlSpec, ...]] = {}
    benches = [Bench(config, drivers[config.driver].device(config, context), context) for config in configs]
    sound: list[Bench] = []

    def tell(result: Result) -> None:
        results.append(result)
        on_result(result)

    try:
        async with asyncio.TaskGroup() as group:
            for bench in benches:
                group.create_task(_examine_one(bench, fuse_w, scope, tell))
        for bench in benches:
            specs[bench.config.id] = tuple(bench.device.controls())
            own = [result for result in results if result.device_id == bench.config.id]
            if all(result.verdict is not Verdict.FAILED for result in own):
                sound.append(bench)
        if scope.write and scope.sign:
            await _examine_sign(benches, sound, sun_only(results), tell)
    finally:
        for bench in benches:
            await bench.close()
    order = [config.id for config in configs]
    results.sort(key=lambda result: order.index(result.device_id) if result.device_id in order else len(order))
    return Examination(tuple(results), specs)


async def _examine_one(bench: Bench, fuse_w: float, scope: Scope, tell: OnResult) -> None:
    identified = await identify(bench)
    tell(identified)
    if identified.verdict is Verdict.FAILED:
        return
    readings = await check_reading(bench, fuse_w)
    for result in readings:
        tell(result)
    why = _why_not_written(bench, scope, readings)
    if why is not None:
        for resource in bench.config.resources:
            for control in sorted(resource.controls):
                name = f"{resource.id} {control}"
                tell(Result(Step.WRITE, bench.config.id, name, Verdict.SKIPPED, f"not written: {why}"))
        return
    for result in await check_writing(bench, scope.consents(bench.config.id, bench.config.serial)):
        tell(result)


def _why_not_written(bench: Bench, scope: Scope, readings: Sequence[Result]) -> str | None:
    if bench.config.read_only:
        return "the device is read only"
    if not scope.write:
        return "a dry run"
    if any(result.verdict is Verdict.FAILED for result in readings):
        return "what cannot be read right is not steered"
    return None


async def _examine_sign(
    benches: Sequence[Bench], sound: Sequence[Bench], by_sun: frozenset[str], tell: OnResult
) -> None:
    if pair_of(list(benches)) is None:
        return
    pair = pair_of(list(sound))
    if pair is None:
        tell(Result(Step.SIGN, "", "grid", Verdict.SKIPPED, "needs a meter and a battery that passed their own checks"))
        return
    for result in await check_sign(replace(pair, charges=pair.battery.id not in by_sun)):
        tell(result)


def if_it_stops(spec: ControlSpec) -> str:
    """What the device does with this control when the gateway stops, in a sentence."""
    head = f"if the gateway stops: {spec.resource_id} {spec.falls_back_to}"
    if spec.device_timeout_s is None:
        return f"{head}; it has no timer of its own, the service's stop command hands it back"
    proof = "proven" if spec.timeout_proven else "as documented, not yet proven"
    return f"{head}; its own timer is {spec.device_timeout_s:g} s ({proof})"
