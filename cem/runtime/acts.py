"""The owner's acts as the running gateway takes them: what can't be is refused in words, the rest is kept."""

from collections.abc import Sequence
from dataclasses import replace

from cem.model.errors import CemError
from cem.model.provider import Provider
from cem.model.request import RequestKind, UserRequest
from cem.model.site import Site
from cem.ports import Clock
from cem.runtime.board import Board
from cem.runtime.requests import RequestBook
from cem.sgcp.point import ConnectionPoint

STALE_S = 120.0


class OwnersActs:
    """Takes requests in. Opting out of duties, and wishes that nobody could measure, are refused with CemError."""

    def __init__(
        self,
        site: Site,
        providers: Sequence[Provider],
        book: RequestBook,
        point: ConnectionPoint,
        board: Board,
        clock: Clock,
    ) -> None:
        self._site = site
        self._providers = providers
        self._book = book
        self._point = point
        self._board = board
        self._clock = clock

    async def accept(self, request: UserRequest) -> None:
        """Keeps a request on disk and lets it count, or says why not."""
        if request.kind is RequestKind.OPT_OUT and request.event_id is not None:
            self._refuse_duty(request.event_id)
        if request.kind is RequestKind.CHARGE_BY:
            request = self._measurable(request)
        await self._book.add(request)

    def _refuse_duty(self, event_id: str) -> None:
        """An event can be opted out of if it is known and voluntary."""
        now = self._clock.now()
        known = (self._point.events(provider.id, now).get(event_id) for provider in self._providers)
        event = next((found for found in known if found is not None), None)
        if event is None:
            raise CemError(f"no event {event_id!r} is known; cem status lists those that are")
        if event.mandatory:
            raise CemError(
                f"event {event.name} of {event.provider_id} is an obligation (programme {event.programme_id}): "
                "nobody can opt out of it, it is kept to until its end"
            )

    def _measurable(self, request: UserRequest) -> UserRequest:
        """The wish with the session counter of this moment, or CemError where a level can't be reckoned."""
        if request.energy_wh is not None:
            snapshot = self._board.freeze(self._clock.now().mono_s)
            counted = snapshot.number(request.resource_id, "session_wh", STALE_S)
            return replace(request, session_from_wh=counted or 0.0)
        resource = self._site.resource(request.resource_id)
        if resource.ratings.capacity_wh is None:
            raise CemError(
                f"{resource.name}: the site file does not say how much the car's battery holds (capacity_wh); "
                "ask for an energy instead"
            )
        return request
