"""Rows that must be on disk before a change counts: plain values, since the connection point knows no storage."""

from dataclasses import dataclass

Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None

EVENT = "event"  # accepted grid events, key provider/event
OFFSET = "offset"  # the share of randomizeStart once drawn, key provider/event
LIMIT = "limit"  # default limits and the last contact, key provider
OUTBOX = "outbox"  # report intervals not yet acknowledged, key provider/usage/resource/interval
SETTLEMENT = "settlement"  # events that are over, settled, key provider/event/start
REGISTRATION = "registration"  # identifiers that a provider gave us, key provider


@dataclass(frozen=True, slots=True)
class Row:
    """One row to write, or to remove where `value` is None. `kind` is a table of state.db by its name."""

    kind: str
    key: str
    value: Json


def row_key(*parts: str) -> str:
    """A key of several parts; a slash inside a part cannot make two keys equal."""
    return "/".join(part.replace("%", "%25").replace("/", "%2F") for part in parts)


def own_rows(rows: dict[str, Json], provider_id: str) -> dict[str, Json]:
    """The rows of one provider out of all rows of a kind, in their order."""
    prefix = row_key(provider_id)
    return {key: value for key, value in rows.items() if key == prefix or key.startswith(prefix + "/")}
