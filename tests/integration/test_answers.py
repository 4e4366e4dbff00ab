"""What answers tell, through real HAProxy: when a stream began, which targets a request met, which
server answered and how; servers that fail are set aside; nothing that a client sends makes HAProxy
leave the agent out."""
import asyncio
import itertools
import json
import os
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from client import Http1, Http2  # noqa: E402
from lab import PATIENCE, in_some, scaled  # noqa: E402
from rawclient import ask  # noqa: E402
from stack import MODEL, wait_for  # noqa: E402
from wayward import WaywardLab  # noqa: E402

FIRST = float(os.environ.get("SLO_TEST_FIRST", "1.5"))  # seconds until the first token of a slow stream
TARGET = 500  # ms, for the first token


def post(headers=None, model=MODEL, path="/v1/completions", body=None):
    """The bytes of a request that tells a Wayward server what to do."""
    headers = headers or {}
    body = body or json.dumps({"model": model, "prompt": "say it", "max_tokens": 16,
                               "stream": headers.get("x-do") in ("stream", "half")}).encode()
    lines = [f"POST {path} HTTP/1.1", "Host: test", f"Content-Length: {len(body)}",
             "Connection: close", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class AnswersCase(unittest.TestCase):
    def start(self, *fleet, **kw):
        self.lab = self.enterContext(WaywardLab(fleet=fleet or ("a10-1",), **kw))
        return self.lab

    def until(self, condition, what):
        return wait_for(condition, what, 30 * PATIENCE)

    def ask(self, headers=None, **kw):
        return asyncio.run(ask(self.lab.port, post(headers, **kw)))

    def ended(self, n):
        """All of n requests have ended for the agent, too."""
        self.until(lambda: sum(self.lab.end_lines(r) for r in ("closed", "cancelled")) == n,
                   f"{n} end lines")
        self.until(self.lab.idle, "nothing is left")

    def met(self, met):
        return self.lab.counter("slo_total", met=met)

    def missed(self, target):
        return self.lab.counter("missed_total", target=target)


class FirstToken(AnswersCase):
    def check(self, model, kind="text/event-stream"):
        lab = self.start()
        ends = itertools.count(1)

        def late():
            """HAProxy leaves time in which it stood still out of one of its clocks: then the agent believes neither."""
            slow = {"x-do": "stream", "x-kind": kind, "x-first-ms": int(FIRST * 1e3), "x-slo-ttft-ms": TARGET}
            before = lab.counter("ttft_seconds_sum", model=model)
            missed = self.met("true"), self.met("false"), self.missed("ttft")
            answer = self.ask(slow, model=model)
            self.assertTrue(answer.good, answer)
            self.ended(next(ends))
            told = lab.counter("ttft_seconds_sum", model=model) - before
            if told == 0:
                return False
            self.assertGreaterEqual(told, FIRST)
            self.assertLess(told, answer.first - answer.began + 0.01)  # its client saw it after HAProxy did
            self.assertEqual((missed[0], missed[1] + 1, missed[2] + 1),
                             (self.met("true"), self.met("false"), self.missed("ttft")))
            return True
        in_some(late, "a late first token")

        def in_time():
            """The first token at once, the others late: that is no miss of this target."""
            before = self.met("true"), self.met("false")
            answer = self.ask({"x-do": "stream", "x-kind": kind, "x-all-ms": int(FIRST * 1e3),
                               "x-slo-ttft-ms": TARGET}, model=model)
            self.assertTrue(answer.good, answer)
            self.ended(next(ends))
            late = answer.first - answer.began > TARGET / 1e3
            if not late:
                self.assertEqual((before[0] + 1, before[1]), (self.met("true"), self.met("false")))
            return not late
        in_some(in_time, "a first token at once")

    def test_a_stream_begins_with_its_first_event_not_with_its_headers(self):
        self.check(MODEL)

    def test_so_does_one_of_a_server_that_speaks_http2(self):
        self.check("h2")

    def test_so_does_one_of_json_lines(self):
        self.check(MODEL, "Application/x-NDJSON; charset=utf-8")

    def test_a_whole_answer_has_no_first_token(self):
        lab = self.start()
        late = {"x-all-ms": int(FIRST * 1e3), "x-slo-ttft-ms": TARGET}
        self.assertTrue(self.ask(late).good)
        self.ended(1)
        self.assertEqual(0, lab.counter("ttft_seconds_count"))
        self.assertEqual((1, 0), (self.met("true"), self.met("false")))

    def test_all_targets_count_and_each_that_was_missed_is_told(self):
        lab = self.start()
        late = {"x-all-ms": int(FIRST * 1e3), "x-slo-ttft-ms": 60000, "x-slo-e2e-ms": TARGET}
        self.assertTrue(self.ask(late).good)
        self.ended(1)
        self.assertEqual((0, 1), (self.met("true"), self.met("false")))
        self.assertEqual((0, 1), (self.missed("ttft"), self.missed("e2e")))
        late.update({"x-do": "stream", "x-first-ms": late["x-all-ms"], "x-slo-ttft-ms": TARGET})
        self.assertTrue(self.ask(late).good)
        self.ended(2)
        self.assertEqual((1, 2), (self.missed("ttft"), self.missed("e2e")))
        targets = lab.state()["models"][MODEL]["targets"]["a10"]
        self.assertEqual({"decides": "e2e", "e2e": 600.0}, targets)


class Failing(AnswersCase):
    N = 1000

    async def load(self, n, headers=None):
        http = Http1("127.0.0.1", self.lab.port)
        body = json.dumps({"model": MODEL, "prompt": "say it", "max_tokens": 16}).encode()
        try:
            return [(await http.request("POST", "/v1/completions", headers or {}, body)).status
                    for _ in range(n)]
        finally:
            await http.close()

    def test_a_server_that_fails_at_once_gets_next_to_nothing(self):
        lab = self.start("l20-1", "l20-2")
        bad = lab.origins["l20-2"]  # of idle servers the last one is chosen
        bad.do = "500"
        n = scaled(self.N, 100)
        first = asyncio.run(self.load(10))
        before = bad.asked
        statuses = asyncio.run(self.load(n))
        asked = bad.asked - before
        print(f"{before} of the first 10 and {asked} of {n} more went to the failing server")
        self.assertLessEqual(asked, 0.05 * n)
        self.assertEqual(500, first[0])
        self.assertEqual(n - asked, statuses.count(200))
        lab.agent_said(r"server llama2-7b/l20-2 failed 3 times in a row, last with status 500")
        self.ended(n + 10)
        self.assertEqual(bad.asked, lab.counter("responses_total", server="l20-2", **{
            "class": "5xx"}))
        self.assertEqual(bad.asked, self.missed("failure"))
        self.assertEqual(bad.asked, self.met("false"))
        # Once it is well it is tried, and then used again.
        bad.do = None
        self.until(lambda: asyncio.run(self.load(5)) == [200] * 5 and
                   lab.ledger()["l20-2"]["usable"] and bad.asked > before + asked, "it is used")
        lab.agent_said(r"server llama2-7b/l20-2 answers again")

    def test_where_all_fail_half_stay_in_use(self):
        lab = self.start("l20-1", "l20-2", "l20-3")
        for origin in lab.origins.values():
            origin.do = "500"
        self.assertEqual([500] * 40, asyncio.run(self.load(40)))
        self.ended(40)
        usable = [s["usable"] for s in lab.ledger().values()]
        self.assertGreaterEqual(sum(usable), 2)
        lab.agent_said("it stays in use, because too few others are left")

    def test_a_stream_that_breaks_off_is_a_miss_of_its_own_kind(self):
        lab = self.start()
        self.assertFalse(self.ask({"x-do": "half"}).good)
        self.ended(1)
        self.assertEqual(1, lab.counter("responses_total", **{"class": "broken"}))
        self.assertEqual((1, 1), (self.met("false"), self.missed("failure")))
        self.assertEqual(0, lab.counter("ttft_seconds_count"))


class Elsewhere(AnswersCase):
    def renamed(self, *servers):
        return lambda c: c["models"][MODEL]["deployments"]["a10"].update(servers=list(servers))

    def test_a_name_that_haproxy_does_not_have_is_told(self):
        lab = self.start(config=self.renamed("a10-1", "a10-01"))
        for i in range(12):
            self.assertTrue(self.ask().good)
            self.ended(i + 1)  # an idle fleet chooses the last server again
        self.assertEqual(12, lab.counter("elsewhere_total", server="a10-01", cause="skipped"))
        self.assertEqual(12, lab.counter("responses_total", server="a10-1", **{"class": "2xx"}))
        self.assertEqual(12, lab.ledger()["a10-1"]["requests"])
        lab.agent_said(r"HAProxy sent a request to llama2-7b/a10-1 instead of llama2-7b/a10-01")

    def test_a_server_that_no_model_names_is_told(self):
        lab = self.start(config=self.renamed("a10-01"))
        self.assertTrue(self.ask().good)
        self.ended(1)
        self.assertEqual(1, lab.counter("elsewhere_total", server="a10-01", cause="unknown"))
        lab.agent_said("are backends and servers named alike in both configurations")

    def test_a_redispatched_request_counts_for_the_server_that_answered(self):
        lab = self.start("l20-1", "l20-2")
        lab.checks(False, f"{MODEL}/l20-2")  # or HAProxy would not try it
        lab.origins["l20-2"].stop()
        for _ in range(3):
            self.assertTrue(self.ask().good)
        self.ended(3)
        moved = lab.counter("elsewhere_total", server="l20-2", cause="redispatched")
        self.assertGreater(moved, 0)
        self.assertEqual(3, lab.ledger()["l20-1"]["requests"])
        lab.agent_said("the chosen one refused the connection")


class Questions(AnswersCase):
    def test_nothing_that_a_client_sends_keeps_haproxy_from_asking(self):
        self.start()
        body = json.dumps({"model": MODEL, "prompt": "so " * 7000, "max_tokens": 16}).encode()
        long = "1" * 3000
        for kw in ({"path": "/v1/" + "a" * 3000}, {"path": "/v1/completions?" + "a" * 3000},
                   *({"headers": {name: long}} for name in (
                       "model", "routing-strategy", "x-slo-ttft-ms", "x-slo-tpot-ms",
                       "x-slo-e2e-ms", "x-slo-prompt-tokens", "x-slo-max-tokens",
                       "x-llm-d-slo-ttft-ms", "x-llm-d-slo-tpot-ms", "user-agent"))):
            with self.subTest(**{k: str(v)[:30] for k, v in kw.items()}):
                answer = self.ask(**{"body": body, **kw})
                self.assertEqual(("route", 200), (answer.verdict, answer.status), answer)

    def test_a_server_that_closes_used_connections_leaves_nothing_charged(self):
        lab = self.start()

        async def run():
            http = Http1("127.0.0.1", lab.port)
            body = json.dumps({"model": MODEL, "prompt": "say it"}).encode()
            statuses = [(await http.request("POST", "/v1/completions", {"x-do": "once"},
                                            body)).status for _ in range(20)]
            await http.close()
            return statuses
        self.assertEqual([200] * 20, asyncio.run(run()))
        self.ended(20)


class Killed(AnswersCase):
    """A server dies with requests that it has not answered. HAProxy may be silent about them."""

    async def leave_unanswered(self, kind, n):
        body = json.dumps({"model": MODEL, "prompt": "say it", "max_tokens": 16}).encode()
        clients = [kind("127.0.0.1", self.lab.port) for _ in range(n if kind is Http1 else 1)]

        async def one(i):
            http = clients[i % len(clients)]
            first = await http.request("POST", "/v1/completions", {}, body)
            self.assertEqual(200, first.status)
            await http.request("POST", "/v1/completions", {"x-all-ms": 600000}, body)
        tasks = [asyncio.create_task(one(i)) for i in range(n)]
        await asyncio.to_thread(self.until, lambda: self.lab.ledger()["l20-1"]["inflight"] == n,
                                f"{n} wait for their answers")
        await asyncio.to_thread(self.lab.origins["l20-1"].kill)
        await asyncio.gather(*tasks, return_exceptions=True)
        for http in clients:
            await http.close()

    def check(self, kind, runtime_api):
        lab = self.start("l20-1", room=100, runtime_api=runtime_api)
        asyncio.run(self.leave_unanswered(kind, 20))
        self.until(lab.idle, "nothing is charged any more")
        self.until(lambda: not lab.ledger()["l20-1"]["usable"], "it is down")

    def test_with_clients_that_keep_their_connections(self):
        self.check(Http1, False)

    def test_with_http2_clients(self):
        self.check(Http2, False)

    def test_with_http2_clients_and_the_runtime_api(self):
        self.check(Http2, True)


if __name__ == "__main__":
    unittest.main()
