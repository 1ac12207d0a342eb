"""What was seen on a device's line."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LineCounts:
    """Counters of one link since the gateway first used it; devices behind the same address share them."""

    name: str  # as errors show it: "192.0.2.40:502"
    requests: int
    writes: int  # of the requests
    refused: int  # answered with an exception of the protocol
    errors: int  # no answer, bad answer or connection lost
    timeouts: int  # of the errors: nothing came in time
    bad: int  # of the errors: what came was not the answer
    late: int  # answers seen after their time-out
    slow: int  # answered after more than half of the time-out
    slowest_s: float  # the slowest answer
    opened: int  # connections made
    spared: int  # requests not made, because the unit has been silent
