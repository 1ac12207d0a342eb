"""OCPP 2.0.1 (edition 2), and what 2.1 has of it: what a charging station sends, and what is asked of it."""

from collections.abc import Callable, Mapping
from typing import Any

from ocpp.v201 import call, call_result, datatypes, enums

from cem.driver import Refused
from cem_drivers.ocpp.composite import composite_of
from cem_drivers.ocpp.conversation import Conversation, Payload, object_in, objects_in, text_in, whole_in
from cem_drivers.ocpp.samples import ENERGY, measured
from cem_drivers.ocpp.station import Abilities, Boot, Composite, Connector, Lease, Station
from cem_drivers.ocpp.times import instant, written

STATES = {"Available": "A", "Reserved": "A", "Occupied": "B", "Unavailable": "F", "Faulted": "F"}
"""OCPP 2.0.1 part 2, 3.31; whether an occupied one charges is said by the transaction."""
CHARGING_STATES = {"Charging": "C", "EVConnected": "B", "SuspendedEV": "B", "SuspendedEVSE": "B", "Idle": "A"}
"""OCPP 2.0.1 part 2, 3.13: "Idle" is no connection between car and charging station."""
GONE = "EVDisconnected"
"""Part 2, ReasonEnumType: the transaction ended because the cable was taken out."""
VARIABLES: Mapping[str, tuple[str, str]] = {
    "SmartChargingEnabled": ("SmartChargingCtrlr", "Enabled"),
    "ChargingScheduleAllowedChargingRateUnit": ("SmartChargingCtrlr", "RateUnit"),
    "ChargeProfileMaxStackLevel": ("SmartChargingCtrlr", "ProfileStackLevel"),
    "ConnectorSwitch3to1PhaseSupported": ("SmartChargingCtrlr", "Phases3to1"),
    "MeterValueSampleInterval": ("SampledDataCtrlr", "TxUpdatedInterval"),
    "MeterValuesSampledData": ("SampledDataCtrlr", "TxUpdatedMeasurands"),
}
"""The names of 1.6, and where that stands in 2.0.1 (part 2, appendix 3)."""


class Dialect201:
    """Satisfies cem_drivers.ocpp.dialect.Dialect."""

    def __init__(self, station: Station, protocol: str) -> None:
        self.station = station
        self.talk: Conversation
        self._protocol = protocol
        self._request_id = 0
        rejected = enums.GenericStatusEnumType.rejected
        self._takes: dict[str, Callable[[Payload], object]] = {
            "BootNotification": self._boot,
            "Heartbeat": lambda _payload: call_result.Heartbeat(self._time()),
            "StatusNotification": self._status,
            "MeterValues": self._meter,
            "TransactionEvent": self._transaction,
            "Authorize": lambda payload: call_result.Authorize(self._token(payload)),
            "DataTransfer": lambda _payload: call_result.DataTransfer(
                enums.DataTransferStatusEnumType.unknown_vendor_id
            ),
            "SignCertificate": lambda _payload: call_result.SignCertificate(rejected),
            "NotifyEVChargingNeeds": lambda _payload: call_result.NotifyEVChargingNeeds(
                enums.NotifyEVChargingNeedsStatusEnumType.rejected
            ),
            "NotifyEVChargingSchedule": lambda _payload: call_result.NotifyEVChargingSchedule(rejected),
            **{name: _nothing(name) for name in NOTED},
        }

    @property
    def protocol(self) -> str:
        """The WebSocket subprotocol."""
        return self._protocol

    def answer(self, action: str, payload: Payload) -> object:
        """What the charger sends, answered; LookupError for what no charging station sends."""
        return self._takes[action](payload)

    # --- what it sends ---

    def _time(self) -> str:
        return written(self.station.our_time())

    def _boot(self, payload: Payload) -> object:
        told = object_in(payload.get("chargingStation"))
        self.station.boot = Boot(
            maker=text_in(told, "vendorName"),
            model=text_in(told, "model"),
            serial=text_in(told, "serialNumber"),
            version=text_in(told, "firmwareVersion"),
        )
        terms, status = self.station.terms, enums.RegistrationStatusEnumType
        answer = status.accepted if terms.known else status.pending
        return call_result.BootNotification(self._time(), terms.heartbeat_s, answer)

    def _status(self, payload: Payload) -> object:
        status, number = text_in(payload, "connectorStatus"), whole_in(payload, "evseId")
        self.station.show_time(payload)
        if number:
            connector = self.station.connector(number)
            connector.status = status
            connector.state = STATES.get(status)
            if connector.state == "B" and connector.transaction is not None and connector.charging:
                connector.state = "C"
            if connector.state == "A":
                connector.end()
            connector.waits_for_tag = connector.state == "B" and connector.transaction is None
        return call_result.StatusNotification()

    def _meter(self, payload: Payload) -> object:
        connector = self.station.connector(whole_in(payload, "evseId"))
        for value in objects_in(payload.get("meterValue")):
            self.station.sample(connector, value)
        return call_result.MeterValues()

    def _transaction(self, payload: Payload) -> object:
        """Transactions, their state, and what is measured in them (part 2, 1.60).

        What was kept while offline (`offline`) tells of the past: its values carry their own time.
        """
        info, event = object_in(payload.get("transactionInfo")), text_in(payload, "eventType")
        connector = self._connector_of(payload, text_in(info, "transactionId"))
        values = objects_in(payload.get("meterValue"))
        if text_in(payload, "triggerReason") == "Trigger":
            self.station.show_time(payload)
        charging = text_in(info, "chargingState")
        if event == "Ended":
            connector.end()
            connector.charging = False
            if text_in(info, "stoppedReason") == GONE:
                connector.state = "A"
            connector.state = "B" if connector.state == "C" else connector.state
        else:
            connector.begin(text_in(info, "transactionId"), _start_wh(values) if event == "Started" else None)
            if charging and payload.get("offline") is not True:
                connector.charging = charging == "Charging"
                connector.state = CHARGING_STATES.get(charging, connector.state)
        connector.waits_for_tag = event != "Ended" and not connector.authorised and charging == "EVConnected"
        for value in values:
            self.station.sample(connector, value)
        if "idToken" not in payload:
            return call_result.TransactionEvent()
        token = self._token(payload)
        connector.authorised = token.status == enums.AuthorizationStatusEnumType.accepted
        connector.waits_for_tag = connector.waits_for_tag and not connector.authorised
        return call_result.TransactionEvent(id_token_info=token)

    def _connector_of(self, payload: Payload, transaction: str) -> Connector:
        """By its EVSE, which only the first event of a transaction must name."""
        number = whole_in(object_in(payload.get("evse")), "id")
        if number is not None:
            return self.station.connector(number)
        running = [one for one in self.station.connectors.values() if one.transaction == transaction]
        return running[0] if running else self.station.connector(1)

    def _token(self, payload: Payload) -> datatypes.IdTokenInfoType:
        token = object_in(payload.get("idToken"))
        free = text_in(token, "type") == "NoAuthorization" and self.station.terms.tags is None
        fine = free or self.station.terms.accepts(token.get("idToken"))
        status = enums.AuthorizationStatusEnumType
        return datatypes.IdTokenInfoType(status.accepted if fine else status.invalid)

    # --- what is asked of it ---

    async def trigger(self, message: str, connector: int | None, timeout_s: float) -> bool:
        """Asks it to send a message; whether it said that it will. Raises NoAnswer."""
        evse = None if connector is None else datatypes.EVSEType(connector)
        if evse is not None and message == "StatusNotification":
            evse = datatypes.EVSEType(evse.id, 1)
        self.station.asked_at_s = self.station.monotonic()
        try:
            answer = await self.talk.ask(call.TriggerMessage(enums.MessageTriggerEnumType(message), evse), timeout_s)
        except Refused:
            return False
        return text_in(answer, "status") == "Accepted"

    async def knock(self, timeout_s: float) -> None:
        """Asks for anything; raises NoAnswer where nobody is there."""
        try:
            await self.talk.ask(call.GetVariables([_get("SmartChargingEnabled")]), timeout_s)
        except Refused:
            return  # an error is an answer

    async def abilities(self, timeout_s: float) -> Abilities:
        """What it says of itself; nothing of it where it doesn't answer this question."""
        try:
            answer = await self.talk.ask(call.GetVariables([_get(name) for name in VARIABLES]), timeout_s)
        except Refused:
            return Abilities()
        told: dict[str, str] = {}
        for result in objects_in(answer.get("getVariableResult")):
            place = (
                text_in(object_in(result.get("component")), "name"),
                text_in(object_in(result.get("variable")), "name"),
            )
            name = next((name for name, where in VARIABLES.items() if where == place), None)
            if name is not None and text_in(result, "attributeStatus") == "Accepted":
                told[name] = str(result.get("attributeValue", ""))[:500]
        units = {part.strip() for part in told.get("ChargingScheduleAllowedChargingRateUnit", "").split(",") if part}
        enabled = told.get("SmartChargingEnabled", "").strip().lower()
        return Abilities(
            smart_charging=enabled == "true" if enabled in {"true", "false"} else None,
            in_watts="A" not in units if units else None,
            max_stack_level=whole_in(told, "ChargeProfileMaxStackLevel"),
            switches_phases=told.get("ConnectorSwitch3to1PhaseSupported", "").strip().lower() == "true",
            triggers=None,
            sample_interval_s=whole_in(told, "MeterValueSampleInterval"),
            sampled=told.get("MeterValuesSampledData", ""),
            told=told,
        )

    async def configure(self, wanted: Mapping[str, str], timeout_s: float) -> dict[str, str]:
        """Sets variables, all in one message; what became of each: Accepted, RebootRequired, Rejected ..."""
        data = [
            datatypes.SetVariableDataType(
                value, datatypes.ComponentType(VARIABLES[name][0]), datatypes.VariableType(VARIABLES[name][1])
            )
            for name, value in wanted.items()
        ]
        try:
            answer = await self.talk.ask(call.SetVariables(data), timeout_s)
        except Refused as error:
            return dict.fromkeys(wanted, str(error))
        results = objects_in(answer.get("setVariableResult"))
        return {name: text_in(result, "attributeStatus") for name, result in zip(wanted, results, strict=False)}

    async def set_limit(self, lease: Lease, timeout_s: float) -> str:
        """Sends the charging profile; what became of it: Accepted, Rejected."""
        schedule = datatypes.ChargingScheduleType(
            id=1,
            charging_rate_unit=enums.ChargingRateUnitEnumType(lease.unit),
            charging_schedule_period=[datatypes.ChargingSchedulePeriodType(0, lease.limit, lease.phases)],
            start_schedule=written(lease.starts_unix_s),
            duration=lease.duration_s,
        )
        profile = datatypes.ChargingProfileType(
            id=lease.profile_id,
            stack_level=lease.stack_level,
            charging_profile_purpose=enums.ChargingProfilePurposeEnumType(lease.purpose),
            charging_profile_kind=enums.ChargingProfileKindEnumType.absolute,
            charging_schedule=[schedule],
            valid_to=None if lease.ends_unix_s is None else written(lease.ends_unix_s),
            transaction_id=None if lease.transaction is None else str(lease.transaction),
        )
        return text_in(await self.talk.ask(call.SetChargingProfile(lease.connector, profile), timeout_s), "status")

    async def clear(self, profile_id: int, timeout_s: float) -> str:
        """Takes the charging profile away: Accepted, or Unknown where it has none of this number."""
        return text_in(await self.talk.ask(call.ClearChargingProfile(profile_id), timeout_s), "status")

    async def composite(self, connector: int, duration_s: int, unit: str, timeout_s: float) -> Composite | None:
        """What will hold from now on; None where it does not say. Raises Refused where it can't."""
        request = call.GetCompositeSchedule(duration_s, connector, enums.ChargingRateUnitEnumType(unit))
        answer = await self.talk.ask(request, timeout_s)
        if text_in(answer, "status") != "Accepted":
            return None
        schedule = object_in(answer.get("schedule"))
        start: Any = schedule.get("scheduleStart")
        return composite_of(schedule, instant(start), self.station.clock.now(self.station.monotonic()), duration_s)

    async def start(self, connector: int, tag: str, timeout_s: float) -> str:
        """Starts a transaction with this identifier: Accepted or Rejected."""
        self._request_id += 1
        token = datatypes.IdTokenType(tag, enums.IdTokenEnumType.central)
        request = call.RequestStartTransaction(token, self._request_id, connector)
        return text_in(await self.talk.ask(request, timeout_s), "status")


NOTED = (
    "ClearedChargingLimit",
    "FirmwareStatusNotification",
    "LogStatusNotification",
    "NotifyChargingLimit",
    "NotifyCustomerInformation",
    "NotifyDisplayMessages",
    "NotifyEvent",
    "NotifyMonitoringReport",
    "NotifyReport",
    "PublishFirmwareStatusNotification",
    "ReportChargingProfiles",
    "ReservationStatusUpdate",
    "SecurityEventNotification",
)
"""What is answered with an empty object and means nothing to us."""


def _nothing(name: str) -> Callable[[Payload], object]:
    return lambda _payload: getattr(call_result, name)()


def _get(name: str) -> datatypes.GetVariableDataType:
    component, variable = VARIABLES[name]
    return datatypes.GetVariableDataType(datatypes.ComponentType(component), datatypes.VariableType(variable))


def _start_wh(values: list[Payload]) -> float | None:
    """The energy register at the beginning of a transaction."""
    for value in values:
        begun = [
            sample
            for sample in objects_in(value.get("sampledValue"))
            if text_in(sample, "context") == "Transaction.Begin" and text_in(sample, "measurand") in {"", ENERGY}
        ]
        if (energy_wh := measured(begun).energy_wh) is not None:
            return energy_wh
    return None
