"""A grid operator with a VTN that is a process, a line to it that can be cut, and orders through `cem vtn`."""

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from cem.simulation.grid import GridSide, Order, UsageTold, event_of, settlements_in, usage_in
from cem.wire.openadr3 import Report, validate
from support.bad_line import BadLine
from support.stand import Process, free_ports, ran

BASE = "/openadr3/3.1.0"
HOUSE, SECRET = "house", "house-in-a-process"


class GridProcess:
    """One provider of a scenario. `line` is how the gateway reaches it."""

    def __init__(self, side: GridSide, folder: Path) -> None:
        self.side = side
        self._folder = folder / side.id
        self._folder.mkdir()
        clients = self._folder / "clients.txt"
        clients.write_text(f"operator:op:bl\n{HOUSE}:{SECRET}:ven\n")
        (self._port,) = free_ports(1)
        data = str(self._folder / "data")
        words = ("--port", str(self._port), "--client-file", str(clients), "--data", data, "--json")
        self._process = Process(f"vtn-{side.id}", folder, "cem", "vtn", "serve", *words)
        self.line = BadLine(self._port)
        self._programmes: dict[str, str] = {}

    def start(self) -> None:
        """The VTN, with the programmes of the contract. The line is started apart, in a loop."""
        self._process.start()
        for programme in self.side.programmes:
            self._programmes[programme.name] = str(self._order("program", "add", programme.name)["id"])

    def close(self) -> None:
        """Ends it."""
        self._process.kill()

    def provider(self, secret_file: str) -> dict[str, Any]:
        """The [[provider]] table of the site file."""
        one = self.side.provider()
        asked = {key: getattr(one, key) for key in ("id", "ven_name", "poll_s", "report_interval_s", "spread_s")}
        programmes = [
            {"name": p.name, "mandatory": p.mandatory, "incentive_per_kwh": p.incentive_per_kwh}
            for p in self.side.programmes
        ]
        reached = {"client_id": HOUSE, "client_secret_file": secret_file, "programme": programmes}
        return asked | dict(self.side.settings) | reached | {"url": f"http://127.0.0.1:{self.line.port}{BASE}"}

    def publish(self, order: Order, since: datetime) -> None:
        """One event, whose seconds count from `since`."""
        file = self._folder / "event.json"
        file.write_text(json.dumps(event_of(order, since, self._programmes[order.programme])))
        self._order("event", "put", str(file))

    def cancel(self, name: str | None) -> None:
        """Takes back everything, or what has that name."""
        for event in self._order("event", "list"):
            if name in (None, event["eventName"]):
                self._order("event", "cancel", event["id"])

    def usage(self, resource: str) -> Sequence[UsageTold]:
        """Every interval of usage that the VTN was told of a resource."""
        return usage_in(self._reports(), resource)

    def settlements(self) -> Sequence[tuple[str, float | None]]:
        """Verdict and earnings of each stretch that was settled."""
        return settlements_in(self._reports())

    def _reports(self) -> list[Report]:
        return [validate(Report, body) for body in self._order("report", "list")]

    def _order(self, *words: str) -> Any:
        access = {"URL": f"http://127.0.0.1:{self._port}{BASE}", "CLIENT_ID": "operator", "CLIENT_SECRET": "op"}
        done = ran("cem", "vtn", *words, "--json", **{f"CEM_VTN_{key}": value for key, value in access.items()})
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)
