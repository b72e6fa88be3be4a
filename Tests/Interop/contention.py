"""Shows that `redislock run` excludes: processes increment a number in a file under one lock, while random holders are
killed with SIGKILL and redis-py's Lock takes part under the same name.

Checked from the log that the holders write:
- between a holder's start and its end nobody else works, unless that holder was killed;
- every number is its predecessor's plus one; only a killed holder's own increment may be missing;
- fencing tokens strictly increase in the order of acquisition.
A redislock that says that its lease was lost (status 74), which takes a machine that stands still for longer than a
lease, is left out of the first and the last check, as its late start or end is no secret; there must be next to none.
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
                with open(f"{self.folder}/fence", "w") as file:
                    file.write(f"{name}\n")
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


def read_log(folder):
    with open(f"{folder}/log") as file:
        return [tuple(line.split()) for line in file]


def check_exclusion(lines, lost, checks):
    name, current, problems = "nobody works while somebody else holds the lock", None, []
    for event, holder, _ in lines:
        if holder in lost:
            continue
        if event == "start":
            current = holder
        elif holder != current:
            problems.append(f"{holder} went on after {current} had started")
    checks.add(name, problems)


def check_numbers(lines, final, checks):
    """Every number is its predecessor's plus one; that of a holder without an end may not have reached the file."""
    ended = {holder for event, holder, _ in lines if event == "end"}
    possible, problems = {0}, []
    for event, holder, number in lines:
        if event != "intent":
            continue
        number = int(number)
        if number - 1 not in possible:
            problems.append(f"{holder} wrote {number} where one of {sorted(possible)} plus one was due")
        possible = {number} if holder in ended else {number - 1, number}
    if final not in possible:
        problems.append(f"the file says {final} where one of {sorted(possible)} was due")
    checks.add("no increment is lost but a killed holder's own", problems)


def check_order(lines, lost, checks):
    tokens = [int(holder) for event, holder, pid in lines if event == "start" and pid != "0" and holder not in lost]
    checks.add(
        "fencing tokens strictly increase in the order of acquisition",
        [f"{after} was granted after {before}" for before, after in zip(tokens, tokens[1:]) if after <= before])


def check_ends(lines, statuses, options, other, checks):
    killed = {pid for pid, status in statuses if status == -signal.SIGKILL}
    lost = {pid for pid, status in statuses if status == LEASE_LOST}
    checks.add("leases are hardly ever lost", [f"{len(lost)} of {len(statuses)}"] if 100 * len(lost) > len(statuses) else [])
    checks.add(
        "redislock succeeds otherwise",
        [f"process {pid} ended with {status}" for pid, status in statuses if status != 0 and pid not in killed | lost])
    ended = {holder for event, holder, _ in lines if event == "end"}
    checks.add(
        "every other holder has finished",
        [
            f"{holder} has not" for event, holder, pid in lines
            if event == "start" and holder not in ended and int(pid) not in killed | lost
        ])
    succeeded = sum(status == 0 for _, status in statuses) + other.succeeded
    checks.add(
        "every success has its increment",
        [f"{succeeded} successes, {len(ended)} increments"] if len(ended) < succeeded else [])
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
    parser.add_argument("--kills", type=int, default=15)
    parser.add_argument("--redis-py-runs", type=int, default=100)
    parser.add_argument("--ttl", default="2s")
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
        lines = read_log(folder)
        lost_pids = {str(pid) for pid, status in statuses if status == LEASE_LOST}
        lost = {holder for event, holder, pid in lines if event == "start" and pid in lost_pids}
        check_exclusion(lines, lost, checks)
        check_numbers(lines, read_number(folder), checks)
        check_order(lines, lost, checks)
        check_ends(lines, statuses, options, other, checks)
        print(
            f"{options.processes} processes, {len(statuses)} runs of redislock and {other.succeeded} of redis-py, number "
            f"{read_number(folder)}, {len(lost_pids)} leases lost, {time.monotonic() - begin:.1f} s, seed {options.seed}"
        )
        sys.exit(checks.report())


main()
