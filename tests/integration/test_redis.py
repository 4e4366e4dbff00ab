"""Profiles from a real Redis: they come, change, break and go, and so does Redis itself."""
import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from lab import PATIENCE, AgentAlone, failed, in_some, room_for, scaled  # noqa: E402
from redislab import Redis  # noqa: E402
from stack import MODEL  # noqa: E402

FAST = "100ms"


def serve(listener, replies):
    """One of the replies to each who comes."""
    for data in replies:
        with contextlib.suppress(OSError):
            s, _ = listener.accept()
            with s:
                s.settimeout(60)
                s.recv(10)
                s.sendall(data)
                s.shutdown(socket.SHUT_WR)
                while s.recv(65536):
                    pass


class WithRedis(unittest.TestCase):
    def redis(self, **kw):
        redis = Redis(**kw)
        self.addCleanup(redis.close)
        return redis

    def start(self, url, fleet=None, change=None, **settings):
        def config(c):
            c["profiles"]["redis"] = {"url": url, "refresh": FAST, **settings}
            if change:
                change(c)
        self.agent = agent = AgentAlone(config=config, **({"fleet": fleet} if fleet else {}))
        self.addCleanup(lambda: agent.__exit__(Exception if failed(self) else None))
        return agent.start()

    def profile(self, deployment="l20", model=MODEL):
        return self.agent.state()["models"][model]["profiles"][deployment] or {}

    def has(self, created, source="redis", deployment="l20"):
        """Waits until that profile is in force."""
        self.agent.until(lambda: (self.profile(deployment).get("created"),
                                  self.profile(deployment).get("source")) == (created, source),
                         f"profile {created} of {source}", 30)

    def scanned(self, times=2):
        """Waits for so many complete scans more: what was in Redis before has been seen."""
        before = self.status()["scans"]
        self.agent.until(lambda: self.status()["scans"] >= before + times, "scans", 30)

    def status(self):
        return self.agent.state()["redis"]

    def routes(self, name):
        with self.agent.peer() as p:
            verdict = p.route(name)["verdict"]
        self.agent.ends(name)
        return verdict


class Profiles(WithRedis):
    def setUp(self):
        self.server = self.redis().start()

    def test_a_profile_appears_changes_and_goes(self):
        self.start(self.server.url)
        self.has(1.8e9, "file")
        self.server.put("l20", room_for(7, created=1.9e9))
        self.has(1.9e9)
        self.server.put("l20", room_for(8, created=2.0e9))
        self.has(2.0e9)
        self.server.put("l20", room_for(9, created=1.95e9))
        self.agent.logged(r"redis aibrix:profile_llama2-7b_l20: its \"created\" is not newer")
        self.scanned()
        self.has(2.0e9)
        self.assertEqual("route", self.routes("r"))
        self.server.drop("l20")
        self.has(1.8e9, "file")  # the file counts again, however old
        self.agent.logged(r"profile_llama2-7b_l20: the key is gone, so its profile is dropped")
        self.server.put("l20", room_for(7, created=1.7e9))
        self.scanned()
        self.has(1.8e9, "file")  # Redis does not win with an older one
        self.server.put("l20", room_for(7, created=1.9e9))
        self.has(1.9e9)
        self.assertTrue(self.agent.idle())

    def test_only_the_third_scan_without_a_key_drops_it(self):
        self.start(self.server.url, refresh="1s")
        self.server.put("l20", room_for(7, created=1.9e9))
        self.has(1.9e9)
        before = self.status()["scans"]
        self.server.drop("l20")
        self.has(1.8e9, "file")
        self.assertGreaterEqual(self.status()["scans"], before + 3)

    def test_a_bad_value_is_refused_with_its_place_and_the_rest_is_loaded(self):
        bad = {"nothing": "", "garbage": "{\n \"tputs\": oops}", "broken": "{",
               "negative": json.dumps(dict(room_for(3), tputs=[[-1]])), "big": "x" * (1 << 20) + "y",
               "binary": b"\x00\xff\r\n$-1\r\n", "ragged": json.dumps(dict(room_for(3), e2e=[[1, 2]]))}
        fleet = {f"s-{d}": d for d in [*bad, "l20", "wrong", "nan", "last"]}
        self.server.put("l20", room_for(7, created=1.9e9))
        self.start(self.server.url, fleet=fleet, change=lambda c: c["profiles"].pop("dir"))
        self.has(1.9e9)
        commands = [("SET", f"aibrix:profile_{MODEL}_{d}", text) for d, text in bad.items()]
        commands += [("LPUSH", f"aibrix:profile_{MODEL}_wrong", "x"),
                     ("SET", "aibrix:profile_other_l20", "x"), ("SET", "aibrix:other", "x")]
        self.server.pipeline(commands)
        self.server.put("nan", json.dumps(dict(room_for(7), e2e=[[float("nan")]], tputs=[[0]])))
        self.server.put("last", room_for(7))
        self.has(1.8e9, deployment="last")
        self.has(1.8e9, deployment="nan")
        self.assertEqual(1, self.profile("nan")["no_data_cells"])
        self.scanned()
        key = rf"redis aibrix:profile_{MODEL}_"
        self.agent.logged(key + r"garbage:2:11: ")
        self.agent.logged(key + r"broken:1:\d+: ")
        self.agent.logged(key + r"negative:1:\d+: key \"tputs\[0\]\[0\]\": is -1")
        self.agent.logged(key + r"ragged:1:\d+: key \"e2e")
        self.agent.logged(key + r"big: is longer than 1 MiB")
        self.agent.logged(key + r"binary:3:1: ")
        self.agent.logged(key + r"nothing: is empty")
        self.agent.logged(key + r"wrong: no value: WRONGTYPE")
        status = self.status()
        self.assertEqual((8, 1), (status["keys_refused"], status["keys_unknown"]), status)
        self.assertEqual(8, self.agent.counter("redis_keys", kind="refused"))
        self.assertEqual(3, status["keys_in_force"])
        # What was good and becomes garbage stays in force; nothing is said twice.
        self.server.put("l20", "garbage")
        self.agent.logged(key + r"l20:1:1: .*; the previous profile stays")
        lines = len(re.findall("previous profile stays", self.agent.agent.text()))
        self.scanned(5)
        self.has(1.9e9)
        self.assertEqual(lines, len(re.findall("previous profile stays", self.agent.agent.text())))

    def test_names_with_underscores_are_told_apart(self):
        fleet = {"s1": "b_c", "s2": "c", "s3": "l20"}

        def change(conf):
            model = conf["models"][MODEL]
            conf["models"] = {MODEL: model, "a": dict(model, backend="b1"),
                              "a_b": dict(model, backend="b2"), "x/y": dict(model, backend="b3")}
        self.server.put("b_c", room_for(1, created=1), model="a")  # the same key as of a_b, c
        self.server.put("b_c", room_for(1, created=2), model="a_b")
        self.server.put("l20", room_for(1, created=3), model="x/y")
        self.start(self.server.url, fleet=fleet, change=change)
        self.agent.until(lambda: self.status()["keys_in_force"] == 3, "three keys")
        self.agent.logged(r"redis: key aibrix:profile_a_b_c is that of a/b_c and of a_b/c")
        created = lambda model, d: self.profile(d, model).get("created")  # noqa: E731
        self.assertEqual([1, None, 2, 3], [created("a", "b_c"), created("a_b", "c"),
                                           created("a_b", "b_c"), created("x/y", "l20")])


class Connections(WithRedis):
    def loads(self, server, url, **settings):
        server.put("l20", room_for(7, created=1.9e9))
        self.start(url, **settings)
        self.has(1.9e9)

    def test_by_a_unix_socket_and_a_database(self):
        server = self.redis().start()
        server.put("l20", room_for(7, created=1.9e9), db=3)
        self.start(f"unix://{server.path}?db=3")
        self.has(1.9e9)
        self.assertTrue(self.status()["connected"])

    def test_by_localhost_with_a_password(self):
        server = self.redis(password="s3 cr@t").start()
        self.loads(server, f"redis://:s3%20cr%40t@localhost:{server.port}/0")
        server("ACL", "SETUSER", "reader", "on", ">pw", "~aibrix:*", "+scan", "+getrange")
        self.reload(f"redis://reader:pw@127.0.0.1:{server.port}")
        self.agent.until(lambda: self.status()["connections"] == 2, "connected as a user")
        server.put("l20", room_for(7, created=2e9))
        self.has(2e9)
        self.assertNotIn("cr", json.dumps(self.status()))

    def reload(self, url=None, **settings):
        redis = self.agent.config["profiles"]["redis"]
        redis.update({"url": url} if url else {}, **settings)
        self.agent.config_file.write_text(json.dumps(self.agent.config))
        before = self.agent.agent.text().count("is in force")
        self.agent.agent.send(signal.SIGHUP)
        self.agent.until(lambda: self.agent.agent.text().count("is in force") > before, "reload")

    def test_a_wrong_password_is_told_and_never_shown(self):
        server = self.redis(password="right").start()
        server.put("l20", room_for(7, created=1.9e9))
        self.start(f"redis://:wr0ng-one@127.0.0.1:{server.port}/0")
        self.agent.logged(r"redis://127\.0\.0\.1:\d+/0: it refuses us: WRONGPASS")
        self.assertEqual("route", self.routes("r"))
        self.assertEqual(0, self.agent.counter("redis_connected"))
        self.assertIn("WRONGPASS", self.status()["error"])
        self.assertFalse(self.status()["connected"])
        self.reload(f"redis://:right@127.0.0.1:{server.port}/0")
        self.has(1.9e9)
        self.assertEqual(1, self.agent.counter("redis_connected"))
        everything = self.agent.agent.text() + self.agent.metrics() + json.dumps(self.agent.state())
        self.assertNotIn("wr0ng", everything)
        self.assertNotIn("right", everything)

    def test_tls_wants_the_right_name_from_an_authority_that_it_knows(self):
        server = self.redis(tls=True).start()
        server.put("l20", room_for(7, created=1.9e9))
        url = f"rediss://127.0.0.1:{server.port}/0"
        self.start(url)
        self.agent.logged(r"its certificate: self-signed certificate")
        self.reload(ca_file=str(server.dir / "ca.pem"), server_name="other.test")
        self.agent.logged(r"its certificate: hostname mismatch")
        self.reload(server_name="redis.test")
        self.has(1.9e9)
        server.put("l20", room_for(7, created=2e9))
        self.reload(f"rediss://localhost:{server.port}", server_name="127.0.0.1")
        self.has(2e9)
        # A profile that comes in many TLS records, and one that is refused.
        server.put("l20", json.dumps(room_for(7, created=2.1e9)) + " " * 900000)
        self.has(2.1e9)
        self.reload(ca_file=str(server.dir / "none.pem"))
        self.agent.logged(r"redis: .*none\.pem: No such file or directory; profiles come from "
                          "files only until a reload")
        self.assertEqual("route", self.routes("r"))

    def test_without_redis_it_starts_and_a_name_that_is_none_stops_nobody(self):
        # glibc's resolver does not give back what its threads had, which valgrind minds.
        host = "127.0.0.1" if os.environ.get("SLO_WRAP") else "no-such-host.invalid"

        def goes_on():
            self.start(f"redis://{host}:1/0")
            self.assertEqual("route", self.routes("r"))
            self.agent.until(lambda: "error" in self.status(), "an error", 60)
            self.agent.logged(rf"redis://{host}:1/0: .*the profiles in force stay", 60)
            self.assertEqual(None, self.status()["success_age_seconds"])
            lag = self.agent.counter("loop_lag_max_seconds")
            return lag < 2 * PATIENCE or lag
        in_some(goes_on, "short turns of the loop")

    def test_who_is_no_redis_is_left_and_costs_no_memory(self):
        for replies in (
            {b"HTTP/1.1 400 Bad Request\r\n\r\n": "its reply cannot be read",
             b"*2\r\n$1\r\n0\r\n*2147483647\r\n": "its reply cannot be read",
             b"$536870912\r\n" + b"x" * (4 << 20): "its reply is too large",
             b"": "closed by the server"},
            {b":1\r\n": "its reply to SCAN makes no sense",
             b"*2\r\n$1\r\n7\r\n*0\r\n" * 2: "its SCAN does not end",
             b"*2\r\n$3\r\n1x1\r\n*0\r\n": "its reply to SCAN makes no sense",
             b"*2\r\n*0\r\n*0\r\n": "its reply to SCAN makes no sense",
             b"*2\r\n$1\r\n0\r\n*0\r\n+OK\r\n": "it speaks without being asked",
             b"-ERR \xff\xfe\r\n": r"ERR \?\?; the profiles"}):
            with self.subTest(list(replies.values())), \
                    socket.create_server(("127.0.0.1", 0)) as listener:
                threading.Thread(target=serve, args=(listener, replies), daemon=True).start()
                self.start(f"redis://127.0.0.1:{listener.getsockname()[1]}")
                for why in replies.values():
                    self.agent.logged(why, 60)
                    self.assertIn("scans", self.status())  # whatever bytes it told
                self.assertEqual("route", self.routes("r"))

    def test_redis_is_killed_and_restarted_under_load(self):
        server = self.redis().start()
        self.loads(server, server.url)
        stop, verdicts = threading.Event(), []

        def load():
            with self.agent.peer() as p:
                while not stop.is_set():
                    name = f"load-{len(verdicts)}"
                    verdicts.append(p.route(name)["verdict"])
                    self.agent.ends(name)
        thread = threading.Thread(target=load)
        thread.start()
        try:
            for n in range(2):
                server.kill()
                self.agent.until(lambda: not self.status()["connected"], "it is missed", 30)
                self.assertEqual(1, len(self.status()["error"]) > 0)
                self.has(1.9e9 + n)  # the last profiles stay
                seen = len(verdicts)
                self.agent.until(lambda: len(verdicts) > seen + 5, "load goes on", 30)
                server.start()
                server.put("l20", room_for(7, created=1.9e9 + n + 1))
                self.has(1.9e9 + n + 1)
        finally:
            stop.set()
            thread.join()
        self.assertEqual({"route"}, set(verdicts))
        self.assertEqual(3, self.agent.counter("redis_connections_total"))
        self.agent.until(lambda: self.agent.counter("redis_success_age_seconds") < 30, "a late success")
        self.agent.until(self.agent.idle, "idle")

    def test_who_is_no_primary_any_more_is_left_and_looked_up_again(self):
        key = b"aibrix:profile_llama2-7b_l20"
        scan = b"*2\r\n$1\r\n0\r\n*1\r\n$%d\r\n%s\r\n" % (len(key), key)
        for word in (b"MOVED 1234 10.0.0.2:6379", b"MASTERDOWN Link with MASTER is down",
                     b"READONLY You can't write against a read only replica.",
                     b"CLUSTERDOWN Hash slot not served", b"LOADING Valkey is loading"):
            with self.subTest(word=word), socket.create_server(("127.0.0.1", 0)) as listener:
                seen = threading.Semaphore(0)

                def serve_all():
                    with contextlib.suppress(OSError):
                        while True:
                            s, _ = listener.accept()
                            seen.release()
                            with s:
                                s.settimeout(60)
                                while data := s.recv(65536):
                                    if b"SCAN" in data:
                                        s.sendall(scan)
                                    if b"GETRANGE" in data:
                                        s.sendall(b"-" + word + b"\r\n")
                server = threading.Thread(target=serve_all, daemon=True)
                server.start()
                self.start(f"redis://127.0.0.1:{listener.getsockname()[1]}")
                for _ in range(4):  # each time a connection of its own
                    self.assertTrue(seen.acquire(timeout=120))
                self.assertIn(word.decode(), self.agent.agent.text())
                self.has(1.8e9, "file")  # the profile in force stays
                self.assertEqual("route", self.routes("r"))
                listener.shutdown(socket.SHUT_RDWR)

    def test_a_reload_changes_the_place_and_without_one_files_count(self):
        one, two = self.redis().start(), self.redis().start()
        two.put("l20", room_for(7, created=2e9))
        self.loads(one, one.url)
        self.reload(two.url, refresh="1h")
        self.has(2e9)
        two.put("l20", room_for(7, created=2.1e9))
        self.reload()  # scans at once, in the same connection
        self.has(2.1e9)
        self.assertEqual(2, self.status()["connections"])
        self.agent.config["profiles"].pop("redis")
        self.agent.config_file.write_text(json.dumps(self.agent.config))
        self.agent.agent.send(signal.SIGHUP)
        self.has(1.8e9, "file")
        self.assertIsNone(self.status())


class Many(WithRedis):
    def test_ten_thousand_keys_do_not_stall_the_loop(self):
        n = scaled(10000, 500)
        models = [f"model-{i}" for i in range(n // 25)]
        fleet = {f"s{i}": f"gpu_{i}" for i in range(25)}

        def change(conf):
            model = conf["models"][MODEL]
            conf["models"] = {MODEL: model, **{m: dict(model, backend=m) for m in models}}
            conf["profiles"].pop("dir")
            conf["log"] = {"level": "notice"}
        server = self.redis().start()
        shipped = json.loads((pathlib.Path(__file__).resolve().parents[2] /
                              "haproxy-conf/profiles/llama2-7b/l20.json").read_text())
        text = json.dumps(dict(shipped, gpu=""))
        keys = [f"aibrix:profile_{m}_{d}" for m in models for d in fleet.values()]
        server.pipeline([("SET", k, text) for k in keys] +
                        [("SET", f"aibrix:profile_{i}", "of another") for i in range(n // 2)])
        # The agent is up before Redis is: what it does at its start is not of interest.
        place = server.dir / "later.sock"
        self.start(f"unix://{place}", fleet=fleet, change=change, refresh="1h")
        self.agent.logged("No such file or directory")
        turns = self.agent.counter("loop_lag_seconds_count")
        place.symlink_to(server.path)
        m = self.agent.logged(r"redis: (\d+) keys of ours, (\d+) in force, 0 refused; (\d+) keys "
                              r"of others; in (\S+) s", 120)
        self.assertEqual((len(keys), len(keys), n // 2), tuple(map(int, m.groups()[:3])))
        # Read once: to write so many metrics takes a while itself.
        metrics = self.agent.metrics()
        slice_max, turn_max = (float(re.search(rf"^slo_spoa_{name}_seconds (\S+)", metrics, re.M)[1])
                               for name in ("redis_slice_max", "loop_lag_max"))
        print(f"\n{len(keys)} profiles of {len(text)} bytes in {m[4]} s; longest slice "
              f"{slice_max * 1e3:.2f} ms, longest turn of the loop {turn_max * 1e3:.2f} ms",
              file=sys.stderr)
        # A busy machine may take the processor away in any turn; but it was not done in few.
        self.assertGreater(self.agent.counter("loop_lag_seconds_count") - turns, len(keys) / 100)


class Trace(WithRedis):
    def test_what_was_requested_is_written_every_ten_seconds(self):
        server = self.redis().start()
        self.start(server.url, trace=True)
        with self.agent.peer() as p:
            for i in range(3):
                self.assertEqual("route", p.route(f"r{i}")["verdict"])
        self.agent.ends("r0", "r1")
        pattern = f"aibrix:{MODEL}_request_trace_*"
        total, sizes = 0, {}

        def whole():
            nonlocal total, sizes
            texts = [json.loads(server("GET", k)) for k in server("KEYS", pattern)]
            total = sum(t["meta_total_reqs"] for t in texts)
            return total == 3 and sum(v for t in texts for k, v in t.items() if ":" in k) == 2
        self.agent.until(whole, "the trace of three requests", 60)
        for key in server("KEYS", pattern):
            self.assertEqual(0, int(key.rsplit(b"_", 1)[1]) % 10)
            self.assertTrue(0 < server("TTL", key) <= 600)
            trace = json.loads(server("GET", key))
            self.assertEqual((4, 10, 10), tuple(trace[f"meta_{k}"] for k in
                                                ("v", "interval_sec", "precision")))
            self.assertEqual(0, trace["meta_queueing_reqs"])
            sizes.update({k: v for k, v in trace.items() if ":" in k})
        self.assertEqual({"40:30"}, set(sizes))  # 16 and 8 tokens, as the end lines tell
        self.assertEqual(1, json.loads(server("GET", max(server("KEYS", pattern))))
                         ["meta_pending_reqs"])
        self.agent.until(lambda: self.agent.counter("redis_traces_total", result="written") >= 1,
                         "Redis's answer is counted", 60)
        self.agent.ends("r2")


if __name__ == "__main__":
    unittest.main()
