"""How SML meters call themselves, as people find it printed on the meter."""

from typing import NamedTuple

_ELECTRICITY = 1


class ServerId(NamedTuple):
    """The maker's letters, the identity as printed, and the number in it; letters "" where they are not told."""

    letters: str
    serial: str
    number: int | None


def server_id(told: bytes) -> ServerId:
    """The identity of an SML server id: DIN 43863-5 (1EMH0010599732), else as text or as hexadecimal.

    Ten octets: 0A 01, three letters, fabrication block, number of four octets. Eight octets: the same without 0A.
    """
    if len(told) == 10 and told[1] == _ELECTRICITY and _letters(told[2:5]):
        letters, block, number = told[2:5], told[5], told[6:]
    elif len(told) == 8 and told[0] == _ELECTRICITY and _letters(told[1:4]):
        letters, block, number = told[1:4], told[4], told[5:]
        number = told[4:]
        block, number = number[0], number[1:]
    else:
        return _other(told)
    value = int.from_bytes(number, "big")
    return ServerId(letters.decode("ascii"), f"1{letters.decode('ascii')}{block:02X}{value:08d}", value)


def _letters(part: bytes) -> bool:
    return part.isalpha() and part.isupper()


def _other(told: bytes) -> ServerId:
    letters = told[1:4].decode("ascii") if _letters(told[1:4]) else ""
    if all(0x20 < octet < 0x7F for octet in told):
        return ServerId("", told.decode("ascii"), None)
    return ServerId(letters, told.hex().upper(), None)
