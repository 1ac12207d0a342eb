"""An HTTP exchange as values: what a pure handler gets and gives."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request, its body whole and bounded by the transport. Headers are looked up by names in lower case."""

    method: str
    path: str  # decoded, without the query
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    body: bytes = field(default=b"", repr=False)
    origin: str = ""  # scheme://host[:port] as the client addressed us
    peer: str = ""  # the address it came from
    certificate: bytes = field(default=b"", repr=False)  # the client's, DER, as TLS verified it; empty: none


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """An answer."""

    status: int
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    body: bytes = field(default=b"", repr=False)
