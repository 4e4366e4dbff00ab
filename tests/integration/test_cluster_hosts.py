"""Two hosts, each a HAProxy and an agent, with the files for them in haproxy-conf/ as they are
shipped: an active agent and one in reserve, and two active ones."""
import asyncio
import os
import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from case import LONG, TEXT, body_of  # noqa: E402
from client import Http1  # noqa: E402
from clusterlab import key_mark  # noqa: E402
from hosts import SIZE, Hosts  # noqa: E402
from redislab import Redis  # noqa: E402
from stack import CONF, ROOT  # noqa: E402

BUILD = pathlib.Path(os.environ.get("BUILD_DIR", ROOT / "build/release"))
STREAM = {"x-demo-output-tokens": str(LONG), "x-demo-prompt-tokens": "8"}
SHORT = {"x-demo-output-tokens": "4", "x-demo-prompt-tokens": "8"}


class WithHosts(unittest.IsolatedAsyncioTestCase):
    def hosts(self, conf, **kw):
        redis = self.redis = Redis()
        self.addCleanup(redis.close)
        redis.start()
        return self.enterContext(Hosts(conf, redis.url, **kw))

    def setUp(self):
        self.tasks = []

    async def asyncTearDown(self):
        for t in self.tasks:
            t.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def ask(self, host, headers):
        async def once():
            async with Http1("127.0.0.1", host.port) as http:
                return await http.request("POST", TEXT, headers, body_of(TEXT))
        self.tasks.append(asyncio.create_task(once()))
        return self.tasks[-1]

    async def until(self, hosts, condition, what, seconds=30):
        await asyncio.to_thread(hosts.until, condition, what, seconds)


class ActiveAndReserve(WithHosts):
    async def test_the_reserve_takes_over_with_the_ledger_as_it_was(self):
        hosts = self.hosts("haproxy-pair.cfg", speed=5)
        one, two = hosts
        places = 4 * SIZE
        streams = [self.ask(hosts[i % 2], STREAM) for i in range(places)]
        await self.until(hosts, lambda: sum(two.here().values()) == places, "all places are taken")
        await self.until(hosts, lambda: all(p["visible"] for h in hosts for p in h.state()["cluster"]["peers"]),
                         "both ask the same HAProxys")
        held = [self.ask(hosts[i % 2], STREAM) for i in range(6)]
        await self.until(hosts, lambda: one.queued() == 6, "six wait")
        self.assertEqual(0, two.queued())  # one queue for both HAProxys
        one.kill_agent()
        await self.until(hosts, lambda: all("agent-2" in h.agents_up() and "agent-1" not in h.agents_up()
                                            for h in hosts), "agent 1 is down")
        # What it held runs, balanced; what ran is known to agent 2, and so is what was balanced.
        await self.until(hosts, lambda: sum(two.here().values()) == places + 6, "all are charged")
        late = self.ask(one, SHORT)
        await self.until(hosts, lambda: two.queued() == 1, "agent 2 holds what has no room")
        for t in streams[:12] + held:
            t.cancel()  # its client leaves
        answer = await asyncio.wait_for(late, 120)
        self.assertEqual((200, "route"), (answer.status, answer.headers["x-slo-verdict"]))
        await asyncio.to_thread(hosts.agree)
        # Agent 1 comes back, and knows what runs before HAProxy asks it.
        await self.until(hosts, lambda: (m := key_mark(self.redis, "node-2", "llm")) and m.number == m.told, "its key")
        before = len(one.agent.text())
        one.start_agent()
        charged = sum(one.here().values())
        if "Redis does not tell" not in one.agent.text()[before:]:  # a machine that stands still gives it up
            self.assertEqual(places - 12, charged)
        await self.until(hosts, lambda: all("agent-1" in h.agents_up() for h in hosts), "agent 1 is up")
        decided = one.counter("requests_total")
        answers = await asyncio.gather(*(self.ask(h, SHORT) for h in hosts))
        self.assertEqual(["route"] * 2, [a.headers["x-slo-verdict"] for a in answers])
        self.assertEqual(decided + 2, one.counter("requests_total"))
        for t in streams:
            t.cancel()
        await asyncio.to_thread(hosts.until_idle)
        errors = [t for t in streams + held if t.done() and not t.cancelled() and
                  (t.exception() or t.result().status != 200)]
        self.assertEqual([], errors)


class Samples(unittest.TestCase):
    def test_they_pass_the_check(self):
        for name in "haproxy-pair.cfg", "haproxy-active.cfg":
            p = subprocess.run([BUILD / "slo-spoa", "-c", "-f", CONF / "slo-spoa-pair.json", "--haproxy",
                                CONF / name], capture_output=True, text=True, check=False)
            self.assertEqual(0, p.returncode, p.stderr)


class TwoActive(WithHosts):
    async def test_no_server_gets_more_than_it_can_because_of_the_other(self):
        """The agents hear of each other before the next request comes, unless the machine stood still."""
        seen = []
        while not seen or seen[-1] is not True:
            self.assertLess(len(seen), 8, f"they overshoot each time: {seen}")
            seen.append(await self.overload())

    async def overload(self):
        """True, or by how much servers had more than they can."""
        hosts = self.hosts("haproxy-active.cfg", speed=3)
        tasks = []
        for i in range(6 * 4 * SIZE):  # three times what they can serve
            tasks.append(self.ask(hosts[i % 2], {**SHORT, "x-demo-output-tokens": str(20 + 7 * i % 40)}))
            await asyncio.sleep(0.005)  # apart: a message takes less than that
        answers = await asyncio.wait_for(asyncio.gather(*tasks), 600)
        self.assertEqual({200}, {a.status for a in answers})
        self.assertEqual({"route"}, {a.headers["x-slo-verdict"] for a in answers})
        await asyncio.to_thread(hosts.until_idle)
        # By what decides: a server that has sent its last byte may count that request for a while.
        peaks = {name: max(h.ledger()[name]["peak_inflight"] for h in hosts) for name in hosts.peaks()}
        self.assertGreaterEqual(min(peaks.values()), SIZE - 1, peaks)
        overshoots = [h.overshoots() for h in hosts]
        for h in hosts:
            self.assertEqual(len(tasks) / 2, h.counter("requests_total", verdict="route"))
        # By HAProxy's lines and the other's news, not by its counts.
        expired = [h.counter("ledger_repairs_total", cause="expired") for h in hosts]
        good = max(peaks.values()) <= SIZE + 1 and max(overshoots) <= len(tasks) / 20 and not any(expired)
        return good or (peaks, overshoots, expired)

    async def test_the_other_agent_helps_out(self):
        hosts = self.hosts("haproxy-active.cfg", speed=50)
        one, two = hosts
        one.kill_agent()
        await self.until(hosts, lambda: "agent" not in one.agents_up(), "agent 1 is down")
        answer = await self.ask(one, SHORT)
        self.assertEqual("route", answer.headers["x-slo-verdict"])
        await asyncio.to_thread(hosts.until_idle)


if __name__ == "__main__":
    unittest.main()
