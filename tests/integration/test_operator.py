"""What an operator may do to a running agent by mistake: each of these once stopped a part of it."""
import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from lab import AgentAlone, end_line  # noqa: E402
from spop import hello  # noqa: E402
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

    def test_servers_without_a_profile_idle_while_requests_wait_and_the_log_says_so(self):
        agent = self.agent = AgentAlone(room=1)
        self.addCleanup(lambda: agent.__exit__(None))
        (agent.dir / "profiles" / MODEL / "a10.json").unlink()
        agent.start()
        agent.logged(r"a10\.json: No such file or directory; without one its servers get only what "
                     r"falls back")
        with agent.peer() as peer:
            placed = [peer.route(f"r{i}")["server"] for i in range(4)]
            self.assertEqual(["l20-1", "l20-2", "l20-3", "l20-4"], sorted(placed))
            peer.ask("waits")
            agent.until(lambda: agent.queued() == 1, "it waits")
            agent.ends("r0")
            self.assertEqual(placed[0], peer.answer()["server"])
            agent.ends("r1", "r2", "r3", "waits")

    def reload(self):
        """What is logged by it."""
        before = len(self.agent.agent.text())
        self.agent.agent.send(signal.SIGHUP)
        self.agent.until(lambda: "is in force" in self.agent.agent.text()[before:], "the reload")
        self.agent.state()  # the loop goes on: all is said
        return self.agent.agent.text()[before:]

    def test_a_reload_tells_of_profiles_what_has_changed(self):
        self.start()
        self.assertNotIn("profiles/", self.reload())
        path = self.agent.dir / "profiles" / MODEL / "l20.json"
        path.write_text(path.read_text() + "\n")
        said = self.reload()
        self.assertEqual(1, said.count("profile-stale:"), said)
        self.assertIn('l20.json: its "created" is not newer than that in force', said)

    def test_a_fifo_as_the_configuration_is_refused_and_the_loop_goes_on(self):
        self.start()
        self.agent.config_file.unlink()
        os.mkfifo(self.agent.config_file)
        self.agent.agent.send(signal.SIGHUP)
        self.agent.logged(r"reload: \S+slo-spoa\.json: cannot read: not a regular file; the old "
                          r"configuration stays")
        self.assertEqual("route", self.peer.route("after")["verdict"])
        self.agent.ends("after")

    def test_a_stopped_reader_of_the_log_stops_nobody(self):
        self.agent = AgentAlone(config=lambda c: c.update(log={"level": "debug"}))
        fifo = self.agent.dir / "stderr"
        os.mkfifo(fifo)
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        # What the agent says at its end goes into the file that others look at.
        copier = threading.Thread(target=self.copy, args=(reader, self.agent.dir / "agent.log"))
        self.addCleanup(copier.join)
        self.agent.wrap = ["sh", "-c", 'exec "$@" 2>"$0"', str(fifo), *self.agent.wrap]
        self.agent.start()
        self.addCleanup(self.agent.__exit__, None)
        with self.agent.peer() as p, self.agent.event_connection() as events:
            for i in range(1500):  # a line each: more than a pipe holds
                self.assertEqual("route", p.route(f"unread-{i}")["verdict"])
                events.sendall(end_line(f"unread-{i}"))
            self.agent.until(self.agent.idle, "an empty ledger")
            self.assertGreater(self.agent.counter("log_lines_lost_total"), 0)
            copier.start()
            self.agent.logged(r"unread-0: slo route")
            self.assertEqual("route", p.route("read-again")["verdict"])
            self.agent.ends("read-again")
        self.agent.logged(r"\[WARNING\] .* \d+ log lines could not be written\n.*read-again: ")
        self.agent.until(self.agent.idle, "an empty ledger")

    @staticmethod
    def copy(reader, path):
        with open(path, "ab", buffering=0) as out:
            os.set_blocking(reader, True)
            while data := os.read(reader, 65536):
                out.write(data)
        os.close(reader)

    def test_the_kernel_may_let_frames_gather_unless_another_policy_was_chosen(self):
        with AgentAlone() as lab:
            self.assertEqual(os.sched_getscheduler(lab.agent.child.pid), os.SCHED_BATCH)
        with AgentAlone(wrap=["chrt", "--idle", "0"]) as lab:
            self.assertEqual(os.sched_getscheduler(lab.agent.child.pid), os.SCHED_IDLE)

    def test_without_descriptors_new_work_waits_and_the_old_goes_on(self):
        def change(conf):
            conf["limits"] = {"hello_timeout": "10m"}

        self.agent = AgentAlone(config=change)
        self.agent.wrap = ["sh", "-c", 'ulimit -n 64; exec "$@"', "sh", *self.agent.wrap]
        self.agent.start()
        self.addCleanup(self.agent.__exit__, None)
        began = time.monotonic()
        with self.agent.peer() as p, self.agent.event_connection() as events, \
                contextlib.ExitStack() as many:
            events.sendall(end_line("known"))  # silent connections would make room
            for port in (self.agent.spop, self.agent.events, self.agent.http):
                for _ in range(64):
                    s = many.enter_context(socket.create_connection(("127.0.0.1", port)))
                    with contextlib.suppress(OSError):
                        s.sendall(hello())
            self.agent.logged(rf"\[ALERT\] .* 127\.0\.0\.1:{self.agent.spop}: accept: "
                              r"Too many open files, waiting 0\.1 s\n")
            self.agent.agent.send(signal.SIGHUP)
            self.agent.logged(r"reload: .* cannot read: Too many open files; the old "
                              r"configuration stays\n")
            for i in range(50):
                self.assertEqual("route", p.route(f"poor-{i}")["verdict"])
                events.sendall(end_line(f"poor-{i}"))
            # Three ports are tried ten times a second. The log has ten lines in ten seconds.
            self.assertLess(self.agent.agent.text().count("accept: "), 40 + 3 * (time.monotonic() - began))
        self.agent.until(self.healthy, "http accepts again", 60)
        self.agent.until(self.agent.idle, "an empty ledger")
        with self.agent.peer() as p:
            self.assertEqual("route", p.route("rich")["verdict"])
        self.agent.ends("rich")

    def test_an_id_longer_than_its_limit_is_left_to_haproxy(self):
        self.start(id_length=20)
        self.assertEqual("route", self.peer.route("x" * 20)["verdict"])
        began = time.monotonic()
        for _ in range(30):
            says = self.peer.route("x" * 21)
            self.assertEqual(("pass", "bad-request"), (says["verdict"], says["reason"]))
        self.assertEqual(30, self.agent.counter("requests_total", reason="bad-request"))
        said = "a request without a unique-id of 1 to 20 bytes is left to HAProxy\n"
        # Ten lines in ten seconds.
        self.assertIn(self.agent.agent.text().count(said), range(10, 11 + int(time.monotonic() - began)))
        self.agent.ends("x" * 21, "x" * 20)
        self.agent.until(lambda: self.agent.end_lines("malformed") == 1, "the longer end line")
        self.agent.until(self.agent.idle, "an empty ledger")
        self.assertEqual(0, self.agent.end_lines("unknown"))

    def test_http_connections_without_a_request_are_named(self):
        self.start()
        with socket.create_connection(("127.0.0.1", self.agent.http)) as s:
            s.sendall(b"GET /metr")
            name = re.escape("%s:%d" % s.getsockname())
            self.assertEqual(b"", s.recv(1))
        self.agent.logged(rf"\[INFO\] .* http: connection from {name} closed: no request in time\n")

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
        self.agent.logged(r"reload: limits on connections, frames, ids, lines and output take a restart")
        self.agent.logged(r"is in force")
        big = "/v1/completions?" + "x" * 14000
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
