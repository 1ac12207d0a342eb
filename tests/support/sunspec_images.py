"""SunSpec register images as no maker would ship them, and another reading of them by pysunspec2."""

import math
import struct
import warnings
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from hypothesis import strategies as st
from sunspec2.file.client import FileClientDevice
from sunspec2.modbus.client import SunSpecModbusClientDevice, SunSpecModbusClientError

from cem_drivers.sunspec.definition import Definition, Point, definition
from support.modbus_wire import Registers, common_model

MODELS = (
    *(101, 102, 103, 111, 112, 113, 120, 121, 122, 123, 124, 160, 201, 202, 203, 204, 211, 212, 213, 214),
    *(701, 702, 703, 704, 713, 714, 715, 802, 803, 804),
)
_SENTINEL_WORDS = (0x8000, 0xFFFF, 0x0000, 0x7FC0)


def recorded_device(name: str) -> FileClientDevice:
    """One of pysunspec2's own device files."""
    device = FileClientDevice(str(files("sunspec2.tests") / "test_data" / name))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves its file to the garbage collector
        device.scan()
    return device


def known(model: int) -> Definition:
    """The definition of a model that we carry."""
    found = definition(model)
    assert found is not None
    return found


def words_of(model: int, groups: int) -> st.SearchStrategy[list[int]]:
    """The model with its header, full of anything, its scale factors mostly usable; `groups` repetitions."""
    layout = known(model)
    size = layout.fixed_size - 2 + groups * layout.group_size
    word = st.one_of(st.integers(0, 0xFFFF), st.sampled_from(_SENTINEL_WORDS))
    factor = st.one_of(st.integers(-10, 10), st.sampled_from([-0x8000, 11, -11, 300]))
    places = [point.offset for point in layout.fixed if point.type == "sunssf"]

    def with_factors(parts: tuple[list[int], list[int]]) -> list[int]:
        words = [model, size, *parts[0]]
        for place, value in zip(places, parts[1], strict=True):
            words[place] = value & 0xFFFF
        return _counted(layout, words, groups)

    return st.tuples(
        st.lists(word, min_size=size, max_size=size), st.lists(factor, min_size=len(places), max_size=len(places))
    ).map(with_factors)


def _counted(layout: Definition, words: list[int], groups: int) -> list[int]:
    for point in layout.fixed:
        if point.name == layout.count:
            words[point.offset] = groups
    return words


@st.composite
def some_model(draw: st.DrawFn) -> list[int]:
    """Any of the models."""
    model = draw(st.sampled_from(MODELS))
    groups = draw(st.integers(0, 3)) if known(model).group else 0
    return draw(words_of(model, groups))


@st.composite
def images(draw: st.DrawFn, faulty: bool) -> tuple[Registers, int]:
    """A register image and its base; `faulty`: with what makers and gateways get wrong."""
    base = draw(st.sampled_from([40000, 0, 50000] + ([40001, 1000, 4096] if faulty else [])))
    registers = Registers()
    address = registers.put(base, [0x5375, 0x6E53])
    models = [common_model("SN-1", length=draw(st.sampled_from([65, 66])))]
    models += draw(st.lists(some_model(), min_size=1, max_size=4))
    if draw(st.booleans()):
        models.append(common_model("SN-2", "Second"))
        models.append(draw(some_model()))
    for words in models:
        if faulty and draw(st.integers(0, 5)) == 0:
            words[1] = draw(st.sampled_from([0, 1, words[1] - 1, words[1] + 1, words[1] + 7, 65535]))
        address = registers.put(address, words)
    if not faulty or draw(st.booleans()):
        registers.put(address, [0xFFFF, 0])
    if faulty:
        for hole in draw(st.lists(st.integers(base, address), max_size=3)):
            registers.words.pop(hole, None)
        registers.longest_read = draw(st.sampled_from([125, 125, 100, 50, 20, 10, 4]))
    return registers, base


class _Peer(SunSpecModbusClientDevice):  # type: ignore[misc]
    """pysunspec2 reading from the same registers."""

    def __init__(self, registers: Registers) -> None:
        super().__init__()
        self._registers = registers

    def read(self, addr: int, count: int) -> bytes:
        block = b""
        at, count = int(addr), int(count)
        while count:
            part = min(count, 125)
            answer = self._registers.respond(1, struct.pack(">BHH", 3, at, part))
            if answer is None or answer[0] & 0x80:
                raise SunSpecModbusClientError("refused")
            block, at, count = block + answer[2:], at + part, count - part
        return block


def other_reading(registers: Registers) -> dict[int, Any]:
    """pysunspec2's models by address; {} where it gives the whole device up."""
    peer = _Peer(registers)
    try:
        peer.scan()
    except Exception:  # noqa: BLE001 - whatever it raises, it reads no further, and then it is no oracle
        return {}
    return {model.model_addr: model for model in peer.model_list}


def disagreement(point: Point, ours: object, theirs: object, scales: Mapping[str, object]) -> str | None:
    """Where the two readings of a point differ beyond what each is known to leave out."""
    if isinstance(theirs, bytes):
        return None
    if isinstance(point.sf, str):
        factor = scales.get(point.sf)
        if not isinstance(factor, int) or not -10 <= factor <= 10:
            return None if ours is None else f"{point.name}: {ours} without a usable scale factor"
    if point.type == "string":
        return None  # pysunspec2 keeps what follows the first NUL
    if ours is None:
        gone = theirs is None or (isinstance(theirs, float) and not math.isfinite(theirs))
        gone = gone or (point.type.startswith("acc") and theirs == 0)
        return None if gone else f"{point.name}: nothing for {theirs}"
    if theirs is None:
        return f"{point.name}: {ours} for nothing"
    assert isinstance(ours, float)
    assert isinstance(theirs, int | float)
    near = abs(ours - theirs) <= 1e-9 * max(abs(ours), abs(theirs))
    return None if near else f"{point.name}: {ours} for {theirs}"
