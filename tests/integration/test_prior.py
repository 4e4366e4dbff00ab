"""A profile as what learning begins with, through a real HAProxy: what is recorded replays.

Environment: see tests/support/stack.py and case.py.
"""
import asyncio
import pathlib
import random
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from case import CHAT, TEXT, StackCase, body_of, text_of  # noqa: E402
from recorder_lab import RecorderLab, played  # noqa: E402
from stack import MODEL, Stack  # noqa: E402

TAUGHT = 60  # ends that are to teach each time


def with_prior(conf):
    for d in conf["models"][MODEL]["deployments"].values():
        d["profile"] = "prior"
    conf["models"][MODEL]["slo"] = {"tpat": "100ms"}
    conf["recorder"] = {"file": "decisions.rec", "max_size": "1M", "keep": 10}
    conf["snapshot"] = {"file": "state.snap", "every": "200ms"}


class RecordedStack(Stack):
    recordings, replay = RecorderLab.recordings, RecorderLab.replay


class Prior(StackCase):
    stack_type = RecordedStack
    options = {"speed": 50, "config": with_prior}

    def learned(self):
        return self.stack.state()["models"][MODEL]["learned"]

    def sources(self):
        return {(d["profile"], d["in_force"], d["state"]) for d in self.learned().values()}

    def ends(self):
        return sum(d["ends"] for d in self.learned().values())

    async def one(self, rng):
        path, stream = rng.choice((CHAT, TEXT)), rng.random() < 0.3
        body = body_of(path, text_of(round(2 ** rng.uniform(5, 14)), rng.random()), stream=stream,
                       max_tokens=rng.choice((1, 8, 60)), ignore_eos=True)
        headers = {"routing-strategy": rng.choice(("slo", "slo-adaptive"))}
        self.assert_routed(await self.post(headers, body, path))

    async def teach(self, seed):
        """Until enough ends have taught."""
        rng, before = random.Random(seed), await asyncio.to_thread(self.ends)
        while await asyncio.to_thread(self.ends) < before + TAUGHT:
            await asyncio.gather(*(self.one(rng) for _ in range(24)))
            await self.until(self.stack.idle, "idle")

    async def restart(self):
        await asyncio.to_thread(self.stack.stop_agent)
        await asyncio.to_thread(self.stack.start_agent)

    async def test_a_recording_with_a_prior_replays_across_a_restart(self):
        self.assertEqual({("prior", "profile", "warm")}, self.sources())
        await self.teach(1)
        self.assertIn("learned", {in_force for _, in_force, _ in self.sources()})
        learned = self.ends()
        await self.restart()
        self.assertEqual(learned, self.ends())
        await self.teach(2)
        await self.restart()  # what is recorded is written
        paths = self.stack.recordings()
        self.assertGreaterEqual(len(paths), 2)
        decisions = [d for path in paths for d in await asyncio.to_thread(played, self.stack, path)]
        self.assertGreaterEqual(sum(d["verdict"] == "route" for d in decisions), 2 * TAUGHT)


if __name__ == "__main__":
    unittest.main()
