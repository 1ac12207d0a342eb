"""Whether a gateway already runs on a site: then it holds the devices, and nobody else writes them."""

import asyncio
from contextlib import suppress
from pathlib import Path

ANSWER_TIMEOUT_S = 2.0


async def gateway_answers(socket_path: Path) -> bool:
    """Whether somebody listens on the local API's socket."""
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            _, writer = await asyncio.open_unix_connection(str(socket_path))
    except PermissionError:
        return True  # the socket is there and not ours to open: somebody else's gateway
    except (OSError, TimeoutError):
        return False
    writer.close()
    with suppress(OSError):  # it answered; how it hangs up does not matter
        await writer.wait_closed()
    return True


def refusal(socket_path: Path) -> str:
    """What is said then."""
    return (
        f"a gateway runs on this site ({socket_path} answers) and holds its devices; nothing was touched. "
        "Stop it first (systemctl stop cem), provision, and start it again"
    )
