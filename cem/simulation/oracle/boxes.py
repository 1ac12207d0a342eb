"""What the simulated control boxes really signal, and what that leaves: read from the plant, not from the gateway."""

from collections.abc import Mapping

from cem.model.site import Site
from cem.simulation.oracle.electrical import EACH_CONSUMER_W, guaranteed_w
from cem.simulation.plant import Home, Truth

FEED_IN: Mapping[str, float] = {"w3": 0.0, "s2": 0.3, "s1": 0.6}
"""The share of the installed power that each contact leaves (VDE FNN, control box)."""
DIMS = "w4"
KIND = "gpio.contacts"


class BoxTruth:
    """All boxes of a home."""

    def __init__(self, site: Site, home: Home) -> None:
        self._boxes = [spec for spec in home.device if spec.kind == KIND]
        self._installed_w = sum(roof.rating_w for roof in home.pv)
        self._least_w = max(guaranteed_w(site), EACH_CONSUMER_W)

    def limits(self, side: str, truth: Truth) -> list[tuple[str, float]]:
        """(source, limit in W, a magnitude) of every contact of a side that signals, or whose open wire says so."""
        found = []
        for spec in self._boxes:
            device = truth.devices[spec.id]
            broken = "broken_wire" in device.faults
            for contact, signals in device.commands.items():
                if not (spec.nc if broken else signals):
                    continue
                source = f"{spec.id} {contact}"
                if side == "import" and contact == DIMS:
                    found.append((source, self._least_w))
                elif side == "export" and contact in FEED_IN:
                    found.append((source, FEED_IN[contact] * self._installed_w))
        return found
