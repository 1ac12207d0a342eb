"""What the meter at the connection point tells now, read once for all that look at it."""

from cem.model.reading import Snapshot
from cem.model.resource import Role
from cem.model.site import Site
from cem.model.values import value


@value(frozen=True, slots=True)
class Meter:
    """None: not told, or too long ago. What is of the phases comes in their order; () where no meter was ever read."""

    power_w: float | None = None
    told_at_s: float | None = None  # when its newest power was taken, however long ago, monotonic
    frequency_hz: float | None = None
    powers_w: tuple[float | None, ...] = ()
    currents_a: tuple[float | None, ...] = ()
    volts: tuple[float | None, ...] = ()
    tells_volts: bool = False  # has ever told a voltage


def metered(site: Site, snapshot: Snapshot) -> Meter:
    """What the site's meter tells in a snapshot."""
    meter = next(iter(site.of(Role.GRID)), None)
    known = None if meter is None else snapshot.readings.get(meter.id)
    if meter is None or not known:
        return Meter()
    points, count = site.once(_points), site.connection.phases
    power_w, frequency_hz, *rest = snapshot.numbers(meter.id, points, site.connection.meter_stale_s)
    power, volts = known.get("power_w"), tuple(rest[2 * count :])
    return Meter(
        power_w,
        None if power is None else power.taken_at_s,
        frequency_hz,
        tuple(rest[:count]),
        tuple(rest[count : 2 * count]),
        volts,
        volts.count(None) < count or any(point in known for point in points[-count:]),
    )


def _points(site: Site) -> tuple[str, ...]:
    phases = range(1, site.connection.phases + 1)
    of_phases = [f"{what}_l{phase}_{unit}" for what, unit in (("power", "w"), ("current", "a"), ("voltage", "v"))
                 for phase in phases]  # fmt: skip
    return ("power_w", "frequency_hz", *of_phases)
