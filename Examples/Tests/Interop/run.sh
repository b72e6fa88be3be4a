#!/usr/bin/env bash
# Many processes under one lock, holders killed at random, and redis-py's Lock in between: see contention.py.
#
# usage: run.sh [OPTION...]     options of contention.py; the built redislock is used
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
package=$(cd "$here/../.." && pwd)
root=$(cd "$package/.." && pwd)

if [[ -z ${REDISLOCK_NODES:-} ]]; then
    exec "$root/scripts/with-redis" -- "${BASH_SOURCE[0]}" "$@"
fi

binary=${REDISLOCK_BINARY:-$(swift build --package-path "$package" --product redislock --show-bin-path)/redislock}
if [[ ! -x $binary ]]; then
    swift build --package-path "$package" --product redislock
fi

# redis-py is the most widely used lock on Redis; a folder of its own, so that nothing is installed for anybody else.
python=$package/.build/interop-python/bin/python
if ! "$python" -c 'import redis' 2>/dev/null; then
    python3 -m venv "$package/.build/interop-python"
    "$python" -m pip --quiet --disable-pip-version-check install 'redis>=5,<9'
fi
exec "$python" "$here/contention.py" --redislock "$binary" --increment "$here/increment-a-file" "$@"
