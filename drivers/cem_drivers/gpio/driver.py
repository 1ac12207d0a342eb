"""The gpio driver: checks a device table, builds devices. Nothing can be discovered on pins."""

from collections.abc import Mapping

from cem.driver import (
    Contact,
    Control,
    Device,
    DeviceConfig,
    DriverContext,
    Found,
    Identity,
    NoAnswer,
    Ratings,
    Role,
)
from cem_drivers.gpio.board import BOARDS
from cem_drivers.gpio.device import ENERGY, GpioDevice, serial_of
from cem_drivers.gpio.wiring import PINS, link_faults, wiring_of
from cem_drivers.table import LinkTable, text

AS_NAMED = 0.5
"""The confidence in what somebody says of a pin."""
CONTROL_OF = {"relay": Control.LOAD_ON, "contact_1": Control.HEAT_PUMP_SG_READY}


class GpioDriver:
    """Satisfies cem.driver.Driver."""

    @property
    def name(self) -> str:
        """What the site file writes in `driver`."""
        return "gpio"

    def faults(self, config: DeviceConfig) -> list[str]:
        """Everything wrong with a device table, offline; each starts with its path."""
        faults = link_faults(config.link)
        if len(config.resources) != 1:
            return [*faults, f"resources: {len(config.resources)}; a gpio device has one"]
        (resource,) = config.resources
        link, role = config.link, resource.role
        wired = {contact for contact in Contact if contact in link}
        offered = {control for name, control in CONTROL_OF.items() if name in link}
        faults += [
            f"resources[0].controls: no pin is wired for {control}; give {', '.join(_pins_for(control))}"
            for control in sorted(resource.controls - offered)
        ]
        if (role is Role.CONTACTS) != bool(wired):
            faults.append(
                "resources[0].role: the contacts w3, s1, s2, w4 and island are of the role contacts, and only they"
            )
        elif wired != resource.contacts:
            faults.append(
                f"resources[0].contacts: write {sorted(contact.value for contact in wired)}, as wired in link"
            )
        if "s0" in link and role not in ENERGY:
            faults.append(f"resources[0].role: a pulse meter measures {', '.join(ENERGY)}; not {role}")
        if "contact_1" in link and role is not Role.HEAT_PUMP:
            faults.append(f"resources[0].role: SG Ready is of a heat_pump, not {role}")
        if "relay" in link and role not in {Role.LOAD, Role.HEAT_PUMP}:
            faults.append(f"resources[0].role: a relay switches a load or a heat_pump, not {role}")
        if config.profile is not None:
            faults.append("profile: gpio has none")
        return faults

    def device(self, config: DeviceConfig, context: DriverContext) -> Device:
        """Builds the device; touches no pin."""
        return GpioDevice(config, context)

    async def probe(
        self, link: Mapping[str, str | int | float | bool], context: DriverContext, timeout_s: float
    ) -> list[Found]:
        """What the link table itself names, with the board's serial number: a pin does not tell what hangs on it.

        Raises NoAnswer where the board's pins can't be had. No pin is taken.
        """
        wiring, role = wiring_of(link), _role_of(link)
        if role is None:
            raise NoAnswer(f"pins {_named(link)}: nobody says what is measured there. Give role = pv, grid, load, ...")
        board = await BOARDS.take(link, context)
        serial = serial_of(board, wiring)
        await BOARDS.drop(board)
        controls = frozenset(control for name, control in CONTROL_OF.items() if name in link)
        return [
            Found(
                self.name,
                None,
                Identity("GPIO", f"pins {_named(link)}", serial),
                {key: value for key, value in link.items() if key != "role"},
                ((role, Ratings(), controls),),
                AS_NAMED,
                contacts=frozenset(wiring.contacts),
            )
        ]


def _role_of(link: LinkTable) -> Role | None:
    """The role that the table names, else the one that its pins can only have."""
    told = text(link, "role", "")
    if told:
        return Role(told)
    if "contact_1" in link:
        return Role.HEAT_PUMP
    if "relay" in link:
        return Role.LOAD
    return Role.CONTACTS if any(contact in link for contact in Contact) else None


def _named(link: LinkTable) -> str:
    return ", ".join(f"{name} {link[name]}" for name in PINS if name in link)


def _pins_for(control: Control) -> tuple[str, ...]:
    return ("contact_1", "contact_2") if control is Control.HEAT_PUMP_SG_READY else ("relay",)
