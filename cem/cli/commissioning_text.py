"""How sightings and results look on a terminal, and as JSON."""

from cem.commissioning.discover import Sighting
from cem.commissioning.result import Result, Step, Verdict
from cem.commissioning.services import KNOWN, place
from cem.commissioning.targets import address
from cem.io.mdns_services import Announced
from cem.model.resource import Ratings
from cem.ports import Found, Json

MARKS = {Verdict.PASSED: "ok  ", Verdict.FAILED: "FAIL", Verdict.SKIPPED: "skip"}
RATING_WORDS = {
    "max_generation_w": "up to {:g} W",
    "max_charge_w": "charges {:g} W",
    "max_discharge_w": "discharges {:g} W",
    "capacity_wh": "{:g} Wh",
    "max_current_a": "{:g} A",
}


def sighting_lines(sighting: Sighting) -> list[str]:
    """What was seen at one address."""
    asked = sighting.link  # a driver says at which unit it found something
    lines = [found_line(address({**found.link, **asked}), found) for found in sighting.found]
    if not lines:
        lines.append(f"{sighting.address}: {sighting.instead or 'nothing that a driver knows'}")
    return lines + [f"{sighting.address}: {trouble}" for trouble in sighting.trouble]


def found_line(where: str, found: Found) -> str:
    """One device in one line."""
    who = " ".join(f"{found.identity.maker} {found.identity.model} {found.identity.version}".split())
    profile = f", profile {found.profile}" if found.profile else ""
    parts = "; ".join(_part(role.value, ratings, sorted(controls)) for role, ratings, controls in found.resources)
    parts = parts or "nothing that plays a role"
    sure = f", {found.confidence:.0%} sure" if found.profile else ""
    serial = found.identity.serial or "not told"
    if (caller := found.details.get("calls_in_as")) is not None:
        where = f"{where}: {caller} calls in"
    return f"{where}: {who}, serial {serial}: {parts} (driver {found.driver}{profile}{sure})"


def advice_lines(found: Found) -> list[str]:
    """What the owner has to do, so that a device that speaks by itself tells all that it can."""
    advice = found.details.get("advice")
    return [f"    {line}" for line in advice] if isinstance(advice, list) else []


def model_lines(found: Found, values: bool = False) -> list[str]:
    """What a driver tells of a device: the models that it describes itself by, and, if wanted, all values read."""
    models = found.details.get("models")
    lines: list[str] = []
    for model in models if isinstance(models, list) else []:
        if not isinstance(model, dict):
            continue
        remark = "; cannot be read" if "unreadable" in model else "; partly unreadable" if "holes" in model else ""
        name = model.get("name", "unknown model")
        lines.append(f"    {model['id']} {name}: {model['length']} registers at {model['address']}{remark}")
        if values:
            lines += _value_lines(model.get("points"))
            groups = model.get("groups")
            for number, group in enumerate(groups if isinstance(groups, list) else [], 1):
                lines += _value_lines(group, f"[{number}]")
    return lines + (_value_lines(found.details.get("values")) if values else [])


def _value_lines(points: Json, prefix: str = "") -> list[str]:
    return [f"        {prefix}{name} = {value}" for name, value in points.items()] if isinstance(points, dict) else []


def _part(role: str, ratings: Ratings, controls: list[str]) -> str:
    words = [text.format(value) for key, text in RATING_WORDS.items() if (value := getattr(ratings, key)) is not None]
    steered = f"steered by {', '.join(controls)}" if controls else "measured"
    return ", ".join([role, *words, steered])


def sighting_json(sighting: Sighting) -> dict[str, Json]:
    """What was seen at one address, as JSON."""
    return {
        "address": sighting.address,
        "link": dict(sighting.link),
        "found": [_found_json(found) for found in sighting.found],
        "trouble": list(sighting.trouble),
        "instead": sighting.instead or None,
    }


def service_json(service: Announced) -> dict[str, Json]:
    """What is announced by mDNS, as JSON."""
    known = KNOWN[service.kind]
    return {
        "address": place(service),
        "service": service.kind,
        "name": service.name,
        "addresses": list(service.addresses),
        "what": known.what(service).removesuffix(":"),
        "further": known.further(service) or None,
        "says": dict(service.says),
    }


def _found_json(found: Found) -> dict[str, Json]:
    return {
        "driver": found.driver,
        "profile": found.profile,
        "maker": found.identity.maker,
        "model": found.identity.model,
        "serial": found.identity.serial,
        "version": found.identity.version,
        "link": dict(found.link),
        "confidence": found.confidence,
        "details": dict(found.details),
        "resources": [
            {
                "role": role.value,
                "ratings": {key: value for key in RATING_WORDS if (value := getattr(ratings, key)) is not None},
                "controls": [control.value for control in sorted(controls)],
            }
            for role, ratings, controls in found.resources
        ],
    }


def result_lines(result: Result) -> list[str]:
    """One step, with what can be done where it failed."""
    who = result.subject if result.step is not Step.IDENTIFY else result.device_id
    lines = [f"{MARKS[result.verdict]} {result.step.value:8} {who}: {result.seen}"]
    if result.advice:
        lines.append(f"     {'':8} {result.advice}")
    return lines
