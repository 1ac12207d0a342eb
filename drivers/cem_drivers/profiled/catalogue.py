"""The profiles of Modbus devices: those that ship, read one at a time, and a site's own."""

from collections.abc import Mapping
from functools import cache

from cem_drivers.profiled.checks import check
from cem_drivers.profiled.schema import Profile
from cem_drivers.profiles.faults import parse
from cem_drivers.profiles.store import find, shipped, shipped_texts


def parse_profile(source: str) -> tuple[Profile | None, list[str]]:
    """The profile, or None with every fault, each with its line and its path."""
    return parse(source, Profile, check)


def profile_ids() -> list[str]:
    """The ids of those that ship."""
    return list(shipped_texts(mqtt=False))


@cache
def shipped_profiles() -> Mapping[str, Profile]:
    """All that ship, by id. Raises ValueError naming every fault if one of them is faulty."""
    return shipped(shipped_texts(mqtt=False), parse_profile)


@cache
def _shipped(name: str) -> tuple[Profile | None, list[str]]:
    return find(name, parse_profile, profile_ids())


def find_profile(name: str) -> tuple[Profile | None, list[str]]:
    """A profile by its id, or by the path of a site's own file (*.toml); None with every fault, paths included."""
    return find(name, parse_profile, profile_ids()) if name.endswith(".toml") else _shipped(name)
