"""The owner's requests: kept on disk before they count, ended by their own time."""

from collections.abc import Callable
from datetime import datetime

from cem.model.errors import CemError
from cem.model.request import RequestKind, UserRequest
from cem.ports import Clock, Drop, Json, Put, StateKind, StateStore

MOST = 100  # nobody asks for more at once; a flood must not fill the disk


class RequestBook:
    """What the owner asked for and has not ended yet."""

    def __init__(self, store: StateStore, clock: Clock, wake: Callable[[], None]) -> None:
        self._store = store
        self._clock = clock
        self._wake = wake
        self._requests: dict[str, UserRequest] = {}

    async def restore(self) -> None:
        """Loads what was asked for before the restart."""
        now = self._clock.now().wall
        rows = await self._store.load(StateKind.REQUEST)
        found = [_decoded(key, row) for key, row in rows.items()]
        self._requests = {r.id: r for r in found if r is not None and now < r.until}

    def in_force(self) -> tuple[UserRequest, ...]:
        """The requests that have not ended."""
        now = self._clock.now().wall
        return tuple(request for request in self._requests.values() if now < request.until)

    async def add(self, request: UserRequest) -> None:
        """Accepts a request: on disk first. A newer one for the same resource replaces the older; ended ones go."""
        now = self._clock.now().wall
        gone = [
            known.id
            for known in self._requests.values()
            if known.resource_id == request.resource_id or known.until <= now
        ]
        if len(self._requests) - len(gone) >= MOST:
            raise CemError(f"there are already {MOST} requests; end one first")
        await self._store.commit([*(Drop(StateKind.REQUEST, i) for i in gone), _row(request)])
        for request_id in gone:
            del self._requests[request_id]
        self._requests[request.id] = request
        self._wake()

    async def end(self, request_id: str) -> bool:
        """Ends a request before its time; False if there is none of that id."""
        if request_id not in self._requests:
            return False
        await self._store.commit([Drop(StateKind.REQUEST, request_id)])
        del self._requests[request_id]
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
        },
    )


def _decoded(key: str, row: Json) -> UserRequest | None:
    if not isinstance(row, dict):
        return None
    return UserRequest(
        key,
        str(row["resource"]),
        RequestKind(str(row["kind"])),
        datetime.fromisoformat(str(row["until"])),
        datetime.fromisoformat(str(row["made_at"])),
        str(row["by"]),
    )
