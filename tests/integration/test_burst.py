"""After a burst through HAProxy no server has room while requests wait, and the target is met again."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from burst_lab import PEAK_SECONDS, Burst, run  # noqa: E402

STRATEGIES = ("slo", "slo-adaptive")
RECOVERED = 60  # seconds after the burst, as if nothing were compressed


class Bursts(unittest.TestCase):
    def outlives(self, fleet, strategy, deployments):
        with Burst(fleet, strategy, compress=5) as stack:
            o = run(stack, before=6, after=35)
        self.assertEqual(0, o.failed)
        self.assertEqual(0, o.refused)
        self.assertGreater(len(o.watch.looks), 20, "too few looks at a queue")
        self.assertEqual([], o.watch.beside_room()[:3], "requests waited beside room")
        self.assertEqual(deployments, o.watch.used)
        self.assertLess(o.emptied, RECOVERED)
        # The burst is one: many miss the target in it. What came before and comes later does not.
        self.assertLess(o.share(-PEAK_SECONDS, 0), 70)
        self.assertGreater(o.share(-1e9, -PEAK_SECONDS), 90)
        self.assertGreater(o.share(15, 1e9), 90)

    def test_the_sample_fleet(self):
        for strategy in STRATEGIES:
            with self.subTest(strategy):
                self.outlives("sample", strategy, {"a10", "l20"})

    def test_one_fast_server_and_eight_slow_ones(self):
        for strategy in STRATEGIES:
            with self.subTest(strategy):
                self.outlives("fast", strategy, {"h100", "l20"})


if __name__ == "__main__":
    unittest.main()
