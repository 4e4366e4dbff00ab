#!/usr/bin/env python3
"""Shows slo-spoa in front of two real LLM engines, a fast and a slow one, beside leastconn.

usage: engines_demo.py        (usually by "make run ENGINE=llama"; BUILD_DIR holds slo-spoa)

An open-loop client sends the same requests at the same times, once to HAProxy that balances by
leastconn, once to HAProxy that asks the agent; ROUNDS=3: three times in turn, with least-request too.
On a terminal all stays up until Ctrl-C, unless ONCE=1. Exit status 0: every request was answered and
the agent's books are at 0 again.
"""
import asyncio
import json
import os
import pathlib
import random
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/support"), str(ROOT / "tests/engine"), str(ROOT / "tests/demo")]
import calibrate
import engines
import run as demo
import stack as harness
from client import Http1
from run import say

ROUNDS = int(os.environ.get("ROUNDS", "1"))
STRATEGIES = ("leastconn", "slo") if ROUNDS == 1 else ("leastconn", "least-request", "slo") * ROUNDS
SECONDS = 20
SEED = 7
LOAD = 0.7  # of what both engines can compute if nothing is ever idle
SLACK = 5  # the promise, in latencies of a chat that the slow engine serves alone
LIMIT_S = 30  # for an answer: who waits longer gives up, and has missed
# Share, prompt tokens, answer tokens
CHAT = (0.8, (40, 110), (32, 64))
DOCUMENT = (0.2, (400, 700), (12, 24))
JSON = {"content-type": "application/json"}


def words(n, rng):
    """About n tokens of the engines' vocabulary."""
    return " ".join("b" + rng.choice("aeio") + rng.choice("bdfghklmnprstvz") + rng.choice("aeiou")
                    for _ in range(n))


class Arrival:
    def __init__(self, at, kind, rng):
        _, tokens_in, tokens_out = kind
        self.at, self.path = at, demo.PATH
        ask = {"model": engines.MODEL, "max_tokens": rng.randint(*tokens_out),
               "messages": [{"role": "user", "content": words(rng.randint(*tokens_in), rng)}],
               "cache_prompt": False}  # both strategies shall find the engines alike
        if rng.random() < 0.5:
            ask.update(stream=True, stream_options={"include_usage": True})
        self.body = json.dumps(ask).encode()


def arrivals(rate):
    rng = random.Random(SEED)
    at, all_of_them = rng.expovariate(rate), []
    while at < SECONDS:
        kind = CHAT if rng.random() < CHAT[0] else DOCUMENT
        all_of_them.append(Arrival(at, kind, rng))
        at += rng.expovariate(rate)
    return all_of_them


async def ask_engine(engine, tokens_in, tokens_out):
    rng = random.Random(f"{tokens_in} {time.monotonic()}")
    body = {"prompt": words(tokens_in, rng), "max_tokens": tokens_out, "cache_prompt": False}
    async with Http1("127.0.0.1", engine.port) as http:
        answer = await http.request("POST", "/v1/completions", JSON, json.dumps(body).encode())
    if answer.status != 200:
        raise demo.Failure(f"an engine answered with {answer}")


class RealStack(engines.EngineStack):
    """Without a profile every request would fall back to least-request, so the engines are looked
    at for some seconds before the agent starts."""

    def start_servers(self):
        super().start_servers()
        self.rates = {e.kind: asyncio.run(calibrate.measure(e, ask_engine, self.slots))
                      for e in self.engines.values()}
        mean = [((a + b) / 2, (c + d) / 2) for _, (a, b), (c, d) in (CHAT, DOCUMENT)]
        chat_in, chat_out = mean[0]
        alone = self.rates["slow"].latency(1, chat_in, chat_out)
        self.target = float(f"{SLACK * alone / (chat_in + chat_out):.2g}")
        self.rate = LOAD * sum(1 / sum(share * r.busy(*tokens) for tokens, (share, *_) in
                                       zip(mean, (CHAT, DOCUMENT))) for r in self.rates.values())
        for kind, r in self.rates.items():
            self.profile(kind, calibrate.profile(kind, r, self.target))


class Burst(demo.Burst):
    def __init__(self, stack, strategy, port, requests):
        super().__init__(stack, strategy, [])
        self.port, self.arrivals, self.requests = port, requests, len(requests)
        self.headers = {**JSON, "routing-strategy": strategy}
        self.served = {}  # verdict -> met or not, of each answer
        self.failed = []

    def run(self, stop):
        self.before, counted = demo.Books(self.stack), self.counters()
        start = time.monotonic()
        asyncio.run(self.play(stop))
        self.took = time.monotonic() - start
        if not stop.asked:
            self.settle()
            self.after = demo.Books(self.stack)
            self.work = {name: {k: now[k] - counted[name][k] for k in now}
                         for name, now in self.counters().items()}

    def counters(self):
        """What the servers count themselves, and how many requests HAProxy sent to them."""
        sent = {name: 0 for name in self.stack.engines}
        for row in self.stack.stat():
            if row["pxname"] in ("plain", engines.MODEL) and row["svname"] in sent:
                sent[row["svname"]] += int(row["stot"])
        return {name: {"requests": sent[name], **engine.metrics()}
                for name, engine in self.stack.engines.items()}

    async def play(self, stop):
        start = time.monotonic() + 0.1
        tasks = [asyncio.create_task(self.one(a, start)) for a in self.arrivals]
        watch = asyncio.create_task(self.watch_queue())
        while not stop.asked and any(not t.done() for t in tasks):
            await asyncio.wait(tasks, timeout=0.1)
        for task in [*tasks, watch]:
            task.cancel()
        await asyncio.gather(*tasks, watch, return_exceptions=True)

    async def watch_queue(self):
        while True:
            state = await asyncio.to_thread(self.stack.state)
            self.most_held = max(self.most_held, state["models"][self.stack.model]["queued"])
            await asyncio.sleep(0.1)

    async def one(self, arrival, start):
        await asyncio.sleep(start + arrival.at - time.monotonic())
        began = time.monotonic()
        try:
            async with Http1("127.0.0.1", self.port) as http:
                answer = await asyncio.wait_for(
                    http.request("POST", arrival.path, self.headers, arrival.body), LIMIT_S)
            if answer.status != 200:
                raise demo.Failure(f"{answer}")
        except asyncio.TimeoutError:
            self.requests -= 1
            self.served.setdefault("none", []).append(False)
            return
        except (OSError, EOFError, ValueError, demo.Failure) as e:
            self.failed.append(repr(e))
            return
        took = time.monotonic() - began
        per_token = took / demo.count_tokens(answer.body.decode())
        self.answered += 1
        self.per_token.append(per_token)
        verdict = answer.headers.get("x-slo-verdict", "-")
        self.served.setdefault(verdict, []).append(per_token <= self.stack.target)

    def rows(self):
        for verdict, met in self.served.items():
            yield self.strategy, verdict, len(met), sum(met), len(met) - sum(met)


def explain(stack, requests):
    fast, slow = stack.rates["fast"], stack.rates["slow"]
    say("slo-spoa demo: HTTP requests through HAProxy to two real LLM engines (llama.cpp).")
    say()
    say(f"  HAProxy      {stack.url}  (haproxy-conf/haproxy.cfg), leastconn only: "
        f"http://127.0.0.1:{stack.plain}")
    say(f"  slo-spoa     http://127.0.0.1:{stack.http}/state.json, /metrics")
    say(f"  engines      {', '.join(f'{n} {e.url}' for n, e in stack.engines.items())}; "
        f"model {engines.MODEL}")
    say(f"  files, logs  {stack.dir}")
    say()
    say("Measured for some seconds first, as a profile of each:")
    for kind, r in (("fast", fast), ("slow", slow)):
        say(f"  {kind}-1       {1 / r.prompt:,.0f} prompt tokens/s; {1 / r.alone:,.0f} answer tokens/s "
            f"alone, {stack.slots / r.full:,.0f} with {stack.slots} requests at once")
    say()
    say(f"The promise: at most {stack.target * 1e3:g} ms per token of prompt and answer, {SLACK} times "
        f"what a chat takes\nalone on the slow engine. The traffic: {len(requests)} requests in "
        f"{SECONDS} s, {stack.rate:.1f}/s, {LOAD:g} of what both can\ncompute; four chats to one long "
        "document, whole answers and streams. The client waits for none of\nthem, and sends the same "
        "ones at the same times to both.")
    say()


def report_servers(bursts):
    say("strategy        server   requests   prompt tokens   answer tokens")
    for burst in bursts:
        name = burst.strategy
        for server, n in burst.work.items():
            say(f"{name:15} {server:8} {n['requests']:8} {n['prompt_tokens_total']:15,.0f} "
                f"{n['tokens_predicted_total']:15,.0f}")
            name = ""
    say()
    say("  tokens        as the engines count them")
    say()


def show(stack, stop):
    requests = arrivals(stack.rate)
    explain(stack, requests)
    bursts = []
    for strategy in STRATEGIES:
        port = stack.plain if strategy == "leastconn" else stack.port
        burst = Burst(stack, strategy, port, requests)
        burst.run(stop)
        if stop.asked:
            return False
        say(f"  {strategy:15} {burst.answered} of {len(requests)} answered in {burst.took:.1f} s")
        if burst.failed:
            raise demo.Failure(f"{len(burst.failed)} requests failed, the first: {burst.failed[0]}")
        bursts.append(burst)
    say()
    demo.table_of_strategies(bursts)
    say("  ms per token  time of a request, held and served, over its prompt and answer tokens")
    say(f"  verdict       none: the client gave up after {LIMIT_S} s")
    say("  SLO met       share of the requests that met the promise, by the client's clock")
    say(demo.HELD)
    say()
    report_servers(bursts)
    demo.report_end(stack, bursts)
    return True


def prepare(stack):
    if not engines.available():
        raise demo.Failure(engines.WHY_NOT)
    if not (stack.build / "slo-spoa").exists():
        raise demo.Failure(f"{stack.build}/slo-spoa is missing; make run builds it")


def cold(conf):
    conf["routing"]["cold"] = "max"  # until answers have told how long they are


if __name__ == "__main__":
    sys.exit(demo.main(RealStack(config=cold, pin=True, runtime_api=True), prepare, show))
