"""The home file and the site file of the bad-weather stand: steady loads, short times."""

from collections.abc import Mapping

SERIALS = {"meter": "BW-METER", "inverter": "BW-PV", "battery": "BW-BAT", "charger": "765432"}
WALLBOX = f"go-eCharger/{SERIALS['charger']}"
DEFAULT_LIMIT_W = 4500.0

HOME = """
home = 1
name = "Bad weather"
zone = "UTC"
latitude = 52.5
longitude = 13.4
seed = 3
start = 2026-06-15T16:00:00

[load]
base_w = 600
profile_w = 0
noise_pct = 0

[[pv]]
peak_w = 6000
cloudiness = 0

[[battery]]
capacity_wh = 10000
max_charge_w = 5000
max_discharge_w = 5000
soc_pct = {battery_pct:g}
response_s = 0.5

[[ev]]
capacity_wh = 60000
soc_pct = 35
max_a = 16
phases = 3
wake_s = 1
plugged_at_start = true
follow_s = 1
"""

SITE = """
site = 1
name = "Bad weather"
timezone = "UTC"

[connection]
phases = 3
fuse_a = 35
meter_stale_s = 3
device_stale_s = 5

[store]
folder = "state"

[api]
socket = "cem.sock"

[plan]
enabled = {plan}
every_s = 10
timeout_s = 3

[tariff]
base_price_per_kwh = 0.30
export_price_per_kwh = 0.08

[[device]]
id = "meter"
name = "Grid meter"
driver = "sunspec"
serial = "{meter_serial}"
link = {{ kind = "tcp", host = "127.0.0.1", port = {meter}, unit = 1 }}

[[device.resource]]
id = "grid"
role = "grid"

[[device]]
id = "inverter"
name = "Roof inverter"
driver = "sunspec"
serial = "{inverter_serial}"
link = {{ kind = "tcp", host = "127.0.0.1", port = {inverter}, unit = 1 }}

[[device.resource]]
id = "pv"
role = "pv"
max_generation_w = 6000
controls = ["pv.limit_w"]

[[device]]
id = "storage"
name = "Cellar battery"
driver = "sunspec"
serial = "{battery_serial}"
link = {{ kind = "tcp", host = "127.0.0.1", port = {battery}, unit = 1 }}

[[device.resource]]
id = "battery"
role = "battery"
capacity_wh = 10000
max_charge_w = 5000
max_discharge_w = 5000
controls = ["battery.setpoint_w"]

[[device]]
id = "charger"
name = "Wallbox"
driver = "mqtt"
profile = "go-e.v2"
serial = "{charger_serial}"
link = {{ kind = "mqtt", host = "127.0.0.1", port = {mqtt} }}

[[device.resource]]
id = "car"
role = "ev"
max_current_a = 16
controls = ["ev.limit_a"]

[[provider]]
id = "utility"
binding = "openadr3"
url = "http://127.0.0.1:{vtn}/openadr3/3.1.0"
ven_name = "home-1"
client_id = "home-1"
client_secret_file = "utility.secret"
poll_s = 1
stale_s = 2
default_import_limit_w = {default_w:g}
{soon}
[[provider.programme]]
name = "limits"
mandatory = true
"""

SOON = """fallback_voluntary_s = 3
report_interval_s = 5
request_timeout_s = 2
retry_max_s = 1
reconnect_jitter_s = 0
spread_s = 0
"""
"""Of a provider: nothing takes longer than a test may wait."""


def home_text(
    ports: Mapping[str, int], *, broker_apart: bool = False, battery_pct: float = 50.0, faults: str = ""
) -> str:
    """The home file: every listener on its port; with `broker_apart` the MQTT broker is somebody else's process."""
    mqtt = f'\n[mqtt]\nembedded = {str(not broker_apart).lower()}\nhost = "127.0.0.1"\nport = {ports["mqtt"]}\n'
    kinds = {"meter": "sunspec.meter", "inverter": "sunspec.inverter", "battery": "sunspec.battery"}
    devices = [
        f'\n[[device]]\nid = "{name}"\nkind = "{kind}"\nport = {ports[name]}\nserial = "{SERIALS[name]}"\n'
        for name, kind in kinds.items()
    ]
    devices.append(f'\n[[device]]\nid = "charger"\nkind = "goe.charger"\nserial = "{SERIALS["charger"]}"\n')
    return HOME.format(battery_pct=battery_pct) + mqtt + "".join(devices) + faults


def site_text(ports: Mapping[str, int], *, plan: bool = False) -> str:
    """The site file that fits the home."""
    serials = {f"{name}_serial": serial for name, serial in SERIALS.items()}
    return SITE.format(**ports, **serials, plan=str(plan).lower(), default_w=DEFAULT_LIMIT_W, soon=SOON)
