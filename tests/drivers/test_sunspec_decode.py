"""Decoding models: against the pinned definitions, another library's reading of them, and the sentinels."""

import json
import math
import struct
from importlib.resources import files

import pytest
import sunspec2.mb
import sunspec2.modbus.client
from hypothesis import given, settings
from hypothesis import strategies as st

from cem_drivers.sunspec.decode import Reader, encode, group_values
from cem_drivers.sunspec.definition import Definition, definition

CARRIED = (
    *(1, 101, 102, 103, 111, 112, 113, 120, 121, 122, 123, 124, 160, 201, 202, 203, 204, 211, 212, 213, 214),
    *(701, 702, 703, 704, 705, 706, 707, 708, 709, 710, 711, 712, 713, 714, 715, 802, 803, 804),
)


def _definition(model: int) -> Definition:
    known = definition(model)
    assert known is not None
    return known


@pytest.mark.parametrize("model", CARRIED)
def test_a_pinned_definition_is_the_published_one(model: int) -> None:
    pinned = (files("cem_drivers.sunspec") / "models" / f"model_{model}.json").read_bytes()
    published = (files("sunspec2") / "models" / "json" / f"model_{model}.json").read_bytes()
    assert pinned == published
    assert _definition(model).id == model


def test_a_model_that_we_do_not_carry_has_no_definition() -> None:
    assert definition(64001) is None


@pytest.mark.parametrize("model", [101, 103, 111, 113, 120, 121, 123, 124, 203, 213, 713, 802])
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_registers_read_as_the_other_library_reads_them(model: int, data: st.DataObject) -> None:
    known = _definition(model)
    size = known.fixed_size
    words = data.draw(
        st.lists(st.sampled_from([0, 1, 2, 0xFFFF, 0x8000, 0x7FFF, 1234, 65000]), min_size=size, max_size=size)
    )
    words[0:2] = [model, size - 2]
    for point in known.fixed:
        if point.type == "sunssf":
            words[point.offset] = data.draw(st.integers(-5, 5)) & 0xFFFF
    block = struct.pack(f">{size}H", *words)
    other = sunspec2.modbus.client.SunSpecModbusClientModel(model, data=block)
    for name, value in Reader(known, size - 2).values(block).items():
        theirs = other.points[name].cvalue
        if isinstance(theirs, float) and not math.isfinite(theirs):
            theirs = None
        if known.point(name).type.startswith("acc") and theirs == 0:
            theirs = None
        assert value == (pytest.approx(theirs) if isinstance(theirs, float) else theirs), name


@given(st.binary(min_size=104, max_size=104))
def test_no_registers_ever_give_a_value_that_is_not_a_number(block: bytes) -> None:
    for model, size in ((103, 52), (113, 52)):
        for value in Reader(_definition(model), size - 2).values(block).values():
            assert value is None or isinstance(value, str) or math.isfinite(value)


SENTINELS = [
    (103, "W", [0x8000]),
    (103, "A", [0xFFFF]),
    (103, "St", [0xFFFF]),
    (103, "WH", [0, 0]),
    (103, "Evt1", [0xFFFF, 0xFFFF]),
    (113, "W", [0x7FC0, 0]),
    (113, "W", [0x7F80, 0]),
    (701, "TotWhInj", [0xFFFF] * 4),
    (1, "SN", [0] * 16),
    (1, "SN", [0x2020] * 16),
]


@pytest.mark.parametrize(("model", "name", "words"), SENTINELS)
def test_what_a_device_does_not_know_is_none(model: int, name: str, words: list[int]) -> None:
    known = _definition(model)
    point = known.point(name)
    registers = [0] * known.fixed_size
    registers[point.offset : point.offset + point.size] = words
    block = struct.pack(f">{len(registers)}H", *registers)
    assert Reader(known, known.fixed_size - 2, [name]).values(block) == {name: None}


@pytest.mark.parametrize(
    ("raw", "scale", "value"),
    [(1234, 0, 1234.0), (1234, 0xFFFF, 123.4), (499, 0xFFFE, 4.99), (-5 & 0xFFFF, 2, -500.0), (7, 10, 7e10)]
    + [(1234, scale, None) for scale in (0x8000, 11, 0xFFF5, 0x7FFF)],
)
def test_a_value_is_scaled_or_unknown(raw: int, scale: int, value: float | None) -> None:
    known = _definition(103)
    registers = [0] * 52
    registers[known.point("W").offset], registers[known.point("W_SF").offset] = raw, scale
    assert Reader(known, 50, ["W"]).values(struct.pack(">52H", *registers)) == {"W": value}


def test_points_beyond_the_length_of_the_device_are_left_out() -> None:
    known = _definition(103)
    names = Reader(known, 36, ["W", "Hz", "St"]).values(bytes(2 * 38))
    assert set(names) == {"W", "Hz"}


def test_a_common_model_of_65_and_of_66_registers_both_have_a_serial_number() -> None:
    known = _definition(1)
    for length in (65, 66):
        registers = [1, length] + [0x4142] * length
        values = Reader(known, length, ["SN", "Vr"]).values(struct.pack(f">{length + 2}H", *registers))
        assert values == {"SN": "AB" * 16, "Vr": "AB" * 8}


def test_repeated_groups_follow_the_length_of_the_device() -> None:
    known = _definition(160)
    fixed = [160, 8 + 40, 0, 0, 0, 0, 0, 0, 2, 0]
    modules = [[index, *[0x2020] * 8, 10, 400, 1000 * index, 0, 0, 0, 0, 0, 0, 0, 0] for index in (1, 2)]
    block = struct.pack(">50H", *fixed, *modules[0], *modules[1])
    assert [module["DCW"] for module in group_values(known, 48, block)] == [1000.0, 2000.0]


def test_a_value_that_does_not_fit_is_refused() -> None:
    point = _definition(124).point("InWRte")
    assert encode(point, -12.34, -2) == -1234
    with pytest.raises(ValueError, match="does not fit"):
        encode(point, 400, -2)


def test_the_licence_of_the_definitions_is_beside_them() -> None:
    folder = files("cem_drivers.sunspec") / "models"
    assert "Apache License" in (folder / "LICENSE").read_text()
    assert "pysunspec2" in (folder / "NOTICE").read_text()
    assert json.loads((folder / "model_1.json").read_text())["id"] == 1
