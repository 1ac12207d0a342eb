"""What the screens draw: the last status, whether the gateway still answers, and a beat."""

from dataclasses import dataclass

from cem.model.status import Status


@dataclass(frozen=True, slots=True)
class View:
    """`gone` says why nothing answers, None while the gateway does; `beat` grows by one with every status.

    `silent_s` is how long no status came, None while they come as usual.
    """

    status: Status | None = None
    gone: str | None = "asking for the first time"
    beat: int = 0
    silent_s: float | None = None
