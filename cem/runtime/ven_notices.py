"""How a provider's VTN tells us that something changed: over its broker, by calling us back, else by polling alone.

Whatever arrives is a hint to fetch. Polling goes on beneath all of it.
"""

import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote, urlsplit

from cem.model.provider import Notify, Provider
from cem.ports import BrokerLogin, NoticeTopics
from cem.runtime.ven_client import UNDERSTOOD_NOT, VtnClient, VtnFailure, object_path
from cem.sgcp.callbacks import answer
from cem.wire import openadr3 as wire
from cem.wire.http import HttpRequest, HttpResponse

_LOG = logging.getLogger(__name__)
_NOT_OFFERED = (UNDERSTOOD_NOT, 400, 401, 403, 404, 405, 409, 422, 501)
"""What leaves us with polling alone, whose link may be good."""
_MOST_TOPICS = 200
_OBJECTS = (wire.ObjectType.EVENT, wire.ObjectType.PROGRAM, wire.ObjectType.RESOURCE, wire.ObjectType.VEN)
_OPERATIONS = (wire.Operation.CREATE, wire.Operation.UPDATE, wire.Operation.DELETE)


class Callback(Protocol):
    """A server of our own that a VTN calls back."""

    async def start(self, answer: Callable[[HttpRequest], Awaitable[HttpResponse]]) -> None:
        """Listens; raises OSError where it can't."""

    async def stop(self) -> None:
        """Closes the socket."""


@dataclass(frozen=True, slots=True)
class Ears:
    """What this gateway can listen with; None: not at all.

    `shown` are the fingerprints of the certificates that a VTN of OpenADR 2.0b may show; none: whoever is in front of
    the callback knows who may send.
    """

    topics: NoticeTopics | None = None
    callback: Callback | None = None
    shown: tuple[str, ...] = ()


class Notices:
    """One provider's notifications. `hint` is called whenever something may have changed."""

    def __init__(self, provider: Provider, client: VtnClient, ears: Ears, hint: Callable[[], None]) -> None:
        self._provider = provider
        self._client = client
        self._ears = ears
        self._hint = hint
        self._token = secrets.token_urlsafe(32)
        self._listening: tuple[str, ...] = ()
        self._serving = False
        self._subscribed: wire.SubscriptionRequest | None = None
        self._subscription_id = ""
        self._told = ""

    async def ensure(self, ven_id: str | None, programs: Sequence[str], targets: Sequence[str]) -> None:
        """Subscribes by the best way that both ends have; raises VtnFailure only where the link itself failed.

        `programs` are the ids of those that we see, `targets` what was granted to us.
        """
        if self._provider.notify is Notify.POLL or (self._ears.topics is None and self._ears.callback is None):
            return
        try:
            offered = await self._client.one(wire.Notifiers, "/notifiers")
            way = self._way(offered)
            if way is Notify.MQTT and offered is not None and offered.mqtt is not None:
                await self._listen(offered.mqtt, ven_id, programs)
            elif way is Notify.WEBHOOK:
                await self._subscribe(targets)
            self._tell("" if way is not Notify.POLL else "the provider offers no notifications that we can take")
        except VtnFailure as fault:
            if fault.status not in _NOT_OFFERED:
                raise
            self._tell(fault.detail)

    async def close(self) -> None:
        """Stops listening."""
        if self._ears.topics is not None:
            await self._ears.topics.stop()
        if self._ears.callback is not None:
            await self._ears.callback.stop()

    def _way(self, offered: wire.Notifiers | None) -> Notify:
        wanted = self._provider.notify
        mqtt = offered is not None and offered.mqtt is not None and self._ears.topics is not None
        if mqtt and wanted in (Notify.AUTO, Notify.MQTT):
            return Notify.MQTT
        # a VTN of an earlier edition has no /notifiers and takes subscriptions all the same
        webhook = (offered is None or offered.webhook) and self._ears.callback is not None
        return Notify.WEBHOOK if webhook and wanted in (Notify.AUTO, Notify.WEBHOOK) else Notify.POLL

    # --- the provider's broker ---------------------------------------------------------------------------------

    async def _listen(self, offer: wire.MqttNotifier, ven_id: str | None, programs: Sequence[str]) -> None:
        topics = await self._topics(ven_id, programs)
        if topics == self._listening or self._ears.topics is None:
            return
        if not topics:
            self._tell("the provider has a broker and names no topics for us")
            return

        async def login() -> BrokerLogin:
            return await self._login(offer)

        self._listening = topics
        await self._ears.topics.start(topics, login, self._hint, self._connection)

    async def _topics(self, ven_id: str | None, programs: Sequence[str]) -> tuple[str, ...]:
        """Our own events and programs where the VTN has topics of vens, else the events of each program."""
        found: dict[str, None] = {}
        base = "/notifiers/mqtt/topics"
        own = [] if ven_id is None else [f"{base}/vens/{quote(ven_id, safe='')}/{what}" for what in _OF_VENS]
        for path in own:
            found.update(dict.fromkeys(await self._named(path)))
        if not found:
            for path in [f"{base}/programs", *(f"{base}/programs/{quote(p, safe='')}/events" for p in programs)]:
                found.update(dict.fromkeys(await self._named(path)))
        return tuple(found)[:_MOST_TOPICS]

    async def _named(self, path: str) -> list[str]:
        try:
            answered = await self._client.one(wire.NotifierTopics, path)
        except VtnFailure as fault:
            if fault.status not in _NOT_OFFERED:
                raise
            return []
        if answered is None:
            return []
        one = answered.topics
        return [one.all] if one.all else [topic for topic in (one.create, one.update, one.delete) if topic]

    async def _login(self, offer: wire.MqttNotifier) -> BrokerLogin:
        how = offer.authentication
        if how.method == "OAUTH2_BEARER_TOKEN":
            name = (how.username or "{clientID}").replace("{clientID}", self._provider.client_id)
            return BrokerLogin(offer.uris, name, await self._client.token(), how.ca_cert)
        if how.method == "CERTIFICATE":
            return BrokerLogin(offer.uris, None, None, how.ca_cert, how.client_cert, how.client_key)
        return BrokerLogin(offer.uris, ca_pem=how.ca_cert)

    def _connection(self, fault: str) -> None:
        if fault:
            self._tell(fault)
        else:
            self._told = ""
            _LOG.info("%s: notifications over its broker", self._provider.id)

    # --- our own callback --------------------------------------------------------------------------------------

    async def _subscribe(self, targets: Sequence[str]) -> None:
        if self._ears.callback is None:
            return
        if not self._serving:
            try:
                await self._ears.callback.start(self._called)
            except OSError as error:
                self._tell(f"the callback can't be listened for: {error.strerror or error}")
                return
            self._serving = True
        own = self._provider
        entry = wire.ObjectOperation(
            objects=_OBJECTS, operations=_OPERATIONS, callback_url=own.callback_url, bearer_token=self._token
        )
        wanted = wire.SubscriptionRequest(client_name=own.ven_name, object_operations=(entry,), targets=tuple(targets))
        listed = await self._client.every(wire.Subscription, "/subscriptions", {"clientName": own.ven_name})
        held = next((s for s in listed.items if _is_ours(s, own)), None)
        if held is not None and held.id == self._subscription_id and wanted == self._subscribed:
            return
        if held is None:
            made = await self._client.post(wire.Subscription, "/subscriptions", wanted)
        else:  # the token is new with each start of ours
            made = await self._client.put(wire.Subscription, object_path("subscriptions", held.id), wanted)
        self._subscribed, self._subscription_id = wanted, made.id
        _LOG.info("%s: notifications by calling us back at %s", own.id, own.callback_url)

    async def _called(self, request: HttpRequest) -> HttpResponse:
        response, notification = answer(request, urlsplit(self._provider.callback_url).path, self._token)
        if notification is not None:
            self._hint()
        return response

    def _tell(self, fault: str) -> None:
        if fault and fault != self._told:
            _LOG.warning("%s: no notifications, polling each %g s: %s", self._provider.id, self._provider.poll_s, fault)
        self._told = fault


_OF_VENS = ("events", "programs", "resources")


def _is_ours(subscription: wire.Subscription, own: Provider) -> bool:
    return subscription.client_name == own.ven_name and any(
        entry.callback_url == own.callback_url for entry in subscription.object_operations
    )
