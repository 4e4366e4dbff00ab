"""A promise in the configuration and no profile: the agent learns from what ends. These tests speak
to the agent as HAProxy would."""
import json
import pathlib
import re
import signal
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from lab import AgentAlone, end_line  # noqa: E402
from recorder_lab import RecorderLab, Traffic, played, recorded  # noqa: E402
from redislab import Redis  # noqa: E402
from stack import MODEL  # noqa: E402

BARE = "org/bare"  # it has no profile
SERVERS = ["l20-1", "l20-2"]
ENOUGH = 100  # ends after which a model that promises something must route


def promising(conf, **more):
    conf["models"][BARE] = {"backend": MODEL, "slo": {"e2e": "30s", "percentile": 95},
                            "deployments": {"gpu": {"servers": SERVERS, **more}}}


class Learned(unittest.TestCase):
    def start(self, config, *folders):
        self.lab = AgentAlone(config=config)
        self.addCleanup(lambda: self.lab.__exit__(None))
        for folder in folders:
            (self.lab.dir / folder).mkdir()
        self.lab.start()
        self.number = 0
        return self.lab

    def bare(self):
        return self.lab.state()["models"][BARE]

    def ask(self, peer, **args):
        self.number += 1
        return peer.route(f"q{self.number}", model=BARE, prompt_tokens=200, max_tokens=50, **args)

    def served(self, peer, count, **args):
        """Asks and ends one request after the other; the verdicts."""
        verdicts = []
        with self.lab.event_connection() as events:
            for _ in range(count):
                answer = self.ask(peer, **args)
                verdicts.append((answer["verdict"], answer.get("reason")))
                before = self.lab.end_lines("closed")
                events.sendall(end_line(f"q{self.number}", srv=answer["server"], **{"in": 200, "out": 50}))
                self.lab.until(lambda: self.lab.end_lines("closed") > before, "the end")
        return verdicts

    def test_it_routes_after_few_ends(self):
        lab = self.start(promising)
        with lab.peer() as peer:
            verdicts = self.served(peer, ENOUGH)
            self.assertEqual(("fallback", "no-profile"), verdicts[0])
            self.assertEqual(("route", None), verdicts[-1])
            self.assertEqual({"fallback", "route"}, {v for v, _ in verdicts})
        state = self.bare()
        self.assertEqual({"kind": "e2e", "seconds": 30.0, "seconds_per_token": 0.0,
                          "percentile": 95.0, "from": "configuration"}, state["target"])
        learned = state["learned"]["gpu"]
        self.assertEqual(("auto", "learned", ENOUGH),
                         (learned["profile"], learned["in_force"], learned["ends"]))
        self.assertIn(learned["state"], ("warm", "hot"))
        self.assertEqual(ENOUGH, lab.counter("learned_ends_total", model=BARE, taught="true"))
        self.assertEqual(1, lab.counter("learned_state", model=BARE))
        lab.logged(re.escape(f"{BARE}/gpu: ") + r"\d+ requests taught enough to route by")

    def test_what_does_not_count_teaches_nothing(self):
        lab = self.start(promising)
        bad = [{"st": 500}, {"ts": "cD"}, {"st": -1}, {"in": "-", "out": "-", "bytes": "-"}]
        with lab.peer() as peer, lab.event_connection() as events:
            for line in bad:
                answer = self.ask(peer)
                events.sendall(end_line(f"q{self.number}", srv=answer["server"], **line))
            lab.until(lambda: lab.end_lines("closed") == len(bad), "the ends")
        self.assertEqual(0, self.bare()["learned"]["gpu"]["ends"])

    def test_a_told_cache_that_single_requests_exceed_is_overruled(self):
        lab = self.start(lambda conf: promising(conf, kv_tokens=100))
        with lab.peer() as peer:
            self.served(peer, ENOUGH)
            held = [self.ask(peer)["verdict"] for _ in range(6)]  # each has 250 tokens
        self.assertEqual(["route"] * 6, held)
        self.assertEqual(ENOUGH - 2, self.bare()["learned"]["gpu"]["ends"])
        self.assertEqual("overruled", self.bare()["learned"]["gpu"]["rates"]["kv_tokens_from"])
        lab.until(lambda: any(w["code"] == "kv-differs" and "kv_tokens tells it (100 tokens)" in w["text"]
                              for w in lab.state()["warnings"]), "the warning")

    def test_engines_that_run_few_at_once_get_no_more(self):
        lab = self.start(lambda conf: promising(conf, kv_tokens=50000, max_running=2))
        with lab.peer() as peer, lab.event_connection() as events:
            self.served(peer, ENOUGH)
            placed = [self.ask(peer)["server"] for _ in range(2 * len(SERVERS))]
            self.assertEqual([2] * len(SERVERS), [placed.count(s) for s in SERVERS])
            peer.ask("waits", model=BARE, prompt_tokens=200, max_tokens=50)
            lab.until(lambda: lab.queued() == 1, "one waits")
            events.sendall(end_line(f"q{self.number}", srv=placed[-1], **{"in": 200, "out": 50}))
            self.assertEqual(("route", placed[-1]), tuple(map(peer.answer().get, ("verdict", "server"))))

    def test_without_a_target_it_says_so_once(self):
        def bare(conf):
            promising(conf)
            del conf["models"][BARE]["slo"]

        lab = self.start(bare)
        with lab.peer() as peer:
            verdicts = self.served(peer, 40)
            self.assertEqual({("fallback", "no-profile")}, set(verdicts))
            self.assertEqual("least-request", self.ask(peer)["strategy"])
            # It learned all the same: a request with a target of its own is routed.
            self.assertEqual("route", self.ask(peer, slo_e2e_ms=30000)["verdict"])
        self.assertIsNone(self.bare()["target"])
        self.assertEqual(1, lab.agent.text().count(f"model {BARE} has no latency target"))

    def test_a_restart_forgets_nothing(self):
        def kept(conf):
            promising(conf, kv_tokens=50000)
            conf["snapshot"] = {"file": "state.snap", "every": "200ms"}

        lab = self.start(kept)
        with lab.peer() as peer:
            self.served(peer, 60)
        before = self.bare()["learned"]["gpu"]
        lab.stop_agent()
        lab.start_agent()
        after = self.bare()["learned"]["gpu"]
        self.assertEqual((before["ends"], before["state"]), (after["ends"], after["state"]))
        self.assertEqual(50000, after["rates"]["kv_tokens"])
        for name in ("error_p50", "error_p99"):
            self.assertAlmostEqual(before[name], after[name])
        with lab.peer() as peer:
            self.assertEqual("route", self.ask(peer)["verdict"])

    def test_a_reload_changes_the_source_and_keeps_what_was_learned(self):
        lab = self.start(promising)
        with lab.peer() as peer:
            self.served(peer, 40)
            for source, verdict in (("given", "fallback"), ("learned", "route"), ("auto", "route")):
                promising(lab.config, profile=source)
                lab.config_file.write_text(json.dumps(lab.config))
                before = lab.agent.text().count("is in force")
                lab.agent.send(signal.SIGHUP)
                lab.until(lambda: lab.agent.text().count("is in force") > before, "the reload")
                self.assertEqual(verdict, self.ask(peer)["verdict"], source)
                self.assertEqual(source, self.bare()["learned"]["gpu"]["profile"])
        self.assertEqual(40, self.bare()["learned"]["gpu"]["ends"])

    def test_what_was_learned_is_exported_as_a_profile(self):
        def exporting(conf):
            promising(conf)
            conf["profiles"]["export"] = {"dir": "learned", "every": "1s"}

        lab = self.start(exporting, "learned")
        path = lab.dir / "learned" / "org%2Fbare" / "gpu.json"
        with lab.peer() as peer:
            self.served(peer, 40)
        # It may have been written while they were served.
        lab.until(lambda: path.exists() and json.loads(path.read_text())["learned"]["requests"] >= 30, "the file")
        text = path.read_text()
        doc = json.loads(text, parse_constant=lambda c: self.fail(c))
        rows, columns = map(len, doc["indexes"])
        for table in ("tputs", "e2e", "ttft", "tpot"):
            self.assertEqual([columns] * rows, [len(row) for row in doc[table]], table)
        self.assertEqual({"percentile": 95.0, "e2e": 30.0}, doc["slos"])
        self.assertEqual("gpu", doc["gpu"])
        # It is a profile: given as such it routes.
        given = lab.dir / "profiles" / "org%2Fbare"
        given.mkdir(parents=True, exist_ok=True)
        (given / "gpu.json").write_text(text)
        promising(lab.config, profile="given")
        lab.config_file.write_text(json.dumps(lab.config))
        lab.agent.send(signal.SIGHUP)
        lab.logged(r"org%2Fbare/gpu.json: 90 cells, \d+ with throughput 0, 0 without data")
        with lab.peer() as peer:
            self.assertEqual("route", self.ask(peer)["verdict"])


class LearnedRecording(unittest.TestCase):
    def test_a_recording_with_learning_replays(self):
        def config(conf):
            recorded(conf)
            conf["models"]["bare"]["slo"] = {"tpat": "1ms", "ttft": "20ms", "tpot": "1ms"}
            conf["models"][MODEL]["deployments"]["l20"]["profile"] = "learned"

        lab = RecorderLab(config=config)
        self.addCleanup(lambda: lab.__exit__(None))
        lab.start()
        traffic = Traffic(lab)
        def taught():
            return lab.counter("learned_ends_total", taught="true")

        # How many ends come beside how much else, and so teach, is the machine's.
        while traffic.sent < 3000 or (taught() <= 500 and traffic.sent < 30000):
            traffic.turn()
        traffic.finish()
        self.assertGreater(taught(), 500)
        lab.stop_agent()
        lab.agent = None
        paths = sorted(lab.dir.glob("decisions.rec*"))
        decisions = [d for path in paths for d in played(lab, path)]
        self.assertGreater(sum(d["verdict"] == "route" for d in decisions), 500)

    def test_so_does_one_of_slo_adaptive_with_a_prior_a_restart_and_others_leases(self):
        redis = Redis()
        self.addCleanup(redis.close)
        redis.start()
        one, two = (self.of_a_group(redis, name) for name in ("one", "two"))
        first, others = (Traffic(lab, strategies=["slo-adaptive", "slo"]) for lab in (one, two))
        self.take_turns(first, others)
        # How many ends come beside how much else, and so teach, is the machine's.
        while one.counter("learned_ends_total", taught="true") <= 100 and first.sent < 30000:
            self.take_turns(first, others, count=200)
        for lab in (one, two):
            lab.until(lambda l=lab: sum(s["foreign"] for s in l.ledger().values()) > 0, "others' leases")
        first.settle()
        first.close()
        self.assertGreater(one.counter("learned_ends_total", taught="true"), 100)
        one.stop_agent()
        one.start_agent()
        again = Traffic(one, strategies=["slo-adaptive"], prefix="again")
        self.take_turns(again, others)
        again.settle()
        others.finish()
        again.close()
        for lab in (one, two):
            lab.stop_agent()
            lab.agent = None
            decisions = [d for path in lab.recordings() for d in played(lab, path)]
            self.assertGreater(sum(d["verdict"] == "route" for d in decisions), 300)

    def of_a_group(self, redis, name):
        def config(conf):
            recorded(conf)
            conf["models"]["bare"]["slo"] = {"tpat": "1ms"}
            for d in conf["models"][MODEL]["deployments"].values():
                d["profile"] = "prior"
            conf["cluster"] = {"redis": redis.url, "name": name, "group": "recorded"}
            conf["snapshot"] = {"file": "state.snap", "every": "200ms"}

        lab = RecorderLab(config=config)
        self.addCleanup(lambda: lab.__exit__(None))
        lab.start()
        return lab

    @staticmethod
    def take_turns(*traffics, count=800):
        enough = [traffic.sent + count for traffic in traffics]
        while any(traffic.sent < n for traffic, n in zip(traffics, enough)):
            for traffic in traffics:
                traffic.turn()


if __name__ == "__main__":
    unittest.main()
