"""Plays a scenario file in real time with real processes: `hw-sim serve` as the house, a `cem vtn` for each grid, `cem
run` as the gateway, on real sockets. Acts are done, and expectations looked at, from outside.

What differs from the virtual clock: the gateway ticks once a second whatever `step_s` says; the hours of the tariff are
moved so that the house's wall clock stands in them as the file's would; a start takes what it takes. A machine that
reboots, and a clock that cannot be trusted, are a mount namespace's.
"""

import asyncio
import json
import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day
from pathlib import Path
from typing import Any
from uuid import uuid4

from cem.cli.override import ACTS
from cem.config.schema import SiteTable
from cem.config.write import write_site
from cem.io.local_client import GatewayUnreachable, LocalClient
from cem.simulation.acting import BaseAct
from cem.simulation.acts import Ask, Kill, Plug, Start, Stop, WallClock
from cem.simulation.acts_grid import Cancel, LinkCut, Signalled
from cem.simulation.expectations import State, Watched
from cem.simulation.plant import BROKER, EvSpec
from cem.simulation.play import said_of
from cem.simulation.scenario import Scenario, changed, text_of
from cem.simulation.sights import Said, Setpoint
from cem.simulation.site import site_table
from support.grid_process import SECRET, GridProcess
from support.outside import OutsideView, truth_in
from support.stand import BIN, Process, free_ports, ran
from support.waiting import until

START_S = 20.0
"""So long a gateway that was started may be silent."""
NEED_GATEWAY = (State, Setpoint, Said)
APART = ["/usr/bin/unshare", "--map-root-user", "--mount"]
PINS = "pins.sock"
"""The pins of the house's board, beside the site file."""
BOOT_ID = "/proc/sys/kernel/random/boot_id"
PLAYED = (Ask, Cancel, Kill, LinkCut, Plug, Signalled, Start, Stop, WallClock)
"""The acts that can be done from outside."""


class RealPlay:
    """One play. Nothing runs before `play`, and nothing after it."""

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        foreign = [act for act in scenario.acts if not isinstance(act, PLAYED)]
        assert not foreign, f"{foreign[0]}: nobody can do this from outside"
        self._scenario = scenario
        self._folder = folder
        self._truth_file = folder / "truth.json"
        self._site_file = folder / "site.toml"
        self._client = LocalClient(folder / "cem.sock", timeout_s=2.0)
        self._site: SiteTable
        self._grids = {side.id: GridProcess(side, folder) for side in scenario.sides()}
        home = folder / scenario.path.name
        seen_by_sim = _with_arrivals(scenario)
        if any(spec.kind.startswith("gpio.") for spec in scenario.home.device):
            wired = {**seen_by_sim.table.get("change", {}), "gpio": {"socket": str(folder / PINS)}}
            seen_by_sim = changed(seen_by_sim, change=wired)
        home.write_text(text_of(seen_by_sim), encoding="utf-8")
        self._ports = self._reserved()
        ports = ("--port-file", str(self._ports), "--reuse-ports")
        self._home = Process(
            "home", folder, "hw-sim", "serve", str(home), *ports, "--truth", str(self._truth_file), "--json"
        )
        words = (*self._alone(), "run", "--config", str(self._site_file))
        self._gateway = Process("gateway", folder, *words, speaks=False)
        self._since: datetime  # the wall clock at the scenario's second 0
        self._started_s = 0.0

    def _alone(self) -> Sequence[str]:
        """`cem`, in a namespace of its own where the machine's boot or clock is part of the play."""
        if not needs_a_namespace(self._scenario):
            return ["cem"]
        self._boot().parent.mkdir()
        self._reboot()
        mounts = f"mount --bind {self._boot()} {BOOT_ID} && mount --bind {self._boot().parent} /run"
        return [*APART, "sh", "-c", f'{mounts} && exec "$0" "$@"', str(BIN / "cem")]

    def _boot(self) -> Path:
        return self._folder / "run" / "boot_id"

    def _reboot(self) -> None:
        self._boot().write_text(f"{uuid4()}\n", encoding="ascii")

    async def play(self) -> list[dict[str, Any]]:
        """From begin to end; the results as `Watched.result` gives them."""
        for grid in self._grids.values():
            await grid.line.start()
        try:
            await self._begin()
            return await self._run()
        finally:
            self._gateway.kill()
            self._home.kill()
            for grid in self._grids.values():
                grid.close()
                await grid.line.stop()

    async def _begin(self) -> None:
        for grid in self._grids.values():
            await asyncio.to_thread(grid.start)
        secret = self._folder / "house.secret"
        secret.touch(0o600)
        secret.write_text(SECRET)
        table = await asyncio.to_thread(site_table, self._scenario.home, said_of(self._scenario))
        self._site = SiteTable.model_validate(self._real(table))
        write_site(self._site_file, self._site)
        self._gateway.start()  # first, for it takes longer: it waits for its devices
        await until(lambda: self._gateway.running() and self._answers(), START_S * 6)
        await asyncio.to_thread(self._home.start)
        self._since = datetime.now(UTC) - timedelta(seconds=truth_in(self._truth_file).elapsed_s)

    def _answers(self) -> bool:
        try:
            return self._client.status().tick.count > 0
        except GatewayUnreachable:
            return False

    def _reserved(self) -> Path:
        """A port file with a port for the broker and for every device, whether it has one or not."""
        names = ("mqtt", *(spec.id for spec in self._scenario.home.device))
        ports = dict(zip(names, free_ports(len(names)), strict=True))
        file = self._folder / "ports.json"
        devices = {name: {"port": port} for name, port in ports.items() if name != "mqtt"}
        file.write_text(json.dumps({"devices": devices, "mqtt": {"port": ports["mqtt"]}}))
        return file

    def _real(self, table: SiteTable) -> dict[str, Any]:
        """The site file for the processes."""
        site = table.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude_none=True)
        for device in site["device"]:
            device["link"] |= _where(device["link"], json.loads(self._ports.read_text()))
        began = self._scenario.start or self._scenario.home.begins_at()
        assert began is not None
        for period in site["tariff"].get("period", ()):
            for edge in ("from", "to"):
                period[edge] = _moved(period[edge], datetime.now(UTC) - began)
        providers = [grid.provider("house.secret") for grid in self._grids.values()]
        return site | {"provider": providers, "store": {"folder": "state"}, "api": {"socket": "cem.sock"}}

    async def _run(self) -> list[dict[str, Any]]:
        acts = sorted(self._scenario.acts, key=lambda act: act.at_s)
        watched = [Watched(one) for one in self._scenario.expectations]
        now_s, last_s = -1.0, self._scenario.for_s
        while now_s < last_s:
            now_s = min(await self._later(now_s), last_s)
            while acts and acts[0].at_s <= now_s:
                await self._perform(acts.pop(0))
            await asyncio.to_thread(self._look, watched, now_s)
        log = self._gateway.words()
        assert "Traceback" not in log, log
        return [one.result(last_s) for one in watched]

    async def _later(self, now_s: float) -> float:
        """The next whole second of the house."""
        while (elapsed_s := math.floor(truth_in(self._truth_file).elapsed_s)) <= now_s:
            assert self._home.running(), self._home.words()
            await asyncio.sleep(0.05)
        return elapsed_s

    def _look(self, watched: Sequence[Watched], now_s: float) -> None:
        truth = truth_in(self._truth_file)
        view = OutsideView(truth, self._since, self._client, self._site_file, self._site, self._grids)
        starting = now_s - self._started_s < START_S and not view.ticked
        for one in watched:
            if not (starting and isinstance(one.what, NEED_GATEWAY)):
                one.look(view, now_s)

    async def _perform(self, act: BaseAct) -> None:
        match act:
            case Signalled():
                start_s = act.at_s + act.in_s
                await asyncio.to_thread(self._grids[act.grid].publish, act.order(start_s, act.in_s), self._since)
            case Cancel():
                for grid in self._meant(act.grid):
                    await asyncio.to_thread(grid.cancel, act.name)
            case LinkCut():
                for grid in self._meant(act.grid):
                    await (grid.line.mend() if act.up else grid.line.cut())
            case Ask():
                await asyncio.to_thread(self._ask, act)
            case Kill():
                self._gateway.kill()
            case Stop():
                self._gateway.terminate()
            case Start():
                if act.rebooted:
                    self._reboot()
                self._started_s = act.at_s
                self._gateway.start()
            case WallClock():
                self._trust(act)

    def _meant(self, grid: str | None) -> list[GridProcess]:
        return list(self._grids.values()) if grid is None else [self._grids[grid]]

    def _ask(self, act: Ask) -> None:
        resource = next(r.id for device in self._site.device for r in device.resource if r.role is act.role)
        word = next(word for word, kind in ACTS.items() if kind is act.kind)
        level = () if act.target_soc_pct is None else (f"{act.target_soc_pct:g}%",)
        until = (datetime.now(UTC) + timedelta(seconds=act.for_s)).isoformat()
        done = ran("cem", "override", resource, word, *level, "--until", until, "--config", str(self._site_file))
        assert done.returncode == 0, done.stderr

    def _trust(self, act: WallClock) -> None:
        """systemd-timesyncd of the machine waits for the time, or has it."""
        assert act.by_s is None, "no clock of a machine is set"
        folder = self._boot().parent / "systemd" / "timesync"
        folder.mkdir(parents=True, exist_ok=True)
        if act.trusted:
            (folder / "synchronized").touch()


def needs_a_namespace(scenario: Scenario) -> bool:
    """Whether the machine itself reboots, or loses its clock."""
    return any(isinstance(act, WallClock) or (isinstance(act, Start) and act.rebooted) for act in scenario.acts)


def _with_arrivals(scenario: Scenario) -> Scenario:
    """With the cars that come as events of the house's own time line, where hw-sim sees them."""
    cars: Sequence[EvSpec] = scenario.home.ev
    arrivals = [
        {"kind": "arrive", "target": car.id, "at_s": act.at_s, "used_wh": act.used_wh}
        for act in scenario.acts
        if isinstance(act, Plug)
        for car in cars
    ]
    return changed(scenario, event=[*scenario.table.get("event", ()), *arrivals]) if arrivals else scenario


def _where(link: dict[str, Any], ports: dict[str, Any]) -> dict[str, Any]:
    """The address at which a link of the home in memory is found."""
    if link["kind"] == "gpio":
        return {"board": "simulated", "simulated_file": PINS}
    found = ports["mqtt"] if link["host"] == BROKER else ports["devices"][link["host"]]
    return {"host": "127.0.0.1", "port": found["port"]}


def _moved(clock: str, by: timedelta) -> str:
    """A time of day, later by so much, in whole minutes."""
    at = datetime.combine(datetime(2026, 1, 1, tzinfo=UTC), time_of_day.fromisoformat(clock)) + by
    return f"{at:%H:%M}"
