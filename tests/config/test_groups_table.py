"""`[[group]]`: several resources that the grid sees as one more."""

from pathlib import Path

import pytest

from cem.config.load import load_site
from cem.config.write import write_secret
from cem.model.site import Group
from config.test_site_faults import DRIVERS, GOOD, faults_of

GROUP = """
[[group]]
id = "steered"
name = "All that is steered"
members = ["battery"]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_secret(tmp_path / "utility.secret", "s3cret")
    return tmp_path


def test_a_group_is_read(folder: Path) -> None:
    (folder / "site.toml").write_text(GOOD + GROUP)
    groups = load_site(folder / "site.toml", DRIVERS).site.groups
    assert groups == (Group("steered", "All that is steered", ("battery",)),)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('"steered"', '"battery"', "group[0].id: 'battery' seen; a resource has this id; choose another"),
        ('["battery"]', '["batery"]', "(did you mean 'battery'?)"),
        ('["battery"]', '["grid"]', "group[0].members[0]: 'grid' seen"),
        ('["battery"]', '["battery", "battery"]', "each member is named once"),
        ('["battery"]', "[]", "group[0].members: "),
    ],
)
def test_a_slip_is_named(folder: Path, old: str, new: str, fault: str) -> None:
    (found,) = faults_of(GOOD + GROUP.replace(old, new, 1), folder)
    assert fault in found
