"""A device that speaks over an MQTT broker: connection, publishing, and what goes wrong with it."""

import json
from collections import deque
from itertools import cycle
from typing import Any

from hw_sim.devices.front import Front
from hw_sim.physics.house import House
from hw_sim.specs import DeviceSpec
from hw_sim.topics import TopicLink

Json = None | bool | int | float | str | list[Any] | dict[str, Any]
PUBLISH_S = 1.0
_GARBAGE = (b"{{{", b"NaN", b"1e999", b"\xff\xfe\x00", b'{"x":[[[[[[]]]]]]}', b'"12,5 W"', b"", b"[" * 200)


_ENCODER = json.JSONEncoder(separators=(",", ":"))


def packed(value: Json) -> bytes:
    """JSON without blanks."""
    return _ENCODER.encode(value).encode()


class TopicFront(Front):
    """Topics in front of some plants. `online` says whether it wants to be on its broker.

    Subclasses publish with `say` in `publish`, and take messages in `hear`.
    """

    def __init__(self, spec: DeviceSpec, house: House, serial: str, link: TopicLink) -> None:
        super().__init__(spec, house, serial)
        self.online = False
        self.connected = False
        self._link = link
        self._publish_every_s = max(PUBLISH_S, spec.report_every_s)
        self._next_publish_s = 0.0
        self._later: deque[tuple[float, str, bytes, bool]] = deque()
        self._garbage = cycle(_GARBAGE)
        self._flooded = 0.0
        self._last_s = 0.0

    # --- each kind has its own ---

    def filters(self) -> tuple[str, ...]:
        """To what it subscribes."""
        return ()

    def hear(self, topic: str, payload: bytes) -> None:
        """A message came."""

    def joined(self) -> None:
        """The connection stands."""

    def goodbye(self) -> None:
        """It is about to leave."""

    def publish(self, now_s: float) -> None:
        """Says what there is to say."""

    def flood_topic(self) -> tuple[str, bytes]:
        """What it repeats when it goes mad."""
        return f"{self.serial}/flood", b"0"

    # --- connection ---

    async def start(self) -> None:
        """Starts connecting to the broker."""
        self.online = True
        await self._link.start(self._on_message, self._on_connection)

    async def stop(self) -> None:
        """Says goodbye as the real one does, then disconnects."""
        self.goodbye()
        await self.leave()

    async def leave(self) -> None:
        """Disconnects without a word."""
        self.online = False
        await self._link.stop()
        self.connected = False
        self._later.clear()

    @property
    def kept_off(self) -> bool:
        """Whether something keeps it off its broker."""
        return self.condition.left_alone or self.condition.disconnected or not self.powered

    async def follow(self) -> None:
        """On its broker or off it, as its condition says."""
        wrong = self.condition
        if wrong.left_alone:
            if self.online:
                await self.leave()
        elif wrong.disconnected or not self.powered:
            if self.online:
                await self.stop()
        elif not self.online:
            await self.start()

    def _on_connection(self, connected: bool) -> None:
        self.connected = connected
        if connected:
            self._next_publish_s = 0.0
            for topic_filter in self.filters():
                self._link.subscribe(topic_filter)
            self.joined()
            self.report()

    def _on_message(self, topic: str, payload: bytes, retained: bool) -> None:
        """Interpretation: a retained command is taken too, as by a device that subscribes with no memory."""
        del retained
        if not self.condition.silent and self.powered:
            self.hear(topic, payload)

    # --- speaking ---

    def say(self, topic: str, value: Json, *, retain: bool = False, measured: bool = False) -> bool:
        """Publishes, measured values late or as garbage where that is so; whether it went out or will."""
        payload = next(self._garbage) if measured and "garbage" in self.condition.faults else packed(value)
        delay_s = self.spec.report_delay_s if measured else 0.0
        if delay_s > 0.0:
            self._later.append((self.house.elapsed_s + delay_s, topic, payload, retain))
            return self.connected
        return self._link.publish(topic, payload, retain=retain)

    def report(self) -> None:
        """Says what there is to say, at most once a second. Called after each step."""
        now_s = self.house.elapsed_s
        passed_s, self._last_s = now_s - self._last_s, now_s
        if not self.connected or not self.powered:
            return
        while self._later and self._later[0][0] <= now_s + 1e-9:
            _, topic, payload, retain = self._later.popleft()
            self._link.publish(topic, payload, retain=retain)
        flood = self.condition.faults.get("flood")
        if flood is not None:
            self._flood(flood.rate_per_s * passed_s)
        if now_s + 1e-9 < self._next_publish_s:
            return
        self._next_publish_s = now_s + self._publish_every_s
        if not (self.condition.silent or self.condition.frozen):
            self.publish(now_s)

    def report_now(self) -> None:
        """Something was set: it tells so at once."""
        self._next_publish_s = 0.0
        self.report()

    def beat(self) -> None:
        """Within a long step: it says again what it has said, as it is alive."""
        self.report_now()

    def _flood(self, messages: float) -> None:
        topic, payload = self.flood_topic()
        self._flooded += min(messages, 10_000.0)
        while self._flooded >= 1.0:
            self._flooded -= 1.0
            self._link.publish(topic, payload)

    # --- measured values ---

    def shown_w(self, power_w: float, last_w: float | None) -> float | None:
        """A power as it is shown: rounded, stuck at the last, a spike, or not at all."""
        wrong = self.condition
        if self.spec.round_w > 0.0:
            power_w = self.spec.round_w * round(power_w / self.spec.round_w)
        if not wrong.faults:
            return power_w
        if "nan" in wrong:
            return None
        spike = wrong.faults.get("spike")
        if spike is not None:
            return 1e9 if spike.value is None else spike.value
        return last_w if "stuck" in wrong else power_w
