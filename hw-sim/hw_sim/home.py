"""Home files: TOML to a checked home."""

import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from hw_sim.cross_checks import home_faults
from hw_sim.happenings import FaultKind
from hw_sim.homefile import Home, HomeError
from hw_sim.profiled.find import ROLES, SUFFIX, ProfileError, path_of, read_profile
from hw_sim.profiled.tables import Profile
from hw_sim.specs import PROFILE, DeviceSpec

__all__ = ["FaultKind", "Home", "HomeError", "home_of", "in_words", "load_home", "parse_home", "table_of", "text_of"]


def in_words(error: ValidationError, root: str, model: type[BaseModel] | None = None) -> list[str]:
    """Each fault of a validation with its path; of an unknown key of `model` what may have been meant."""
    return [
        f"{'.'.join(str(part) for part in e['loc']) or root}: {e['msg']}{_meant(e['type'], e['loc'], model)}"
        for e in error.errors()
    ]


def _meant(kind: str, loc: tuple[int | str, ...], model: type[BaseModel] | None) -> str:
    """', did you mean ...?' for an unknown key."""
    if kind != "extra_forbidden" or model is None:
        return ""
    keys = _keys_at(model, loc[:-1])
    near = get_close_matches(str(loc[-1]), keys, 1)
    return f", did you mean '{near[0]}'?" if near else f"; allowed: {', '.join(sorted(keys))}" if keys else ""


def _keys_at(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """The keys that a table inside a file may have."""
    for part in path:
        if isinstance(part, int):
            continue
        field = model.model_fields.get(part)
        inner = (
            [] if field is None else [one for one in (field.annotation, *get_args(field.annotation)) if _is_table(one)]
        )
        if not inner:
            return []
        model = inner[0]
    return [*model.model_fields]


def _is_table(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def home_of(table: dict[str, Any], source: str = "home") -> Home:
    """The home of a parsed TOML table that stands at `source`; raises HomeError with every fault and its path."""
    try:
        home = Home.model_validate(rooted(table, Path(source).parent))
    except ValidationError as exc:
        raise HomeError(source, in_words(exc, "home", Home)) from exc
    home, faults = tied_to_profiles(home)
    faults += home_faults(home)
    if faults:
        raise HomeError(source, faults)
    return home


def rooted(table: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A home's table whose profiles, their folders and recordings are meant as seen from `folder`: made absolute."""

    def absolute(name: object) -> object:
        return str((folder / name).resolve()) if isinstance(name, str) else name

    def recorded(row: object) -> object:
        if not isinstance(row, dict) or not isinstance(spec := row.get("recorded"), dict) or "file" not in spec:
            return row
        return {**row, "recorded": {**spec, "file": absolute(spec["file"])}}

    result = dict(table)
    if "load" in table:
        result["load"] = recorded(table["load"])
    if isinstance(roofs := table.get("pv"), list):
        result["pv"] = [recorded(row) for row in roofs]
    if isinstance(folders := table.get("profiles"), list):
        result["profiles"] = [absolute(one) for one in folders]
    if isinstance(devices := table.get("device"), list):
        result["device"] = [
            {**row, "profile": absolute(row["profile"])}
            if isinstance(row, dict) and str(row.get("profile", "")).endswith(SUFFIX)
            else row
            for row in devices
        ]
    return result


def tied_to_profiles(home: Home) -> tuple[Home, list[str]]:
    """The home whose devices with a profile name its file, their unit and link, and their plants; and what is wrong."""
    devices: list[DeviceSpec] = []
    faults: list[str] = []
    for i, device in enumerate(home.device):
        found = device
        if device.kind == PROFILE and device.profile is not None:
            try:
                path = path_of(device.profile, home.profiles)
                profile = read_profile(path)
            except ProfileError as error:
                name = "" if device.profile.endswith(SUFFIX) else f"'{device.profile}': "
                faults += [f"device.{i}.profile: {name}{fault}" for fault in error.faults]
            else:
                found = _tied(home, device, path, profile)
        devices.append(found)
    return home.model_copy(update={"device": tuple(devices)}), faults


def _tied(home: Home, device: DeviceSpec, path: Path, profile: Profile) -> DeviceSpec:
    tables = {ROLES[role] for role in profile.roles}
    kinds = profile.link.kinds
    given = device.model_fields_set
    return device.model_copy(
        update={
            "profile": str(path.resolve()),
            "unit": device.unit if "unit" in given else profile.link.unit,
            "link": device.link or ("tcp" if "tcp" in kinds or "tls" in kinds else "rtu-tcp"),
            "of": device.of or tuple(spec.id for table, _, spec in home.plants() if table in tables),
        }
    )


def table_of(text: str, source: str) -> dict[str, Any]:
    """The parsed TOML; raises HomeError."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise HomeError(source, [f"not TOML: {exc}"]) from exc


def text_of(path: Path) -> str:
    """A file's text; raises HomeError."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise HomeError(str(path), [f"can't be read: {exc}"]) from exc


def parse_home(text: str, source: str = "home") -> Home:
    """The home of a TOML text; raises HomeError with every fault and its path."""
    return home_of(table_of(text, source), source)


def load_home(path: Path) -> Home:
    """The home of a file; raises HomeError, also where the file can't be read."""
    return parse_home(text_of(path), str(path))
