"""OCPP 1.6 (edition 2 with errata): what a charge point sends, and what is asked of it."""

from collections.abc import Callable, Mapping
from typing import Any

from ocpp.v16 import call, call_result, datatypes, enums

from cem.driver import Refused
from cem_drivers.ocpp.composite import composite_of
from cem_drivers.ocpp.conversation import Conversation, Payload, object_in, objects_in, text_in, whole_in
from cem_drivers.ocpp.station import Abilities, Boot, Composite, Lease, Station
from cem_drivers.ocpp.times import instant, written

PROTOCOL = "ocpp1.6"
STATES = {
    "Available": "A",
    "Reserved": "A",
    "Preparing": "B",
    "Charging": "C",
    "SuspendedEV": "B",
    "SuspendedEVSE": "B",
    "Finishing": "B",
    "Unavailable": "F",
    "Faulted": "F",
}
"""OCPP 1.6, 4.9; no current flows in any but Charging."""
KEYS = (
    "SupportedFeatureProfiles",
    "NumberOfConnectors",
    "ChargeProfileMaxStackLevel",
    "ChargingScheduleAllowedChargingRateUnit",
    "ConnectorSwitch3to1PhaseSupported",
    "MeterValueSampleInterval",
    "MeterValuesSampledData",
)
"""OCPP 1.6, 9: everything that is asked for; nothing of it is secret."""


class Dialect16:
    """Satisfies cem_drivers.ocpp.dialect.Dialect."""

    protocol = PROTOCOL

    def __init__(self, station: Station) -> None:
        self.station = station
        self.talk: Conversation
        self._takes: dict[str, Callable[[Payload], object]] = {
            "BootNotification": self._boot,
            "Heartbeat": lambda _payload: call_result.Heartbeat(self._time()),
            "StatusNotification": self._status,
            "MeterValues": self._meter,
            "StartTransaction": self._start,
            "StopTransaction": self._stop,
            "Authorize": lambda payload: call_result.Authorize(self._tag(payload)),
            "DataTransfer": lambda _payload: call_result.DataTransfer(enums.DataTransferStatus.unknown_vendor_id),
            "FirmwareStatusNotification": lambda _payload: call_result.FirmwareStatusNotification(),
            "DiagnosticsStatusNotification": lambda _payload: call_result.DiagnosticsStatusNotification(),
            "SecurityEventNotification": lambda _payload: call_result.SecurityEventNotification(),
            "LogStatusNotification": lambda _payload: call_result.LogStatusNotification(),
            "SignedFirmwareStatusNotification": lambda _payload: call_result.SignedFirmwareStatusNotification(),
            "SignCertificate": lambda _payload: call_result.SignCertificate(enums.GenericStatus.rejected),
        }

    def answer(self, action: str, payload: Payload) -> object:
        """What the charger sends, answered; LookupError for what no charge point sends."""
        return self._takes[action](payload)

    # --- what it sends ---

    def _time(self) -> str:
        return written(self.station.our_time())

    def _boot(self, payload: Payload) -> object:
        self.station.boot = Boot(
            maker=text_in(payload, "chargePointVendor"),
            model=text_in(payload, "chargePointModel"),
            serial=text_in(payload, "chargePointSerialNumber", "chargeBoxSerialNumber"),
            version=text_in(payload, "firmwareVersion"),
        )
        terms = self.station.terms
        status = enums.RegistrationStatus.accepted if terms.known else enums.RegistrationStatus.pending
        return call_result.BootNotification(self._time(), terms.heartbeat_s, status)

    def _status(self, payload: Payload) -> object:
        number, status = whole_in(payload, "connectorId"), text_in(payload, "status")
        self.station.show_time(payload)
        if number:  # 0 is the whole charge point
            connector = self.station.connector(number)
            connector.state, connector.status = STATES.get(status), status
            connector.waits_for_tag = status == "Preparing" and connector.transaction is None
            if connector.state == "A":
                connector.end()
        return call_result.StatusNotification()

    def _meter(self, payload: Payload) -> object:
        number, transaction = whole_in(payload, "connectorId"), whole_in(payload, "transactionId")
        connector = self.station.connector(number)
        if transaction is not None and transaction > 0 and connector.transaction is None and connector.state != "A":
            connector.begin(transaction, None)
        for value in objects_in(payload.get("meterValue")):
            self.station.sample(connector, value)
        return call_result.MeterValues()

    def _start(self, payload: Payload) -> object:
        connector = self.station.connector(whole_in(payload, "connectorId"))
        info = self._tag(payload)
        number = self.station.new_transaction()
        if info.status == enums.AuthorizationStatus.accepted:
            start_wh = whole_in(payload, "meterStart")
            connector.begin(number, None if start_wh is None else float(start_wh))
            connector.waits_for_tag = False
        return call_result.StartTransaction(number, info)

    def _stop(self, payload: Payload) -> object:
        transaction = whole_in(payload, "transactionId")
        for connector in self.station.connectors.values():
            if connector.transaction == transaction:
                connector.end()
        return call_result.StopTransaction(self._tag(payload) if "idTag" in payload else None)

    def _tag(self, payload: Payload) -> datatypes.IdTagInfo:
        fine = self.station.terms.accepts(payload.get("idTag"))
        status = enums.AuthorizationStatus.accepted if fine else enums.AuthorizationStatus.invalid
        return datatypes.IdTagInfo(status)

    # --- what is asked of it ---

    async def trigger(self, message: str, connector: int | None, timeout_s: float) -> bool:
        """Asks it to send a message; whether it said that it will. Raises NoAnswer."""
        request = call.TriggerMessage(enums.MessageTrigger(message), connector)
        self.station.asked_at_s = self.station.monotonic()
        try:
            answer = await self.talk.ask(request, timeout_s)
        except Refused:
            return False
        return text_in(answer, "status") == "Accepted"

    async def knock(self, timeout_s: float) -> None:
        """Asks for anything; raises NoAnswer where nobody is there."""
        try:
            await self.talk.ask(call.GetConfiguration([KEYS[0]]), timeout_s)
        except Refused:
            return  # an error is an answer

    async def abilities(self, timeout_s: float) -> Abilities:
        """What it says of itself; nothing of it where it doesn't answer this question."""
        try:
            answer = await self.talk.ask(call.GetConfiguration(list(KEYS)), timeout_s)
        except Refused:
            return Abilities()
        told = {
            text_in(item, "key"): str(item.get("value", ""))[:500]
            for item in objects_in(answer.get("configurationKey"))
            if text_in(item, "key") in KEYS
        }
        profiles = told.get("SupportedFeatureProfiles", "").replace(" ", "")
        known = "Core" in profiles
        units = {part.strip() for part in told.get("ChargingScheduleAllowedChargingRateUnit", "").split(",") if part}
        return Abilities(
            smart_charging="SmartCharging" in profiles if known else None,
            in_watts=not units & {"Current", "A"} if units else None,  # A and W are not of the standard, and are met
            max_stack_level=whole_in(told, "ChargeProfileMaxStackLevel"),
            switches_phases=told.get("ConnectorSwitch3to1PhaseSupported", "").strip().lower() == "true",
            triggers="RemoteTrigger" in profiles if known else None,
            sample_interval_s=whole_in(told, "MeterValueSampleInterval"),
            sampled=told.get("MeterValuesSampledData", ""),
            connectors=whole_in(told, "NumberOfConnectors"),
            told=told,
        )

    async def configure(self, wanted: Mapping[str, str], timeout_s: float) -> dict[str, str]:
        """Sets configuration keys; what became of each: Accepted, RebootRequired, Rejected, NotSupported."""
        done: dict[str, str] = {}
        for key, value in wanted.items():
            try:
                answer = await self.talk.ask(call.ChangeConfiguration(key, value), timeout_s)
            except Refused as error:
                done[key] = str(error)
            else:
                done[key] = text_in(answer, "status")
        return done

    async def set_limit(self, lease: Lease, timeout_s: float) -> str:
        """Sends the charging profile; what became of it: Accepted, Rejected, NotSupported."""
        schedule = datatypes.ChargingSchedule(
            charging_rate_unit=enums.ChargingRateUnitType(lease.unit),
            charging_schedule_period=[datatypes.ChargingSchedulePeriod(0, lease.limit, lease.phases)],
            duration=lease.duration_s,
            start_schedule=written(lease.starts_unix_s),
        )
        profile = datatypes.ChargingProfile(
            charging_profile_id=lease.profile_id,
            stack_level=lease.stack_level,
            charging_profile_purpose=enums.ChargingProfilePurposeType(lease.purpose),
            charging_profile_kind=enums.ChargingProfileKindType.absolute,
            charging_schedule=schedule,
            transaction_id=lease.transaction if isinstance(lease.transaction, int) else None,
            valid_to=None if lease.ends_unix_s is None else written(lease.ends_unix_s),
        )
        answer = await self.talk.ask(call.SetChargingProfile(lease.connector, profile), timeout_s)
        return text_in(answer, "status")

    async def clear(self, profile_id: int, timeout_s: float) -> str:
        """Takes the charging profile away: Accepted, or Unknown where it has none of this number."""
        return text_in(await self.talk.ask(call.ClearChargingProfile(profile_id), timeout_s), "status")

    async def composite(self, connector: int, duration_s: int, unit: str, timeout_s: float) -> Composite | None:
        """What will hold from now on; None where it does not say. Raises Refused where it can't."""
        request = call.GetCompositeSchedule(connector, duration_s, enums.ChargingRateUnitType(unit))
        answer = await self.talk.ask(request, timeout_s)
        if text_in(answer, "status") != "Accepted":
            return None
        schedule = object_in(answer.get("chargingSchedule"))
        start: Any = answer.get("scheduleStart", schedule.get("startSchedule"))
        return composite_of(schedule, instant(start), self.station.clock.now(self.station.monotonic()), duration_s)

    async def start(self, connector: int, tag: str, timeout_s: float) -> str:
        """Starts a transaction with this identifier: Accepted or Rejected."""
        return text_in(await self.talk.ask(call.RemoteStartTransaction(tag, connector), timeout_s), "status")
