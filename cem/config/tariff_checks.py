"""Cross-checks of the [tariff] table: its periods, and the dynamic tariff."""

from collections.abc import Callable, Iterable, Iterator

from cem.config.draft import Draft
from cem.config.provider_checks import secret_problem, url_problem
from cem.config.schema import WEEKDAYS, DynamicTable, GridFeeTable, PeriodTable
from cem.config.words import fault, shown

Period = PeriodTable | GridFeeTable

MINUTES_A_DAY = 24 * 60
NEEDED = {
    "awattar": ("country",),
    "entsoe": ("area", "token_file"),
    "octopus": ("tariff_code",),
    "tibber": ("token_file",),
}
"""The keys without which a provider can't be asked."""
USED = {"entsoe": ("sequence",), "octopus": ("export_tariff_code",), "tibber": ("home",)}
"""Those that it takes besides."""
OF_ONE_PROVIDER = ("country", "area", "sequence", "tariff_code", "export_tariff_code", "home", "token_file")
TAXED = frozenset({"octopus", "tibber"})
"""Providers whose prices have the taxes in them."""
EIC_CHARACTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-"


def empty_tariff_period(draft: Draft) -> Iterator[str]:
    """A period needs a length; 00:00 to 00:00 is the whole day."""
    for path, periods in _periods(draft):
        for index, period in enumerate(periods):
            if period.start == period.end and period.start.hour + period.start.minute > 0:
                yield fault(
                    f"{path}[{index}].to",
                    f"same as from ({period.start:%H:%M})",
                    'the whole day is "00:00" to "00:00"',
                )


def overlapping_tariff_periods(draft: Draft) -> Iterator[str]:
    """No minute of the week may have two prices."""
    for path, periods in _periods(draft):
        sure = {
            index: (period, set(_minutes_of_week(period)))
            for index, period in enumerate(periods)
            if not any(
                doubt.startswith((f"{path}[{index}].days", f"{path}[{index}].months")) for doubt in draft.doubtful
            )
        }
        for index, (period, minutes) in sure.items():
            for other, (former, taken) in sure.items():
                if other < index and set(period.months) & set(former.months) and (both := minutes & taken):
                    yield _overlap(path, index, other, min(both))


def _overlap(path: str, index: int, other: int, minute: int) -> str:
    day, of_day = divmod(minute, MINUTES_A_DAY)
    return fault(
        f"{path}[{index}]",
        f"overlaps {path}[{other}] from {WEEKDAYS[day]} {of_day // 60:02}:{of_day % 60:02}",
        "one price at a time; shorten one or give them different days",
    )


def _periods(draft: Draft) -> Iterator[tuple[str, tuple[Period, ...]]]:
    if draft.tariff is None:
        return
    yield "tariff.period", draft.tariff.period
    if draft.tariff.dynamic is not None:
        yield "tariff.dynamic.grid_fee", draft.tariff.dynamic.grid_fee


def _minutes_of_week(period: Period) -> Iterable[int]:
    start = period.start.hour * 60 + period.start.minute
    end = period.end.hour * 60 + period.end.minute
    length = (end - start) % MINUTES_A_DAY or MINUTES_A_DAY
    for day in {WEEKDAYS.index(name) for name in period.days}:
        first = day * MINUTES_A_DAY + start
        yield from ((first + minute) % (7 * MINUTES_A_DAY) for minute in range(length))


def keys_of_the_provider(draft: Draft) -> Iterator[str]:
    """A provider has the keys that it needs, and none that only another one reads."""
    if (table := _dynamic(draft)) is None:
        return
    needed, used = NEEDED[table.provider], USED.get(table.provider, ())
    for key in needed:
        if getattr(table, key) is None and draft.sure(f"tariff.dynamic.{key}"):
            yield fault(f"tariff.dynamic.{key}", "missing", f"provider {table.provider!r} needs it")
    for key in OF_ONE_PROVIDER:
        if key in table.model_fields_set and key not in (*needed, *used):
            takes = ", ".join((*needed, *used))
            yield fault(f"tariff.dynamic.{key}", f"not of provider {table.provider!r}", f"it takes: {takes}")


def area_misspelt(draft: Draft) -> Iterator[str]:
    """The last character of an EIC code follows from the others (ENTSO-E, EIC reference manual, check character)."""
    table = _dynamic(draft)
    if table is not None and table.area is not None and table.area[-1] != eic_check(table.area[:-1]):
        yield fault("tariff.dynamic.area", shown(table.area), "the check character at its end does not fit")


def eic_check(first: str) -> str:
    """The check character of the first 15 of an EIC code."""
    total = sum(EIC_CHARACTERS.index(one) * weight for one, weight in zip(first, range(16, 1, -1), strict=True))
    return EIC_CHARACTERS[36 - (total - 1) % 37]


def taxed_twice(draft: Draft) -> Iterator[str]:
    """Prices that have their taxes in them are not taxed again."""
    table = _dynamic(draft)
    if table is not None and table.provider in TAXED and table.vat_percent:
        allowed = f"the prices of {table.provider!r} include taxes; leave it out"
        yield fault("tariff.dynamic.vat_percent", shown(table.vat_percent), allowed)


def fee_without_market(draft: Draft) -> Iterator[str]:
    """A fee on what is sold needs a market price that it is taken from; so does a second tariff for it."""
    if (table := _dynamic(draft)) is None or not draft.sure("tariff.dynamic.export"):
        return
    for key in ("export_fee_per_kwh", "export_tariff_code"):
        if table.export == "fixed" and key in table.model_fields_set:
            yield fault(f"tariff.dynamic.{key}", 'export is "fixed"', 'it counts with export = "market" alone')
    if table.export == "market" and table.provider == "octopus" and table.export_tariff_code is None:
        yield fault(
            "tariff.dynamic.export_tariff_code", "missing", 'provider "octopus" needs it with export = "market"'
        )


def token_file_unusable(draft: Draft) -> Iterator[str]:
    """The token is in a file of its own that nobody else can read."""
    table = _dynamic(draft)
    name = None if table is None else table.token_file
    if name is not None and (problem := secret_problem(draft.folder, name)):
        yield fault("tariff.dynamic.token_file", *problem)


def tariff_url_unusable(draft: Draft) -> Iterator[str]:
    """Another address for a provider is https, or on this machine."""
    table = _dynamic(draft)
    url = None if table is None else table.url
    if url is not None and (problem := url_problem(url, "anybody on the way could change the prices; use https")):
        yield fault("tariff.dynamic.url", *problem)


def _dynamic(draft: Draft) -> DynamicTable | None:
    return None if draft.tariff is None else draft.tariff.dynamic


TARIFF_CHECKS: tuple[Callable[[Draft], Iterator[str]], ...] = (
    empty_tariff_period,
    overlapping_tariff_periods,
    keys_of_the_provider,
    area_misspelt,
    taxed_twice,
    fee_without_market,
    token_file_unusable,
    tariff_url_unusable,
)
