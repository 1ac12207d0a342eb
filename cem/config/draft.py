"""What can be used of a site file that may have faults, so that cross-checks find theirs in the same run."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from cem.config.schema import (
    BatteryTable,
    CircuitTable,
    ConnectionTable,
    DeviceTable,
    GoalTable,
    GroupTable,
    LoadTable,
    ProviderTable,
    ResourceTable,
    SiteTable,
    Table,
    TariffTable,
    VtnTable,
)
from cem.config.schema_faults import blamed_paths
from cem.ports import Driver

T = TypeVar("T", bound=Table)


@dataclass(frozen=True, slots=True)
class Draft:
    """The usable parts by their place in the file. A part with faults of its own is left out.

    `devices_whole` is false when a device had to be left out: then nothing is said about what may be missing.
    `doubtful` are the paths at which the file has a faulty value, for which a default may stand here.
    """

    folder: Path
    drivers: Mapping[str, Driver]
    zone: str | None
    connection: ConnectionTable | None
    tick_s: float | None
    socket: str
    tariff: TariffTable | None
    devices: Mapping[int, DeviceTable]
    devices_whole: bool
    goals: Mapping[int, GoalTable]
    batteries: Mapping[int, BatteryTable]
    circuits: Mapping[int, CircuitTable]
    groups: Mapping[int, GroupTable]
    loads: Mapping[int, LoadTable]
    providers: Mapping[int, ProviderTable]
    guaranteed_minimum: str | None = None
    vtn: VtnTable | None = None
    doubtful: frozenset[str] = frozenset()

    def sure(self, *paths: str) -> bool:
        """Whether the values at these paths are those of the file, not what stands in for a faulty one."""
        return self.doubtful.isdisjoint(paths)

    def resources(self) -> Iterator[tuple[str, DeviceTable, ResourceTable]]:
        """(path, device, resource) of every usable resource, in the file's order."""
        for index, device in self.devices.items():
            for position, resource in enumerate(device.resource):
                yield f"device[{index}].resource[{position}]", device, resource


def draft(raw: Mapping[str, Any], folder: Path, drivers: Mapping[str, Driver]) -> Draft:
    """The usable parts of a file's tables."""
    zone, socket = raw.get("timezone"), _table(raw.get("api")).get("socket")
    tick_s = _table(raw.get("control")).get("tick_s", 1.0)
    doubtful: set[str] = set()

    def items(table: type[T], key: str) -> dict[int, T]:
        return _items(table, raw.get(key), key, doubtful)

    devices = items(DeviceTable, "device")
    return Draft(
        folder=folder,
        drivers=drivers,
        zone=zone if isinstance(zone, str) else None,
        connection=_salvage(ConnectionTable, raw.get("connection"), "connection", doubtful),
        tick_s=tick_s if isinstance(tick_s, int | float) else None,
        socket=socket if isinstance(socket, str) else SiteTable.model_fields["api"].default.socket,
        tariff=_salvage(TariffTable, raw.get("tariff"), "tariff", doubtful),
        devices=devices,
        devices_whole=len(devices) == len(_array(raw.get("device"))),
        goals=items(GoalTable, "goal"),
        batteries=items(BatteryTable, "battery"),
        circuits=items(CircuitTable, "circuit"),
        groups=items(GroupTable, "group"),
        loads=items(LoadTable, "load"),
        providers=items(ProviderTable, "provider"),
        vtn=_salvage(VtnTable, raw["vtn"], "vtn", doubtful) if "vtn" in raw else None,
        guaranteed_minimum=_table(raw.get("control")).get("guaranteed_minimum"),
        doubtful=frozenset(doubtful),
    )


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _array(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _items(table: type[T], value: object, path: str, doubtful: set[str]) -> dict[int, T]:
    tables = {index: _salvage(table, item, f"{path}[{index}]", doubtful) for index, item in enumerate(_array(value))}
    return {index: item for index, item in tables.items() if item is not None}


def _salvage(table: type[T], value: object, path: str, doubtful: set[str]) -> T | None:
    """The table without its faulty keys, where their defaults can stand in; else None. Adds to `doubtful`."""
    try:
        return table.model_validate(value)
    except ValidationError as error:
        rest = deepcopy(value)
        doubtful |= {f"{path}.{key}" for key in blamed_paths(error, table)}
        for detail in error.errors(include_url=False, include_input=False, include_context=False):
            _drop(rest, tuple(detail["loc"]))
    try:
        return table.model_validate(rest)
    except ValidationError:
        return None


def _drop(value: Any, loc: tuple[str | int, ...]) -> None:
    """Removes the innermost named key on the way to a location; what is not there need not go."""
    holder, key = None, ""
    for part in loc:
        if isinstance(part, str):
            if not isinstance(value, dict) or part not in value:
                return
            holder, key = value, part
            value = value[part]
        elif isinstance(value, list) and part < len(value):
            value = value[part]
    if holder is not None:
        del holder[key]
