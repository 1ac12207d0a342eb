"""Which controls are never tried, and that every control is thought of."""

import pytest

from cem.commissioning.trial import LEAST_TOLERANCE, NEVER_TRIED, tolerance, trial
from cem.model.resource import Control, Resource, Role
from cem.ports import ControlSpec


@pytest.mark.parametrize("control", sorted(NEVER_TRIED))
def test_what_switches_a_compressor_a_contactor_or_an_appliance_is_never_tried(control: Control) -> None:
    spec = ControlSpec("x", control, "runs by itself")
    assert trial(spec, Resource("x", Role.LOAD, "d", "X"), {"power_w": 100.0, "state": "on"}, 1.0) is None
    assert tolerance(spec, 1.0) < 1.0


def test_every_control_has_a_tolerance() -> None:
    assert set(LEAST_TOLERANCE) == set(Control)
