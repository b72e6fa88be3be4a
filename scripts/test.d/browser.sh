#!/usr/bin/env bash
# The page in a real browser: Chromium, driven from Python in an environment that is gone afterwards. Screenshots stay in
# .build-browser/ or where BROWSER_OUTPUT says.
# shellcheck source=../lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/../lib.sh"
require_swift
require_packages redis-server hiredis sqlite libpq python chromium
cd "$ROOT"

swift build --package-path Examples --product reservation-service >&2
RESERVATION_SERVICE=$(swift build --package-path Examples --show-bin-path)/reservation-service
CHROMIUM=$(command -v chromium || command -v google-chrome || command -v chromium-browser) ||
    die 'Chromium is missing: set CHROMIUM to where it is, or install it'
BROWSER_OUTPUT=${BROWSER_OUTPUT:-$ROOT/.build-browser}
export RESERVATION_SERVICE CHROMIUM BROWSER_OUTPUT
mkdir -p "$BROWSER_OUTPUT"
rm -f "$BROWSER_OUTPUT"/*.png

environment=$(mktemp -d "${TMPDIR:-/tmp}/reservation-browser.XXXXXX")
trap 'rm -rf "$environment"' EXIT
python3 -m venv "$environment"
"$environment/bin/pip" --quiet --disable-pip-version-check install 'playwright==1.65.2' 'axe-playwright-python==0.1.8' >&2
"$environment/bin/python" -B Examples/Tests/Browser/browser_tests.py "$@"
