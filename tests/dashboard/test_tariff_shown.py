"""Where the price of now comes from, on the screen and in `cem status`."""

from dataclasses import replace
from io import StringIO

from rich.console import Console

from cem.cli.status_text import write_status
from cem.dashboard.widgets.alarm_list import calm_rows
from cem.io.status_json import StatusJson, read_status
from cem.model.status import Status, TariffStatus
from support.statuses import NOON, normal

DETAIL = "prices of awattar are known until Wed 07 Jan 00:00"
PRICED = replace(normal(), tariff=TariffStatus("awattar", True, NOON, DETAIL))


def printed(status: Status) -> str:
    out = StringIO()
    write_status(status, Console(file=out, width=80))
    return out.getvalue()


def test_a_dynamic_tariff_is_told_with_the_end_of_its_prices() -> None:
    assert f"tariff: {DETAIL}\n" in printed(PRICED)
    assert f"tariff {DETAIL}" in [row.plain for row in calm_rows(PRICED)]


def test_a_house_without_one_says_nothing_of_it() -> None:
    assert "tariff" not in printed(normal())
    assert not any(row.plain.startswith("tariff") for row in calm_rows(normal()))


def test_it_survives_the_local_api() -> None:
    assert read_status(StatusJson().whole(PRICED)).tariff == PRICED.tariff
