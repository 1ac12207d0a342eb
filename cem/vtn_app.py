"""The composition of a VTN: its pure core, its store, its socket, and the ways to callbacks, broker and network."""

import asyncio
import logging
import secrets
import ssl
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from cem.config.sitefile import VtnSite
from cem.io.broker_accounts import BrokerAccounts
from cem.io.callback_guard import CallbackGuard, Network
from cem.io.clock import SystemClock
from cem.io.http_server import HttpServer
from cem.io.mdns_announcement import Announcement, MdnsAnnouncement, host_name, own_addresses
from cem.io.mqtt_publisher import Broker, MqttPublisher
from cem.io.object_store import ObjectStore
from cem.io.revocation import RevocationLists
from cem.io.tls import pinning_context, server_context
from cem.io.token_key import token_key
from cem.io.ven_poster import VenPoster
from cem.io.webhooks import Webhooks
from cem.model.errors import GridError
from cem.runtime.vtn import VtnService
from cem.runtime.vtn2b import Vtn2bService
from cem.runtime.vtn2b_push import RETRY_AFTER_S
from cem.sgcp.vtn.handler import BASE_PATH, Figures, Vtn, VtnConfig
from cem.sgcp.vtn.objects import Objects
from cem.sgcp.vtn.tokens import GATEWAY, Client, Role
from cem.sgcp.vtn.topics import MqttLogin, MqttOffer
from cem.sgcp.vtn2b.handler import Vtn2b
from cem.sgcp.vtn2b.parties import Admitted, Config2b
from cem.wire.http import HttpRequest, HttpResponse
from cem.wire.openadr2b.signature import Signer

_log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class VtnSettings:
    """What a VTN is run with. Without `data` objects are kept in memory; `mdns_name` None announces nothing."""

    clients: tuple[Client, ...]
    host: str = "127.0.0.1"
    port: int = 0
    data: Path | None = None
    tls: ssl.SSLContext | None = None
    public_url: str = ""
    webhook_networks: tuple[Network, ...] = ()
    webhook_tls: ssl.SSLContext | None = None
    broker: Broker | None = None
    mqtt: MqttOffer | None = None  # as clients are told of the broker
    mdns_name: str | None = None
    vens_2b: tuple[Admitted, ...] = ()  # VENs of OpenADR 2.0b
    signer_2b: Signer | None = None  # messages of 2.0b are signed both ways
    push_tls_2b: ssl.SSLContext | None = (
        None  # with our certificate, for VENs that are pushed to and have a fingerprint
    )
    push_retry_after_s_2b: tuple[float, ...] = RETRY_AFTER_S
    poll_every_2b: timedelta = timedelta(seconds=10)
    report_every_2b: timedelta = timedelta(seconds=60)
    refusal: Callable[[bytes], str] | None = None  # why a client's certificate does not count any longer


@dataclass(frozen=True, slots=True)
class RunningVtn:
    """A VTN that listens: its port, its base URL as this machine reaches it, and its way in without a socket."""

    port: int
    url: str
    service: VtnService
    both: Vtn2bService | None = None  # where VENs of 2.0b are served too

    async def exchange(self, request: HttpRequest) -> HttpResponse:
        """The answer to a request."""
        return await (self.service if self.both is None else self.both).exchange(request)

    async def look(self, read: Callable[[Objects, Mapping[str, datetime]], T]) -> T:
        """What a reading makes of its objects, and of when each client was last heard."""
        heard_2b = {} if self.both is None else self.both.heard
        return await self.service.look(lambda objects, heard: read(objects, {**heard, **heard_2b}))

    async def figures(self) -> Figures:
        """What it holds now."""
        return await self.service.figures()


def domain_vtn(site: VtnSite, data: Path, secret: str) -> AbstractAsyncContextManager[RunningVtn]:
    """The VTN that a site file asks for, which admits the gateway itself too, as GATEWAY with this secret.

    Raises OSError and GridError for certificates that can't be used, and as `running_vtn` does.
    """
    broker = site.broker
    login = MqttLogin.OAUTH2_BEARER_TOKEN if broker is not None and broker.by_token else MqttLogin.ANONYMOUS
    authorities = site.callback_ca_file
    clients = [Client(one.id, one.secret, Role.BL if one.business else Role.VEN) for one in site.clients]
    settings = VtnSettings(
        (*clients, Client(GATEWAY, secret, Role.BL)),
        site.host,
        site.port,
        data,
        _tls(site),
        site.public_url,
        site.callback_networks,
        None if authorities is None else ssl.create_default_context(cafile=authorities),
        None if broker is None else Broker(broker.uri, broker.user, broker.password_file, broker.ca_file),
        None if broker is None else MqttOffer(broker.public_uris, login, broker.prefix),
        site.mdns_name,
        tuple(Admitted(one.id, one.name, one.fingerprint) for one in site.vens_2b),
        _signer(site),
        _pushing(site),
        refusal=_refusal(site),
    )
    return running_vtn(settings)


def _tls(site: VtnSite) -> ssl.SSLContext | None:
    if site.certificate_file is None:
        return None
    files = (site.certificate_file, site.key_file, site.client_ca_file)
    return server_context(*files, legacy_suites=site.legacy_suites)


def _pushing(site: VtnSite) -> ssl.SSLContext | None:
    """To VENs that messages are posted to."""
    if site.client_ca_file is None:
        return None
    files = (site.certificate_file, site.key_file, site.client_ca_file)
    return pinning_context(*files, legacy_suites=site.legacy_suites)


def _signer(site: VtnSite) -> Signer | None:
    if not site.sign_2b or site.certificate_file is None:
        return None
    try:
        return Signer((site.key_file or site.certificate_file).read_bytes(), site.certificate_file.read_text())
    except ValueError as error:
        raise GridError(f"nothing can be signed with {site.key_file}: {error}") from error


def _refusal(site: VtnSite) -> Callable[[bytes], str] | None:
    if site.crl_file is None or site.client_ca_file is None:
        return None
    clock = SystemClock()
    try:
        return RevocationLists(site.crl_file, site.client_ca_file, lambda: clock.now().wall).refusal
    except ValueError as error:
        raise GridError(str(error)) from error


@asynccontextmanager
async def running_vtn(settings: VtnSettings) -> AsyncIterator[RunningVtn]:
    """Runs a VTN; raises StoreError, OSError and GridError when it can't start."""
    clock = SystemClock()
    store = ObjectStore.open(settings.data)
    try:
        config = VtnConfig(
            clients=settings.clients,
            new_id=lambda: uuid.uuid4().hex,
            new_salt=lambda: secrets.token_urlsafe(9),
            token_key=token_key(settings.data),
            public_url=settings.public_url,
            mqtt=settings.mqtt,
        )
        guard = CallbackGuard(settings.webhook_networks)
        webhooks = Webhooks(guard, tls=settings.webhook_tls)
        publisher = None if settings.broker is None else MqttPublisher(settings.broker)
        accounts = _accounts(settings, publisher)
        changed = asyncio.Event()
        objects = Objects(store.load())
        service = VtnService(
            Vtn(config, objects),
            store.commit,
            lambda: clock.now().wall,
            webhooks,
            publisher,
            accounts,
            changed.set,
        )
        old = Config2b(
            settings.vens_2b,
            new_id=lambda: uuid.uuid4().hex,
            poll_every=settings.poll_every_2b,
            report_every=settings.report_every_2b,
        )
        both = Vtn2bService(
            Vtn2b(old, objects),
            service,
            lambda: clock.now().wall,
            settings.signer_2b,
            VenPoster(guard, settings.webhook_tls, settings.push_tls_2b, settings.refusal),
            settings.push_retry_after_s_2b,
        )
        exchange = both.exchange if settings.vens_2b else service.exchange
        server = HttpServer(exchange, tls=settings.tls, refusal=settings.refusal)
        here = f"[{settings.host}]" if ":" in settings.host else settings.host
        if publisher is not None:
            publisher.start()
        if accounts is not None:
            accounts.start((client.id, client.role is Role.BL) for client in settings.clients)
        try:
            port = await server.start(settings.host, settings.port)
            beside = [asyncio.create_task(_announce(settings, port, service, changed))]
            if settings.vens_2b:
                beside.append(asyncio.create_task(both.run()))
            for task in beside:
                task.add_done_callback(_say_why)
            try:
                scheme = "http" if settings.tls is None else "https"
                yield RunningVtn(
                    port, f"{scheme}://{here}:{port}{BASE_PATH}", service, both if settings.vens_2b else None
                )
            finally:
                for task in beside:
                    task.cancel()
                await asyncio.gather(*beside, return_exceptions=True)
        finally:
            await server.stop()
            await webhooks.close()
            await service.close()
            if accounts is not None:
                await accounts.stop()
            if publisher is not None:
                await asyncio.to_thread(publisher.stop)
    finally:
        store.close()


def _say_why(task: asyncio.Task[None]) -> None:
    """Says loudly when something ended that works as long as the VTN does."""
    error = None if task.cancelled() else task.exception()
    if error is not None:
        _log.critical("the VTN goes on without %s: %s", task.get_coro(), error, exc_info=error)


def _accounts(settings: VtnSettings, publisher: MqttPublisher | None) -> BrokerAccounts | None:
    """Where clients log in at the broker with their tokens, the accounts there are ours to keep."""
    offer, broker = settings.mqtt, settings.broker
    if publisher is None or broker is None or offer is None or offer.login is MqttLogin.ANONYMOUS:
        return None
    if broker.username is None:
        raise GridError("to keep the clients' accounts at the broker a user of our own is needed")
    return BrokerAccounts(publisher, offer.prefix)


async def _announce(settings: VtnSettings, port: int, service: VtnService, changed: asyncio.Event) -> None:
    """Announces the VTN while it runs; without mDNS it goes on all the same, and says so."""
    if settings.mdns_name is None:
        return
    try:
        announcement = MdnsAnnouncement(
            Announcement(
                settings.mdns_name,
                host_name(),
                port,
                settings.tls is not None,
                BASE_PATH,
                own_addresses(settings.host),
                await service.program_names(),
            )
        )
        await announcement.start()
    except (OSError, ValueError, GridError) as error:
        _log.warning("not announced in the local network: %s; VENs need the address", error)
        return
    try:
        while True:
            await changed.wait()
            changed.clear()
            await announcement.rename_programs(await service.program_names())
    finally:
        await announcement.stop()
