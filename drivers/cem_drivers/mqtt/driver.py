"""The MQTT driver: checks a device table, builds devices from profiles, looks what a broker has."""

import asyncio
from collections.abc import Mapping

from cem.driver import Device, DeviceConfig, DriverContext, Found
from cem_drivers.mqtt.device import MqttDevice
from cem_drivers.mqtt.probe import probe
from cem_drivers.mqtt.profile import Profile, find_profile, shipped_profiles
from cem_drivers.mqtt.rpc_probe import probe_requests
from cem_drivers.table import Key, table_faults, text

KEYS = (
    Key("kind", str, choices=("mqtt",)),
    Key("host", str, required=True),
    Key("port", int, low=1, high=65535),
    Key("prefix", str),
    Key("serial", str),
    Key("username", str),
    Key("password_file", str),
    Key("tls", bool),
    Key("ca_file", str),
    Key("cert_file", str),
    Key("key_file", str),
    Key("timeout_s", float, low=0.1, high=30),
)


class MqttDriver:
    """Satisfies cem.driver.Driver."""

    @property
    def name(self) -> str:
        """What the site file writes in `driver`."""
        return "mqtt"

    def faults(self, config: DeviceConfig) -> list[str]:
        """Everything wrong with a device table, offline; each starts with its path."""
        profile, wrong = find_profile(config.profile) if config.profile is not None else (None, [])
        keys = [*KEYS, *_keys_of(profile)]
        faults = table_faults(config.link, keys)
        prefix = text(config.link, "prefix", "")
        if any(sign in prefix for sign in "#+"):
            faults.append(f"link.prefix: {prefix!r} has a wildcard; write the plain topic prefix")
        if "password_file" in config.link and "username" not in config.link:
            faults.append("link.username: missing; a password needs it")
        for name in ("ca_file", "cert_file"):
            if name in config.link and config.link.get("tls") is not True:
                faults.append(f"link.tls: must be true where {name} is given")
        if "key_file" in config.link and "cert_file" not in config.link:
            faults.append("link.cert_file: missing; a key belongs to a certificate")
        if config.profile is None:
            return [*faults, f"profile: missing; known profiles: {', '.join(sorted(shipped_profiles()))}"]
        faults += [f"profile: {fault}" for fault in wrong]
        if profile is not None:
            faults += [*_name_faults(config, profile), *_resource_faults(config, profile)]
        return faults

    def device(self, config: DeviceConfig, context: DriverContext) -> Device:
        """Builds the device; touches no wire. ValueError for a profile that `faults` finds fault with."""
        profile, faults = find_profile(config.profile or "")
        if profile is None:
            raise ValueError("; ".join(faults))
        return MqttDevice(config, profile, context)

    async def probe(
        self, link: Mapping[str, str | int | float | bool], context: DriverContext, timeout_s: float
    ) -> list[Found]:
        """Every device of a known family, or of the profile that `link` names, at a broker, after listening for
        `timeout_s`; [] for silence.
        """
        found: list[Found] = []
        profiles = list(shipped_profiles().values())
        if "profile" in link:
            named, _ = find_profile(text(link, "profile", ""))
            profiles = [] if named is None else [named]
        bare = {key: value for key, value in link.items() if key != "profile"}
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task((probe if profile.rpc is None else probe_requests)(profile, bare, context, timeout_s))
                for profile in profiles
            ]
        for task in tasks:
            found += task.result()
        return found


def _resource_faults(config: DeviceConfig, profile: Profile) -> list[str]:
    faults: list[str] = []
    if not config.resources:
        faults.append("resources: none, so nothing would be read")
    offered = {control.id for control in profile.controls}
    roles = [resource.role for resource in config.resources]
    for index, resource in enumerate(config.resources):
        if resource.role not in profile.roles:
            faults.append(f"resources[{index}].role: {resource.role} is none of {', '.join(profile.roles)}")
        elif resource.role in roles[:index]:
            faults.append(f"resources[{index}].role: a second {resource.role} at one device")
        for control in sorted(resource.controls):
            if control not in offered:
                faults.append(f"resources[{index}].controls: {profile.id} has no {control}")
            elif profile.status == "draft":
                faults.append(
                    f"resources[{index}].controls: {control}: the profile {profile.id} is a draft: it is read, "
                    "never written"
                )
    return faults


def _keys_of(profile: Profile | None) -> list[Key]:
    """The keys of the link table that a profile adds: names in its topics, and where its switch rests."""
    if profile is None:
        return []
    rests = [Key("rest", str, choices=("off", "on"))] if any(row.rests for row in profile.control) else []
    return [*(Key(name, str) for name in profile.link.names), *rests]


def _name_faults(config: DeviceConfig, profile: Profile) -> list[str]:
    faults: list[str] = []
    named = {name: text(config.link, name, "") for name in ("serial", *profile.link.names)}
    faults += [
        f"link.{name}: {value!r} has a / or a wildcard; write one level of the topic"
        for name, value in named.items()
        if any(sign in value for sign in "/#+")
    ]
    asked = bool(profile.ask or profile.pick) and "{serial}" in profile.link.topic
    if asked and config.resources and config.serial is None and "serial" not in config.link:
        faults.append("link.serial: missing; the name of the device in its topics is needed")
    return faults
