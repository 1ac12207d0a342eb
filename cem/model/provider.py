"""One energy service at the Smart Grid Connection Point: who it is, and what holds when its link is lost."""

from dataclasses import dataclass, field
from enum import StrEnum


class Notify(StrEnum):
    """How a provider tells us of changes; polling goes on beneath."""

    AUTO = "auto"  # over its broker where it has one, else by calling us back where that is set up
    POLL = "poll"
    MQTT = "mqtt"
    WEBHOOK = "webhook"


@dataclass(frozen=True, slots=True)
class Programme:
    """A programme of a provider; a mandatory one is an obligation, a voluntary one may be opted out of."""

    name: str
    mandatory: bool = False
    incentive_per_kwh: float | None = None  # paid for each kWh below the baseline, in the tariff's currency


BY_MDNS = "mdns:"
"""What a url begins with that is the name of a VTN announced in the local network."""


@dataclass(frozen=True, slots=True)
class Provider:
    """One [[provider]] table of the site file. Limits are magnitudes in W; all times are seconds.

    Link states by the age of the last authenticated success: STALE at `stale_s` (default max(3 polls, 60 s)),
    HOLD at twice that, FALLBACK as the table in cem/sgcp/link says.
    """

    id: str
    url: str
    ven_name: str
    client_id: str
    client_secret: str = field(repr=False, default="")
    binding: str = "openadr3"
    programmes: tuple[Programme, ...] = ()
    poll_s: float = 30.0
    notify: Notify = Notify.AUTO
    callback_url: str = ""  # under which the provider reaches our callback; empty: it can't
    stale_s: float | None = None
    fallback_voluntary_s: float = 1800.0  # from HOLD with nothing scheduled, for voluntary programmes
    fallback_open_ended_s: float = 14400.0  # open-ended direct control, at the latest
    default_import_limit_w: float | None = None  # of the contract; a received CAPACITY_SUBSCRIPTION outranks it
    default_export_limit_w: float | None = None
    report_interval_s: float = 60.0
    request_timeout_s: float = 10.0
    retry_max_s: float = 300.0
    spread_s: float | None = None  # the longest wait by chance after the end of its events; None: the site's
    shed_import_w: tuple[float, float, float] = (11_000.0, 4200.0, 0.0)  # what load-shed levels 1, 2 and 3 leave
    reconnect_jitter_s: float = 10.0  # the first return after a loss waits uniformly up to this

    @property
    def mandatory(self) -> bool:
        """Whether any of its programmes is an obligation."""
        return any(programme.mandatory for programme in self.programmes)

    def stale_after_s(self) -> float:
        """Age of the last success at which the link is stale."""
        return self.stale_s if self.stale_s is not None else max(3 * self.poll_s, 60.0)
