"""Three storeys of real processes: a VTN, a gateway with a VTN of its own, two gateways with simulated homes."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cem.model.status import Status, SubVenStatus
from cem.sgcp.domain.events import OBLIGATIONS, SERVICES
from cem.sgcp.domain.usage import BELOW
from support.stand import Stand, free_ports, limit_of, linked
from support.waiting import until_blocking

FLATS = ("flat-1", "flat-2")
MIDDLE = """
[vtn]
listen = "127.0.0.1:{port}"
lost_after_s = 8
[[vtn.client]]
id = "flat-1"
secret_file = "flat.secret"
[[vtn.client]]
id = "flat-2"
secret_file = "flat.secret"
"""


class Flat(Stand):
    """A gateway and its home whose provider is another gateway."""

    def __init__(self, folder: Path, name: str, port_above: int) -> None:
        folder.mkdir()
        self.name, self._above = name, port_above
        super().__init__(folder, battery_pct=10.0)

    def write_site(self) -> None:
        """The site file of the stand, with the gateway above as its provider."""
        super().write_site()
        text = self.site_file.read_text().replace(f"127.0.0.1:{self.ports['vtn']}", f"127.0.0.1:{self._above}")
        text = text.replace('"home-1"', f'"{self.name}"').replace('name = "limits"', f'name = "{OBLIGATIONS}"')
        text = text.replace("default_import_limit_w = 4500", "default_import_limit_w = 24000")
        self.site_file.write_text(f'{text}\n[[provider.programme]]\nname = "{SERVICES}"\n')

    def begin(self) -> None:
        """Home and gateway."""
        self.home.start()
        self.gateway.start()


class Storeys:
    """All of them; the gateway in the middle has a meter that nobody hears, so its house is one member of three."""

    def __init__(self, folder: Path) -> None:
        self.top = Stand(folder)
        (port,) = free_ports(1)
        secret = folder / "flat.secret"
        secret.touch(0o600)
        secret.write_text("home")
        site = self.top.site_file.read_text()
        first, _, rest = site.partition('[[device]]\nid = "inverter"')
        provider = "[[provider]]" + rest.partition("[[provider]]")[2]
        self.top.site_file.write_text(first + provider + MIDDLE.format(port=port))
        self.flats = {name: Flat(folder / name, name, port) for name in FLATS}

    def member(self, status: Status, name: str) -> SubVenStatus | None:
        """A flat as the gateway in the middle sees it."""
        assert status.domain is not None
        return next((one for one in status.domain.members if one.name == name), None)

    def share_w(self, name: str) -> float:
        """The limit in force in a flat."""
        status = self.flats[name].until(lambda status: len(limit_of(status)) == 1)
        return limit_of(status)[0]

    def reported(self) -> list[dict[str, Any]]:
        """The intervals of the domain's sum above that have values."""
        return [
            interval
            for report in self.top.operator("report", "list")
            for resource in report["resources"]
            for interval in resource["intervals"]
            if resource["resourceName"] == BELOW and any(p["type"] == "USAGE" for p in interval["payloads"])
        ]


@contextmanager
def storeys(folder: Path) -> Iterator[Storeys]:
    """Running ones, all gone afterwards."""
    found = Storeys(folder)
    try:
        found.top.vtn.start()
        found.top.gateway.start()
        found.top.until(lambda status: linked(status) and status.domain is not None and status.domain.running)
        for flat in found.flats.values():
            flat.begin()
        yield found
    finally:
        for stand in (*found.flats.values(), found.top):
            stand.close()


def _takes_at_most(most_w: float, status: Status) -> bool:
    return status.flow.grid_w is not None and status.flow.grid_w <= most_w


@pytest.mark.slow
def test_a_limit_above_reaches_the_lowest_car_and_a_killed_gateway_is_made_up_for(tmp_path: Path) -> None:
    with storeys(tmp_path) as it:
        for flat in it.flats.values():
            flat.until(lambda status: linked(status) and (status.flow.ev_w or 0.0) > 8000, within_s=90)
        it.top.until(lambda status: all((it.member(status, name) or _NOBODY).power_w for name in FLATS), within_s=60)
        it.top.limit(18_000.0)
        for name, flat in it.flats.items():
            share_w = it.share_w(name)
            assert 5000 <= share_w <= 8000
            kept = flat.until(partial(_takes_at_most, share_w + 100), within_s=30)
            assert (kept.flow.ev_w or 0.0) > 3000  # the car has what is left
        assert sum(it.share_w(name) for name in FLATS) <= 18_000
        until_blocking(lambda: len(it.reported()) >= 3, 60)

        before_w = it.share_w("flat-2")
        lost_w = it.share_w("flat-1")
        it.flats["flat-1"].gateway.kill()
        it.top.until(lambda status: (it.member(status, "flat-1") or _NOBODY).lost, within_s=30)
        (event,) = it.top.operator("event", "list")
        it.top.operator("event", "cancel", event["id"])
        it.top.limit(12_000.0)
        it.flats["flat-2"].until(
            lambda status: bool(limit_of(status)) and limit_of(status)[0] < before_w - 1000, within_s=30
        )
        assert it.share_w("flat-2") + lost_w <= 12_000

        it.flats["flat-1"].gateway.start()
        it.top.until(lambda status: not (it.member(status, "flat-1") or _NOBODY).lost, within_s=60)
        it.flats["flat-1"].until(lambda status: bool(limit_of(status)) and limit_of(status)[0] < lost_w, within_s=120)


_NOBODY = SubVenStatus("", False, None, None, None, None, None, False)
