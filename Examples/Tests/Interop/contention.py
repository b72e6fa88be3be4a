"""Shows that `redislock run` excludes: processes increment a number in a file under one lock, while random holders are
killed with SIGKILL and redis-py's Lock takes part under the same name.

Checked from the log that the holders write, with no tolerance:
- between a holder's start and its end nobody else starts, unless that holder was killed;
- every number is its predecessor's plus one; only a killed holder's own increment may be missing;
- fencing tokens strictly increase in the order of acquisition.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time

import redis
from redis.lock import Lock

KEY = "interop:number"
LEASE_LOST = 74


class Worker(threading.Thread):
    """Runs `redislock run ... increment-a-file` again and again."""

    def __init__(self, options, folder, runs):
        super().__init__()
        self.command = [
            options.redislock, "run", "--key", KEY, "--ttl", options.ttl, "--wait", "2m", "--",
            options.increment, folder,
        ]
        self.runs = runs
        self.lock = threading.Lock()
        self.process = None
        # Process id of redislock -> its exit status.
        self.statuses = []

    def run(self):
        for _ in range(self.runs):
            # A session of its own, so that a kill takes redislock and its command at the same instant, as a machine's
            # death would.
            process = subprocess.Popen(self.command, start_new_session=True, stdin=subprocess.DEVNULL)
            with self.lock:
                self.process = process
            # Not reaped before the lock is held: nobody signals a process id that is somebody else's by then.
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            with self.lock:
                self.process = None
                self.statuses.append((process.pid, process.wait()))

    def kill(self, pid):
        """Kills the whole process group of redislock `pid`, if that is the one that runs here."""
        with self.lock:
            if self.process is None or self.process.pid != pid:
                return False
            os.killpg(pid, signal.SIGKILL)
            return True


class RedisPyWorker(threading.Thread):
    """The same with redis-py's Lock, which knows no fencing tokens."""

    def __init__(self, client, folder, runs):
        super().__init__()
        self.client = client
        self.folder = folder
        self.runs = runs
        self.succeeded = 0

    def run(self):
        for index in range(self.runs):
            name = f"py{index}"
            with Lock(self.client, KEY, timeout=10, sleep=0.01, blocking_timeout=120):
                log(self.folder, f"start {name} 0")
                number = read_number(self.folder)
                time.sleep(0.005)
                log(self.folder, f"intent {name} {number + 1}")
                write_number(self.folder, number + 1)
                log(self.folder, f"end {name} {number + 1}")
                self.succeeded += 1
            time.sleep(random.uniform(0, 0.2))


def log(folder, line):
    with open(f"{folder}/log", "a") as file:
        file.write(line + "\n")


def read_number(folder):
    with open(f"{folder}/number") as file:
        return int(file.read())


def write_number(folder, number):
    with open(f"{folder}/draft", "w") as file:
        file.write(f"{number}\n")
    os.rename(f"{folder}/draft", f"{folder}/number")


class Killer(threading.Thread):
    """Waits for a moment, then kills whoever has just got the lock."""

    def __init__(self, workers, folder, kills):
        super().__init__()
        self.workers = workers
        self.folder = folder
        self.kills = kills
        self.done = threading.Event()

    def run(self):
        with open(f"{self.folder}/log") as file:
            while self.kills > 0 and not self.done.wait(random.uniform(0.05, 1.0)):
                file.seek(0, os.SEEK_END)
                while not self.done.is_set():
                    words = file.readline().split()
                    if words[:1] == ["start"] and words[2] != "0":
                        # Anywhere within the few milliseconds of its work, or shortly after.
                        time.sleep(random.uniform(0, 0.008))
                        if any(worker.kill(int(words[2])) for worker in self.workers):
                            self.kills -= 1
                        break
                    if not words:
                        time.sleep(0.0005)


def check(folder, killed, expected):
    """Returns what is wrong, as sentences."""
    problems = []
    holders = []
    for line in open(f"{folder}/log"):
        event, name, value = line.split()
        if event == "start":
            holders.append({"name": name, "pid": int(value), "intent": None, "ended": False})
            continue
        if not holders or holders[-1]["name"] != name:
            problems.append(f"{name} worked although {holders[-1]['name'] if holders else 'nobody'} had started after it")
            continue
        holders[-1]["intent" if event == "intent" else "ended"] = int(value) if event == "intent" else True

    tokens = [int(holder["name"]) for holder in holders if not holder["name"].startswith("py")]
    for before, after in zip(tokens, tokens[1:]):
        if after <= before:
            problems.append(f"token {after} was granted after {before}")

    possible = {0}
    for holder in holders:
        name, intent = holder["name"], holder["intent"]
        if intent is not None:
            if intent - 1 not in possible:
                problems.append(f"{name} wrote {intent} where one of {sorted(possible)} plus one was due")
            # A killed holder may have come as far as its intent, or to its end.
            possible = {intent} if holder["ended"] else {intent - 1, intent}
        if not holder["ended"] and holder["pid"] not in killed:
            problems.append(f"{name} did not finish, but was not killed")
    if read_number(folder) not in possible:
        problems.append(f"the file says {read_number(folder)} where one of {sorted(possible)} was due")
    finished = sum(holder["ended"] for holder in holders)
    if finished < expected:
        problems.append(f"{expected} holders succeeded, but only {finished} increments are in the log")
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--redislock", required=True)
    parser.add_argument("--increment", required=True)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--redis-py-runs", type=int, default=100)
    parser.add_argument("--ttl", default="1s")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    options = parser.parse_args()
    random.seed(options.seed)
    url = os.environ["REDISLOCK_NODES"].split(",")[0]
    os.environ["REDISLOCK_NODES"] = url
    client = redis.Redis.from_url(url)

    with tempfile.TemporaryDirectory(prefix="redislock-interop.") as folder:
        write_number(folder, 0)
        open(f"{folder}/log", "w").close()
        begin = time.monotonic()
        workers = [Worker(options, folder, options.runs) for _ in range(options.processes)]
        other = RedisPyWorker(client, folder, options.redis_py_runs)
        killer = Killer(workers, folder, options.kills)
        for thread in [*workers, other, killer]:
            thread.start()
        for thread in [*workers, other]:
            thread.join()
        killer.done.set()
        killer.join()

        statuses = [status for worker in workers for status in worker.statuses]
        killed = {pid for pid, status in statuses if status == -signal.SIGKILL}
        succeeded = sum(status == 0 for _, status in statuses)
        problems = check(folder, killed, succeeded + other.succeeded)
        for pid, status in statuses:
            if status not in (0, -signal.SIGKILL):
                problems.append(f"redislock {pid} exited with {status}")
        if len(killed) < options.kills:
            problems.append(f"only {len(killed)} of {options.kills} holders could be killed")
        if other.succeeded < options.redis_py_runs:
            problems.append(f"redis-py got the lock {other.succeeded} times instead of {options.redis_py_runs}")
        print(
            f"{options.processes} processes, {len(statuses)} runs, {succeeded} succeeded, {len(killed)} killed, "
            f"{other.succeeded} by redis-py, number {read_number(folder)}, {time.monotonic() - begin:.1f} s, "
            f"seed {options.seed}"
        )
        for problem in problems:
            print(f"PROBLEM: {problem}", file=sys.stderr)
        sys.exit(1 if problems else 0)


main()
