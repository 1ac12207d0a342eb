"""The limits that really hold for this gateway: of the VTNs' own events, the contract, and the agreed fallback."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from cem.model.provider import Provider
from cem.model.site import Site
from cem.ports import HttpAnswer
from cem.simulation.grid import MemoryVtn
from cem.simulation.oracle.seen import TrueLimit

SIDES = {"import": "IMPORT_CAPACITY_LIMIT", "export": "EXPORT_CAPACITY_LIMIT"}
SETTLE_S = 60.0
"""From the acceptance of a limit until it must be kept to."""
TICKS = 3.0
RAMP_S = 10.0
"""A limit whose start was known before must be kept to so soon after it: three ticks of 1 s and the devices' own delay.

Likewise one that holds at once when the wall clock is set, or is no longer or again to be trusted.
"""
_SECONDS = re.compile(r"PT(\d+)S")


@dataclass(frozen=True, slots=True)
class _Window:
    """One interval of an event that the gateway was given."""

    side: str
    start: datetime
    end: datetime
    limit_w: float


@dataclass(slots=True)
class _Line:
    """What went over the line to one VTN."""

    provider: Provider
    vtn: MemoryVtn
    heard_s: float | None = None  # the last answer that was delivered
    accepted_s: dict[str, float] = field(default_factory=dict)  # event id -> when it was delivered first
    windows: dict[str, tuple[_Window, ...]] = field(default_factory=dict)  # as they were delivered last


class GridTruth:
    """Listens on every line between gateway and VTN. `limits` gives what must be kept to.

    Interpretation: an event counts from its first delivery before its end, by a clock that the gateway trusts, and no
    longer once the VTN has taken it back; one that was delivered less than a minute before its start must be kept to a
    minute after its delivery. One that was taken back while nobody heard of it need not be kept to, but is what the
    gateway goes by: no fallback holds beside it.
    """

    def __init__(self, site: Site, lines: Mapping[str, tuple[Provider, MemoryVtn]], step_s: float = 1.0) -> None:
        self._site = site
        self._ramp_s = RAMP_S + TICKS * (step_s - 1.0)
        self._at_s = 0.0
        self._wall: datetime | None = None
        self._since: dict[tuple[str, str, float], float] = {}
        self._lines = [_Line(provider, vtn) for provider, vtn in lines.values()]
        for line in self._lines:
            self._listen(line)

    def _listen(self, line: _Line) -> None:
        ask = line.vtn.request

        async def request(
            method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
        ) -> HttpAnswer:
            answer = await ask(method, url, headers=headers, body=body)
            if answer.status < 300:
                line.heard_s = self._at_s
                if method == "GET" and "/events" in url:
                    self._delivered(line)
            return answer

        line.vtn.request = request  # type: ignore[method-assign]

    def _delivered(self, line: _Line) -> None:
        found = {str(event["id"]): tuple(_windows(event)) for event in line.vtn.events()}
        standing = {
            event_id: windows
            for event_id, windows in found.items()
            if event_id in line.accepted_s or self._wall is None or any(w.end > self._wall for w in windows)
        }
        for event_id in standing:
            line.accepted_s.setdefault(event_id, self._at_s)
        line.windows = standing

    def restarted(self, at_s: float, died_s: float | None, *, rebooted: bool) -> None:
        """A new gateway knows what the former one accepted, but has heard nobody yet, unless in this very instant.

        Where only the gateway was started anew, and the line was not silent when the former one died, what was heard
        holds as if the line had been silent for just so long that it would be probed.
        """
        for line in self._lines:
            if line.heard_s is None or line.heard_s == self._at_s:
                continue
            stale_s = line.provider.stale_after_s()
            good = not rebooted and died_s is not None and died_s - line.heard_s < stale_s
            line.heard_s = at_s - stale_s if good else None

    def limits(
        self,
        side: str,
        at_s: float,
        wall: datetime,
        *,
        trusted: bool,
        started_s: float | None,
        wired: Sequence[tuple[str, float]] = (),
    ) -> tuple[TrueLimit, ...]:
        """Every limit of a side that holds now, with the second from which on it must be kept to. `wired`: sources and
        limits that contacts signal."""
        self._at_s, self._wall = at_s, wall if trusted else None
        found: list[tuple[str, float, float]] = [(source, limit, 0.0) for source, limit in wired]  # source, limit, due
        contract = self._site.connection.import_limit_w if side == "import" else self._site.connection.export_limit_w
        if contract is not None:
            found.append(("contract", contract, 0.0))
        for line in self._lines:
            found += self._of(line, side, wall, trusted=trusted)
        if not found and not self._since:
            return ()
        begun = (started_s or 0.0) + SETTLE_S
        keys = {(source, side, limit) for source, limit, _ in found}
        self._since = {k: v for k, v in self._since.items() if k[1] != side or k in keys}
        return tuple(
            TrueLimit(
                limit, max(due, begun, self._since.setdefault((source, side, limit), at_s) + self._ramp_s), source
            )
            for source, limit, due in found
        )

    def strictest_w(self, side: str, wall: datetime, *, trusted: bool) -> float:
        """The strictest limit but the contract's at that time, as things stand now; infinite where there is none."""
        found = [limit_w for line in self._lines for _, limit_w, _ in self._of(line, side, wall, trusted=trusted)]
        return min(found, default=math.inf)

    def _of(self, line: _Line, side: str, wall: datetime, *, trusted: bool) -> list[tuple[str, float, float]]:
        if not line.provider.mandatory:
            return []
        at_s, name = self._at_s, line.provider.id
        standing = {str(event["id"]) for event in line.vtn.events()}
        found = []
        stored = False
        for event_id, windows in line.windows.items() if trusted else ():
            for window in windows:
                if window.side != side or not window.start <= wall < window.end:
                    continue
                stored = True
                if event_id in standing:
                    begun_s = at_s - (wall - window.start).total_seconds()
                    due = max(begun_s + self._ramp_s, line.accepted_s[event_id] + SETTLE_S)
                    found.append((name, window.limit_w, due))
        default = line.provider.default_import_limit_w if side == "import" else line.provider.default_export_limit_w
        lost_s = 2 * line.provider.stale_after_s()
        heard_s = line.heard_s
        silent = heard_s is None or at_s - heard_s > lost_s
        if default is not None and (not trusted or (silent and not stored)):
            due = (heard_s + lost_s + SETTLE_S) if heard_s is not None and trusted else at_s
            found.append((f"{name} fallback", default, due))
        return found


def _windows(event: Mapping[str, Any]) -> list[_Window]:
    """The limits in an event as our own operator writes it: intervals of equal length, one after the other."""
    period = event["intervalPeriod"]
    match = _SECONDS.fullmatch(str(period["duration"]))
    if match is None:
        return []
    step, start = timedelta(seconds=int(match[1])), datetime.fromisoformat(str(period["start"]))
    return [
        _Window(side, start + i * step, start + (i + 1) * step, float(payload["values"][0]))
        for i, interval in enumerate(event["intervals"])
        for payload in interval["payloads"]
        for side, kind in SIDES.items()
        if payload["type"] == kind
    ]
