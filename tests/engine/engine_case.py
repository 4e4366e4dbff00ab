"""What the tests with real engines share: a stack of a fast and a slow one for all tests of a class."""
import asyncio
import json
import unittest

import engines
import model
from client import Http1
from lab import Lab
from stack import wait_for

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
PATIENCE_S = 600  # engines compute on the processors that all share
SLOTS = 4
CONTEXT = 2048
LONG = {"fast": 8192, "slow": CONTEXT}  # contexts whose streams last for many seconds
JSON = {"content-type": "application/json"}
SAY = [{"role": "user", "content": "babe bido bola"}]
WEATHER = {"name": "weather", "description": "Tells the weather.", "parameters": {
    "type": "object", "properties": {"unit": {"type": "string", "enum": ["c", "f"]}},
    "required": ["unit"], "additionalProperties": False}}
TOOLS = {"tools": [{"type": "function", "function": WEATHER}], "tool_choice": "required",
         "parallel_tool_calls": False, "logit_bias": model.CALL_BIAS, "max_tokens": 400}


class EngineLab(Lab, engines.EngineStack):
    """Engines whose profiles have room for as many requests as they have slots."""


@unittest.skipUnless(engines.available(), engines.WHY_NOT)
class EngineCase(unittest.IsolatedAsyncioTestCase):
    options = {}

    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(
            EngineLab(**{"room": SLOTS, "slots": SLOTS, "context": CONTEXT, **cls.options}))

    async def asyncSetUp(self):
        asyncio.get_running_loop().set_debug(False)  # unittest turns it on
        self.tasks, self.clients = [], []

    async def asyncTearDown(self):
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for client in self.clients:
            await client.close()
        await self.books_closed()
        await self.until(lambda: all(e.busy() == 0 for e in self.lab.engines.values()), "idle engines")
        self.assertTrue(self.lab.agent.alive())

    async def books_closed(self):
        try:
            await self.until(self.lab.idle, "every load 0, nothing queued, nothing in flight")
        except TimeoutError:
            self.fail("\n".join(["the books are open:", json.dumps(self.lab.ledger()),
                                 self.lab.agent.text()[-3000:], self.lab.proxy.text()[-1500:],
                                 self.lab.runtime("show sess all")[:6000]]))

    async def until(self, condition, what):
        return await asyncio.to_thread(wait_for, condition, what, PATIENCE_S)

    def client(self, kind=Http1, port=None):
        self.clients.append(kind("127.0.0.1", port or self.lab.port))
        return self.clients[-1]

    async def ask(self, path, body, client=None, headers=None):
        data = body if isinstance(body, bytes) else json.dumps({"model": engines.MODEL, **body}).encode()
        client = client or self.client()
        return await asyncio.wait_for(
            client.request("POST", path, {**JSON, **(headers or {})}, data), PATIENCE_S)

    def spawn(self, awaitable):
        self.tasks.append(asyncio.create_task(awaitable))
        return self.tasks[-1]

    async def good(self, path, body, **kw):
        answer = await self.ask(path, body, **kw)
        self.assertEqual((200, "route"), (answer.status, answer.headers.get("x-slo-verdict")), answer)
        self.assertIn(answer.headers["x-slo-server"], self.lab.fleet)
        return answer

    async def stream(self, tokens=LONG["fast"], **more):
        """A stream that has begun: its answer, of which the first event was read."""
        body = {"model": engines.MODEL, "messages": SAY, "max_tokens": tokens, "stream": True,
                "ignore_eos": True, **more}
        answer = await self.client().start("POST", CHAT, JSON, json.dumps(body).encode())
        self.assertEqual(200, answer.status, answer)
        await anext(answer)
        return answer

    def inflight(self):
        return {name: s["inflight"] for name, s in self.lab.ledger().items()}

    async def fill(self):
        """Long streams on all slots."""
        streams = [await self.stream() for _ in range(SLOTS * len(self.lab.fleet))]
        await self.until(lambda: set(self.inflight().values()) == {SLOTS}, "full servers")
        return streams
