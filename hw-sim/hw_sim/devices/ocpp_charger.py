"""An EV charger that calls in at a central system and speaks OCPP 1.6 or 2.0.1.

Source: Open Charge Alliance, OCPP 1.6 edition 2 and OCPP-J 1.6 (2017-09-28); OCPP 2.0.1 edition 2 (2022-12-15), parts 2
and 4. Written apart from the gateway's side, without its library.
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import cycle

from hw_sim.calls import CallLink, Dial
from hw_sim.devices.front import Front, Held
from hw_sim.devices.ocpp_profiles import DEFAULT, TRANSACTION, Bound, ChargingProfile, Period, ProfileStore
from hw_sim.devices.ocpp_rpc import Payload, Question, Rpc
from hw_sim.devices.ocpp_shapes import Sample, Shape, Shape16, Shape201, Transaction, Who
from hw_sim.faults import Condition
from hw_sim.physics.ev import MIN_CURRENT_A, ChargingPoint
from hw_sim.physics.house import House
from hw_sim.specs import DeviceSpec
from hw_sim.truth import Hold

MAX_STACK_LEVEL = 8
FIRST_HEARTBEAT_S = 60.0
REDIAL_S = 5.0
MEASURANDS = ("Power.Active.Import", "Current.Import", "Energy.Active.Import.Register", "Current.Offered", "Voltage")
SETTABLE = frozenset({"MeterValueSampleInterval", "MeterValuesSampledData", "HeartbeatInterval"})
_GARBAGE = ("{{{", "[2]", '[2,"x","MeterValues"]', "null", "[" * 300, '[2,"y","MeterValues",{"connectorId":"one"}]', "")
_STANDING = 1
"""The id of what somebody else sets."""


def serial_of(spec: DeviceSpec) -> str:
    """The charger's serial number."""
    return spec.serial or f"OCPP-{spec.id.upper()}"


def dial_of(spec: DeviceSpec) -> Dial:
    """How it calls."""
    user = None if spec.password is None else spec.called
    return Dial(spec.called, (SHAPES[spec.version].protocol,), user, spec.password)


SHAPES: dict[str, type[Shape16] | type[Shape201]] = {"1.6": Shape16, "2.0.1": Shape201}


class OcppCharger(Front):
    """One connector in front of one charging point.

    Anybody may charge (a charge begins by itself with the tag FREE) unless `needs_start`. Interpretation: profiles
    other than a transaction's, and settings, survive a restart.
    """

    flash = frozenset({"SetChargingProfile", "ChangeConfiguration"})

    def __init__(self, spec: DeviceSpec, house: House, link: CallLink) -> None:
        super().__init__(spec, house, serial_of(spec))
        self.online = False
        self.connected = False
        self._point: ChargingPoint = house.charging_points[house.home.of(spec)[0]]
        self._link = link
        self._shape: Shape = SHAPES[spec.version]()
        self._rpc = Rpc(self._send, self._answer)
        self._rpc.answered_with = self._reply
        point = self._point.spec
        self.store = ProfileStore(float(point.max_a), point.phases, house.home.grid.voltage_v, spec.default_a)
        self._live: list[ChargingProfile] = []
        self._brought: Bound | None = None
        self.settings = {
            "SupportedFeatureProfiles": "Core,SmartCharging" + (",RemoteTrigger" if spec.triggers else ""),
            "NumberOfConnectors": "1",
            "ChargeProfileMaxStackLevel": str(MAX_STACK_LEVEL),
            "ChargingScheduleAllowedChargingRateUnit": spec.rate_unit.replace("A", "Current").replace("W", "Power"),
            "ConnectorSwitch3to1PhaseSupported": str(spec.switches_phases).lower(),
            "MeterValueSampleInterval": f"{spec.meter_every_s:.0f}",
            "MeterValuesSampledData": "Energy.Active.Import.Register",
            "HeartbeatInterval": f"{FIRST_HEARTBEAT_S:.0f}",
            "SmartChargingEnabled": "true",
        }
        self.transaction: Transaction | None = None
        self._accepted = False
        self._booted = False
        self._next_boot_s = 0.0
        self._next_meter_s = 0.0
        self._next_heartbeat_s = 0.0
        self._next_dial_s = 0.0
        self._status = ""
        self._started: str | None = None  # the tag of a start from afar
        self._transactions = 0
        self._later: list[tuple[float, str]] = []
        self._last_w: float | None = None
        self._flooded = 0.0
        self._last_s = 0.0
        self._garbage = cycle(_GARBAGE)
        self._bring()

    # --- the charging point ---

    @property
    def clock_s(self) -> float:
        """What its own clock shows, Unix seconds."""
        return self.house.now.timestamp() + self.spec.clock_off_s

    def _bound(self) -> Bound:
        return replace_profiles(self.store, self._live).at(self.clock_s, self._began_s)

    @property
    def _began_s(self) -> float | None:
        return None if self.transaction is None else self.transaction.began_s

    def _may_charge(self) -> bool:
        return self.transaction is not None and (self.transaction.id is not None or not self.spec.needs_start)

    def _bring(self) -> None:
        """Brings what holds to the pilot."""
        bound = self._bound()
        if bound != self._brought:
            self._brought, self._seen = bound, None  # a profile ended, or came into force, by itself
        if self.spec.switches_phases and bound.phases in {1, 3} and not self._point.contactor:
            self._point.offered_phases = min(bound.phases or 3, self._point.spec.phases)
        self._point.offered_a = bound.limit_a if self._may_charge() and bound.limit_a >= MIN_CURRENT_A else 0.0

    def apply(self) -> None:
        """What was set comes into force."""
        self._live = list(self.store.profiles)
        self._bring()

    def timers(self) -> None:
        """Charges begin and end with the car; profiles end by themselves."""
        if self._point.plugged and self.transaction is None and (self._started or not self.spec.needs_start):
            self._begin(self._started or "FREE")
        elif not self._point.plugged and self.transaction is not None:
            self._end(self.transaction)
        if not self.condition.ineffective:
            self._bring()

    def _begin(self, tag: str) -> None:
        self._transactions += 1
        own = None if self.spec.version == "1.6" else f"{self.serial}-{self.reboots}-{self._transactions}"
        transaction = self.transaction = Transaction(self.clock_s, self._point.energy_wh, tag, own)
        self._started = None

        def numbered(answer: Payload) -> None:
            transaction.id = self._shape.number_of(transaction, answer)

        self._ask(self._shape.started(transaction, self._sample()), kept=True, then=numbered)

    def _end(self, transaction: Transaction) -> None:
        self.transaction = None
        self._started = None
        self.store.end_transaction()
        self._live = [one for one in self._live if one.purpose != TRANSACTION]
        self._ask(self._shape.stopped(transaction, self._sample()), kept=True)

    def holds(self) -> dict[str, Hold]:
        """A profile holds until it ends by itself."""
        bound = self._bound()
        ends_s = replace_profiles(self.store, self._live).ends_s(self.clock_s, self._began_s)
        until_s = None if ends_s is None else self.house.elapsed_s + ends_s - self.clock_s
        limit_a = bound.limit_a if bound.limit_a >= MIN_CURRENT_A else 0.0
        return {self._point.spec.id: Hold(remote=bound.profiled, until_s=until_s, offered_a=limit_a)}

    def commands(self) -> Held:
        """The profiles that it keeps."""
        return {f"profile {one.id}": one.periods[0].limit for one in self.store.profiles if one.periods}

    def contest(self, value: float | None) -> None:
        """Somebody else sets a default profile in the same place: `value` A, or the largest."""
        amps = float(self._point.spec.max_a if value is None else value)
        foreign = ChargingProfile(_STANDING, MAX_STACK_LEVEL, DEFAULT, "Absolute", "A", (Period(0, amps),), start_s=0.0)
        self.store.put(foreign)
        self.count("SetChargingProfile")
        self.changed()

    def to_defaults(self) -> None:
        """A restart ends the transaction and what belongs to it."""
        self.store.end_transaction()
        self._live = list(self.store.profiles)
        self.transaction = None
        self._booted = self._accepted = False
        self._status = ""

    def take(self, condition: Condition) -> None:
        """Another device at this address says so with its own boot."""
        if ("stranger" in condition) != ("stranger" in self.condition):
            self._booted = False
            self._next_boot_s = 0.0
        super().take(condition)

    # --- the connection ---

    async def start(self) -> None:
        """Starts calling."""
        self.online = True
        await self._link.start(self._hear, self._called)

    async def stop(self) -> None:
        """Hangs up."""
        self.online = False
        await self._link.stop()

    @property
    def kept_off(self) -> bool:
        """Whether something keeps it from calling."""
        return self.condition.disconnected or not self.powered

    def calls_again(self) -> bool:
        """Whether it is time to try again to get through."""
        now_s = self.house.elapsed_s
        if not self.online or self.connected or now_s < self._next_dial_s:
            return False
        self._next_dial_s = now_s + REDIAL_S
        return True

    async def follow(self) -> None:
        """Calls or not, as its condition says."""
        await (self.stop() if self.kept_off else self.start())

    def _called(self, protocol: str | None) -> None:
        self.connected = protocol is not None
        if protocol is None:
            self._rpc.lost()
            self._later.clear()
            return
        self._status = ""
        self._next_boot_s = 0.0
        self.report()

    def _send(self, text: str) -> bool:
        if not self.connected or self.condition.silent or not self.powered:
            return False
        return self._link.send(text)

    def _reply(self, text: str) -> None:
        slow = self.condition.faults.get("slow")
        if slow is None:
            self._send(text)
        else:
            self._later.append((self.house.elapsed_s + slow.delay_s, text))

    def _hear(self, text: str) -> None:
        if not self.condition.silent and self.powered:
            self._rpc.hear(text, self.house.elapsed_s)

    def _ask(
        self, message: tuple[str, Payload], *, kept: bool = False, then: Callable[[Payload], None] | None = None
    ) -> None:
        self._rpc.ask(Question(*message, kept=kept, then=then), self.house.elapsed_s)

    # --- what it says ---

    def status(self) -> str:
        """In the words of 1.6."""
        state = self._point.state
        if state == "A":
            return "Available"
        if state == "C":
            return "Charging"
        if self.transaction is None or not self._may_charge():
            return "Preparing"
        return "SuspendedEV" if self._point.offered_a >= MIN_CURRENT_A else "SuspendedEVSE"

    def report(self) -> None:
        """Called after each step: says what there is to say."""
        now_s = self.house.elapsed_s
        passed_s, self._last_s = now_s - self._last_s, now_s
        while self._later and self._later[0][0] <= now_s + 1e-9:
            self._send(self._later.pop(0)[1])
        if self.condition.frozen or not self.powered:
            return
        if not self._booted:
            self._boot(now_s)
        if self._accepted or self._booted:
            self._say_status()
            self._say_values(now_s)
            if self.connected and now_s >= self._next_heartbeat_s:
                self._next_heartbeat_s = now_s + float(self.settings["HeartbeatInterval"])
                self._ask(("Heartbeat", {}))
        flood = self.condition.faults.get("flood")
        if flood is not None and self.connected:
            self._flood(flood.rate_per_s * passed_s)
        self._rpc.pump(now_s)

    def _boot(self, now_s: float) -> None:
        if not self.connected or now_s < self._next_boot_s:
            return
        self._next_boot_s = now_s + FIRST_HEARTBEAT_S

        def registered(answer: Payload) -> None:
            self._accepted = answer.get("status") == "Accepted"
            self._booted = self._accepted
            interval = float(answer.get("interval") or FIRST_HEARTBEAT_S)
            self.settings["HeartbeatInterval"] = f"{interval:.0f}"
            self._next_boot_s = self.house.elapsed_s + interval
            self._next_heartbeat_s = self.house.elapsed_s + interval

        who = Who("hw-sim", f"Charger {self._point.spec.max_a} A", self.shown_serial, f"sim-{self.spec.version}")
        self._ask(self._shape.boot(who), then=registered)

    def _say_status(self, *, always: bool = False) -> None:
        status = self.status()
        if status == self._status and not always:
            return
        if not self.connected:
            return
        self._status = status
        self._ask(self._shape.status(status, self.clock_s))
        if self.transaction is not None and (moved := self._shape.moved(self.transaction, status, self.clock_s)):
            self._ask(moved)

    def _say_values(self, now_s: float) -> None:
        every_s = float(self.settings["MeterValueSampleInterval"])
        if every_s <= 0 or self.transaction is None or now_s + 1e-9 < self._next_meter_s:
            return
        self._next_meter_s = now_s + every_s
        self._say_sample("Sample.Periodic")

    def _say_sample(self, context: str) -> None:
        if "garbage" in self.condition:
            self._send(next(self._garbage))
            return
        measurands = self.settings["MeterValuesSampledData"].split(",")
        sample = self._sample()
        message = self._shape.measured(self.transaction, sample, context, measurands, not self.connected)
        self._ask(message, kept=self.transaction is not None)

    def _sample(self) -> Sample:
        point, wrong = self._point, self.condition
        power_w = point.power_w
        if (spike := wrong.faults.get("spike")) is not None:
            power_w = 1e9 if spike.value is None else spike.value
        if (scale := wrong.faults.get("scale")) is not None:
            power_w *= 10.0 ** (1.0 if scale.value is None else scale.value)
        if "stuck" in wrong and self._last_w is not None:
            power_w = self._last_w
        self._last_w = power_w
        if self.spec.round_w > 0:
            power_w = self.spec.round_w * round(power_w / self.spec.round_w)
        a, b, c = (point.current_a if watts else 0.0 for watts in point.phases_w)
        volts = self.house.voltages_v
        energy_wh = point.energy_wh
        return Sample(self.clock_s, energy_wh, power_w, (a, b, c), volts, point.offered_a, "nan" in wrong)

    def _flood(self, messages: float) -> None:
        self._flooded += min(messages, 10_000.0)
        while self._flooded >= 1.0:
            self._flooded -= 1.0
            self._send('[2,"flood","Heartbeat",{}]')

    # --- what it is asked ---

    def _answer(self, action: str, payload: Payload) -> Payload | None:
        match action:
            case "TriggerMessage":
                return self._triggered(payload)
            case "GetConfiguration" | "GetVariables":
                return self._shape.configuration(self.settings, payload)
            case "ChangeConfiguration" | "SetVariables":
                return self._configured(payload)
            case "SetChargingProfile":
                return {"status": self._set_profile(payload)}
            case "ClearChargingProfile":
                return {"status": self._clear_profile(payload)}
            case "GetCompositeSchedule":
                return self._composite(payload)
            case "RemoteStartTransaction" | "RequestStartTransaction":
                return self._started_from_afar(payload)
        return None

    def _triggered(self, payload: Payload) -> Payload | None:
        if not self.spec.triggers:
            return None
        match payload.get("requestedMessage"):
            case "BootNotification":
                self._booted, self._next_boot_s = False, 0.0
                self._boot(self.house.elapsed_s)
            case "StatusNotification":
                self._say_status(always=True)
            case "MeterValues":
                self._say_sample("Trigger")
            case "Heartbeat":
                self._ask(("Heartbeat", {}))
            case _:
                return {"status": "NotImplemented"}
        return {"status": "Accepted"}

    def _configured(self, payload: Payload) -> Payload:
        statuses = []
        for key, value in self._shape.configured(payload):
            fits = key != "MeterValuesSampledData" or set(value.split(",")) <= set(MEASURANDS)
            if self.condition.refuses_writes or not fits:
                self.refuse()
                statuses.append("Rejected")
            elif key not in SETTABLE:
                statuses.append("NotSupported")
            else:
                self.settings[key] = value
                self.count("ChangeConfiguration")
                self._next_meter_s = 0.0
                statuses.append("Accepted")
        return self._shape.configured_answer(payload, statuses)

    def _set_profile(self, payload: Payload) -> str:
        try:
            profile = self._shape.profile_in(payload)
        except (KeyError, ValueError, TypeError, IndexError):
            self.refuse()
            return "Rejected"
        wrong = profile.unit not in self.spec.rate_unit or not profile.periods or profile.stack_level > MAX_STACK_LEVEL
        no_charge = profile.purpose == TRANSACTION and self.transaction is None
        if self.condition.refuses_writes or wrong or no_charge:
            self.refuse()
            return "Rejected"
        self.count("SetChargingProfile")
        self.store.put(profile)
        self.changed()
        return "Accepted"

    def _clear_profile(self, payload: Payload) -> str:
        if self.condition.refuses_writes:
            self.refuse()
            return "Unknown"
        self.count("ClearChargingProfile")
        found = self.store.clear(*self._shape.cleared(payload))
        self.changed()
        return "Accepted" if found else "Unknown"

    def _composite(self, payload: Payload) -> Payload:
        unit, duration_s = payload.get("chargingRateUnit", "A"), int(payload["duration"])
        periods = self.store.composite(self.clock_s, duration_s, self._began_s, unit)
        return self._shape.composite(periods, unit, self.clock_s, duration_s)

    def _started_from_afar(self, payload: Payload) -> Payload:
        token = payload.get("idTag") or payload.get("idToken", {}).get("idToken")
        if self.condition.refuses_writes or self.transaction is not None or not token:
            self.refuse()
            return {"status": "Rejected"}
        self.count("RemoteStartTransaction")
        self._started = str(token)
        return {"status": "Accepted"}


def replace_profiles(store: ProfileStore, profiles: list[ChargingProfile]) -> ProfileStore:
    """The same charger with other profiles."""
    return replace(store, profiles=profiles)
