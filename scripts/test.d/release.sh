#!/usr/bin/env bash
# Builds everything as users run it: the optimizer has its own opinion of what compiles.
# shellcheck source=../lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/../lib.sh"
require_swift
require_packages hiredis sqlite libpq
cd "$ROOT"
export REDIS_LOCKS_WARNINGS_AS_ERRORS=1

swift build -c release
swift build -c release --package-path Examples
