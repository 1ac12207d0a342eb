"""Our VTN pushes to our VEN of OpenADR 2.0b: signed, over mutual TLS, both as they are run."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from cem.config.sitefile import ProviderLink
from cem.io.clock import SystemClock
from cem.io.http_client import AiohttpClient
from cem.io.revocation import RevocationLists
from cem.io.tls import pinning_context
from cem.model.directive import LinkState
from cem.provider_ways import ears_for, envelope_for, http_to
from cem.wire.openadr2b.names import PATH_PREFIX
from support.certificates import Authority, Identity
from support.scripted_vtn2b import Home, provider_2b
from support.stand import free_ports
from support.vtn2b_site import Operator, operator, secured, trusting
from support.waiting import until

NEVER_S = 3600.0
"""Between polls: whatever arrives in these tests was pushed."""


@dataclass
class Ends:
    """Both, and what they know each other by."""

    authority: Authority
    ven: Identity
    vtn: Operator
    home: Home


@asynccontextmanager
async def both(folder: Path, kind: str) -> AsyncIterator[Ends]:
    authority, clock = Authority(folder), SystemClock()
    ven, own = authority.issue("ven", kind), authority.issue("vtn", kind)
    (port,) = free_ports(1)
    lists = RevocationLists(authority.revoke(), authority.certificate, lambda: clock.now().wall)
    settings: dict[str, Any] = {
        **secured(authority, own, ven),
        "webhook_networks": (ip_network("127.0.0.0/8"),),
        "push_tls_2b": pinning_context(own.certificate, own.key, authority.certificate),
        "push_retry_after_s_2b": (0.05,),
        "refusal": lists.refusal,
    }
    async with operator(AiohttpClient(ssl_context=trusting(authority)), **settings) as vtn:
        link = ProviderLink(
            ca_file=authority.certificate,
            certificate_file=ven.certificate,
            key_file=ven.key,
            callback=("127.0.0.1", port),
            callback_fingerprint=own.fingerprint,
            vtn_fingerprint=own.fingerprint,
        )
        fields: dict[str, Any] = {"url": vtn.base + PATH_PREFIX, "poll_s": NEVER_S}
        fields["callback_url"] = f"https://127.0.0.1:{port}"
        provider = provider_2b(**fields)
        http = http_to(provider, link, None)
        ears, envelope = ears_for(provider, link, clock), envelope_for(link, clock)
        home = Home(clock, http, ears=ears, envelope=envelope, **fields)
        home.start()
        try:
            await until(lambda: home.link.state is LinkState.ONLINE)
            yield Ends(authority, ven, vtn, home)
        finally:
            await home.stop()
            await http.close()


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_an_event_its_change_and_its_end_arrive_at_once_and_are_answered(tmp_path: Path, kind: str) -> None:
    async def main() -> None:
        async with both(tmp_path, kind) as ends:
            home, vtn = ends.home, ends.vtn
            program = await vtn.program()
            event_id = await vtn.limit(program, 4.2)
            await until(lambda: home.limits_w() == [4200.0])
            await vtn.sees(lambda known: [one["opt"] for one in known["events"]] == ["optIn"])
            await vtn.limit(program, 3.0, 2.0, event_id=event_id)
            await until(lambda: home.limits_w() == [3000.0, 2000.0])
            await vtn.sees(lambda known: [(o["modification"], o["opt"]) for o in known["events"]] == [(1, "optIn")])
            await vtn.order("DELETE", f"/events/{event_id}")
            await until(lambda: home.limits_w() == [])
            assert home.link.state is LinkState.ONLINE

    asyncio.run(main())


def test_a_ven_whose_certificate_was_revoked_is_sent_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with both(tmp_path, "ec") as ends:
            program = await ends.vtn.program()
            ends.authority.revoke(ends.ven)
            await ends.vtn.limit(program, 4.2)
            await until(lambda: "the certificate was revoked by its authority" in caplog.text)
            assert ends.home.limits_w() == []
            ends.authority.revoke()
            await until(lambda: ends.home.limits_w() == [4200.0])

    asyncio.run(main())
