"""Tenants of different importance, as the sample has it behind a comment sign: a map from API keys to
numbers in haproxy.cfg, one argument more in spoe-slo.cfg."""
import asyncio
import json
import pathlib
import re
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from case import StackCase, one_cell  # noqa: E402
from stack import CONF, MODEL, Stack, get  # noqa: E402

TENANTS = {"gold": 100, "silver": 10, "batch": -10, "huge": 999999999, "tiny": -999999999}


def uncommented(text, pattern, with_):
    changed, n = re.subn(pattern, with_, text, flags=re.M)
    assert n == 1, pattern
    return changed


class PriorityStack(Stack):
    """The sample with its priorities."""

    def proxy_argv(self):
        argv = super().proxy_argv()
        path = self.dir / "haproxy.cfg"
        path.write_text(uncommented((CONF / self.conf_name).read_text(),
                                    r"^    # (http-request set-var\(txn\.slo_req_priority\))", r"    \1"))
        return [path if a == CONF / self.conf_name else a for a in argv]

    def env(self):
        spoe = self.dir / "spoe-slo.cfg"
        spoe.write_text(uncommented((CONF / "spoe-slo.cfg").read_text(), r"^(    args .*)$",
                                    r"\1 priority=var(txn.slo_req_priority)"))
        tenants = self.dir / "tenants.map"
        tenants.write_text("".join(f"{key} {number}\n" for key, number in TENANTS.items()))
        return {**super().env(), "SLO_SPOE_CFG": str(spoe), "SLO_TENANTS": str(tenants)}


class Priorities(StackCase):
    """One server with room for two."""

    stack_type = PriorityStack
    options = {"fleet": {"a10-1": "a10"},
               "config": lambda c: c["routing"].update(cold="max", queue_timeout="600s", queue_limit=6,
                                                       limits={"priority_max": 500})}
    profiles = {"a10": one_cell("a10", 2.0, 1.0, e2e=600)}

    def ask(self, tag, key, prompt=8, target=600):
        headers = {"x-demo-tag": tag, "x-slo-prompt-tokens": prompt, "x-demo-prompt-tokens": prompt,
                   "x-demo-output-tokens": 1, "x-slo-max-tokens": 4, "x-slo-e2e-ms": 1000 * target}
        if key:
            headers["authorization"] = f"Bearer {key}"
        return self.post(headers)

    async def queue_up(self, requests):
        holders = await self.hold(2, {"x-slo-prompt-tokens": 8, "x-slo-max-tokens": 4})
        await asyncio.to_thread(self.stack.post_server, "a10-1", "/stats/reset")
        waiting = []
        for i, request in enumerate(requests):
            waiting.append(self.spawn(self.ask(*request)))
            await self.until(lambda: self.queued() == i + 1, f"request {i} in the queue")
        return holders, waiting

    async def served(self, holders, waiting):
        """The order of service by one place."""
        holders[0].cancel()
        for answer in await asyncio.gather(*waiting):
            self.assert_routed(answer, "a10-1")
        return self.stack.server_stats("a10-1")["order"]

    async def test_the_more_important_go_first_and_in_each_class_the_more_urgent(self):
        requests = [("batch", "batch"), ("none", None), ("none, urgent", None, 8, 300),
                    ("silver", "silver"), ("gold", "gold"), ("gold, long", "gold", 4000, 400)]
        holders, waiting = await self.queue_up(requests)
        queue = (await self.state())["models"][MODEL]["queue"]
        self.assertEqual([(100, 2), (10, 1), (0, 2), (-10, 1)],
                         [(p["priority"], p["length"]) for p in queue["priorities"]])
        self.assertEqual(100, queue["urgent"]["priority"])
        self.assertEqual(["gold, long", "gold", "silver", "none, urgent", "none", "batch"],
                         await self.served(holders, waiting))
        url = f"http://127.0.0.1:{self.stack.http}/decisions?limit=6"
        shown = json.loads(await asyncio.to_thread(get, url))["decisions"]
        self.assertEqual([-10, 0, 0, 10, 100, 100], [d["priority"] for d in shown])

    async def test_when_too_many_wait_the_least_important_is_refused(self):
        requests = [("batch 1", "batch"), ("batch 2", "batch"), ("none 1", None), ("none 2", None),
                    ("silver", "silver"), ("gold 1", "gold")]
        holders, waiting = await self.queue_up(requests)
        self.assert_refused(await self.ask("batch 3", "batch"), "queue-full")
        gold = self.spawn(self.ask("gold 2", "gold"))
        self.assert_refused(await waiting.pop(1), "queue-full")  # the last of the least important
        none = self.spawn(self.ask("none 3", None))
        self.assert_refused(await waiting.pop(0), "queue-full")
        self.assert_refused(await self.ask("none 4", None), "queue-full")
        self.assertEqual(self.queued(), 6)
        self.assertFalse(any(task.done() for task in (gold, none, *waiting)))
        self.assertEqual(["gold 1", "gold 2", "silver", "none 1", "none 2", "none 3"],
                         await self.served(holders, [gold, none, *waiting]))

    async def test_no_header_of_a_client_says_it(self):
        holders, waiting = await self.queue_up([("first", None)])
        waiting.append(self.spawn(self.post({
            "x-demo-tag": "pushy", "priority": "9", "x-slo-priority": "9", "slo_priority": "9",
            "x-slo-prompt-tokens": 8, "x-demo-prompt-tokens": 8, "x-demo-output-tokens": 1,
            "x-slo-max-tokens": 4, "x-slo-e2e-ms": 600000})))
        await self.until(lambda: self.queued() == 2, "both wait")
        self.assertEqual(["first", "pushy"], await self.served(holders, waiting))

    async def test_what_is_beyond_the_bound_counts_as_the_bound(self):
        before = (await self.metrics()).sum("slo_spoa_client_limits_total", what="priority")
        holders, waiting = await self.queue_up([("tiny", "tiny"), ("huge", "huge"), ("gold", "gold")])
        self.assertEqual(["huge", "gold", "tiny"], await self.served(holders, waiting))
        after = (await self.metrics()).sum("slo_spoa_client_limits_total", what="priority")
        self.assertEqual(after - before, 2)


if __name__ == "__main__":
    unittest.main()
