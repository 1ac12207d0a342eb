"""Where profile files are, and what is wrong with one."""

import importlib.util
import tomllib
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from pydantic import ValidationError

from hw_sim.profiled.tables import Profile

SUFFIX = ".toml"
ROLES = {
    "grid": None,
    "pv": "pv",
    "battery": "battery",
    "ev": "ev",
    "heat_pump": "heat_pump",
    "load": "relay_load",
}
"""The table of a home file in which the plant of a role stands; the grid is always there."""
CONTROLS = {
    "battery.setpoint_w": "battery",
    "pv.limit_w": "pv",
    "ev.limit_a": "ev",
    "heat_pump.sg_ready": "heat_pump",
    "load.on": "relay_load",
}
"""The controls that act on a plant here, and its table."""


class ProfileError(Exception):
    """A profile that can't be served; `faults` says why, each with its path in the file."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = list(faults)


def catalogue() -> Path | None:
    """The folder of the installed drivers' profiles, if there is one. It is looked for, not imported."""
    spec = importlib.util.find_spec("cem_drivers")
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    return next((folder for place in places if (folder := Path(place) / "profiles").is_dir()), None)


def path_of(name: str, folders: Sequence[str | Path]) -> Path:
    """The file of a profile: a path that ends in .toml, else an id that is looked for in the folders, then in the
    catalogue. Raises ProfileError."""
    if name.endswith(SUFFIX):
        path = Path(name)
        if not path.is_file():
            raise ProfileError([f"no file '{name}'"])
        return path
    own = catalogue()
    places = [Path(folder) for folder in folders] + ([own] if own is not None else [])
    for place in places:
        if (path := place / f"{name}{SUFFIX}").is_file():
            return path
    known = sorted({path.stem for place in places if place.is_dir() for path in place.glob(f"*{SUFFIX}")})
    near = get_close_matches(name, known, 1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known) or 'none'}"
    raise ProfileError([f"no profile '{name}'; {hint}"])


@cache
def read_profile(path: Path) -> Profile:
    """The profile of a file. Raises ProfileError with every fault."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as exc:
        raise ProfileError([f"can't be read: {exc}"]) from exc
    except tomllib.TOMLDecodeError as exc:
        raise ProfileError([f"not TOML: {exc}"]) from exc
    if "mqtt" in table.get("link", {}).get("kinds", ()):
        raise ProfileError(["speaks MQTT; only Modbus devices are served by their profile"])
    try:
        profile = Profile.model_validate(table)
    except ValidationError as exc:
        raise ProfileError([f"{_path(e['loc'])}: {e['msg']}" for e in exc.errors()]) from exc
    faults = list(_faults(profile))
    if faults:
        raise ProfileError(faults)
    return profile


def _path(loc: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in loc) or "profile"


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """What may have been meant, or what is known."""
    near = get_close_matches(word, known, 1, cutoff=0.6)
    return f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known) or 'none'}"


def _faults(profile: Profile) -> Iterator[str]:
    for index, role in enumerate(profile.roles):
        if role not in ROLES:
            yield f"roles.{index}: no role '{role}'; {did_you_mean(role, [*ROLES])}"
    yield from _value_faults(profile)
    for index, control in enumerate(profile.control):
        if control.id not in CONTROLS:
            yield f"control.{index}.id: no control '{control.id}'; {did_you_mean(control.id, [*CONTROLS])}"
        elif not any(row.moves for row in control.write):
            yield f'control.{index}.write: nothing carries "$setpoint"'


def _value_faults(profile: Profile) -> Iterator[str]:
    names = [row.id for row in profile.rows]
    for table, rows in (("value", profile.value), ("point", profile.point)):
        for index, row in enumerate(rows):
            if row.exponent is not None and row.exponent not in names:
                yield f"{table}.{index}.exponent: no value '{row.exponent}'; {did_you_mean(row.exponent, names)}"
    known = list(names)
    for index, derived in enumerate(profile.derive):
        if not derived.sources:
            yield f"derive.{index}: no rule that is known here"
        for source in derived.sources:
            if source not in known:
                yield f"derive.{index}: no value '{source}'; {did_you_mean(source, known)}"
        known.append(derived.id)
