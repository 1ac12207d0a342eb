"""The driver kit: everything that a driver may import, stable. The entry point group is `cem.drivers`."""

from cem.driver.patience import Patience
from cem.model.errors import BadAnswer, DeviceError, NoAnswer, Refused, WrongDevice
from cem.model.reading import Reading, Value
from cem.model.resource import POINTS, Control, Ratings, Resource, Role
from cem.ports import (
    Caller,
    CallPort,
    CallSink,
    ConnectionSink,
    ControlSpec,
    Device,
    DeviceConfig,
    Driver,
    DriverContext,
    Found,
    Identity,
    MessageSink,
    PduPort,
    Storage,
    TextStream,
    TopicPort,
)

__all__ = [
    "POINTS",
    "BadAnswer",
    "CallPort",
    "CallSink",
    "Caller",
    "ConnectionSink",
    "Control",
    "ControlSpec",
    "Device",
    "DeviceConfig",
    "DeviceError",
    "Driver",
    "DriverContext",
    "Found",
    "Identity",
    "MessageSink",
    "NoAnswer",
    "Patience",
    "PduPort",
    "Ratings",
    "Reading",
    "Refused",
    "Resource",
    "Role",
    "Storage",
    "TextStream",
    "TopicPort",
    "Value",
    "WrongDevice",
]
