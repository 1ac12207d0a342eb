"""The link table of a gpio device: which pin is wired to what."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from cem.driver import Contact
from cem_drivers.table import Key, LinkTable, LinkValue, number, table_faults, text

LGPIO, SIMULATED = "lgpio", "simulated"
CONTACT_DEBOUNCE_MS = 50.0
PULSE_DEBOUNCE_MS = 10.0  # a pulse and the pause after it last 30 ms at least (EN 62053-31, class A)
PIN_WORDS = ("active-low", "active-high", "nc", "no", "pull-up", "pull-down", "floating")
OUTPUTS = ("relay", "contact_1", "contact_2")
PINS = (*OUTPUTS, *(contact.value for contact in Contact), "s0")
KEYS = (
    Key("kind", str, choices=("gpio",)),
    Key("role", str, choices=("pv", "grid", "heat_pump", "load", "contacts")),  # for scan and provision: no pin tells
    Key("board", str, choices=(LGPIO, SIMULATED)),
    Key("chip", int, low=0, high=15),
    Key("simulated_file", str),
    Key("pulses_per_kwh", float, low=0.1, high=100_000),
    Key("counter_wh", float, low=0, high=1e12),
    Key("debounce_ms", float, low=1, high=1000),
)
_PIN = re.compile(r"^(?P<number>[0-9]{1,2})(?P<words>( +[a-z-]+)*)$")


@dataclass(frozen=True, slots=True)
class Pin:
    """One pin by its BCM number. `high`: energised, or closed, is the high level.

    `opposite`: what hangs on it is on (or signalled) in the other position: wired to a normally closed contact.
    """

    number: int
    high: bool
    opposite: bool = False
    pull: str = "up"  # of an input: up, down, floating


@dataclass(frozen=True, slots=True)
class Wiring:
    """A checked link table."""

    outputs: tuple[Pin, ...] = ()  # the relay, or the two contacts of SG Ready in their order
    contacts: Mapping[Contact, Pin] = field(default_factory=lambda: MappingProxyType({}))
    pulse: Pin | None = None
    pulses_per_kwh: float = 1000.0
    counter_wh: float = 0.0
    debounce_s: float = CONTACT_DEBOUNCE_MS / 1000.0

    @property
    def numbers(self) -> tuple[int, ...]:
        """Every pin in use, in order."""
        pins = (*self.outputs, *self.contacts.values(), *(() if self.pulse is None else (self.pulse,)))
        return tuple(sorted(pin.number for pin in pins))


def pin_of(value: LinkValue, output: bool) -> Pin:
    """A pin as it is written: a number, or a text of a number and words: "17 active-low", "5 nc pull-down".

    Raises ValueError in words.
    """
    found = _PIN.match(str(value).strip()) if not isinstance(value, bool | float) else None
    if found is None:
        raise ValueError(f'{value!r} is not a pin; write its BCM number, e.g. 17, or "17 nc"')
    if not 0 <= int(found["number"]) <= 27:
        raise ValueError(f"there is no pin {found['number']}; 0 to 27 are on the header")
    words = found["words"].split()
    allowed = PIN_WORDS[:4] if output else PIN_WORDS
    for word in words:
        if word not in allowed:
            raise ValueError(f"{word!r} says nothing of a pin; known: {', '.join(allowed)}")
    for pair in (("active-low", "active-high"), ("nc", "no"), ("pull-up", "pull-down", "floating")):
        if sum(word in words for word in pair) > 1:
            raise ValueError(f"only one of {', '.join(pair)}")
    pull = next((word.removeprefix("pull-") for word in words if word in PIN_WORDS[4:]), "up")
    high = "active-low" not in words if output else pull == "down"
    if not output and {"active-low", "active-high"} & set(words):
        high = "active-high" in words
    return Pin(int(found["number"]), high, "nc" in words, "" if output else pull)


def wiring_of(link: LinkTable) -> Wiring:
    """The wiring of a link table without faults."""
    pins = {name: pin_of(link[name], name in OUTPUTS) for name in PINS if name in link}
    usual_ms = CONTACT_DEBOUNCE_MS if any(contact in pins for contact in Contact) else PULSE_DEBOUNCE_MS
    return Wiring(
        tuple(pins[name] for name in OUTPUTS if name in pins),
        MappingProxyType({contact: pins[contact] for contact in Contact if contact in pins}),
        pins.get("s0"),
        number(link, "pulses_per_kwh", 1000.0),
        number(link, "counter_wh", 0.0),
        number(link, "debounce_ms", usual_ms) / 1000.0,
    )


def link_faults(link: LinkTable) -> list[str]:
    """Everything wrong with a link table, each with its path."""
    rest = {name: value for name, value in link.items() if name not in PINS}
    faults = [fault.replace("known keys: ", f"known keys: {', '.join(PINS)}, ") for fault in table_faults(rest, KEYS)]
    numbers: dict[int, str] = {}
    for name in PINS:
        if name not in link:
            continue
        try:
            pin = pin_of(link[name], name in OUTPUTS)
        except ValueError as error:
            faults.append(f"link.{name}: {error}")
            continue
        if pin.number in numbers:
            faults.append(f"link.{name}: pin {pin.number} is {numbers[pin.number]} already")
        numbers[pin.number] = name
    if not any(name in link for name in PINS):
        faults.append(f"link: no pin; give at least one of {', '.join(PINS)}")
    if ("contact_1" in link) != ("contact_2" in link):
        missing = "contact_2" if "contact_1" in link else "contact_1"
        faults.append(f"link.{missing}: missing; SG Ready has two contacts")
    if "relay" in link and "contact_1" in link:
        faults.append("link.relay: either a relay or the two contacts of SG Ready at one device")
    contacts = [contact.value for contact in Contact if contact in link]
    if contacts and any(name in link for name in (*OUTPUTS, "s0")):
        faults.append(f"link.{contacts[0]}: what is signalled by contacts is a device of its own")
    if "pulses_per_kwh" in link and "s0" not in link:
        faults.append("link.s0: missing; pulses_per_kwh is of its meter")
    if "s0" in link and "pulses_per_kwh" not in link:
        faults.append("link.pulses_per_kwh: missing; it is printed on the meter")
    if (text(link, "board", LGPIO) == SIMULATED) != ("simulated_file" in link):
        faults.append('link.simulated_file: goes with board = "simulated", the socket of hw-sim; neither alone')
    return faults
