"""A charger made of the ocpp package's own ChargePoint, as in its examples: it validates every frame by the schemas."""

# mypy: disable-error-code="untyped-decorator"
# the package has no types

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from ocpp.routing import on
from ocpp.v16 import ChargePoint as ChargePoint16
from ocpp.v16 import call as call16
from ocpp.v16 import call_result as result16
from ocpp.v201 import ChargePoint as ChargePoint201
from ocpp.v201 import call as call201
from ocpp.v201 import call_result as result201

AT = "2026-06-15T10:00:00Z"


class Socket:
    """What ChargePoint wants of a connection, over aiohttp."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    async def recv(self) -> str:
        return str(await self._socket.receive_str())

    async def send(self, text: str) -> None:
        await self._socket.send_str(text)


class Peer16(ChargePoint16):  # type: ignore[misc]
    """OCPP 1.6, two connectors: keeps the last profile of each, by its number."""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self.profiles: dict[int, tuple[int, float]] = {}  # connector and limit

    @property
    def limit_a(self) -> float | None:
        """Of the first connector."""
        return next((limit for connector, limit in self.profiles.values() if connector == 1), None)

    async def boot(self) -> Any:
        """Says who it is."""
        return await self.call(call16.BootNotification("Optimus", "The Mobility House", "TMH-1"))

    @on("GetConfiguration")
    async def configuration(self, key: list[str] | None = None) -> Any:
        known = {"SupportedFeatureProfiles": "Core,SmartCharging", "MeterValueSampleInterval": "10"}
        told = [{"key": name, "readonly": True, "value": known[name]} for name in key or [] if name in known]
        return result16.GetConfiguration(told, [name for name in key or [] if name not in known])

    @on("ChangeConfiguration")
    async def configure(self, key: str, value: str) -> Any:
        del key, value
        return result16.ChangeConfiguration("NotSupported")

    @on("TriggerMessage")
    async def trigger(self, requested_message: str, connector_id: int | None = None) -> Any:
        del connector_id
        asyncio.get_running_loop().call_soon(
            lambda: setattr(self, "task", asyncio.create_task(self.say(requested_message)))
        )
        return result16.TriggerMessage("Accepted")

    async def say(self, what: str) -> None:
        """Sends what it was asked for."""
        if what == "BootNotification":
            await self.boot()
        elif what == "StatusNotification":
            await self.call(call16.StatusNotification(1, "NoError", "Charging", AT))
        else:
            value = {"value": "7.2", "context": "Trigger", "measurand": "Power.Active.Import", "unit": "kW"}
            await self.call(call16.MeterValues(1, [{"timestamp": AT, "sampledValue": [value]}], 7))

    @on("SetChargingProfile")
    async def set_profile(self, connector_id: int, cs_charging_profiles: dict[str, Any]) -> Any:
        limit = float(cs_charging_profiles["charging_schedule"]["charging_schedule_period"][0]["limit"])
        self.profiles[cs_charging_profiles["charging_profile_id"]] = (connector_id, limit)
        return result16.SetChargingProfile("Accepted")

    @on("ClearChargingProfile")
    async def clear(self, id: int) -> Any:  # noqa: A002 - its name in the message
        return result16.ClearChargingProfile("Accepted" if self.profiles.pop(id, None) else "Unknown")

    @on("GetCompositeSchedule")
    async def composite(self, connector_id: int, duration: int, charging_rate_unit: str) -> Any:
        limits = [limit for connector, limit in self.profiles.values() if connector == connector_id]
        if not limits:
            return result16.GetCompositeSchedule("Rejected")
        period = {"startPeriod": 0, "limit": limits[0]}
        schedule = {"duration": duration, "chargingRateUnit": charging_rate_unit, "chargingSchedulePeriod": [period]}
        return result16.GetCompositeSchedule("Accepted", connector_id, AT, schedule)


class Peer201(ChargePoint201):  # type: ignore[misc]
    """OCPP 2.0.1: keeps the last profile."""

    limit_a: float | None = None

    async def boot(self) -> Any:
        """Says who it is."""
        station = {"model": "Wallbox XYZ", "vendor_name": "anewone", "serial_number": "ANE-1"}
        return await self.call(call201.BootNotification(station, "PowerUp"))

    @on("GetVariables")
    async def variables(self, get_variable_data: list[dict[str, Any]]) -> Any:
        return result201.GetVariables([one | {"attribute_status": "UnknownVariable"} for one in get_variable_data])

    @on("SetVariables")
    async def configure(self, set_variable_data: list[dict[str, Any]]) -> Any:
        done = [{"component": one["component"], "variable": one["variable"]} for one in set_variable_data]
        return result201.SetVariables([one | {"attribute_status": "Rejected"} for one in done])

    @on("TriggerMessage")
    async def trigger(self, requested_message: str, evse: dict[str, Any] | None = None) -> Any:
        del evse
        asyncio.get_running_loop().call_soon(
            lambda: setattr(self, "task", asyncio.create_task(self.say(requested_message)))
        )
        return result201.TriggerMessage("Accepted")

    async def say(self, what: str) -> None:
        """Sends what it was asked for."""
        if what == "BootNotification":
            await self.boot()
        elif what == "StatusNotification":
            await self.call(call201.StatusNotification(AT, "Occupied", 1, 1))
        else:
            power = {"value": 7.2, "context": "Trigger", "measurand": "Power.Active.Import"}
            sample = power | {"unit_of_measure": {"unit": "kW"}}
            await self.call(call201.MeterValues(1, [{"timestamp": AT, "sampled_value": [sample]}]))

    @on("SetChargingProfile")
    async def set_profile(self, evse_id: int, charging_profile: dict[str, Any]) -> Any:
        del evse_id
        self.limit_a = float(charging_profile["charging_schedule"][0]["charging_schedule_period"][0]["limit"])
        return result201.SetChargingProfile("Accepted")

    @on("ClearChargingProfile")
    async def clear(self, **_which: Any) -> Any:
        self.limit_a = None
        return result201.ClearChargingProfile("Accepted")

    @on("GetCompositeSchedule")
    async def composite(self, duration: int, evse_id: int, charging_rate_unit: str) -> Any:
        if self.limit_a is None:
            return result201.GetCompositeSchedule("Rejected")
        period = {"start_period": 0, "limit": self.limit_a}
        schedule = {"evse_id": evse_id, "duration": duration, "schedule_start": AT}
        schedule |= {"charging_rate_unit": charging_rate_unit, "charging_schedule_period": [period]}
        return result201.GetCompositeSchedule("Accepted", schedule=schedule)


def limit_of(peer: Peer16 | Peer201) -> float | None:
    """What it holds now."""
    return peer.limit_a


@asynccontextmanager
async def calling(port: int, name: str, protocol: str) -> AsyncIterator[Peer16 | Peer201]:
    """A peer that is connected and answers, until the block ends."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"ws://127.0.0.1:{port}/ocpp/{name}", protocols=(protocol,)) as socket,
    ):
        kind = Peer16 if protocol == "ocpp1.6" else Peer201
        peer = kind(name, Socket(socket), response_timeout=3)
        task = asyncio.create_task(_served(peer))
        try:
            yield peer
        finally:
            task.cancel()
            await asyncio.wait([task])


async def _served(peer: Peer16 | Peer201) -> None:
    try:
        await peer.start()
    except TypeError:
        return  # aiohttp's word for the end of the connection
