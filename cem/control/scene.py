"""Everything that the choosers of one tick look at."""

from dataclasses import dataclass
from datetime import datetime

from cem.control import words
from cem.control.picture import Picture
from cem.model.envelope import Band, Envelope, Rank
from cem.model.plan import Slot
from cem.model.site import Site
from cem.model.tick import Inputs


@dataclass(frozen=True, slots=True)
class Scene:
    """The house, this tick's inputs, and the folded band of the connection point."""

    site: Site
    inputs: Inputs
    picture: Picture
    band: Band
    envelopes: tuple[Envelope, ...]

    @property
    def now(self) -> datetime:
        """The wall clock of this tick."""
        return self.inputs.now.wall

    @property
    def house_w(self) -> float:
        """What is not controllable, and PV: negative when the sun gives more than the house takes."""
        return (self.picture.load_w or 0.0) + self.picture.pv_w

    @property
    def slot(self) -> Slot | None:
        """The plan's slot for now; None without a valid plan or a trusted clock."""
        if self.inputs.plan is None or not self.inputs.now.trusted:
            return None
        return self.inputs.plan.slot_at(self.now)

    def bound(self, by: Envelope) -> str:
        """A bound in words, with its end."""
        return words.bound(by, self.site.zone, self.now)


def margin_w(by: Envelope | None, margin: float) -> float:
    """How far to stay inside an edge: nothing for the fuse, which has its own tolerance."""
    return margin if by is not None and by.rank is not Rank.SAFETY else 0.0
