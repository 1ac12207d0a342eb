#!/usr/bin/env bash
# The whole product on one machine, no hardware: a simulated home, a grid VTN and the gateway, all on loopback.
#   deploy/demo.sh                          opens the dashboard; q leaves it and ends everything
#   deploy/demo.sh --headless --for 90      plays its acts by itself; exit status 0 only if each held
set -euo pipefail
. "$(dirname "$0")/prepare.sh"
prepare sim
exec "$python" deploy/demo.py "$@"
