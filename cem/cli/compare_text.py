"""The comparison of policies as text for people."""

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

COLUMNS = (
    ("within quarters", "within_quarters", "{:.2f}"),
    ("car short", "ev_short_kwh", "{:.2f} kWh"),
    ("over limits", "limit_over_kwh", "{:.3f} kWh"),
    ("cycles", "battery_cycles", "{:.2f}"),
    ("contactor", "contactor_closures", "{}"),
    ("switched", "switchings", "{}"),
    ("writes", "writes", "{}"),
)


def write_comparison(summary: dict[str, Any], console: Console | None = None) -> None:
    """Prints it to stdout."""
    out = console or Console(highlight=False, width=120)
    named = summary["home"] if summary["scenario"] is None else f"{summary['scenario']} ({summary['home']})"
    out.print(Text(f"{named}, {summary['days']:g} days, a tick each {summary['tick_s']:g} s", style="bold"))
    out.print(f"{summary['from'][:16]} to {summary['to'][:16]} UTC; money in {summary['currency']}")
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("policy")
    for name in ("bill", "settled", "of what can be saved", *(name for name, _, _ in COLUMNS)):
        table.add_column(name, justify="right")
    for policy, line in summary["policies"].items():
        share = "-" if line["share"] is None else f"{100 * line['share']:.1f} %"
        rest = ("-" if line[key] is None else form.format(line[key]) for _, key, form in COLUMNS)
        table.add_row(policy, f"{line['cost']:.2f}", f"{line['settled']:.2f}", share, *rest)
    bound = summary["bound"]
    table.add_row("perfect foresight", f"{bound['cost']:.2f}", f"{bound['settled']:.2f}", "100.0 %")
    out.print(table)
    out.print(
        f"settled: what is stored at the end is paid for at {summary['refill_per_kwh']:.3f} a kWh, what a car was "
        "short of at the dearest price; within quarters: what it cost to buy and sell in the same quarter of an hour",
        style="dim",
    )
    for fault in summary["faults"]:
        out.print(Text(fault, style="bold red"))
    out.print(f"{summary['wall_s']:.0f} s", style="dim")
