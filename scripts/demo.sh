#!/usr/bin/env bash
# Every stage on a rendered road world, or on footage of your own; arguments go to `catseye demo`.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

make_environment
install train,export
exec "$venv/bin/catseye" demo "$@"
