"""What the tests of the whole stack share: a test case with a stack, bodies, profiles, metrics.

SLO_TEST_SCALE (1.0) scales the large counts.
"""
import asyncio
import json
import os
import random
import re
import unittest

from client import Http1
from stack import MODEL, Stack, wait_for

SCALE = float(os.environ.get("SLO_TEST_SCALE", "1"))
PATIENCE = 120  # seconds: for what comes at once, but under valgrind on a busy machine
CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
LONG = 10000  # output tokens of a request that stays until its client leaves
WORDS = ("the server that has room takes a request from the queue when its time has come and no "
         "other one is more urgent than it").split()


def scaled(n, least=1):
    return max(least, round(n * SCALE))


def text_of(n, seed=0):
    """n bytes of words."""
    rng = random.Random(seed)
    words = []
    length = 0
    while length < n:
        words.append(rng.choice(WORDS))
        length += len(words[-1]) + 1
    return " ".join(words)[:n]


def body_of(path=TEXT, text="Say it.", model=MODEL, **more):
    if path == CHAT:
        ask = {"messages": [{"role": "system", "content": "You answer briefly."},
                            {"role": "user", "content": text}]}
    else:
        ask = {"prompt": text}
    return json.dumps({"model": model, "temperature": 0.7, **ask, **more}).encode()


SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)'
                    r'(?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
                    r'(?:,(?=[^}])|(?=\})))*)\})?'
                    r' (-?(?:[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?|Inf)|NaN)')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')


class Metrics:
    """Prometheus text. A line that is not well-formed is an error."""

    def __init__(self, text):
        self.samples, self.types = [], {}
        if not text.endswith("\n"):
            raise ValueError("the last line does not end")
        for line in text.splitlines():
            comment = re.fullmatch(r"# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)", line)
            sample = SAMPLE.fullmatch(line)
            if comment and comment[1] == "TYPE":
                if comment[2] in self.types:
                    raise ValueError(f"a second {line}")
                self.types[comment[2]] = comment[3]
            elif sample:
                self.samples.append((sample[1], dict(LABEL.findall(sample[2] or "")),
                                     float(sample[3])))
            elif not comment:
                raise ValueError(f"not a line of Prometheus text: {line!r}")

    def family(self, name):
        return [(labels, value) for n, labels, value in self.samples if n == name]

    def sum(self, name, **want):
        return sum(value for labels, value in self.family(name)
                   if all(labels.get(k) == v for k, v in want.items()))


class StackCase(unittest.IsolatedAsyncioTestCase):
    """One stack for all tests of a class. After each test everything must be idle again."""

    stack_type = Stack
    options = {}  # of the stack
    profiles = {}  # deployment -> profile, in place of the shipped ones

    @classmethod
    def setUpClass(cls):
        # Slow servers: what is to stay in flight stays for half a minute and more.
        stack = cls.stack_type(**{"speed": 5, **cls.options})
        for deployment, profile in cls.profiles.items():
            stack.profile(deployment, profile)
        cls.stack = cls.enterClassContext(stack)
        # Nothing fails in these tests (test_faults.py is for that): no check is to think so.
        stack.checks(False, "spoa/agent", *(f"{MODEL}/{name}" for name in stack.fleet))

    async def asyncSetUp(self):
        asyncio.get_running_loop().set_debug(False)  # unittest turns it on
        self.tasks = []
        self.clients = []

    async def asyncTearDown(self):
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for client in self.clients:
            await client.close()
        await self.all_idle()
        self.assertTrue(self.stack.agent.alive())

    def client(self, kind=Http1):
        self.clients.append(kind("127.0.0.1", self.stack.port))
        return self.clients[-1]

    async def until(self, condition, what):
        return await asyncio.to_thread(wait_for, condition, what, PATIENCE)

    async def all_idle(self):
        """The agent knows of no request, and the servers have noticed who left."""
        await self.until(self.stack.idle, "every load 0, nothing in flight, nothing queued")
        await self.until(lambda: sum(self.on_servers().values()) == 0, "servers idle")

    async def post(self, headers=None, body=None, path=TEXT, client=None):
        client = client or self.client()
        body = body_of(path) if body is None else body
        return await asyncio.wait_for(client.request("POST", path, headers, body), PATIENCE)

    def spawn(self, awaitable):
        self.tasks.append(asyncio.create_task(awaitable))
        return self.tasks[-1]

    async def hold(self, n, headers=None, body=None):
        """n more requests that stay on their servers; returns their tasks. Cancel one, and its
        client leaves."""
        headers = {"x-demo-output-tokens": LONG, "x-demo-prompt-tokens": 8, **(headers or {})}
        before = await self.in_flight()
        tasks = []
        for i in range(n):
            tasks.append(self.spawn(self.post(headers, body)))
            await self.until(lambda: tasks[-1].done() or
                             sum(self.on_servers().values()) == sum(before.values()) + i + 1,
                             f"holder {i} on its server")
            if tasks[-1].done():
                self.fail(f"holder {i} was not held: {tasks[-1].result()}")
        return tasks

    def on_servers(self):
        return {name: self.stack.server_stats(name)["inflight"] for name in self.stack.fleet}

    async def in_flight(self):
        return await asyncio.to_thread(self.on_servers)

    async def metrics(self):
        return Metrics(await asyncio.to_thread(self.stack.metrics))

    async def state(self):
        return await asyncio.to_thread(self.stack.state)

    def queued(self):
        return self.stack.state()["models"][MODEL]["queued"]

    def assert_routed(self, answer, server=None):
        got = answer.headers
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(got["x-slo-verdict"], "route", answer)
        self.assertNotIn("x-slo-reason", got)
        self.assertEqual(got["x-slo-server"], got["x-demo-server"])
        if server:
            self.assertEqual(got["x-demo-server"], server)

    def assert_refused(self, answer, reason):
        got = answer.headers
        self.assertEqual(answer.status, 429, answer)
        self.assertEqual((got["x-slo-verdict"], got["x-slo-reason"]), ("reject", reason))
        self.assertNotIn("x-demo-server", got)
        self.assertNotIn("x-slo-server", got)
        # What is refused at once for its target meets it nowhere, however long one waits.
        hopeless = reason == "slo-failure" and got["x-slo-wait-ms"] == "0"
        self.assertEqual(hopeless, got.get("x-should-retry") == "false", answer)
        self.assertEqual(hopeless, "retry-after" not in got, answer)
        if not hopeless:
            self.assertIn(int(got["retry-after"]), range(1, 60))
        self.assertEqual(got["content-type"], "application/json")
        self.assertEqual(answer.json()["type"], "error")
        error = answer.json()["error"]
        self.assertEqual((error["type"], error["code"]), ("rate_limit_error", reason))
        self.assertTrue(error["message"])

    def assert_passed(self, answer, reason, status=200):
        got = answer.headers
        self.assertEqual(answer.status, status, answer)
        self.assertEqual((got["x-slo-verdict"], got["x-slo-reason"]), ("pass", reason))
        self.assertIn(got["x-demo-server"], self.stack.fleet)
        self.assertNotIn("x-slo-server", got)


def one_cell(gpu, tput, latency, first_token=None, **slos):
    """A profile that says the same of every request."""
    profile = {"gpu": gpu, "cost": 1.0, "tputs": [[tput]], "indexes": [[16], [128]],
               "created": 1767225600.0, "e2e": [[latency]],
               "slos": {"percentile": 99, **slos}}
    if first_token is not None:
        profile["ttft"] = [[first_token]]
    return profile
