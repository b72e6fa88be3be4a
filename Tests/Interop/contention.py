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


class Checks:
    """What was looked at, and what was wrong with it."""

    def __init__(self):
        self.problems = {}

    def add(self, name, problems=()):
        self.problems.setdefault(name, []).extend(problems)

    def report(self):
        failed = {name: problems for name, problems in self.problems.items() if problems}
        for name, problems in failed.items():
            print(f"FAILED: {name}: {problems[0]} ({len(problems)} in all)")
        print(f"{len(self.problems) - len(failed)} passed, {len(failed)} failed")
        return 1 if failed else 0


def read_holders(folder, checks):
    """What each holder did, in the order of acquisition."""
    holders = []
    checks.add("nobody works while somebody else holds the lock")
    with open(f"{folder}/log") as file:
        for line in file:
            event, name, value = line.split()
            if event == "start":
                holders.append({"name": name, "pid": int(value), "intent": None, "ended": False})
            elif not holders or holders[-1]["name"] != name:
                last = holders[-1]["name"] if holders else "nobody"
                checks.add(
                    "nobody works while somebody else holds the lock", [f"{name} went on after {last} had started"])
            elif event == "intent":
                holders[-1]["intent"] = int(value)
            else:
                holders[-1]["ended"] = True
    return holders


def check_numbers(holders, final, checks):
    """Every number is its predecessor's plus one; a killed holder's may or may not have reached the file."""
    name = "no increment is lost but a killed holder's own"
    checks.add(name)
    possible = {0}
    for holder in holders:
        intent = holder["intent"]
        if intent is None:
            continue
        if intent - 1 not in possible:
            checks.add(name, [f"{holder['name']} wrote {intent} where one of {sorted(possible)} plus one was due"])
        possible = {intent} if holder["ended"] else {intent - 1, intent}
    if final not in possible:
        checks.add(name, [f"the file says {final} where one of {sorted(possible)} was due"])


def check_order(holders, checks):
    tokens = [int(holder["name"]) for holder in holders if not holder["name"].startswith("py")]
    checks.add(
        "fencing tokens strictly increase in the order of acquisition",
        [f"{after} was granted after {before}" for before, after in zip(tokens, tokens[1:]) if after <= before])


def check_ends(holders, statuses, options, other, checks):
    killed = {pid for pid, status in statuses if status == -signal.SIGKILL}
    checks.add(
        "redislock succeeds, unless it is killed",
        [f"process {pid} ended with {status}" for pid, status in statuses if status not in (0, -signal.SIGKILL)])
    checks.add(
        "every holder that was not killed has finished",
        [f"{holder['name']} has not" for holder in holders if not holder["ended"] and holder["pid"] not in killed])
    succeeded = sum(status == 0 for _, status in statuses) + other.succeeded
    finished = sum(holder["ended"] for holder in holders)
    checks.add(
        "every success has its increment",
        [f"{succeeded} successes, {finished} increments"] if finished < succeeded else [])
    checks.add(
        "holders were killed", [f"{len(killed)} of {options.kills}"] if len(killed) < options.kills else [])
    checks.add(
        "redis-py got its turns",
        [f"{other.succeeded} of {options.redis_py_runs}"] if other.succeeded < options.redis_py_runs else [])


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
        checks = Checks()
        holders = read_holders(folder, checks)
        check_numbers(holders, read_number(folder), checks)
        check_order(holders, checks)
        check_ends(holders, statuses, options, other, checks)
        print(
            f"{options.processes} processes, {len(statuses)} runs of redislock and {other.succeeded} of redis-py, number "
            f"{read_number(folder)}, {time.monotonic() - begin:.1f} s, seed {options.seed}"
        )
        sys.exit(checks.report())


main()
