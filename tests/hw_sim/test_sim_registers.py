"""The register bank and Modbus requests against it (Modbus Application Protocol V1.1b3)."""

from collections.abc import Mapping

import pytest

from hw_sim.registers import ModbusFault, RegisterBank, answer


def bank() -> RegisterBank:
    def accept(changes: Mapping[int, int]) -> None:
        if 999 in changes.values():
            raise ModbusFault(3)

    return RegisterBank(100, range(200), writable=frozenset({110, 111, 112}), accept=accept)


@pytest.mark.parametrize(
    ("request_hex", "answer_hex"),
    [
        ("03 0064 0002", "03 04 0000 0001"),
        ("04 006e 0001", "04 02 000a"),
        ("06 006e 1234", "06 006e 1234"),
        ("10 006e 0002 04 0001 0002", "10 006e 0002"),
        ("03 0063 0001", "83 02"),  # before the first
        ("03 012b 0002", "83 02"),  # over the end
        ("03 0064 0000", "83 03"),  # none
        ("03 0064 007e", "83 03"),  # more than 125
        ("03 0064", "83 03"),  # too short
        ("06 0064 0001", "86 02"),  # read-only
        ("06 006e 03e7", "86 03"),  # a value that the device refuses
        ("10 006e 0002 04 0001 03e7", "90 03"),
        ("10 0070 0002 04 0001 0001", "90 02"),  # the second is read-only
        ("10 006e 0002 03 0001 0002", "90 03"),  # byte count wrong
        ("10 006e 0000 00", "90 03"),
        ("2b 0e 01 00", "ab 01"),  # not offered
        ("01 0000 0001", "81 01"),
        ("", "80 01"),
    ],
)
def test_requests_get_the_answers_of_the_standard(request_hex: str, answer_hex: str) -> None:
    assert answer(bank(), bytes.fromhex(request_hex)) == bytes.fromhex(answer_hex)


def test_a_refused_write_changes_nothing() -> None:
    registers = bank()
    with pytest.raises(ModbusFault):
        registers.write(111, [7, 999])
    assert registers.read(111, 2) == [11, 12]


def test_a_refusing_bank_answers_device_failure() -> None:
    registers = bank()
    registers.refuses_writes = True
    assert answer(registers, bytes.fromhex("06 006e 0001")) == bytes.fromhex("86 04")
    assert registers.read(110, 1) == [10]


def test_reading_refreshes_the_range_and_a_frozen_bank_does_not() -> None:
    asked = []
    registers = RegisterBank(0, range(10), refresh=lambda first, last: asked.append((first, last)))
    registers.read(2, 3)
    registers.frozen = True
    registers.read(2, 3)
    assert asked == [(2, 4)]


def test_a_frozen_bank_answers_a_write_and_forgets_it() -> None:
    registers = bank()
    registers.frozen = True
    assert answer(registers, bytes.fromhex("10 006e 0002 04 0001 0002")) == bytes.fromhex("10 006e 0002")
    assert answer(registers, bytes.fromhex("06 0064 0001")) == bytes.fromhex("86 02")
    registers.frozen = False
    assert registers.read(110, 2) == [10, 11]
