"""What real engines publish of themselves, and what the agent makes of it. The profiles say that each
engine runs four times as many requests as it has slots."""
import asyncio
import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "support"), str(HERE)]

import engines  # noqa: E402
from engine_case import CHAT, SLOTS, EngineCase  # noqa: E402

ROOM = 4 * SLOTS
SILENT = {"messages": [{"role": "user", "content": "babe bido bola " * 20}], "max_tokens": 8, "stream": True,
        "cache_prompt": False}


def asking(conf):
    conf["engines"] = {"metrics": "http://{address}:{port}/metrics", "poll": "100ms"}
    conf["haproxy"].update(poll="100ms", grace="1s")


class Metrics(EngineCase):
    options = {"room": ROOM, "config": asking, "runtime_api": True, "context": {"fast": 8192, "slow": 2048}}

    def servers(self):
        return self.lab.state()["models"][engines.MODEL]["servers"]

    async def pages(self, condition, what):
        """The engines once all of them are like that."""
        await self.until(lambda: all(s["engine"] and s["engine"]["pages"] and condition(s)
                                     for s in self.servers().values()), what)
        return {name: s["engine"] for name, s in self.servers().items()}

    async def test_a_llama_server_is_understood(self):
        for e in (await self.pages(lambda s: True, "pages")).values():
            self.assertEqual(("llama.cpp", True), (e["make"], e["answers"]))
            self.assertIsNone(e["kv_tokens"])
        await self.good(CHAT, SILENT)
        counted = {name: e.metrics() for name, e in self.lab.engines.items()}
        for mine, its in (("output_tokens", ("tokens_predicted_total",)),
                          ("prompt_tokens", ("prompt_tokens_total", "prompt_tokens_cached_total"))):
            real = {name: sum(m.get(n, 0) for n in its) for name, m in counted.items()}
            await self.until(lambda: real == {name: s["engine"][mine] for name, s in self.servers().items()},
                             f"what {its} say")
            self.assertGreater(sum(real.values()), 0)

    async def test_who_waits_for_a_slot_takes_room_away(self):
        """12 of 32 fit by the profiles, and at most 8 run."""
        for _ in range(3 * SLOTS):
            self.spawn(self.stream(tokens=1500))
        await self.until(lambda: any(s["withheld"] == 1 - SLOTS / ROOM for s in self.servers().values()) and
                         "engine-crowded" in [w["code"] for w in self.lab.state()["warnings"]],
                         "room withheld")

    async def test_the_tokens_of_streams_follow_from_the_counters(self):
        def learned():
            return self.lab.state()["models"][engines.MODEL]["estimator"]

        await self.good(CHAT, dict(SILENT, stream=False))  # this one tells its tokens
        await self.until(lambda: learned()["prompt_samples"] == 1, "a sample")
        told = learned()
        for _ in range(10):
            await asyncio.gather(*(self.good(CHAT, SILENT) for _ in range(2 * SLOTS)))
        await self.until(lambda: any(s["engine"]["windows"] for s in self.servers().values()), "a window")
        counted = learned()
        self.assertGreaterEqual(counted["prompt_samples"], 30)
        # A window may end while requests run: a twentieth of its tokens (EDGES) in them, and what came
        # while the page was on its way.
        self.assertAlmostEqual(told["prompt_factor"], counted["prompt_factor"], delta=0.1 * told["prompt_factor"])
        self.assertNotEqual(told["stream_bytes_per_token"], counted["stream_bytes_per_token"])


if __name__ == "__main__":
    unittest.main()
