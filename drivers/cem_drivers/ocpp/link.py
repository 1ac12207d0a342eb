"""The link table of the site file: where we listen, and who may call."""

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cem.driver import Caller
from cem_drivers.table import Key, LinkTable, flag, number, text

PORT = 8887
"""What other home systems use for this too; no number is registered for OCPP."""
LONGEST_IDENTITY = 48  # OCPP 2.0.1 part 4, 3.1.1; 1.6 allows 20 in the path and chargers have more

KEYS = (
    Key("kind", str, choices=("ocpp",)),
    Key("listen", str, required=True),
    Key("port", int, low=1, high=65535),
    Key("identity", str),
    Key("connector", int, low=1, high=16),
    Key("password_file", str),
    Key("cert_file", str),
    Key("key_file", str),
    Key("tags", str),
    Key("remote_start", bool),
    Key("tag", str),
    Key("timeout_s", float, low=0.1, high=3.0),
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where we listen; with a certificate over TLS (security profile 2)."""

    host: str
    port: int
    cert_file: str | None = None
    key_file: str | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'wss' if self.cert_file else 'ws'}://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Admission:
    """Who may call in: a charger by the name that it gives itself in the path, with its password where it has one."""

    identity: str
    password: str | None = None
    tags: frozenset[str] | None = None

    def opens(self, caller: Caller) -> bool:
        """Whether name and password are right (security profile 1). Without a password nobody is asked for one."""
        if self.password is None:
            return True
        given = caller.password or b""
        named = caller.user == self.identity
        right = sum(hmac.compare_digest(given, known) for known in _readings(self.password))
        return bool(right) and named


def _readings(password: str) -> Iterable[bytes]:
    """The bytes that a password stands for: itself, and those that it writes in hexadecimal (1.6 AuthorizationKey)."""
    yield password.encode()
    if len(password) >= 32:
        try:
            yield bytes.fromhex(password)
        except ValueError:
            return


def place_of(link: LinkTable) -> Place:
    """The place of a checked link table."""
    cert, key = text(link, "cert_file", "") or None, text(link, "key_file", "") or None
    return Place(text(link, "listen", ""), int(number(link, "port", PORT)), cert, key)


def admission_of(link: LinkTable, serial: str | None) -> Admission:
    """Who may call by a checked link table; raises OSError where the password can't be read.

    Where no identity is given the charger calls itself by its serial number.
    """
    file = text(link, "password_file", "")
    tags = {tag.strip().lower() for tag in text(link, "tags", "").split(",") if tag.strip()}
    return Admission(
        identity=text(link, "identity", serial or ""),
        password=Path(file).read_text(encoding="utf-8").strip() if file else None,
        tags=frozenset(tags) if tags else None,
    )


def link_faults(link: LinkTable) -> list[str]:
    """What no key alone shows."""
    faults = [
        f"link.{other}: missing; {name} needs it"
        for name, other in (("cert_file", "key_file"), ("key_file", "cert_file"))
        if name in link and other not in link
    ]
    identity = text(link, "identity", "")
    if "/" in identity or len(identity) > LONGEST_IDENTITY:
        faults.append(f"link.identity: {identity!r}: at most {LONGEST_IDENTITY} characters, and no /")
    if flag(link, "remote_start") and not text(link, "tag", ""):
        faults.append("link.tag: missing; remote_start starts a charge with an identifier")
    return faults
