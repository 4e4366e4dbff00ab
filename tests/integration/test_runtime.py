"""What the agent learns from HAProxy's runtime API, on real HAProxy: which servers it would use, and
how many requests they have. End lines are lost, doubled and reordered on their way; the ledger has
to be right again soon, and exactly 0 when nothing runs.

SLO_TEST_SCALE 1 is what `make test` runs; 5 cuts the lines off for 10 s.
"""
import asyncio
import contextlib
import json
import pathlib
import random
import signal
import socket
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from heal_lab import GRACE, POLL, SPREAD, HealLab, Load, Origin  # noqa: E402
from lab import PATIENCE, SCALE, AgentAlone, failed, in_some  # noqa: E402
from rawclient import ask, ask_all, request  # noqa: E402
from stack import MODEL, wait_for  # noqa: E402

LONG = 10000  # pieces of a stream that stays until its client leaves
CUT = max(2.0, min(30.0, 2.0 * SCALE))  # seconds without any end line


class RuntimeCase(unittest.TestCase):
    def until(self, condition, what, seconds=30):
        """The seconds that it took."""
        def true():
            try:
                return condition()
            except OSError:
                return False
        began = time.monotonic()
        wait_for(true, what, seconds * PATIENCE)
        return time.monotonic() - began

    async def soon(self, condition, what, seconds=30):
        return await asyncio.to_thread(self.until, condition, what, seconds)

    def usable(self, name):
        return self.lab.ledger()[name]["usable"]

    def becomes(self, name, usable):
        return self.until(lambda: self.usable(name) == usable, f"{name} usable: {usable}")

    def served_by(self, n=20):
        """Who serves n requests, one after another. Each goes where the agent sent it."""
        async def run():
            return [await ask(self.lab.port, request(f"w{i}", headers=SPREAD)) for i in range(n)]
        answers = asyncio.run(run())
        self.assertEqual([], [str(a) for a in answers if not a.good])
        for a in answers:
            self.assertEqual(("route", a.headers["x-demo-server"]),
                             (a.verdict, a.headers["x-slo-server"]), a)
        return {a.headers["x-demo-server"] for a in answers}


class States(RuntimeCase):
    """One stack for all: every test leaves its servers as they were, and idle."""

    @classmethod
    def setUpClass(cls):
        cls.stack = HealLab(room=1000, speed=50, config=lambda c: c["models"][MODEL]["deployments"]
                            ["l20"]["servers"].append("extra-*"))
        cls.enterClassContext(cls.stack)
        cls.stack.checks(False)  # of the agent: a machine that stands still would make it DOWN

    def start(self):
        self.lab = self.stack
        self.until(lambda: all(self.usable(name) for name in self.lab.fleet), "all are used")
        return self.lab

    def test_no_request_is_sent_to_a_server_that_haproxy_would_not_use(self):
        lab = self.start()
        self.assertIn("l20-1", self.served_by())
        for command, back in (("state maint", "state ready"), ("state drain", "state ready")):
            lab.runtime(f"set server {MODEL}/l20-1 {command}")
            self.becomes("l20-1", False)
            self.assertNotIn("l20-1", self.served_by())
            lab.runtime(f"set server {MODEL}/l20-1 {back}")
            self.becomes("l20-1", True)
            self.assertIn("l20-1", self.served_by(), command)
        self.until(lab.idle, "nothing is left")

    def test_a_server_in_maintenance_keeps_the_load_of_what_runs_on_it(self):
        lab = self.start()

        async def run():
            stream = asyncio.create_task(
                ask(lab.port, request("s", tokens=10000, stream=True)))
            await self.soon(lambda: sum(lab.there().values()) == 1, "it runs")
            name = max(lab.there(), key=lab.there().get)
            await asyncio.to_thread(lab.runtime, f"set server {MODEL}/{name} state maint")
            await self.soon(lambda: not self.usable(name), "in maintenance")
            await asyncio.sleep(GRACE + 4 * POLL)
            self.assertEqual(1, lab.here()[name])
            self.assertGreater(lab.ledger()[name]["load"], 0)
            await asyncio.to_thread(lab.runtime, f"set server {MODEL}/{name} state ready")
            stream.cancel()
            await asyncio.gather(stream, return_exceptions=True)
            await self.soon(lab.idle, "nothing is left")
        asyncio.run(run())

    def test_a_server_of_which_the_check_fails_is_left_out_until_it_recovers(self):
        lab = self.start()
        origin = Origin()
        self.addCleanup(origin.stop)
        lab.runtime(f"set server {MODEL}/l20-2 addr 127.0.0.1 port {origin.port}")
        self.assertIn("origin", {a.headers["x-demo-server"] for a in asyncio.run(
            ask_all(lab.port, [request(f"o{i}", headers=SPREAD) for i in range(20)]))})
        origin.healthy = False
        took = self.becomes("l20-2", False)
        asked = origin.asked
        self.assertNotIn("origin", self.served_by())
        self.assertEqual(asked, origin.asked)
        origin.healthy = True
        back = self.becomes("l20-2", True)
        lab.runtime(f"set server {MODEL}/l20-2 addr 127.0.0.1 port {lab.server_port['l20-2']}")
        print(f"a failing check was seen after {took:.2f} s, its recovery after {back:.2f} s")
        self.until(lab.idle, "nothing is left")

    def test_a_server_added_at_run_time_is_used_and_one_deleted_is_not(self):
        lab = self.start()
        origin = Origin()
        self.addCleanup(origin.stop)
        name = f"{MODEL}/extra-1"
        self.assertIn("egistered", lab.runtime("experimental-mode on;"
                      f"add server {name} 127.0.0.1:{origin.port} check inter 100ms fall 2 rise 2"))
        lab.runtime(f"experimental-mode on;enable health {name};enable server {name}")
        self.until(lambda: lab.ledger().get("extra-1", {}).get("usable"), "it is used")
        answers = asyncio.run(ask_all(lab.port, [request(f"o{i}", headers=SPREAD) for i in range(20)]))
        self.assertIn("extra-1", {a.headers["x-slo-server"] for a in answers})
        self.assertEqual([], [str(a) for a in answers if not a.good])
        origin.healthy = False
        self.becomes("extra-1", False)
        origin.healthy = True
        self.becomes("extra-1", True)
        lab.runtime(f"set server {name} state maint")
        self.becomes("extra-1", False)
        self.until(lambda: "eleted" in lab.runtime(
            f"experimental-mode on;shutdown sessions server {name};del server {name}"), "deleted")
        self.until(lambda: "extra-1" not in lab.ledger(), "it is forgotten")
        self.assertEqual(set(lab.fleet), set(lab.ledger()))
        self.served_by()
        self.until(lab.idle, "nothing is left")

    def test_the_last_view_stays_while_haproxy_does_not_answer(self):
        lab = self.start()
        lab.runtime(f"set server {MODEL}/l20-3 state maint")
        self.becomes("l20-3", False)
        sock = lab.dir / "stats.sock"
        gone = "gives no answer: No such file"
        silent = lab.agent.text().count(gone)  # before HAProxy was there
        sock.rename(lab.dir / "hidden.sock")
        self.until(lambda: lab.counter("haproxy_view_age_seconds") > 1, "its age shows")
        self.until(lambda: not lab.answers(), "the next question has no answer")
        self.assertNotIn("l20-3", self.served_by())
        (lab.dir / "hidden.sock").rename(sock)
        self.until(lab.answers, "it is back")
        self.until(lambda: lab.counter("haproxy_view_age_seconds") < 1, "its age is gone")
        self.assertEqual(silent + 1, lab.agent.text().count(gone))
        self.until(lambda: "runtime-api: this warning is over" in lab.agent.text().rsplit(gone, 1)[1], "it is over")


class Drift(RuntimeCase):
    """One stack for all. The agent and HAProxy are restarted on the way, so counters are compared
    with what they were."""

    @classmethod
    def setUpClass(cls):
        cls.stack = HealLab(room=1000, speed=2)
        cls.enterClassContext(cls.stack)

    def start(self):
        self.lab = self.stack
        self.until(self.lab.answers, "HAProxy answers")
        self.before = {cause: self.counted(cause) for cause in ("surplus", "expired", "max-age")}
        return self.lab

    def counted(self, cause):
        return self.lab.counter("ledger_repairs_total", cause=cause)

    def repaired(self, cause):
        return self.counted(cause) - self.before[cause]

    async def streams(self, n, **kw):
        """So many, all in HAProxy."""
        lab = self.lab
        tasks = [asyncio.create_task(ask(lab.port, request(f"s{i}", tokens=LONG, stream=True, **kw)))
                 for i in range(n)]
        await self.soon(lambda: sum(lab.there().values()) == n, "all are in HAProxy")
        return tasks

    async def agree(self, what):
        """Both count the same while nothing moves: the servers stand still for it. The seconds it took."""
        self.lab.servers.send(signal.SIGSTOP)
        try:
            return await self.soon(self.lab.agrees, what)
        finally:
            self.lab.servers.send(signal.SIGCONT)

    def not_late(self, scenario, what):
        """Runs it until HAProxy's view was never older than GRACE: of a machine that stands still for longer
        the agent may believe that a request is gone which HAProxy has not seen yet."""
        def once():
            lab = self.start()
            return asyncio.run(scenario(lab))
        in_some(once, what)

    async def leave(self, streams):
        for s in streams:
            s.cancel()
        await asyncio.gather(*streams, return_exceptions=True)
        return await self.soon(self.lab.idle, "nothing is left")

    def run_load(self, what, before=0.5, during=CUT, late=0.0, drop=0.0, double=0.0):
        """A load, trouble in the middle of it. Seconds until the counts agree after the trouble,
        and until all is 0 after the load."""
        lab = self.lab

        async def run():
            load = Load(lab)
            relay = lab.relay
            relay.lines = relay.dropped = relay.doubled = 0
            load.start()
            await asyncio.sleep(before)
            await self.agree("the counts agree")
            lab.relay.drop, lab.relay.double, lab.relay.late = drop, double, late
            await asyncio.sleep(during)
            if drop:
                await self.soon(lambda: relay.dropped > 2, "some lines are lost")
            worst = sum(lab.here().values()) - sum(lab.there().values())
            lab.relay.drop = lab.relay.double = lab.relay.late = 0
            agreed = await self.agree("the counts agree again")
            await load.end()
            idle = await self.soon(lab.idle, "nothing is left")
            self.assertEqual([], [str(a) for a in load.answers if not a.good])
            return worst, agreed, idle, len(load.answers)
        worst, agreed, idle, answers = asyncio.run(run())
        print(f"{what}: {answers} streams, {lab.relay.lines} lines, {lab.relay.dropped} lost, "
              f"{lab.relay.doubled} doubled; {worst} too many at the end of it, right after "
              f"{agreed:.2f} s, all 0 {idle:.2f} s after the load")
        return worst

    def test_both_log_paths_cut_off_under_load(self):
        self.start()
        self.run_load(f"cut off for {CUT:.1f} s", drop=1.0)
        self.assertGreater(self.repaired("expired"), 0)
        self.assertEqual(0, self.repaired("max-age"))

    def test_one_line_in_twenty_lost_and_others_twice_and_in_disorder(self):
        self.start()
        self.run_load("5 % lost, 20 % doubled, up to 0.1 s late", drop=0.05, double=0.2, late=0.1)
        self.assertGreater(self.lab.end_lines("duplicate"), 0)

    def test_requests_that_wait_in_haproxy_for_their_server_are_there(self):
        async def run(lab):
            for name in lab.fleet:
                await asyncio.to_thread(lab.runtime, f"set maxconn server {MODEL}/{name} 1")
            streams = await self.streams(15, headers=SPREAD)
            self.assertEqual(5, sum(int(r["scur"]) for r in lab.stat() if r["svname"] in lab.fleet))
            await asyncio.sleep(GRACE + 4 * POLL)
            found = lab.there(), lab.here(), self.repaired("expired"), self.repaired("surplus")
            for name in lab.fleet:
                await asyncio.to_thread(lab.runtime, f"set maxconn server {MODEL}/{name} 0")
            await self.leave(streams)
            return (found[0] == found[1] and found[2:] == (0, 0)) or found
        self.not_late(run, "what waits in HAProxy is charged once")

    def test_requests_of_before_a_restart_are_charged_until_they_end(self):
        lab = self.start()

        async def run():
            streams = await self.streams(10)
            lab.agent.stop(signal.SIGKILL)
            await asyncio.to_thread(lab.start_agent)
            charged = await self.soon(lab.agrees, "the counts agree")
            self.assertEqual(10, sum(lab.here().values()))
            for name, n in lab.there().items():
                state = lab.ledger()[name]
                self.assertEqual(n > 0, state["load"] > 0, state)
                self.assertEqual(n, state["surplus"])
            self.assertGreaterEqual(self.counted("surplus"), 10)
            gone = await self.leave(streams)
            print(f"10 streams charged {charged:.2f} s after the restart, let go after {gone:.2f} s")
        asyncio.run(run())

    def test_a_reload_expires_nothing_that_the_old_process_still_serves(self):
        async def run(lab):
            reloads = lab.agent.text().count("took the place of")
            streams = await self.streams(10)
            await asyncio.to_thread(lab.reload_proxy)
            await self.soon(lambda: lab.agent.text().count("took the place of") > reloads, "the new process is seen")
            await asyncio.sleep(GRACE + 6 * POLL)
            found = sum(lab.here().values()), self.repaired("expired")
            if found != (10, 0):
                await self.leave(streams)
                return found
            # The new process's requests are healed all the same.
            lab.relay.drop = 1.0
            lost = await ask_all(lab.port, [request(f"n{i}") for i in range(5)])
            self.assertEqual([], [str(a) for a in lost if not a.good])
            await self.soon(lambda: sum(lab.here().values()) <= 10, "only those ten are left")
            lab.relay.drop = 0.0
            found = sum(lab.here().values()), self.repaired("expired")
            await self.leave(streams)
            return found == (10, 5) and self.repaired("expired") == 5 or (*found, self.repaired("expired"))
        self.not_late(run, "what the old process serves stays charged")


HEAD = "# pxname,svname,qcur,scur,status,weight,type\n"


class Fake:
    """A runtime API that says what it is told to: `say(command)` gives the bytes; None: nothing, and
    the connection stays open."""

    def __init__(self):
        self.pid, self.sessions, self.say, self.asked = 1000, {}, self.good, []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.open = []
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def good(self, _command):
        rows = "".join(f"{MODEL},{name},0,{n},UP,1,2\n" for name, n in self.sessions.items())
        return f"Pid: {self.pid}\nUptime_sec: 5\n\n{HEAD}{rows}\n".encode()

    def run(self):
        while True:
            try:
                conn = self.socket.accept()[0]
            except OSError:
                return
            with contextlib.suppress(OSError):
                command = conn.recv(65536)
                self.asked.append(command)
                answer = self.say(command)
                if answer is None:
                    self.open.append(conn)
                    continue
                for i in range(0, len(answer), 1000):
                    conn.sendall(answer[i:i + 1000])
            conn.close()

    def stop(self):
        """Ends the thread, too: one that waits for a number that is closed may take it for another's later."""
        self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.socket.close()


class Levels(RuntimeCase):
    """What a real socket answers at each level. The shipped ones have level user."""

    def start(self, level, where=None):
        def config(conf):
            conf["haproxy"].update(runtime_api=[where or "unix:level.sock"])
        self.lab = HealLab(config=config, extra_cfg=lambda lab: "global\n    stats socket "
                           f"{lab.dir}/level.sock mode 600 level {level}\n")
        self.enterContext(self.lab)
        return self.lab

    def test_user_and_more_are_enough(self):
        for level in "user", "operator":
            with self.subTest(level):
                lab = self.start(level)
                self.until(lambda: lab.answers() and not lab.state()["warnings"], "it answers")
                self.assertNotIn("denies us", lab.agent.text())

    def test_words_of_a_denial_are_known(self):
        """By a question that level user may not ask, in the place of the agent's."""
        def denied(command):
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(30)
                s.connect(str(self.lab.dir / "level.sock"))
                s.sendall(command.replace(b"show info", b"show env"))
                return b"".join(iter(lambda: s.recv(65536), b""))
        between = Fake()
        self.addCleanup(between.stop)
        lab = self.start("user", f"127.0.0.1:{between.port}")
        between.say = denied
        lab.logged(r"gives no answer: its level denies us show info; .* give that `stats socket` of HAProxy "
                   r"`level operator`")


class Answers(RuntimeCase):
    """No HAProxy: what else may come out of the addresses, of which there are two."""

    def setUp(self):
        self.api = [Fake(), Fake()]
        self.lab = AgentAlone(config=lambda c: c.update(haproxy={
            "runtime_api": [f"127.0.0.1:{a.port}" for a in self.api],
            "poll": "100ms", "grace": "300ms"}))
        self.addCleanup(lambda: self.lab.__exit__(Exception if failed(self) else None))
        for a in self.api:
            a.sessions = {name: 0 for name in self.lab.fleet}
            self.addCleanup(a.stop)
        self.lab.start()

    def inflight(self, name="l20-1"):
        return self.lab.ledger()[name]["inflight"]

    def api_state(self, i):
        return self.lab.state()["haproxy"][i]

    def test_processes_are_summed_and_a_silent_one_keeps_its_part(self):
        one, two = self.api
        one.sessions["l20-1"], two.sessions["l20-1"] = 2, 3
        self.until(lambda: self.inflight() == 5, "the sum")
        self.until(lambda: f";show stat {MODEL} 4 -1\n".encode() in one.asked[-1], "a question of our backends alone")
        two.say = lambda _: b""
        self.until(lambda: not self.api_state(1)["answers"], "it is missed")
        one.sessions["l20-1"] = 0
        n = len(one.asked)
        self.until(lambda: len(one.asked) > n + 8, "some rounds")
        self.assertEqual(5, self.inflight())
        one.sessions["l20-1"] = 7
        self.until(lambda: self.inflight() == 7, "more is believed at once")
        one.sessions["l20-1"] = 0
        two.say = two.good
        self.until(lambda: self.inflight() == 3, "the sum again")
        two.sessions["l20-1"] = 0
        self.until(self.lab.idle, "nothing is left")

    def test_an_answer_that_makes_no_sense_changes_nothing(self):
        one, two = self.api
        one.sessions["l20-1"] = two.sessions["l20-1"] = 1
        self.until(lambda: self.inflight() == 2, "the sum")
        one.say = lambda _: None
        self.lab.logged("no answer in time", 30)
        self.assertEqual(2, self.inflight())
        good = one.good("")
        bad = {
            "nothing": b"",
            "a part": good[:-1],
            "a part of a row": good[:-20],
            "no process": good[good.index(b"\n\n") + 2:],
            "rows without a header": b"Pid: 1\n\nbe,s1,0,0,UP,1,2\n\n",
            "no column scur": good.replace(b"scur", b"xcur"),
            "no number": good.replace(b",0,1,UP", b",0,x,UP"),
            "an endless line": b"Pid: 1\n\n" + b"x" * 100000,
            "a refusal": b"Permission denied\n\n",
            "no table": b"Pid: 1\n\n\n",
            "another refusal": b"Pid: 1\n\nPermission denied\n\n",
            "answers without end": b"Pid: 1\n\n" + b"No such proxy.\n\n" * 100000,
            "an answer without end": b"Pid: 1\n\n" + b"No such proxy.\n" * 100000,
            "noise": random.Random(1).randbytes(50000),
        }
        for what, data in bad.items():
            one.say = one.good
            self.until(lambda: self.api_state(0)["answers"], "it answers")
            failures = self.api_state(0)["failures"]
            one.say = lambda _: data
            self.until(lambda: self.api_state(0)["failures"] > failures + 1, what)
            self.assertEqual(2, self.inflight(), what)
            self.assertTrue(all(self.usable(name) for name in self.lab.fleet), what)
        one.say = one.good
        self.until(lambda: self.api_state(0)["answers"], "it answers")
        self.assertLess(self.lab.agent.text().count("does not know backend"), 100)

    def test_a_level_that_is_too_low_is_told(self):
        one = self.api[0]
        self.until(lambda: self.api_state(0)["answers"], "it answers")
        for what, data in (("show info", b"Permission denied\n\n" * 2),
                           ("show stat", one.good("").split(b"\n\n")[0] + b"\n\nPermission denied\n\n")):
            one.say = lambda _, data=data: data
            self.lab.logged(rf"\[WARNING\] .* HAProxy at 127.0.0.1:{one.port} gives no answer: its level denies us {what}; "
                            r"the agent does not see .*; give that `stats socket` of HAProxy `level operator`")
            self.until(lambda: f"its level denies us {what}; " in self.warned(), "the warning")
            one.say = one.good
            self.until(lambda: "denies us" not in self.warned(), "it is over")

    def warned(self):
        """All that is said of the runtime API."""
        return "\n".join(w["text"] for w in self.lab.state()["warnings"] if w["code"] == "runtime-api")

    def test_another_process_is_seen_by_its_pid_or_its_age(self):
        one = self.api[0]
        self.until(lambda: self.api_state(0)["pid"] == 1000, "its pid")
        one.pid = 1001
        self.lab.logged(r"process 1001 took the place of 1000")
        one.say = lambda c: one.good(c).replace(b"_sec: 5", b"_sec: 4")
        self.lab.logged(r"process 1001 took the place of 1001")

    def test_a_reload_changes_who_is_asked(self):
        one, two = self.api
        one.sessions["l20-1"], two.sessions["l20-1"] = 2, 3
        self.until(lambda: self.inflight() == 5, "the sum")
        self.lab.config["haproxy"]["runtime_api"].pop()
        self.lab.config_file.write_text(json.dumps(self.lab.config))
        self.lab.agent.send(signal.SIGHUP)
        self.until(lambda: self.inflight() == 2, "the first alone")
        self.assertEqual(1, len(self.lab.state()["haproxy"]))
        del self.lab.config["haproxy"]
        self.lab.config_file.write_text(json.dumps(self.lab.config))
        self.lab.agent.send(signal.SIGHUP)
        self.until(self.lab.idle, "nobody is asked")
        self.assertEqual([], self.lab.state()["haproxy"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
