"""`cem why`: why a device does, or did, what it does."""

import dataclasses
import json
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from cem.cli.gateway_socket import find_socket, socket_options
from cem.cli.history import record_folder
from cem.dashboard import words
from cem.io.database import RecordError
from cem.io.local_client import LocalClient
from cem.io.record_reader import Noted, RecordReader
from cem.io.replay_journal import REPLAY_FOLDER
from cem.io.status_json import EXPLANATION
from cem.model.envelope import SITE
from cem.model.setpoint import Mode, Narrowing
from cem.model.why import Explanation, Seen, Why

LOOK_BACK = timedelta(days=7)
RANKS = {
    "safety": "safety (ratings, fuse, battery, reserve): nobody can widen it",
    "obligation": "an obligation (law or contract): it can't be opted out of",
    "user": "the owner's own wish",
    "programme": "a voluntary programme of the grid; cem opt out leaves it out",
    "plan": "the plan; cem override does otherwise",
}
POINTS = {
    "power_w": "power",
    "soc_pct": "state of charge",
    "state": "state",
    "current_a": "current",
    "max_charge_w": "takes at most",
    "max_discharge_w": "gives at most",
    "limit_a": "limit it holds",
    "temperature_c": "temperature",
}


@click.command()
@click.argument("device", required=False)
@click.option("--at", "moment", metavar="TIME", help="Then instead of now: 14:05 (the last one) or 2026-06-15T14:05.")
@click.option("--record", "folder", type=click.Path(path_type=Path), help="Folder with state.db and journal, for --at.")
@click.option("--json", "as_json", is_flag=True, help="The explanation as JSON.")
@socket_options
def why(
    device: str | None,
    moment: str | None,
    folder: Path | None,
    as_json: bool,
    socket_path: Path | None,
    config: Path | None,
) -> None:
    """Why it does, or did, what it does: what was set, whose word it is, what bound it, and what was seen.

    DEVICE is a device or a resource of the house; without it everything is explained. With --at the replay journal
    answers (the last day, with all that was seen), else the decision log. Exit code 1 when nothing is known.

    \b
    Example:
      cem why
      cem why battery
      cem why car --at 2026-06-15T18:30 --json
    """
    if moment is None:
        found = LocalClient(find_socket(socket_path, config)).explanation()
    else:
        found = _then(moment, folder or record_folder(config))
    own = tuple(w for w in found.whys if device is None or device in {w.resource_id, w.device_id})
    if not own:
        known = ", ".join(dict.fromkeys(w.resource_id for w in found.whys)) or "none"
        raise click.UsageError(f"'{device}' is not in this house; known: {known}")
    found = dataclasses.replace(found, whys=own)
    if as_json:
        click.echo(json.dumps(json.loads(EXPLANATION.dump_json(found))))
    else:
        _print(found, whole=device is None)


def _then(text: str, folder: Path) -> Explanation:
    reader = RecordReader(folder)
    zone = _zone(reader)
    at = _instant(text, zone)
    found = _journalled(at, folder / REPLAY_FOLDER) or _logged(at, reader, zone)
    if found is None:
        click.echo(f"nothing is recorded for {at.isoformat()} or the {LOOK_BACK.days} days before", err=True)
        sys.exit(1)
    return found


def _zone(reader: RecordReader) -> ZoneInfo:
    """The site's, UTC where the history does not tell."""
    try:
        return reader.settings()[0]
    except RecordError:
        return ZoneInfo("UTC")


def _instant(text: str, zone: ZoneInfo) -> datetime:
    """A time of day counts as the last one that was."""
    from cem.io.clock import SystemClock

    now = SystemClock().now().wall.astimezone(zone)
    try:
        clock = datetime.strptime(text, "%H:%M")  # noqa: DTZ007 - a time of day, put into the house's zone below
    except ValueError:
        try:
            at = datetime.fromisoformat(text)
        except ValueError as error:
            raise click.BadParameter(f"'{text}' is no time; write 14:05 or 2026-06-15T14:05") from error
        return at if at.tzinfo is not None else at.replace(tzinfo=zone)
    at = now.replace(hour=clock.hour, minute=clock.minute, second=0, microsecond=0)
    return at if at <= now else at - timedelta(days=1)


def _journalled(at: datetime, folder: Path) -> Explanation | None:
    """The tick that held then, decided again for its whole detail; None where the journal does not reach."""
    from cem.io.journal_file import JournalUnreadable
    from cem.simulation.replay import tick_at

    try:
        return tick_at(folder, at)
    except JournalUnreadable:
        return None


def _logged(at: datetime, reader: RecordReader, zone: ZoneInfo) -> Explanation | None:
    noted = reader.decisions(at - LOOK_BACK, at + timedelta(milliseconds=1))
    return _of_row(noted[-1], zone) if noted else None


def _of_row(noted: Noted, zone: ZoneInfo) -> Explanation:
    row = noted.value
    listed = row.get("setpoints")
    whys = []
    for point in listed if isinstance(listed, list) else []:
        if not isinstance(point, dict):
            continue
        value = point.get("value")
        number = float(value) if isinstance(value, int | float) else None
        resource = str(point.get("resource"))
        control = str(point.get("control"))
        whys.append(
            Why(
                resource,
                resource,
                resource,
                control,
                number,
                "its own control" if number is None else f"{control.partition('.')[2]} {number:g}",
                str(point.get("rank")),
                str(point.get("source")),
                str(point.get("reason")),
            )
        )
    at = datetime.fromisoformat(noted.key)
    headline = str(row.get("headline") or "")
    return Explanation(at, Mode(str(row.get("mode"))), headline, tuple(whys), "decision log", str(zone))


def _print(found: Explanation, *, whole: bool) -> None:
    local = found.at.astimezone(ZoneInfo(found.zone))
    click.echo(f"{local:%Y-%m-%d %H:%M:%S} ({found.origin})")
    if whole and found.headline:
        click.echo(found.headline)
    for one in found.whys:
        click.echo()
        click.echo(f"{one.name} ({one.resource_id}): {one.set_to}" + (f", {one.outcome}" if one.outcome else ""))
        click.echo(f"  why: {one.reason}")
        if one.rank is not None:
            click.echo(f"  whose word: {one.source}, {RANKS.get(one.rank, one.rank)}")
        _print_bounds(one.bound_by)
        if one.inputs:
            click.echo("  seen: " + "; ".join(_seen(seen, one) for seen in one.inputs))


def _print_bounds(terms: Sequence[Narrowing]) -> None:
    for term in terms:
        click.echo(f"  {'bound by' if term.binding else 'also within'}: {term_words(term)}")


_WHOLE = (SITE, "wait")  # what is waited for by chance is the whole house's, too


def term_words(term: Narrowing) -> str:
    """One term for a person: who says so, what it allows, and why."""
    reason = term.reason.removeprefix(f"{term.source}: ")
    if term.side == "asked":
        return f"{term.source} asks: {reason}"
    edge = _edge_words(term)
    says_it = term.subject == SITE and reason.startswith(edge.rpartition(" at ")[0] + " at ")
    return f"{term.source}: {reason}" if says_it else f"{term.source}: {edge} ({reason})"


def _edge_words(term: Narrowing) -> str:
    """'import at most 7.0 kW', 'export at most 10.0 kW', 'at most 16 A on L1', 'at least 1.2 kW for battery'."""
    amount = words.power(term.value) if term.unit == "W" else f"{term.value:g} {term.unit}"
    if term.subject in _WHOLE:
        imports = term.value > 0 or (term.value == 0 and term.side == "max")
        most = imports == (term.side == "max")
        return f"{'import' if imports else 'export'} at {'most' if most else 'least'} {amount}"
    taken = "" if term.unit != "W" else " given" if term.value < 0 else " taken"
    most = (term.value >= 0) == (term.side == "max")
    where = f"on {term.subject}" if term.unit == "A" and term.subject.startswith("L") else f"for {term.subject}"
    return f"at {'most' if most else 'least'} {amount}{taken} {where}"


def _seen(seen: Seen, own: Why) -> str:
    name = POINTS.get(seen.point, seen.point)
    subject = "" if seen.resource_id == own.resource_id else f"{seen.resource_id} "
    value = f"{seen.value:g} {seen.unit}".rstrip() if isinstance(seen.value, float | int) else (seen.value or "unknown")
    return f"{subject}{name} {value} ({seen.age_s:g} s old)"
