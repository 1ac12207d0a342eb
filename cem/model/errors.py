"""The error tree. A message says who, what was seen, what was allowed, what we do now and what you can do."""


class CemError(Exception):
    """Everything that this product raises on purpose."""


class SiteFileError(CemError):
    """The site file is not usable; `faults` lists every fault with its path."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class DeviceError(CemError):
    """A device or its link failed."""


class NoAnswer(DeviceError):  # noqa: N818 - the field's word
    """No answer in time; nothing is known about what the device did."""


class BadAnswer(DeviceError):  # noqa: N818
    """An answer that does not belong to the question or breaks the protocol; `raw` keeps its bytes."""

    def __init__(self, message: str, raw: bytes = b"") -> None:
        super().__init__(message)
        self.raw = raw


class Refused(DeviceError):  # noqa: N818
    """The device answered with a refusal (a Modbus exception, an error topic); `code` is the protocol's."""

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class WrongDevice(DeviceError):  # noqa: N818
    """Another device answers at that address than the one in the site file."""


class GridError(CemError):
    """The grid side failed: transport, credentials or an answer that is not the protocol."""


class Unproven(GridError):  # noqa: N818 - the field's word
    """Who answers could not prove to be whom we called; nothing was said to it."""
