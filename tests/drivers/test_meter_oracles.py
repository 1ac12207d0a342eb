"""Two readers by others, dsmr-parser and SmlLib, see in recorded telegrams what ours see."""

from decimal import Decimal

import pytest
from dsmr_parser import telegram_specifications
from dsmr_parser.parsers import TelegramParser
from smllib.reader import SmlStreamReader

from cem_drivers.serial.profile import shipped_profiles
from cem_drivers.serial.telegram import Code, unit_of
from support.meter_frames import SML, TEXT

FACTOR = {"kWh": 1000, "Wh": 1, "kW": 1000, "W": 1, "V": 1, "A": 1}
SPECIFICATION = {
    "iskra-dsmr3": telegram_specifications.V3,
    "kaifa-dsmr42": telegram_specifications.V4,
    "iskra-dsmr5": telegram_specifications.V5,
    "sagemcom-estonia": {**telegram_specifications.SAGEMCOM_T210_D_R, "general_global_cipher": False},
}
CODE: dict[str, Code] = {
    "ELECTRICITY_USED_TARIFF_1": (1, 8, 1),
    "ELECTRICITY_USED_TARIFF_2": (1, 8, 2),
    "ELECTRICITY_DELIVERED_TARIFF_1": (2, 8, 1),
    "ELECTRICITY_DELIVERED_TARIFF_2": (2, 8, 2),
    "ELECTRICITY_IMPORTED_TOTAL": (1, 8, 0),
    "ELECTRICITY_EXPORTED_TOTAL": (2, 8, 0),
    "CURRENT_ELECTRICITY_USAGE": (1, 7, 0),
    "CURRENT_ELECTRICITY_DELIVERY": (2, 7, 0),
    **{f"INSTANTANEOUS_ACTIVE_POWER_L{phase}_POSITIVE": (1 + 20 * phase, 7, 0) for phase in (1, 2, 3)},
    **{f"INSTANTANEOUS_ACTIVE_POWER_L{phase}_NEGATIVE": (2 + 20 * phase, 7, 0) for phase in (1, 2, 3)},
    **{f"INSTANTANEOUS_CURRENT_L{phase}": (11 + 20 * phase, 7, 0) for phase in (1, 2, 3)},
    **{f"INSTANTANEOUS_VOLTAGE_L{phase}": (12 + 20 * phase, 7, 0) for phase in (1, 2, 3)},
}


@pytest.mark.parametrize("name", SPECIFICATION)
def test_dsmr_parser_reads_the_same_values_from_the_same_telegrams(name: str) -> None:
    octets = TEXT[name].octets
    (ours,) = shipped_profiles()["p1.dsmr"].reader().feed(octets)
    theirs = TelegramParser(SPECIFICATION[name]).parse(octets.decode("ascii"))
    known = {code: getattr(theirs, word) for word, code in CODE.items() if hasattr(theirs, word)}
    seen = {code: float(Decimal(one.value) * FACTOR[one.unit]) for code, one in known.items() if one.unit in FACTOR}
    assert len(seen) >= 6
    assert {code: ours.values[code] for code in seen} == seen
    assert set(ours.values) == set(seen)


@pytest.mark.parametrize("name", SML)
def test_smllib_reads_the_same_values_from_the_same_frames(name: str) -> None:
    octets = SML[name].octets
    (ours,) = shipped_profiles()["sml.generic"].reader().feed(octets)
    stream = SmlStreamReader()
    stream.add(octets)
    frame = stream.get_frame()
    assert frame is not None
    seen: dict[Code, float] = {}
    for entry in frame.get_obis():
        raw = bytes.fromhex(entry.obis)
        code = (raw[2], raw[3], raw[4])
        if raw[:2] == b"\x01\x00" and raw[5] == 0xFF and unit_of(code) is not None and isinstance(entry.value, int):
            seen[code] = entry.value * 10.0 ** (entry.scaler or 0)
    assert set(ours.values) == set(seen)
    if name == "dzg-dvs7412":  # where it takes what the maker means by the sign bit at its word
        assert seen.pop((16, 7, 0)) == pytest.approx(356.24 - 655.36)
    assert {code: ours.values[code] for code in seen} == pytest.approx(seen)
