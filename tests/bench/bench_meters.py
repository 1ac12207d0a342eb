"""What reading a meter's telegram costs: bytes in, points of the house out.

Run it on the machine in question: python tests/bench/bench_meters.py
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cem.driver import Role
from cem_drivers.serial.profile import Profile, shipped_profiles
from support.meter_frames import SML, TEXT

ROUNDS, CALLS = 30, 200
PIECE = 64
"""Bytes that a serial port gives at a time."""
CASES = [
    ("P1 telegram, DSMR 5", "p1.dsmr", TEXT["iskra-dsmr5"].octets, 0.15),
    ("P1 telegram, DSMR 4.2", "p1.dsmr", TEXT["kaifa-dsmr42"].octets, 0.15),
    ("mode D telegram", "d0.push", TEXT["easymeter-q3d"].octets, 0.15),
    ("SML frame, Holley, 21 values", "sml.generic", SML["holley-zdba"].octets, 0.5),
    ("SML frame, Iskra MT175, 12 values", "sml.generic", SML["iskra-mt175-giving"].octets, 0.5),
    ("SML frame, EMH ED300L, 8 values", "sml.generic", SML["emh-ed300l-giving"].octets, 0.5),
]


def best_ms(act: Callable[[], object]) -> float:
    """The best of several rounds: what the work costs when the machine does nothing else."""
    best_s = float("inf")
    for _ in range(ROUNDS):
        began_s = time.process_time()
        for _ in range(CALLS):
            act()
        best_s = min(best_s, time.process_time() - began_s)
    return 1000 * best_s / CALLS


def in_pieces(profile: Profile, octets: bytes) -> Callable[[], object]:
    """Reads a telegram as it comes from a port, up to the points."""
    reader = profile.reader()
    pieces = [octets[at : at + PIECE] for at in range(0, len(octets), PIECE)]

    def act() -> object:
        told = [telegram for piece in pieces for telegram in reader.feed(piece)]
        (telegram,) = told
        return profile.points(telegram, Role.GRID)

    return act


def at_once(profile: Profile, octets: bytes) -> Callable[[], object]:
    """Reads a telegram that comes in one piece."""
    reader = profile.reader()

    def act() -> object:
        (telegram,) = reader.feed(octets)
        return telegram

    return act


def main() -> None:
    """Prints the table."""
    profiles = shipped_profiles()
    sys.stdout.write(f"{'what':36} {'bytes':>5} {'parsed':>9} {'in pieces':>10} {'bar':>8}\n")
    for name, profile, octets, bar_ms in CASES:
        whole, pieces = best_ms(at_once(profiles[profile], octets)), best_ms(in_pieces(profiles[profile], octets))
        sys.stdout.write(f"{name:36} {len(octets):5} {whole:6.3f} ms {pieces:7.3f} ms {bar_ms:5.2f} ms\n")


if __name__ == "__main__":
    main()
