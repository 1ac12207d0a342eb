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

    Ten octets: a length (09 or 0A), medium 01, three letters, fabrication block, number of four octets.
    """
    if len(told) != 10 or told[1] != _ELECTRICITY or not _letters(told[2:5]):
        return _other(told)
    letters, number = told[2:5].decode("ascii"), int.from_bytes(told[6:], "big")
    return ServerId(letters, f"1{letters}{told[5]:02X}{number:08d}", number)


def _letters(part: bytes) -> bool:
    return part.isalpha() and part.isupper()


def _other(told: bytes) -> ServerId:
    named = told[:3] if _letters(told[:3]) else told[1:4]
    letters = named.decode("ascii") if _letters(named) else ""
    if all(0x20 < octet < 0x7F for octet in told):
        return ServerId("", told.decode("ascii"), None)
    return ServerId(letters, told.hex().upper(), None)
