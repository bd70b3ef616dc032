"""The sandbox as a process, and requests to it."""

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
class Response:
    status: int
    headers: dict
    text: str

    @property
    def media_type(self):
        return self.headers.get("content-type", "").split(";")[0]

    def json(self):
        return json.loads(self.text)


class Sandbox:
    """A sandbox that runs during a `with` block, on a port that it picks itself."""

    QUOTA = 2**32 - 1

    def __init__(self, binary):
        self.command = [binary, "sandbox", "--port", "0", "--latency", "0ms"]
        self.command += ["--hash", HASH, "--token", TOKEN, "--quota", str(self.QUOTA)]
        # The description bounds the items of a request.
        self.command += ["--customers", str(CUSTOMERS), "--count", "items"]

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
        # A panic ends only one request, so it is found in the output.
        self.last_words = self.process.stdout.read()

    @property
    def api(self):
        return f"{self.root}/stores/{HASH}/v3"

    def send(self, method, target, body=None, headers=None):
        """Sends one request on a new connection."""
        connection = http.client.HTTPConnection(urlsplit(self.root).netloc, timeout=20)
        try:
            connection.request(method, target, body=body, headers=headers or {})
            response = connection.getresponse()
            text = response.read().decode("utf-8")
            return Response(response.status, {name.lower(): value for name, value in response.getheaders()}, text)
        finally:
            connection.close()

    def order(self, **orders):
        """Sets switches and faults through the sandbox's control surface."""
        response = self.send("POST", "/_sandbox/faults", json.dumps(orders))
        if response.status != 200:
            raise SystemExit(f"conformance: the sandbox refused {orders}: {response.text}")

    def heal(self):
        self.order(heal=True, quota=self.QUOTA, size_refusal=413, latency_ms=0)
