"""The site file as the rest of the house gets it: checked, with defaults filled in and paths resolved."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from cem.model.market import DynamicTariff
from cem.model.provider import Provider
from cem.model.site import Site
from cem.ports import DeviceConfig


@dataclass(frozen=True, slots=True)
class PlanSettings:
    """How often the planner runs and how long it may take; seconds."""

    enabled: bool = True
    every_s: float = 900.0
    timeout_s: float = 20.0


@dataclass(frozen=True, slots=True)
class ProviderLink:
    """What the way to one provider is made of on this machine; None: the system's authorities, nothing, no callback."""

    ca_file: Path | None = None
    crl_file: Path | None = None  # of revoked certificates; None: none is asked about
    certificate_file: Path | None = None
    key_file: Path | None = None
    callback: tuple[str, int] | None = None  # host and port that are listened on
    callback_certificate_file: Path | None = None
    callback_key_file: Path | None = None
    callback_fingerprint: str | None = None  # 2.0b: of the certificate that the VTN shows when it sends by itself
    vtn_fingerprint: str | None = None  # 2.0b: of the certificate that the VTN signs with; None: no signatures
    announced_as: str | None = None  # the name by which it is looked for by mDNS; '': the only one there
    plain_http: bool = False
    vtn_next_fingerprint: str | None = None  # 2.0b: of the certificate that takes their place; it counts as well
    legacy_suites: bool = False  # 2.0b: the profile's two old cipher suites as well


@dataclass(frozen=True, slots=True)
class VtnClient:
    """One client of the gateway's own VTN; `business` is business logic, which sees and steers everything there."""

    id: str
    secret: str = field(repr=False)
    business: bool = False


@dataclass(frozen=True, slots=True)
class VtnVen2b:
    """A VEN of OpenADR 2.0b that may register. `fingerprint` None: believed by its name, on this machine only."""

    id: str
    name: str
    fingerprint: str | None = None


@dataclass(frozen=True, slots=True)
class VtnBroker:
    """The broker of the gateway's own VTN. `by_token`: clients log in with their tokens, else everybody may."""

    uri: str
    public_uris: tuple[str, ...]
    user: str | None
    password_file: Path | None
    ca_file: Path | None
    by_token: bool
    prefix: str


@dataclass(frozen=True, slots=True)
class VtnSite:
    """The VTN that the gateway runs for a domain below itself."""

    host: str
    port: int
    clients: tuple[VtnClient, ...]
    certificate_file: Path | None = None
    key_file: Path | None = None
    public_url: str = ""
    mdns_name: str | None = None
    callback_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    callback_ca_file: Path | None = None
    broker: VtnBroker | None = None
    lost_after_s: float = 120.0  # a VEN of which nothing was heard for so long is lost
    vens_2b: tuple[VtnVen2b, ...] = ()
    client_ca_file: Path | None = None  # authorities of the VENs' certificates
    crl_file: Path | None = None  # their lists of revoked ones
    sign_2b: bool = False  # messages of 2.0b are signed both ways
    legacy_suites: bool = False


@dataclass(frozen=True, slots=True)
class SiteFile:
    """A whole, faultless site file. `read_only`: no write leaves the box, whatever a device's own flag says."""

    path: Path
    site: Site
    devices: tuple[DeviceConfig, ...]
    providers: tuple[Provider, ...]
    store_folder: Path
    socket_path: Path
    tick_s: float = 1.0
    plan: PlanSettings = PlanSettings()
    read_only: bool = False
    provider_links: Mapping[str, ProviderLink] = field(default_factory=dict)  # by provider id
    dynamic: DynamicTariff | None = None
    vtn: VtnSite | None = None
