"""What the services are that devices announce in a house's network, and how to go on from there."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cem.io.mdns_services import Announced

HOME_ASSISTANT = "github.com/home-assistant/core, homeassistant/generated/zeroconf.py, 002649ed43d7"
BY_MQTT = "let it speak to your broker (MQTT in its settings), then: cem scan mqtt://BROKER"


@dataclass(frozen=True, slots=True)
class Known:
    """What is behind a type of service. `source` says who says so."""

    what: Callable[[Announced], str]
    further: Callable[[Announced], str]
    source: str


def _just(text: str) -> Callable[[Announced], str]:
    return lambda _service: text


def _told(text: str, *keys: str) -> Callable[[Announced], str]:
    """The text, and what the service says under these keys."""

    def words(service: Announced) -> str:
        return " ".join([text, *(service.says[key] for key in keys if service.says.get(key))])

    return words


def _broker(service: Announced) -> str:
    return f"cem scan mqtt://{place(service)}"


NOTHING = _just("")
NO_DRIVER = _just("no driver for it here")

KNOWN: Mapping[str, Known] = {
    "_mqtt._tcp": Known(_just("an MQTT broker"), _broker, "service names of the IANA"),
    "_secure-mqtt._tcp": Known(_just("an MQTT broker with TLS"), NOTHING, "service names of the IANA"),
    "_shelly._tcp": Known(
        _told("a Shelly device:", "app", "ver"), _just(BY_MQTT), "shelly-api-docs.shelly.cloud, gen2, mDNS"
    ),
    "_esphomelib._tcp": Known(
        _told("an ESPHome node:", "friendly_name", "project_name"),
        _just(BY_MQTT),
        HOME_ASSISTANT,
    ),
    "_openadr3._tcp": Known(
        _told("a local VTN of OpenADR 3:", "local_url"),
        _just("name it as a provider in the site file"),
        "OpenADR 3.1.0, Definition, Discovery and Configuration of Local VTNs",
    ),
    "_home-assistant._tcp": Known(
        _told("Home Assistant", "version"), _just("it may steer devices too: only one may"), HOME_ASSISTANT
    ),
    "_ship._tcp": Known(
        _told("an EEBUS device (SHIP):", "brand", "type", "model"), NO_DRIVER, "EEBus SHIP specification, clause 7"
    ),
    "_hwenergy._tcp": Known(_told("a HomeWizard energy device:", "product_name"), NO_DRIVER, HOME_ASSISTANT),
    "_enphase-envoy._tcp": Known(
        _just("an Enphase gateway (Envoy)"),
        _just("cem scan HOST:502 where its Modbus is on"),
        HOME_ASSISTANT,
    ),
    "_technove-stations._tcp": Known(_just("a TechnoVE charger"), NO_DRIVER, HOME_ASSISTANT),
    "_slzb-06._tcp": Known(
        _just("a Zigbee coordinator"),
        _just("its plugs are reached by Zigbee2MQTT: cem scan mqtt://BROKER"),
        HOME_ASSISTANT,
    ),
}
"""By type of service. What is not here is not asked for: the rest of the house is none of our business."""


def place(service: Announced) -> str:
    """host:port of a service, by its first address."""
    host = service.addresses[0] if service.addresses else "?"
    return f"[{host}]:{service.port}" if ":" in host else f"{host}:{service.port}"


def in_words(service: Announced) -> str:
    """One line: where, what, how to go on."""
    known = KNOWN[service.kind]
    what, further = known.what(service).removesuffix(":"), known.further(service)
    line = f"{place(service)}: {what}, announced as {service.name!r} ({service.kind})"
    return f"{line}; {further}" if further else line
