"""The pure VTN of OpenADR 2.0b over a store on disk, without sockets: what a VEN says, and a restart."""

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cem.io.object_store import ObjectStore
from cem.sgcp.vtn.objects import Change, Objects
from cem.sgcp.vtn2b.handler import Post, Vtn2b
from cem.sgcp.vtn2b.operator import Operator
from cem.sgcp.vtn2b.parties import Admitted, Config2b
from cem.wire.http import HttpRequest
from cem.wire.openadr2b import decode, encode
from cem.wire.openadr2b.messages import CreatedEvent, CreatePartyRegistration, Message, Poll
from cem.wire.openadr2b.parts import EiEvent, EventResponse, QualifiedEventId, Response
from cem.wire.openadr3 import format_datetime
from support.oadr2b import assert_valid

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
VENS = (Admitted("ven-1", "house-1", "AA"), Admitted("ven-2", "house-2", "BB"))


class Desk:
    """A VTN in a folder, its clock, and the VEN ven-1 in front of it. Whatever it says is valid by the schemas."""

    def __init__(self, folder: Path) -> None:
        self.now = NOON
        self._folder = folder
        self._ids = itertools.count()
        self._open()

    def _open(self) -> None:
        self._store = ObjectStore.open(self._folder)
        self.objects = Objects(self._store.load())
        self.vtn = Vtn2b(Config2b(VENS, new_id=lambda: f"o{next(self._ids)}"), self.objects)

    def restart(self) -> None:
        """The VTN ends and is started again; what it had in memory is gone."""
        self.close()
        self._open()

    def close(self) -> None:
        self._store.close()

    def keep(self, changes: tuple[Change, ...]) -> None:
        """Stores changes and takes them in, as the service does."""
        self._store.commit(changes)
        self.objects.apply(changes)

    def later(self, **span: float) -> None:
        self.now += timedelta(**span)

    def say(self, message: Message, ven: int = 0, service: str | None = None, fault: str | None = None) -> Any:
        """The answer to a message of a VEN."""
        fingerprint = VENS[ven].fingerprint
        answer, changes = self.vtn.respond(message, service or message.SERVICE, fingerprint, self.now, fault)
        self.keep(changes)
        body = encode(answer)
        assert_valid(body)
        return decode(body)

    def register(self, **more: Any) -> Any:
        fields: dict[str, Any] = {
            "request_id": "r",
            "profile": "2.0b",
            "transport": "simpleHttp",
            "report_only": False,
            "xml_signature": False,
            "ven_name": "house-1",
        }
        return self.say(CreatePartyRegistration(**{**fields, **more}))

    def poll(self) -> Any:
        return self.say(Poll(ven_id="ven-1"))

    def order(self, method: str, path: str, body: bytes = b"", query: tuple[tuple[str, str], ...] = ()) -> Any:
        """What the operator is answered; raises RefusedRequest."""
        request = HttpRequest(method, f"/openadr2b/vens{path}", query, body=body)
        answer, changes = Operator(self.vtn.orders).respond(request, self.now)
        self.keep(changes)
        return answer

    def answer(self, event: EiEvent, opt: str = "optIn", code: str = "200", number: int | None = None) -> Any:
        """The VEN's oadrCreatedEvent to an event."""
        descriptor = event.descriptor
        version = QualifiedEventId(
            event_id=descriptor.event_id,
            modification_number=descriptor.modification_number if number is None else number,
        )
        response = EventResponse(code=code, request_id="d", event=version, opt_type=opt)
        return self.say(CreatedEvent(response=Response(code=code, request_id="d"), answers=(response,), ven_id="ven-1"))

    def posted(self, *, arrives: bool = True) -> Post | None:
        """The next message that is posted to ven-1; it arrives or not."""
        post, changes = self.vtn.to_post("ven-1", self.now)
        self.keep(changes)
        if post is not None:
            assert_valid(encode(post.message))
            if arrives:
                self.keep(self.vtn.posted(post, self.now)[1])
        return post

    def took(self, post: Post, answer: Message) -> Any:
        """What the VEN answered to a posted message comes to."""
        taken, changes = self.vtn.take(post, answer, self.now)
        self.keep(changes)
        return taken

    def limit(self, kw: float = 4.2, event_id: str = "e1", hours: float = 1, **more: Any) -> None:
        """Makes an event that limits the import, or changes it."""
        old = self.objects.get("EVENT", event_id)
        stamp = format_datetime(self.now)
        if self.objects.get("PROGRAM", "p") is None:
            body = {"id": "p", "objectType": "PROGRAM", "createdDateTime": stamp, "modificationDateTime": stamp}
            self.keep((Change("PROGRAM", "p", {**body, "programName": "dimming"}),))
        start = format_datetime(NOON) if old is None else old["intervalPeriod"]["start"]
        event = {
            "id": event_id,
            "objectType": "EVENT",
            "createdDateTime": stamp if old is None else old["createdDateTime"],
            "modificationDateTime": stamp,
            "programID": "p",
            "eventName": "evening",
            "intervalPeriod": {"start": start, "duration": f"PT{round(hours * 60)}M"},
            "intervals": [{"id": 0, "payloads": [{"type": "IMPORT_CAPACITY_LIMIT", "values": [kw]}]}],
            **more,
        }
        self.keep((Change("EVENT", event_id, event),))

    def delete(self, event_id: str = "e1") -> None:
        self.keep((Change("EVENT", event_id, None),))


def versions(message: Any) -> list[tuple[str, int, str]]:
    """The events of a message: id, modification number, status."""
    return [(e.descriptor.event_id, e.descriptor.modification_number, e.descriptor.status) for e in message.events]
