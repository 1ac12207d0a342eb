"""What can be wrong in a site file with what the grid operator signals by wire."""

from pathlib import Path

import pytest

from cem.config.drivers import load_drivers
from cem.config.load import load_site
from cem.model.errors import SiteFileError
from cem.model.resource import Contact, Role

GOOD = """
site = 1
name = "Home"
timezone = "Europe/Berlin"
connection = { phases = 3, fuse_a = 35 }
control = { guaranteed_minimum = "14a" }
tariff = { base_price_per_kwh = 0.34 }

[[device]]
id = "meter"
driver = "sunspec"
link = { host = "127.0.0.1" }
resource = [{ id = "grid", role = "grid" }]

[[device]]
id = "inverter"
driver = "sunspec"
link = { host = "127.0.0.2" }
resource = [{ id = "pv", role = "pv", max_generation_w = 8000 }]

[[device]]
id = "box"
driver = "gpio"
link = { w3 = 5, w4 = "19 nc" }
resource = [{ id = "box", role = "contacts", contacts = ["w3", "w4"] }]
"""


def _faults(text: str, folder: Path) -> list[str]:
    path = folder / "site.toml"
    path.write_text(text)
    with pytest.raises(SiteFileError) as caught:
        load_site(path, load_drivers())
    return list(caught.value.faults)


def test_a_box_is_read_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text(GOOD)
    (box,) = load_site(path, load_drivers()).site.of(Role.CONTACTS)
    assert box.contacts == {Contact.W3, Contact.W4}


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('guaranteed_minimum = "14a"', "", "device[2].resource[0].contacts: 'w4' dims to the guaranteed minimum"),
        (
            ", max_generation_w = 8000",
            "",
            "device[2].resource[0].max_generation_w: missing, and device[1].resource[0] tells none",
        ),
        (', contacts = ["w3", "w4"]', "", "device[2].resource[0].contacts: missing on a resource of the role contacts"),
        (
            'contacts = ["w3", "w4"]',
            'contacts = ["w3"]',
            "device[2].resource[0].contacts: write ['w3', 'w4'], as wired",
        ),
        ('role = "grid"', 'role = "grid", contacts = ["w3"]', "device[0].resource[0].contacts: not of the role grid"),
        ('role = "contacts", contacts = ["w3", "w4"]', 'role = "load"', "device[2].resource[0].role: the contacts w3"),
        ('["w3", "w4"]', '["w3", "w5"]', "device[2].resource[0].contacts[1]: 'w5' seen"),
    ],
)
def test_a_fault_is_named(tmp_path: Path, old: str, new: str, fault: str) -> None:
    assert old in GOOD
    faults = _faults(GOOD.replace(old, new, 1), tmp_path)
    assert any(line.startswith(fault) for line in faults), faults


def test_a_box_has_a_name_of_its_own(tmp_path: Path) -> None:
    provider = '[[provider]]\nid = "box"\nurl = "https://vtn.example"\nven_name = "v"\nclient_id = "c"\n'
    faults = _faults(GOOD + provider + 'client_secret_file = "none"\n', tmp_path)
    assert any(line.startswith("device[2].resource[0].id: 'box' seen; provider[0] is called so") for line in faults)
