"""The demo: a simulated home, a grid VTN and the gateway on one machine. See deploy/demo.sh."""

import argparse
import json
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from demo_acts import ACTS, WHOLE_S, Result, Stage
from demo_stand import ROOT, DemoError, Stand

SHORTEST_S = 75


def main() -> int:
    """Exit status 0 if every act held (headless) or the dashboard was left in order."""
    parser = argparse.ArgumentParser(prog="deploy/demo.sh", description=__doc__)
    parser.add_argument("--headless", action="store_true", help="no dashboard: play the acts and judge them")
    parser.add_argument(
        "--for", dest="for_s", type=float, default=90.0, metavar="SECONDS", help="how long the acts take"
    )
    parser.add_argument(
        "--folder", type=Path, default=ROOT / ".demo", help="logs, databases and the site file go there"
    )
    options = parser.parse_args()
    if options.headless and options.for_s < SHORTEST_S:
        parser.error(f"--for: {options.for_s:g} s is too short for all acts; at least {SHORTEST_S}")
    stand = Stand(options.folder.resolve())
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stand.leave.set())
    try:
        stand.build(say)
        return play(stand, options.for_s) if options.headless else show(stand)
    except KeyboardInterrupt:
        say("left early")
        return 1
    except DemoError as error:
        say(f"the demo could not go on: {error}")
        return 1
    finally:
        stand.close()


def say(words: str) -> None:
    """A line for the person who watches."""
    print(words, flush=True)


def play(stand: Stand, for_s: float) -> int:
    """The acts one after another; the last line is one JSON object."""
    stage = Stage(stand, say, for_s / WHOLE_S)
    results: list[Result] = []
    for act in ACTS:
        result = act(stage)
        results.append(result)
        say(f"{'HELD' if result.ok else 'FAILED'}: {result.act}: {json.dumps(result.measured, default=str)}")
    ok = all(result.ok for result in results)
    print(json.dumps({"ok": ok, "acts": [asdict(result) for result in results]}, default=str), flush=True)
    return 0 if ok else 1


def show(stand: Stand) -> int:
    """The dashboard; leaving it ends everything."""
    dashboard = [str(stand.bin / "cem"), "dashboard", "--config", str(stand.site_file)]
    say("opening the dashboard; q leaves it and ends everything")
    return subprocess.run(dashboard, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
