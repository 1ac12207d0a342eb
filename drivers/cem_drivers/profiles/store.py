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


@cache
def _texts() -> Mapping[str, str]:
    return {
        file.name.removesuffix(SUFFIX): file.read_text(encoding="utf-8")
        for file in sorted(files("cem_drivers.profiles").iterdir(), key=lambda file: file.name)
        if file.name.endswith(SUFFIX)
    }


def is_mqtt(source: str) -> bool:
    """Whether a profile describes an MQTT device, seen without parsing it."""
    return 'kinds = ["mqtt"]' in source


def is_ocpp(source: str) -> bool:
    """Whether a profile describes an OCPP charger, seen without parsing it."""
    return 'kinds = ["ocpp"]' in source


def shipped_texts(mqtt: bool) -> dict[str, str]:
    """The shipped profiles' sources by id, of MQTT devices or of Modbus devices."""
    return {name: text for name, text in _texts().items() if is_mqtt(text) is mqtt and not is_ocpp(text)}


def ocpp_texts() -> dict[str, str]:
    """The shipped profiles' sources by id, of OCPP chargers."""
    return {name: text for name, text in _texts().items() if is_ocpp(text)}


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
