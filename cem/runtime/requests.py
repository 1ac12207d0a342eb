"""The owner's requests: kept on disk before they count, ended by their own time."""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any

from cem.model.errors import CemError
from cem.model.request import RequestKind, UserRequest, displaces
from cem.ports import Clock, Drop, Json, Put, StateKind, StateStore
from cem.sgcp.opt.cut import OptOut

log = logging.getLogger(__name__)

TIMES = ("since", "ready_at")
NUMBERS = ("target_soc_pct", "energy_wh", "session_from_wh")
MOST = 100  # nobody asks for more at once; a flood must not fill the disk


class RequestBook:
    """What the owner asked for and has not ended yet."""

    def __init__(self, store: StateStore, clock: Clock, wake: Callable[[], None]) -> None:
        self._store = store
        self._clock = clock
        self._wake = wake
        self._requests: dict[str, UserRequest] = {}
        self._over: set[str] = (
            set()
        )  # what has ended by a clock that is trusted, and does not rise again if that goes back

    async def restore(self) -> None:
        """Loads what was asked for before the restart."""
        now = self._clock.now().wall
        rows = await self._store.load(StateKind.REQUEST)
        found = [_decoded(key, row) for key, row in rows.items()]
        self._requests = {r.id: r for r in found if r is not None and now < r.until}

    def in_force(self) -> tuple[UserRequest, ...]:
        """The requests that have not ended."""
        if not self._requests:
            return ()
        now = self._clock.now()
        ended = [request.id for request in self._requests.values() if request.until <= now.wall]
        if ended and now.trusted:
            self._over.update(ended)
        known = self._requests.values()
        return tuple(request for request in known if request.id not in self._over and now.wall < request.until)

    def read_only(self) -> bool:
        """Whether the owner wants nothing written at all, now."""
        kind = RequestKind.READ_ONLY
        requests = self._requests.values()
        return any(r.kind is kind for r in requests) and any(r.kind is kind for r in self.in_force())

    def opted_out(self) -> tuple[OptOut, ...]:
        """What the owner does not take part in."""
        return tuple(
            OptOut(request.since or request.made_at, request.until, request.event_id)
            for request in self.in_force()
            if request.kind is RequestKind.OPT_OUT
        )

    async def add(self, request: UserRequest) -> None:
        """Accepts a request: on disk first. A newer one takes the place of what it displaces; ended ones go."""
        now = self._clock.now().wall
        gone = [
            known.id
            for known in self._requests.values()
            if displaces(request, known) or known.until <= now or known.id in self._over
        ]
        if len(self._requests) - len(gone) >= MOST:
            raise CemError(f"there are already {MOST} requests; end one first")
        await self._store.commit([*(Drop(StateKind.REQUEST, i) for i in gone), _row(request)])
        for request_id in gone:
            del self._requests[request_id]
        self._over.difference_update(gone)
        self._requests[request.id] = request
        self._wake()

    async def end(self, request_id: str) -> bool:
        """Ends a request before its time; False if there is none of that id."""
        if request_id not in self._requests:
            return False
        await self._store.commit([Drop(StateKind.REQUEST, request_id)])
        del self._requests[request_id]
        self._over.discard(request_id)
        self._wake()
        return True


def _row(request: UserRequest) -> Put:
    return Put(
        StateKind.REQUEST,
        request.id,
        {
            "resource": request.resource_id,
            "kind": request.kind.value,
            "until": request.until.isoformat(),
            "made_at": request.made_at.isoformat(),
            "by": request.by,
            **{name: at.isoformat() for name in TIMES if (at := getattr(request, name)) is not None},
            **{name: value for name in (*NUMBERS, "event_id") if (value := getattr(request, name)) is not None},
        },
    )


def _details(row: dict[str, Json]) -> dict[str, Any]:
    """What an act may have beside the rest; ValueError for what is none."""
    found: dict[str, Any] = {name: datetime.fromisoformat(str(row[name])) for name in TIMES if name in row}
    found |= {name: float(str(row[name])) for name in NUMBERS if name in row}
    return found | ({"event_id": str(row["event_id"])} if "event_id" in row else {})


def _times(request: UserRequest) -> tuple[datetime | None, ...]:
    return tuple(getattr(request, name) for name in TIMES)


def _decoded(key: str, row: Json) -> UserRequest | None:
    """The request of a row; None, and logged, for one that another version wrote: it must not stop the start."""
    if not isinstance(row, dict):
        return None
    try:
        request = UserRequest(
            key,
            str(row["resource"]),
            RequestKind(str(row["kind"])),
            datetime.fromisoformat(str(row["until"])),
            datetime.fromisoformat(str(row["made_at"])),
            str(row["by"]),
            **_details(row),
        )
    except (KeyError, ValueError) as error:
        log.warning("the owner's request %s can't be read (%r) and does not count; ask again", key, error)
        return None
    if any(at is not None and at.tzinfo is None for at in (request.until, request.made_at, *_times(request))):
        log.warning("the owner's request %s has a time without a zone and does not count; ask again", key)
        return None
    return request
