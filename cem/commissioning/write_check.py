"""The write check: set a safe value, read it back, see its effect, hand the control back and see that too."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace

from cem.commissioning.bench import Bench
from cem.commissioning.read_check import point_in_words
from cem.commissioning.result import Result, Step, Verdict
from cem.commissioning.trial import NEVER_TRIED, WITH_CONSENT, Trial, tolerance, trial
from cem.model.errors import DeviceError
from cem.model.resource import Control, Resource
from cem.ports import ControlSpec

HELD_WITHIN_S = 5.0
RELEASED_WITHIN_S = 5.0
LOOK_EVERY_S = 0.5
NOT_EFFECTIVE = "accepted is not effective: check the device's control settings and its mode"
SUN_ONLY = "sun_only"
"""The value of a result by which a battery is known that takes nothing from the grid."""
MAYBE_WITHIN_S = 20.0  # for an effect that need not come


async def check_writing(bench: Bench, consent: bool = False) -> list[Result]:
    """Two results per control of an open device: writing and releasing. The release is tried whatever came before.

    `consent`: the owner lets contacts be switched for a moment, too.
    """
    specs = {(spec.resource_id, spec.control): spec for spec in bench.device.controls()}
    results: list[Result] = []
    for resource in bench.config.resources:
        for control in sorted(resource.controls):
            spec = specs.get((resource.id, control))
            results += (
                [_not_offered(bench, resource, control)] if spec is None else await _try(bench, resource, spec, consent)
            )
    return results


def subject(spec: ControlSpec) -> str:
    """A control as results name it."""
    return f"{spec.resource_id} {spec.control}"


async def _try(bench: Bench, resource: Resource, spec: ControlSpec, consent: bool) -> list[Result]:
    device_id = bench.config.id
    harm = NEVER_TRIED.get(spec.control)
    if harm is not None and not (consent and spec.control in WITH_CONSENT):
        return [Result(Step.WRITE, device_id, subject(spec), Verdict.SKIPPED, f"not tried: {harm}")]
    attempt: Trial | None = None
    try:
        values = (await bench.values()).get(resource.id, {})
        held = await bench.read_back(spec)
        attempt = trial(spec, resource, values, held, consent)
        if attempt is None:
            why = "no safe value can be chosen: the device tells neither what it does nor what it can"
            return [Result(Step.WRITE, device_id, subject(spec), Verdict.SKIPPED, why)]
        written = await _proven(bench, resource, spec, attempt)
    except DeviceError as error:
        advice = "check whether control is allowed in the device's own settings, and that no other system holds it"
        written = Result(Step.WRITE, device_id, subject(spec), Verdict.FAILED, str(error), advice)
    finally:
        released = await _handed_back(bench, spec, attempt)
    return [written, released]


async def _proven(bench: Bench, resource: Resource, spec: ControlSpec, attempt: Trial) -> Result:
    """The result of a trial, or of the other one where this one is kept without an effect."""
    first = await _written(bench, resource, spec, attempt)
    if first.verdict is not Verdict.FAILED or attempt.instead is None or first.advice != NOT_EFFECTIVE:
        return first
    second = await _written(bench, resource, spec, attempt.instead)
    if second.verdict is not Verdict.PASSED:
        return first
    seen = f"{first.seen}: {attempt.why_instead}; {second.seen}"
    return replace(second, seen=seen, values={**second.values, SUN_ONLY: 1.0})


def sun_only(results: Iterable[Result]) -> frozenset[str]:
    """The batteries that followed a discharge and no charge, by resource id."""
    return frozenset(result.subject.split(" ")[0] for result in results if result.values.get(SUN_ONLY))


async def _written(bench: Bench, resource: Resource, spec: ControlSpec, attempt: Trial) -> Result:
    await bench.write(spec, attempt.value)
    near = tolerance(spec, attempt.value)

    async def is_held() -> bool:
        value = await bench.read_back(spec)
        return value is not None and abs(value - attempt.value) <= near

    async def is_effective() -> bool:
        return attempt.shows((await bench.values()).get(spec.resource_id, {}))

    held = await eventually(bench, is_held, HELD_WITHIN_S)
    within_s = min(spec.effect_within_s, MAYBE_WITHIN_S) if attempt.maybe else spec.effect_within_s
    effective = attempt.effect_point is not None and await eventually(bench, is_effective, within_s)
    back = await bench.read_back(spec)
    seen = (await bench.values()).get(spec.resource_id, {}).get(attempt.effect_point or "")
    unit = "" if spec.control in WITH_CONSENT else spec.control.value.rpartition("_")[2].upper()
    told = f"{attempt.words}: read back {'nothing' if back is None else f'{back:.6g} {unit}'.strip()}"
    effect = attempt.why_no_effect
    if attempt.effect_point is not None and (effective or not attempt.maybe):
        effect = point_in_words(resource, attempt.effect_point, seen)
    values = {"value": attempt.value, "read_back": back, "effect": seen}
    if attempt.effect_point is not None and not effective and not attempt.maybe:
        verdict, advice = Verdict.FAILED, NOT_EFFECTIVE
    elif not held and not effective:
        verdict, advice = Verdict.FAILED, "the device does not keep what is written: check its control settings"
    else:
        verdict, advice = Verdict.PASSED, ""
    return Result(Step.WRITE, bench.config.id, subject(spec), verdict, f"{told}, {effect}", advice, values)


async def _handed_back(bench: Bench, spec: ControlSpec, attempt: Trial | None) -> Result:
    """Restores the owner's setting where the device would keep ours, then releases."""
    if attempt is None:
        return await released_result(bench, spec, None)
    trouble = ""
    if attempt.restore is not None:
        try:
            await bench.write(spec, attempt.restore)
        except DeviceError as error:
            trouble = f"the setting before, {attempt.restore:g}, could not be written back: {error}"
    released = await released_result(bench, spec, attempt.value)
    if not trouble or released.verdict is Verdict.FAILED:
        return released
    return replace(released, verdict=Verdict.FAILED, seen=trouble, advice="set it in the device's own app")


async def released_result(bench: Bench, spec: ControlSpec, value: float | None) -> Result:
    """Releases a control that held `value` and confirms it by reading back."""
    back: float | None = None

    async def is_released() -> bool:
        nonlocal back
        back = await bench.read_back(spec)
        return back is None or value is None or abs(back - value) > tolerance(spec, value)

    try:
        await bench.release(spec)
        released = await eventually(bench, is_released, RELEASED_WITHIN_S)
    except DeviceError as error:
        return _stuck(bench, spec, str(error))
    if not released:
        return _stuck(bench, spec, f"still holds {back:.6g} after the release")
    seen = "in its own control again" if back is None else f"in its own control again, holds {back:.6g}"
    return Result(Step.RELEASE, bench.config.id, subject(spec), Verdict.PASSED, seen, values={"read_back": back})


def _stuck(bench: Bench, spec: ControlSpec, seen: str) -> Result:
    timer = f" within {spec.device_timeout_s:g} s" if spec.device_timeout_s is not None else ""
    advice = f"it {spec.falls_back_to}{timer}; if it does not, switch the device off and on, then test again"
    return Result(Step.RELEASE, bench.config.id, subject(spec), Verdict.FAILED, seen, advice)


def _not_offered(bench: Bench, resource: Resource, control: Control) -> Result:
    return Result(
        Step.WRITE,
        bench.config.id,
        f"{resource.id} {control}",
        Verdict.FAILED,
        "the device does not offer this control",
        "take it out of `controls`, or switch remote control on in the device",
    )


async def eventually(bench: Bench, holds: Callable[[], Awaitable[bool]], within_s: float) -> bool:
    """Whether a condition comes true within a time."""
    until_s = bench.context.monotonic() + within_s
    while not await holds():
        if bench.context.monotonic() >= until_s:
            return False
        await asyncio.sleep(LOOK_EVERY_S)
    return True
