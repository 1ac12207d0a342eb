"""The messages of a charger in OCPP 1.6 and in 2.0.1: how the same things are written in both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from hw_sim.devices.ocpp_profiles import ChargingProfile, Period

Payload = dict[str, Any]
Message = tuple[str, Payload]
CONNECTOR = 1


def stamp(unix_s: float) -> str:
    """A dateTime in UTC with milliseconds."""
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def unix(text: str | None) -> float | None:
    """Unix seconds of a dateTime."""
    return None if text is None else datetime.fromisoformat(text).timestamp()


@dataclass(frozen=True, slots=True)
class Who:
    """What a BootNotification tells."""

    maker: str
    model: str
    serial: str
    version: str


@dataclass(frozen=True, slots=True)
class Sample:
    """What was measured at one moment; None for what it does not tell."""

    at_s: float
    energy_wh: float
    power_w: float | None
    amps: tuple[float, float, float]
    volts: tuple[float, float, float]
    offered_a: float
    not_a_number: bool = False


@dataclass(slots=True)
class Transaction:
    """A charge that is under way. `id` of 1.6 is the central system's and comes with its answer."""

    began_s: float
    start_wh: float
    tag: str
    id: str | None = None
    seq: int = 0


class Shape(Protocol):
    """One version's way of writing."""

    protocol: str

    def boot(self, who: Who) -> Message: ...
    def status(self, status: str, at_s: float) -> Message: ...
    def started(self, transaction: Transaction, sample: Sample) -> Message: ...
    def moved(self, transaction: Transaction, status: str, at_s: float) -> Message | None: ...
    def measured(
        self, transaction: Transaction | None, sample: Sample, context: str, measurands: Sequence[str], offline: bool
    ) -> Message: ...
    def stopped(self, transaction: Transaction, sample: Sample) -> Message: ...
    def number_of(self, transaction: Transaction, answer: Payload) -> str | None: ...
    def profile_in(self, payload: Payload) -> ChargingProfile: ...
    def cleared(self, payload: Payload) -> tuple[int | None, str | None, int | None]: ...
    def composite(self, periods: Sequence[Period], unit: str, at_s: float, duration_s: int) -> Payload: ...
    def configuration(self, settings: Mapping[str, str], payload: Payload) -> Payload: ...
    def configured(self, payload: Payload) -> list[tuple[str, str]]: ...
    def configured_answer(self, payload: Payload, statuses: Sequence[str]) -> Payload: ...


def periods_in(schedule: Payload) -> tuple[Period, ...]:
    """The periods of a schedule as sent; KeyError for what is none."""
    return tuple(
        Period(int(one["startPeriod"]), float(one["limit"]), one.get("numberPhases"))
        for one in schedule["chargingSchedulePeriod"]
    )


def written_periods(periods: Sequence[Period]) -> list[Payload]:
    """The periods of a schedule to be sent."""
    return [{"startPeriod": one.start_s, "limit": one.limit, "numberPhases": one.phases} for one in periods]


class Shape16:
    """OCPP 1.6."""

    protocol = "ocpp1.6"

    def boot(self, who: Who) -> Message:
        """4.2."""
        told = {"chargePointVendor": who.maker, "chargePointModel": who.model, "firmwareVersion": who.version}
        return "BootNotification", told | {"chargePointSerialNumber": who.serial}

    def status(self, status: str, at_s: float) -> Message:
        """4.9."""
        told = {"connectorId": CONNECTOR, "errorCode": "NoError", "status": status, "timestamp": stamp(at_s)}
        return "StatusNotification", told

    def started(self, transaction: Transaction, sample: Sample) -> Message:
        """4.8."""
        told = {"connectorId": CONNECTOR, "idTag": transaction.tag, "meterStart": round(transaction.start_wh)}
        return "StartTransaction", told | {"timestamp": stamp(sample.at_s)}

    def moved(self, transaction: Transaction, status: str, at_s: float) -> Message | None:
        """The state of the connector says it."""
        del transaction, status, at_s
        return None

    def measured(
        self, transaction: Transaction | None, sample: Sample, context: str, measurands: Sequence[str], offline: bool
    ) -> Message:
        """4.7: all values are texts."""
        del offline
        values = [
            {"value": "NaN" if sample.not_a_number else f"{value:.2f}", "context": context, "unit": unit}
            | {"measurand": measurand}
            | ({"phase": phase} if phase else {})
            for measurand, phase, unit, value in samples_of(sample, measurands)
        ]
        told: Payload = {
            "connectorId": CONNECTOR,
            "meterValue": [{"timestamp": stamp(sample.at_s), "sampledValue": values}],
        }
        if transaction is not None and transaction.id is not None:
            told["transactionId"] = int(transaction.id)
        return "MeterValues", told

    def stopped(self, transaction: Transaction, sample: Sample) -> Message:
        """4.10."""
        told = {"transactionId": int(transaction.id or 0), "meterStop": round(sample.energy_wh)}
        return "StopTransaction", told | {"timestamp": stamp(sample.at_s), "reason": "EVDisconnected"}

    def number_of(self, transaction: Transaction, answer: Payload) -> str | None:
        """The central system's number, where it lets the tag charge."""
        accepted = answer.get("idTagInfo", {}).get("status") == "Accepted"
        return str(answer["transactionId"]) if accepted else None

    def profile_in(self, payload: Payload) -> ChargingProfile:
        """5.16."""
        return _profile(
            payload["csChargingProfiles"], "chargingProfileId", payload["csChargingProfiles"]["chargingSchedule"]
        )

    def cleared(self, payload: Payload) -> tuple[int | None, str | None, int | None]:
        """5.5: id, purpose, stack level."""
        return payload.get("id"), payload.get("chargingProfilePurpose"), payload.get("stackLevel")

    def composite(self, periods: Sequence[Period], unit: str, at_s: float, duration_s: int) -> Payload:
        """5.7."""
        schedule = {"duration": duration_s, "startSchedule": stamp(at_s), "chargingRateUnit": unit}
        schedule |= {"chargingSchedulePeriod": written_periods(periods)}
        return {
            "status": "Accepted",
            "connectorId": CONNECTOR,
            "scheduleStart": stamp(at_s),
            "chargingSchedule": schedule,
        }

    def configuration(self, settings: Mapping[str, str], payload: Payload) -> Payload:
        """5.8."""
        wanted = payload.get("key") or list(settings)
        known = [{"key": key, "readonly": False, "value": settings[key]} for key in wanted if key in settings]
        return {"configurationKey": known, "unknownKey": [key for key in wanted if key not in settings]}

    def configured(self, payload: Payload) -> list[tuple[str, str]]:
        """5.3."""
        return [(payload["key"], payload["value"])]

    def configured_answer(self, payload: Payload, statuses: Sequence[str]) -> Payload:
        """5.3."""
        del payload
        return {"status": statuses[0]}


VARIABLES = {
    ("SmartChargingCtrlr", "Enabled"): "SmartChargingEnabled",
    ("SmartChargingCtrlr", "RateUnit"): "RateUnit",
    ("SmartChargingCtrlr", "ProfileStackLevel"): "ChargeProfileMaxStackLevel",
    ("SmartChargingCtrlr", "Phases3to1"): "ConnectorSwitch3to1PhaseSupported",
    ("SampledDataCtrlr", "TxUpdatedInterval"): "MeterValueSampleInterval",
    ("SampledDataCtrlr", "TxUpdatedMeasurands"): "MeterValuesSampledData",
}
STATES_201 = {"Available": "Available", "Faulted": "Faulted", "Unavailable": "Unavailable"}
CHARGING_201 = {
    "Charging": "Charging",
    "SuspendedEV": "SuspendedEV",
    "SuspendedEVSE": "SuspendedEVSE",
    "Preparing": "EVConnected",
    "Available": "Idle",
}


class Shape201:
    """OCPP 2.0.1. What a connector does within a transaction is said by the transaction."""

    protocol = "ocpp2.0.1"

    def boot(self, who: Who) -> Message:
        """B01."""
        told = {"vendorName": who.maker, "model": who.model, "serialNumber": who.serial, "firmwareVersion": who.version}
        return "BootNotification", {"reason": "PowerUp", "chargingStation": told}

    def status(self, status: str, at_s: float) -> Message:
        """G01."""
        told = {"timestamp": stamp(at_s), "connectorStatus": STATES_201.get(status, "Occupied")}
        return "StatusNotification", told | {"evseId": CONNECTOR, "connectorId": 1}

    def started(self, transaction: Transaction, sample: Sample) -> Message:
        """E02."""
        began = self._event(transaction, "Started", "CablePluggedIn", sample.at_s) | {
            "evse": {"id": 1, "connectorId": 1}
        }
        began["transactionInfo"]["chargingState"] = "EVConnected"
        began["idToken"] = {"idToken": transaction.tag, "type": "Local"}
        began["meterValue"] = [self._values(sample, "Transaction.Begin", ("Energy.Active.Import.Register",))]
        return "TransactionEvent", began

    def moved(self, transaction: Transaction, status: str, at_s: float) -> Message | None:
        """E02: the state of charging changed."""
        event = self._event(transaction, "Updated", "ChargingStateChanged", at_s)
        event["transactionInfo"]["chargingState"] = CHARGING_201.get(status, "EVConnected")
        return "TransactionEvent", event

    def measured(
        self, transaction: Transaction | None, sample: Sample, context: str, measurands: Sequence[str], offline: bool
    ) -> Message:
        """J02 within a transaction, J01 without."""
        values = [self._values(sample, context, measurands)]
        if transaction is None:
            return "MeterValues", {"evseId": CONNECTOR, "meterValue": values}
        reason = "Trigger" if context == "Trigger" else "MeterValuePeriodic"
        event = self._event(transaction, "Updated", reason, sample.at_s) | {"meterValue": values}
        return "TransactionEvent", event | ({"offline": True} if offline else {})

    def stopped(self, transaction: Transaction, sample: Sample) -> Message:
        """E06."""
        event = self._event(transaction, "Ended", "EVCommunicationLost", sample.at_s)
        event["transactionInfo"]["stoppedReason"] = "EVDisconnected"
        event["meterValue"] = [self._values(sample, "Transaction.End", ("Energy.Active.Import.Register",))]
        return "TransactionEvent", event

    def number_of(self, transaction: Transaction, answer: Payload) -> str | None:
        """Its own number stays, where the token may charge."""
        accepted = answer.get("idTokenInfo", {}).get("status") == "Accepted"
        return transaction.id if accepted else None

    def profile_in(self, payload: Payload) -> ChargingProfile:
        """K01."""
        return _profile(payload["chargingProfile"], "id", payload["chargingProfile"]["chargingSchedule"][0])

    def cleared(self, payload: Payload) -> tuple[int | None, str | None, int | None]:
        """K10: id, purpose, stack level."""
        wanted = payload.get("chargingProfileCriteria", {})
        return payload.get("chargingProfileId"), wanted.get("chargingProfilePurpose"), wanted.get("stackLevel")

    def composite(self, periods: Sequence[Period], unit: str, at_s: float, duration_s: int) -> Payload:
        """K08."""
        schedule = {"evseId": CONNECTOR, "duration": duration_s, "scheduleStart": stamp(at_s), "chargingRateUnit": unit}
        return {"status": "Accepted", "schedule": schedule | {"chargingSchedulePeriod": written_periods(periods)}}

    def configuration(self, settings: Mapping[str, str], payload: Payload) -> Payload:
        """B06."""
        results = []
        for one in payload["getVariableData"]:
            key = VARIABLES.get((one["component"]["name"], one["variable"]["name"]), "")
            told = {"component": one["component"], "variable": one["variable"]}
            if key == "RateUnit":
                units = settings["ChargingScheduleAllowedChargingRateUnit"]
                told |= {"attributeValue": units.replace("Current", "A").replace("Power", "W")}
            elif key in settings:
                told |= {"attributeValue": settings[key]}
            results.append(told | {"attributeStatus": "Accepted" if "attributeValue" in told else "UnknownVariable"})
        return {"getVariableResult": results}

    def configured(self, payload: Payload) -> list[tuple[str, str]]:
        """B05."""
        return [
            (VARIABLES.get((one["component"]["name"], one["variable"]["name"]), ""), one["attributeValue"])
            for one in payload["setVariableData"]
        ]

    def configured_answer(self, payload: Payload, statuses: Sequence[str]) -> Payload:
        """B05."""
        pairs = zip(payload["setVariableData"], statuses, strict=True)
        results = [
            {"attributeStatus": "UnknownVariable" if status == "NotSupported" else status}
            | {"component": one["component"], "variable": one["variable"]}
            for one, status in pairs
        ]
        return {"setVariableResult": results}

    def _event(self, transaction: Transaction, kind: str, reason: str, at_s: float) -> Payload:
        transaction.seq += 1
        told = {"eventType": kind, "timestamp": stamp(at_s), "triggerReason": reason, "seqNo": transaction.seq - 1}
        return told | {"transactionInfo": {"transactionId": transaction.id}}

    def _values(self, sample: Sample, context: str, measurands: Sequence[str]) -> Payload:
        values = [
            {"value": round(value, 2), "context": context, "measurand": measurand, "unitOfMeasure": {"unit": unit}}
            | ({"phase": phase} if phase else {})
            for measurand, phase, unit, value in samples_of(sample, measurands)
            if not sample.not_a_number
        ]
        kept = values or [{"value": 0.0, "measurand": "Frequency", "unitOfMeasure": {"unit": "Hertz"}}]
        return {"timestamp": stamp(sample.at_s), "sampledValue": kept}


def samples_of(sample: Sample, measurands: Sequence[str]) -> list[tuple[str, str, str, float]]:
    """(measurand, phase, unit, value) for all that are asked for."""
    found: list[tuple[str, str, str, float]] = []
    for name in measurands:
        match name:
            case "Energy.Active.Import.Register":
                found.append((name, "", "Wh", sample.energy_wh))
            case "Power.Active.Import" if sample.power_w is not None:
                found.append((name, "", "W", sample.power_w))
            case "Current.Import":
                found += [(name, f"L{i}", "A", amps) for i, amps in enumerate(sample.amps, 1)]
            case "Voltage":
                found += [(name, f"L{i}-N", "V", volts) for i, volts in enumerate(sample.volts, 1)]
            case "Current.Offered":
                found.append((name, "", "A", sample.offered_a))
    return found


def _profile(told: Payload, id_key: str, schedule: Payload) -> ChargingProfile:
    transaction = told.get("transactionId")
    return ChargingProfile(
        id=int(told[id_key]),
        stack_level=int(told["stackLevel"]),
        purpose=told["chargingProfilePurpose"],
        kind=told["chargingProfileKind"],
        unit=schedule["chargingRateUnit"],
        periods=periods_in(schedule),
        start_s=unix(schedule.get("startSchedule")),
        duration_s=schedule.get("duration"),
        valid_from_s=unix(told.get("validFrom")),
        valid_to_s=unix(told.get("validTo")),
        transaction=None if transaction is None else str(transaction),
    )
