"""Whether what is said to be on a phase shows there: clamps that changed places would let the fuse be passed.

What is known to draw on a phase is the least that the meter must show there, whatever the house takes. Where it shows
clearly less for some seconds, nobody knows any longer where anything single-phase is: then the worst phase counts.
"""

from cem.control.picture import ChargerPicture, Picture
from cem.model.resource import Resource, Role
from cem.model.site import Site
from cem.model.values import replace, value

DRAWS_A = 6.0
"""Less than this says nothing."""
MARGIN_A = 4.0
"""A balcony's module and the devices' own errors."""
SURE_S = 5.0
"""Meter and devices do not show a change together."""
DOUBT_S = 3600.0
NOTE = (
    "what draws on a phase does not show there: clamps of the meter have changed places, or the phase in the site file "
    "is wrong; for the fuse the worst phase counts"
)


@value(frozen=True, slots=True)
class PlaceMemory:
    """Since when something does not show where it should, and until when no place of anything is believed."""

    missing_since_s: float | None = None
    doubt_until_s: float = float("-inf")

    def doubts(self, now_s: float) -> bool:
        """Whether the phases of single-phase devices are not believed now."""
        return now_s < self.doubt_until_s


def watched(site: Site, picture: Picture, lost: tuple[int, ...], before: PlaceMemory, now_s: float) -> PlaceMemory:
    """The memory after this look. `site` as the site file has it."""
    if not _missing(site, picture, lost):
        return before if before.missing_since_s is None else replace(before, missing_since_s=None)
    since_s = now_s if before.missing_since_s is None else before.missing_since_s
    until_s = now_s + DOUBT_S if now_s - since_s >= SURE_S else before.doubt_until_s
    return PlaceMemory(since_s, until_s)


def placeless(site: Site) -> Site:
    """The site as if nobody knew on which phase anything single-phase is."""
    return replace(site, resources=tuple(_placeless(resource) for resource in site.resources))


def _placeless(resource: Resource) -> Resource:
    return (
        resource if resource.ratings.phase is None else replace(resource, ratings=replace(resource.ratings, phase=None))
    )


def _missing(site: Site, picture: Picture, lost: tuple[int, ...]) -> bool:
    told, count, volts = picture.phases_a, site.connection.phases, site.connection.nominal_voltage_v
    unread = len(picture.pvs) < len(site.of(Role.PV)) or len(picture.batteries) < len(site.of(Role.BATTERY))
    if told is None or len(told) != count or count == 1 or lost or unread:
        return False
    flows = _flows(picture)
    if max([power_w for _, power_w, phases in flows if phases == 1], default=0.0) < DRAWS_A * volts:
        return False  # as mostly: nothing says where it is
    least, draws = [0.0] * count, [False] * count
    for resource, power_w, phases in flows:
        place = site.resource(resource.id).ratings.phase
        if phases > 1:
            least = [amps + power_w / (volts * count) for amps in least]
        elif place is not None:
            least[place - 1] += power_w / volts
            draws[place - 1] = draws[place - 1] or power_w >= DRAWS_A * volts
        else:
            least = [amps + min(0.0, power_w) / volts for amps in least]
    return any(drawn and amps < expected - MARGIN_A for amps, expected, drawn in zip(told, least, draws, strict=True))


def _flows(picture: Picture) -> list[tuple[Resource, float, int]]:
    flows: list[tuple[Resource, float, int]] = []
    for part in picture.parts:
        if part.power_w is not None:
            phases = part.phases if isinstance(part, ChargerPicture) else part.resource.ratings.phases
            flows.append((part.resource, part.power_w, phases))
    return flows
