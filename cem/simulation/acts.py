"""What may befall a simulated house at a moment: `[[act]]` tables with `do` and its keys, done to a bench.

A fault or an event with a beginning and an end is a `[[fault]]` or `[[event]]` table of the house's own time line; acts
are what no time line knows: registers and messages, the grid, the owner, the gateway's own life, and its clock.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from cem.model.request import SUITS, RequestKind, UserRequest
from cem.model.resource import Role
from cem.simulation.acting import BaseAct
from cem.simulation.acts_grid import Cancel, LinkCut, Signalled
from cem.simulation.harness import Bench
from cem.simulation.oracle import Oracle
from cem.simulation.oracle.wires import Block, blocks
from cem.simulation.plant import fault_troubles


class Fault(BaseAct):
    """A device fails until `clear`; kinds and their keys as in a [[fault]] table."""

    model_config = ConfigDict(extra="allow")

    do: Literal["fault"]
    target: str
    kind: str

    def troubles(self, bench: Bench) -> Sequence[str]:
        """Device, kind and its keys."""
        return fault_troubles(bench.home, {"target": self.target, "kind": self.kind, **(self.model_extra or {})})

    def perform(self, bench: Bench, oracle: Oracle) -> None:
        """From the next step of the plant on."""
        kind: Any = self.kind
        bench.plant.faults.inject(self.target, kind, **(self.model_extra or {}))


class Clear(BaseAct):
    """It is well again."""

    do: Literal["clear"]
    target: str
    kind: str

    def troubles(self, bench: Bench) -> Sequence[str]:
        """Device and kind."""
        return fault_troubles(bench.home, {"target": self.target, "kind": self.kind})

    def perform(self, bench: Bench, oracle: Oracle) -> None:
        """Ends what `fault` began."""
        kind: Any = self.kind
        bench.plant.faults.clear(self.target, kind)


class Load(BaseAct):
    """The household takes so much more than its own course; 0 ends it."""

    do: Literal["load"]
    watts: float

    def perform(self, bench: Bench, oracle: Oracle) -> None:
        """Over all phases."""
        bench.plant.house.household.extra_w = self.watts


class Plug(BaseAct):
    """The cars come home."""

    do: Literal["plug"]
    used_wh: float = Field(default=0.0, ge=0)

    def perform(self, bench: Bench, oracle: Oracle) -> None:
        """Every one."""
        for charging in bench.plant.house.charging_points.values():
            charging.plug(self.used_wh)


class Unplug(BaseAct):
    """The cars leave."""

    do: Literal["unplug"]

    def perform(self, bench: Bench, oracle: Oracle) -> None:
        """Every one that is there."""
        for charging in bench.plant.house.charging_points.values():
            if charging.plugged:
                charging.unplug()


class Sun(BaseAct):
    """The roofs are cut off, or back."""

    do: Literal["sun"]
    on: bool

    def perform(self, bench: Bench, oracle: Oracle) -> None:
        """Every one."""
        for roof in bench.plant.house.roofs.values():
            roof.connected = self.on


class Store(BaseAct):
    """The batteries hold so much all at once."""

    do: Literal["store"]
    soc_pct: float = Field(ge=0, le=100)

    def perform(self, bench: Bench, oracle: Oracle) -> None:
        """Every one."""
        for battery in bench.plant.house.batteries.values():
            battery.soc_wh = battery.spec.capacity_wh * self.soc_pct / 100.0


class Meddle(BaseAct):
    """Somebody else writes registers of a SunSpec device: `offset` counts from the model's own id."""

    do: Literal["meddle"]
    target: str
    model: int
    offset: int = Field(ge=0)
    words: list[Annotated[int, Field(ge=0, le=0xFFFF)]] = Field(min_length=1, max_length=123)
    inside: bool = False  # from the device's own side: what nobody may write over the wire

    def _block(self, bench: Bench) -> Block | None:
        return next(
            (block for block in blocks(bench.plant.modbus(self.target).bank) if block.model == self.model), None
        )

    def troubles(self, bench: Bench) -> Sequence[str]:
        """Device and model."""
        try:
            block = self._block(bench)
        except KeyError as error:
            return [f"target: {error.args[0]}"]
        if block is None:
            return [f"model: '{self.target}' has no model {self.model}"]
        if self.offset + len(self.words) > block.length:
            return [f"offset: model {self.model} has {block.length} registers"]
        return ()

    def perform(self, bench: Bench, oracle: Oracle) -> None:
        """At once."""
        block = self._block(bench)
        assert block is not None
        bank = bench.plant.modbus(self.target).bank
        write = bank.put if self.inside else bank.write
        write(block.address + self.offset, self.words)


class Publish(BaseAct):
    """Anybody's message at the home's broker."""

    do: Literal["publish"]
    topic: str = Field(min_length=1)
    payload: str
    retain: bool = False

    def perform(self, bench: Bench, oracle: Oracle) -> None:
        """To everybody who listens."""

        async def spread() -> None:
            bench.plant.broker.spread(self.topic, self.payload.encode(), self.retain)

        bench.run(spread())


class Ask(BaseAct):
    """The owner asks for something, for so long, of the first resource with that role."""

    do: Literal["ask"]
    role: Role
    kind: RequestKind
    for_s: float = Field(gt=0)
    target_soc_pct: float | None = Field(default=None, ge=0, le=100)

    def troubles(self, bench: Bench) -> Sequence[str]:
        """Whether such a resource can be asked for this."""
        if self.role in SUITS[self.kind]:
            return () if bench.site_file.site.of(self.role) else [f"role: this home has nothing that is '{self.role}'"]
        kinds = ", ".join(kind for kind, roles in SUITS.items() if self.role in roles)
        return [f"kind: '{self.kind}' is nothing for '{self.role}'; allowed: {kinds or 'nothing'}"]

    def perform(self, bench: Bench, oracle: Oracle) -> None:
        """Nothing where no gateway runs, or nothing has that role."""
        resources = bench.site_file.site.of(self.role)
        if bench.gateway is None or not resources:
            return
        number = len(bench.gateway.requests.in_force())
        key = f"asked-{bench.now.timestamp():.0f}-{number}"
        until = bench.now + timedelta(seconds=self.for_s)
        request = UserRequest(key, resources[0].id, self.kind, until, bench.now, target_soc_pct=self.target_soc_pct)
        bench.run(bench.gateway.requests.add(request))


class Kill(BaseAct):
    """The gateway ends at once."""

    do: Literal["kill"]

    def perform(self, bench: Bench, oracle: Oracle) -> None:
        """Nothing where none runs."""
        if bench.gateway is not None:
            bench.kill()


class Stop(BaseAct):
    """The gateway is told to end."""

    do: Literal["stop"]

    def perform(self, bench: Bench, oracle: Oracle) -> None:
        """Nothing where none runs."""
        if bench.gateway is not None:
            oracle.stopping()
            bench.stop()


class Start(BaseAct):
    """The gateway is started, `rebooted`: with its machine."""

    do: Literal["start"]
    rebooted: bool = False

    def perform(self, bench: Bench, oracle: Oracle) -> None:
        """Nothing where one runs."""
        if bench.gateway is None:
            bench.restart(rebooted=self.rebooted)


class WallClock(BaseAct):
    """The gateway's wall clock jumps, or is (not) to be trusted."""

    do: Literal["clock"]
    by_s: float | None = None
    trusted: bool | None = None

    @model_validator(mode="after")
    def _something(self) -> "WallClock":
        if self.by_s is None and self.trusted is None:
            raise ValueError("give by_s, trusted, or both")
        return self

    def perform(self, bench: Bench, oracle: Oracle) -> None:
        """At once."""
        if self.by_s is not None:
            bench.clock.step_wall(timedelta(seconds=self.by_s))
        if self.trusted is not None:
            bench.clock.trusted = self.trusted


class Stall(BaseAct):
    """The control loop stops turning, while everything else in the process goes on; or it turns again."""

    do: Literal["stall"]
    on: bool

    def perform(self, bench: Bench, oracle: Oracle) -> None:
        """Nothing where no gateway runs."""
        if bench.gateway is None:
            return
        loop: Any = bench.gateway.loop
        if self.on:
            loop.tick = lambda: None
        else:
            loop.__dict__.pop("tick", None)


class Pause(BaseAct):
    """The gateway's process stands still for so long, as in SIGSTOP or a paused machine; time passes."""

    do: Literal["pause"]
    for_s: float = Field(gt=0)

    def perform(self, bench: Bench, oracle: Oracle) -> None:
        """At once."""
        bench.pause(self.for_s)


Act = Annotated[
    Fault | Clear | Load | Plug | Unplug | Sun | Store | Meddle | Publish | Signalled | Cancel | LinkCut | Ask | Kill
    | Stop | Start | WallClock | Stall | Pause,
    Field(discriminator="do"),
]  # fmt: skip
