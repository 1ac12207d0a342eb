"""From the tables as written to the model's values. Takes only tables that passed the checks."""

import hashlib
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

from cem.config.curve_file import load_curves
from cem.config.places import place_of_zone
from cem.config.schema import (
    WEEKDAYS,
    CircuitTable,
    ConnectionTable,
    DeviceTable,
    DynamicTable,
    GridFeeTable,
    PeriodTable,
    ProviderTable,
    ResourceTable,
    SiteTable,
    TariffTable,
    VoltWattTable,
    VtnTable,
)
from cem.config.sitefile import PlanSettings, ProviderLink, SiteFile, VtnBroker, VtnClient, VtnSite, VtnVen2b
from cem.model.curve import Curve, CurveOver
from cem.model.market import DynamicTariff, Markup, PriceService
from cem.model.provider import BY_MDNS, Programme, Provider
from cem.model.resource import Ratings, Resource
from cem.model.site import (
    BatteryPolicy,
    ChargeGoal,
    Circuit,
    ControlPolicy,
    Droop,
    ElectricalConnection,
    Group,
    IslandPolicy,
    LoadPolicy,
    Place,
    Site,
)
from cem.model.tariff import Tariff, TariffPeriod
from cem.ports import DeviceConfig


def site_file(path: Path, table: SiteTable) -> SiteFile:
    """The site file with secrets read; raises OSError when a secret file has gone since the checks."""
    folder = path.parent
    devices = tuple(_supporting(device, folder, table) for device in table.device)
    return SiteFile(
        path=path,
        site=Site(
            name=table.name,
            zone=table.timezone,
            connection=ElectricalConnection(**table.connection.model_dump()),
            tariff=tariff(table.tariff, table.timezone, table.currency),
            resources=tuple(resource for device in devices for resource in device.resources),
            goals=tuple(
                ChargeGoal(g.resource, g.ready_by, g.energy_wh, g.soc_pct) for g in table.goal if g.ready_by is not None
            ),
            learnt_cars=tuple(goal.resource for goal in table.goal if goal.ready_by is None),
            batteries=tuple(BatteryPolicy(b.resource, b.reserve_pct, b.grid_charge, b.into_car) for b in table.battery),
            circuits=tuple(circuit(c, table.connection) for c in table.circuit),
            groups=tuple(Group(g.id, g.name or g.id, g.members) for g in table.group),
            loads=tuple(LoadPolicy(p.resource, **p.model_dump(exclude={"resource"})) for p in table.load),
            policy=ControlPolicy(
                table.control.guaranteed_minimum,
                table.control.ramp_w_per_s,
                None if table.droop is None else Droop(**table.droop.model_dump()),
                table.control.spread_s,
                {p.id: p.spread_s for p in table.provider if p.spread_s is not None},
                table.plan.reserve_up_w,
                table.plan.reserve_down_w,
                island(table),
                None if table.volt_watt is None else volt_watt(table.volt_watt),
            ),
            read_only=table.read_only,
            place=place_of_zone(table.timezone)
            if table.place is None
            else Place(table.place.latitude, table.place.longitude),
            identity=identity(table),
        ),
        devices=devices,
        providers=tuple(provider(p, secret_of(p, folder), table.connection) for p in table.provider),
        provider_links={p.id: provider_link(p, folder) for p in table.provider},
        store_folder=folder / table.store.folder,
        socket_path=folder / table.api.socket,
        tick_s=table.control.tick_s,
        plan=PlanSettings(table.plan.enabled, table.plan.every_s, table.plan.timeout_s),
        read_only=table.read_only,
        dynamic=None
        if table.tariff.dynamic is None
        else dynamic(table.tariff.dynamic, folder, table.timezone, table.currency),
        vtn=None if table.vtn is None else vtn_site(table.vtn, folder),
    )


def _supporting(device: DeviceTable, folder: Path, table: SiteTable) -> DeviceConfig:
    """One device with the curves by which it is to support the grid."""
    config = device_config(device, folder, table.connection.phases, table.read_only)
    return (
        config
        if device.grid_support is None
        else replace(config, grid_support=load_curves(folder / device.grid_support))
    )


def identity(table: SiteTable) -> str:
    """What tells this house from every other: its name, its devices' serial numbers, its names with the providers."""
    words = [table.name, *(d.serial or d.id for d in table.device)]
    words += [f"{p.id} {p.ven_name} {p.client_id}" for p in table.provider]
    return hashlib.sha256("\n".join(words).encode()).hexdigest()


def volt_watt(table: VoltWattTable) -> Curve:
    """The curve over shares of the nominal voltage, as shares of the rating."""
    points = tuple((volts_pct / 100.0, power_pct / 100.0) for volts_pct, power_pct in table.points)
    return Curve(CurveOver.VOLTS_SHARE, points, shares=True)


def island(table: SiteTable) -> IslandPolicy:
    """The return after an outage, with the strictest limits that hold without an event."""
    connection, providers = table.connection, table.provider
    imports = [p.default_import_limit_w for p in providers] + [connection.import_limit_w]
    exports = [p.default_export_limit_w for p in providers] + [connection.export_limit_w]
    return IslandPolicy(
        **table.island.model_dump(),
        permitted_by=frozenset(p.id for p in providers if p.permits_return),
        import_limit_w=min((w for w in imports if w is not None), default=None),
        export_limit_w=min((w for w in exports if w is not None), default=None),
    )


def circuit(table: CircuitTable, connection: ConnectionTable) -> Circuit:
    """One circuit; its phases are the connection's where it does not say."""
    phases = connection.phases if table.phases is None else table.phases
    voltage = connection.nominal_voltage_v
    return Circuit(table.id, table.fuse_a, table.members, phases, table.limit_w, voltage)


def device_config(table: DeviceTable, folder: Path, phases: int, read_only: bool = False) -> DeviceConfig:
    """One device at a connection of so many phases; a profile that ends in .toml is a file beside the site file."""
    profile = table.profile
    if profile is not None and profile.endswith(".toml"):
        profile = str(folder / profile)
    return DeviceConfig(
        id=table.id,
        name=table.name or table.id,
        driver=table.driver,
        link={key: _beside(folder, key, value) for key, value in table.link.items()},
        resources=tuple(resource(item, table.id, phases) for item in table.resource),
        profile=profile,
        serial=table.serial,
        read_only=table.read_only or read_only,
        poll_s=table.poll_s,
    )


def _beside(folder: Path, key: str, value: str | int | float | bool) -> str | int | float | bool:
    """A link's `..._file` is beside the site file unless its path is absolute."""
    return str(folder / value) if key.endswith("_file") and isinstance(value, str) else value


def resource(table: ResourceTable, device_id: str, phases: int) -> Resource:
    """One resource of a device."""
    return Resource(
        id=table.id,
        role=table.role,
        device_id=device_id,
        name=table.name or table.id,
        ratings=ratings(table, phases),
        controls=frozenset(table.controls),
        contacts=frozenset(table.contacts),
        priority=table.priority,
    )


def ratings(table: ResourceTable, phases: int) -> Ratings:
    """The ratings of a resource table; `phases` are those of the connection."""
    return Ratings(
        max_charge_w=table.max_charge_w,
        max_discharge_w=table.max_discharge_w,
        capacity_wh=table.capacity_wh,
        max_generation_w=table.max_generation_w,
        max_current_a=table.max_current_a,
        min_current_a=table.min_current_a,
        phases=phases if table.phases is None else table.phases,
        nominal_voltage_v=table.nominal_voltage_v,
        max_power_w=table.max_power_w,
        phase=table.phase,
    )


def tariff(table: TariffTable, zone: str, currency: str) -> Tariff:
    """The tariff with its periods in the site's local time."""
    return Tariff(
        zone=zone,
        currency=currency,
        base_price_per_kwh=table.base_price_per_kwh,
        export_price_per_kwh=table.export_price_per_kwh,
        peak_price_per_kw=table.peak_price_per_kw,
        ghg_price_per_t=table.ghg_price_per_t,
        load_shape_per_kwh=table.load_shape_per_kwh,
        periods=tuple(
            TariffPeriod(p.start, p.end, p.import_price_per_kwh, _weekdays(p), frozenset(p.months))
            for p in table.period
        ),
    )


def _weekdays(period: PeriodTable | GridFeeTable) -> frozenset[int]:
    return frozenset(WEEKDAYS.index(day) for day in period.days)


def dynamic(table: DynamicTable, folder: Path, zone: str, currency: str) -> DynamicTariff:
    """The dynamic tariff with its token; raises OSError when the file has gone since the checks."""
    fees = tuple(
        TariffPeriod(fee.start, fee.end, fee.per_kwh, _weekdays(fee), frozenset(fee.months)) for fee in table.grid_fee
    )
    return DynamicTariff(
        PriceService(
            provider=table.provider,
            currency=currency,
            country=table.country or "",
            area=table.area or "",
            sequence=table.sequence,
            tariff_code=table.tariff_code or "",
            export_tariff_code=table.export_tariff_code or "",
            home=table.home or "",
            token="" if table.token_file is None else read_secret(folder / table.token_file),
            url=table.url,
        ),
        Markup(
            grid_fees=Tariff(zone, currency, table.grid_fee_per_kwh, 0.0, fees),
            per_kwh=table.per_kwh,
            percent=table.percent,
            vat_percent=table.vat_percent,
            export_at_market=table.export == "market",
            export_fee_per_kwh=table.export_fee_per_kwh,
        ),
    )


_LINK_KEYS = (
    "client_secret_file",
    "vtn_fingerprint",
    "vtn_next_fingerprint",
    "legacy_suites",
    "ca_file",
    "crl_file",
    "client_certificate_file",
    "client_key_file",
    "callback_listen",
    "callback_certificate_file",
    "callback_key_file",
    "callback_fingerprint",
)
_NOT_OF_PROVIDERS = ("programme", "allow_plain_http", "shed_import_w", "callback_url", "permits_return")
SHED_SHARES = (0.5, 0.25, 0.0)
"""Of the fuse's power that load-shed levels 1, 2 and 3 leave where the site file does not say."""


def provider(table: ProviderTable, secret: str, connection: ConnectionTable) -> Provider:
    """One provider with its secret."""
    values = table.model_dump(exclude={*_NOT_OF_PROVIDERS, *_LINK_KEYS})
    programmes = tuple(Programme(p.name, p.mandatory, p.incentive_per_kwh) for p in table.programme)
    fuse_w = connection.fuse_a * connection.phases * connection.nominal_voltage_v
    half, quarter, least = (share * fuse_w for share in SHED_SHARES)
    first_w, second_w, third_w = table.shed_import_w or (half, quarter, least)
    return replace(
        Provider(**values),
        client_secret=secret,
        programmes=programmes,
        shed_import_w=(first_w, second_w, third_w),
        callback_url=table.callback_url or "",
    )


def provider_link(table: ProviderTable, folder: Path) -> ProviderLink:
    """The files and the socket of one provider."""

    def beside(name: str | None) -> Path | None:
        return None if name is None else folder / name

    listen = None if table.callback_listen is None else host_and_port(table.callback_listen)
    return ProviderLink(
        ca_file=beside(table.ca_file),
        crl_file=beside(table.crl_file),
        certificate_file=beside(table.client_certificate_file),
        key_file=beside(table.client_key_file),
        callback=listen,
        callback_certificate_file=beside(table.callback_certificate_file),
        callback_key_file=beside(table.callback_key_file),
        callback_fingerprint=table.callback_fingerprint or table.vtn_fingerprint,
        vtn_fingerprint=table.vtn_fingerprint,
        vtn_next_fingerprint=table.vtn_next_fingerprint,
        announced_as=table.url.removeprefix(BY_MDNS) if table.url.startswith(BY_MDNS) else None,
        plain_http=table.allow_plain_http,
        legacy_suites=table.legacy_suites,
    )


def vtn_site(table: VtnTable, folder: Path) -> VtnSite:
    """The VTN for a domain below, with its clients' secrets read; raises OSError when one has gone since the checks."""

    def beside(name: str | None) -> Path | None:
        return None if name is None else folder / name

    host, port = host_and_port(table.listen)
    broker = table.broker
    return VtnSite(
        host,
        port,
        tuple(VtnClient(c.id, read_secret(folder / c.secret_file), c.role == "bl") for c in table.client),
        beside(table.certificate_file),
        beside(table.key_file),
        (table.public_url or "").rstrip("/"),
        table.mdns_name,
        tuple(ip_network(text) for text in table.callback_networks),
        beside(table.callback_ca_file),
        None
        if broker is None
        else VtnBroker(
            broker.uri,
            broker.public_uris or (broker.uri,),
            broker.user,
            beside(broker.password_file),
            beside(broker.ca_file),
            broker.login == "token",
            broker.prefix,
        ),
        table.lost_after_s,
        tuple(VtnVen2b(one.id, one.name or one.id, one.fingerprint) for one in table.ven_2b),
        beside(table.client_ca_file),
        beside(table.crl_file),
        table.sign_2b,
        table.legacy_suites,
    )


def host_and_port(text: str) -> tuple[str, int]:
    """What is listened on, from host:port or [host]:port; raises ValueError."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65536:
        raise ValueError("host:port, such as 0.0.0.0:8443")
    return host, int(port)


def secret_of(table: ProviderTable, folder: Path) -> str:
    """The secret of a provider; none where it needs none."""
    return "" if table.client_secret_file is None else read_secret(folder / table.client_secret_file)


def read_secret(path: Path) -> str:
    """The secret in a file, without the line end that editors add."""
    return path.read_text(encoding="utf-8").rstrip("\r\n")
