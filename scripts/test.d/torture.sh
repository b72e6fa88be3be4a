#!/usr/bin/env bash
# What the tests do for seconds, for minutes: in the optimized build, with more processes.
# shellcheck source=../lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/../lib.sh"

"$ROOT/scripts/torture" --seconds 60
"$ROOT/scripts/torture-reservations" --seconds 30
"$ROOT/scripts/torture-reservations" --line yes --seconds 30
