"""What a step of commissioning came to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType


class Verdict(StrEnum):
    """How a step ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"  # could not be tried; `seen` says why


class Step(StrEnum):
    """The steps, in the order in which a device goes through them."""

    IDENTIFY = "identify"
    READ = "read"
    WRITE = "write"
    RELEASE = "release"
    SIGN = "sign"


@dataclass(frozen=True, slots=True)
class Result:
    """One step's result. `seen` is what was found, in words with units; `advice` what can be done, empty when well."""

    step: Step
    device_id: str
    subject: str  # resource id, or resource id and control
    verdict: Verdict
    seen: str
    advice: str = ""
    values: Mapping[str, float | str | None] = field(default_factory=lambda: MappingProxyType({}))
