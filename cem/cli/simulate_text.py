"""The summary of a simulation as text for people."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cem.simulation.expectations import in_words

FLOWS = {
    "import": "bought",
    "export": "sold",
    "pv": "sun",
    "curtailed": "sun not used",
    "load": "house",
    "ev": "car",
    "heat_pump": "heat pump",
    "relay": "behind relays",
    "charged": "into the battery",
    "discharged": "out of the battery",
}

SOMETIMES = frozenset({"heat_pump", "relay"})
"""What many homes do not have is shown only where something flowed."""


def write_summary(summary: dict[str, Any], console: Console | None = None) -> None:
    """Prints it to stdout."""
    out = console or Console(highlight=False)
    named = summary["home"] if summary["scenario"] is None else f"{summary['scenario']} ({summary['home']})"
    out.print(Text(f"{named}, {_time(summary['days'])}, a tick each {summary['tick_s']:g} s", style="bold"))
    if summary["claim"]:
        out.print(Text(f"claim: {summary['claim']}"))
    out.print(f"{summary['from'][:16]} to {summary['to'][:16]} UTC")
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right")
    for key, name in FLOWS.items():
        if key in SOMETIMES and not summary["energy_kwh"][key]:
            continue
        table.add_row(name, f"{summary['energy_kwh'][key]:.2f} kWh")
    table.add_row("cost", f"{summary['cost']:.2f} {summary['currency']}")
    for key, name in (("self_consumption", "own use of the sun"), ("self_sufficiency", "own supply")):
        share = summary[key]
        table.add_row(name, "-" if share is None else f"{100 * share:.0f} %")
    if summary["battery_cycles"] is not None:
        table.add_row("battery cycles", f"{summary['battery_cycles']:.2f}")
    table.add_row("car's contactor closed", f"{summary['contactor_closures']} times")
    for name, counts in summary["switched"].items():
        table.add_row(f"{name} switched", f"{counts['switchings']} times, {counts['unmet_kwh']:.2f} kWh lacking")
    goals = summary["goals"]
    table.add_row("charge goals", f"{goals['met']} met, {goals['missed']} missed")
    out.print(table)
    _limits(summary, out)
    _promises(summary["promises"], out)
    _expectations(summary["expectations"], out)
    out.print(f"writes: {_counts(summary['writes'])}")
    out.print(f"set points by rank: {_counts(summary['decisions_by_rank'])}")
    for alarm in summary["alarms"]:
        out.print(Text(f"{alarm['severity']} {alarm['since'][:16]}: {alarm['cause']}", style="yellow"))
    out.print(f"{summary['ticks']} ticks in {summary['wall_s']:.1f} s", style="dim")


def _limits(summary: dict[str, Any], out: Console) -> None:
    for kept in summary["limits"]:
        words = f"{kept['name']}, {kept['side']} at most {kept['limit_w'] / 1000:.2f} kW: {kept['minutes']} minutes"
        above = f"in {kept['broken']} (by up to {kept['worst_w']:.0f} W)"
        if kept["broken"] and kept["excused_by"] is not None:
            out.print(f"{words}, above it {above}, which {kept['excused_by']} excuses")
        elif kept["broken"]:
            out.print(Text(f"{words}, broken {above}", style="bold red"))
        else:
            excuse = f", {kept['excused']} of them excused by the house's own load" if kept["excused"] else ""
            out.print(f"{words}, kept{excuse}")


def _promises(promises: dict[str, Any], out: Console) -> None:
    left_out = f", {', '.join(promises['left_out'])} left out" if promises["left_out"] else ""
    judged = f"{promises['judged_steps']} steps judged by {len(promises['invariants'])} promises{left_out}"
    if promises["violations"]:
        out.print(Text(f"{len(promises['violations'])} times a promise was broken ({judged}):", style="bold red"))
    else:
        out.print(f"no promise broken ({judged})")
    for one in promises["violations"]:
        decided = f" (decided last: {one['decision']})" if one["decision"] else ""
        words = f"allowed {one['allowed']}; seen {one['seen']}{decided}"
        out.print(Text(f"  {one['invariant']} at {one['at_s']:.0f} s, {one['at'][:19]} UTC: {words}", style="red"))
    for one in promises["excused"]:
        much = f"{one['seconds']:.0f} s in {one['times']} times, by {one['most']:.0f} {one['unit']} at most"
        out.print(Text(f"  excused: {one['invariant']}, {much}: {one['why']} ({one['source']})", style="dim"))


def _expectations(results: Sequence[dict[str, Any]], out: Console) -> None:
    if not results:
        return
    missed = [result for result in results if result["met"] is False]
    open_still = sum(result["met"] is None for result in results)
    rest = f", {open_still} not reached" if open_still else ""
    style = "bold red" if missed else ""
    out.print(Text(f"{len(results)} expectations: {len(missed)} missed{rest}", style=style))
    for result in results:
        word = {True: "met", False: "MISSED", None: "not reached"}[result["met"]]
        out.print(Text(f"  {word}: {in_words(result)}", style="red" if result["met"] is False else "dim"))


def _time(days: float) -> str:
    return f"{days:g} days" if days >= 1 else f"{days * 24:.3g} hours"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"
