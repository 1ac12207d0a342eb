"""Seeded bugs: each is one text of the product replaced by another, and the invariant that must notice.

Run as a program with the folder of a copy of the product in front of the module path, it plays scenario files, and
prints what was broken as JSON.
"""

import json
import logging
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "tests" / "oracle" / "mutants"
COPIED = ("cem", "drivers", "hw-sim", "tests/support", "tests/oracle/mutants")
PATHS = ("", "drivers", "hw-sim", "tests")
LONGEST_S = 120.0  # for one scenario, on a loaded machine too


@dataclass(frozen=True, slots=True)
class Mutant:
    """One seeded bug, and the scenario under which `trips` must be broken."""

    name: str
    file: str
    old: str
    new: str
    trips: str
    scenario: str
    slow: bool = False
    also: tuple[tuple[str, str, str], ...] = ()  # (file, old, new): a bug behind which a second guard stands


def mutants() -> tuple[Mutant, ...]:
    """The list."""
    raw = tomllib.loads((FOLDER / "mutants.toml").read_text(encoding="utf-8"))
    return tuple(Mutant(**table | {"also": tuple(map(tuple, table.get("also", ())))}) for table in raw["mutant"])


def copied(folder: Path) -> Path:
    """A copy of the product and of what judges it."""
    for part in COPIED:
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    return folder


def mutate(folder: Path, mutant: Mutant) -> dict[Path, str]:
    """Puts the bug into a copy; the files' former texts. Raises ValueError where a text is not there exactly once."""
    former: dict[Path, str] = {}
    for file, old, new in ((mutant.file, mutant.old, mutant.new), *mutant.also):
        path = folder / file
        text = path.read_text(encoding="utf-8")
        if text.count(old) != 1:
            raise ValueError(
                f"{mutant.name}: {file} has {text.count(old)} times {old!r}, allowed is 1; "
                "the code has moved on: write the bug anew"
            )
        former.setdefault(path, text)
        path.write_text(text.replace(old, new), encoding="utf-8")
    return former


def tripped(folder: Path, scenarios: Sequence[str]) -> dict[str, list[str]]:
    """What is broken in each scenario when the copy runs, in words; a run that ends by itself is "crash"."""
    path = os.pathsep.join(str(folder / part) for part in PATHS)
    done = subprocess.run(
        [sys.executable, "-B", "-m", "support.oracle_mutant", *scenarios],
        capture_output=True,
        text=True,
        timeout=LONGEST_S * len(scenarios),
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    if done.returncode != 0:
        return {scenario: [f"crash: {done.stderr[-800:]}"] for scenario in scenarios}
    said: dict[str, list[str]] = json.loads(done.stdout)
    return said


def broken(name: str) -> list[str]:
    """What is broken in one scenario, the twin run of it included, in words."""
    from cem.simulation.play import play
    from cem.simulation.scenario import open_scenario

    played = play(open_scenario(FOLDER / f"{name}.toml"))
    return [str(violation) for violation in played.violations] + [f"expected {words}" for words in played.missed]


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    sys.stdout.write(json.dumps({name: broken(name) for name in sys.argv[1:]}))
