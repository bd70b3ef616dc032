"""The sandbox as a process of its own, and requests to it."""

import http.client
import json
import re
import subprocess
from dataclasses import dataclass
from urllib.parse import urlsplit

HASH = "sandbox"
TOKEN = "sandbox-token"
CUSTOMERS = 20


@dataclass
class Answer:
    status: int
    headers: dict
    text: str

    @property
    def media_type(self):
        return self.headers.get("content-type", "").split(";")[0]

    def json(self):
        return json.loads(self.text)


class Sandbox:
    """Runs as long as the `with` lasts, at a port that it picks itself."""

    QUOTA = 2**32 - 1

    def __init__(self, binary):
        self.command = [binary, "sandbox", "--port", "0", "--latency", "0ms"]
        self.command += ["--hash", HASH, "--token", TOKEN, "--quota", str(self.QUOTA)]
        self.command += ["--customers", str(CUSTOMERS)]

    def __enter__(self):
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(self.command, stdout=pipe, stderr=subprocess.STDOUT, text=True)
        said = []
        for line in self.process.stdout:
            said.append(line)
            if address := re.match(r'api_url = "(.*)"', line):
                self.root = address[1]
                return self
        self.process.wait()
        raise SystemExit(f"conformance: the sandbox did not start:\n{''.join(said)}")

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        # A panic ends one request only; it is told by this.
        self.last_words = self.process.stdout.read()

    @property
    def api(self):
        return f"{self.root}/stores/{HASH}/v3"

    def send(self, method, target, body=None, headers=None):
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection(urlsplit(self.root).netloc, timeout=20)
        try:
            connection.request(method, target, body=body, headers=headers or {})
            answer = connection.getresponse()
            text = answer.read().decode("utf-8")
            return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, text)
        finally:
            connection.close()

    def order(self, **orders):
        """Sets switches and faults through the sandbox's control surface."""
        answer = self.send("POST", "/_sandbox/faults", json.dumps(orders))
        if answer.status != 200:
            raise SystemExit(f"conformance: the sandbox refused {orders}: {answer.text}")

    def heal(self):
        self.order(heal=True, quota=self.QUOTA, size_refusal=413, latency_ms=0)
