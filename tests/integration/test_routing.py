"""Requests through a real HAProxy, the agent and demo LLM servers: where they go, in which order,
what is refused and why, what is learned, what is shown.

Environment: see tests/support/stack.py and case.py.
"""
import asyncio
import collections
import json
import math
import pathlib
import random
import re
import sys
import time
import unittest
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from case import (CHAT, LONG, PATIENCE, TEXT, Metrics, StackCase, body_of, one_cell,  # noqa: E402
                  scaled, text_of)
from client import Http1, Http2  # noqa: E402
from stack import FLEET, MODEL, Stack  # noqa: E402


class Bulk(StackCase):
    options = {"speed": 50, "strategy": None}
    PER_KIND = scaled(500, 32)

    def jobs(self, kind):
        rng = random.Random(kind)
        jobs = []
        for i in range(2 * self.PER_KIND):
            path = rng.choice((CHAT, TEXT))
            output = rng.choice((1, 4, 20, 60))
            size = round(2 ** rng.uniform(3, 14.5))
            jobs.append((path, output, i % 2 == 0, body_of(
                path, text_of(size, i), stream=i % 2 == 0, max_tokens=output, ignore_eos=True)))
        return jobs

    async def one(self, client, job):
        path, output, stream, body = job
        answer = await self.post({"content-type": "application/json"}, body, path, client)
        self.assert_routed(answer)
        if stream:
            events = answer.body.split(b"\n\n")
            self.assertEqual(len(events), (path == CHAT) + output + 2)  # [DONE], and behind it
            self.assertEqual(events[-2:], [b"data: [DONE]", b""])
        else:
            self.assertEqual(answer.json()["usage"]["completion_tokens"], output)
        return answer.headers["x-demo-server"]

    async def worker(self, client, jobs):
        return [await self.one(client, jobs.pop()) for _ in iter(lambda: bool(jobs), False)]

    async def test_every_request_goes_where_the_agent_says_and_all_is_released(self):
        """2,000 requests over 64 connections, HTTP/1 and HTTP/2, streamed and not: each is answered
        by the server that the agent chose, ends once, and leaves nothing behind."""
        jobs = {Http1: self.jobs("h1"), Http2: self.jobs("h2")}
        workers = []
        for kind, per_connection in ((Http1, 1), (Http2, 2)):
            for client in [self.client(kind) for _ in range(32)]:
                workers += [self.spawn(self.worker(client, jobs[kind]))
                            for _ in range(per_connection)]
        answered = collections.Counter(
            name for served in await asyncio.gather(*workers) for name in served)
        total = 4 * self.PER_KIND
        self.assertEqual(answered.total(), total)
        self.assertEqual(sum(c.connections for c in self.clients), 64)

        def ended():
            m = Metrics(self.stack.metrics())
            return {k: m.sum("slo_spoa_end_lines_total", result=k) for k in
                    ("closed", "duplicate", "cancelled", "unknown", "malformed", "dropped")}
        await self.until(lambda: ended()["closed"] + ended()["duplicate"] >= 2 * total,
                         "both copies of every end line")
        self.assertEqual(ended(), {"closed": total, "duplicate": total, "cancelled": 0,
                                   "unknown": 0, "malformed": 0, "dropped": 0})
        for name, server in (await asyncio.to_thread(self.stack.ledger)).items():
            self.assertEqual((server["load"], server["inflight"]), (0, 0), name)
            self.assertEqual(server["requests"], answered[name], name)
        state = await self.state()
        self.assertEqual((state["queued"], state["dispatched"]), (0, 0))
        metrics = await self.metrics()
        self.assertEqual(metrics.sum("slo_spoa_requests_total"), total)
        self.assertEqual(metrics.sum("slo_spoa_requests_total", model=MODEL,
                                     strategy=self.stack.config["routing"]["strategy"],
                                     verdict="route", reason=""), total)
        for kind in ("notify", "ack"):
            self.assertEqual(metrics.sum("slo_spoa_spop_frames_total", type=kind, result="ok"),
                             total)
        self.assertEqual(metrics.sum("slo_spoa_spop_frames_total", result="error"), 0)
        for name in self.stack.fleet:
            stats = self.stack.server_stats(name)
            self.assertEqual((stats["completed"], stats["aborted"]), (answered[name], 0))


def bucket(output, prompt):
    return round(math.log2(output)), round(math.log2(prompt))


def expected_order(requests):
    """Tags in the order of service by one free place: who must start first. requests: (tag, output,
    prompt, target), in order of arrival; targets further apart than arrivals, and one latency."""
    return [tag for tag, _, _, _ in sorted(requests, key=lambda r: r[3])]


class Order(StackCase):
    """One server with room for four. No two tests use the same prompt size, so that no test's
    answers change what another one's requests are predicted to give: max_tokens, by cold: max."""

    options = {"fleet": {"a10-1": "a10"},
               "config": lambda c: c["routing"].update(cold="max", queue_timeout="600s")}
    profiles = {"a10": one_cell("a10", 4.0, 1.0, e2e=600)}
    TARGET_STEP = 600  # seconds

    def request(self, tag, output, prompt, target):
        return self.post({"x-demo-tag": tag, "x-slo-prompt-tokens": prompt,
                          "x-demo-prompt-tokens": prompt, "x-demo-output-tokens": 1,
                          "x-slo-max-tokens": output, "x-slo-e2e-ms": 1000 * target})

    async def reset(self):
        await asyncio.to_thread(self.stack.post_server, "a10-1", "/stats/reset")

    async def check_order(self, prompt, requests):
        """Fills the server, queues requests (tag, output, prompt, target) one by one, gives one of
        the four places free, and compares the order of service."""
        holders = await self.hold(4, {"x-slo-prompt-tokens": prompt, "x-slo-max-tokens": 1})
        await self.reset()
        began = time.monotonic()
        waiting = []
        for i, request in enumerate(requests):
            waiting.append(self.spawn(self.request(*request)))
            await self.until(lambda: self.queued() == i + 1, f"request {i} in the queue")
        self.assertLess(time.monotonic() - began, self.TARGET_STEP)
        self.assertFalse(any(task.done() for task in holders + waiting))
        state = await self.state()
        self.assertEqual(state["models"][MODEL]["servers"]["a10-1"]["load"], 1)
        self.assertEqual(state["models"][MODEL]["queued_sizes"],
                         len({bucket(o, p) for _, o, p, _ in requests}))
        holders[0].cancel()
        for answer in await asyncio.gather(*waiting):
            self.assert_routed(answer, "a10-1")
            self.assertGreaterEqual(int(answer.headers["x-slo-wait-ms"]), 0)
        self.assertFalse(any(task.done() for task in holders[1:]))
        self.assertEqual(self.stack.server_stats("a10-1")["order"],
                         expected_order(requests))
        server = (await asyncio.to_thread(self.stack.ledger))["a10-1"]
        self.assertEqual((server["peak_inflight"], server["peak_load"]), (4, 1))

    async def test_never_more_at_a_server_than_it_has_room_for(self):
        """40 requests of mixed urgency at once for a server with room for four."""
        count = scaled(40, 12)
        await self.reset()
        rng = random.Random(4)
        tasks = [self.spawn(self.post(
            {"x-slo-prompt-tokens": 8, "x-demo-prompt-tokens": 8, "x-demo-output-tokens": 8,
             "x-slo-max-tokens": 8, "x-slo-e2e-ms": rng.choice((1, 2000, 60000))}))
            for _ in range(count)]
        for answer in await asyncio.gather(*tasks):
            self.assert_routed(answer, "a10-1")
        stats = self.stack.server_stats("a10-1")
        self.assertEqual((stats["completed"], stats["peak_inflight"]), (count, 4))
        server = (await asyncio.to_thread(self.stack.ledger))["a10-1"]
        self.assertEqual((server["peak_inflight"], server["peak_load"]), (4, 1))

    async def test_of_one_size_the_request_with_least_slack_is_served_first(self):
        """One size is one bucket; requests with the same target stand in order of arrival."""
        rng = random.Random(1)
        sizes = [(o, p) for o in (3, 4, 5) for p in (50, 64, 80)]
        requests = [(f"r{i}", *rng.choice(sizes), self.TARGET_STEP * rng.randint(1, 50))
                    for i in range(scaled(36, 12))]
        self.assertEqual(1, len({bucket(o, p) for _, o, p, _ in requests}))
        self.assertNotEqual([r[0] for r in requests], expected_order(requests))
        await self.check_order(64, requests)

    async def test_of_several_sizes_the_one_with_least_slack_is_served_first(self):
        """The heads of nine buckets compete."""
        rng = random.Random(2)
        requests = [(f"r{i}", rng.choice((5, 6, 40)), rng.choice((250, 1000, 4000)),
                     self.TARGET_STEP * rng.randint(1, 50)) for i in range(scaled(36, 12))]
        self.assertNotEqual([r[0] for r in requests],
                            expected_order(requests))
        await self.check_order(1000, requests)


def strict(conf):
    conf["routing"].update(late="reject", queue_timeout="300ms")
    del conf["routing"]["default_model"]


class Refusal(StackCase):
    """One server with room for two, that cannot serve long prompts in time."""

    options = {"fleet": {"a10-1": "a10"}, "config": strict}
    profiles = {"a10": {"tputs": [[2.0, 0.0]], "e2e": [[1.0, 1.0]], "indexes": [[16], [64, 4096]],
                        "created": 1767225600.0, "slos": {"e2e": 600}}}

    async def test_what_no_server_can_do_in_time_is_refused(self):
        """Throughput 0 in the only profile."""
        long_body = body_of(text=text_of(30000))
        for kind in (Http1, Http2):
            client = self.client(kind)
            self.assert_refused(await self.post({"x-slo-prompt-tokens": 5000}, client=client),
                                "slo-failure")
            self.assert_routed(await self.post(client=client), "a10-1")
            self.assertEqual(client.connections, 1)  # a refusal left it open
            self.assert_refused(await self.post(body=long_body, client=client), "slo-failure")

    async def test_what_would_be_late_is_refused_if_the_configuration_says_so(self):
        """late: reject, and a target shorter than the profile's latency."""
        self.assert_refused(await self.post({"x-slo-e2e-ms": 999}), "slo-failure")
        self.assert_routed(await self.post({"x-slo-e2e-ms": 60000}), "a10-1")

    async def test_what_waited_too_long_is_refused(self):
        """queue_timeout 300ms."""
        await self.hold(2)
        answer = await self.post()
        self.assert_refused(answer, "queue-timeout")
        self.assertGreaterEqual(int(answer.headers["x-slo-wait-ms"]), 300)
        self.assertEqual((await self.in_flight())["a10-1"], 2)

    async def test_without_a_default_model_a_request_that_names_none_passes(self):
        """Nor one that names it behind the sample that the agent sees."""
        body = json.dumps({"messages": [{"role": "user", "content": text_of(100000)}],
                           "model": MODEL, "max_tokens": 1}).encode()
        self.assert_passed(await self.post({"x-demo-prompt-tokens": 100}, body, CHAT),
                           "unknown-model")
        self.assert_passed(await self.post(body=b'{"prompt":"x"}'), "unknown-model")


def bounded(conf):
    strict(conf)
    conf["routing"]["limits"] = {"strategies": "waiting"}
    conf["models"][MODEL]["limits"] = {"e2e_min": "60s"}


class ClientLimits(StackCase):
    """What a client may ask for has bounds."""

    options = {"fleet": {"a10-1": "a10"}, "config": bounded}
    profiles = {"a10": one_cell("a10", 2.0, 1.0, e2e=600)}

    async def limited(self, what):
        return (await self.metrics()).sum("slo_spoa_client_limits_total", what=what)

    async def test_a_strategy_that_overloads_is_replaced_by_the_models(self):
        for asked, used in (("random", "slo"), ("least-request", "slo"), ("slo-least-load", "slo"),
                            ("slo-pack-load", "slo-pack-load"), ("slo", "slo"),
                            ("slo-adaptive", "slo-adaptive")):
            answer = await self.post({"routing-strategy": asked})
            self.assert_routed(answer, "a10-1")
            self.assertEqual(answer.headers["x-slo-strategy"], used)
        self.assertEqual(await self.limited("strategy"), 3)

    async def test_a_target_tighter_than_allowed_counts_as_the_tightest(self):
        """999 ms cannot be met and would be refused."""
        self.assert_routed(await self.post({"x-slo-e2e-ms": 999}), "a10-1")
        self.assert_refused(await self.post({"x-slo-tpot-ms": 1}), "slo-failure")
        self.assertEqual(await self.limited("target"), 1)


class Limit(StackCase):
    options = {"fleet": {"a10-1": "a10"},
               "config": lambda c: c["routing"].update(queue_limit=1)}
    profiles = {"a10": one_cell("a10", 1.0, 1.0, e2e=600)}

    async def test_what_finds_the_queue_full_is_refused(self):
        """queue_limit 1: one is served, one waits, the third is refused at once."""
        holder, = await self.hold(1)
        waiting = self.spawn(self.post())
        await self.until(lambda: self.queued() == 1, "one in the queue")
        self.assert_refused(await self.post(), "queue-full")
        self.assertFalse(waiting.done())
        holder.cancel()
        self.assert_routed(await waiting, "a10-1")


class Header(StackCase):
    """a10 is first with the first token, l20 with the last."""

    options = {"config": lambda c: c["routing"].update(late="reject")}
    profiles = {"a10": one_cell("a10", 10.0, 2.0, 0.1, e2e=600),
                "l20": one_cell("l20", 10.0, 1.0, 0.5, e2e=600)}

    async def gpu_of(self, headers):
        answer = await self.post(headers)
        self.assert_routed(answer)
        return self.stack.fleet[answer.headers["x-demo-server"]]

    async def test_a_request_brings_its_own_target(self):
        """The most relaxed deployment differs by kind of target."""
        self.assertEqual(await self.gpu_of({}), "l20")
        self.assertEqual(await self.gpu_of({"x-slo-e2e-ms": 10000}), "l20")
        self.assertEqual(await self.gpu_of({"x-slo-ttft-ms": 10000}), "a10")
        self.assertEqual(await self.gpu_of({"x-llm-d-slo-ttft-ms": 10000}), "a10")
        # TTFT decides before E2E, TPOT before both.
        self.assertEqual(await self.gpu_of({"x-slo-e2e-ms": 10000, "x-slo-ttft-ms": 10000}), "a10")
        self.assertEqual(await self.gpu_of({"x-slo-tpot-ms": 10000, "x-slo-ttft-ms": 10000}), "l20")

    async def test_a_target_that_cannot_be_met_is_refused(self):
        """late: reject; every header that carries a target counts, and the later name wins."""
        for name, missed in (("x-slo-ttft-ms", 99), ("x-llm-d-slo-ttft-ms", 99),
                             ("x-slo-e2e-ms", 999), ("x-slo-tpot-ms", 999),
                             ("x-llm-d-slo-tpot-ms", 999)):
            with self.subTest(name):
                # One token is predicted, so TPOT is the target for the whole of it.
                more = {"x-slo-max-tokens": 1}
                self.assert_refused(await self.post({**more, name: missed}), "slo-failure")
                self.assert_routed(await self.post({**more, name: 60000}))
        both = await self.post({"x-slo-ttft-ms": 60000, "x-llm-d-slo-ttft-ms": 99})
        self.assert_refused(both, "slo-failure")

    async def test_a_target_that_is_no_number_is_none(self):
        """The profile's counts then."""
        for value in ("soon", "-5", "0", "1e3", "12.5", "99999999999999999999", " "):
            with self.subTest(value):
                self.assertEqual(await self.gpu_of({"x-slo-e2e-ms": value}), "l20")

    async def test_the_strategy_of_the_request_decides(self):
        """Spread: each to the emptiest. Pack: each to the fullest that has room."""
        servers = {}
        for strategy in ("slo", "slo-least-load", "slo-least-load-pulling", "slo-pack-load"):
            await self.hold(4, {"routing-strategy": strategy})
            flying = await self.in_flight()
            servers[strategy] = [flying[f"l20-{i}"] for i in range(1, 5)]
            answer = await self.post({"routing-strategy": strategy})
            self.assert_routed(answer)
            self.assertEqual(answer.headers["x-slo-strategy"], strategy)
            for task in self.tasks:
                task.cancel()
            await self.all_idle()
        self.assertEqual(servers, {"slo": [1, 1, 1, 1], "slo-least-load": [1, 1, 1, 1],
                                   "slo-least-load-pulling": [1, 1, 1, 1],
                                   "slo-pack-load": [4, 0, 0, 0]})

    async def test_plain_strategies_use_every_deployment(self):
        """least-request counts requests over all servers, random draws."""
        await self.hold(10, {"routing-strategy": "least-request"})
        self.assertEqual(set((await self.in_flight()).values()), {2})
        seen = set()
        for _ in range(100):  # 100 draws of five miss one of them once in 10^9 runs
            answer = await self.post({"routing-strategy": "random", "x-demo-output-tokens": 1})
            self.assert_routed(answer)
            self.assertEqual(answer.headers["x-slo-strategy"], "random")
            seen.add(answer.headers["x-demo-server"])
        self.assertEqual(seen, set(FLEET))

    async def test_an_unknown_strategy_is_counted(self):
        """And the model's own is used."""
        before = (await self.metrics()).sum("slo_spoa_unknown_strategy_total")
        for name in ("prefix-cache", "SLO", "slo "):
            answer = await self.post({"routing-strategy": name})
            self.assert_routed(answer)
            self.assertEqual(answer.headers["x-slo-strategy"], "slo")
        after = (await self.metrics()).sum("slo_spoa_unknown_strategy_total")
        # HAProxy trims the blank of the last one, which is then well known.
        self.assertEqual(after - before, 2)

    async def test_a_header_names_the_model(self):
        """It wins over the body; a model that is not configured passes."""
        self.assert_passed(await self.post({"model": "other"}), "unknown-model")
        self.assert_routed(await self.post({"model": MODEL}, body_of(model="other")))

    async def test_a_client_cannot_forge_what_the_agent_says(self):
        """Headers of the answer are ours, whatever came with the request."""
        answer = await self.post({"x-slo-server": "l20-9", "x-slo-verdict": "reject"})
        self.assert_routed(answer)


class Default(StackCase):
    """What haproxy-conf/ ships."""

    async def test_an_unknown_model_passes_and_is_balanced_by_haproxy(self):
        """Ten at once on five servers: two each, by leastconn."""
        before = await self.metrics()
        await self.hold(10, body=body_of(model="other"))
        self.assertEqual(set((await self.in_flight()).values()), {2})
        state = await self.state()
        self.assertEqual(state["dispatched"], 0)
        answer = await self.post(body=body_of(model="other"))
        self.assert_passed(answer, "unknown-model")
        self.assertEqual(answer.json()["model"], "other")
        name = "slo_spoa_requests_total"
        count = {"verdict": "pass", "reason": "unknown-model"}
        self.assertEqual((await self.metrics()).sum(name, **count) - before.sum(name, **count), 11)

    async def test_a_model_named_behind_the_sample_is_the_default_model(self):
        """100 KB of messages first, then the model."""
        for kind in (Http1, Http2):
            body = json.dumps({"messages": [{"role": "user", "content": text_of(100000)}],
                               "model": "other", "max_tokens": 1}).encode()
            headers = {"x-demo-prompt-tokens": 100}
            answer = await self.post(headers, body, CHAT, self.client(kind))
            self.assert_routed(answer)
            self.assertEqual(answer.json()["model"], "other")

    async def test_a_malformed_body_passes(self):
        """The server says what is wrong with it."""
        for body in (b"prompt=x", b"[]", b'{"model": "%s", ]' % MODEL.encode(), b"\xff\x00\x01"):
            with self.subTest(body=body):
                self.assert_passed(await self.post(body=body), "bad-request", 400)

    async def test_what_is_no_work_for_a_gpu_does_not_ask_the_agent(self):
        """GET /v1/models, and a POST elsewhere."""
        notify = {"type": "notify"}
        before = (await self.metrics()).sum("slo_spoa_spop_frames_total", **notify)
        for kind in (Http1, Http2):
            client = self.client(kind)
            for method, path, status in (("GET", "/v1/models", 200), ("POST", "/other", 404)):
                answer = await asyncio.wait_for(client.request(method, path), PATIENCE)
                self.assertEqual(answer.status, status, answer)
                self.assertIn(answer.headers["x-demo-server"], self.stack.fleet)
                self.assertEqual([k for k in answer.headers if k.startswith("x-slo-")], [])
        after = (await self.metrics()).sum("slo_spoa_spop_frames_total", **notify)
        self.assertEqual(after, before)

    async def test_a_stream_arrives_as_it_is_made_and_ends_with_its_client(self):
        """The first event comes while the server works; a client that leaves frees its place."""
        for kind in (Http1, Http2):
            client = self.client(kind)
            answer = await asyncio.wait_for(client.start(
                "POST", CHAT, {"x-demo-output-tokens": LONG}, body_of(CHAT, stream=True)), PATIENCE)
            self.assert_routed(answer)
            self.assertEqual(answer.headers["content-type"], "text/event-stream; charset=utf-8")
            first = await asyncio.wait_for(anext(answer), PATIENCE)
            self.assertTrue(first.startswith(b"data: {"), first)
            server = answer.headers["x-demo-server"]
            self.assertEqual((await self.in_flight())[server], 1)
            self.assertEqual((await asyncio.to_thread(self.stack.ledger))[server]["inflight"], 1)
            await answer.drop()
            await self.until(self.stack.idle, "the place is free")
            await self.until(lambda s=server: self.on_servers()[s] == 0, "the server knows")

    async def test_healthz_says_ok(self):
        """And other paths and methods are told apart."""
        host = f"http://127.0.0.1:{self.stack.http}"

        def ask(path, method="GET"):
            request = urllib.request.Request(host + path, method=method)
            try:
                with urllib.request.urlopen(request, timeout=PATIENCE) as r:
                    return r.status, r.read()
            except urllib.error.HTTPError as e:
                with e:
                    return e.code, e.read()
        self.assertEqual(await asyncio.to_thread(ask, "/healthz"), (200, b"ok\n"))
        self.assertEqual((await asyncio.to_thread(ask, "/nothing"))[0], 404)
        self.assertEqual((await asyncio.to_thread(ask, "/healthz", "POST"))[0], 405)

    async def test_metrics_are_well_formed_and_complete(self):
        """Every line is Prometheus text; every name and label that the contract names is there."""
        self.assert_routed(await self.post())
        await self.until(self.stack.idle, "idle")
        m = await self.metrics()
        per_server = {"model", "server"}
        for name, labels in {
                "requests_total": {"model", "strategy", "verdict", "reason"},
                "queue_length": {"model"},
                "server_load": per_server, "server_inflight": per_server,
                "queue_seconds_bucket": {"model", "le"}, "decision_seconds_bucket": {"le"},
                "e2e_seconds_bucket": {"model", "le"}, "ttft_seconds_bucket": {"model", "le"},
                "slo_total": {"model", "met"}, "end_lines_total": {"result"},
                "spop_connections": set(), "spop_frames_total": {"type", "result"}}.items():
            samples = m.family("slo_spoa_" + name)
            self.assertTrue(samples, name)
            for got, _ in samples:
                self.assertEqual(set(got), labels, name)
        self.assertEqual({l["met"] for l, _ in m.family("slo_spoa_slo_total")}, {"true", "false"})
        self.assertEqual({l["result"] for l, _ in m.family("slo_spoa_end_lines_total")},
                         {"closed", "cancelled", "duplicate", "unknown", "malformed", "dropped"})
        self.assertEqual({l["server"] for l, _ in m.family("slo_spoa_server_load")}, set(FLEET))
        keys = [(n, *sorted(l.items())) for n, l, _ in m.samples]
        self.assertEqual(len(keys), len(set(keys)), "a series twice")
        for name, _, _ in m.samples:
            family = re.sub("_(bucket|sum|count)$", "", name)
            self.assertTrue(name.startswith("slo_spoa_"))
            self.assertIn(m.types.get(name, m.types.get(family)), ("counter", "gauge", "histogram"))

    async def test_histograms_add_up(self):
        """Buckets grow with their bound, and the last one is the count."""
        self.assert_routed(await self.post())
        await self.until(self.stack.idle, "idle")
        m = await self.metrics()
        for family in (n for n, kind in m.types.items() if kind == "histogram"):
            series = collections.defaultdict(list)
            for labels, value in m.family(family + "_bucket"):
                key = tuple(sorted((k, v) for k, v in labels.items() if k != "le"))
                series[key].append((float(labels["le"]), value))
            self.assertTrue(series, family)
            for key, buckets in series.items():
                self.assertEqual(buckets, sorted(buckets), family)
                self.assertEqual([v for _, v in buckets], sorted(v for _, v in buckets))
                self.assertEqual(buckets[-1], (math.inf, m.sum(family + "_count", **dict(key))))
                self.assertEqual(len([1 for l, _ in m.family(family + "_sum")
                                      if tuple(sorted(l.items())) == key]), 1)
        self.assertGreaterEqual(m.sum("slo_spoa_e2e_seconds_count", model=MODEL), 1)

    async def test_the_state_has_the_shape_that_tools_rely_on(self):
        """models, servers, load; and while a request is in flight, its share."""
        holder, = await self.hold(1)
        model = (await self.state())["models"][MODEL]
        self.assertEqual(model["queued"], 0)
        self.assertEqual({n: s["deployment"] for n, s in model["servers"].items()}, FLEET)
        for server in model["servers"].values():
            self.assertIs(server["usable"], True)
            self.assertIs(type(server["inflight"]), int)
            self.assertIs(type(server["load"]), float)
        busy = [s for s in model["servers"].values() if s["inflight"]]
        self.assertEqual([s["inflight"] for s in busy], [1])
        self.assertTrue(0 < busy[0]["load"] <= 1, busy)
        holder.cancel()


class Learning(StackCase):
    options = {"speed": 50}

    async def test_prompt_tokens_are_learned_from_answers_that_tell_them(self):
        """A server that counts twice as many moves the factor of the geometric mean by root 2."""
        start = await self.model()
        client, rounds = self.client(), 20

        async def serve(prompt):
            for i in range(rounds):
                body = body_of(text=text_of(1000, i))
                self.assert_routed(await self.post({"x-demo-prompt-tokens": prompt}, body,
                                                   client=client))
            await self.until(self.stack.idle, "idle")
            return await self.model()
        once, twice = await serve(250), await serve(500)
        factor = [m["estimator"]["prompt_factor"] for m in (once, twice)]
        self.assertEqual(start["estimator"]["prompt_factor"], 1)
        self.assertNotEqual(factor[0], 1)
        self.assertAlmostEqual(factor[1] / factor[0], math.sqrt(2), places=2)
        for i, m in enumerate((once, twice)):
            self.assertEqual(m["estimator"]["prompt_samples"], rounds * (i + 1))
            self.assertEqual(m["predictor_samples"], start["predictor_samples"] + rounds * (i + 1))

    async def model(self):
        return (await self.state())["models"][MODEL]

    async def test_output_tokens_of_a_stream_are_told_by_its_bytes(self):
        """Within 25%, each of them."""
        before = await self.model()
        n = 0
        for kind in (Http1, Http2):
            client = self.client(kind)
            for path in (CHAT, TEXT):
                for output in (32, 100, 400):
                    was = self.tokens(await self.model())
                    headers = {"x-slo-prompt-tokens": 100, "x-demo-output-tokens": output}
                    answer = await self.post(headers, body_of(path, stream=True), path, client)
                    self.assert_routed(answer)
                    await self.until(self.stack.idle, "idle")
                    n += 1
                    told = self.tokens(await self.model()) - was - 100
                    with self.subTest(kind=kind.__name__, path=path, output=output):
                        self.assertLess(abs(told - output), output / 4, told)
        after = await self.model()
        self.assertEqual(after["predictor_samples"] - before["predictor_samples"], n)
        self.assertEqual(after["estimator"]["prompt_samples"],
                         before["estimator"]["prompt_samples"])

    def tokens(self, model):
        return sum(s["tokens"] for s in model["servers"].values())


def without_profiles(conf):
    del conf["profiles"]


class Fallback(StackCase):
    options = {"config": without_profiles}

    async def test_without_profiles_requests_are_spread_evenly(self):
        """Verdict fallback, reason no-profile, by the fallback strategy."""
        count = 5 * scaled(10, 2)
        await self.hold(count)
        self.assertEqual(set((await self.in_flight()).values()), {count // 5})
        ledger = await asyncio.to_thread(self.stack.ledger)
        self.assertEqual({(s["inflight"], s["load"]) for s in ledger.values()}, {(count // 5, 0)})
        answer = await self.post()
        got = answer.headers
        self.assertEqual(answer.status, 200)
        self.assertEqual((got["x-slo-verdict"], got["x-slo-reason"], got["x-slo-strategy"]),
                         ("fallback", "no-profile", "least-request"))
        self.assertEqual(got["x-slo-server"], got["x-demo-server"])
        self.assertEqual((await self.metrics()).sum(
            "slo_spoa_requests_total", verdict="fallback", reason="no-profile"), count + 1)


class Static(StackCase):
    options = {"conf": "haproxy-static.cfg", "speed": 50}

    async def test_the_static_configuration_routes_too(self):
        """One use-server line for each server: all of them are reached."""
        seen = set()
        for kind in (Http1, Http2):
            client = self.client(kind)
            for _ in range(20):
                answer = await self.post({"routing-strategy": "least-request"}, client=client)
                self.assert_routed(answer)
                seen.add(answer.headers["x-demo-server"])
        self.assertEqual(seen, set(FLEET))


class UnixStack(Stack):
    def env(self):
        return dict(super().env(), SLO_SPOP=f"unix@{self.dir / 'spop.sock'}")


class UnixSocket(StackCase):
    stack_type = UnixStack
    # Relative: below the directory of the configuration file.
    options = {"config": lambda c: c["spop"].update(listen=["unix:spop.sock"]), "speed": 50}

    async def test_the_agent_answers_over_a_unix_socket(self):
        """The same requests, another way to the agent."""
        for kind in (Http1, Http2):
            client = self.client(kind)
            for i in range(scaled(50, 5)):
                body = body_of(text=text_of(20 * i))
                self.assert_routed(await self.post(body=body, client=client))


if __name__ == "__main__":
    unittest.main(verbosity=2)
