"""What the tests of faults and restarts share: a lab with HAProxy whose timeouts can be changed, and
a test case that starts it, knows what a good answer is, and sees the ledger become empty."""
import asyncio
import re
import unittest

from lab import PATIENCE, Lab, failed
from rawclient import ask, request
from stack import CONF, FLEET, wait_for

SERVERS = len(FLEET)
LONG = 10000  # tokens of a stream that lasts until the test has seen enough: lab.hurry()


class FaultLab(Lab):
    """processing: another `timeout processing` of HAProxy than the shipped 65 s."""

    def __init__(self, processing=None, **kw):
        super().__init__(**kw)
        self.processing = processing

    def env(self):
        env = super().env()
        if self.processing:
            text = (CONF / "spoe-slo.cfg").read_text()
            shorter = re.sub(r"(timeout processing) 65s", rf"\1 {self.processing}", text)
            assert shorter != text
            path = self.dir / "spoe-slo.cfg"
            path.write_text(shorter)
            env["SLO_SPOE_CFG"] = str(path)
        return env

    async def until(self, condition, what, seconds=60):
        """wait_for() that lets the clients go on; what may fail while HAProxy changes over."""
        def true():
            try:
                return condition()
            except OSError:
                return False
        return await asyncio.to_thread(wait_for, true, what, seconds * PATIENCE)

    def running_in_haproxy(self):
        return sum(int(r["scur"]) for r in self.stat() if r["svname"] in self.fleet)

    def start_requests(self, n, prefix, **kw):
        """Tasks of n requests."""
        return [asyncio.create_task(ask(self.port, request(f"{prefix}-{i}", **kw)))
                for i in range(n)]

    async def fill(self, n, held, tokens=LONG, held_tokens=8):
        """n streams on the servers, which are full then, and so many requests held. HAProxy asks
        the agent from here on, whatever its checks would say."""
        await asyncio.to_thread(self.checks, False)
        streams = self.start_requests(n, "stream", tokens=tokens, stream=True)
        await self.until(lambda: self.dispatched() == n, "the servers are full")
        waiting = self.start_requests(held, "held", tokens=held_tokens)
        await self.until(lambda: self.queued() == held, "the others are held")
        return streams, waiting


def counts(answers):
    """Statuses, and verdict and reason, for messages."""
    out = {}
    for a in answers:
        key = (a.status, a.complete, a.verdict, a.headers.get("x-slo-reason"), a.error)
        out[key] = out.get(key, 0) + 1
    return out


class WithStack(unittest.TestCase):
    def start(self, **kw):
        self.lab = FaultLab(**kw)
        self.addCleanup(lambda: self.lab.__exit__(Exception if failed(self) else None))
        return self.lab.start()

    def assert_all_good(self, answers):
        self.assertEqual([], [str(a) for a in answers if not a.good], counts(answers))

    def assert_where_chosen(self, answers):
        """Each was answered by the server that the agent chose."""
        for a in answers:
            self.assertEqual(("route", a.headers.get("x-demo-server")),
                             (a.verdict, a.headers.get("x-slo-server")))

    async def assert_empties(self):
        """Queue and ledger are exactly 0 soon."""
        await self.lab.until(self.lab.idle, "an empty ledger and queue")
        self.assertEqual(0, self.lab.counter("leases_expired_total"))
