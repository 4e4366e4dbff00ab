"""The endurance tests in short: the same programs, a compressed clock, small numbers.
SLO_TEST_SCALE scales counts, never conditions."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from lab import PATIENCE, scaled  # noqa: E402


class Endurance(unittest.TestCase):
    def run_program(self, name, **options):
        argv = [sys.executable, HERE / name]
        for option, value in options.items():
            argv += ["--" + option, value]
        p = subprocess.run([str(a) for a in argv], stdin=subprocess.DEVNULL, text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           timeout=3000 * PATIENCE)
        self.assertEqual(0, p.returncode, p.stdout)
        return p.stdout

    def test_soak(self):
        with tempfile.TemporaryDirectory(prefix="slo-spoa-") as out:
            path = pathlib.Path(out) / "soak.txt"
            # What the machine can it may not be able to a second later.
            text = self.run_program("soak.py", seconds=9, minute=1, share=0.2, out=path)
            self.assertEqual(text, path.read_text())
        self.assertIn("soak: good", text)

    def test_cold_starts(self):
        text = self.run_program("coldstart.py", times=3, requests=scaled(1000, 100))
        self.assertIn("3 cold starts", text)

    def test_stress(self):
        text = self.run_program("stress.py", requests=2000, clients="40,125", rounds=2)
        self.assertIn("stress: good", text)

    def test_memory(self):
        self.run_program("memory.py", connections=scaled(2000), held=scaled(4000), slack=512)

    def test_hostile_peers(self):
        text = self.run_program("hostile.py", seconds=1, rate=max(20, scaled(100)))
        self.assertIn("ledger 0, queue 0", text)


if __name__ == "__main__":
    unittest.main()
