"""Many requests that stay until they are told to leave, by threads of one loop."""
import asyncio
import threading
import time

from case import LONG, TEXT, body_of
from client import Http1


class Streams:
    """Requests to all hosts in turn. bad: what clients noticed."""

    def __init__(self, hosts, tokens=LONG):
        self.hosts, self.tokens = hosts, tokens
        self.tasks, self.bad, self.leaving = [], [], False
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    async def one(self, host):
        headers = {"x-demo-output-tokens": str(self.tokens), "x-demo-prompt-tokens": "8"}
        try:
            async with Http1("127.0.0.1", host.port) as http:
                answer = await http.request("POST", TEXT, headers, body_of(TEXT))
            if answer.status != 200:
                self.bad.append(answer.status)
            return answer.headers.get("x-slo-verdict")
        except OSError as e:
            if not self.leaving:
                self.bad.append(repr(e))

    def ask(self, host):
        self.tasks.append(asyncio.run_coroutine_threadsafe(self.one(host), self.loop))
        return self.tasks[-1]

    def start(self, n):
        for i in range(n):
            self.ask(self.hosts[i % len(self.hosts)])
            time.sleep(0.003)

    def first_decision(self, by, before=0, seconds=30):
        """When an agent has been asked for the first time, while requests come to all hosts."""
        deadline, i = time.monotonic() + seconds, 0
        while time.monotonic() < deadline:
            self.ask(self.hosts[i % len(self.hosts)])
            i += 1
            time.sleep(0.02)
            try:
                if by.queued() > 0 or by.counter("requests_total") > before:
                    return time.monotonic()
            except OSError:
                pass
        raise TimeoutError("no decision")

    @staticmethod
    async def rest():
        """Connections are closed by those whose tasks were cancelled."""
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            await asyncio.wait(others, timeout=5)

    def stop(self):
        self.leaving = True
        for t in self.tasks:
            t.cancel()
        asyncio.run_coroutine_threadsafe(self.rest(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
