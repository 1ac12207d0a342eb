"""The driver kit: everything that a driver may import, stable. The entry point group is `cem.drivers`."""

from cem.driver.contacts import SG_READY, moving_order
from cem.driver.patience import Patience
from cem.model.errors import BadAnswer, DeviceError, NoAnswer, Refused, WrongDevice
from cem.model.reading import Reading, Value
from cem.model.resource import POINTS, Contact, Control, Ratings, Resource, Role
from cem.ports import (
    ConnectionSink,
    ControlSpec,
    Device,
    DeviceConfig,
    Driver,
    DriverContext,
    Found,
    Identity,
    Json,
    Keep,
    LevelSink,
    MessageSink,
    PduPort,
    PinPort,
    Storage,
    TopicPort,
)

__all__ = [
    "POINTS",
    "SG_READY",
    "BadAnswer",
    "ConnectionSink",
    "Contact",
    "Control",
    "ControlSpec",
    "Device",
    "DeviceConfig",
    "DeviceError",
    "Driver",
    "DriverContext",
    "Found",
    "Identity",
    "Json",
    "Keep",
    "LevelSink",
    "MessageSink",
    "NoAnswer",
    "Patience",
    "PduPort",
    "PinPort",
    "Ratings",
    "Reading",
    "Refused",
    "Resource",
    "Role",
    "Storage",
    "TopicPort",
    "Value",
    "WrongDevice",
    "moving_order",
]
