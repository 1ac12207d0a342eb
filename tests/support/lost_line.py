"""Run in a network namespace of its own: a VEN and a VTN over TCP, in real time, whose network is lost and comes back.

`python -m support.lost_line` prints one JSON object: the seconds until each state was seen (`stale_s`, `hold_s`,
`back_s`), and the import limits meanwhile (`limits_w`).
"""

import asyncio
import json
import sys
import time

from cem.io.clock import SystemClock
from cem.model.directive import LinkState
from support.half_open import loopback
from support.rogue_vtn import PROGRAM, Home, RogueVtn, dimming
from support.ven_world import utility

DOWN_S = 12.0


async def main() -> dict[str, object]:
    """The whole play."""
    loopback(True)
    vtn = RogueVtn([PROGRAM], [dimming(4.0)])
    await vtn.start()
    provider = utility(
        url=vtn.url, poll_s=0.5, stale_s=2.0, request_timeout_s=1.0, retry_max_s=3.0, reconnect_jitter_s=0.0
    )
    home = Home(provider, SystemClock())
    await home.start()
    try:
        await home.until(LinkState.ONLINE, 30.0)
        await home.until_true(lambda: home.limits_w == [4000.0], 30.0)
        loopback(False)
        begun_s, limits = time.monotonic(), set[float | None]()
        await home.until(LinkState.STALE, 10.0)
        stale_s = time.monotonic() - begun_s
        await home.until(LinkState.HOLD, 10.0)
        hold_s = time.monotonic() - begun_s
        while time.monotonic() - begun_s < DOWN_S:
            limits.update(home.limits_w)
            await asyncio.sleep(0.2)
        loopback(True)
        begun_s = time.monotonic()
        await home.until(LinkState.ONLINE, 30.0)
        back_s = time.monotonic() - begun_s
        limits.update(home.limits_w)
    finally:
        await home.stop()
        await vtn.stop()
    return {"stale_s": stale_s, "hold_s": hold_s, "back_s": back_s, "limits_w": sorted(limits, key=str)}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(main())))
