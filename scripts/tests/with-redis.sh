#!/usr/bin/env bash
# Tests of scripts/with-redis. Ends with "N passed, N failed".
# shellcheck source=../lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/../lib.sh"

# Who runs this in the background may ignore SIGINT or SIGHUP. That is inherited, and no shell can take it back: start over
# with the defaults, for signals are what is tested.
if [[ -z ${SIGNALS_ARE_DEFAULT-} ]]; then
    export SIGNALS_ARE_DEFAULT=1
    exec perl -e '$SIG{$_} = "DEFAULT" for qw(INT QUIT TERM HUP); exec @ARGV or die "exec: $!"' "$BASH" "$0" "$@"
fi

with_redis=$ROOT/scripts/with-redis
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Where with-redis makes its folders, so that what it leaves behind is seen.
export TMPDIR=$work/tmp
mkdir "$TMPDIR"
passed=0
failed=0

check() {
    local name=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        say "FAILED: with-redis: $name"
    fi
}

# within SECONDS COMMAND...: looks at other processes until COMMAND succeeds.
within() {
    local tries=$(($1 * 50))
    shift
    while ! "$@"; do
        tries=$((tries - 1))
        [[ $tries -gt 0 ]] || return 1
        sleep 0.02
    done
}

equals() {
    [[ $1 == "$2" ]] || {
        say "expected \"$2\", got \"$1\""
        return 1
    }
}

is_gone() {
    ! kill -0 "$1" 2>/dev/null
}

# Whether neither a folder nor a server is left. Each server's process id stands in $work/pids.
nothing_left() {
    local pid
    [[ -z $(ls -A "$TMPDIR") ]] || return 1
    while read -r pid; do is_gone "$pid" || return 1; done <"$work/pids"
}

status_of() {
    local status=0
    "$@" >"$work/out" 2>"$work/err" || status=$?
    printf '%s' "$status"
}

# shellcheck disable=SC2016 # expanded by the shell that runs it
record_pids='for url in $(echo "$REDISLOCK_NODES" | tr , " "); do
    redis-cli -u "$url" info server | tr -d "\r" | sed -n "s/^process_id://p"
done >"$WORK/pids.new" && mv "$WORK/pids.new" "$WORK/pids"'
export WORK=$work

check 'the exit status is the command'\''s' equals "$(status_of "$with_redis" -- sh -c 'exit 7')" 7
check 'success is success' equals "$(status_of "$with_redis" -- true)" 0
check 'a command killed by a signal is 128+n' equals "$(status_of "$with_redis" -- sh -c 'kill -KILL $$')" 137
check 'a command that does not exist is 127' equals "$(status_of "$with_redis" -- /no/such/command)" 127
check 'no command is a usage error' equals "$(status_of "$with_redis" -n 2)" 64
check 'a bad number is refused' equals "$(status_of "$with_redis" -n zero -- true)" 1
check '--help helps' equals "$(status_of "$with_redis" --help)" 0
check 'nothing is left of these' equals "$(ls -A "$TMPDIR")" ''

# shellcheck disable=SC2016 # expanded by the shell that runs it
check 'three servers start' equals "$(status_of "$with_redis" -n 3 -- bash -c "$record_pids"'
    echo "$REDISLOCK_NODES"; echo "$REDIS_URL_1,$REDIS_URL_2,$REDIS_URL_3"; echo "$REDIS_URL"
    for url in $REDIS_URL_1 $REDIS_URL_2 $REDIS_URL_3; do redis-cli -u "$url" ping; done')" 0
check 'the nodes are all URLs' equals "$(sed -n 1p "$work/out")" "$(sed -n 2p "$work/out")"
check 'the URL is the first' equals "$(sed -n 3p "$work/out")" "$(sed -n 1p "$work/out" | cut -d , -f 1)"
check 'three servers answer' equals "$(grep -c PONG "$work/out")" 3
check 'three processes they are' equals "$(sort -u "$work/pids" | grep -c .)" 3
check 'nothing is left of the three, at once' nothing_left
check 'nothing was said' equals "$(cat "$work/err")" ''

check 'standard input goes to the command' equals "$(echo hello | "$with_redis" -- cat)" hello
check 'it works from any folder' equals "$(cd / && status_of "$with_redis" -- true)" 0

# signalled SIGNAL TARGET: starts a command that says how it ended and uses Redis for it; TARGET is `script` or `group`.
signalled() {
    local signal=$1 target=$2
    rm -f "$work/pids" "$work/said"
    set -m
    # shellcheck disable=SC2016
    "$with_redis" -n 2 -- bash -c '
        trap "redis-cli -u \$REDIS_URL_2 ping >\$WORK/said; exit 42" INT TERM HUP
        '"$record_pids"'
        while true; do sleep 0.02; done' >/dev/null 2>"$work/err" &
    local pid=$!
    set +m
    within 30 test -s "$work/pids" || return 1
    if [[ $target == group ]]; then kill -s "$signal" -- "-$pid"; else kill -s "$signal" "$pid"; fi
    status=0
    wait "$pid" || status=$?
}

for case in 'INT group' 'TERM script' 'TERM group' 'HUP script'; do
    read -r signal target <<<"$case"
    signalled "$signal" "$target"
    check "SIG$signal to the $target: the command's own status" equals "$status" 42
    check "SIG$signal to the $target: Redis was there until the end" equals "$(cat "$work/said")" PONG
    check "SIG$signal to the $target: nothing is left" nothing_left
done

signalled_kill() {
    rm -f "$work/pids" "$work/command"
    # shellcheck disable=SC2016
    "$with_redis" -n 2 -- bash -c 'echo $$ >$WORK/command; '"$record_pids"'; exec sleep 60' >/dev/null 2>&1 &
    local pid=$!
    within 30 test -s "$work/pids" || return 1
    # One of them stopped: it must be killed all the same.
    kill -STOP "$(head -n 1 "$work/pids")"
    kill -KILL "$pid"
    wait "$pid" 2>/dev/null || true
}
signalled_kill 2>/dev/null
check 'SIGKILL: the servers go all the same' within 30 nothing_left
check 'SIGKILL: the command is left alone' kill -0 "$(cat "$work/command")"
kill "$(cat "$work/command")"

echo "$passed passed, $failed failed"
[[ $failed -eq 0 ]]
