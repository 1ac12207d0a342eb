"""Where profiles are: the ones that ship, one file each named by its id, and a site's own beside its site file."""

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

Parse = Callable[[str], tuple[T | None, list[str]]]

SUFFIX = ".toml"
MODBUS, MQTT, OCPP, SERIAL = "modbus", "mqtt", "ocpp", "serial"
"""The formats of profiles, named as their drivers."""


@cache
def _texts() -> Mapping[str, str]:
    return {
        file.name.removesuffix(SUFFIX): file.read_text(encoding="utf-8")
        for file in sorted(files("cem_drivers.profiles").iterdir(), key=lambda file: file.name)
        if file.name.endswith(SUFFIX)
    }


def family_of(source: str) -> str:
    """Which of the formats a profile is written in, seen without parsing it."""
    if 'kinds = ["mqtt"]' in source:
        return MQTT
    if 'kinds = ["ocpp"]' in source:
        return OCPP
    return SERIAL if 'kinds = ["serial"' in source else MODBUS


def family_texts(family: str) -> dict[str, str]:
    """The shipped profiles' sources by id, of one format."""
    return {name: text for name, text in _texts().items() if family_of(text) == family}


def shipped_texts(mqtt: bool) -> dict[str, str]:
    """The shipped profiles' sources by id, of MQTT devices or of Modbus devices."""
    return family_texts(MQTT if mqtt else MODBUS)


def shipped(texts: Mapping[str, str], parse: Parse[T]) -> dict[str, T]:
    """The profiles of these sources, by id; raises ValueError naming every fault if one of them is faulty."""
    profiles: dict[str, T] = {}
    wrong: list[str] = []
    for name, source in texts.items():
        profile, faults = parse(source)
        wrong += [f"{name}{SUFFIX}: {fault}" for fault in faults]
        if profile is not None:
            profiles[name] = profile
    if wrong:
        raise ValueError("\n".join(wrong))
    return profiles


def find(name: str, parse: Parse[T], ids: Sequence[str]) -> tuple[T | None, list[str]]:
    """A profile by its id, or by the path of a site's own file (*.toml); None with every fault."""
    if name.endswith(SUFFIX):
        try:
            source = Path(name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            return None, [f"{name}: can't be read: {error}"]
        profile, faults = parse(source)
        return profile, [f"{name}: {fault}" for fault in faults]
    if name in ids:
        profile, faults = parse(_texts()[name])
        return profile, [f"{name}{SUFFIX}: {fault}" for fault in faults]
    near = get_close_matches(name, ids, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"known profiles: {', '.join(sorted(ids))}"
    return None, [f"no profile {name!r}; {hint}"]
