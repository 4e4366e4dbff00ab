"""slo-profile measures a real engine."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "support"), str(HERE)]

import engines  # noqa: E402
import stack  # noqa: E402
from stack import wait_for  # noqa: E402

TOOL = pathlib.Path(os.environ.get("BUILD_DIR", stack.ROOT / "build/release")) / "slo-profile"
LIMIT_S = 600


@unittest.skipUnless(engines.available(), engines.WHY_NOT)
class Measure(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        ports = cls.ports = stack.Ports()  # as long as it lives nobody else takes them
        cls.engine = engines.Engine("fast", ports.take(), cls.folder)
        cls.nobody = ports.take()
        ports.release()
        cls.addClassCleanup(cls.engine.stop)
        cls.engine.start()

    def command(self, out, seconds):
        return [str(TOOL), "measure", "--url", self.engine.url, "--model", engines.MODEL, "--slo", "tpat=5s",
                "--concurrency", "2", "--seconds", str(seconds), "-o", str(self.folder / out)]

    def profile(self, name):
        def refuse(word):
            raise ValueError(f"{word} is no JSON")
        return json.loads((self.folder / name).read_text(), parse_constant=refuse)

    def test_a_profile_of_a_live_engine(self):
        run = subprocess.run(self.command("whole.json", 5), capture_output=True, text=True, timeout=LIMIT_S,
                             check=False)
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertLess(run.stderr.index("plan: "), run.stderr.index("run: "))
        self.assertIn("held out: off by ", run.stderr)
        doc = self.profile("whole.json")
        self.assertEqual(doc["slos"], {"tpat": 5})  # however busy the machine is
        # Prompts of random words: those of about 128 and 1024 tokens have a few more or less, so
        # the next octave at either end is within reach of them or just not.
        sizes = doc["indexes"][1]
        self.assertEqual(sizes, [sizes[0] * 2**i for i in range(len(sizes))])
        self.assertIn(sizes[0], (64, 128))
        self.assertIn(sizes[-1], (1024, 2048))
        self.assertTrue(any(t > 0 for row in doc["tputs"] for t in row))

    def test_ctrl_c_keeps_what_is_there(self):
        log = self.folder / "stopped.log"
        run = stack.Process(self.command("stopped.json", 60), log)
        self.addCleanup(run.stop)
        wait_for(lambda: "run: " in run.text(), "the end of the first run", LIMIT_S)
        run.send(signal.SIGINT)
        self.assertEqual(run.child.wait(LIMIT_S), 0, run.text())
        self.assertIn("runs are kept", run.text())
        self.assertTrue(self.profile("stopped.json")["tputs"])

    def test_a_server_that_does_not_answer(self):
        command = self.command("never.json", 5)
        command[3] = f"http://127.0.0.1:{self.nobody}"
        run = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S,
                             check=False)
        self.assertEqual(run.returncode, 1)
        self.assertIn("does not answer a completion", run.stderr)
        self.assertFalse((self.folder / "never.json").exists())


if __name__ == "__main__":
    unittest.main()
