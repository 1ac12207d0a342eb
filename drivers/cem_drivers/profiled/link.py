"""The link table of a device with its profile's defaults filled in."""

from cem_drivers.modbus import BUS_KEYS_OF
from cem_drivers.profiled.schema import Profile
from cem_drivers.table import LinkTable, LinkValue


def kinds_of(profile: Profile) -> list[str]:
    """The kinds of link over which its device is reached. Whatever speaks TCP may stand behind TLS: its own, or that
    of a gateway in front of it."""
    kinds: list[str] = [*profile.link.kinds]
    return [*kinds, "tls"] if "tcp" in kinds and "tls" not in kinds else kinds


def with_defaults(link: LinkTable, profile: Profile) -> dict[str, LinkValue]:
    """What the site file says, and where it is silent what the profile says. Only keys of that kind of link."""
    kind = link.get("kind", "tcp")
    wanted: dict[str, LinkValue | None] = {
        "port": profile.link.port if kind == "tcp" else None,
        "unit": profile.link.unit,
        "timeout_s": profile.link.timeout_s,
        "min_gap_ms": profile.link.min_gap_ms or None,
        "baud": profile.link.baud,
        "parity": profile.link.parity,
        "stop_bits": profile.link.stop_bits,
    }
    known = {key.name for key in BUS_KEYS_OF.get(str(kind), ())}
    defaults = {name: value for name, value in wanted.items() if value is not None and name in known}
    return {**defaults, **link}
