"""The chargers' central system at one place: who calls in, who is refused, and one conversation for each."""

import asyncio
import logging
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from urllib.parse import unquote

from cem.driver import Caller, CallPort, DriverContext, TextStream
from cem_drivers.ocpp.conversation import Conversation
from cem_drivers.ocpp.dialect import PROTOCOLS, Dialect, dialect_of
from cem_drivers.ocpp.link import LONGEST_IDENTITY, Admission, place_of
from cem_drivers.ocpp.station import Boot, Station, Terms
from cem_drivers.ocpp.websocket import WebSocketPort
from cem_drivers.table import LinkTable

LINGER_S = 90.0
"""So long we go on listening after the last one let go: a charger that was cut off takes a minute to call again."""
REMEMBERED = 50
"""So many refused callers are told in the log, each once."""
REPLACED_OFTEN = 3
"""A charger whose place was taken so often within a minute is two chargers with one name."""
STRANGER_HEARTBEAT_S = 10

_LOG = logging.getLogger(__name__)


@dataclass(eq=False)
class Session:
    """One connection of one charger."""

    caller: Caller
    dialect: Dialect
    station: Station
    over: asyncio.Event = field(default_factory=asyncio.Event)
    told: asyncio.Event = field(default_factory=asyncio.Event)  # set with everything that comes

    @property
    def talk(self) -> Conversation:
        """What can be asked."""
        return self.dialect.talk

    async def until(self, holds: Callable[[], bool], within_s: float) -> bool:
        """Waits until it holds, looking after everything that comes; False when it does not in time."""
        try:
            async with asyncio.timeout(within_s):
                while not holds() and not self.over.is_set():
                    self.told.clear()
                    await self.told.wait()
        except TimeoutError:
            pass
        return holds()


def identity_of(path: str) -> str:
    """The name that a charger gives itself: the last part of the path (OCPP-J 1.6, 3.1.1)."""
    return unquote(path.rstrip("/").rpartition("/")[2])


class Central:
    """Satisfies cem.driver.CallSink. The newest connection of a charger counts: the older one is dead, if not both."""

    def __init__(self, name: str, port: CallPort, context: DriverContext) -> None:
        self.name = name
        self.welcomes = 0  # how many look for strangers now
        self._port = port
        self._context = context
        self._admissions: dict[str, Admission] = {}
        self._sessions: dict[str, Session] = {}
        self._boots: dict[str, Boot] = {}
        self._replaced: dict[str, list[float]] = {}
        self._refused: set[tuple[str, int]] = set()
        self._arrived = asyncio.Condition()

    async def start(self) -> None:
        """Listens; raises OSError."""
        await self._port.start(self)

    async def stop(self) -> None:
        """Ends everything."""
        await self._port.stop()

    def let_in(self, admission: Admission) -> None:
        """From now on this charger may call. One that is here already on other terms is sent away."""
        self._admissions[admission.identity] = admission
        session = self._sessions.get(admission.identity)
        if session is not None and not admission.opens(session.caller):
            self._forget(session)
        elif session is not None:
            session.station.terms = self._terms(admission.identity)

    def session(self, identity: str) -> Session | None:
        """The charger's connection, if it has one."""
        return self._sessions.get(identity)

    def boot_before(self, identity: str) -> Boot | None:
        """Who this charger said it was in an earlier connection to this process."""
        return self._boots.get(identity)

    @property
    def sessions(self) -> list[Session]:
        """Everybody who is here."""
        return list(self._sessions.values())

    async def called(self, identity: str, timeout_s: float) -> Session | None:
        """The charger's connection, waited for; None where it does not call in time."""
        try:
            async with asyncio.timeout(timeout_s), self._arrived:
                await self._arrived.wait_for(lambda: identity in self._sessions)
        except TimeoutError:
            return None
        return self._sessions.get(identity)

    # --- what the port asks ---

    def admit(self, caller: Caller) -> str | int:
        """The subprotocol, or 404 for a stranger, 401 for a wrong password, 400 for what is no OCPP that we speak."""
        identity = identity_of(caller.path)
        admission = self._admissions.get(identity)
        status = 0
        if not identity or len(identity) > LONGEST_IDENTITY or not identity.isprintable():
            status = 404
        elif admission is None:
            status = 0 if self.welcomes else 404
        elif not admission.opens(caller):
            status = 401
        chosen = next((protocol for protocol in caller.protocols if protocol in PROTOCOLS), None)
        if not status and chosen is not None:
            return chosen
        self._tell_refused(identity, caller, status or 400)
        return status or 400

    async def serve(self, caller: Caller, protocol: str, stream: TextStream) -> None:
        """The conversation with one charger, until it ends."""
        identity = identity_of(caller.path)
        station = Station(identity, self._terms(identity), self._context.monotonic, self._context.wall)
        dialect = dialect_of(protocol, station)
        session = Session(caller, dialect, station)

        def heard() -> None:
            station.heard_at_s = station.monotonic()
            session.told.set()

        dialect.talk = Conversation(identity, stream, dialect.answer, heard, station.monotonic)
        station.heard_at_s = station.monotonic()
        older = self._sessions.get(identity)
        if older is not None:
            self._tell_replaced(identity, caller)
            self._forget(older)
            await older.talk.close()
        self._sessions[identity] = session
        async with self._arrived:
            self._arrived.notify_all()
        try:
            await session.talk.listen()
        finally:
            self._forget(session)

    def _forget(self, session: Session) -> None:
        identity = session.station.identity
        if session.station.boot is not None:
            self._boots[identity] = session.station.boot
        session.over.set()
        session.told.set()
        if self._sessions.get(identity) is session:
            del self._sessions[identity]

    def _terms(self, identity: str) -> Terms:
        admission = self._admissions.get(identity)
        if admission is None:
            # whoever charges there meanwhile is not sent away by a look
            return Terms(known=False, heartbeat_s=STRANGER_HEARTBEAT_S)
        return Terms(tags=admission.tags)

    def _tell_refused(self, identity: str, caller: Caller, status: int) -> None:
        seen = (identity[:LONGEST_IDENTITY], status)
        if seen in self._refused or len(self._refused) >= REMEMBERED:
            return
        self._refused.add(seen)
        why = {
            401: "with a wrong password or name",
            404: "and is not in the site file; cem provision takes it into service",
            400: f"and speaks none of {', '.join(PROTOCOLS)} (it offers {', '.join(caller.protocols) or 'nothing'})",
        }[status]
        _LOG.warning("%s: %r calls in from %s %s; it was refused", self.name, seen[0], caller.peer or "?", why)

    def _tell_replaced(self, identity: str, caller: Caller) -> None:
        now_s = self._context.monotonic()
        times = [at_s for at_s in self._replaced.get(identity, []) if now_s - at_s < 60.0] + [now_s]
        self._replaced[identity] = times[-REPLACED_OFTEN:]
        if len(times) == REPLACED_OFTEN:
            _LOG.warning(
                "%s: %s took its own place %d times in a minute, now from %s. Check for a second charger of this name",
                self.name, identity, REPLACED_OFTEN, caller.peer or "?",
            )  # fmt: skip


@dataclass(slots=True)
class _Entry:
    central: Central
    listening: asyncio.Future[None]
    task: asyncio.Task[None] | None = None
    holders: int = 0
    left: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class CentralRegistry:
    """Central systems by place, each belonging to one event loop."""

    _entries: dict[Hashable, _Entry] = field(default_factory=dict)

    async def take(self, link: LinkTable, context: DriverContext, admission: Admission | None = None) -> Central:
        """The central system of a checked link table, begun if there is none; raises OSError. Give it back.

        With an admission this charger is let in from the beginning, else strangers are welcome.
        """
        place, loop = place_of(link), asyncio.get_running_loop()
        key: Hashable = (loop, context.calls, place)
        entry = self._entries.get(key)
        if entry is None:
            port: CallPort = WebSocketPort(place) if context.calls is None else context.calls(link)
            entry = self._entries[key] = _Entry(Central(str(place), port, context), loop.create_future())
            linger_s = LINGER_S if context.calls is None else 0.0
            entry.task = loop.create_task(self._keep(key, entry, linger_s), name=f"ocpp {place}")
        entry.holders += 1
        if admission is None:
            entry.central.welcomes += 1
        else:
            entry.central.let_in(admission)
        try:
            await asyncio.shield(entry.listening)
        except BaseException:
            self.drop(entry.central, admission)
            raise
        return entry.central

    def drop(self, central: Central, admission: Admission | None) -> None:
        """One holder less, as it was taken. After the last one it goes on for a while, so that nobody is cut off."""
        for entry in self._entries.values():
            if entry.central is central:
                entry.holders -= 1
                central.welcomes -= int(admission is None)
                if entry.holders <= 0:
                    entry.left.set()
                return

    async def _keep(self, key: Hashable, entry: _Entry, linger_s: float) -> None:
        """Listens until nobody has held it for so long, or the loop ends."""
        try:
            await entry.central.start()
        except OSError as error:
            del self._entries[key]
            entry.listening.set_exception(error)
            return
        entry.listening.set_result(None)
        try:
            while entry.holders > 0:
                await entry.left.wait()
                entry.left.clear()
                await asyncio.sleep(linger_s)
        finally:
            del self._entries[key]
            await entry.central.stop()


CENTRALS = CentralRegistry()
"""Every central system of this process."""
