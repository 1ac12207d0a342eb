"""openleadr as a foreign OpenADR 2.0b VTN on this machine.

Where it departs from the profile we work around it here: its event queue is per class, it answers a request for events
with a plain oadrResponse when it has none, and it never sends reports of its own.
"""

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from openleadr import OpenADRServer, objects, utils
from openleadr.service import VTNService

VTN_ID = "VTN-1"


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class ForeignVtn:
    """A VTN with what it heard of the VEN."""

    def __init__(self, **options: Any) -> None:
        self.port = free_port()
        self.registered: list[dict[str, Any]] = []
        self.answers: list[tuple[str, str]] = []
        self.offered: list[str] = []
        self.values: dict[str, list[tuple[datetime, float]]] = {}
        self.report_every = timedelta(seconds=1)
        self.cancelled: list[Any] = []
        poll = options.pop("requested_poll_freq", timedelta(milliseconds=300))
        self.server = OpenADRServer(
            vtn_id=VTN_ID, http_port=self.port, requested_poll_freq=poll, show_fingerprint=False, **options
        )
        self.server.add_handler("on_create_party_registration", self._register)
        self.server.add_handler("on_cancel_party_registration", self._cancel)
        self.server.add_handler("on_register_report", self._report)

    def _register(self, payload: dict[str, Any]) -> tuple[str, str]:
        self.registered.append(payload)
        return "ven-1", "registration-1"

    def _cancel(self, payload: Any) -> tuple[str, dict[str, Any]]:
        self.cancelled.append(payload)
        return "oadrCanceledPartyRegistration", {"registration_id": "registration-1"}

    def _report(
        self,
        ven_id: str,
        resource_id: str,
        measurement: str,
        unit: str,
        scale: str,
        min_sampling_interval: timedelta,
        max_sampling_interval: timedelta,
    ) -> tuple[Callable[[Any], None], timedelta] | None:
        name = f"{resource_id} {measurement}"
        self.offered.append(name)
        if measurement == "Status":
            return None

        def take(values: list[tuple[datetime, float]]) -> None:
            self.values.setdefault(name, []).extend(values)

        return take, self.report_every

    def dispatch(self, *values: float, start: datetime | None = None, each_s: float = 3600, **more: Any) -> str:
        """Adds an event for the VEN: its import limited to values of kW one after the other; its id."""
        begin = start or datetime.now(UTC)
        length = timedelta(seconds=each_s)
        intervals = [
            {"dtstart": begin + length * number, "duration": length, "signal_payload": value}
            for number, value in enumerate(values)
        ]
        event_id: str = self.server.add_event(
            ven_id="ven-1",
            signal_name=more.pop("signal_name", "LOAD_CONTROL"),
            signal_type=more.pop("signal_type", "x-loadControlSetpoint"),
            intervals=intervals,
            callback=self._answered,
            market_context="http://provider.test/dimming",
            **more,
        )
        signal = self.event(event_id).event_signals[0]
        signal.measurement = objects.Measurement(
            name="powerReal",
            description="RealPower",
            unit="W",
            scale="k",
            power_attributes=objects.PowerAttributes(hertz=50, voltage=230, ac=True),
        )
        return event_id

    def _answered(self, ven_id: str, event_id: str, opt_type: str) -> None:
        self.answers.append((event_id, opt_type))

    def event(self, event_id: str) -> Any:
        """The event as the VTN holds it."""
        return utils.find_by(self.server.events["ven-1"], "event_descriptor.event_id", event_id)

    def modify(self, event_id: str, *values: float) -> None:
        """Other values for an event, as a new modification of it."""
        event = self.event(event_id)
        for interval, value in zip(event.event_signals[0].intervals, values, strict=True):
            interval["signal_payload"] = value
        event.event_descriptor.modification_number += 1
        self.server.event_callbacks[event_id] = (event, self._answered)
        self.server.events_updated["ven-1"] = True

    def cancel(self, event_id: str) -> None:
        """Cancels an event, and wants to hear the answer."""
        event = self.event(event_id)
        self.server.cancel_event("ven-1", event_id)
        self.server.event_callbacks[event_id] = (event, self._answered)


@asynccontextmanager
async def foreign_vtn(**options: Any) -> AsyncIterator[ForeignVtn]:
    """Runs one; what openleadr keeps per class is put back afterwards."""
    before = dict(vars(VTNService))
    vtn = ForeignVtn(**options)
    await vtn.server.run()
    try:
        yield vtn
    finally:
        await vtn.server.stop()
        for name in ("fingerprint_lookup", "ven_lookup", "_create_message"):
            if name in before:
                setattr(VTNService, name, before[name])
            elif name in vars(VTNService):
                delattr(VTNService, name)
