#!/usr/bin/env bash
# Everything that the tests need, then format, lint, types, import rules and the tests.
#   deploy/test.sh [pytest arguments]       e.g. deploy/test.sh -k fold     (then only these tests run, no checks)
#   deploy/test.sh --slow                   the longer tests too
set -euo pipefail
. "$(dirname "$0")/prepare.sh"
prepare dev
bin=$(dirname "$python")
checks=yes
for argument in "$@"; do
  [ "$argument" = --slow ] || checks=no
done
if [ "$checks" = yes ]; then
  echo "== format, lint, types, import rules"
  "$bin/ruff" format --check --quiet .
  "$bin/ruff" check --quiet .
  "$bin/mypy" cem drivers/cem_drivers hw-sim/hw_sim deploy tests
  "$bin/lint-imports" --no-logo 2>/dev/null || "$bin/lint-imports"
  echo "== tests"
fi
workers=${CEM_TEST_WORKERS:-$(($(nproc 2>/dev/null || echo 2) + 1))} # one more than cores: many tests wait for real time
exec "$bin/pytest" --numprocesses "$workers" --dist worksteal "$@"
