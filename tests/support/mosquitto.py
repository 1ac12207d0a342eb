"""A real Mosquitto with its dynamic security plugin: nobody but `admin` can enter until somebody makes accounts."""

import asyncio
import contextlib
import json
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

PASSWORD = "admins-secret"
_PLUGINS = ("/usr/lib", "/usr/local/lib")


def missing() -> str | None:
    """Why there can be none on this machine; None when there can."""
    for program in ("mosquitto", "mosquitto_ctrl"):
        if shutil.which(program, path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin") is None:
            return f"{program} is not installed (Debian package mosquitto)"
    return None if _plugin() is not None else "Mosquitto's dynamic security plugin is not installed"


def _plugin() -> Path | None:
    name = "mosquitto_dynamic_security.so"
    return next((found for top in _PLUGINS for found in sorted(Path(top).rglob(name))), None)


@asynccontextmanager
async def secured_mosquitto(folder: Path) -> AsyncIterator[int]:
    """Runs one on a free port of 127.0.0.1."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    accounts, config = folder / "accounts.json", folder / "mosquitto.conf"
    command = ["/usr/bin/mosquitto_ctrl", "dynsec", "init", str(accounts), "admin", PASSWORD]
    await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True, timeout=20)
    _allow_publishing(accounts)
    config.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous false\nper_listener_settings false\nuser root\n"
        f"plugin {_plugin()}\nplugin_opt_config_file {accounts}\n",
        encoding="utf-8",
    )
    broker = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    assert broker is not None
    process = await asyncio.create_subprocess_exec(broker, "-c", str(config), stderr=asyncio.subprocess.DEVNULL)
    try:
        async with asyncio.timeout(10):
            while not await _answers(port):
                assert process.returncode is None, "Mosquitto ended"
        yield port
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


def _allow_publishing(accounts: Path) -> None:
    """What the installer does with mosquitto_ctrl: the VTN's user may publish, besides keeping accounts."""
    kept = json.loads(accounts.read_text(encoding="utf-8"))
    acl = {"acltype": "publishClientSend", "topic": "openadr3/#", "priority": 0, "allow": True}
    kept["roles"].append({"rolename": "openadr3-vtn", "acls": [acl]})
    kept["clients"][0]["roles"].append({"rolename": "openadr3-vtn"})
    accounts.write_text(json.dumps(kept), encoding="utf-8")


async def _answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        await asyncio.sleep(0)
        return False
    writer.close()
    return True
