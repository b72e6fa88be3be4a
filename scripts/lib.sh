# shellcheck shell=bash
# Shared by the scripts beside it: `source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"`.

set -euo pipefail

ROOT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
export ROOT

say() {
    printf '%s\n' "$*" >&2
}

die() {
    say "${0##*/}: $*"
    exit 1
}

# The files of the project that match the patterns: committed ones, and new ones that are not ignored.
project_files() {
    if git -C "$ROOT" rev-parse --git-dir >/dev/null 2>&1; then
        # A file that was deleted but not yet committed is listed, too.
        (cd "$ROOT" && git ls-files -co --exclude-standard -- "$@" | while IFS= read -r file; do
            if [[ -f $file ]]; then printf '%s\n' "$file"; fi
        done)
    else
        local pattern
        for pattern in "$@"; do
            (cd "$ROOT" && find . -path './.build*' -prune -o -path '*/.build*' -prune -o -type f -path "./$pattern" -print) |
                sed 's|^\./||'
        done
    fi
}

# Nothing but Swift and git is expected to be there before.
require_swift() {
    command -v swift >/dev/null ||
        die "Swift is missing. Install Swift 6.2 or newer from https://www.swift.org/install and try again."
    local version
    version=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9]*\.[0-9]*\).*/\1/p')
    version=${version%%$'\n'*}
    case $version in
        '' | [0-5].* | 6.0 | 6.1) die "Swift ${version:-of an unknown version} is too old: 6.2 or newer is needed." ;;
    esac
}

# require_packages NAME...: of redis-server, hiredis, sqlite, libpq, postgresql, shellcheck, python, spin, cc, chromium.
# Installs what is missing and says so.
require_packages() {
    local name missing=() formulae=()
    for name in "$@"; do
        case $name in
            redis-server)
                command -v redis-server >/dev/null && continue
                missing+=(redis-server)
                formulae+=(redis)
                ;;
            hiredis)
                [[ -f /usr/include/hiredis/async.h || -f /opt/homebrew/include/hiredis/async.h ||
                    -f /usr/local/include/hiredis/async.h ]] && continue
                missing+=(libhiredis-dev)
                formulae+=(hiredis)
                ;;
            sqlite)
                [[ -f /usr/include/sqlite3.h || $(uname) == Darwin ]] && continue
                missing+=(libsqlite3-dev)
                formulae+=(sqlite)
                ;;
            libpq)
                [[ -f /usr/include/postgresql/libpq-fe.h || -f /opt/homebrew/include/libpq-fe.h ||
                    -f /usr/local/include/libpq-fe.h ]] && continue
                missing+=(libpq-dev)
                formulae+=(libpq)
                ;;
            postgresql)
                # The server's programs, which Debian keeps out of the PATH.
                if command -v initdb >/dev/null && command -v postgres >/dev/null; then continue; fi
                compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null && continue
                compgen -G '/opt/homebrew/opt/postgresql*/bin/postgres' >/dev/null && continue
                missing+=(postgresql)
                formulae+=(postgresql)
                ;;
            shellcheck)
                command -v shellcheck >/dev/null && continue
                missing+=(shellcheck)
                formulae+=(shellcheck)
                ;;
            python)
                python3 -c 'import ensurepip, venv' >/dev/null 2>&1 && continue
                missing+=(python3 python3-venv)
                formulae+=(python)
                ;;
            spin)
                command -v spin >/dev/null && continue
                missing+=(spin)
                formulae+=(spin)
                ;;
            chromium)
                command -v chromium >/dev/null && continue
                command -v google-chrome >/dev/null && continue
                missing+=(chromium fonts-noto-cjk)
                formulae+=(chromium)
                ;;
            cc)
                # By this name, for spin calls it, too.
                command -v gcc >/dev/null && continue
                missing+=(gcc libc6-dev)
                formulae+=(gcc)
                ;;
            *) die "require_packages: unknown package $name" ;;
        esac
    done
    [[ ${#missing[@]} -eq 0 ]] && return
    command -v apt-get >/dev/null ||
        die "missing: ${missing[*]}. There is no apt-get here; on macOS run: brew install ${formulae[*]}"
    local sudo=()
    if [[ $(id -u) -ne 0 ]]; then
        command -v sudo >/dev/null || die "missing packages. Run as root: apt-get install ${missing[*]}"
        sudo=(sudo)
    fi
    say "Installing with apt-get: ${missing[*]}"
    # In a shell of its own, so that its trap runs whatever happens.
    (apt_install "${missing[@]}") || die "apt-get could not install: ${missing[*]}"
}

# Installs packages, without starting the services that they bring: a policy that forbids it stands for the duration.
# One that is there already is left alone; it is the machine's owner's.
apt_install() {
    local policy=/usr/sbin/policy-rc.d mark='redis-locks set-up: no service is started by an installation'
    if [[ ! -e $policy ]] || grep -qF "$mark" "$policy"; then
        trap '"${sudo[@]+"${sudo[@]}"}" rm -f /usr/sbin/policy-rc.d' EXIT
        trap 'exit 1' INT TERM HUP
        printf '#!/bin/sh\n# %s\nexit 101\n' "$mark" | "${sudo[@]+"${sudo[@]}"}" tee "$policy" >/dev/null
        "${sudo[@]+"${sudo[@]}"}" chmod 755 "$policy"
    fi
    local apt=("${sudo[@]+"${sudo[@]}"}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300)
    "${apt[@]}" update >&2
    "${apt[@]}" install -y --no-install-recommends "$@" </dev/null >&2
}
