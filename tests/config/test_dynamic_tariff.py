"""The [tariff.dynamic] table: what it becomes, and every slip in it."""

from datetime import time
from pathlib import Path

import pytest

from cem.commissioning.site import Answers, answer_faults
from cem.config.load import check_table, load_site
from cem.config.raw import read_raw
from cem.config.write import dump_site, write_secret
from cem.model.errors import SiteFileError
from cem.ports import Driver
from support.toy_driver import ToyDriver

DRIVERS: dict[str, Driver] = {"toy": ToyDriver()}

SITE = """
site = 1
name = "Home"
timezone = "Europe/Berlin"

[connection]
phases = 3
fuse_a = 35

[tariff]
base_price_per_kwh = 0.34

{dynamic}

[[device]]
id = "meter"
driver = "toy"
serial = "MT-1"
link = {{ kind = "tcp", host = "127.0.0.1", port = 5020, unit = 1 }}
[[device.resource]]
id = "grid"
role = "grid"
"""

AWATTAR = """
[tariff.dynamic]
provider = "awattar"
country = "DE"
per_kwh = 0.018
percent = 3
grid_fee_per_kwh = 0.152
vat_percent = 19
export = "market"
export_fee_per_kwh = 0.004

[[tariff.dynamic.grid_fee]]
from = "00:00"
to = "05:00"
months = [1, 12]
days = ["mon"]
per_kwh = 0.085
"""
ENTSOE = '[tariff.dynamic]\nprovider = "entsoe"\narea = "10Y1001A1001A82H"\ntoken_file = "entsoe.token"'
OCTOPUS = '[tariff.dynamic]\nprovider = "octopus"\ntariff_code = "E-1R-AGILE-24-10-01-C"'
TIBBER = '[tariff.dynamic]\nprovider = "tibber"\ntoken_file = "entsoe.token"'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_secret(tmp_path / "entsoe.token", "b7c2-token")
    return tmp_path / "site.toml"


def faults(path: Path, dynamic: str) -> list[str]:
    path.write_text(SITE.format(dynamic=dynamic))
    with pytest.raises(SiteFileError) as told:
        load_site(path, DRIVERS)
    return told.value.faults


def test_the_table_becomes_a_service_and_a_markup(path: Path) -> None:
    path.write_text(SITE.format(dynamic=AWATTAR))
    dynamic = load_site(path, DRIVERS).dynamic
    assert dynamic is not None
    service, markup = dynamic.service, dynamic.markup
    assert (service.provider, service.country, service.currency) == ("awattar", "DE", "EUR")
    assert (markup.per_kwh, markup.percent, markup.vat_percent) == (0.018, 3, 19)
    assert (markup.export_at_market, markup.export_fee_per_kwh) == (True, 0.004)
    (fee,) = markup.grid_fees.periods
    assert (fee.start, fee.end, fee.import_price_per_kwh) == (time(0), time(5), 0.085)
    assert (fee.weekdays, fee.months) == (frozenset({0}), frozenset({1, 12}))
    assert (markup.grid_fees.base_price_per_kwh, markup.grid_fees.zone) == (0.152, "Europe/Berlin")


@pytest.mark.parametrize("table", [AWATTAR, ENTSOE, OCTOPUS, TIBBER])
def test_every_provider_loads_and_is_written_as_it_was_read(path: Path, table: str) -> None:
    path.write_text(SITE.format(dynamic=table))
    read = check_table(read_raw(path), path.parent, DRIVERS)
    path.write_text(dump_site(read))
    assert check_table(read_raw(path), path.parent, DRIVERS) == read


def test_the_token_is_read_and_shown_nowhere(path: Path) -> None:
    path.write_text(SITE.format(dynamic=ENTSOE))
    site = load_site(path, DRIVERS)
    assert site.dynamic is not None
    assert site.dynamic.service.token == "b7c2-token"
    assert "b7c2-token" not in repr(site)


def test_without_the_table_there_is_none(path: Path) -> None:
    path.write_text(SITE.format(dynamic=""))
    assert load_site(path, DRIVERS).dynamic is None


@pytest.mark.parametrize(
    ("table", "old", "new", "line"),
    [
        (
            AWATTAR,
            '"awattar"',
            '"awatar"',
            "tariff.dynamic.provider: 'awatar' seen; allowed: awattar, entsoe, octopus, tibber "
            "(did you mean 'awattar'?)",
        ),
        (AWATTAR, "vat_percent", "vat_pct", "tariff.dynamic.vat_pct: unknown key; * (did you mean 'vat_percent'?)"),
        (AWATTAR, 'country = "DE"\n', "", "tariff.dynamic.country: missing; provider 'awattar' needs it"),
        (
            AWATTAR,
            'country = "DE"',
            'country = "FR"',
            "tariff.dynamic.country: 'FR' seen; allowed: AT, DE",
        ),
        (
            AWATTAR,
            'country = "DE"',
            'country = "DE"\nhome = "x"',
            "tariff.dynamic.home: not of provider 'awattar'; it takes: country",
        ),
        (
            AWATTAR,
            'export = "market"\n',
            "",
            'tariff.dynamic.export_fee_per_kwh: export is "fixed"; it counts with export = "market" alone',
        ),
        (
            AWATTAR,
            'to = "05:00"',
            'to = "00:00"\nfron = "1"',
            "tariff.dynamic.grid_fee[0].fron: unknown key; * (did you mean 'from'?)",
        ),
        (AWATTAR, "[1, 12]", "[1, 13]", "tariff.dynamic.grid_fee[0].months[1]: 13 seen; must be at most 12"),
        (
            AWATTAR,
            "per_kwh = 0.085",
            'per_kwh = 0.085\n[[tariff.dynamic.grid_fee]]\nfrom = "04:00"\nto = "06:00"\nper_kwh = 0.1\nmonths = [12]',
            "tariff.dynamic.grid_fee[1]: overlaps tariff.dynamic.grid_fee[0] from mon 04:00; "
            "one price at a time; shorten one or give them different days",
        ),
        (
            ENTSOE,
            "10Y1001A1001A82H",
            "10Y1001A1001A28H",
            "tariff.dynamic.area: '10Y1001A1001A28H' seen; the check character at its end does not fit",
        ),
        (
            ENTSOE,
            "10Y1001A1001A82H",
            "DE-LU",
            "tariff.dynamic.area: 'DE-LU' seen; needed: the 16 characters of a bidding zone's EIC code, "
            "such as 10Y1001A1001A82H (DE-LU)",
        ),
        (ENTSOE, "entsoe.token", "other.token", "tariff.dynamic.token_file: *other.token: No such file*"),
        (
            OCTOPUS,
            "E-1R-AGILE-24-10-01-C",
            "AGILE-24-10-01",
            "tariff.dynamic.tariff_code: 'AGILE-24-10-01' seen; needed: a tariff code such as E-1R-AGILE-24-10-01-C",
        ),
        (
            OCTOPUS,
            'provider = "octopus"',
            'provider = "octopus"\nvat_percent = 5',
            "tariff.dynamic.vat_percent: 5 seen; the prices of 'octopus' include taxes; leave it out",
        ),
        (
            OCTOPUS,
            'provider = "octopus"',
            'provider = "octopus"\nexport = "market"',
            'tariff.dynamic.export_tariff_code: missing; provider "octopus" needs it with export = "market"',
        ),
        (
            TIBBER,
            'provider = "tibber"',
            'provider = "tibber"\nurl = "http://192.0.2.7/gql"',
            "tariff.dynamic.url: plain http to 192.0.2.7; anybody on the way could change the prices; use https",
        ),
    ],
)
def test_a_slip_is_the_only_thing_named(path: Path, table: str, old: str, new: str, line: str) -> None:
    assert old in table
    (told,) = faults(path, table.replace(old, new, 1))
    begin, _, end = line.partition("*")
    assert told.startswith(begin)
    assert told.endswith(end.rpartition("*")[2])


def test_fees_of_different_months_do_not_overlap(path: Path) -> None:
    summer = '\n[[tariff.dynamic.grid_fee]]\nfrom = "04:00"\nto = "06:00"\nper_kwh = 0.1\nmonths = [6, 7]'
    path.write_text(SITE.format(dynamic=AWATTAR + summer))
    assert load_site(path, DRIVERS).dynamic is not None


def test_a_token_that_others_may_read_is_refused(path: Path) -> None:
    (path.parent / "entsoe.token").chmod(0o644)
    (told,) = faults(path, ENTSOE)
    assert told.startswith("tariff.dynamic.token_file: ")
    assert "open to others (mode 0644)" in told


def test_the_answers_of_an_installer_are_checked_for_it_before_any_device_is_known(path: Path) -> None:
    path.write_text(SITE.format(dynamic=ENTSOE.replace("A82H", "A28H")))
    answers = {key: value for key, value in read_raw(path).items() if key != "device"}
    (told,) = answer_faults(Answers(answers), path.parent)
    assert told.startswith("tariff.dynamic.area: ")
