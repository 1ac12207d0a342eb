"""What may befall a simulated house, as data: each act is a table with `do` and its arguments, done to a bench."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from cem.model.request import RequestKind, UserRequest
from cem.model.resource import Role
from cem.simulation.grid import Order, Signal
from cem.simulation.harness import Bench
from cem.simulation.oracle import Oracle
from cem.simulation.oracle.wires import blocks

Act = Mapping[str, Any]
SIGNALS = {
    "import_limit": (Signal.IMPORT_LIMIT_W, "limits"),
    "export_limit": (Signal.EXPORT_LIMIT_W, "limits"),
    "price": (Signal.IMPORT_PRICE, "prices"),
    "dispatch": (Signal.DISPATCH_W, "prices"),
}


def act(bench: Bench, oracle: Oracle, what: Act) -> None:
    """Does one act now."""
    _ACTS[what["do"]](bench, oracle, what)


def _fault(bench: Bench, _: Oracle, what: Act) -> None:
    keys = {key: value for key, value in what.items() if key not in {"at_s", "do", "target", "kind"}}
    bench.plant.faults.inject(what["target"], what["kind"], **keys)


def _clear(bench: Bench, _: Oracle, what: Act) -> None:
    bench.plant.faults.clear(what["target"], what["kind"])


def _load(bench: Bench, _: Oracle, what: Act) -> None:
    bench.plant.house.household.extra_w = float(what["watts"])


def _plug(bench: Bench, _: Oracle, what: Act) -> None:
    for charging in bench.plant.house.charging_points.values():
        charging.plug(float(what.get("used_wh", 0.0)))


def _unplug(bench: Bench, _: Oracle, what: Act) -> None:
    del what
    for charging in bench.plant.house.charging_points.values():
        if charging.plugged:
            charging.unplug()


def _sun(bench: Bench, _: Oracle, what: Act) -> None:
    for roof in bench.plant.house.roofs.values():
        roof.connected = bool(what["on"])


def _store(bench: Bench, _: Oracle, what: Act) -> None:
    for battery in bench.plant.house.batteries.values():
        battery.soc_wh = battery.spec.capacity_wh * float(what["soc_pct"]) / 100.0


def _meddle(bench: Bench, _: Oracle, what: Act) -> None:
    """Somebody else writes registers of a SunSpec device: `offset` counts from the model's own id."""
    bank = bench.plant.modbus(what["target"]).bank
    block = next(block for block in blocks(bank) if block.model == what["model"])
    if what.get("inside", False):  # from the device's own side: what nobody may write over the wire
        bank.put(block.address + what["offset"], what["words"])
    else:
        bank.write(block.address + what["offset"], what["words"])


def _publish(bench: Bench, _: Oracle, what: Act) -> None:
    """Anybody's message at the home's broker."""

    async def spread() -> None:
        bench.plant.broker.spread(what["topic"], str(what["payload"]).encode(), bool(what.get("retain", False)))

    bench.run(spread())


def _signal(bench: Bench, _: Oracle, what: Act) -> None:
    if not bench.grids:
        return
    signal, programme = SIGNALS[what["signal"]]
    start_s = (bench.now - bench.start).total_seconds() + float(what.get("in_s", 0.0))
    order = Order(signal, tuple(float(v) for v in what["values"]), round(start_s), float(what["for_s"]), programme)
    bench.grids[what.get("grid", "utility")].publish(order, bench.start)


def _cancel(bench: Bench, _: Oracle, what: Act) -> None:
    for vtn in bench.grids.values():
        for event in tuple(vtn.events()):
            vtn.cancel(str(event["id"]))
    del what


def _link(bench: Bench, _: Oracle, what: Act) -> None:
    for vtn in bench.grids.values():
        vtn.connected = bool(what["up"])


def _ask(bench: Bench, _: Oracle, what: Act) -> None:
    if bench.gateway is None:
        return
    kind = RequestKind(what["kind"])
    role = Role(what["role"])
    resources = bench.site_file.site.of(role)
    if not resources:
        return
    until = bench.now + timedelta(seconds=float(what["for_s"]))
    number = len(bench.gateway.requests.in_force())
    key = f"asked-{bench.now.timestamp():.0f}-{number}"
    request = UserRequest(key, resources[0].id, kind, until, bench.now, target_soc_pct=what.get("target_soc_pct"))
    bench.run(bench.gateway.requests.add(request))


def _kill(bench: Bench, _: Oracle, what: Act) -> None:
    del what
    if bench.gateway is not None:
        bench.kill()


def _stop(bench: Bench, oracle: Oracle, what: Act) -> None:
    del what
    if bench.gateway is not None:
        oracle.stopping()
        bench.stop()


def _start(bench: Bench, _: Oracle, what: Act) -> None:
    del what
    if bench.gateway is None:
        bench.restart()


def _clock(bench: Bench, _: Oracle, what: Act) -> None:
    if "by_s" in what:
        bench.clock.step_wall(timedelta(seconds=float(what["by_s"])))
    if "trusted" in what:
        bench.clock.trusted = bool(what["trusted"])


def _stall(bench: Bench, _: Oracle, what: Act) -> None:
    """The control loop stops turning, while everything else in the process goes on."""
    if bench.gateway is None:
        return
    loop: Any = bench.gateway.loop
    if what["on"]:
        loop.tick = lambda: None
    else:
        loop.__dict__.pop("tick", None)


def _pause(bench: Bench, _: Oracle, what: Act) -> None:
    """The whole process stands still."""
    bench.pause(float(what["for_s"]))


_ACTS: Mapping[str, Callable[[Bench, Oracle, Act], None]] = {
    "fault": _fault,
    "clear": _clear,
    "load": _load,
    "plug": _plug,
    "unplug": _unplug,
    "sun": _sun,
    "store": _store,
    "meddle": _meddle,
    "publish": _publish,
    "signal": _signal,
    "cancel": _cancel,
    "link": _link,
    "ask": _ask,
    "kill": _kill,
    "stop": _stop,
    "start": _start,
    "clock": _clock,
    "stall": _stall,
    "pause": _pause,
}
