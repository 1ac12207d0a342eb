"""Chance that is drawn once: the same over restarts by construction, and another one in every house."""

import hashlib


def share(identity: str, occasion: str) -> float:
    """Uniform on [0, 1) over houses; the same for the same house (`identity`) and occasion, whenever it is asked."""
    digest = hashlib.blake2b(f"{identity}\n{occasion}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64
