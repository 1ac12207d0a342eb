"""How sightings and results look on a terminal, and as JSON."""

from cem.commissioning.discover import Sighting
from cem.commissioning.result import Result, Step, Verdict
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
    lines = [found_line(sighting.address, found) for found in sighting.found]
    if not lines:
        lines.append(f"{sighting.address}: nothing that a driver knows")
    return lines + [f"{sighting.address}: {trouble}" for trouble in sighting.trouble]


def found_line(address: str, found: Found) -> str:
    """One device in one line."""
    who = " ".join(f"{found.identity.maker} {found.identity.model} {found.identity.version}".split())
    profile = f", profile {found.profile}" if found.profile else ""
    parts = "; ".join(_part(role.value, ratings, sorted(controls)) for role, ratings, controls in found.resources)
    return f"{address}: {who}, serial {found.identity.serial or 'not told'}: {parts} (driver {found.driver}{profile})"


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
