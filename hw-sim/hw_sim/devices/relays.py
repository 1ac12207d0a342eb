"""What hangs on a Shelly: a load behind one relay, and a heat pump on two SG-Ready contacts with its meter."""

from typing import Any

from hw_sim.devices.shelly import Shelly, Switch
from hw_sim.physics.heat_pump import FORCED, LOCKED, NORMAL, RECOMMENDED
from hw_sim.physics.house import House
from hw_sim.specs import DeviceSpec
from hw_sim.topics import TopicLink
from hw_sim.truth import Hold

_STATES = {(True, False): LOCKED, (False, False): NORMAL, (False, True): RECOMMENDED, (True, True): FORCED}
_CONTACTS = {state: contacts for contacts, state in _STATES.items()}


class RelayFront(Shelly):
    """switch:0 with its meter."""

    def __init__(self, spec: DeviceSpec, house: House, link: TopicLink) -> None:
        self._load = house.relay_loads[house.home.of(spec)[0]]
        super().__init__(spec, house, link, [Switch(0, self._load.spec.on_at_start)])

    def apply(self) -> None:
        """The relay."""
        self._load.on = self.switches[0].on

    def holds(self) -> dict[str, Hold]:
        """Interpretation: it is remotely controlled while it is not where it starts, or a timer runs."""
        switch = self.switches[0]
        remote = switch.on != switch.initial or switch.timer.ends_s is not None
        return {self._load.spec.id: Hold(remote=remote, until_s=switch.timer.ends_s, state=int(switch.on))}

    def contest(self, value: float | None) -> None:
        """Somebody switches: on, or off for 0."""
        self._command("0", b"off" if value == 0.0 else b"on")

    def looks(self) -> tuple[object, ...]:
        """The relay, and its power to 1 W."""
        return (*super().looks(), round(self._load.power_w), self.condition)

    def components(self) -> dict[str, dict[str, Any]]:
        """One switch, with power, voltage, current, and energy."""
        switch = self.switches[0]
        warm = {"temperature": {"tC": 41.0 if switch.on else 36.0}}
        return {"switch:0": {**self.switch_status(switch), **self.measured(), **warm}}

    def measure(self) -> dict[str, Any]:
        """What its meter shows."""
        load = self._load
        volts = self.house.voltages_v[load.spec.phase - 1]
        last = self._sent.get("switch:0", {}).get("apower")
        power = self.shown_w(load.power_w, last)
        return {
            "apower": None if power is None else round(power, 1),
            "voltage": round(volts, 1),
            "current": round(load.power_w / load.spec.phases / volts, 3) if volts else 0.0,
            "freq": round(self.house.frequency_hz, 2),
            "aenergy": {"total": round(load.energy_wh, 1)},
        }


class HeatPumpFront(Shelly):
    """switch:0 and switch:1 are the SG-Ready contacts, em:0 and emdata:0 meter the machine, temperature:100 sits in its
    store.

    Contacts (first, second): 1:0 locked, 0:0 normal, 0:1 recommended, 1:1 forced (Bundesverband Wärmepumpe, SG Ready).
    Interpretation: the components of two of the maker's products, a meter and an add-on with relays, in one device.
    """

    def __init__(self, spec: DeviceSpec, house: House, link: TopicLink) -> None:
        self._pump = house.heat_pumps[house.home.of(spec)[0]]
        super().__init__(spec, house, link, [Switch(0), Switch(1)])
        self._closed = (False, False)

    def apply(self) -> None:
        """The contacts."""
        closed = (self.switches[0].on, self.switches[1].on)
        self._pump.contact_switchings += sum(a != b for a, b in zip(closed, self._closed, strict=True))
        self._closed = closed
        self._pump.sg_state = _STATES[closed]

    def holds(self) -> dict[str, Hold]:
        """The state of the contacts; it ends with the first timer."""
        state = _STATES[self.switches[0].on, self.switches[1].on]
        ends = [switch.timer.ends_s for switch in self.switches if switch.timer.ends_s is not None]
        hold = Hold(remote=state != NORMAL or bool(ends), until_s=min(ends, default=None), state=state)
        return {self._pump.spec.id: hold}

    def contest(self, value: float | None) -> None:
        """Somebody sets the state `value`, or forced."""
        first, second = _CONTACTS.get(FORCED if value is None else round(value), (True, True))
        self._command("0", b"on" if first else b"off")
        self._command("1", b"on" if second else b"off")

    def looks(self) -> tuple[object, ...]:
        """The contacts, the power to 10 W, the store to 0.2 K."""
        return (*super().looks(), round(self._pump.power_w / 10.0), round(self._pump.store_c * 5.0), self.condition)

    def components(self) -> dict[str, dict[str, Any]]:
        """Contacts, meter, store."""
        contacts = {switch.name: self.switch_status(switch) for switch in self.switches}
        return contacts | self.measured()

    def measure(self) -> dict[str, Any]:
        """What meter and store show."""
        pump, volts = self._pump, self.house.voltages_v
        em: dict[str, Any] = {"id": 0}
        last = self._sent.get("em:0", {}).get("total_act_power")
        total = self.shown_w(pump.power_w, last)
        for name, watts, v in zip("abc", pump.phases_w, volts, strict=True):
            em[f"{name}_current"] = round(watts / v, 3) if v else 0.0
            em[f"{name}_voltage"] = round(v, 1)
            em[f"{name}_act_power"] = None if total is None else round(watts, 1)
            em[f"{name}_freq"] = round(self.house.frequency_hz, 2)
        em["total_act_power"] = None if total is None else round(total, 1)
        store = None if "nan" in self.condition else round(pump.store_c, 1)
        return {
            "em:0": em,
            "emdata:0": {"id": 0, "total_act": round(pump.energy_wh, 1), "total_act_ret": 0.0},
            "temperature:100": {"id": 100, "tC": store},
        }
