"""What an operator may do to a running agent by mistake: each of these once stopped a part of it."""
import json
import os
import pathlib
import signal
import socket
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from lab import AgentAlone, end_line  # noqa: E402
from stack import MODEL, get  # noqa: E402


class Operator(unittest.TestCase):
    def start(self, **limits):
        self.agent = AgentAlone(config=lambda c: c.setdefault("limits", {}).update(limits))
        self.agent.start()
        self.addCleanup(self.agent.__exit__, None)
        self.peer = self.agent.peer()
        self.addCleanup(self.peer.close)

    def healthy(self):
        try:
            return get(f"http://127.0.0.1:{self.agent.http}/healthz", 1) == b"ok\n"
        except OSError:
            return False

    def test_a_fifo_as_a_profile_is_refused_and_the_loop_goes_on(self):
        self.start()
        path = self.agent.dir / "profiles" / MODEL / "l20.json"
        path.unlink()
        os.mkfifo(path)
        self.agent.agent.send(signal.SIGHUP)
        self.agent.logged(r"l20\.json: not a regular file; the previous profile stays")
        self.assertEqual("route", self.peer.route("after")["verdict"])
        self.agent.ends("after")

    def test_the_http_listener_comes_back_after_its_limit(self):
        self.start(http_connections=2)
        for _ in range(3):
            clients = [socket.create_connection(("127.0.0.1", self.agent.http)) for _ in range(4)]
            for c in clients:
                c.close()
            self.agent.until(self.healthy, "healthz after the limit")

    def test_absurd_times_in_an_end_line_count_for_nothing(self):
        self.start()
        self.assertEqual("route", self.peer.route("absurd")["verdict"])
        with self.agent.event_connection() as s:
            s.sendall(end_line("absurd", tr=2**63 - 1, ta=2**63 - 1))
        self.agent.until(lambda: self.agent.end_lines("closed") == 1, "closed")
        self.assertEqual(0, self.agent.counter("e2e_seconds_sum"))
        self.assertEqual(0, self.agent.counter("slo_total"))
        self.assertTrue(self.agent.idle())

    def test_limits_that_size_buffers_wait_for_a_restart(self):
        self.start()
        conf = self.agent.config
        conf["limits"]["spop_frame_size"] = "256k"
        conf["limits"]["output_buffer"] = "1m"
        self.agent.config_file.write_text(json.dumps(conf))
        self.agent.agent.send(signal.SIGHUP)
        self.agent.logged(r"reload: limits on connections, frames, lines and output take a restart")
        self.agent.logged(r"is in force")
        big = "x" * 14000
        with self.agent.peer() as p:
            self.assertEqual("route", p.route("big", path=big)["verdict"])
        self.agent.ends("big")

    def test_signals_during_the_start_wait_for_the_loop(self):
        self.start()
        second = AgentAlone(fleet={f"s{i}": "l20" for i in range(3000)})
        second.set_room(10)
        second.start_agent(wait=False)
        self.addCleanup(second.__exit__, None)
        second.logged(r"descriptors are allowed|profile ")
        second.agent.send(signal.SIGHUP)
        second.until(second.agent_ready, "ready after a SIGHUP")
        second.logged(r"is in force")


if __name__ == "__main__":
    unittest.main()
