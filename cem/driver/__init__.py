"""The driver kit: everything that a driver may import, stable. The entry point group is `cem.drivers`."""

from cem.driver.patience import Patience
from cem.driver.serial_ports import BUILT_IN, BY_ID, serial_ports
from cem.model.errors import BadAnswer, DeviceError, NoAnswer, Refused, WrongDevice
from cem.model.reading import Reading, Value
from cem.model.resource import POINTS, Control, Ratings, Resource, Role
from cem.ports import (
    ByteSink,
    ConnectionSink,
    ControlSpec,
    Device,
    DeviceConfig,
    Driver,
    DriverContext,
    Found,
    Identity,
    LossSink,
    MessageSink,
    PduPort,
    SpeaksSeldom,
    Storage,
    StreamPort,
    TopicPort,
)

__all__ = [
    "BUILT_IN",
    "BY_ID",
    "POINTS",
    "BadAnswer",
    "ByteSink",
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
    "LossSink",
    "MessageSink",
    "NoAnswer",
    "Patience",
    "PduPort",
    "Ratings",
    "Reading",
    "Refused",
    "Resource",
    "Role",
    "SpeaksSeldom",
    "Storage",
    "StreamPort",
    "TopicPort",
    "Value",
    "WrongDevice",
    "serial_ports",
]
