"""The composition: the only place that builds objects and ties them together."""

import asyncio
import gc
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime
from random import Random, SystemRandom
from zoneinfo import ZoneInfo

from cem.config.sitefile import SiteFile
from cem.io.clock import SystemClock
from cem.io.database import boot_id
from cem.io.history import HistoryJournal
from cem.io.http_client import AiohttpClient
from cem.io.local_api import LocalApi
from cem.io.mdns_locator import MdnsLocator
from cem.io.notify import ServiceManager
from cem.io.plan_worker import WorkerPlanner
from cem.io.replay_journal import REPLAY_FOLDER, ReplayJournal
from cem.io.state_store import SqliteStateStore
from cem.io.tariffs import price_source
from cem.model.market import PriceService
from cem.model.provider import Provider
from cem.model.resource import Role
from cem.model.status import DomainStatus, EnergyToday, Status
from cem.model.why import Explanation
from cem.ports import (
    Clock,
    DeviceConfig,
    Driver,
    DriverContext,
    History,
    Http,
    Journal,
    Planner,
    PriceSource,
    StateStore,
    TickRecorder,
    Watchdog,
)
from cem.provider_ways import CertificateWatch, ears_for, envelope_for, http_to
from cem.runtime.acts import OwnersActs
from cem.runtime.board import Board
from cem.runtime.contacts import ContactWatch
from cem.runtime.contained import contained
from cem.runtime.decisions import DecisionLog
from cem.runtime.device import DeviceTask
from cem.runtime.domain import DomainTask, OpenVtn
from cem.runtime.domain_steering import DomainSteering
from cem.runtime.forecast_book import ForecastBook
from cem.runtime.grid_log import GridLog
from cem.runtime.kept import DriverKeep
from cem.runtime.loop import ControlLoop, Ticked
from cem.runtime.needs import sated
from cem.runtime.plan_book import PlanBook
from cem.runtime.planner import PlannerTask
from cem.runtime.remember import MemoryKeeper
from cem.runtime.requests import RequestBook
from cem.runtime.status import StatusSource, Trouble
from cem.runtime.tariff import TariffTask
from cem.runtime.ven import VenSession
from cem.runtime.ven2b import Ven2bSession
from cem.runtime.ven2b_client import Envelope, Plain
from cem.runtime.ven_client import Locate
from cem.runtime.ven_notices import Ears
from cem.runtime.ven_settlement import Books
from cem.runtime.waiting import Beat
from cem.runtime.why import explain
from cem.sgcp.bindings.openadr2b_signals import House
from cem.sgcp.point import ConnectionPoint
from cem.sgcp.reports.outlook import Outlook
from cem.sgcp.reports.virtual_resource import group_resource
from cem.vtn_app import domain_vtn

log = logging.getLogger(__name__)

PRICES_TIMEOUT_S = 30.0
HAND_BACK_S = 5.0  # all devices together; each has two seconds of its own
YOUNG = 20_000
"""Objects made since, and not freed by their count, before cycles are looked for. A tick makes thousands, hardly one in
a cycle; looking for them as often as Python does by itself takes a tenth of the processor time."""


@dataclass(frozen=True, slots=True)
class World:
    """Everything outside that a gateway needs: real in `cem run`, in memory and virtual in a simulation."""

    clock: Clock
    store: StateStore
    journal: Journal
    history: History
    planner: Planner | None
    http: Callable[[Provider], Http]
    watchdog: Watchdog
    drivers: Mapping[str, Driver]
    context: DriverContext
    today: Callable[[datetime], EnergyToday]
    disk_troubles: Callable[[], Sequence[str]]
    certificate_troubles: Callable[[datetime], Sequence[Trouble]] = lambda _now: ()
    envelope: Callable[[Provider], Envelope] = lambda _provider: Plain()  # of its messages, OpenADR 2.0b alone
    locate: Callable[[Provider], Locate | None] = lambda _provider: None  # where the site file names no address
    ears: Callable[[Provider], Ears] = lambda _provider: Ears()  # what its notifications are listened for with
    local_api: bool = True
    recorder: TickRecorder | None = None
    prices: Callable[[PriceService], PriceSource] | None = None  # of a dynamic tariff; None: nobody can be asked
    vtn: Callable[[str], AbstractAsyncContextManager[OpenVtn]] | None = None  # for a domain below; None: there is none
    chance: Random = field(default_factory=SystemRandom)  # back-off and offsets
    boot: str = ""  # names this start of the machine; '': nobody can tell


class Gateway:
    """One running gateway: `run` until `stop`."""

    def __init__(self, site_file: SiteFile, world: World) -> None:
        site = site_file.site
        self._world = world
        self._site_file = site_file
        self._stopping = asyncio.Event()
        self.board = Board()
        self._beat = Beat()
        self.devices = [self._device_task(config) for config in site_file.devices]
        self.point = ConnectionPoint(
            site_file.providers,
            resources=frozenset(resource.id for resource in site.resources),
            groups={group.id: [site.resource(name) for name in group.members] for group in site.groups},
            currency=site.tariff.currency,
            zone=site.zone,
            boot=world.boot,
        )
        self.contacts = ContactWatch(site, self.point, self.board, world.store, world.clock, self._grid_changed)
        self.tariff = self._tariff_task()
        self.domain = None if world.vtn is None else DomainTask(world.vtn, world.clock)
        self._grid = self.tariff or self.contacts
        self._clients = [world.http(provider) for provider in site_file.providers]
        self.sessions = [
            self._session(provider, http) for provider, http in zip(site_file.providers, self._clients, strict=True)
        ]
        self.requests = RequestBook(world.store, world.clock, self._will_changed)
        self.acts = OwnersActs(site, site_file.providers, self.requests, self.point, self.board, world.clock)
        self.board.owner_watches = self.requests.read_only
        self.planning = None if world.planner is None else self._planner_task(world.planner)
        self.decisions = DecisionLog(world.store, site)
        self.grid_log = GridLog(world.store)
        self.keeper = MemoryKeeper(world.store, world.boot)
        self.loop = ControlLoop(
            site,
            self.board,
            world.clock,
            self._grid,
            world.journal,
            world.watchdog,
            devices=self.devices,
            sessions=self.sessions,
            plan=lambda: self.planning.plan if self.planning is not None else None,
            requests=self.requests.in_force,
            on_decision=self._decided,
            recorder=world.recorder,
            tick_s=site_file.tick_s,
        )
        self.steering = None if self.domain is None else self._steering(self.domain)
        self.status_source = StatusSource(
            site,
            self.loop,
            self.devices,
            today=world.today,
            troubles=self._troubles,
            read_only=site_file.read_only,
            tariff=lambda now: None if self.tariff is None else self.tariff.status(now),
            domain=self._domain_status,
        )

    def _steering(self, domain: DomainTask) -> DomainSteering:
        return DomainSteering(
            domain,
            self._site_file.site,
            self._world.clock,
            lambda: self.contacts.directive(self._world.clock.now()),
            lambda: self.loop.last,
            self.sessions,
            60.0 if self._site_file.vtn is None else self._site_file.vtn.lost_after_s,
        )

    def _domain_status(self) -> DomainStatus | None:
        if self.domain is None or self.steering is None:
            return None
        return replace(self.domain.status(), members=self.steering.members())

    def _tariff_task(self) -> TariffTask | None:
        world, dynamic = self._world, self._site_file.dynamic
        if dynamic is None or world.prices is None:
            return None
        return TariffTask(
            self._site_file.site,
            dynamic,
            world.prices(dynamic.service),
            self.contacts,
            world.store,
            world.clock,
            world.chance,
            self._grid_changed,
        )

    def _device_task(self, config: DeviceConfig) -> DeviceTask:
        world = self._world
        context = replace(world.context, keep=DriverKeep(world.store), watch_only=self.board.watch_only)
        device = world.drivers[config.driver].device(config, context)
        read_only = self._site_file.read_only
        return DeviceTask(config, device, self.board, world.store, world.clock, read_only=read_only, beat=self._beat)

    def _session(self, provider: Provider, http: Http) -> VenSession | Ven2bSession:
        world, site = self._world, self._site_file.site
        reported = [resource for resource in site.resources if resource.role not in {Role.GRID, Role.CONTACTS}]
        if provider.binding == "openadr2b":
            connection = self._site_file.site.connection
            return Ven2bSession(
                provider,
                http,
                self.point,
                world.store,
                world.clock,
                world.chance,
                self._grid_changed,
                house=House(
                    connection.fuse_a * connection.phases * connection.nominal_voltage_v, provider.shed_import_w
                ),
                resources=reported,
                envelope=world.envelope(provider),
                ears=world.ears(provider),
                books=self._books(),
                domain_below=world.vtn is not None,
            )
        return VenSession(
            provider,
            http,
            self.point,
            world.store,
            world.clock,
            world.chance,
            self._grid_changed,
            resources=reported,
            ears=world.ears(provider),
            books=self._books(),
            locate=world.locate(provider),
            domain_below=world.vtn is not None,
            groups=[(group_resource(site, group), group.members) for group in site.groups],
        )

    def _books(self) -> Books | None:
        site = self._site_file.site
        meters = site.of(Role.GRID)
        if not meters:
            return None
        return Books(
            self._world.history,
            f"{meters[0].id}.power_w",
            ZoneInfo(site.zone),
            site.tariff.currency,
            {policy.resource_id: policy.reserve_pct for policy in site.batteries},
            self._outlook,
        )

    def _outlook(self) -> Outlook:
        """What the plan in force expects, from the last readings on."""
        site, ticked = self._site_file.site, self.loop.last
        plan = None if self.planning is None else self.planning.plan
        roofs = tuple(roof.id for roof in site.of(Role.PV))
        if ticked is None or plan is None or self._world.clock.now().wall >= plan.expires_at:
            return Outlook(roofs)
        stale_s = site.connection.device_stale_s
        levels = {b.id: ticked.inputs.snapshot.number(b.id, "soc_pct", stale_s) for b in site.of(Role.BATTERY)}
        return Outlook(roofs, plan.slots, {key: level for key, level in levels.items() if level is not None})

    def _planner_task(self, planner: Planner) -> PlannerTask:
        settings = self._site_file.plan
        return PlannerTask(
            self._site_file.site,
            planner,
            self._world.history,
            self.board,
            self._world.clock,
            self.contacts.directive if self.tariff is None else self.tariff.planned,
            self.requests.in_force,
            every_s=settings.every_s,
            timeout_s=settings.timeout_s,
            on_plan=self._wake,
            book=PlanBook(self._site_file.site, self._world.history, self._world.store),
            forecasts=ForecastBook(self._site_file.site, self._world.store),
        )

    def status(self) -> Status:
        """The present status; RuntimeError before the first tick."""
        return self.status_source.status()

    def explain(self) -> Explanation:
        """Why it does what it does: the last tick; RuntimeError before the first one."""
        if self.loop.last is None:
            raise RuntimeError("no tick yet")
        site = self._site_file.site
        return explain(site, self.loop.last.inputs, self.loop.last.explained(site))

    def stop(self) -> None:
        """Asks for an orderly end: every device handed back."""
        self._stopping.set()

    async def run(self) -> None:
        """Restores what was accepted, starts everything, and runs until `stop` or until the control loop fails.

        A failure of the loop is not contained: the process ends and every device falls to its own safe state.
        """
        gc.set_threshold(YOUNG)
        await self.requests.restore()
        self.point.opt_out(self.requests.opted_out())
        for session in self.sessions:
            await session.restore()
        await self.contacts.restore()
        if self.tariff is not None:
            await self.tariff.restore()
        await self.grid_log.restore()
        self.loop.memory = await self.keeper.restore(self._world.clock.now())
        if self.loop.memory.grid_back_at_s is not None:
            for session in self.sessions:
                session.power_was_cut()
        await asyncio.gather(*(task.look() for task in self.devices if _signals(task.config)))
        self.loop.tick()  # limits that were stored hold before any device is open
        api = LocalApi(self._site_file.socket_path, self.status, self.acts.accept, self.requests.end, self.explain)
        try:
            if self._world.local_api:
                await api.start()
            self._world.watchdog.ready()
            await self._serve()
        finally:
            if self._world.local_api:
                await api.stop()
            await self._close()

    async def _serve(self) -> None:
        async with asyncio.TaskGroup() as group:
            services = [group.create_task(self.loop.run()), group.create_task(self.decisions.run())]
            services += [group.create_task(self.keeper.run()), group.create_task(self.contacts.run())]
            services.append(group.create_task(self.grid_log.run()))
            services += [
                group.create_task(contained(f"{provider.id}: its session", session.run))
                for provider, session in zip(self._site_file.providers, self.sessions, strict=True)
            ]
            if self.tariff is not None:
                services.append(group.create_task(contained("tariff", self.tariff.run)))
            if self.domain is not None:
                services.append(group.create_task(contained("vtn", self.domain.run)))
            if self.steering is not None:
                services.append(group.create_task(contained("domain below", self.steering.run)))
            if self.planning is not None:
                services.append(group.create_task(self.planning.run()))
            devices = [group.create_task(task.run()) for task in self.devices]
            await self._stopping.wait()
            log.info("stopping: handing every device back to its own control")
            for service in services:
                service.cancel()
            for task in self.devices:
                task.stop()
            if devices:
                _, late = await asyncio.wait(devices, timeout=HAND_BACK_S)
                for task_left in late:
                    task_left.cancel()

    async def _close(self) -> None:
        for client in self._clients:
            await client.close()
        if self.tariff is not None:
            await self.tariff.close()
        if self._world.planner is not None:
            await self._world.planner.close()
        await self._world.journal.close()
        if self._world.recorder is not None:
            await self._world.recorder.close()
        await self._world.store.close()

    def _wake(self) -> None:
        self.loop.wake()

    def _will_changed(self) -> None:
        self.point.opt_out(self.requests.opted_out())
        for session in self.sessions:
            if isinstance(session, Ven2bSession):  # of 3.1 it is told where a report asks for it
                session.owner_decided()
        self._grid_changed()

    def _grid_changed(self) -> None:
        if self.planning is not None:
            self.planning.replan()
        self.loop.wake()

    def _decided(self, ticked: Ticked) -> None:
        self.decisions.note(ticked)
        self.keeper.note(self.loop.memory, ticked.inputs.now)
        self.grid_log.note(ticked.inputs, ticked.decision.grid)
        if self.planning is not None:
            cars = sated(self.loop.memory.chargers, ticked.inputs.now.mono_s)
            self.planning.note(ticked.inputs.snapshot, cars)

    def _troubles(self) -> list[Trouble]:
        troubles = [
            Trouble(f"disk.{number}", text, "control goes on; some history may be missing", "Check the card.", "alarm")
            for number, text in enumerate(self._world.disk_troubles())
        ]
        troubles += self._world.certificate_troubles(self._world.clock.now().wall)
        if self.planning is not None and self.planning.trouble:
            effect = "the last plan holds until it expires, then simple rules"
            troubles.append(Trouble("planner", self.planning.trouble, effect, "Nothing to do unless it stays."))
        if self.tariff is not None and (prices := self.tariff.trouble(self._world.clock.now().wall)):
            effect = "the site's own tariff counts instead"
            advice = "Check the internet connection, and [tariff.dynamic] in the site file."
            troubles.append(Trouble("tariff", prices, effect, advice))
        if self.domain is not None and (unserved := self.domain.trouble()) is not None:
            troubles.append(unserved)
        return troubles


def _signals(config: DeviceConfig) -> bool:
    """Whether the grid operator speaks through this device: it is read before the first decision."""
    return any(resource.role is Role.CONTACTS for resource in config.resources)


async def real_gateway(site_file: SiteFile, drivers: Mapping[str, Driver], *, replay: bool = True) -> Gateway:
    """The gateway on this machine: its clock, its disk, its network; `replay` keeps the replay journal."""
    clock = SystemClock()
    try:
        site_file.store_folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:  # the files below it then refuse, too, and control goes on from memory, with an alarm
        log.error("record: no folder %s: %s. Check the disk, or [store] folder", site_file.store_folder, error)
    store = SqliteStateStore(site_file.store_folder / "state.db", clock)
    history = HistoryJournal(site_file.store_folder / "history.db", site_file.site)
    await history.open(clock.now())
    locators = {
        key: MdnsLocator(link.announced_as, plain=link.plain_http)
        for key, link in site_file.provider_links.items()
        if link.announced_as is not None
    }
    recorder = ReplayJournal(site_file.store_folder / REPLAY_FOLDER, site_file.site) if replay else None
    world = World(
        clock=clock,
        store=store,
        journal=history,
        history=history,
        planner=WorkerPlanner(site_file.plan.timeout_s) if site_file.plan.enabled else None,
        http=lambda provider: http_to(provider, site_file.provider_links[provider.id], locators.get(provider.id)),
        locate=lambda provider: locators[provider.id].locate if provider.id in locators else None,
        ears=lambda provider: ears_for(provider, site_file.provider_links[provider.id], clock),
        envelope=lambda provider: envelope_for(site_file.provider_links[provider.id], clock),
        watchdog=ServiceManager(),
        drivers=drivers,
        context=DriverContext(time.monotonic, wall=lambda: clock.now().wall),
        today=history.energy_today,
        disk_troubles=lambda: (*store.alarms, *history.alarms, *(recorder.alarms if recorder is not None else ())),
        certificate_troubles=CertificateWatch(site_file.provider_links).troubles,
        recorder=recorder,
        boot=boot_id(),
        prices=lambda service: price_source(service, AiohttpClient(PRICES_TIMEOUT_S)),
        vtn=None
        if (own := site_file.vtn) is None
        else lambda secret: domain_vtn(own, site_file.store_folder / "vtn", secret),
    )
    return Gateway(site_file, world)
