#!/usr/bin/env bash
# Two minutes of what the tests do for seconds.
# shellcheck source=../lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/../lib.sh"

"$ROOT/scripts/torture" --seconds 120
