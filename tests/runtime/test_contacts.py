"""The watch over the grid operator's contacts: log, record, restarts, and what holds while they can't be read."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cem.io.virtual import VirtualClock, run_virtual
from cem.model.directive import LinkState
from cem.model.envelope import SITE, Rank
from cem.model.reading import Reading
from cem.model.resource import Contact, Ratings, Resource, Role
from cem.model.setpoint import Mode
from cem.model.site import ControlPolicy, ElectricalConnection, GuaranteedMinimum, Site
from cem.model.tariff import Tariff
from cem.ports import StateKind
from cem.runtime.board import Board
from cem.runtime.contacts import ContactWatch, source_of
from cem.runtime.loop import Ticked
from cem.sgcp.point import ConnectionPoint
from cem.simulation.harness import Bench
from cem.simulation.memory import MemoryStore
from cem.simulation.plant import open_home
from hw_sim.devices.pin_fronts import ContactsFront

NOON = datetime(2026, 6, 15, 10, 0, tzinfo=UTC)
HOME = Path(__file__).parents[2] / "hw-sim" / "homes" / "contacts.toml"
BOX = Resource("box", Role.CONTACTS, "box", "Box", contacts=frozenset({Contact.S1, Contact.W4}))
ROOF = Resource("pv", Role.PV, "inverter", "Roof", Ratings(max_generation_w=8000.0))
SITE_ = Site(
    "Home",
    "UTC",
    ElectricalConnection(device_stale_s=30.0),
    Tariff("UTC", "EUR", 0.3, 0.08),
    (ROOF, BOX),
    policy=ControlPolicy(GuaranteedMinimum.PARAGRAPH_14A),
)


class Stand:
    """A watch with its surroundings."""

    def __init__(self, clock: VirtualClock, store: MemoryStore) -> None:
        self.clock, self.store = clock, store
        self.board = Board()
        self.point = ConnectionPoint([])
        self.changes = 0
        self.watch = ContactWatch(SITE_, self.point, self.board, store, clock, self._count)

    def _count(self) -> None:
        self.changes += 1

    def show(self, **values: float | None) -> None:
        """Reads the contacts now."""
        at_s = self.clock.now().mono_s
        self.board.post([Reading("box", contact, value, at_s) for contact, value in values.items()])

    def held(self) -> list[tuple[str, float | None, float | None]]:
        """What holds now."""
        directive = self.watch.directive(self.clock.now())
        assert all(e.rank is Rank.OBLIGATION and e.subject == SITE for e in directive.envelopes)
        return [(e.source, e.min_w, e.max_w) for e in directive.envelopes]


def rows(store: MemoryStore) -> list[Any]:
    """The record of events."""
    return [json.loads(text) for text in store.rows[StateKind.EVENT].values()]


def play(act: Callable[[Stand], Awaitable[None]], store: MemoryStore | None = None) -> MemoryStore:
    """Plays an act in virtual time, with what a former run kept."""
    kept = store or MemoryStore()

    async def main(clock: VirtualClock) -> None:
        stand = Stand(clock, kept)
        await stand.watch.restore()
        writing = asyncio.create_task(stand.watch.run())
        try:
            await act(stand)
            await asyncio.sleep(1)
        finally:
            writing.cancel()

    run_virtual(main, NOON)
    return kept


def test_a_share_is_of_the_roofs_together_or_of_what_the_installer_says() -> None:
    assert source_of(SITE_, BOX).limits_w == {Contact.S1: 4800.0, Contact.W4: 4200.0}
    told = Resource("box", Role.CONTACTS, "box", "Box", Ratings(max_generation_w=10_000.0), contacts=BOX.contacts)
    assert source_of(SITE_, told).limits_w[Contact.S1] == 6000.0


def test_a_change_counts_at_once_and_is_logged_and_recorded_with_its_contact(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def act(stand: Stand) -> None:
        stand.show(s1=0.0, w4=0.0)
        assert stand.held() == []
        await asyncio.sleep(1)
        before = stand.changes
        stand.show(s1=1.0, w4=0.0)
        assert stand.changes == before + 1
        assert stand.held() == [("box", -4800.0, None)]
        stand.show(s1=1.0, w4=0.0)
        assert stand.changes == before + 1
        await asyncio.sleep(60)
        stand.show(s1=0.0, w4=0.0)
        assert stand.held() == []

    with caplog.at_level(logging.INFO):
        kept = play(act)
    told = [record.message for record in caplog.records if "contact S1" in record.message]
    assert told == [
        "box: contact S1 signals: export at most 4.8 kW, 60 % of the installed power",
        "box: contact S1 signals no more",
    ]
    (row,) = rows(kept)
    assert row["name"] == "contact S1"
    start, end, signals = row["intervals"][0]
    assert datetime.fromisoformat(end) - datetime.fromisoformat(start) == timedelta(seconds=60)
    assert signals == {"export_limit_w": 4800.0}


def test_what_can_not_be_read_holds_until_it_is_read_again() -> None:
    async def act(stand: Stand) -> None:
        assert stand.held() == [("box", -4800.0, None), ("box", None, 4200.0)]
        (link,) = stand.watch.directive(stand.clock.now()).links
        assert link.state is LinkState.FALLBACK
        stand.show(s1=0.0, w4=0.0)
        assert stand.held() == []
        await asyncio.sleep(29)
        assert stand.held() == []
        await asyncio.sleep(2)
        assert len(stand.held()) == 2
        stand.show(s1=None, w4=0.0)
        assert stand.held() == [("box", -4800.0, None)]
        (link,) = stand.watch.directive(stand.clock.now()).links
        assert "a contact finds no rest" in link.detail
        stand.show(s1=0.0, w4=0.0)
        (link,) = stand.watch.directive(stand.clock.now()).links
        assert (stand.held(), link.state) == ([], LinkState.ONLINE)

    play(act)


def test_a_signal_goes_on_over_a_restart_and_ends_in_the_record_when_it_ended_meanwhile() -> None:
    async def first(stand: Stand) -> None:
        stand.show(s1=1.0, w4=1.0)

    async def second(stand: Stand) -> None:
        await asyncio.sleep(100)
        stand.show(s1=1.0, w4=0.0)
        events = stand.watch.directive(stand.clock.now()).events
        assert [(event.id, event.start) for event in events] == [("s1", NOON)]

    kept = play(second, play(first))
    ends = {row["id"]: row["intervals"][0][1] is not None for row in rows(kept)}
    assert ends == {"s1": False, "w4": True}


def test_a_gateway_reads_the_contacts_before_it_decides_anything() -> None:
    with Bench(open_home(HOME), plan=False) as bench:
        bench.advance(3)
        bench.kill()
        box = bench.plant.fronts["control-box"]
        assert isinstance(box, ContactsFront)
        box.signal("w3", True)
        bench.restart()
        assert bench.gateway is not None
        ticks: list[Ticked] = []
        noted, bench.gateway.loop._on_decision = bench.gateway.loop._on_decision, ticks.append
        bench.advance(2)
        bench.gateway.loop._on_decision = noted
        assert [tick.decision.band.min_w for tick in ticks] == [0.0] * len(ticks)
        assert dict(ticks[0].inputs.devices) == {}  # no device is open yet: the very first tick
        assert ticks[-1].decision.mode is Mode.LIMITED
        box.signal("w3", False)
        box.signal("w4", True)
        bench.advance(3)
        status = bench.status()
        assert [(limit.side, limit.limit_w, limit.source) for limit in status.limits] == [
            ("import", 4200.0, "contacts")
        ]
        assert [event.name for event in status.events] == ["contact W4"]
        (shown,) = [r for device in status.devices for r in device.resources if r.role is Role.CONTACTS]
        assert shown.state == "signals W4"
        assert bench.gateway is not None
        whys = {why.resource_id: why for why in bench.gateway.explain().whys}
        assert "signals W4" in (whys["contacts"].reason or "")
