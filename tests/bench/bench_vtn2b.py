"""Signed oadrPolls over mutual TLS: our VTN of OpenADR 2.0b against openleadr's, on this machine, in turns.

    .venv/bin/python tests/bench/bench_vtn2b.py [--rounds 30] [--polls 80]

Each VTN is a process of its own with one registered VEN, no events and no reports. Measured is the VTN's side alone:
the time from a signed poll to its answer on a kept connection, as polls a second, and the processor time that the VTN
takes for each. Rounds alternate between the two. Exit status 1 when a poll was not answered as it must be, or a bar is
missed.
"""

import argparse
import asyncio
import json
import secrets
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from cem.io.tls import client_context
from cem.wire.openadr2b import decode
from cem.wire.openadr2b.messages import CreatePartyRegistration, Message, OadrResponse, Poll
from cem.wire.openadr2b.names import PATH_PREFIX
from cem.wire.openadr2b.signature import Signer
from support.certificates import Authority, Identity

BAR = 5.0


@dataclass
class Vtn:
    """A VTN under measurement, and what was measured."""

    name: str
    port: int
    pid: int
    rates: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)


def _cpu_s(pid: int) -> float:
    """Processor time of a process so far, to the microsecond."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text(encoding="ascii").split()[0]) for task in tasks) / 1e9


class Line:
    """A kept connection to a VTN. It blocks: nothing but the VTN's answer is waited for, and little is done besides."""

    def __init__(self, port: int, tls: ssl.SSLContext) -> None:
        plain = socket.create_connection(("127.0.0.1", port), 10.0)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = tls.wrap_socket(plain, server_hostname="127.0.0.1")

    def post(self, service: str, body: bytes) -> bytes:
        head = f"POST {PATH_PREFIX}/{service} HTTP/1.1\r\nHost: x\r\nContent-Type: application/xml\r\n"
        self._socket.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._more()
        said, _, found = answer.partition(b"\r\n\r\n")
        lines = said.decode().lower().splitlines()
        length = next(int(line.split(":")[1]) for line in lines if line.startswith("content-length"))
        while len(found) < length:
            found += self._more()
        if not said.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"{service}: {lines[0]}: {found[:300]!r}")
        return found

    def _more(self) -> bytes:
        found = self._socket.recv(64 * 1024)
        if not found:
            raise SystemExit("the VTN closed the connection")
        return found

    def close(self) -> None:
        self._socket.close()


class Ven:
    """The VEN that polls."""

    def __init__(self, folder: Path, identity: Identity, authority: Authority) -> None:
        self._signer = Signer(identity.key.read_bytes(), identity.certificate.read_text())
        self.tls = client_context(identity.certificate, identity.key, authority.certificate)

    def sealed(self, message: Message) -> bytes:
        return self._signer.seal(message, datetime.now(UTC), secrets.token_hex(16))

    def round(self, vtn: Vtn, polls: int) -> None:
        """Polls one after the other; each is signed just before, since old ones are refused."""
        line = Line(vtn.port, self.tls)
        cpu_s, took_s = _cpu_s(vtn.pid), 0.0
        for _ in range(polls):
            body = self.sealed(Poll(ven_id="ven-1"))
            began = time.perf_counter()
            answer = line.post("OadrPoll", body)
            took_s += time.perf_counter() - began
            said: Any = decode(answer)
            if not isinstance(said, OadrResponse) or not said.response.ok:
                raise SystemExit(f"{vtn.name}: {said}")
        vtn.rates.append(polls / took_s)
        vtn.cpu_ms.append((_cpu_s(vtn.pid) - cpu_s) / polls * 1000)
        line.close()


def _registered(ven: Ven, vtn: Vtn) -> None:
    register = CreatePartyRegistration(
        request_id="1",
        profile="2.0b",
        transport="simpleHttp",
        report_only=False,
        xml_signature=True,
        ven_name="house-1",
        pull=True,
    )
    line = Line(vtn.port, ven.tls)
    answer: Any = decode(line.post("EiRegisterParty", ven.sealed(register)))
    if answer.ven_id != "ven-1":
        raise SystemExit(f"{vtn.name}: not registered: {answer}")
    line.close()


def _ours(own: Identity, ven: Identity, authority: Authority) -> list[str]:
    command = [sys.executable, "-c", "from cem.cli.vtn import vtn; vtn()", "serve", "--json", "--client", "bl:s:bl"]
    files = ["--tls-cert", str(own.certificate), "--tls-key", str(own.key), "--client-ca", str(authority.certificate)]
    return [*command, *files, "--sign-2b", "--ven-2b", f"ven-1=house-1={ven.fingerprint}"]


def _theirs(own: Identity, ven: Identity, authority: Authority) -> list[str]:
    files = [str(own.certificate), str(own.key), str(authority.certificate), ven.fingerprint]
    return [sys.executable, __file__, "--openleadr", *files]


async def _serve_openleadr(certificate: str, key: str, authority: str, fingerprint: str) -> None:
    """Runs openleadr's VTN with one VEN, and prints its port as ours does."""
    from openleadr import OpenADRServer

    from support.openleadr_vtn import free_port

    port = free_port()
    known = {
        "ven_id": "ven-1",
        "ven_name": "house-1",
        "fingerprint": fingerprint,
        "registration_id": "registration-1",
    }
    server = OpenADRServer(
        vtn_id="VTN-1",
        http_port=port,
        http_cert=certificate,
        http_key=key,
        http_ca_file=authority,
        cert=certificate,
        key=key,
        ven_lookup=lambda ven_id: known,
        show_fingerprint=False,
    )
    server.add_handler("on_create_party_registration", lambda payload: ("ven-1", "registration-1"))
    stdout, sys.stdout = sys.stdout, sys.stderr
    await server.run()
    stdout.write(json.dumps({"port": port}) + "\n")
    stdout.flush()
    await asyncio.Event().wait()


def _port_of(process: "subprocess.Popen[str]") -> int:
    assert process.stdout is not None
    return int(json.loads(process.stdout.readline())["port"])


def _measured(kind: str, rounds: int, polls: int) -> bool:
    """One kind of key: both VTNs, in turns."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        authority = Authority(folder)
        own, ven = authority.issue("vtn", kind), authority.issue("ven", kind)
        quiet: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
        with (
            subprocess.Popen(_ours(own, ven, authority), **quiet) as first,
            subprocess.Popen(_theirs(own, ven, authority), **quiet) as second,
        ):
            try:
                vtns = [
                    Vtn(said, _port_of(process), process.pid) for said, process in (("ours", first), ("theirs", second))
                ]
                _rounds(Ven(folder, ven, authority), vtns, rounds, polls)
            finally:
                first.terminate()
                second.terminate()
    return _told(kind, *vtns)


def _rounds(ven: Ven, vtns: list[Vtn], rounds: int, polls: int) -> None:
    for vtn in vtns:
        _registered(ven, vtn)
        ven.round(vtn, 10)  # warm
        vtn.rates.clear()
        vtn.cpu_ms.clear()
    for _ in range(rounds):
        for vtn in vtns:
            ven.round(vtn, polls)


def _told(kind: str, ours: Vtn, theirs: Vtn) -> bool:
    rates = [statistics.median(vtn.rates) for vtn in (ours, theirs)]
    cpu_ms = [statistics.median(vtn.cpu_ms) for vtn in (ours, theirs)]
    ratios = [rates[0] / rates[1], cpu_ms[1] / cpu_ms[0]]
    for what, values, ratio in (("polls a second", rates, ratios[0]), ("CPU of a poll, ms", cpu_ms, ratios[1])):
        line = f"{kind.upper():4}{what:20}{values[0]:10.2f}{values[1]:10.2f}{ratio:8.1f} times   bar {BAR:g}\n"
        sys.stdout.write(line)
    return min(ratios) >= BAR


def main() -> int:
    """Measures RSA and EC and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--polls", type=int, default=80)
    parser.add_argument("--kind", choices=["rsa", "ec"], action="append")
    parser.add_argument("--openleadr", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.openleadr:
        asyncio.run(_serve_openleadr(*options.openleadr))
        return 0
    sys.stdout.write(f"{'':24}{'ours':>10}{'openleadr':>10}\n")
    kept = [_measured(kind, options.rounds, options.polls) for kind in options.kind or ("rsa", "ec")]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    raise SystemExit(main())
