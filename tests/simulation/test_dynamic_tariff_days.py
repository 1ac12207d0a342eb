"""A home with a dynamic tariff on the virtual clock: the plan follows the market, outages and restarts cost nothing."""

import asyncio
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from cem.cli.main import main
from cem.io.virtual import VirtualClock
from cem.model.errors import GridError
from cem.model.market import PriceService, known_until
from cem.simulation.harness import Bench
from cem.simulation.market import RecordedDays, RecordedMarket, recorded_days
from cem.simulation.plant import open_home
from cem.simulation.play import Setting, play
from cem.simulation.scenario import scenario_of
from cem.simulation.site import answers_for, site_of, with_market
from support.market import awattar_day, utc

ROOT = Path(__file__).resolve().parents[2] / "hw-sim"
HOME = ROOT / "homes" / "demo.toml"
WINTER = ROOT / "markets" / "winter-day.json"
NIGHT = datetime(2026, 1, 6, 1, 50, tzinfo=UTC)
STEEP = RecordedDays(
    date(2026, 1, 1), ({hour * 60: 0.02 if 3 <= hour < 5 else 0.5 for hour in range(24)},), timedelta(hours=1)
)


def house(day: RecordedDays | None, start: datetime, **terms: object) -> Bench:
    home = open_home(HOME)
    answers = answers_for(home)
    answers.site["tariff"] = {"base_price_per_kwh": 0.3, "export_price_per_kwh": 0.08, "dynamic": terms}
    with_market(answers.site, given=True)
    site = site_of(home, answers, tick_s=10.0)
    return Bench(home, start=start, site=site, step_s=10.0, market=day)


def _stored_pct(bench: Bench) -> float:
    (level,) = (r.soc_pct for d in bench.status().devices for r in d.resources if r.id == "battery")
    assert level is not None
    return level


def test_the_battery_is_charged_from_the_grid_in_the_cheap_hours_of_the_market() -> None:
    with house(STEEP, NIGHT, per_kwh=0.1, vat_percent=20.0) as bench:
        bench.advance(500)
        before = bench.status()
        assert before.import_price_per_kwh == pytest.approx((0.5 + 0.1) * 1.2)
        assert before.tariff is not None
        assert before.tariff.known
        assert before.flow.battery_w is not None
        assert before.flow.battery_w <= 50
        stored_pct = _stored_pct(bench)
        bench.advance(900)
        cheap = bench.status()
        assert cheap.import_price_per_kwh == pytest.approx((0.02 + 0.1) * 1.2)
        bench.advance(5400)  # of the two cheap hours the end
        assert bench.status().import_price_per_kwh == cheap.import_price_per_kwh
        assert _stored_pct(bench) > stored_pct + 20.0
        assert bench.past.energy_today(bench.now).cost > 0


def test_a_restart_goes_on_with_the_prices_that_it_kept() -> None:
    with house(STEEP, NIGHT) as bench:
        bench.advance(120)
        bench.kill()
        bench.market = None
        bench.restart()
        bench.advance(30)
        status = bench.status()
        assert status.import_price_per_kwh == pytest.approx(0.5)
        assert not any(alarm.id == "tariff" for alarm in status.alarms)


def test_without_a_market_the_sites_own_tariff_holds_and_an_alarm_says_so() -> None:
    with house(None, NIGHT) as bench:
        bench.advance(60)
        status = bench.status()
        assert status.import_price_per_kwh == 0.3
        (alarm,) = [alarm for alarm in status.alarms if alarm.id == "tariff"]
        assert "there is no market" in alarm.cause
        assert alarm.effect == "the site's own tariff counts instead"


def test_each_day_is_published_on_the_day_before() -> None:
    async def known(now: datetime) -> datetime | None:
        loop = asyncio.get_running_loop()
        market = RecordedMarket(PriceService("awattar", "EUR"), STEEP, VirtualClock(loop, now))
        return known_until(await market.prices(now, now + timedelta(days=5)), now)

    for now, until in (("2026-03-28T11:54", "2026-03-28T23:00"), ("2026-03-28T11:56", "2026-03-29T22:00")):
        assert asyncio.run(known(utc(now))) == utc(until)


def test_the_recorded_day_is_whole() -> None:
    day = recorded_days(WINTER)
    assert len(day.by_minute[0]) == 24
    assert day.price(utc("2026-01-06T15:00")) == pytest.approx(0.26273)


@pytest.mark.parametrize(("first", "hours"), [("2026-03-27T23:00", 71), ("2026-10-23T22:00", 73)])
def test_three_days_with_a_change_of_the_clocks_are_recorded_days(tmp_path: Path, first: str, hours: int) -> None:
    path = tmp_path / "days.json"
    path.write_text(json.dumps(awattar_day(utc(first), range(hours))), encoding="utf-8")
    days = recorded_days(path)
    assert [sorted(day) for day in days.by_minute] == [[60 * hour for hour in range(24)]] * 3
    before, after = (utc(first) + timedelta(hours=hour) for hour in (25, 27))  # of the second day
    assert days.price(before) < days.price(after)
    assert days.price(before + 3 * timedelta(days=1)) < days.price(after + 3 * timedelta(days=1))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "not JSON"),
        (json.dumps(awattar_day(utc("2026-01-05T23:00"), range(23))).encode(), "23 prices"),
        (b" " * ((1 << 20) + 1), "more than"),
        (None, "No such file"),
    ],
)
def test_what_is_no_recorded_day_is_refused(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "day.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(GridError, match=words):
        recorded_days(path)


def test_the_command_takes_a_recorded_day_and_asks_for_one_where_the_tariff_needs_it(tmp_path: Path) -> None:
    short = ["simulate", str(HOME), "--days", "0.01", "--start", "2026-01-06T03:00", "--tick", "10", "--json"]
    priced = CliRunner().invoke(main, [*short, "--prices", str(WINTER)])
    plain = CliRunner().invoke(main, short)
    assert (priced.exit_code, plain.exit_code) == (0, 0), priced.output + plain.output
    assert json.loads(priced.stdout)["cost"] != json.loads(plain.stdout)["cost"]
    answers = tmp_path / "answers.toml"
    answers.write_text(
        'name = "Home"\ntimezone = "Europe/Berlin"\nconnection = { phases = 3, fuse_a = 35 }\n'
        '[tariff]\nbase_price_per_kwh = 0.3\n[tariff.dynamic]\nprovider = "tibber"\ntoken_file = "not.here"\n'
    )
    without = CliRunner().invoke(main, [*short, "--site", str(answers)])
    assert without.exit_code == 2
    assert "--prices FILE" in without.stderr
    assert CliRunner().invoke(main, [*short, "--site", str(answers), "--prices", str(WINTER)]).exit_code == 0
    missing = CliRunner().invoke(main, [*short, "--prices", str(tmp_path / "none.json")])
    assert missing.exit_code == 2


def test_the_account_knows_the_market_while_no_gateway_does() -> None:
    """Killed in its first seconds, within one hour of the market: every kWh costs what that hour costs."""
    table = {"scenario": 1, "home": "demo.toml", "start": datetime(2026, 1, 6, 2, tzinfo=UTC), "for_s": 1800}
    acts = [{"at_s": 20, "do": "kill"}]
    terms = {"base_price_per_kwh": 0.9, "export_price_per_kwh": 0.08, "dynamic": {"per_kwh": 0.1, "vat_percent": 20.0}}
    one = scenario_of(table | {"step_s": 10, "act": acts, "site": {"tariff": terms}}, HOME.parent / "killed.toml")
    account = play(one, Setting(prices=WINTER)).account.summary({})
    bought = account["energy_kwh"]["import"]
    hour = (recorded_days(WINTER).price(datetime(2026, 1, 6, 2, tzinfo=UTC)) + 0.1) * 1.2
    assert bought > 0.05
    assert account["cost"] == pytest.approx(bought * hour, abs=0.002)
    assert account["cost"] != pytest.approx(bought * 0.9, abs=0.01)
