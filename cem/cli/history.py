"""`cem history`: what the record says of a time: energy and cost, decisions, grid events."""

import csv
import json
import re
import sys
import tomllib
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from cem.cli.gateway_socket import DEFAULT_SITE
from cem.cli.history_forecasts import write_forecasts
from cem.io.clock import SystemClock
from cem.io.record_reader import EnergyRow, Noted, RecordReader
from cem.model.event import SignalKind
from cem.model.grid_log import GridEntry, entry_row
from cem.ports import Json
from cem.sgcp.words import asked

_DEFAULT_FOLDER = Path("/var/lib/cem")
_SIGNALS = {kind.value: kind for kind in SignalKind}
_DAYS_AGO = re.compile(r"^(\d{1,5}) days?(?: ago)?$")
TIMES = "2026-03-01, 2026-03-01T14:00, today, yesterday or '7 days'"
"""The ways to write a time, as examples."""


@click.command()
@click.option(
    "--from", "since", metavar="TIME", help=f"Begin, local: {TIMES}, which is so many days ago. [default: today]"
)
@click.option("--to", "until", metavar="TIME", help="End, not included; a date alone is its end. [default: now]")
@click.option(
    "--by", type=click.Choice(["hour", "day"]), help="Length of a row. [default: hour up to two days, else day]"
)
@click.option(
    "--show",
    type=click.Choice(["energy", "decisions", "events", "settlements", "grid", "plans", "forecasts"]),
    help="One part only; CSV shows energy. 'grid' is the log of limits, events and links, 'forecasts' how good each "
    "day's forecasts of load and sun were, beside the day before taken for one.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv", "json", "cim"]),
    default="table",
    show_default=True,
    help="How it is written; cim is XML of IEC 61968-9: every reading, the grid's events and what happened.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option(
    "--config",
    envvar="CEM_CONFIG",
    type=click.Path(dir_okay=False, path_type=Path),
    help=f"Site file whose record is read; also CEM_CONFIG. [default: {DEFAULT_SITE}]",
)
@click.option("--record", "folder", type=click.Path(path_type=Path), help="Folder with history.db and state.db.")
def history(
    since: str | None,
    until: str | None,
    by: str | None,
    show: str | None,
    form: str,
    as_json: bool,
    config: Path | None,
    folder: Path | None,
) -> None:
    """Energy and cost per hour or day, what was decided and why, the grid's events and how they were settled, and what
    each day's plan promised, what came, and what the rules would have cost.

    'cim' writes MeterReadings, EndDeviceControls and EndDeviceEvents of IEC 61968-9 in one message: aligned with the
    CIM, not certified.

    The gateway may run or not.

    Exit code 1 when there is no record, or nothing in it for that time.

    \b
    Example:
      cem history --from yesterday --to yesterday
      cem history --from "7 days" --by day
      cem history --from 2026-03-01T12:00 --show decisions
      cem history --from "7 days" --show plans
      cem history --from "7 days" --show forecasts
      cem history --from 2026-03-01 --format csv > march.csv
      cem history --from yesterday --to yesterday --format cim > yesterday.xml
    """
    reader = RecordReader(folder or record_folder(config))
    zone, currency = reader.settings()
    now = SystemClock().now().wall.astimezone(zone)
    first = instant(since, zone, now.date(), is_end=False) if since else datetime.combine(now.date(), time(0), zone)
    last = instant(until, zone, now.date(), is_end=True) if until else now
    if last <= first:
        raise click.UsageError(f"--to {last.isoformat()} is not after --from {first.isoformat()}")
    form = "json" if as_json else form
    if form == "cim":
        if show:
            raise click.UsageError("--format cim writes the whole record of the time; leave out --show")
        _write_cim(folder or record_folder(config), first, last, now)
        return
    if show == "forecasts":
        days = reader.forecast_days(first, last, zone)
        write_forecasts(days, form)
        _say_if_nothing(bool(days), first, last)
        return
    parts = (
        (show,)
        if show
        else (("energy",) if form == "csv" else ("energy", "decisions", "events", "settlements", "grid", "plans"))
    )
    by_day = by == "day" or (by is None and last - first > timedelta(days=2))
    energy = reader.energy(first, last, zone, by_day=by_day) if "energy" in parts else []
    decisions = reader.decisions(first, last) if "decisions" in parts else []
    events = reader.events(first, last) if "events" in parts else []
    settlements = reader.settlements(first, last) if "settlements" in parts else []
    happened = reader.grid_log(first, last) if "grid" in parts else []
    plans = reader.plan_days(first, last, zone) if "plans" in parts else []
    if form == "json":
        click.echo(
            json.dumps(
                _as_json(parts, currency, energy, decisions, events, settlements, happened, plans),
                indent=2,
                ensure_ascii=False,
            )
        )
    elif form == "csv":
        _write_csv(parts[0], energy, decisions, events, settlements, happened, plans)
    else:
        _write_tables(parts, zone, currency, energy, decisions, events, settlements, happened, plans)
    _say_if_nothing(bool(energy or decisions or events or settlements or happened or plans), first, last)


def _say_if_nothing(found: bool, first: datetime, last: datetime) -> None:
    """Ends the command where there is nothing to show."""
    if not found:
        click.echo(f"nothing is recorded from {first.isoformat()} to {last.isoformat()}", err=True)
        sys.exit(1)


def record_folder(config: Path | None) -> Path:
    """The folder that [store] of the site file names. Only that table is looked at."""
    site = config or DEFAULT_SITE
    try:
        written = tomllib.loads(site.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        if config is None:
            return _DEFAULT_FOLDER
        raise click.UsageError(f"can't read the site file {config}: {error}") from error
    store = written.get("store")
    named = store.get("folder") if isinstance(store, dict) else None
    return site.parent / named if isinstance(named, str) else _DEFAULT_FOLDER


def instant(text: str, zone: ZoneInfo, today: date, *, is_end: bool) -> datetime:
    """The instant that was written; a day is meant from its begin, or to its end. Raises click.UsageError.

    '7 days' is the day seven days before `today`.
    """
    try:
        day = _day_in_words(text.strip().lower(), today)
        at = datetime.fromisoformat(text) if day is None else datetime.combine(day, time(0))
        if is_end and (day is not None or len(text) <= len("2026-03-01")):
            at += timedelta(days=1)
    except (ValueError, OverflowError) as error:
        raise click.UsageError(f"{text!r} is no time; write {TIMES}") from error
    return at.replace(tzinfo=zone) if at.tzinfo is None else at.astimezone(zone)


def _day_in_words(text: str, today: date) -> date | None:
    """The day of 'today', 'yesterday', '1 day', '7 days ago'; None for anything else."""
    if text in {"today", "yesterday"}:
        return today - timedelta(days=text == "yesterday")
    ago = _DAYS_AGO.match(text)
    return None if ago is None else today - timedelta(days=int(ago[1]))


def _energy_json(row: EnergyRow) -> dict[str, Json]:
    return {
        "start": row.start.isoformat(),
        "end": row.end.isoformat(),
        "import_wh": round(row.import_wh, 1),
        "export_wh": round(row.export_wh, 1),
        "pv_wh": round(row.pv_wh, 1),
        "cost": round(row.cost, 4),
        "minutes": row.minutes,
    }


def _as_json(
    parts: Sequence[str],
    currency: str,
    energy: Sequence[EnergyRow],
    decisions: Sequence[Noted],
    events: Sequence[Noted],
    settlements: Sequence[Noted],
    happened: Sequence[GridEntry],
    plans: Sequence[Noted],
) -> dict[str, Json]:
    shown: dict[str, Json] = {"currency": currency}
    if "energy" in parts:
        shown["energy"] = [_energy_json(row) for row in energy]
    if "decisions" in parts:
        shown["decisions"] = [{"at": noted.key, **noted.value} for noted in decisions]
    if "events" in parts:
        shown["events"] = [noted.value for noted in events]
    if "settlements" in parts:
        shown["settlements"] = [noted.value for noted in settlements]
    if "plans" in parts:
        shown["plans"] = [noted.value for noted in plans]
    if "grid" in parts:
        shown["grid"] = [{**entry_row(entry)} for entry in happened]
    return shown


SETTLED = ("from", "to", "event", "asked kW", "baseline kW", "delivered kW", "verdict", "saved kWh", "earned")


def _settled_cells(value: dict[str, Json]) -> list[tuple[str, ...]]:
    """One row for each part of a settled event."""
    parts = value.get("parts")
    who = f"{value.get('provider')}: {value.get('name')}"
    return [
        (
            str(part.get("start")),
            str(part.get("end")),
            who,
            _kilo(part.get("asked_w") if str(part.get("asks")).endswith("_w") else None),
            _kilo(part.get("baseline_w")),
            _kilo(part.get("delivered_w")),
            str(part.get("verdict")),
            _kilo(part.get("shed_wh")),
            "" if part.get("incentive") is None else f"{part['incentive']} {value.get('currency')}",
        )
        for part in (parts if isinstance(parts, list) else [])
        if isinstance(part, dict)
    ]


PLANNED = (
    *("day", "promised", "came", "by rules", "bought promised kWh", "bought kWh"),
    *("sold promised kWh", "sold kWh", "sun promised kWh", "sun kWh", "followed"),
)


def _plan_cells(value: dict[str, Json]) -> tuple[str, ...]:
    """One row for a day: costs with what is in the batteries at its end, and energies."""
    promised, came = ({} if not isinstance(one := value.get(key), dict) else one for key in ("promised", "came"))
    costs = (promised.get("cost"), came.get("cost"), value.get("rules_cost"))
    pairs = [_kilo(day.get(key)) for key in ("import_wh", "export_wh", "pv_wh") for day in (promised, came)]
    followed = f"{value.get('by')}{'' if value.get('counts') else ', not judged'}"
    return (
        str(value.get("day")),
        *(f"{cost:.2f}" if isinstance(cost, int | float) else "" for cost in costs),
        *pairs,
        followed,
    )


def _plan_line(value: dict[str, Json]) -> tuple[str, ...]:
    """The same for a screen: what came, and what was promised in brackets."""
    day, promised, came, rules, *energies, followed = _plan_cells(value)
    pairs = [f"{real} ({said})" if said else real for said, real in zip(energies[::2], energies[1::2], strict=True)]
    return day, came, promised, rules, *pairs, followed


def _kilo(value: Json) -> str:
    return f"{value / 1000:.2f}" if isinstance(value, int | float) else ""


def _decision_words(value: dict[str, Json]) -> str:
    """The headline, and per setpoint why it is what it is."""
    words = [str(value.get("headline", ""))]
    setpoints = value.get("setpoints")
    words += [
        f"{setpoint.get('resource')}: {setpoint.get('reason')} ({setpoint.get('source')})"
        for setpoint in (setpoints if isinstance(setpoints, list) else [])
        if isinstance(setpoint, dict)
    ]
    return "; ".join(words)


def _event_cells(value: dict[str, Json]) -> tuple[str, str, str, str]:
    """From, to, who, what it asks."""
    intervals = value.get("intervals")
    kept = [i for i in intervals if isinstance(i, list) and len(i) == 3] if isinstance(intervals, list) else []
    first = str(kept[0][0]) if kept else ""
    last = str(kept[-1][1] or "until further notice") if kept else ""
    asks = [f"{kind} {amount}" for i in kept if isinstance(i[2], dict) for kind, amount in i[2].items()]
    return first, last, f"{value.get('provider')}: {value.get('name')}", ", ".join(dict.fromkeys(asks))


def _event_line(value: dict[str, Json], zone: ZoneInfo, currency: str) -> tuple[str, str, str, str]:
    """The same for a screen: local times, and what it asks in words."""
    first, last, who, _ = _event_cells(value)
    intervals = value.get("intervals")
    asks = [
        asked(
            {
                _SIGNALS[kind]: amount
                for kind, amount in i[2].items()
                if kind in _SIGNALS and isinstance(amount, int | float)
            },
            currency,
        )
        for i in (intervals if isinstance(intervals, list) else [])
        if isinstance(i, list) and len(i) == 3 and isinstance(i[2], dict)
    ]
    return _short(first, zone), _short(last, zone), who, "; then ".join(dict.fromkeys(asks))


def _write_csv(
    part: str,
    energy: Sequence[EnergyRow],
    decisions: Sequence[Noted],
    events: Sequence[Noted],
    settlements: Sequence[Noted],
    happened: Sequence[GridEntry],
    plans: Sequence[Noted],
) -> None:
    writer = csv.writer(sys.stdout)
    if part == "energy":
        writer.writerow(["start", "end", "import_wh", "export_wh", "pv_wh", "cost", "minutes"])
        writer.writerows(_energy_json(row).values() for row in energy)
    elif part == "decisions":
        writer.writerow(["at", "mode", "why"])
        writer.writerows([noted.key, noted.value.get("mode"), _decision_words(noted.value)] for noted in decisions)
    elif part == "settlements":
        writer.writerow(SETTLED)
        writer.writerows(cells for noted in settlements for cells in _settled_cells(noted.value))
    elif part == "plans":
        writer.writerow(PLANNED)
        writer.writerows(_plan_cells(noted.value) for noted in plans)
    elif part == "grid":
        writer.writerow(["at", "what", "whose", "of", "W", "words"])
        writer.writerows(entry_row(entry).values() for entry in happened)
    else:
        writer.writerow(["from", "to", "event", "asks"])
        writer.writerows(_event_cells(noted.value) for noted in events)


def _write_tables(
    parts: Sequence[str],
    zone: ZoneInfo,
    currency: str,
    energy: Sequence[EnergyRow],
    decisions: Sequence[Noted],
    events: Sequence[Noted],
    settlements: Sequence[Noted],
    happened: Sequence[GridEntry],
    plans: Sequence[Noted],
) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)

    def write(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], numbers: int = 0, room: int = 1) -> None:
        table = Table(title=title, title_justify="left", box=box.SIMPLE, padding=(0, 1, 0, room))
        for index, head in enumerate(heads):
            table.add_column(head, justify="right" if 0 < index <= numbers else "left")
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))  # Text: words of a device or the grid are not markup
        console.print(table)

    if "energy" in parts and energy:
        write(
            "Energy",
            ["from", "bought kWh", "sold kWh", "sun kWh", f"cost {currency}".strip(), "recorded"],
            [*(_energy_cells(row) for row in energy), _total_cells(energy)],
            numbers=5,
        )
    if "decisions" in parts and decisions:
        rows = [(_local(n.key, zone), str(n.value.get("mode")), _decision_words(n.value)) for n in decisions]
        write("Decisions", ["at", "mode", "why"], rows)
    if "events" in parts and events:
        write("Grid events", ["from", "to", "event", "asks"], [_event_line(n.value, zone, currency) for n in events])
    if "grid" in parts and happened:
        write("Grid and house", ["at", "what", "whose", "words"], [_happened_cells(entry, zone) for entry in happened])
    if "settlements" in parts and settlements:
        settled = [cells for noted in settlements for cells in _settled_cells(noted.value)]
        short = [(_short(start, zone), _short(end, zone, "%H:%M"), *rest) for start, end, *rest in settled]
        heads = ("from", "to", "event", "asked kW", "base kW", "drew kW", "verdict", "saved kWh", "earned")
        write("Settled events", heads, short, room=0)
    if "plans" in parts and plans:
        columns = ("day", "cost", "promised", "by rules", "bought (promised)", "sold", "sun", "followed")
        write("Plans, kWh", columns, [_plan_line(noted.value) for noted in plans], numbers=6)


def _happened_cells(entry: GridEntry, zone: ZoneInfo) -> tuple[str, str, str, str]:
    limit = "" if entry.value_w is None else f"{entry.subject} at most {entry.value_w / 1000:g} kW"
    words = entry.words or limit
    return f"{entry.at.astimezone(zone):%Y-%m-%d %H:%M:%S}", entry.kind.value, entry.source or "house", words


def _write_cim(folder: Path, first: datetime, last: datetime, now: datetime) -> None:
    from cem.io.record_cim import write_cim

    left_out = write_cim(folder, sys.stdout.buffer, first, last, now)
    if left_out:
        click.echo(f"quarter hours with a gap in the record, whose energies are left out: {left_out}", err=True)


def _short(at: str, zone: ZoneInfo, form: str = "%d %b %H:%M") -> str:
    try:
        return datetime.fromisoformat(at).astimezone(zone).strftime(form)
    except ValueError:
        return at


def _local(key: str, zone: ZoneInfo) -> str:
    return f"{datetime.fromisoformat(key).astimezone(zone):%Y-%m-%d %H:%M:%S}"


def _energy_cells(row: EnergyRow) -> tuple[str, ...]:
    whole = (row.end.timestamp() - row.start.timestamp()) / 60  # 1380 or 1500 on the days when the clocks change
    share = f"{100 * row.minutes / whole:.0f} %"
    return (f"{row.start:%Y-%m-%d %H:%M}", *_amounts(row.import_wh, row.export_wh, row.pv_wh, row.cost), share)


def _total_cells(rows: Sequence[EnergyRow]) -> tuple[str, ...]:
    sums = [sum(column) for column in zip(*((r.import_wh, r.export_wh, r.pv_wh, r.cost) for r in rows), strict=True)]
    return ("together", *_amounts(*sums), "")


def _amounts(import_wh: float, export_wh: float, pv_wh: float, cost: float) -> tuple[str, str, str, str]:
    return f"{import_wh / 1000:.2f}", f"{export_wh / 1000:.2f}", f"{pv_wh / 1000:.2f}", f"{cost:.2f}"
