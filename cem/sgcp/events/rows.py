"""Accepted events as rows of state.db and back."""

from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from cem.model.curve import Curve, CurveOver
from cem.model.event import EventInterval, GridEvent, SignalKind
from cem.sgcp.durable import Json


def event_row(event: GridEvent) -> Json:
    """The event as JSON, with absolute times: it must mean the same after a restart without any contact."""
    return {
        "id": event.id,
        "provider": event.provider_id,
        "name": event.name,
        "programme": event.programme_id,
        "modification": event.modification,
        "priority": event.priority,
        "mandatory": event.mandatory,
        "intervals": [
            [
                i.start.isoformat(),
                None if i.end is None else i.end.isoformat(),
                {str(k): v for k, v in i.signals.items()},
            ]
            for i in event.intervals
        ],
        "received_at": event.received_at.isoformat(),
        "targets": list(event.targets),
        "test": event.test,
        "randomise_s": event.randomise.total_seconds(),
        "currency": event.currency,
        "unsupported": list(event.unsupported),
        "notices": list(event.notices),
        "curves": [[curve.over.value, curve.shares, [[x, y] for x, y in curve.points]] for curve in event.curves],
    }


def event_of(row: Json) -> GridEvent:
    """The event of a row; raises ValueError when the row is not one."""
    try:
        if not isinstance(row, dict):
            raise TypeError("not an object")
        currency = row["currency"]
        return GridEvent(
            id=_text(row["id"]),
            provider_id=_text(row["provider"]),
            name=_text(row["name"]),
            programme_id=_text(row["programme"]),
            modification=_text(row["modification"]),
            priority=int(_number(row["priority"])),
            mandatory=row["mandatory"] is True,
            intervals=tuple(_interval(entry) for entry in _list(row["intervals"])),
            received_at=_instant(row["received_at"]),
            targets=tuple(_text(entry) for entry in _list(row["targets"])),
            test=row["test"] is True,
            randomise=timedelta(seconds=_number(row["randomise_s"])),
            currency=None if currency is None else _text(currency),
            unsupported=tuple(_text(entry) for entry in _list(row["unsupported"])),
            notices=tuple(_text(entry) for entry in _list(row.get("notices", []))),
            curves=tuple(_curve(entry) for entry in _list(row.get("curves", []))),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"a stored event cannot be read: {error}") from error


def _interval(entry: Json) -> EventInterval:
    start, end, signals = _list(entry)
    if not isinstance(signals, dict):
        raise TypeError("signals are not an object")
    return EventInterval(
        _instant(start),
        None if end is None else _instant(end),
        MappingProxyType({SignalKind(kind): _number(value) for kind, value in signals.items()}),
    )


def _curve(entry: Json) -> Curve:
    over, shares, points = _list(entry)
    pairs = [_list(point) for point in _list(points)]
    return Curve(CurveOver(_text(over)), tuple((_number(x), _number(y)) for x, y in pairs), shares is True)


def _instant(value: Json) -> datetime:
    return datetime.fromisoformat(_text(value)).astimezone(UTC)


def _text(value: Json) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value


def _number(value: Json) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is not a number")
    return value


def _list(value: Json) -> list[Json]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is not a list")
    return value
