"""Agents that hear of each other's requests through a real Redis: what they say and what they hear."""
import concurrent.futures
import contextlib
import itertools
import json
import math
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from clusterlab import GROUP, ClusterCase, Forged, key_has, key_mark  # noqa: E402
from lab import PATIENCE, end_line, in_some  # noqa: E402
from stack import DEADLINE_LEAST, MODEL, wait_for  # noqa: E402

HALF = 1 << 31  # of a server


def calls(redis, command):
    """How often Redis was asked that."""
    found = re.search(rf"cmdstat_{command}:calls=(\d+)", redis("INFO", "commandstats").decode())
    return int(found[1]) if found else 0


class SlowReader:
    """Between an agent and Redis: reads a little, and after each a pause. Who cannot be told a reply is left."""

    def __init__(self, redis):
        self.redis, self.pause, self.threads = redis, 0, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                agent, _ = self.listener.accept()
                redis = socket.socket(socket.AF_UNIX)
                redis.connect(str(self.redis.path))
                for copy in (self.commands, self.replies):
                    self.threads.append(threading.Thread(target=copy, args=(agent, redis), daemon=True))
                    self.threads[-1].start()

    def commands(self, agent, redis):
        with contextlib.suppress(OSError):
            while data := agent.recv(512):
                redis.sendall(data)
                time.sleep(self.pause)
        with contextlib.suppress(OSError):
            redis.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def replies(agent, redis):
        with contextlib.suppress(OSError):
            while data := redis.recv(65536):
                agent.sendall(data)
        for s in (agent, redis):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)

    def join(self):
        """Both sides of each connection are closed."""
        for t in self.threads:
            t.join(DEADLINE_LEAST)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


class Agents(ClusterCase, unittest.TestCase):
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
        self.assertEqual((0, 0), (b.peers()["a"]["gaps"], b.cluster()["malformed"]))
        self.assertEqual(0, b.counter("cluster_messages_total", what="malformed"))
        self.assertGreater(b.counter("cluster_delay_seconds_count"), 0)

    def test_a_full_fleet_is_full_for_both(self):
        redis = self.redis()
        a, b = self.node("a", redis, room=2), self.node("b", redis, room=2)
        self.place(a, "r1", "r2")
        b.holds(2, 2)
        with b.peer() as p:
            p.ask("r3")
            b.until(lambda: b.queued() == 1, "r3 waits")
            a.ends("r1")
            self.assertEqual("route", p.answer()["verdict"])
        a.holds(2, 1)

    def test_a_crowd_leaves_half_of_the_room_until_the_other_has_heard(self):
        redis = self.redis()
        a, b = self.node("a", redis), self.node("b", redis)
        a.hears("b")
        numbers = itertools.count()

        def half():
            """Redis stands still, so b hears of nothing; half of 8 wait until that is given up."""
            ids = [f"r{next(numbers)}" for _ in range(8)]
            redis.stop()
            try:
                with a.peer() as p:
                    for i in ids:
                        p.ask(i, model=MODEL)
                    waits = sorted(p.answer()["wait_ms"] for _ in range(8))
            finally:
                redis.go()
            a.ends(*ids)
            b.holds(0, 0)
            a.holds(0, 0)
            return waits[4] >= 5 and waits[7] < 1000
        a.until(half, "four of eight are held until others have heard, or cannot")
        # Heard at once, all go out at once, and the other one is left nothing.
        self.place(a, *(f"s{i}" for i in range(8)))
        b.holds(8, 8)

    def test_who_joins_has_all_that_is_open_before_it_is_ready(self):
        redis = self.redis()
        a, b = self.node("a", redis, room=1000), self.node("b", redis, room=1000)
        self.place(a, *(f"a{i}" for i in range(600)))
        self.place(b, *(f"b{i}" for i in range(5)))
        a.holds(605, 5)
        key_has(redis, "a", 600)
        key_has(redis, "b", 5)
        c = self.joined("c", redis, room=1000)
        self.assertEqual((605, 605), c.on())
        self.assertTrue(c.cluster()["joined"])
        # Of one that died, too.
        a.agent.stop(signal.SIGKILL)
        d = self.joined("d", redis, room=1000)
        self.assertEqual((605, 605), d.on())
        # Its requests end by a line that only b hears.
        b.ends(*(f"a{i}" for i in range(600)))
        for n in (b, c, d):
            n.holds(5, 0 if n is b else 5)
            n.logged("cluster: a is silent")
            self.assertIn(("cluster-silent", "a"),
                          [(w["code"], w["subject"]) for w in n.state()["warnings"]])

    def test_an_agent_that_restarts_knows_what_it_had_placed(self):
        redis = self.redis()
        a, b = self.node("a", redis), self.node("b", redis)
        self.place(a, "r1", "r2", "r3")
        b.holds(3, 3)
        key_has(redis, "a", 3)
        a.agent.stop(signal.SIGKILL)
        b.ends("r1")
        b.holds(2, 2)
        a.start()
        a.holds(2, 2)
        b.logged("cluster: a has started anew")
        a.ends("r2")  # its HAProxy's line of a former life
        b.holds(1, 1)
        self.place(a, "r4")
        b.holds(2, 2)
        a.ends("r3", "r4")
        a.holds(0, 0)
        b.holds(0, 0)

    def test_what_a_snapshot_has_too_is_charged_once(self):
        redis = self.redis()
        keep = {"change": lambda c: c.update(snapshot={"file": "snapshot"})}
        a, b = self.node("a", redis, **keep), self.node("b", redis, **keep)
        self.place(a, "r1", "r2")
        self.place(b, "r3")
        b.holds(3, 2)
        a.stop_agent()
        a.start()
        a.holds(3, 1)
        a.ends("r1")
        b.holds(2, 1)
        self.place(a, "r4")
        b.holds(3, 2)
        a.ends("r2", "r4")
        b.ends("r3")
        a.holds(0, 0)
        b.holds(0, 0)

    def test_after_a_gap_the_key_is_read_again(self):
        redis = self.redis()
        a, x = self.node("a", redis), Forged(redis, "x")
        x.key()
        x.say(kind=2)
        a.hears("x")
        a.until(lambda: a.peers()["x"]["resyncs"] == 1, "the key of x is read")
        x.placed("r1", "r2")
        a.holds(2, 2)
        x.number += 1  # a message that nobody heard: r1 ended, r3 came
        x.key("r2", "r3", "r4")
        x.placed("r4")
        a.until(lambda: a.peers()["x"]["resyncs"] == 2, "the key of x is read again")
        a.holds(3, 3)
        self.assertEqual(1, a.peers()["x"]["gaps"])
        # The last message before a silence is missed: the beat tells.
        x.number += 1
        x.key("r4")
        x.say(kind=2)
        a.holds(1, 1)

    def test_a_key_that_is_behind_the_news_closes_nothing_of_them(self):
        redis = self.redis()
        a, x = self.node("a", redis), Forged(redis, "x")
        x.key()
        x.say(kind=2)
        a.hears("x")
        a.until(lambda: a.peers()["x"]["resyncs"] == 1, "the key of x is read")
        x.placed("r1")
        x.placed("r2")
        a.holds(2, 2)
        x.number += 1  # a message that nobody heard: r3 came
        x.key("r3", number=1)  # and r1 ended before
        x.say(kind=2)
        a.until(lambda: a.peers()["x"]["resyncs"] == 2, "the key of x is read again")
        self.assertEqual((2, 2), a.on())
        self.assertEqual(2, a.peers()["x"]["leases"])
        x.key("r3")  # r2 ended, too
        x.say(kind=2)
        a.holds(1, 1)

    def test_who_joins_reads_a_key_when_it_is_up_to_what_was_told(self):
        redis = self.redis()
        x = Forged(redis, "x")
        x.number = 5

        def follows():
            """A key that comes too late, by a machine that stands still, is read as it is."""
            x.key(number=4)
            before = calls(redis, "hget")
            a = self.node("a", redis, start=False)

            ready = threading.Event()

            def follow():
                wait_for(lambda: ready.is_set() or calls(redis, "hget") >= before + 4,
                         "a looks at the mark again, or does not", 10 * PATIENCE)
                x.key("r1")
            with concurrent.futures.ThreadPoolExecutor(1) as thread:
                followed = thread.submit(follow)
                a.start()
                ready.set()
                followed.result()
            a.until(lambda: a.cluster()["joined"], "a has joined")
            self.assertEqual(1, a.peers()["x"]["resyncs"])
            on = a.on()
            a.stop_agent()
            return on == (1, 1)
        in_some(follows, "the key is read when it is up to what was told")

    def test_a_key_that_stays_behind_is_read_now_and_then(self):
        redis = self.redis()
        a, x = self.node("a", redis), Forged(redis, "x")
        x.number = 2
        x.key("r1", number=1)
        x.say(kind=2)
        begun = time.monotonic()

        def reads(count):
            x.say(kind=2)
            return a.peers()["x"]["resyncs"] >= count
        a.hears("x")
        a.until(lambda: reads(2), "a beat has the key of x read again")
        a.until(lambda: reads(9) or time.monotonic() > begun + 2, "beats")
        # Without pauses each takes the third of a second that the mark is looked at.
        count = a.peers()["x"]["resyncs"]
        self.assertLessEqual(count, 2 + math.log2(1 + time.monotonic() - begun))
        x.key("r2")
        a.until(lambda: reads(count + 1), "after a pause it is read again")
        a.holds(1, 1)

    def test_ends_of_a_dead_agent_leave_the_key_of_who_tells_them_up_to_date(self):
        redis = self.redis()
        a, x = self.node("a", redis), Forged(redis, "x")
        x.placed("r1")
        a.holds(1, 1)
        a.until(lambda: a.peers()["x"]["silent"], "x is silent")
        a.ends("r1")
        a.holds(0, 0)
        a.until(lambda: key_mark(redis, "a").told > 1, "a tells")  # 1: its key was written anew
        mark = key_mark(redis, "a")
        self.assertEqual(mark.told, mark.number)

    def test_an_agent_that_stops_leaves_a_key_that_is_up_to_date(self):
        redis = self.redis()
        a = self.node("a", redis, room=5000)
        ids = [f"r{i}" for i in range(4000)]
        with a.peer() as p:
            for i in ids:
                p.ask(i, model=MODEL)
            self.assertEqual({"route"}, {p.answer()["verdict"] for _ in ids})

        def behind():
            """Whether it stands still after a message and before its key is due."""
            a.agent.send(signal.SIGCONT)
            s.sendall(b"".join(end_line(ids.pop()) for _ in range(400)))
            for _ in range(40):
                s.sendall(end_line(ids.pop()))
                mark = key_mark(redis, "a")
                if mark.number < mark.told:
                    break
            a.agent.send(signal.SIGSTOP)
            mark = key_mark(redis, "a")
            return mark.number < mark.told
        with a.event_connection() as s:
            in_some(behind, "a key that is behind")
            a.agent.send(signal.SIGTERM)  # drain ...
            a.agent.send(signal.SIGINT)   # ... no: now
            a.agent.send(signal.SIGCONT)
            self.assertEqual(0, a.agent.child.wait(DEADLINE_LEAST))
        # Redis may read its last words later.
        wait_for(lambda: (m := key_mark(redis, "a")).told == m.number, "a key that is up to date", 10 * PATIENCE)

    def test_an_agent_that_stops_waits_for_a_slow_redis_to_read_its_last_words(self):
        """One that finds the connection closed when it replies leaves the rest unread, as Redis does."""
        def told():
            """With a Redis of its own each time. Not if the machine stood still longer than the agent waits."""
            redis = self.redis()
            slow = SlowReader(redis)
            self.addCleanup(slow.close)
            a = self.node("a", f"redis://127.0.0.1:{slow.port}/0", room=2000)
            ids = [f"r{i}" for i in range(1000)]
            with a.peer() as p:
                for i in ids:
                    p.ask(i, model=MODEL)
                self.assertEqual({"route"}, {p.answer()["verdict"] for _ in ids})
            a.until(lambda: redis("HLEN", f"slo-spoa:{GROUP}:leases:a") == len(ids) + 1, "all are in its key")
            before = key_mark(redis, "a").told
            with a.event_connection() as s:
                a.agent.send(signal.SIGSTOP)
                slow.pause = 0.001
                s.sendall(b"".join(map(end_line, ids)))
                a.agent.send(signal.SIGTERM)  # drain ...
                a.agent.send(signal.SIGINT)   # ... no: now
                a.agent.send(signal.SIGCONT)
                self.assertEqual(0, a.agent.child.wait(DEADLINE_LEAST))
            slow.join()
            mark = key_mark(redis, "a")
            return before < mark.told == mark.number or mark
        in_some(told, "a key that is up to date", 4)

    def test_two_lives_that_take_turns_do_not_fill_the_log(self):
        redis = self.redis()
        a, x = self.node("a", redis), Forged(redis, "x")
        for i in range(200):
            x.life = 1 + i % 2
            x.say(kind=2)
        x.placed("r1")
        a.holds(1, 1)
        self.assertIn("x has started anew", a.agent.text())
        self.assertLess(a.agent.text().count("x has started anew"), 50)

    def test_names_that_nobody_hears_of_keep_no_other_out(self):
        redis = self.redis()
        a, liar, x = self.node("a", redis), Forged(redis, "liar"), Forged(redis, "x")
        liar.say(records=[[2, "r", [0, 0, -1, -1, -1, 0, -1, "", ""], f"n{i}"] for i in range(300)])
        a.until(lambda: len(a.peers()) == 255, "all places but its own are taken")

        def heard():
            x.say(kind=2)
            return "x" in a.peers()
        a.until(heard, "x is heard")
        x.placed("r1")
        a.holds(1, 1)

    def test_names_that_fill_the_group_leave_an_agent_its_own_place(self):
        redis = self.redis()
        for i in range(400):
            redis("SADD", f"slo-spoa:{GROUP}:agents", f"n{i}")
        with redis.connection() as other:  # of its name, so that it asks before it takes a place
            other.write(b"SUBSCRIBE slo-spoa:%s:agent:b\r\n" % GROUP.encode())
            other.flush()
            other.readline()
            b = self.node("b", redis)
            b.until(lambda: redis("EXISTS", f"slo-spoa:{GROUP}:leases:b") == 1, "b tells")
            b.until(lambda: b.cluster()["joined"], "b has joined")

    def test_more_than_the_limit_is_not_charged(self):
        redis = self.redis()

        def few(c):
            c.setdefault("limits", {})["foreign_requests"] = 50
            c["control"] = {"listen": ["unix:ctl.sock"]}
        a, x = self.node("a", redis, room=1000, change=few), Forged(redis, "x")
        x.key(*(f"r{i}" for i in range(70)))
        for i in range(400):
            redis("SADD", f"slo-spoa:{GROUP}:agents", f"n{i}")
        x.placed("r99")
        a.holds(50, 50)
        a.until(lambda: a.counter("cluster_full_total", what="requests") >= 21, "the others are counted")
        numbers = itertools.count(100)

        def warned():
            """It is told for some seconds after each that was left out."""
            x.placed(f"r{next(numbers)}")
            return ("cluster-full", "requests") in [(w["code"], w["subject"])
                                                    for w in a.state()["warnings"]]
        a.until(warned, "the warning")
        subprocess.run([a.build / "slo-ctl", "-s", a.dir / "ctl.sock", "clear", "warnings"],
                       check=True, capture_output=True, timeout=120)
        a.until(warned, "it is still so")
        # The same with names, at the next start.
        b = self.joined("b", redis)
        self.assertEqual(255, len(b.peers()))
        self.assertGreaterEqual(b.counter("cluster_full_total", what="agents"), 1)
        self.assertIn(("cluster-full", "agents"),
                      [(w["code"], w["subject"]) for w in b.state()["warnings"]])
        a.stop_agent()

    def test_messages_that_make_no_sense_change_nothing(self):
        redis = self.redis()
        a, x = self.node("a", redis), Forged(redis, "x")
        x.key()
        x.placed("r1")
        a.holds(1, 1)
        news = f"slo-spoa:{GROUP}:news"
        for bad in (b"", b"\x00", b"\xdd\xff\xff\xff\xff", b"x" * 200000):
            redis("PUBLISH", news, bad)
        x.say(records=[[0, "", x.lease()], [0, "r2", x.lease()], [7, "r3", x.lease()], [1, "r4", []],
                       [0, "r5", x.lease(server="no-such")], [0, "r6", x.lease(load=1 << 60)]])
        a.holds(2, 2)
        self.assertGreaterEqual(a.cluster()["malformed"], 8)
        self.assertEqual(1, a.cluster()["unknown"])
        x.key("r1", "r2")
        redis("HSET", f"slo-spoa:{GROUP}:leases:x", "bad", b"\xc1")
        x.say(kind=1)
        a.until(lambda: a.peers()["x"]["resyncs"] >= 2, "the key is read")
        a.holds(2, 2)

    def test_what_a_message_that_breaks_off_was_to_tell_is_read_from_the_key(self):
        redis = self.redis()
        a, x = self.node("a", redis), Forged(redis, "x")
        x.key()
        x.placed("r1")
        a.holds(1, 1)
        reads = a.peers()["x"]["resyncs"]
        x.number += 1
        x.key("r1", "r2", "r3")
        x.say(records=[[0, "r2", x.lease()], [0, "r3", x.lease()]], number=x.number, cut=10)
        a.until(lambda: a.peers()["x"]["resyncs"] > reads, "the key is read")
        a.holds(3, 3)
        self.assertEqual(2, a.cluster()["malformed"])  # a record, and the message

    def test_a_name_that_is_used_twice_is_refused(self):
        redis = self.redis()
        a, b = self.node("a", redis), self.node("b", redis)
        self.place(a, "r1")
        twin = self.node("a", redis)
        twin.logged("another process of group test is called a, too: the requests of this one")
        a.logged("another process of group test is called a, too: it must not")
        self.assertEqual((True, False), (twin.cluster()["refused"], a.cluster()["refused"]))
        for node in twin, a:
            node.until(lambda n=node: "cluster-name" in [w["code"] for w in n.state()["warnings"]], "the warning")
        twin.holds(1, 1)  # it hears, also its namesake
        self.place(twin, "r2")
        self.place(a, "r3")
        b.holds(2, 2)
        twin.holds(3, 2)
        # The older one goes: its name is free.
        a.ends("r1", "r3")
        b.holds(0, 0)
        a.stop_agent()
        twin.logged("the other process that was called a is gone", 30)
        b.holds(1, 1)

    def test_the_warning_about_a_name_goes_with_who_took_it(self):
        redis = self.redis()
        a, twin = self.node("a", redis), self.node("a", redis)
        twin.logged("another process of group test is called a, too: the requests of this one")

        def times():
            return sum(w["times"] for w in a.state()["warnings"] if w["code"] == "cluster-name")

        def lines():
            return a.agent.text().count("it must not tell its requests")
        a.until(times, "the warning")

        def once():
            """On a machine that stands still it goes, and comes as a new one."""
            told, logged = times(), lines()
            a.until(lambda: not told <= times() < told + 3, "it is said again and again")
            return times() > told > 0 and lines() == logged
        in_some(once, "a warning that is said again is one line of the log")
        twin.stop_agent()
        a.until(lambda: not a.state()["warnings"], "the warning is over")

    def test_without_redis_it_serves_after_a_while_and_joins_later(self):
        redis = self.redis()
        redis.kill()
        a = self.node("a", redis)  # waits for /healthz
        a.logged("Redis does not tell what the others have placed")
        self.place(a, "r1")
        b = self.node("b", redis, start=False)
        redis.start()
        b.start()
        b.holds(1, 1)
        a.until(lambda: a.cluster()["joined"], "a has joined, too")

    def test_a_line_about_a_request_of_another_waits_for_its_owner(self):
        redis = self.redis()
        a, b = self.node("a", redis, room=2), self.node("b", redis, room=2)
        numbers = itertools.count()

        def waits():
            """A machine that stands still in between makes the line count before the owner has spoken."""
            r1, r2, r3, r4 = (f"r{next(numbers)}" for _ in range(4))
            self.place(a, r1, r2)
            b.holds(2, 2)
            with a.peer() as p, b.peer() as q:
                p.ask(r3)
                q.ask(r4)
                a.until(lambda: (a.queued(), b.queued()) == (1, 1), "both hold one")
                twice = b.end_lines("duplicate")
                b.reads(r1)  # HAProxy's line, which a has not read yet
                a.ends(r1)
                a.until(lambda: a.queued() == 0 or b.queued() == 0, "one has the room")
                waited = b.queued() == 1
                if waited:
                    self.assertEqual("route", p.answer()["verdict"])
                    b.until(lambda: b.end_lines("duplicate") > twice or b.queued() == 0, "the line is read")
                    waited = (b.end_lines("duplicate"), b.queued(), b.on()) == (twice + 1, 1, (2, 2))
                # Without news of the owner the line counts after a moment.
                b.ends(r2)
                self.assertEqual("route", q.answer()["verdict"])
                if waited:
                    b.holds(2, 1)
                a.ends(r2)
                a.until(lambda: a.queued() == 0, "r3 has a place, too")
            a.ends(r3)
            b.ends(r4)
            for n in (a, b):
                n.holds(0, 0)
            return waited
        in_some(waits, "a line that waits for its owner")

    def test_a_line_that_is_faster_than_the_news_of_its_request_waits_for_them(self):
        redis = self.redis()
        b, x = self.node("b", redis, room=2), Forged(redis, "x")
        rounds = itertools.count()

        def waits():
            i = next(rounds)
            over, short, long, waiting = (f"{name}{i}" for name in ("over", "short", "long", "waiting"))
            x.placed(over, long, load=HALF)
            b.holds(2, 2)
            with b.peer() as q:
                q.ask(waiting)
                b.until(lambda: b.queued() == 1, "one waits")
                # The request `short` took the room of `over` and is over, too: its owner's news of all
                # that come later.
                b.reads(short)
                heard = b.cluster()["heard"]
                x.say(records=[x.end(over), [0, short, x.lease(load=HALF)]])
                b.until(lambda: b.cluster()["heard"] > heard, "the news are heard")
                waited = (b.queued(), b.on()) == (1, (2, 2))
                x.say(records=[x.end(short)])
                self.assertEqual("route", q.answer()["verdict"])
            b.ends(waiting)
            x.say(records=[x.end(long)])
            b.holds(0, 0)
            return waited
        in_some(waits, "a line that waits for news of its request")

    def test_news_are_heard_before_anything_is_decided(self):
        redis = self.redis()
        b, x = self.node("b", redis, room=2), Forged(redis, "x")
        x.say(kind=2)
        b.hears("x")
        x.placed("r1", load=HALF)
        b.holds(1, 1)
        with b.peer() as q:
            b.agent.send(signal.SIGSTOP)  # both come while it has no CPU
            x.placed("r2", load=HALF)
            q.ask("r3")
            b.agent.send(signal.SIGCONT)
            b.holds(2, 2)
            self.assertEqual(1, b.queued())
            x.say(records=[x.end("r1")])
            self.assertEqual("route", q.answer()["verdict"])

    def test_a_name_without_a_key_is_taken_off_the_list(self):
        redis = self.redis()
        redis("SADD", f"slo-spoa:{GROUP}:agents", "gone", "no:name")
        a = self.node("a", redis)
        a.until(lambda: redis("SMEMBERS", f"slo-spoa:{GROUP}:agents") in
                ([b"a", b"no:name"], [b"no:name", b"a"]), "gone is gone")
        a.until(lambda: a.cluster()["joined"], "a has joined")

    def test_the_size_of_an_event_is_heard(self):
        redis = self.redis()
        b, x = self.node("b", redis), Forged(redis, "x")

        def told():
            return b.state()["models"][MODEL]["estimator"]["stream_bytes_per_token"]
        guess = told()
        x.placed("r1", "r2")
        b.holds(2, 2)
        x.say(records=[x.end("r1")])
        b.holds(1, 1)
        self.assertEqual(guess, told())
        x.say(records=[x.end("r2", 151)])
        b.until(lambda: told() == 151 + 9 + 4.5, "its bytes")

    def test_another_group_is_not_heard(self):
        redis = self.redis()
        a = self.node("a", redis)
        b = self.node("b", redis, change=lambda c: c["cluster"].update(group="other"))
        self.place(a, "r1")
        c = self.node("c", redis)
        c.holds(1, 1)
        self.assertEqual((0, 0), b.on())
        self.assertEqual([], b.cluster()["peers"])

    def test_a_new_program_takes_over(self):
        redis = self.redis()
        a, b = self.node("a", redis), self.node("b", redis)
        self.place(a, "r1", "r2")
        self.place(b, "r3")
        a.holds(3, 1)
        old = a.state()["pid"]
        a.agent.send(signal.SIGUSR2)
        a.until(lambda: a.state()["pid"] != old, "the new program serves")
        a.holds(3, 1)
        b.holds(3, 2)
        self.place(a, "r4")
        b.holds(4, 3)
        a.ends("r1", "r2", "r4")
        b.ends("r3")
        a.holds(0, 0)
        b.holds(0, 0)
        a.agent.child.wait(DEADLINE_LEAST)
        os.kill(a.state()["pid"], signal.SIGTERM)

    def test_a_reload_leaves_the_group_and_comes_back(self):
        redis = self.redis()
        a, b = self.node("a", redis), self.node("b", redis)
        self.place(a, "r1")
        self.place(b, "r2")
        a.holds(2, 1)
        alone = {k: v for k, v in a.config.items() if k != "cluster"}
        for conf, count in (alone, 0), (a.config, 1):
            a.config_file.write_text(json.dumps(conf))
            a.agent.send(signal.SIGHUP)
            a.until(lambda: bool(a.cluster()) == bool(count), "the reload")
            # What the other one had placed still runs.
            a.holds(2, 1)
        a.hears("b")
        b.ends("r2")
        a.holds(1, 0)
        self.place(a, "r3")
        b.holds(2, 2)


if __name__ == "__main__":
    unittest.main()
