"""The memory that has to outlive a restart: when what was switched, and which reserve was reached.

Monotonic times mean nothing to another process, so ages are kept. The time between the last saving and the restart is
not counted, as the clock cannot be trusted to tell it: minimum times hold for longer rather than for too short.
"""

from datetime import datetime
from typing import TypeAlias

from cem.control.memory import LONG_AGO_S, ChargerMemory, Imposed, Memory, Release, SwitchMemory
from cem.control.tuning import SWITCHED_LOST_S
from cem.model.envelope import Rank
from cem.model.resource import SgReady
from cem.model.time import Instant
from cem.model.values import replace

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"
FORMAT = 1
LOCK_SAVED_S = 60.0
"""So often it is worth a write how long a heat pump has been locked today."""


def to_json(memory: Memory, now: Instant) -> dict[str, Json]:
    """The lasting part as JSON types. To be kept whenever `lasting(memory)` changes."""

    def age(at_s: float) -> Json:
        return None if at_s == LONG_AGO_S else max(0.0, round(now.mono_s - at_s, 1))

    return {
        "format": FORMAT,
        "reserve_locked": [*sorted(memory.reserve_locked)],
        "chargers": {
            key: {
                "limit_a": c.limit_a,
                "switched_ago_s": age(c.switched_at_s),
                "closed": c.closed,
                "least_a": c.least_a,
                "phases": c.phases,
                "phases_ago_s": age(c.phases_at_s),
            }
            for key, c in sorted(memory.chargers.items())
        },
        "switches": {
            key: {"state": s.state, "switched_ago_s": age(s.switched_at_s), "locked_s": s.locked_s, "day": s.day}
            for key, s in sorted(memory.switches.items())
        },
        "voltage_seen": memory.voltage_seen,
        "grid_back_ago_s": None if memory.grid_back_at_s is None else age(memory.grid_back_at_s),
        "grid_back": memory.grid_back,
        "imposed": {
            side: {
                "limit_w": limit.limit_w,
                "source": limit.source,
                "rank": int(limit.rank),
                "until": None if limit.until is None else limit.until.isoformat(),
                "spread": limit.spread,
            }
            for side, limit in sorted(memory.imposed.items())
        },
        "begun_w": dict(sorted(memory.begun_w.items())),
        "releases": [
            {
                "side": r.side,
                "limit_w": r.limit_w,
                "source": r.source,
                "ago_s": age(r.since_s),
                "delay_s": r.delay_s,
                "ramp_w_per_s": r.ramp_w_per_s,
                "firm": r.firm,
            }
            for r in memory.releases
        ],
    }


def from_json(document: Json, now: Instant) -> Memory:
    """The memory of a former run; an empty one where the document is not ours. Never raises."""
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        return Memory()

    def at(row: dict[str, Json], key: str) -> float:
        age = row.get(key)
        return now.mono_s - age if isinstance(age, int | float) else LONG_AGO_S

    chargers = {
        key: ChargerMemory(
            _number(row.get("limit_a")),
            at(row, "switched_ago_s"),
            least_a=_number(row.get("least_a")),
            phases=int(_number(row["phases"])) if _is_number(row.get("phases")) else None,
            phases_at_s=at(row, "phases_ago_s"),
            closed=row.get("closed") is True,
            met=False,
        )
        for key, row in _rows(document.get("chargers"))
    }
    switches = {
        key: SwitchMemory(
            int(_number(row.get("state"))),
            at(row, "switched_ago_s"),
            locked_s=_number(row.get("locked_s")),
            day=int(_number(row.get("day"))),
        )
        for key, row in _rows(document.get("switches"))
    }
    locked = document.get("reserve_locked")
    begun = document.get("begun_w")
    back = at(document, "grid_back_ago_s")
    return Memory(
        reserve_locked=frozenset(str(item) for item in locked) if isinstance(locked, list) else frozenset(),
        chargers=chargers,
        switches=switches,
        voltage_seen=document.get("voltage_seen") is True,
        grid_back_at_s=None if back == LONG_AGO_S else back,
        grid_back=str(document.get("grid_back", "")),
        begun_w={k: _number(v) for k, v in begun.items() if _is_number(v)} if isinstance(begun, dict) else {},
        imposed={side: _imposed(row) for side, row in _rows(document.get("imposed"))},
        releases=tuple(
            Release(
                str(row.get("side")),
                _number(row.get("limit_w")),
                str(row.get("source")),
                at(row, "ago_s"),
                _number(row.get("delay_s")),
                _number(row["ramp_w_per_s"]) if _is_number(row.get("ramp_w_per_s")) else None,
                firm=row.get("firm") is True,
            )
            for row in _list(document.get("releases"))
        ),
    )


def locked_on(memory: Memory, passed_s: float | None) -> Memory:
    """The memory with what heat pumps that were left locked have been locked for since it was written, `passed_s` ago
    (None: nobody knows): no longer than their contacts' own timers let them, whenever the former run ended."""
    on_s = SWITCHED_LOST_S if passed_s is None else min(passed_s, SWITCHED_LOST_S)
    switches = {
        key: replace(one, locked_s=one.locked_s + on_s) if one.state == SgReady.LOCKED else one
        for key, one in memory.switches.items()
    }
    return replace(memory, switches=switches)


def _imposed(row: dict[str, Json]) -> Imposed:
    until = row.get("until")
    try:
        end = datetime.fromisoformat(until) if isinstance(until, str) else None
        rank = Rank(int(_number(row.get("rank"))))
    except ValueError:  # another version's: the limit counts, without its end and as the weakest
        end, rank = None, Rank.PROGRAMME
    aware = end if end is not None and end.tzinfo is not None else None
    spread = row.get("spread") is True
    return Imposed(_number(row.get("limit_w")), str(row.get("source")), rank, aware, spread)


def lasting(memory: Memory) -> tuple[object, ...]:
    """What of the memory is worth a write: it changes with each switching, not with each tick."""
    return (
        memory.reserve_locked,
        {k: (c.limit_a > 0.0, c.switched_at_s, c.closed, c.phases, c.least_a) for k, c in memory.chargers.items()},
        {k: (s.state, s.switched_at_s, s.locked_s // LOCK_SAVED_S) for k, s in memory.switches.items()},
        memory.grid_back_at_s,
        dict(memory.imposed),
        memory.releases,
        dict(memory.begun_w),
        memory.voltage_seen,
    )


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: Json) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _list(value: Json) -> list[dict[str, Json]]:
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def _rows(value: Json) -> list[tuple[str, dict[str, Json]]]:
    return [(k, v) for k, v in value.items() if isinstance(v, dict)] if isinstance(value, dict) else []
