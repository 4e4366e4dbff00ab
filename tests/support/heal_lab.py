"""A stack whose agent asks HAProxy's runtime API, with a relay for the end lines, an origin of its
own, and a steady load of streams."""
import asyncio
import http.server
import json
import random
import threading
import time

from lab import Lab
from rawclient import ask, request
from relay import Relay
from stack import MODEL

POLL, GRACE = 0.2, 0.6  # seconds; shorter than shipped, for the test's sake
SPREAD = {"routing-strategy": "least-request"}  # over all servers


class HealLab(Lab):
    def __init__(self, poll="200ms", grace="600ms", **kw):
        self.poll, self.grace = poll, grace
        self.relay = None
        super().__init__(**kw)

    def write_config(self, change=None, profiles=None):
        self.relay_port = self.ports.take()

        def with_api(conf):
            conf["haproxy"] = {"runtime_api": [f"unix:{self.dir}/stats.sock"],
                               "poll": self.poll, "grace": self.grace}
            if change:
                change(conf)
        super().write_config(with_api, profiles)

    def start_agent(self, wait=True):
        super().start_agent(wait)
        if not self.relay:
            self.relay = Relay(self.relay_port, self.events)
            self.relay.start()

    def env(self):
        return {**super().env(), "SLO_EVENTS": f"127.0.0.1:{self.relay_port}"}

    def stop(self):
        try:
            super().stop()
        finally:
            if self.relay:
                self.relay.stop()
                self.relay = None

    def there(self):
        """What HAProxy has on each server."""
        return {r["svname"]: int(r["scur"]) + int(r["qcur"]) for r in self.stat()
                if r["pxname"] == MODEL and r["svname"] != "BACKEND"}

    def here(self):
        """What the agent has."""
        return {name: s["inflight"] for name, s in self.ledger().items()}

    def agrees(self):
        """Whether both count the same on every server, in a moment in which nothing moved."""
        before = self.there()
        here = self.here()
        return before == self.there() and here == {n: before.get(n, 0) for n in here}

    def answers(self):
        """Whether the agent has heard of HAProxy."""
        return any(api["answers"] for api in self.state()["haproxy"])


class Load:
    """Streams of 0.2 to 2 s at speed 2, one after another in each of `width` places."""

    def __init__(self, lab, width=16, seed=1):
        self.lab, self.width = lab, width
        self.rng = random.Random(seed)
        self.answers = []
        self.running = False
        self.tasks = []

    async def place(self, k):
        n = 0
        while self.running:
            n += 1
            data = request(f"{k}-{n}", tokens=self.rng.randrange(16, 160), stream=True,
                           headers=SPREAD)
            self.answers.append(await ask(self.lab.port, data))

    def start(self):
        self.running = True
        self.tasks = [asyncio.create_task(self.place(k)) for k in range(self.width)]

    async def end(self):
        self.running = False
        await asyncio.gather(*self.tasks)


class Origin(http.server.ThreadingHTTPServer):
    """A model server that one can make ill. It counts what it was asked."""

    def __init__(self):
        self.healthy = True
        self.asked = 0
        super().__init__(("127.0.0.1", 0), OriginHandler)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def port(self):
        return self.server_address[1]

    def handle_error(self, *_):
        pass  # checks are cut off by HAProxy in the middle

    def stop(self):
        self.shutdown()
        self.server_close()


class OriginHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("x-demo-server", "origin")
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        self.answer(200 if self.server.healthy else 503, {})

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked += 1
        time.sleep(0.05)
        self.answer(200, {"usage": {"prompt_tokens": 3, "completion_tokens": 4}})
