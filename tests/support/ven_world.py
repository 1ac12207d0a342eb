"""What the tests of the VEN side share: instants, wire objects, a store in memory."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from cem.model.event import EventInterval, GridEvent, SignalKind
from cem.model.provider import Programme, Provider
from cem.model.time import Instant
from cem.ports import Drop, Json, Put, StateKind
from cem.wire.openadr3 import Event, Program, validate

T0 = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)


def at(seconds: float, trusted: bool = True) -> Instant:
    """The instant `seconds` after T0 on both clocks."""
    return Instant(T0 + timedelta(seconds=seconds), 1000.0 + seconds, trusted)


def wall(seconds: float) -> datetime:
    """The wall time `seconds` after T0."""
    return T0 + timedelta(seconds=seconds)


def utility(**changes: Any) -> Provider:
    """A mandatory provider with a default import limit and short times."""
    fields: dict[str, Any] = {
        "id": "utility",
        "url": "http://127.0.0.1:1/openadr3/3.1.0",
        "ven_name": "house-1",
        "client_id": "ven-1",
        "client_secret": "secret-of-ven-1",
        "programmes": (Programme("dimming", mandatory=True),),
        "default_import_limit_w": 4200.0,
    }
    return Provider(**{**fields, **changes})


def retailer(**changes: Any) -> Provider:
    """A voluntary provider of prices."""
    fields: dict[str, Any] = {
        "id": "retailer",
        "url": "http://127.0.0.1:2",
        "ven_name": "house-1",
        "client_id": "",
        "programmes": (Programme("tariff"),),
    }
    return Provider(**{**fields, **changes})


def grid_event(
    event_id: str,
    *intervals: tuple[float, float | None, Mapping[SignalKind, float]],
    provider: Provider | None = None,
    version: int = 1,
    priority: int = 100,
    received: float = 0.0,
    targets: tuple[str, ...] = (),
) -> GridEvent:
    """An event whose intervals are (start s, end s, signals) after T0."""
    provider = provider or utility()
    return GridEvent(
        id=event_id,
        provider_id=provider.id,
        name=event_id,
        programme_id=provider.programmes[0].name,
        modification=f"{wall(version).isoformat(timespec='microseconds')}#{version}",
        priority=priority,
        mandatory=provider.programmes[0].mandatory,
        intervals=tuple(EventInterval(wall(s), None if e is None else wall(e), dict(k)) for s, e, k in intervals),
        received_at=wall(received),
        targets=targets,
    )


def wire_program(name: str = "dimming", **more: Any) -> Program:
    """A program as a VTN lists it."""
    return validate(Program, {"id": f"p-{name}", "programName": name, **more})


def wire_event(event_id: str = "e1", program: str = "dimming", **more: Any) -> Event:
    """An event as a VTN lists it."""
    body = {"id": event_id, "programID": f"p-{program}", "modificationDateTime": "2026-01-15T11:00:00Z", **more}
    return validate(Event, body)


def limit_intervals(*values_kw: float, kind: str = "IMPORT_CAPACITY_LIMIT") -> list[dict[str, Any]]:
    """Intervals of one payload each."""
    return [{"id": n, "payloads": [{"type": kind, "values": [v]}]} for n, v in enumerate(values_kw)]


class MemoryStore:
    """A StateStore in memory that keeps what was committed, as JSON, over a restart of the session."""

    def __init__(self) -> None:
        self.rows: dict[StateKind, dict[str, str]] = {kind: {} for kind in StateKind}
        self.commits: list[list[Put | Drop]] = []
        self.fails = False

    async def load(self, kind: StateKind) -> dict[str, Json]:
        """All rows of a kind."""
        return {key: json.loads(text) for key, text in self.rows[kind].items()}

    async def commit(self, changes: Sequence[Put | Drop]) -> None:
        """All or nothing."""
        if self.fails:
            raise OSError(28, "No space left on device")
        self.commits.append(list(changes))
        for change in changes:
            if isinstance(change, Put):
                self.rows[change.kind][change.key] = json.dumps(change.value, allow_nan=False)
            else:
                self.rows[change.kind].pop(change.key, None)

    async def close(self) -> None:
        """Nothing to finish."""
