"""The service under test, as a process of its own, and buyers who talk with it without a browser."""

import json
import os
import signal
import sqlite3
import subprocess
import tempfile
import urllib.error
import urllib.request
import uuid

ADMIN = "operator-of-browser-tests"


class Service:
    """`reservation-service serve` with a store of its own. `restart` starts it again on the same port and store."""

    def __init__(self, *arguments):
        self.folder = tempfile.TemporaryDirectory(prefix="browser-")
        self.arguments = arguments
        self.port = 0
        self.process = None
        self.start()

    def start(self):
        program = os.environ["RESERVATION_SERVICE"]
        self.process = subprocess.Popen(
            [
                program, "serve", "--store", f"sqlite:{self.folder.name}/r.sqlite", "--port", str(self.port),
                "--admin-token", ADMIN, "--log-level", "error", *self.arguments,
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        # Ends with the process, should that not come up.
        for line in self.process.stdout:
            if "Listening on" in line:
                self.url = line.split()[-1]
                self.port = int(self.url.rsplit(":", 1)[1])
                return
        raise RuntimeError("the service does not start")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=40)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            self.process.stdout.close()

    def close(self):
        if self.process.poll() is None:
            self.stop()
        self.folder.cleanup()

    def let_pass(self, count):
        """So many more of the only line that is used have had their turn, as if somebody had decided on them."""
        with sqlite3.connect(f"{self.folder.name}/r.sqlite", timeout=10) as database:
            database.execute("UPDATE queue_partition SET served = served + ? WHERE accepted > 0", (count,))
        database.close()

    def line_up_elsewhere(self, count, **line):
        """So many others are in line for this."""
        for _ in range(count):
            token = self.ask("POST", "/v1/sessions")[1]["token"]
            status, answer = self.ask("POST", "/v1/reservations", token, {"lines": [line]}, key=str(uuid.uuid4()))
            assert status == 202, answer

    def ask(self, method, path, token=None, body=None, key=None):
        """Status and JSON."""
        request = urllib.request.Request(self.url + path, method=method)
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        if key:
            request.add_header("Idempotency-Key", key)
        data = None
        if body is not None:
            request.add_header("Content-Type", "application/json")
            data = json.dumps(body).encode()
        try:
            with urllib.request.urlopen(request, data, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def item(self, name):
        return self.ask("GET", f"/v1/items/{name}")[1]

    def buy_elsewhere(self, **line):
        """Somebody else holds this. Their token and reservation."""
        token = self.ask("POST", "/v1/sessions")[1]["token"]
        status, answer = self.ask(
            "POST", "/v1/reservations", token, {"lines": [line]}, key=str(uuid.uuid4()))
        assert status == 201, answer
        return token, answer
