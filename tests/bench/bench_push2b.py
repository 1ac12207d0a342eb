"""From a pushed OpenADR 2.0b event on the gateway's socket to the acknowledged write on a simulated device over Modbus.

Run: .venv/bin/python tests/bench/bench_push2b.py [samples]. A home of twenty devices that are polled each second and
`cem run` are processes of their own, over real sockets. The VTN is in this process: it takes what the VEN asks, and
sends each change of an event signed, over a new connection with certificates at both ends. Two proxies in this process
look at the time: the first byte of the connection (its TLS handshake counts too), and the battery's answer to the first
write that asks for another power than before. Once with keys of EC, once of RSA.
"""

import asyncio
import math
import secrets
import sys
import tempfile
import threading
import time
from collections.abc import Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.bench_push import BETWEEN_S, DEVICES, POWERS_KW, REST_S, Proxy, Watch, house
from cem.io.clock import SystemClock
from cem.io.http_client import AiohttpClient
from cem.io.http_server import HttpServer
from cem.io.tls import client_context, server_context
from cem.wire.http import HttpRequest, HttpResponse
from cem.wire.openadr2b import decode
from cem.wire.openadr2b.messages import CreatedEvent, CreatePartyRegistration, OadrResponse
from cem.wire.openadr2b.names import PATH_PREFIX
from cem.wire.openadr2b.parts import (
    ActivePeriod,
    EiEvent,
    EventDescriptor,
    EventSignal,
    SignalInterval,
)
from cem.wire.openadr2b.signature import Signer
from support.certificates import Authority, Identity
from support.oadr2b import POWER
from support.scripted_vtn2b import ScriptedVtn
from support.stand import Process, free_ports
from support.waiting import until_blocking

SITE = """
site = 1
name = "Bench"
timezone = "UTC"
[connection]
phases = 3
fuse_a = 63
[store]
folder = "state"
[api]
socket = "cem.sock"
[plan]
enabled = false
[tariff]
base_price_per_kwh = 0.30
[[provider]]
id = "utility"
binding = "openadr2b"
url = "https://127.0.0.1:{vtn}{prefix}"
ven_name = "home-1"
ca_file = "authority.pem"
client_certificate_file = "ven.pem"
client_key_file = "ven.key"
vtn_fingerprint = "{fingerprint}"
callback_url = "https://127.0.0.1:{public}"
callback_listen = "127.0.0.1:{listen}"
poll_s = 600
[[provider.programme]]
name = "bench"
"""
LENGTH = timedelta(hours=6)


class Utility:
    """The VTN, in a thread of its own."""

    def __init__(self, port: int, authority: Authority, own: Identity) -> None:
        self.vtn = ScriptedVtn(sealed=Signer(own.key.read_bytes(), own.certificate.read_text()))
        self._port = port
        self._own = own
        self._authority = authority
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        tls = server_context(own.certificate, own.key, authority.certificate)
        self._server = HttpServer(self._exchange, tls=tls)

    def start(self) -> None:
        """Listens."""
        self._do(self._server.start("127.0.0.1", self._port))

    def stop(self) -> None:
        """Listens no more."""
        self._do(self._server.stop())

    def push(self, url: str, body: bytes) -> OadrResponse:
        """The VEN's answer to a signed body, over a connection of its own."""
        answer: OadrResponse = self._do(self._push(url, body))
        return answer

    def distribution(self, number: int, power_kw: float) -> bytes:
        """The signed event in one of its versions."""
        now = SystemClock().now().wall
        interval = SignalInterval(duration=LENGTH, uid="0", value=power_kw)
        signal = EventSignal(intervals=(interval,), name="LOAD_DISPATCH", type="setpoint", id="s", unit=POWER)
        descriptor = EventDescriptor(
            event_id="bench", modification_number=number, market_context="bench", created_at=now, status="active"
        )
        period = ActivePeriod(start=now.replace(microsecond=0), duration=LENGTH)
        event = EiEvent(descriptor=descriptor, period=period, signals=(signal,), response_required="always")
        self.vtn.events = [event]
        assert self.vtn.sealed is not None
        return self.vtn.sealed.seal(self.vtn.distribution(), now, secrets.token_hex(16))

    async def _exchange(self, request: HttpRequest) -> HttpResponse:
        answer = await self.vtn.request("POST", request.path, body=request.body)
        return HttpResponse(answer.status, answer.headers, answer.body)

    async def _push(self, url: str, body: bytes) -> OadrResponse:
        own = self._own
        context = client_context(own.certificate, own.key, self._authority.certificate)
        http = AiohttpClient(10.0, ssl_context=context)
        try:
            answer = await http.request("POST", f"{url}{PATH_PREFIX}/EiEvent", body=body)
        finally:
            await http.close()
        found = decode(answer.body)
        assert isinstance(found, OadrResponse)
        return found

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(15.0)


def prepared(folder: Path, kind: str, watch: Watch) -> tuple[list[Process], Utility, str]:
    """Files and processes, not yet started; the VTN, and where it sends to."""
    *ports, vtn, listen = free_ports(DEVICES + 2)
    devices = house(folder, ports, watch)
    authority = Authority(folder)
    own, _ = authority.issue("vtn", kind), authority.issue("ven", kind)
    mark = Proxy(listen, lambda s, c, t: watch.notice(s, c, t, b"", from_server_counts=False))
    site = SITE.format(vtn=vtn, prefix=PATH_PREFIX, fingerprint=own.fingerprint, public=mark.port, listen=listen)
    (folder / "site.toml").write_text(site + devices)
    processes = [
        Process("home", folder, "hw-sim", "serve", str(folder / "home.toml"), "--json"),
        Process("gateway", folder, "cem", "run", "--config", str(folder / "site.toml"), speaks=False),
    ]
    return processes, Utility(vtn, authority, own), f"https://127.0.0.1:{mark.port}"


def measured(kind: str, samples: int) -> list[float]:
    """The times in seconds."""
    watch, found = Watch(), []
    with tempfile.TemporaryDirectory() as name:
        processes, utility, url = prepared(Path(name), kind, watch)
        utility.start()
        try:
            for process in processes:
                process.start()
            vtn = utility.vtn
            until_blocking(lambda: bool(vtn.got(CreatePartyRegistration)), 60.0)
            assert vtn.got(CreatePartyRegistration)[0].pull is False
            until_blocking(lambda: "link online" in processes[-1].words(), 60.0)
            time.sleep(2.0)
            assert utility.push(url, utility.distribution(0, POWERS_KW[0])).response.code == "200"
            time.sleep(10.0)  # the battery comes to rest: what is timed is a change out of rest
            for number in range(1, samples + 1):
                watch.begin()
                time.sleep(REST_S + 0.037 * (number % 27))  # at every phase of the polls
                answer = utility.push(url, utility.distribution(number, POWERS_KW[number % 2]))
                assert answer.response.code == "200"
                until_blocking(lambda: watch.acknowledged_s is not None, 10.0, every_s=0.01)
                assert watch.noticed_s is not None
                assert watch.acknowledged_s is not None
                assert watch.restless_s < watch.noticed_s - REST_S, "the battery was not at rest"
                found.append(watch.acknowledged_s - watch.noticed_s)
                time.sleep(BETWEEN_S)
            numbers = {a.event.modification_number for m in vtn.got(CreatedEvent) for a in m.answers}
            assert numbers == set(range(samples + 1)), "an event was not answered"
        except AssertionError:
            sys.stderr.write("\n".join(process.words()[-3000:] for process in processes))
            raise
        finally:
            for process in reversed(processes):
                process.kill()
            utility.stop()
    return found


def main() -> None:
    samples = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    sys.stdout.write(f"{DEVICES} devices, {samples} changes each; the bar is 250 ms for p99\n")
    for kind in ("ec", "rsa"):
        times_ms = sorted(1000 * time_s for time_s in measured(kind, samples))
        middle_ms, p95_ms, p99_ms = (times_ms[math.ceil(share * samples) - 1] for share in (0.5, 0.95, 0.99))
        row = f"median {middle_ms:.0f} ms, p95 {p95_ms:.0f} ms, p99 {p99_ms:.0f} ms, most {times_ms[-1]:.0f} ms"
        sys.stdout.write(f"{kind}: {row}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
