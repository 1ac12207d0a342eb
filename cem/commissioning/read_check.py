"""The read check: the right device answers, and what it tells can be true."""

import asyncio
from collections.abc import Mapping

from cem.commissioning.bench import Bench
from cem.commissioning.plausible import awaited, counters_back, faults, missing
from cem.commissioning.result import Result, Step, Verdict
from cem.model.errors import DeviceError
from cem.model.reading import Value
from cem.model.resource import POINTS, Contact, Resource

COMPLETE_WITHIN_S = 15.0
"""A device that pushes may need this long until everything has arrived once."""
BETWEEN_S = 1.0
SHOWN = (
    *(contact.value for contact in Contact),
    "power_w",
    "soc_pct",
    "state",
    "voltage_v",
    "voltage_l1_v",
    "frequency_hz",
    "limit_a",
    "import_wh",
    "energy_wh",
)

Values = Mapping[str, Mapping[str, Value]]


async def identify(bench: Bench) -> Result:
    """Connects; passed when the configured serial number answers."""
    config = bench.config
    try:
        identity = await bench.open()
    except DeviceError as error:
        return Result(
            Step.IDENTIFY,
            config.id,
            config.id,
            Verdict.FAILED,
            str(error),
            "check power, cable, address and serial number",
        )
    values = {"maker": identity.maker, "model": identity.model, "serial": identity.serial, "version": identity.version}
    seen = f"{identity.maker} {identity.model}, serial number {identity.serial or 'not told'}"
    return Result(Step.IDENTIFY, config.id, config.id, Verdict.PASSED, seen, values=values)


async def check_reading(bench: Bench, fuse_w: float) -> list[Result]:
    """One result per resource of an open device."""
    try:
        first = await _complete_round(bench)
        await asyncio.sleep(BETWEEN_S)
        values = await bench.values()
    except DeviceError as error:
        advice = "look at the link: cable, address, another client that holds the device"
        return [
            Result(Step.READ, bench.config.id, resource.id, Verdict.FAILED, str(error), advice)
            for resource in bench.config.resources
        ]
    return [
        _judged(bench, resource, first.get(resource.id, {}), values.get(resource.id, {}), fuse_w)
        for resource in bench.config.resources
    ]


async def _complete_round(bench: Bench) -> Values:
    """Readings of every point that is waited for; what there is after COMPLETE_WITHIN_S, or of one that complains."""
    until_s = bench.context.monotonic() + COMPLETE_WITHIN_S
    values: Values = await bench.values()
    while (
        bench.complaint is None
        and bench.context.monotonic() < until_s
        and any(awaited(resource, values.get(resource.id, {})) for resource in bench.config.resources)
    ):
        await asyncio.sleep(BETWEEN_S)
        values = await bench.values()
    return values


def _judged(
    bench: Bench, resource: Resource, first: Mapping[str, Value], values: Mapping[str, Value], fuse_w: float
) -> Result:
    lost = missing(resource, values)
    device_id, complaint = bench.config.id, bench.complaint
    wrong = [*faults(resource, values, fuse_w), *counters_back(resource, first, values)]
    if lost:
        wrong.insert(0, f"{', '.join(lost)} missing")
    if wrong:
        advice = "the profile or the register order is wrong for this device, or it is faulty; do not steer by it"
        if lost and complaint is not None:
            wrong[0], advice = f"{wrong[0]}: {complaint.says}", complaint.do
        return Result(Step.READ, device_id, resource.id, Verdict.FAILED, "; ".join(wrong), advice, dict(values))
    return Result(Step.READ, device_id, resource.id, Verdict.PASSED, in_words(resource, values), values=dict(values))


def in_words(resource: Resource, values: Mapping[str, Value]) -> str:
    """The telling points of a resource: 'power -3000 W, voltage 231 V'."""
    return ", ".join(point_in_words(resource, point, values[point]) for point in SHOWN if point in values)


def point_in_words(resource: Resource, point: str, value: Value) -> str:
    """One point: 'power -3000 W', 'state C', 'soc unknown'."""
    unit = POINTS[resource.role].get(point, "")
    name = point.rpartition("_")[0] if unit else point
    if value is None:
        return f"{name} unknown"
    if isinstance(value, str):
        return f"{name} {value}"
    return f"{name} {value:.0f} {unit}" if abs(value) >= 1000 else f"{name} {value:.4g} {unit}"
