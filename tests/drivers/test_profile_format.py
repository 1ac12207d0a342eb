"""The profile format: every fault at once with line and path, every type and rule by table."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cem.driver import Value
from cem_drivers.profiled.catalogue import find_profile, parse_profile
from cem_drivers.profiled.codec import decode, encode, whole
from cem_drivers.profiled.schema import DeriveRow, ValueRow, WordOrder
from cem_drivers.profiled.values import Known, derived, read_image
from cem_drivers.profiles.store import shipped_texts

ALFEN = shipped_texts(mqtt=False)["alfen.eve"]
GOE = shipped_texts(mqtt=False)["go-e.modbus"]
KEBA = shipped_texts(mqtt=False)["keba.p30"]
ISG = shipped_texts(mqtt=False)["stiebel-eltron.isg"]
DIMPLEX = shipped_texts(mqtt=False)["dimplex.nwpm"]
KOSTAL = shipped_texts(mqtt=False)["kostal.plenticore"]
SOLIS = shipped_texts(mqtt=False)["solis.rhi"]
ALPHA = shipped_texts(mqtt=False)["alpha-ess.smile"]


def _line(source: str, text: str) -> int:
    return source[: source.index(text)].count("\n") + 1


@pytest.mark.parametrize(
    ("source", "old", "new", "fault"),
    [
        (ALFEN, "[group]", "[groups]", "groups: unknown key (did you mean 'group'?)"),
        (ALFEN, 'kinds = ["tcp"]', 'kinds = ["tpc"]', "link.kinds[0]: 'tpc' seen (did you mean 'tcp'?)"),
        (ALFEN, 'type = "float32"\nrange', 'type = "float31"\nrange', "value[0].type: 'float31' seen; "),
        (ALFEN, 'id = "ev.power_w"\nat = 344', 'id = "ev.power_w"\nat = "344"', "a whole number is needed"),
        (ALFEN, 'id = "ev.power_w"', 'id = "ev.powr_w"', "is not in the vocabulary (did you mean 'ev.power_w'?)"),
        (ALFEN, 'id = "delivered_wh"', 'id = "ev.session_wh"', "is a point of the vocabulary; make it a [[point]]"),
        (ALFEN, 'id = "current_l2_a"', 'id = "current_l1_a"', "'current_l1_a' is there already"),
        (ALFEN, 'group = "slow"', 'group = "slwo"', "no group 'slwo' (did you mean 'slow'?)"),
        (ALFEN, '"current_l3_a"]', '"current_l4_a"]', "'current_l4_a' is read or derived nowhere above"),
        (ALFEN, "max = [", "maximum = [", "derive[0].maximum: unknown key (did you mean 'max'?)"),
        (ALFEN, "stale_s = 5", "stale_s = 0.5", "group.fast: stale after 0.5 s, but read every 1 s only"),
        (ALFEN, "release = [", "released = [", "control[0].release: missing"),
        (ALFEN, "refresh_s = 20\n", "", "a device timeout needs 'refresh_s' or 'heartbeat'"),
        (ALFEN, "refresh_s = 20", "refresh_s = 50", "'refresh_s' is at most half of the device's timeout"),
        (ALFEN, "dead_band = 0.2", "dead_band = 1", "control[0]: 'dead_band' is below 1: a step of 1 A must be sent"),
        (ALFEN, 'storage = "ram"', 'storage = "flash"', "control[0]: 'budget.daily' is needed"),
        (ALFEN, 'effect = "ev.current_a"', 'effect = "ev.curent_a"', "did you mean 'ev.current_a'?"),
        (ALFEN, 'value = "$setpoint"', 'value = "$setpiont"', "carries"),
        (ALFEN, "{ at = 1210, type", "{ att = 1210, type", "control[0].write[0].att: unknown key (did you mean 'at'?)"),
        (ALFEN, '"ev.limit_a" = 6,', '"ev.limit_a" = 7,', "golden[0].expect: ev.limit_a: read as 6.0, the case says 7"),
        (ALFEN, 'tells = "serial", ', "", "identify: either one point tells the serial, or 'weak' says why none does"),
        (ALFEN, 'roles = ["ev"]', 'roles = ["car"]', "'car' is not a role; allowed: grid, pv"),
        (ALFEN, "[[golden]]", "[[gold]]", "gold: unknown key (did you mean 'golden'?)"),
        (ALFEN, "range = [0, 50000]", "range = [1, 0]", "the lower end comes first"),
        (ALFEN, "profile = 1", "profile = 2", "profile: 2 seen"),
        (ALFEN, "profile = 1", "profile = ", "profile: Invalid value (at line 1"),
        (DIMPLEX, ', "4" = 13', "", "SG Ready needs 'codes' for the states 1, 2, 3 and 4; seen: 1, 2, 3"),
        (DIMPLEX, "codes = {", "codse = {", "control[0].write[0].codse: unknown key (did you mean 'codes'?)"),
        (DIMPLEX, "limits = { min = 1", "limits = { min = 2", "control[0].limits.min: 2.0, but 'codes' go to 1"),
        (DIMPLEX, "value = 0 }]", 'value = 0, codes = { "1" = 0 } }]', "'codes' stand for value = \"$setpoint\" alone"),
        (DIMPLEX, '"4" = 13', '"four" = 13', "codes"),
        (ISG, "value = 1 },", 'value = "$setpoint" },', "'codes' for the same set points, or none"),
        (KEBA, 'max = "$hw_max_a"', 'max = "$hw_a"', "'$hw_a' is read nowhere"),
        (
            KEBA,
            'status = "documented"',
            'status = "documentd"',
            "status: 'documentd' seen (did you mean 'documented'?)",
        ),
        (KOSTAL, "requires = [", "require = [", "control[0].require: unknown key (did you mean 'requires'?)"),
        (KOSTAL, 'of = "battery_management"', 'of = "battery_managment"', "did you mean 'battery_management'?"),
        (KOSTAL, "function = 6", "function = 5", "control[1].write[0].function: 5 seen"),
        (SOLIS, "release = [{ at = 43135", "release = [{ at = 43137", "it touches no register that 'write' sets"),
        (SOLIS, "write_negative = [", "write_zero = [", "control[0].write[0].type: a set point below 0 does not fit"),
        (SOLIS, '"-$setpoint"', '"$setpoint"', "control[0].write_negative[0].type: a set point below 0 does not fit"),
        (SOLIS, "max = 12000", "max = 700000", "control[0].write[0].type: 700000 divided by 10 is more than it holds"),
        (ALPHA, "value = 2 }", "value = 2, offset = 1 }", "a raw number is written as it is, without offset"),
        (ALPHA, "offset = 32000", "ofset = 32000", "control[0].write[0].ofset: unknown key (did you mean 'offset'?)"),
        (SOLIS, "product = [", "produkt = [", "derive[1].produkt: unknown key (did you mean 'product'?)"),
    ],
)
def test_a_fault_is_told_with_its_line_and_its_path(source: str, old: str, new: str, fault: str) -> None:
    assert old in source
    profile, faults = parse_profile(source.replace(old, new, 1))
    assert profile is None
    assert any(fault in told for told in faults), faults
    assert all(told.startswith(("line ", "profile: ")) for told in faults)


def test_the_line_is_the_one_that_is_wrong_and_all_faults_come_at_once() -> None:
    source = GOE.replace("min_interval_s = 5", "min_intervall_s = 5").replace(
        'fc = 4\ntype = "uint16"', 'fc = 5\ntype = "uint61"'
    )
    _, faults = parse_profile(source)
    lines = [int(fault.split(":")[0].removeprefix("line ")) for fault in faults]
    assert lines == sorted(lines)
    assert {_line(source, "fc = 5"), _line(source, "uint61"), _line(source, "min_intervall_s")} <= set(lines)
    assert len(faults) == 4  # the misspelt key is missing as well


def test_a_site_may_bring_its_own_profile(tmp_path: Path) -> None:
    own = tmp_path / "mine.toml"
    own.write_text(GOE.replace('id = "go-e.modbus"', 'id = "mine"'), encoding="utf-8")
    profile, faults = find_profile(str(own))
    assert profile is not None
    assert (profile.id, faults) == ("mine", [])
    own.write_text(GOE.replace("port", "prot").replace("step = 1", "step = 0"), encoding="utf-8")
    assert all(fault.startswith(f"{own}: line ") for fault in find_profile(str(own))[1])
    assert "can't be read" in find_profile(str(tmp_path / "none.toml"))[1][0]


@pytest.mark.parametrize(
    ("kind", "words", "order", "value"),
    [
        ("uint16", [0xFFFF], "big", 65535),
        ("int16", [0xFFFF], "big", -1),
        ("uint32", [0x0001, 0x8165], "big", 98661),
        ("uint32", [0x8165, 0x0001], "little", 98661),
        ("int32", [0xFFFF, 0xFC18], "big", -1000),
        ("int32", [0xFC18, 0xFFFF], "little", -1000),
        ("uint64", [0, 0, 1, 0], "big", 65536),
        ("int64", [0xFFFE, 0xFFFF, 0xFFFF, 0xFFFF], "little", -2),
        ("float32", [0x4366, 0x3334], "big", 230.2),  # Eastron SDM320Y manual V1.0, p. 42
        ("float32", [0x7FC0, 0], "big", None),
        ("float32", [0x7F80, 0], "big", None),
        ("float64", [0x403F, 0, 0, 0], "big", 31.0),
        ("bitfield16", [0x8001], "big", 0x8001),
        ("string:3", [0x4142, 0x4300, 0x5858], "big", "ABC"),
        ("string:4", [0x41, 0x42, 0x43, 0], "big", "ABC"),
        ("string:2", [0, 0], "big", None),
        ("string:2", [0xFFFF, 0xFFFF], "big", None),
    ],
)
def test_registers_are_read_by_their_type(kind: str, words: list[int], order: WordOrder, value: Value) -> None:
    raw = b"".join(word.to_bytes(2, "big") for word in words)
    read = decode(kind, raw, order)
    assert read == (pytest.approx(value, rel=1e-6) if isinstance(value, float) else value)


@given(
    st.sampled_from(["uint16", "int16", "uint32", "int32", "uint64", "int64"]),
    st.integers(-(2**63), 2**64 - 1),
    st.sampled_from(["big", "little"]),
)
def test_what_is_encoded_is_decoded_or_refused(kind: str, value: int, order: WordOrder) -> None:
    bits = int(kind[-2:])
    low, high = (0, 2**bits - 1) if kind[0] == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    if low <= value <= high:
        words = encode(kind, value, order)
        assert decode(kind, b"".join(word.to_bytes(2, "big") for word in words), order) == value
    else:
        with pytest.raises(ValueError, match="does not fit"):
            encode(kind, value, order)


@pytest.mark.parametrize(("value", "cut"), [(10.9, 10), (-10.9, -10), (109.99999999, 110), (-0.4, 0), (6.0, 6)])
def test_a_set_point_is_cut_towards_zero(value: float, cut: float) -> None:
    assert whole(value) == cut


@pytest.mark.parametrize(
    ("rule", "values", "result"),
    [
        ({"sum": ["a", "b"]}, [1.0, 2.0], 3.0),
        ({"diff": ["a", "b"]}, [1.0, 2.0], -1.0),
        ({"min": ["a", "b"]}, [1.0, 2.0], 1.0),
        ({"max": ["a", "b"], "scale": -1.0}, [1.0, 2.0], -2.0),
        ({"product": ["a", "b"]}, [1500.0, -1.0], -1500.0),
        ({"ratio": ["a", "b"]}, [1.0, 2.0], 0.5),
        ({"ratio": ["a", "b"]}, [1.0, 0.0], None),
        ({"sum": ["a", "b"], "range": [0.0, 2.0]}, [1.0, 2.0], None),
        ({"bit": {"of": "a", "bit": 1, "set": "C", "clear": "B"}}, [2.0, 0.0], "C"),
        ({"bit": {"of": "a", "bit": 0}}, [2.0, 0.0], 0.0),
        ({"map": {"of": "a", "codes": {"2": "C"}, "other": "F"}}, [2.0, 0.0], "C"),
        ({"map": {"of": "a", "codes": {"2": "C"}, "other": "F"}}, [3.0, 0.0], "F"),
        ({"sum": ["a", "b"]}, [1.0, None], None),
    ],
)
def test_rules_derive_by_table(rule: dict[str, object], values: list[Value], result: Value) -> None:
    row = DeriveRow.model_validate({"id": "c", **rule})
    known = {"a": Known(values[0], 5.0), "b": Known(values[1], 3.0)}
    assert derived([row], known)["c"].value == result
    assert derived([row], {"b": Known(1.0, 0.0)}).get("c") is None or row.sources == ["b"]


def test_scale_factor_registers_sentinels_and_ranges_are_obeyed() -> None:
    profile, faults = parse_profile(
        ALFEN.replace('[[point]]\nid = "ev.power_w"\nat = 344\ntype = "float32"', '''[[value]]
id = "power_sf"
at = 346
type = "int16"
source = "x y z"

[[point]]
id = "ev.power_w"
exponent = "power_sf"
at = 344
nan = ["0x8000"]
type = "int16"''').replace('"ev.power_w" = 0, ', "").replace('"3:344" = [0, 0], ', "")
    )  # fmt: skip
    assert profile is not None, faults
    read = [read_image(profile, {(3, 344): raw, (3, 346): factor})["ev.power_w"].value
            for raw, factor in ((72, 2), (7200, 0), (0x8000, 0), (7200, 11), (7200, 3), (0xFFFF, 0))]  # fmt: skip
    assert read == [7200.0, 7200.0, None, None, None, None]
    row = ValueRow.model_validate({"id": "x", "at": 1, "type": "uint16", "source": "p. 1", "nan": ["0xFFFF", 7]})
    assert row.nan == [0xFFFF, 7]
