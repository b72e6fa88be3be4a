#!/usr/bin/env bash
# Minutes of what the tests do for seconds.
# shellcheck source=../lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/../lib.sh"

"$ROOT/scripts/torture" --seconds 120
"$ROOT/scripts/torture-reservations" --seconds 60
"$ROOT/scripts/torture-reservations" --line yes --seconds 60
