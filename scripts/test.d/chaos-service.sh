#!/usr/bin/env bash
# The service, with its processes killed and stopped under a rush: briefly.
# shellcheck source=../lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/../lib.sh"

exec "$ROOT/scripts/chaos-service" --seconds 15
