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
        """The faster the clock of all this goes, the less a machine may be late: a busy one gets more time."""
        faults = {}
        for compress in (5, 5, 2.5, 1):
            faults[compress] = self.burst(fleet, strategy, deployments, compress)
            if not faults[compress]:
                return
        self.fail(f"at each speed of the clock: {faults}")

    def burst(self, fleet, strategy, deployments, compress):
        """What was not as it should be."""
        with Burst(fleet, strategy, compress=compress) as stack:
            o = run(stack, before=6, after=35)
        beside = o.watch.beside_room()[:3]
        self.assertEqual(0, o.failed)
        return [what for good, what in (
            (o.refused == 0, f"{o.refused} were refused"),
            (len(o.watch.looks) > 20, "too few looks at a queue"),
            (not beside, f"requests waited beside room: {beside}"),
            (o.watch.used == deployments, f"{o.watch.used} were used"),
            (o.emptied < RECOVERED, f"the queue was empty {o.emptied} s after the burst"),
            # The burst is one: many miss the target in it. What came before and comes later does not.
            (o.share(-PEAK_SECONDS, 0) < 70, f"{o.share(-PEAK_SECONDS, 0)} % in time in the burst"),
            (o.share(-1e9, -PEAK_SECONDS) > 90, f"{o.share(-1e9, -PEAK_SECONDS)} % in time before it"),
            (o.share(15, 1e9) > 90, f"{o.share(15, 1e9)} % in time after it")) if not good]

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
