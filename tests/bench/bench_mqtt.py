"""What a flood of MQTT messages costs the gateway: 10,000 a second for ten seconds, beside a clock of 1 s ticks.

Run: .venv/bin/python tests/bench/bench_mqtt.py. The broker (Mosquitto) and who floods are processes of their own; the
gateway's side is a device behind the real driver, polled each second, and a look 50 times a second at how late the loop
is. Nine of ten messages are on topics of the device that say nothing to the profile.
"""

import asyncio
import multiprocessing
import resource
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

sys.path.insert(0, str(Path(__file__).parents[1]))

from cem.driver import Control, Device, DeviceConfig, DriverContext, NoAnswer, Resource, Role
from cem_drivers.mqtt import DRIVER
from cem_drivers.mqtt.broker import BROKERS
from support.brokers import MOSQUITTO, Mosquitto

RATE, SECONDS, TOPICS = 10_000, 10, 10
TICK_S, LOOK_S = 1.0, 0.02
BAR_LATE_S = 0.1
BASE = "warp2/AbCd"
KEPT = {
    f"{BASE}/info/name": '{"name":"warp2-AbCd","type":"warp2","display_type":"WARP2 Charger Pro","uid":"AbCd"}',
    f"{BASE}/info/version": '{"firmware":"2.6.6"}',
    f"{BASE}/meters/0/value_ids": "[1,13,17,21,74]",
    f"{BASE}/evse/external_enabled": '{"enabled":true}',
}


def flood(port: int, rate: int, seconds: float) -> None:
    """Publishes in bursts of a hundredth of a second: the values of a meter, on the device's topic and nine others."""
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", port)
    client.loop_start()
    for topic, payload in KEPT.items():
        client.publish(topic, payload, qos=1, retain=True).wait_for_publish(5)
    begun, sent = time.perf_counter(), 0
    while sent < rate * seconds:
        due = min(int((time.perf_counter() - begun) * rate), int(rate * seconds))
        while sent < due:
            other = sent % TOPICS
            topic = f"{BASE}/meters/0/values" if other == 0 else f"{BASE}/other/{other}"
            client.publish(topic, f"[230.1,1,2,3,{sent}]", qos=0)
            sent += 1
        time.sleep(0.005)
    client.publish(f"{BASE}/meters/0/values", "[230.1,1,2,3,42]", qos=1).wait_for_publish(30)
    client.disconnect()
    client.loop_stop()


@dataclass
class Seen:
    """What the gateway's side went through."""

    late_s: list[float] = field(default_factory=list)  # of the clock's looks
    own_s: list[float] = field(default_factory=list)  # of that at most by what this process computed, all its threads
    ticks_late_s: list[float] = field(default_factory=list)
    waiting: int = 0  # the most messages that waited
    polls: int = 0
    newest_after_s: float = 0.0  # from the flood's end to its last value


def rss_mib() -> float:
    """Resident memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


async def look(seen: Seen) -> None:
    """How late the loop is, 50 times a second."""
    loop = asyncio.get_running_loop()
    while True:
        due_s, computed_s = loop.time() + LOOK_S, time.process_time()
        await asyncio.sleep(LOOK_S)
        seen.late_s.append(loop.time() - due_s)
        seen.own_s.append(min(seen.late_s[-1], time.process_time() - computed_s))


async def tick(device: Device, seen: Seen) -> None:
    """Polls on the second, as the loop does."""
    loop = asyncio.get_running_loop()
    due_s = loop.time()
    while True:
        due_s += TICK_S
        await asyncio.sleep(due_s - loop.time())
        seen.ticks_late_s.append(loop.time() - due_s)
        await device.poll()
        seen.polls += 1


def device_at(port: int) -> Device:
    """The charger that is flooded."""
    table: dict[str, str | int | float | bool] = {"kind": "mqtt", "host": "127.0.0.1", "port": port}
    part = Resource("ev", Role.EV, "car", "Car", controls=frozenset({Control.EV_LIMIT_A}))
    config = DeviceConfig("car", "Car", "mqtt", table, (part,), "tinkerforge.warp-mqtt", "AbCd")
    return DRIVER.device(config, DriverContext(time.monotonic))


async def opened(device: Device) -> None:
    """Opens it as soon as it speaks."""
    while True:
        try:
            await device.open()
        except NoAnswer:
            continue
        return


async def run(port: int) -> tuple[Seen, float, float, float]:
    """(what was seen, CPU seconds of the gateway's side, memory before and at most, MiB)."""
    device, seen = device_at(port), Seen()
    storm = multiprocessing.get_context("spawn").Process(target=flood, args=(port, RATE, SECONDS))
    storm.start()
    await opened(device)
    broker = BROKERS.take({"host": "127.0.0.1", "port": port}, 1883, DriverContext(time.monotonic))
    before, cpu_s, most = rss_mib(), time.process_time(), 0.0
    watchers = [asyncio.create_task(look(seen)), asyncio.create_task(tick(device, seen))]
    while storm.is_alive():
        await asyncio.sleep(0.1)
        seen.waiting = max(seen.waiting, len(broker._port._inbound))  # type: ignore[attr-defined]
        most = max(most, rss_mib())
    ended_s = time.perf_counter()
    while {reading.point: reading.value for reading in await device.poll()}.get("power_w") != 42.0:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    seen.newest_after_s = time.perf_counter() - ended_s
    cpu_s = time.process_time() - cpu_s
    for watcher in watchers:
        watcher.cancel()
    await asyncio.gather(*watchers, return_exceptions=True)
    await BROKERS.drop(broker)
    await device.close()
    return seen, cpu_s, before, max(most, rss_mib())


async def main() -> None:
    """Floods, and prints the table."""
    assert MOSQUITTO is not None, "apt-get install mosquitto"
    with tempfile.TemporaryDirectory() as folder:
        broker = Mosquitto(Path(folder), "allow_anonymous true\nmax_queued_messages 0\n")
        await broker.start()
        try:
            seen, cpu_s, before, most = await run(broker.port)
        finally:
            await broker.stop()
    late = sorted(seen.late_s)
    rows = [
        ("messages offered", f"{RATE * SECONDS:,} in {SECONDS} s", ""),
        ("latest tick of 1 s", f"{max(seen.ticks_late_s) * 1000:.1f} ms ({seen.polls} ticks)", "100 ms"),
        (
            "loop late, p99 and worst",
            f"{late[int(len(late) * 0.99)] * 1000:.1f} and {late[-1] * 1000:.1f} ms",
            "",
        ),
        ("of that by the gateway's side itself, worst", f"{max(seen.own_s) * 1000:.1f} ms", "100 ms"),
        ("messages waiting, at most", f"{seen.waiting:,}", "5,000"),
        ("newest value after the flood", f"{seen.newest_after_s * 1000:.0f} ms later", ""),
        ("memory, before and at most", f"{before:.1f} and {most:.1f} MiB", "bounded"),
        ("CPU of the gateway's side", f"{cpu_s:.1f} s, {cpu_s / RATE / SECONDS * 1e6:.0f} us a message", ""),
    ]
    lines = ["| what | measured | bar |", "| --- | --- | --- |"]
    lines += [f"| {what} | {measured} | {bar} |" for what, measured, bar in rows]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.exit(0 if max(*seen.ticks_late_s, *seen.own_s) <= BAR_LATE_S else 1)


if __name__ == "__main__":
    asyncio.run(main())
