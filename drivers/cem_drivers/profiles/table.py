"""The table of the profiles that ship, in Markdown."""

from cem_drivers.mqtt.profile import Profile as MqttProfile
from cem_drivers.mqtt.profile import shipped_profiles as mqtt_profiles
from cem_drivers.ocpp.profile import Profile as OcppProfile
from cem_drivers.ocpp.profile import shipped_profiles as ocpp_profiles
from cem_drivers.profiled.catalogue import shipped_profiles as modbus_profiles
from cem_drivers.profiled.schema import Profile
from cem_drivers.serial.profile import Profile as SerialProfile
from cem_drivers.serial.profile import shipped_profiles as serial_profiles

AnyProfile = Profile | MqttProfile | OcppProfile | SerialProfile

HEADER = """| profile | maker | model | roles | link | controls | failsafe | status | source |
|---|---|---|---|---|---|---|---|---|"""


def table() -> str:
    """One line a profile, by id; what is only a draft has no control that would be written."""
    profiles: dict[str, AnyProfile] = {
        **modbus_profiles(),
        **mqtt_profiles(),
        **ocpp_profiles(),
        **serial_profiles(),
    }
    return "\n".join([HEADER, *(_line(profiles[name]) for name in sorted(profiles))])


def _line(profile: AnyProfile) -> str:
    controls = ", ".join(f"`{name}`" for name in _controls(profile))
    if profile.status == "draft" and controls:
        controls += " (described, not written)"
    cells = [
        f"`{profile.id}`",
        _maker(profile),
        _model(profile),
        ", ".join(profile.roles),
        ", ".join(profile.link.kinds),
        controls or "none",
        "; ".join(_without_us(profile)) or "",
        profile.status,
        f"{profile.evidence[0].doc}, {profile.evidence[0].revision}",
    ]
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"


def _maker(profile: AnyProfile) -> str:
    if isinstance(profile, SerialProfile):
        return "any"  # the dialect is a standard; the meter tells its maker by its number
    if isinstance(profile, OcppProfile):
        return "any" if profile.identify.vendor == ".*" else profile.identify.vendor
    return profile.identify.maker


def _model(profile: AnyProfile) -> str:
    """The title without the maker that it begins with, where a name follows."""
    title = profile.title.removeprefix(f"{_maker(profile)} ")
    return profile.title if title[:1].islower() else title


def _controls(profile: AnyProfile) -> list[str]:
    if isinstance(profile, SerialProfile):
        return []  # meters that speak by themselves take no commands
    return [row.id for row in (profile.control if isinstance(profile, Profile) else profile.controls)]


def _without_us(profile: AnyProfile) -> list[str]:
    if isinstance(profile, SerialProfile):
        return []
    if not isinstance(profile, Profile):
        return [control.falls_back_to for control in profile.controls]
    return [
        control.device_timeout.falls_back_to if control.device_timeout is not None else control.falls_back_to or ""
        for control in profile.control
    ]
