"""Two providers of one house, each in a process: one of OpenADR 3.1, one of 2.0b with certificates, signed. The latter
allows a poll every 10 s."""

from contextlib import closing
from pathlib import Path

import pytest

from cem.model.status import Status
from support.certificates import Authority
from support.stand import Process, Stand, free_ports, limit_of, linked, ran
from support.stand_files import SOON

OLD = """
[[provider]]
id = "retailer"
binding = "openadr2b"
url = "https://127.0.0.1:{port}/OpenADR2/Simple/2.0b"
ven_name = "house-1"
ca_file = "{authority}"
client_certificate_file = "{certificate}"
client_key_file = "{key}"
vtn_fingerprint = "{fingerprint}"
poll_s = 10
stale_s = 20
{soon}
[[provider.programme]]
name = "urn:openadr:program:flex"
incentive_per_kwh = 0.2
"""


class Both(Stand):
    """The stand of one provider, with another one beside it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, battery_pct=10.0)
        authority = Authority(folder)
        own, house = authority.issue("vtn", "ec"), authority.issue("ven", "ec")
        (self.old_port,) = free_ports(1)
        text = OLD.format(
            port=self.old_port,
            authority=authority.certificate,
            certificate=house.certificate,
            key=house.key,
            fingerprint=own.fingerprint,
            soon=SOON,
        )
        with self.site_file.open("a", encoding="utf-8") as file:
            file.write(text)
        self._authority = authority
        words = ("--port", str(self.old_port), "--client-file", str(folder / "clients.txt"), "--json")
        secured = ("--tls-cert", str(own.certificate), "--tls-key", str(own.key))
        members = ("--client-ca", str(authority.certificate), "--sign-2b")
        admitted = ("--ven-2b", f"ven-1=house-1={house.fingerprint}")
        data = ("--data", str(folder / "old-vtn"))
        self.old = Process("old-vtn", folder, "cem", "vtn", "serve", *words, *secured, *members, *admitted, *data)

    def retailer(self, *words: str) -> None:
        """One order to the VTN of 2.0b."""
        url = f"https://127.0.0.1:{self.old_port}/openadr3/3.1.0"
        who = {"CEM_VTN_URL": url, "CEM_VTN_CLIENT_ID": "operator", "CEM_VTN_CLIENT_SECRET": "op"}
        done = ran("cem", "vtn", *words, "--ca", str(self._authority.certificate), **who)
        assert done.returncode == 0, done.stderr

    def close(self) -> None:
        """Ends what still runs."""
        super().close()
        self.old.kill()


def _state(status: Status, provider: str) -> str:
    return next(link.state.value for link in status.links if link.provider_id == provider)


def _grid_w(status: Status) -> float:
    known = [one.power_w for device in status.devices for one in device.resources if one.id == "grid"]
    assert known[0] is not None
    return known[0]


def _retailer(status: Status) -> str:
    return _state(status, "retailer")


@pytest.mark.slow
def test_a_provider_of_each_binding_is_followed_and_the_stricter_holds_however_the_links_come_and_go(
    tmp_path: Path,
) -> None:
    with closing(Both(tmp_path)) as house:
        house.old.start()
        house.start()
        house.retailer("program", "add", "flex")
        kind = ("--program", "flex", "--type", "IMPORT_CAPACITY_LIMIT", "--unit", "KW")
        house.retailer("event", "add", *kind, "--value", "4", "--duration", "PT90S", "--name", "evening")
        house.limit(6000.0)
        house.until(lambda status: (limit_of(status), limit_of(status, "retailer")) == ([6000.0], [4000.0]))
        house.until(lambda status: _grid_w(status) <= 4000.0)
        assert "retailer" in house.command("why").stdout

        house.old.kill()  # the accepted event runs on to its end, then this provider has nothing to say
        house.until(lambda status: _retailer(status) == "hold" and limit_of(status, "retailer") == [4000.0], 60.0)
        assert _state(house.until(lambda _: True), "utility") == "online"
        house.until(lambda status: limit_of(status, "retailer") == [], within_s=60.0)
        house.until(lambda status: _retailer(status) == "fallback" and limit_of(status) == [6000.0])
        house.until(lambda status: 4500.0 < _grid_w(status) <= 6000.0, within_s=400.0)

        house.old.start()
        house.until(linked)
        house.retailer("event", "add", *kind, "--value", "3", "--duration", "PT5M", "--name", "night")
        house.until(lambda status: limit_of(status, "retailer") == [3000.0])
        house.vtn.kill()  # the other way round
        house.until(lambda status: _state(status, "utility") in ("hold", "fallback"))
        assert _retailer(house.until(lambda _: True)) == "online"
        house.until(lambda status: _grid_w(status) <= 3000.0)
        refused = house.command("opt", "out", "evening peak")
        assert refused.returncode != 0
        assert house.command("opt", "out", "night").returncode == 0
        house.until(lambda status: limit_of(status, "retailer") == [])
