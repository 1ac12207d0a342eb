"""The readers of meters that speak by themselves, on what real meters have sent: whole, in pieces, damaged."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cem.driver import Role
from cem_drivers.serial.crc import crc16_arc, crc16_kermit, crc16_x25
from cem_drivers.serial.profile import Profile, shipped_profiles
from cem_drivers.serial.server_id import server_id
from cem_drivers.serial.sml_frames import LONGEST
from cem_drivers.serial.sml_reader import telegram as telegram_of
from cem_drivers.serial.sml_values import Value, Whole, value_at
from cem_drivers.serial.telegram import Reader, Telegram
from support.meter_frames import SML, TEXT, Recorded, text

PROFILES = shipped_profiles()
PROFILE_OF: dict[str, Profile] = {
    **dict.fromkeys(SML, PROFILES["sml.generic"]),
    **dict.fromkeys(TEXT, PROFILES["p1.dsmr"]),
    "easymeter-q3d": PROFILES["d0.push"],
}
RECORDED: dict[str, Recorded] = {**SML, **TEXT}
CHECKED = [name for name in RECORDED if name not in {"iskra-dsmr3", "easymeter-q3d"}]
"""Those with a check sum."""
READS = 4096  # bytes of one read of a port
step = pytest.mark.parametrize("every", [23, pytest.param(1, marks=pytest.mark.slow)])
"""Some places in the fast tests, so that all bits of an octet have their turn; every place in the slow ones."""


def _points(name: str, telegrams: Sequence[Telegram]) -> list[dict[str, float | None]]:
    return [dict(PROFILE_OF[name].points(telegram, Role.GRID)) for telegram in telegrams]


def _near(expect: dict[str, float | None]) -> object:
    return {name: value if value is None else pytest.approx(value) for name, value in expect.items()}


@pytest.mark.parametrize(("crc", "sum_"), [(crc16_arc, 0xBB3D), (crc16_x25, 0x906E), (crc16_kermit, 0x2189)])
def test_check_sums_are_those_of_the_catalogue(crc: Callable[[bytes], int], sum_: int) -> None:
    assert crc(b"123456789") == sum_
    assert crc(b"") == 0


@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_telegram_is_read_with_every_point_and_no_other(name: str) -> None:
    recorded, reader = RECORDED[name], PROFILE_OF[name].reader()
    telegrams = reader.feed(recorded.octets)
    assert _points(name, telegrams) == [_near(recorded.expect)]
    assert telegrams[0].serial == recorded.serial
    assert telegrams[0].checked is (name in CHECKED)
    assert (reader.count.good, reader.count.dropped) == (1, 0)


@step
@pytest.mark.parametrize("name", RECORDED)
def test_it_is_the_same_wherever_it_is_cut_in_two(name: str, every: int) -> None:
    octets = RECORDED[name].octets
    whole = PROFILE_OF[name].reader().feed(octets)
    for cut in range(1, len(octets), every):
        reader = PROFILE_OF[name].reader()
        assert reader.feed(octets[:cut]) + reader.feed(octets[cut:]) == whole, cut


@pytest.mark.parametrize("name", RECORDED)
def test_it_is_the_same_byte_by_byte_and_after_a_start_in_its_middle(name: str) -> None:
    octets = RECORDED[name].octets
    reader = PROFILE_OF[name].reader()
    stream = octets[len(octets) // 3 :] + octets
    told = [telegram for byte in stream for telegram in reader.feed(bytes((byte,)))]
    assert told == PROFILE_OF[name].reader().feed(octets)


@step
@pytest.mark.parametrize("name", CHECKED)
def test_no_flipped_bit_makes_a_reading_that_was_not_sent(name: str, every: int) -> None:
    octets, profile = RECORDED[name].octets, PROFILE_OF[name]
    (right,) = profile.reader().feed(octets)
    for bit in range(0, 8 * len(octets), every):
        damaged = bytearray(octets)
        damaged[bit // 8] ^= 1 << bit % 8
        told = profile.reader().feed(bytes(damaged))
        assert told in ([], [right]), (name, bit)


@step
@pytest.mark.parametrize("name", CHECKED)
def test_a_telegram_cut_short_costs_itself_and_not_the_next_one(name: str, every: int) -> None:
    octets, profile = RECORDED[name].octets, PROFILE_OF[name]
    (right,) = profile.reader().feed(octets)
    for end in [*range(1, len(octets) - 12, every), *range(len(octets) - 12, len(octets) - 2)]:
        assert profile.reader().feed(octets[:end] + octets) in ([right], [right, right]), end
        assert profile.reader().feed(octets[end:] + octets) == [right], end


noise = st.binary(max_size=60) | st.sampled_from([b"\x1b" * 7, b"/", b"!\r\n", b"\x1b\x1b\x1b\x1b\x01\x01", b"/?!\r\n"])


@settings(max_examples=50)
@given(st.sampled_from(CHECKED), st.lists(noise, min_size=3, max_size=3), st.lists(st.integers(1, 400), max_size=8))
def test_noise_between_telegrams_and_any_pieces_lose_and_invent_nothing(
    name: str, between: list[bytes], sizes: list[int]
) -> None:
    octets, reader = RECORDED[name].octets, PROFILE_OF[name].reader()
    (right,) = PROFILE_OF[name].reader().feed(octets)
    stream = between[0] + octets + between[1] + octets + between[2]
    told: list[Telegram] = []
    for size in sizes:
        told += reader.feed(stream[:size])
        stream = stream[size:]
    told += reader.feed(stream)
    assert told == [right, right]


@settings(max_examples=50)
@given(st.sampled_from(CHECKED), st.data())
def test_no_damage_makes_a_reading_that_was_not_sent(name: str, data: st.DataObject) -> None:
    octets, profile = RECORDED[name].octets, PROFILE_OF[name]
    (right,) = profile.reader().feed(octets)
    at = data.draw(st.integers(0, len(octets) - 1))
    gone = data.draw(st.integers(0, 12))
    instead = data.draw(st.binary(max_size=12))
    damaged = octets[:at] + instead + octets[at + gone :]
    assert set(map(_key, profile.reader().feed(damaged + octets))) <= {_key(right)}


def _key(telegram: Telegram) -> str:
    return repr(telegram)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda profile: profile.id)
@settings(max_examples=30)
@given(junk=st.lists(st.binary(max_size=300), max_size=6))
def test_no_bytes_bring_a_reader_down(profile: Profile, junk: list[bytes]) -> None:
    reader = profile.reader()
    for piece in junk:
        assert reader.feed(piece) == []
    assert reader.count.octets == sum(map(len, junk))


@pytest.mark.parametrize(
    "endless",
    [b"\x1b\x1b\x1b\x1b\x01\x01\x01\x01" + b"\x76" * 300, b"/ISk5x\r\n" + b"1-0:1.8.0(1*kWh)\r\n" * 20, b"/" * 4096],
)
@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda profile: profile.id)
def test_what_never_ends_is_given_up_and_bounded(profile: Profile, endless: bytes) -> None:
    reader: Reader = profile.reader()
    for _ in range(30):
        assert reader.feed(endless[:READS]) == []
        assert reader.kept <= LONGEST + READS


def test_without_its_check_sum_a_telegram_that_should_have_one_is_not_believed() -> None:
    octets = TEXT["iskra-dsmr5"].octets
    reader = PROFILES["p1.dsmr"].reader()
    assert reader.feed(octets.replace(b"!6EEE", b"!")) == []
    assert reader.count.malformed == 1


def test_after_one_telegram_with_a_check_sum_none_without_is_believed() -> None:
    reader = PROFILES["p1.dsmr"].reader()
    assert len(reader.feed(TEXT["iskra-dsmr3"].octets)) == 1
    assert len(reader.feed(TEXT["iskra-dsmr5"].octets)) == 1
    assert reader.feed(TEXT["iskra-dsmr3"].octets) == []


def test_without_a_check_sum_one_odd_line_drops_the_telegram() -> None:
    octets = TEXT["iskra-dsmr3"].octets
    for odd in (b"1-0:1.7.0(001.19*kW", b"1-0:1.7.0 001.19*kW)", b"\x001-0:1.7.0(001.19*kW)"):
        reader = PROFILES["p1.dsmr"].reader()
        assert reader.feed(octets.replace(b"1-0:1.7.0(001.19*kW)", odd)) == []
        assert reader.count.malformed == 1


def _even(octets: bytes) -> bytes:
    return bytes(byte | (byte.bit_count() & 1) << 7 for byte in octets)


@pytest.mark.parametrize("name", ["iskra-dsmr3", "iskra-dsmr5"])
def test_seven_bits_with_parity_are_read_as_eight_and_their_parity_is_checked(name: str) -> None:
    octets, profile = RECORDED[name].octets, PROFILE_OF[name]
    (right,) = profile.reader().feed(octets)
    line = _even(octets)
    assert profile.reader().feed(line) == [right]
    for bit in range(0, 8 * len(line), 11):
        damaged = bytearray(line)
        damaged[bit // 8] ^= 1 << bit % 8
        assert profile.reader().feed(bytes(damaged)) in ([], [right]), bit


@pytest.mark.parametrize(
    ("line", "power_w"),
    [
        ("1-0:1.7.0(00.500*kW)\n1-0:2.7.0(00.000*kW)", 500.0),
        ("1-0:1.7.0(00.000*kW)\n1-0:2.7.0(01.500*kW)", -1500.0),
        ("1-1:1.7.0(00.000*kW)\n1-1:2.7.0(00.006*kW)", -6.0),  # Switzerland: channel 1
        ("1-0:1.7.0(0500*W)\n1-0:2.7.0(0000*W)", 500.0),
        ("1-0:16.7.0(-000458.90*W)", -458.9),
        ("1-0:1.7.255*255(-000115.94*W)\n1-0:96.5.5*255(A2)", -115.94),
        ("1-0:1.7.255*255(000115.94*W)\n1-0:96.5.5*255(82)", 115.94),
        ("1-0:1.7.0(00.500*kW)", 500.0),
        ("1-0:1.7.0(00.000*kW)", None),  # the other direction is not told: it may be that one
        ("1-0:1.7.0(00.500*kvar)", None),
        ("1-0:1.7.0(0,500*kW)\n1-0:2.7.0(0,000*kW)", None),
        ("1-0:1.7.0(00.500*MW)\n1-0:2.7.0(0*MW)", 500_000.0),
        ("1-0:1.7.0(00.500*mW)\n1-0:2.7.0(0*mW)", None),
        ("1-0:15.7.0(00.500*kW)\n1-0:96.5.0(001C0904)", -500.0),
        ("1-0:15.7.0(00.500*kW)\n1-0:96.5.0(001C0104)", 500.0),
        ("1-0:15.7.0(00.500*kW)", None),
        ("1-0:16.7.0(00.500*kW)\n1-0:96.5.0(001C0904)", None),  # value and status word contradict each other
        ("1-0:21.7.0(100*W)\n1-0:41.7.0(-400*W)\n1-0:61.7.0(50*W)", -250.0),
        ("1-0:21.7.0(100*W)\n1-0:41.7.0(-400*W)", None),
        ("0-1:1.7.0(00.500*kW)\n0-1:2.7.0(00.000*kW)", None),  # another medium's
        ("1-0:1.7.0*96(00.500*kW)\n1-0:2.7.0*96(00.000*kW)", None),  # of an earlier period
    ],
)
def test_power_has_the_sign_that_is_told_and_none_that_is_guessed(line: str, power_w: float | None) -> None:
    octets = text(f"/ABC5x\n\n1-0:0.0.0(123)\n1-0:1.8.0(1.5*kWh)\n1-0:2.8.0(2.5*kWh)\n{line}\n!\n")
    (telegram,) = PROFILES["d0.push"].reader().feed(octets)
    points = PROFILES["d0.push"].points(telegram, Role.GRID)
    assert points["power_w"] == power_w
    assert (points["import_wh"], points["export_wh"]) == (1500.0, 2500.0)
    turned = PROFILES["d0.push"].points(telegram, Role.GRID, -1)
    assert turned["power_w"] == (None if power_w is None else -power_w)
    assert (turned["import_wh"], turned["export_wh"]) == (2500.0, 1500.0)


def test_phases_that_do_not_make_the_whole_are_left_out() -> None:
    head = "/EBZ5x\n\n1-0:0.0.0(1)\n1-0:16.7.0(-458.90*W)\n"
    unsigned = text(head + "1-0:36.7.0(344.88*W)\n1-0:56.7.0(114.02*W)\n1-0:76.7.0(0.00*W)\n!\n")
    signed = text(head + "1-0:36.7.0(-344.88*W)\n1-0:56.7.0(-114.02*W)\n1-0:76.7.0(0.00*W)\n!\n")
    d0 = PROFILES["d0.push"]
    assert dict(d0.points(d0.reader().feed(unsigned)[0], Role.GRID)) == {"power_w": -458.9}
    assert d0.points(d0.reader().feed(signed)[0], Role.GRID)["power_l1_w"] == -344.88


def test_line_ends_that_a_converter_has_shortened_still_fit_the_check_sum() -> None:
    octets = TEXT["iskra-dsmr5"].octets
    (right,) = PROFILES["p1.dsmr"].reader().feed(octets)
    assert PROFILES["p1.dsmr"].reader().feed(octets.replace(b"\r\n", b"\n")) == [right]


@pytest.mark.parametrize(
    ("number", "status", "power_w"),
    [
        (42082910, 0x1C0104, 356.24),  # known to be wrong
        (60694611, 0x1C0904, -299.12),  # known to be right
        (51000000, 0x1C0104, 356.24),  # nobody knows: the status word settles it
        (51000000, 0x1C0904, -299.12),
        (51000000, 0x000000, None),
    ],
)
def test_a_sign_bit_that_may_be_none_is_settled_by_the_meters_number_or_its_status_word(
    number: int, status: int, power_w: float | None
) -> None:
    who = bytes.fromhex("0A01445A4700") + number.to_bytes(4, "big")
    energy, power = b"\x01\x00\x01\x08\x00\xff", b"\x01\x00\x10\x07\x00\xff"
    word, tenths, hundredths = Whole(status, False, 3), Whole(-1, True, 1), Whole(-2, True, 1)
    values: list[Value] = [
        [energy, word, None, Whole(30, False, 1), tenths, Whole(5, True, 1), None],
        [power, None, None, Whole(27, False, 1), hundredths, Whole(0x8B28 - 0x10000, True, 2), None],
    ]
    profile = PROFILES["sml.generic"]
    told = telegram_of([None, who, None, None, values, None, None], profile.quirks)
    assert profile.points(told, Role.GRID)["power_w"] == power_w


@pytest.mark.parametrize(
    ("told", "letters", "serial"),
    [
        ("0A01454D480000A1BD34", "EMH", "1EMH0010599732"),
        ("090145425A010002EC3B", "EBZ", "1EBZ0100191547"),
        ("06454D4801027156CD45", "EMH", "06454D4801027156CD45"),
        ("4553594199A5000050", "ESY", "4553594199A5000050"),
        ("3032323830383136", "", "02280816"),
    ],
)
def test_a_server_id_is_shown_as_it_is_printed_on_the_meter(told: str, letters: str, serial: str) -> None:
    who = server_id(bytes.fromhex(told))
    assert (who.letters, who.serial) == (letters, serial)


def _summed(frame: bytes, padding: int, *, kermit: bool = False) -> bytes:
    """The messages of a recorded frame, framed anew."""
    whole = frame[: -8 - frame[-3]] + bytes(padding) + b"\x1b\x1b\x1b\x1b\x1a" + bytes((padding,))
    return whole + (crc16_kermit(whole).to_bytes(2, "big") if kermit else crc16_x25(whole).to_bytes(2, "little"))


def test_four_octets_of_padding_as_some_dzg_meters_send_are_taken() -> None:
    octets, reader = SML["itron-openway"].octets, PROFILES["sml.generic"].reader()
    assert octets[-3] == 2
    (right,) = PROFILES["sml.generic"].reader().feed(octets)
    assert reader.feed(_summed(octets, 4)) == [right]
    assert reader.feed(_summed(octets, 5)) == []
    assert reader.count.bad_check == 1


def _messages_summed(frame: bytes) -> bytes:
    """The same frame with CRC-16/KERMIT, high octet first, in its messages: as the first Holley DTZ541 sent it."""
    data, at = bytearray(frame), 8
    while data[at] == 0x76:
        begin, at = at, at + 1
        for _ in range(4):
            _, at = value_at(bytes(data), at)
        data[at : at + 3] = b"\x63" + crc16_kermit(bytes(data[begin:at])).to_bytes(2, "big")
        at += 4
    return bytes(data)


def test_the_other_check_sum_is_believed_where_the_messages_have_it_too() -> None:
    octets, profile = SML["holley-zdba"].octets, PROFILES["sml.generic"]
    right = profile.reader().feed(octets)
    other = _messages_summed(octets)
    assert other != octets
    assert profile.reader().feed(_summed(other, octets[-3], kermit=True)) == right
    assert profile.reader().feed(_summed(other, octets[-3])) == right
    reader = profile.reader()
    assert reader.feed(_summed(octets, octets[-3], kermit=True)) == []
    assert (reader.count.good, reader.count.malformed) == (0, 1)


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        (b"1-0:1.7.0(001.19*kW)", b"1-0:1.7.0(01.19*kW)"),  # a digit is gone
        (b"1-0:1.7.0(001.19*kW)", b"1-0:1.7.0(0011.19*kW)"),
        (b"1-0:2.7.0(000.00*kW)\r\n", b""),  # a line is gone
        (b"1-0:1.8.1(12345.678*kWh)", b"1-0:1.8.1(12340.678*kWh)"),  # a counter runs back
        (b"1-0:2.8.1(12345.678*kWh)", b"1-0:2.8.1(92345.678*kWh)"),  # or away
    ],
)
def test_without_a_check_sum_what_does_not_go_on_from_the_last_telegram_waits_for_the_next(
    was: bytes, becomes: bytes
) -> None:
    octets = TEXT["iskra-dsmr3"].octets
    assert was in octets
    other = octets.replace(was, becomes)
    reader = PROFILES["p1.dsmr"].reader()
    assert len(reader.feed(octets)) == 1
    assert reader.feed(other) == []
    assert len(reader.feed(octets)) == 1
    assert reader.feed(other) == []
    (meant,) = reader.feed(other)
    assert [meant] == PROFILES["p1.dsmr"].reader().feed(other)


def test_a_meter_that_writes_as_many_digits_as_it_needs_is_read_all_the_same() -> None:
    reader = PROFILES["d0.push"].reader()
    told = 0
    for watts in (5, 17, 1200, 8, 950, 23, 4711, 60, 7, 800, 90, 1):
        told += len(
            reader.feed(text(f"/ABC5x\n\n1-0:0.0.0(1)\n1-0:1.8.0({100 + told / 1000}*kWh)\n1-0:16.7.0({watts}*W)\n!\n"))
        )
    assert told >= 8
