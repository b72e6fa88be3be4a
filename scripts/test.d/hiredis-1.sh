#!/usr/bin/env bash
# Runs the tests that touch hiredis against hiredis 1.2, where the system's own is older: both are supported.
#
# Debian 13's packages are unpacked beside the system's, which stay as they are: they need nothing newer than Debian 12 has.
# shellcheck source=../lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/../lib.sh"
require_swift
require_packages hiredis redis-server
cd "$ROOT"

header=/usr/include/hiredis/hiredis.h
if [[ ! -f $header ]] || ! grep -q '^#define HIREDIS_MAJOR 0$' "$header"; then
    say "The system's hiredis is 1.x already: the suite has been run against it."
    exit 0
fi

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[[ -f $keyring ]] || die "The system's hiredis is 0.x, and Debian's keyring is missing: hiredis 1.x cannot be had for a test."
build=$ROOT/.build-hiredis1
root=$build/debian13
if [[ ! -f $root/usr/include/hiredis/hiredis.h ]]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$root"
    # The mirror that this machine uses already. The placeholders are apt's own.
    codename=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
    # shellcheck disable=SC2016
    mirrors=$(apt-get indextargets --format '$(RELEASE) $(REPO_URI)' | sed -n "s|^$codename ||p")
    mirror=${mirrors%%$'\n'*}
    [[ -n $mirror ]] || die "No Debian mirror is configured: hiredis 1.x cannot be had for a test."
    echo "deb [signed-by=$keyring] $mirror trixie main" >"$work/sources.list"
    # Folders of its own: the system's package lists are not touched.
    options=(-qq -o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=/dev/null
        -o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work/cache" -o "APT::Sandbox::User=$(id -un)")
    apt-get "${options[@]}" update
    (cd "$work" && apt-get "${options[@]}" download libhiredis1.1.0 libhiredis-dev)
    for package in "$work"/*.deb; do dpkg-deb -x "$package" "$root"; done
fi

libraries=$(dirname "$(find "$root/usr/lib" -name libhiredis.so -print -quit)")
flags=(--scratch-path "$build" -Xcc "-I$root/usr/include" -Xlinker "-L$libraries" -Xlinker "-rpath=$libraries")
swift build --build-tests "${flags[@]}"
binary=$(swift build --show-bin-path "${flags[@]}")/swift-redis-locksPackageTests.xctest
linked=$(ldd "$binary")
[[ $linked == *"$libraries/libhiredis.so.1"* ]] || die "The tests are not linked with hiredis 1.x: $linked"
swift test --skip-build --disable-xctest "${flags[@]}" --filter '^(HiredisTests|IntegrationTests)\.'
