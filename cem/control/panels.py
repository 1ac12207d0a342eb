"""PV: curtailed only by what the connection point's band leaves, after the batteries took their part."""

from collections.abc import Sequence
from dataclasses import dataclass

from cem.control import words
from cem.control.batteries import BatteryChoice
from cem.control.picture import PvPicture
from cem.control.scene import Scene
from cem.control.tuning import EXPORT_MARGIN_W
from cem.model.envelope import Rank
from cem.model.resource import Control


@dataclass(frozen=True, slots=True)
class PvChoice:
    """The largest generation allowed, a magnitude; None: unbounded, handed back."""

    pv: PvPicture
    limit_w: float | None
    rank: Rank
    source: str
    reason: str


def choose(scene: Scene, batteries: Sequence[BatteryChoice]) -> list[PvChoice]:
    """One choice per PV system that can be limited.

    While an export limit is in force the bound is always sent, so that a cloud that passes does not overshoot.
    """
    picture = scene.picture
    pvs = [pv for pv in picture.pvs if Control.PV_LIMIT_W in pv.resource.controls]
    by = scene.band.min_by
    if by is None or by.rank is Rank.SAFETY:
        return [PvChoice(pv, None, Rank.PLAN, "rule", "generates what the sun gives") for pv in pvs]
    # of the batteries only what they really take counts: one that does not follow must not open the roof
    taken = sum(min(choice.power_w, choice.battery.power_w) for choice in batteries)
    fixed = sum(-pv.power_w for pv in picture.pvs if pv not in pvs)
    allowed = (picture.load_w or 0.0) + picture.ev_w + taken - scene.band.min_w - EXPORT_MARGIN_W - fixed
    rated = sum(_rating(pv) for pv in pvs)
    choices = []
    for pv in pvs:
        share = _rating(pv) / rated if rated > 0 else 1.0 / len(pvs)
        limit_w = min(max(0.0, allowed) * share, pv.resource.ratings.max_generation_w or float("inf"))
        reason = f"generates at most {words.power(limit_w)}: {scene.bound(by)}"
        choices.append(PvChoice(pv, limit_w, by.rank, by.source, reason))
    return choices


def _rating(pv: PvPicture) -> float:
    return pv.resource.ratings.max_generation_w or 0.0
