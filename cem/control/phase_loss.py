"""A meter that has lost a phase: it shows nothing there, while the house may draw on it as before.

Nobody can then say what flows on that phase. For the fuse it counts as the worst of the others, and as no less than it
carried when it was last seen; so nothing may draw more there than it did.
"""

from cem.control.meter import Meter
from cem.control.picture import Picture
from cem.control.presence import GONE_SHARE
from cem.model.site import Site
from cem.model.values import replace

THERE_SHARE = 0.85
"""Of nominal: from here on a phase has a voltage."""


def lost_phases(site: Site, meter: Meter) -> tuple[int, ...]:
    """The phases (1 to 3) at which the meter sees no voltage while it sees one at another."""
    nominal_v = site.connection.nominal_voltage_v
    told = [volts for volts in meter.volts if volts is not None]
    if not told or min(told) / nominal_v >= GONE_SHARE or max(told) / nominal_v < THERE_SHARE:
        return ()
    return tuple([
        phase
        for phase, volts in enumerate(meter.volts, 1)
        if volts is not None and volts / nominal_v < GONE_SHARE
    ])  # fmt: skip


def guarded(
    picture: Picture, lost: tuple[int, ...], last_a: tuple[float, ...] | None
) -> tuple[Picture, tuple[float, ...] | None]:
    """(the picture with the currents that count for the fuse, the currents to remember)."""
    told = picture.phases_a
    if told is None or not lost:
        return picture, told if told is not None else last_a
    worst = max((abs(current) for phase, current in enumerate(told, 1) if phase not in lost), default=0.0)
    before = last_a if last_a is not None and len(last_a) == len(told) else told
    counted = tuple(
        max(worst, before[phase - 1]) if phase in lost else current for phase, current in enumerate(told, 1)
    )
    kept = tuple(before[phase - 1] if phase in lost else current for phase, current in enumerate(told, 1))
    return replace(picture, phases_a=counted), kept


def note(lost: tuple[int, ...]) -> str:
    """In words."""
    names = " and ".join(f"L{phase}" for phase in lost)
    return (
        f"no voltage on phase {names}: what flows there is not seen, and for the fuse it counts as the worst of the "
        "others, at least as what it carried before"
    )
