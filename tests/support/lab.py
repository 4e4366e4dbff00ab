"""What the fault tests share: scale and patience, servers of a known size, the agent alone."""
import json
import os
import re
import socket

from spop import Peer
from stack import Stack, wait_for

SCALE = float(os.environ.get("SLO_TEST_SCALE", "1.0"))
# Deadlines are multiplied by this: under valgrind everything takes longer.
PATIENCE = float(os.environ.get("SLO_TEST_PATIENCE", "5" if os.environ.get("SLO_WRAP") else "1"))


def failed(case):
    """Whether a unittest.TestCase has failed already, for its clean-up."""
    result = case._outcome.result
    return any(t is case or getattr(t, "test_case", None) is case
               for t, _ in result.failures + result.errors)


def in_some(attempt, what, tries=8):
    """Calls attempt() until it returns something true: for what a machine that stands still for a moment
    can spoil, but not each time. What it returned in vain is told."""
    seen = []
    for _ in range(tries):
        value = attempt()
        if value is True:
            return
        seen.append(value)
    raise AssertionError(f"{what}: in none of {tries} tries, but {seen}")


def scaled(n, least=1):
    return max(least, round(n * SCALE))


def room_for(n, created=1.8e9, e2e_target=600.0):
    """A profile by which a server holds n requests of any size (1/n is what one weighs), with a
    target so far away that none is ever late."""
    return {"gpu": "any", "cost": 1.0, "tputs": [[n]], "indexes": [[1], [1]], "e2e": [[1.0]],
            "created": created, "slos": {"percentile": 99, "e2e": e2e_target}}


class Lab(Stack):
    """A stack whose servers each hold `room` requests."""

    def __init__(self, room=1000, **kw):
        super().__init__(**kw)
        self.set_room(room)

    def set_room(self, room, **kw):
        for gpu in set(self.fleet.values()):
            self.profile(gpu, dict(room_for(room, **kw), gpu=gpu))

    def counter(self, name, **labels):
        """The sum of the series of that name that have these labels."""
        total = 0
        for line in self.metrics().splitlines():
            m = re.fullmatch(r"slo_spoa_(\w+)(?:\{(.*)\})? (\S+)", line)
            if m and m[1] == name and all(f'{k}="{v}"' in (m[2] or "") for k, v in labels.items()):
                total += float(m[3])
        return total

    def end_lines(self, result):
        return self.counter("end_lines_total", result=result)

    def logged(self, pattern, seconds=60):
        """Waits for a line of the agent's log that matches; the match."""
        return wait_for(lambda: re.search(pattern, self.agent.text()), f"log line {pattern}",
                        seconds * PATIENCE)

    def queued(self):
        return self.state()["queued"]

    def dispatched(self):
        return self.state()["dispatched"]


class AgentAlone(Lab):
    """Only the agent: tests speak to it as HAProxy would. They may take their time to."""

    def __init__(self, **kw):
        super().__init__(**kw)
        self.config.setdefault("limits", {}).setdefault("hello_timeout", "60s")
        self.config_file.write_text(dumps(self.config))

    def start(self):
        self.start_agent()
        return self

    def peer(self, greet=True, **kw):
        p = Peer(self.spop, **kw)
        if greet:
            p.hello()
        return p

    def event_connection(self):
        s = socket.create_connection(("127.0.0.1", self.events), 60)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return s

    def udp(self, data):
        """One datagram; the name that the agent knows its sender by."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.connect(("127.0.0.1", self.events))
            name = "%s:%d" % s.getsockname()
            s.send(data)
        return name

    def ends(self, *ids, **values):
        """The end lines of requests, on a connection of their own."""
        with self.event_connection() as s:
            s.sendall(b"".join(end_line(i, **values) for i in ids))

    def until(self, condition, what, seconds=60):
        return wait_for(condition, what, seconds * PATIENCE)


def end_line(request_id, **values):
    fields = {"id": request_id, "be": "llama2-7b", "srv": "l20-1", "st": 200, "tr": 10, "ta": 20,
              "bytes": 400, "ts": "--", "in": 16, "out": 8, **values}
    return ("slo1 " + " ".join(f"{k}={v}" for k, v in fields.items()) + "\n").encode()


def dumps(value):
    return json.dumps(value, indent=2)
