#!/usr/bin/env bash
# Makes or refreshes the virtual environment under the checkout; sourced by demo.sh and test.sh.
#   prepare EXTRAS   e.g. prepare sim, prepare dev
# Writes only below .venv in the checkout. Needs Python 3.11 or later with venv. Sets $python.
# The distribution's own Python comes before others in the path: it is the one that a gateway runs with, and as it is
# built with profile-guided optimisation it may need a third less time than one that was compiled by hand.

prepare() {
  local extras=$1 top stamp wanted base
  top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
  cd "$top" || return 1
  base=""
  for candidate in "${CEM_PYTHON:-}" /usr/bin/python3 python3 python3.13 python3.12 python3.11; do
    [ -n "$candidate" ] || continue
    if command -v "$candidate" >/dev/null 2>&1 &&
      "$candidate" -c 'import ensurepip, sqlite3, ssl, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      base=$candidate
      break
    fi
  done
  if [ -z "$base" ]; then
    echo "No Python 3.11 or later found. Install python3 and python3-venv, or name one: CEM_PYTHON=/path/to/python" >&2
    return 1
  fi
  python="$top/.venv/bin/python"
  stamp="$top/.venv/.prepared-$extras"
  wanted=$(cat pyproject.toml deploy/constraints.txt | cksum)
  if [ -x "$python" ] && [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
    return 0
  fi
  echo "Preparing the virtual environment in .venv (packages: cem-gateway[$extras]) ..." >&2
  if [ ! -x "$python" ] || ! "$python" -c '' 2>/dev/null; then
    "$base" -m venv --clear .venv || {
      echo "The venv module is missing or broken: apt-get install python3-venv" >&2
      return 1
    }
  fi
  "$python" -m pip install --quiet --disable-pip-version-check --constraint deploy/constraints.txt \
    --editable ".[$extras]" || return 1
  echo "$wanted" >"$stamp"
}
