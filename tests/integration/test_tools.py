"""The command line tools say what is missing or wrong, and what to do, before anything is lost."""
import http.server
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from case import PATIENCE  # noqa: E402
from stack import Process, ROOT, wait_for  # noqa: E402

BUILD = pathlib.Path(os.environ.get("BUILD_DIR", ROOT / "build/release"))


class Engine(http.server.ThreadingHTTPServer):
    """Streams answers with their usage; calls at_first() when the first request comes."""

    def __init__(self, at_first=lambda: None):
        super().__init__(("127.0.0.1", 0), Completion)
        self.asked, self.at_first, self.lock = 0, at_first, threading.Lock()
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self):
        self.shutdown()
        self.server_close()


class Completion(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        words, output = len(asked["prompt"].split()), asked["max_tokens"]
        with self.server.lock:
            self.server.asked += 1
            if self.server.asked == 1:
                self.server.at_first()
        time.sleep(1e-5 * words)  # this engine is so fast
        first = {"choices": [{"text": "x"}]}
        last = {"choices": [], "usage": {"prompt_tokens": words, "completion_tokens": output}}
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        self.wfile.write(f"data: {json.dumps(first)}\n\n".encode())
        self.wfile.flush()
        time.sleep(1e-4 * output)
        self.wfile.write(f"data: {json.dumps(last)}\n\ndata: [DONE]\n\n".encode())


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

    def test_of_an_answer_that_breaks_off_slo_ctl_prints_what_came(self):
        path = self.dir / "short.sock"
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
            server.listen()
            server.settimeout(PATIENCE)

            def answer():
                peer, _ = server.accept()
                peer.settimeout(PATIENCE)
                peer.recv(1, socket.MSG_PEEK)  # what is left unread makes the close a reset
                peer.sendall(b"agent: busy")
                peer.close()
            thread = threading.Thread(target=answer)
            thread.start()
            done = self.run_tool("slo-ctl", "-s", path, "show", "models")
            thread.join()
        self.assert_said(done, 2, f"{path}: Connection reset by peer")
        self.assertEqual("agent: busy\n", done.stdout)

    def test_usage_comes_with_its_reason(self):
        for name, words, reason in (
                ("slo-ctl", [], "no command was given"),
                ("slo-profile", [], "no command was given"),
                ("slo-replay", [], "no FILE was given"),
                ("slo-replay", ["-e", "-s", "slo", "x"], "-e and -s do not go together"),
                ("slo-profile", ["shwo"], "shwo: there is no such command"),
                ("slo-profile", ["show"], "show: exactly one FILE"),
                ("slo-profile", ["cover", "x"], "cover: FILE and RECORDING"),
                ("slo-profile", ["measure"], "measure: --url is missing"),
                ("slo-profile", ["measure", "-u", "http://h:1"], "measure: --model is missing"),
                ("slo-profile", ["measure", "-u", "http://h:1", "-m", "m"], "measure: -o is missing")):
            with self.subTest(name=name, words=words):
                self.assert_said(self.run_tool(name, *words), 2, f"{name}: {reason}", "Usage: ")

    def test_slo_replay_says_why_a_file_cannot_be_read(self):
        self.assert_said(self.run_tool("slo-replay", self.dir), 1, f"{self.dir}: Is a directory")

    def engine(self, **kw):
        engine = Engine(**kw)
        self.addCleanup(engine.stop)
        return engine

    def measure(self, engine, out, *words):
        return self.run_tool("slo-profile", "measure", "--url", f"http://127.0.0.1:{engine.server_port}",
                             "--model", "m", "--concurrency", "2", "--seconds", "1", "-o", out, *words)

    def test_measure_asks_nothing_of_the_server_if_it_cannot_write(self):
        engine = self.engine()
        for out, why in ((self.dir / "none/p.json", "No such file or directory"), (self.dir, "Is a directory")):
            self.assert_said(self.measure(engine, out), 1, f"{out}: {why}")
        self.assertEqual(0, engine.asked)

    def test_what_was_measured_is_printed_if_its_folder_went_away(self):
        folder = self.dir / "out"
        folder.mkdir()
        done = self.measure(self.engine(at_first=folder.rmdir), folder / "p.json")
        self.assert_said(done, 1, "No such file or directory", "the profile is on standard output")
        self.assertTrue(json.loads(done.stdout)["tputs"])

    def test_measure_warns_of_a_time_in_another_unit_before_the_first_run(self):
        nowhere = self.dir / "none/p.json"
        for slo, warned in (("tpot=50", "too long"), ("e2e=50000", "too long"), ("ttft=0.05ms", "too short"),
                            ("tpot=50ms", None), ("tpat=5s", None), ("ttft=60", None)):
            with self.subTest(slo=slo):
                done = self.measure(self.engine(), nowhere, "--slo", slo)
                self.assertEqual(warned is not None, "probably" in done.stderr, done)
                self.assertIn(warned or "", done.stderr)


if __name__ == "__main__":
    unittest.main()
