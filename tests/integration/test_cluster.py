"""Agents that hear of each other's requests through a real Redis."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from clusterlab import ClusterCase  # noqa: E402


class TwoAgents(ClusterCase, unittest.TestCase):
    def test_what_one_places_the_other_charges_until_it_ends(self):
        redis = self.redis()
        a, b = self.node("a", redis), self.node("b", redis)
        self.place(a, "r1", "r2")
        a.holds(2, 0)
        b.holds(2, 2)
        self.place(b, "r3")
        a.holds(3, 1)
        a.ends("r1")
        b.holds(2, 1)
        a.ends("r2")
        b.ends("r3")
        a.holds(0, 0)
        b.holds(0, 0)


if __name__ == "__main__":
    unittest.main()
