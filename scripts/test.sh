#!/usr/bin/env bash
# The tests, linters and type checks among them, two files at a time; arguments go to pytest.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

command -v git >/dev/null || fail "git is missing; run: sudo apt-get install git"
make_environment
install train,export,compare,plan-check,cluster,dev
cd "$root"
exec "$venv/bin/python" -m pytest --numprocesses 2 --dist loadfile "$@"
