"""Replaying recorded ticks through a decision function, today's by default (house, law 12)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from cem.control import decide as decide_today
from cem.control.memory import Memory
from cem.io.frozen_json import decode
from cem.io.journal_file import Chunk, JournalUnreadable, Kind, chunks, files
from cem.io.journal_ticks import Essence, Recorded, TickDecoder, essence
from cem.model.setpoint import Decision
from cem.model.site import Site
from cem.model.tick import Inputs
from cem.model.why import Explanation
from cem.runtime.why import explain

STILL = timedelta(seconds=120)
"""A tick explains so much of the time after it, at most."""
MOST_KEPT = 1000
"""Differences kept with their details; all are counted."""

Decide = Callable[[Site, Inputs, Memory], tuple[Decision, Memory]]


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is decided otherwise than it was."""

    at: datetime
    what: str  # "setpoint battery/battery.setpoint_w", "headline", ...
    recorded: Any
    decided: Any


@dataclass(slots=True)
class Replayed:
    """What came of a replay. `differing` counts the ticks that differ in anything."""

    ticks: int = 0
    differing: int = 0
    began: datetime | None = None
    ended: datetime | None = None
    differences: list[Difference] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Redecided:
    """A recorded tick, decided again from the recorded inputs and the memory that led to it."""

    site: Site
    recorded: Recorded
    decision: Decision


def redecide(
    path: Path, decide: Decide = decide_today, *, since: datetime | None = None, until: datetime | None = None
) -> Iterator[Redecided]:
    """Every recorded tick of a journal (a file, or a folder of them), decided again; raises JournalUnreadable.

    With `since` whole chunks that end before it are left out, with `until` the ticks after it.

    The memory is taken from the record at the begin of each chunk and then goes on by itself, so that a difference
    shows in all that it leads to, and yet ends with its minute.
    """
    for file in files(path):
        site: Site | None = None
        for chunk in chunks(file):
            if chunk.kind is Kind.SITE:
                site = _understood(file, lambda content: decode(Site, content), chunk)
            elif site is not None and not (since is not None and _ended(chunk) < since):
                for tick in _decided(file, site, chunk, decide):
                    if until is not None and tick.recorded.inputs.now.wall > until:
                        return
                    yield tick


def _ended(chunk: Chunk) -> datetime:
    microseconds: int = chunk.content["ticks"][-1]["at"][0]
    return datetime.fromtimestamp(microseconds / 1e6, UTC)


def _decided(file: Path, site: Site, chunk: Chunk, decide: Decide) -> Iterator[Redecided]:
    memory = Memory()
    for recorded in _understood(file, lambda content: list(TickDecoder().ticks(content)), chunk):
        if recorded.memory is not None:
            memory = decode(Memory, recorded.memory)
        decision, memory = decide(site, recorded.inputs, memory)
        yield Redecided(site, recorded, decision)


def _understood(file: Path, read: Callable[[Any], Any], chunk: Chunk) -> Any:
    try:
        return read(chunk.content)
    except (ValueError, KeyError, TypeError) as error:
        raise JournalUnreadable(
            f"{file}: written by a version whose values this one does not know ({error}); replay it with that version"
        ) from error


def replay(path: Path, decide: Decide = decide_today) -> Replayed:
    """Decides every recorded tick again and compares; raises JournalUnreadable."""
    result = Replayed()
    for tick in redecide(path, decide):
        at = tick.recorded.inputs.now.wall
        result.ticks += 1
        result.began = result.began or at
        result.ended = at
        found = list(compared(at, tick.recorded.decided, essence(tick.decision)))
        result.differing += bool(found)
        result.differences += found[: MOST_KEPT - len(result.differences)]
    return result


def tick_at(path: Path, at: datetime, longest: timedelta = STILL) -> Explanation | None:
    """The tick that held at an instant, explained with what it came of; None where none is recorded so near.

    Only the chunks around the instant are decided again. Raises JournalUnreadable.
    """
    found: Redecided | None = None
    for file in files(path):
        if file.stem > f"{at.astimezone(UTC):%Y%m%dT%H}" and path.is_dir():
            break
        for tick in redecide(file, partial(decide_today, explained=True), since=at - longest, until=at):
            found = tick
    if found is None or at - found.recorded.inputs.now.wall > longest:
        return None
    return explain(found.site, found.recorded.inputs, found.decision, "replay journal")


def compared(at: datetime, recorded: Essence, decided: Essence) -> Iterator[Difference]:
    """What differs between two decisions."""
    for key in sorted((recorded.keys() | decided.keys()) - {"setpoints"}):
        if recorded.get(key) != decided.get(key):
            yield Difference(at, key, recorded.get(key), decided.get(key))
    before, after = recorded.get("setpoints", {}), decided.get("setpoints", {})
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) != after.get(key):
            yield Difference(at, f"setpoint {key}", before.get(key), after.get(key))
