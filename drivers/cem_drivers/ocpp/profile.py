"""Profiles of OCPP chargers: what a family does otherwise than the standard, as data. An unknown key is a fault."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Literal

from pydantic import Field, field_validator

from cem_drivers.profiles.faults import Fault, did_you_mean, parse
from cem_drivers.profiles.store import OCPP, family_texts, find, shipped
from cem_drivers.profiles.tables import ControlTable, ProfileTable, Table, controls_of

GENERIC = "ocpp.generic"
"""What a charger is taken for that no other profile knows."""


class Link(Table):
    """How it is reached: it calls in."""

    kinds: list[Literal["ocpp"]] = Field(default=["ocpp"], min_length=1)
    port: int = Field(default=8887, ge=1, le=65535)


class Identify(Table):
    """Whom the profile is for: regular expressions that vendor and model of the BootNotification match as a whole.

    `serial_from`: "path" where the charger tells no serial number that lasts; its name in the path is its identity.
    """

    vendor: str = ".*"
    model: str = ".*"
    serial_from: Literal["boot", "path"] = "boot"

    @field_validator("vendor", "model")
    @classmethod
    def _is_a_pattern(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"no regular expression: {error}") from error
        return value


class Quirks(Table):
    """How the family wants to be spoken to; what is left out is the standard."""

    unit: Literal["auto", "A", "W"] = "auto"  # of limits; auto: as the charger says, A where it takes both
    purpose: Literal["TxDefaultProfile", "TxProfile"] = "TxDefaultProfile"  # TxProfile: only within a transaction
    stack_level: int | None = Field(default=None, ge=0, le=1000)  # None: the highest that the charger takes
    number_phases: bool = True  # false: it refuses profiles that name phases
    valid_to: bool = True  # false: it refuses profiles with validTo; their duration ends them
    start_before_s: int = Field(default=60, ge=0, le=600)  # profiles begin so long ago, so that they hold at once
    composite: bool = True  # false: GetCompositeSchedule is refused or wrong, nothing is read back
    trigger: bool = True  # false: TriggerMessage is refused or does harm
    zero_is_connector: bool = False  # true: what it measures on connector 0, the whole charger, is the connector's
    asks_abilities: bool = True  # false: GetConfiguration (GetVariables) is not answered
    limit_step_a: float = Field(default=0.1, gt=0, le=1)  # one decimal is what the standard allows


class Life(Table):
    """Silence longer than `expire_s` is no answer; values older than `every_s` are asked for."""

    every_s: float = Field(default=10, gt=0, le=60)
    expire_s: float = Field(default=45, gt=0, le=600)


class Limit(ControlTable):
    """`ev.limit_a` as a charging profile that ends by itself after `lease_s`."""

    lease_s: int = Field(ge=30, le=900)
    max_a: float = Field(default=80, gt=0, le=80)


class Profile(ProfileTable):
    """One family of chargers. `configure` are keys by their names in 1.6 that are set before the first limit."""

    link: Link = Link()
    identify: Identify = Identify()
    quirks: Quirks = Quirks()
    life: Life = Life()
    configure: dict[str, str] = Field(default={})
    control: list[Limit] = Field(min_length=1, max_length=1)

    @property
    def controls(self) -> list[Limit]:
        """What may be written."""
        return self.control

    @property
    def limit(self) -> Limit:
        """The one control that is a charging profile."""
        return self.control[0]

    def is_for(self, vendor: str, model: str) -> bool:
        """Whether a charger that says so belongs to the family."""
        return bool(re.fullmatch(self.identify.vendor, vendor) and re.fullmatch(self.identify.model, model))


CONFIGURABLE = ("MeterValueSampleInterval", "MeterValuesSampledData")


def _check(profile: Profile) -> Iterator[Fault]:
    if profile.roles != ["ev"]:
        yield Fault(("roles",), f"{profile.roles} seen; allowed: ['ev']")
    limit = profile.limit
    if limit.id != "ev.limit_a":
        yield Fault(
            ("control", 0, "id"), f"{limit.id!r} seen; allowed: ev.limit_a{did_you_mean(limit.id, controls_of(['ev']))}"
        )
    if limit.refresh_s is None or limit.refresh_s > limit.lease_s / 2:
        yield Fault(("control", 0, "refresh_s"), "at most half of lease_s, and never missing: the limit would end")
    if limit.device_timeout_s != limit.lease_s:
        yield Fault(("control", 0, "device_timeout_s"), "must be lease_s: that is when the charger falls back")
    for key in profile.configure:
        if key not in CONFIGURABLE:
            yield Fault(("configure", key), f"is not set by this driver{did_you_mean(key, [*CONFIGURABLE])}")


def parse_profile(source: str) -> tuple[Profile | None, list[str]]:
    """The profile, or None with every fault, each with its line and its path."""
    return parse(source, Profile, _check)


@cache
def shipped_profiles() -> Mapping[str, Profile]:
    """The profiles that come with the product, by id. Raises ValueError if one of them is faulty."""
    return shipped(family_texts(OCPP), parse_profile)


def find_profile(name: str) -> tuple[Profile | None, list[str]]:
    """A profile by its id, or by the path of a site's own file (*.toml); None with every fault, paths included."""
    return find(name, parse_profile, list(family_texts(OCPP)))


def profile_for(vendor: str, model: str) -> Profile:
    """The profile of a charger by what it says of itself; the generic one where no other knows it."""
    profiles = shipped_profiles()
    own = [one for one in profiles.values() if one.id != GENERIC and one.is_for(vendor, model)]
    return own[0] if own else profiles[GENERIC]
