"""The MQTT driver: checks a device table, builds devices from profiles, looks what a broker has."""

import asyncio
from collections.abc import Mapping

from cem.driver import Device, DeviceConfig, DriverContext, Found
from cem_drivers.mqtt.broker import BROKERS, Subscription, listened
from cem_drivers.mqtt.device import MqttDevice
from cem_drivers.mqtt.found import found_device
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
        faults = table_faults(config.link, KEYS)
        prefix = text(config.link, "prefix", "")
        if any(sign in prefix for sign in "#+"):
            faults.append(f"link.prefix: {prefix!r} has a wildcard; write the plain topic prefix")
        if "password_file" in config.link and "username" not in config.link:
            faults.append("link.username: missing; a password needs it")
        if "ca_file" in config.link and config.link.get("tls") is not True:
            faults.append("link.tls: must be true where ca_file is given")
        if config.profile is None:
            return [*faults, f"profile: missing; known profiles: {', '.join(sorted(shipped_profiles()))}"]
        profile, wrong = find_profile(config.profile)
        faults += [f"profile: {fault}" for fault in wrong]
        if profile is not None:
            faults += _resource_faults(config, profile)
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
        """Every device of a known family at a broker, after listening for `timeout_s`; [] for silence."""
        found: list[Found] = []
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(
                    (_probe_profile if profile.rpc is None else probe_requests)(profile, link, context, timeout_s)
                )
                for profile in shipped_profiles().values()
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
        faults += [
            f"resources[{index}].controls: {profile.id} has no {control}"
            for control in sorted(resource.controls)
            if control not in offered
        ]
    return faults


async def _probe_profile(
    profile: Profile, link: Mapping[str, str | int | float | bool], context: DriverContext, timeout_s: float
) -> list[Found]:
    """Listens for the identity topics of one family."""
    names, prefix = profile.identify, text(link, "prefix", profile.link.prefix).rstrip("/")
    told: dict[str, dict[str, str]] = {}
    pattern = profile.link.topic.format(prefix=prefix, serial="\0").split("/")

    def take(topic: str, payload: bytes, retained: bool) -> None:
        levels = topic.split("/")
        key = "/".join(levels[len(pattern) :])
        told.setdefault(levels[pattern.index("\0")], {})[key] = payload.decode("utf-8", "replace").strip().strip('"')

    def connection(connected: bool) -> None:
        """Nothing to do: the subscriptions are renewed by the broker connection."""

    broker = BROKERS.take(link, profile.link.port, context)
    wanted = (names.serial, names.model, names.version, names.max_current_a)
    topics = [name for name in wanted if name is not None]
    everybody = profile.link.topic.format(prefix=prefix, serial="+")
    subscription = Subscription(tuple(f"{everybody}/{topic}" for topic in topics), take, connection)
    await listened(broker, subscription, timeout_s)
    return [
        found_device(profile, link, values[names.serial], values)
        for _, values in sorted(told.items())
        if names.serial in values
    ]
