"""The command line tools say what is missing or wrong, and what to do, before anything is lost."""
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from case import PATIENCE  # noqa: E402
from stack import Process, ROOT, wait_for  # noqa: E402

BUILD = pathlib.Path(os.environ.get("BUILD_DIR", ROOT / "build/release"))


def listens(path):
    with socket.socket(socket.AF_UNIX) as s:
        return s.connect_ex(str(path)) == 0


class Tools(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def run_tool(self, name, *words):
        return subprocess.run([BUILD / name, *words], capture_output=True, text=True, timeout=PATIENCE,
                              check=False)

    def assert_said(self, done, status, *texts):
        self.assertEqual(status, done.returncode, done)
        for text in texts:
            self.assertIn(text, done.stderr)

    def haproxy(self):
        """HAProxy with a stats socket, which is returned."""
        conf, path = self.dir / "haproxy.cfg", self.dir / "stats.sock"
        conf.write_text(f"global\n  stats socket {path}\n"
                        "defaults\n  mode http\n  timeout client 9s\n  timeout server 9s\n  timeout connect 9s\n"
                        f"listen any\n  bind unix@{self.dir}/any.sock\n")
        process = Process([os.environ.get("HAPROXY", "haproxy"), "-db", "-f", str(conf)],
                          self.dir / "haproxy.log")
        self.addCleanup(process.stop)
        wait_for(lambda: listens(path), "HAProxy's stats socket", PATIENCE)
        return path

    def test_on_haproxys_socket_slo_ctl_says_whose_it_is(self):
        path = self.haproxy()
        for words in (["doctor"], ["show", "models"], ["explain", "x"], ["help"]):
            done = self.run_tool("slo-ctl", "-s", path, *words)
            self.assert_said(done, 2, f"{path}: this socket is no slo-spoa's")
            self.assertEqual("", done.stdout)

    def test_where_no_agent_listens_slo_ctl_says_what_to_look_at(self):
        for path in (self.dir, self.dir / "none"):
            self.assert_said(self.run_tool("slo-ctl", "-s", path, "doctor"), 2,
                             f"{path}: ", "does its control.listen name this path?")

    def test_usage_comes_with_its_reason(self):
        for name, words, reason in (
                ("slo-ctl", [], "no command was given"),
                ("slo-profile", [], "no command was given"),
                ("slo-profile", ["shwo"], "shwo: there is no such command"),
                ("slo-profile", ["show"], "show: exactly one FILE"),
                ("slo-profile", ["cover", "x"], "cover: FILE and RECORDING"),
                ("slo-profile", ["measure"], "measure: --url is missing"),
                ("slo-profile", ["measure", "-u", "http://h:1"], "measure: --model is missing"),
                ("slo-profile", ["measure", "-u", "http://h:1", "-m", "m"], "measure: -o is missing")):
            with self.subTest(name=name, words=words):
                self.assert_said(self.run_tool(name, *words), 2, f"{name}: {reason}", "Usage: ")


if __name__ == "__main__":
    unittest.main()
