"""Sessions of both bindings side by side in one gateway: each with its own provider, programme, rank and reports."""

import asyncio
from datetime import timedelta
from random import Random

from cem.io.http_client import AiohttpClient
from cem.io.virtual import VirtualClock, run_virtual
from cem.model.directive import LinkState
from cem.model.envelope import Rank
from cem.model.errors import GridError
from cem.model.provider import Programme
from cem.ports import HttpAnswer
from cem.runtime.ven import VenSession
from cem.sgcp.opt.cut import OptOut
from cem.sgcp.point import ConnectionPoint
from cem.wire.openadr2b.messages import CreatedEvent, Message, UpdateReport
from support.rogue_vtn import PROGRAM, RogueVtn, dimming
from support.scripted_vtn2b import Home, ScriptedVtn, asked, event, provider_2b
from support.ven_world import T0, MemoryStore, utility

HOUR = timedelta(hours=1)


def gone(message: Message) -> HttpAnswer:
    raise GridError("no connection")


def test_an_old_and_a_new_provider_are_followed_each_by_its_rank_and_outlive_each_other() -> None:
    async def story(clock: VirtualClock) -> None:
        old, new = ScriptedVtn(events=[event(4.2)], requests=(asked("r1", "site-power"),)), RogueVtn([PROGRAM], [])
        new.events = [dimming(3.0, intervalPeriod={"start": "2026-01-15T12:00:00Z", "duration": "PT2H"})]
        await new.start()
        dso = provider_2b(id="dso")
        retailer = utility(
            id="retailer", url=new.url, poll_s=10.0, programmes=(Programme("dimming"),), reconnect_jitter_s=0.0
        )
        point, store, http = ConnectionPoint((dso, retailer)), MemoryStore(), AiohttpClient()
        home = Home(clock, old, store, point=point, id="dso")
        session = VenSession(retailer, http, point, store, clock, Random(7), lambda: None)
        task = asyncio.create_task(session.run())
        home.start()

        def limits() -> dict[str, tuple[float | None, Rank]]:
            envelopes = point.directive(clock.now()).envelopes
            return {envelope.source: (envelope.max_w, envelope.rank) for envelope in envelopes}

        def states() -> dict[str, LinkState]:
            return {link.provider_id: link.state for link in point.directive(clock.now()).links}

        async def live(seconds: int) -> None:
            for _ in range(seconds):
                await asyncio.sleep(1.0)
                for one in (home.session, session):
                    one.sample(clock.now(), {"site": 600.0, "battery": None})

        both = {"dso": (4200.0, Rank.OBLIGATION), "retailer": (3000.0, Rank.PROGRAMME)}
        await live(130)
        assert limits() == both
        assert old.got(UpdateReport)
        assert new.reports

        point.opt_out([OptOut(T0, clock.now().wall + HOUR)])
        home.session.owner_decided()
        await live(5)
        assert limits() == {"dso": both["dso"]}  # an obligation is not opted out of
        assert [a.opt_type for m in old.got(CreatedEvent) for a in m.answers] == ["optIn"]
        point.opt_out([])

        old.answer = gone
        await live(300)
        assert states() == {"dso": LinkState.HOLD, "retailer": LinkState.ONLINE}
        assert limits() == both
        new.events = []
        await live(30)
        assert limits() == {"dso": both["dso"]}
        old.answer = lambda message: None
        await live(200)
        assert states() == {"dso": LinkState.ONLINE, "retailer": LinkState.ONLINE}

        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await home.stop()
        await http.close()
        await new.stop()

    run_virtual(story, T0)
