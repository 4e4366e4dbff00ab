#!/usr/bin/env python3
"""Shows slo-spoa in front of two real LLM engines, a fast and a slow one, beside leastconn.

usage: engines_demo.py        (usually by "make run ENGINE=llama"; BUILD_DIR holds slo-spoa; METRICS=0: the
                               agent does not ask the engines for their metrics)

There is no profile: the configuration promises a latency, and the agent learns how fast the engines
are from the first requests. Then an open-loop client sends the same requests at the same times, once
to HAProxy that balances by leastconn, once to HAProxy that asks the agent; ROUNDS=3: three times in
turn, with least-request too.
On a terminal all stays up until Ctrl-C, unless ONCE=1. Exit status 0: every request was answered and
the agent's books are at 0 again.
"""
import asyncio
import itertools
import json
import os
import pathlib
import random
import shutil
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/support"), str(ROOT / "tests/engine"), str(ROOT / "tests/demo")]
import engines
import run as demo
import stack as harness
from client import Http1
from run import say

ROUNDS = int(os.environ.get("ROUNDS", "1"))
STRATEGIES = ("leastconn", "slo") if ROUNDS == 1 else (
    "leastconn", "least-request", "slo", "slo-adaptive") * ROUNDS
SECONDS = 20
SEED = 7
LEARNING = 100  # requests
PROBE_S = 4, 1  # of the machine's speed; how much of it does not count, as the engines still fill up
METRICS = os.environ.get("METRICS", "1") != "0"  # the agent reads the engines' metrics
LOAD = float(os.environ.get("LOAD", "0.7"))  # of what leastconn carries when every slot is busy
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


def traffic(seed, rate):
    """Without end."""
    rng, at = random.Random(seed), 0
    while True:
        at += rng.expovariate(rate)
        yield Arrival(at, CHAT if rng.random() < CHAT[0] else DOCUMENT, rng)


async def ask(port, arrival, headers=JSON):
    """The answer, and the seconds that it took."""
    began = time.monotonic()
    async with Http1("127.0.0.1", port) as http:
        answer = await asyncio.wait_for(
            http.request("POST", arrival.path, headers, arrival.body), LIMIT_S)
    if answer.status != 200:
        raise demo.Failure(f"{answer}")
    return answer, time.monotonic() - began


async def alone(port):
    """Seconds per token of a chat that nothing disturbs: the least of a few, for the machine may be
    busy with other work."""
    rng, least = random.Random(SEED), LIMIT_S
    for _ in range(4):
        answer, took = await ask(port, Arrival(0, CHAT, rng))
        least = min(least, took / demo.count_tokens(answer.body.decode()))
    return least


async def full_rate(port, clients):
    """Requests per second if so many clients ask again as soon as they are answered. A request counts
    by the share of its time that lies between start and end."""
    requests = traffic(SEED, 1)
    began, counted = time.monotonic(), 0.0
    start, end = began + PROBE_S[1], began + PROBE_S[0]

    async def client():
        nonlocal counted
        while time.monotonic() < end:
            _, took = await ask(port, next(requests))
            now = time.monotonic()
            counted += max(0, min(now, end) - max(now - took, start)) / took

    await asyncio.gather(*(client() for _ in range(clients)))
    return counted / (end - start)


class RealStack(engines.EngineStack):
    """Nobody knows how fast this machine is. So the traffic and the promise are chosen first, by a few
    seconds of requests that never pass the agent, which has not started yet."""

    def start(self):
        self.start_servers()
        self.start_proxy()
        try:
            asyncio.run(self.probe())
        except (EOFError, ValueError) as e:
            raise demo.Failure(f"an engine broke off its answer: {e!r}") from e
        self.config["models"][self.model]["slo"] = {"tpat": f"{self.target * 1e6:.0f}us"}
        self.config_file.write_text(json.dumps(self.config, indent=2))
        self.start_agent()
        harness.wait_for(lambda: self.proxy_ready() or not self.proxy.alive(),
                         "HAProxy's check of the agent")
        return self

    async def probe(self):
        """Ctrl-C ends engines and HAProxy too, and then nobody answers."""
        work = asyncio.create_task(self.measure())
        while not work.done():
            await asyncio.wait([work], timeout=0.1)
            if not (self.servers.alive() and self.proxy.alive()):
                raise demo.Failure("an engine or HAProxy has ended by itself")
        await work

    async def measure(self):
        self.target = float(f"{SLACK * await alone(self.engines['slow-1'].port):.2g}")
        self.full = await full_rate(self.plain, 2 * self.slots)
        self.rate = LOAD * self.full


class Burst(demo.Burst):
    def __init__(self, stack, strategy, port, requests):
        super().__init__(stack, strategy, [])
        self.port, self.arrivals, self.requests = port, requests, len(requests)
        self.headers = {**JSON, "routing-strategy": strategy}
        self.served = {}  # verdict -> met or not, of each answer
        self.verdicts = {}  # number of the request -> verdict
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
        tasks = [asyncio.create_task(self.one(*numbered, start))
                 for numbered in enumerate(self.arrivals, 1)]
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

    async def one(self, number, arrival, start):
        await asyncio.sleep(start + arrival.at - time.monotonic())
        try:
            answer, took = await ask(self.port, arrival, self.headers)
        except asyncio.TimeoutError:
            self.requests -= 1
            self.served.setdefault("none", []).append(False)
            return
        except (OSError, EOFError, ValueError, demo.Failure) as e:
            self.failed.append(repr(e))
            return
        per_token = took / demo.count_tokens(answer.body.decode())
        self.answered += 1
        self.per_token.append(per_token)
        verdict = answer.headers.get("x-slo-verdict", "-")
        self.verdicts[number] = verdict
        self.served.setdefault(verdict, []).append(per_token <= self.stack.target)

    def rows(self):
        for verdict, met in self.served.items():
            yield self.strategy, verdict, len(met), sum(met), len(met) - sum(met)


def explain(stack, requests):
    say("slo-spoa demo: HTTP requests through HAProxy to two real LLM engines (llama.cpp).")
    say()
    say(f"  HAProxy      {stack.url}  (haproxy-conf/haproxy.cfg), leastconn only: "
        f"http://127.0.0.1:{stack.plain}")
    say(f"  slo-spoa     http://127.0.0.1:{stack.http}/state.json, /metrics")
    say(f"  engines      {', '.join(f'{n} {e.url}' for n, e in stack.engines.items())}; "
        f"model {engines.MODEL}")
    say(f"  files, logs  {stack.dir}")
    say()
    say(f"The promise: at most {stack.target * 1e3:g} ms per token of prompt and answer, {SLACK} times "
        f"what a chat takes\nalone on the slow engine. It stands in the configuration; there is no "
        f"profile.\nThe traffic: {len(requests)} requests in {SECONDS} s, {stack.rate:.1f}/s, {LOAD:g} "
        f"of the {stack.full:.1f}/s that leastconn carried in a probe of\n{PROBE_S[0]} s with every slot "
        "busy; four chats to one long document, whole answers and streams. The client\nwaits for none of "
        f"them. First come {LEARNING} others, from which the agent learns; then the same ones at\nthe "
        "same times for each strategy.")
    say()


def report_learned(stack, when):
    """Of each deployment, as /state.json tells it."""
    say(f"learned {when:8} requests  state      a, ms     b, us     c, us  KV tokens   off by      P99")
    for name, l in stack.state()["models"][stack.model]["learned"].items():
        r = l["rates"]
        known = l["state"] != "cold"  # before, nothing is predicted
        off = [f"{100 * l[q]:6.0f} %" if known else f"{'-':>8}" for q in ("error_p50", "error_p99")]
        say(f"{name:16} {l['ends']:8}  {l['state']:5} {r['step_seconds'] * 1e3:10.2f} "
            f"{r['prompt_seconds_per_token'] * 1e6:9.1f} {r['cached_seconds_per_token'] * 1e6:9.2f} "
            f"{r['kv_tokens']:10,.0f} {' '.join(off)}")
    say()


def report_engines(stack):
    """What the engines tell of themselves, and what of their servers is not used because of it."""
    servers = stack.state()["models"][stack.model]["servers"]
    if not all(s["engine"] for s in servers.values()):
        return
    say("engine           tells as   pages   prompt tokens   answer tokens   room withheld")
    for name, s in servers.items():
        e = s["engine"]
        say(f"{name:16} {e['make']:9} {e['pages']:6} {e['prompt_tokens'] or 0:15,.0f} "
            f"{e['output_tokens'] or 0:15,.0f} {100 * s['withheld']:13.0f} %")
    say()


def learn(stack, stop):
    """False: the user stopped it."""
    requests = list(itertools.islice(traffic(SEED + 1, stack.rate), LEARNING))
    first = play(stack, "slo", requests, stop, "slo, learning")
    if not first:
        return False
    routed = [n for n, verdict in first.verdicts.items() if verdict == "route"]
    others = [n for n, verdict in first.verdicts.items() if verdict != "route"]
    say(f"  the verdict became `route` after {min(routed) - 1} requests; request {max(others, default=0)} "
        "was the last that fell back" if routed else
        f"  the verdict did not become `route` in {LEARNING} requests")
    say()
    report_learned(stack, "so far")
    return True


def play(stack, strategy, requests, stop, name=None):
    """None: the user stopped it."""
    burst = Burst(stack, strategy, stack.plain if strategy == "leastconn" else stack.port, requests)
    burst.run(stop)
    if stop.asked:
        return None
    met = sum(sum(answers) for answers in burst.served.values())
    say(f"  {name or strategy:15} {burst.answered} of {len(requests)} answered in {burst.took:.1f} s, "
        f"{100 * met / len(requests):.1f} % within the promise")
    if burst.failed:
        raise demo.Failure(f"{len(burst.failed)} requests failed, the first: {burst.failed[0]}")
    return burst


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
    requests = list(itertools.takewhile(lambda a: a.at < SECONDS, traffic(SEED, stack.rate)))
    explain(stack, requests)
    if not learn(stack, stop):
        return False
    bursts = []
    for strategy in STRATEGIES:
        burst = play(stack, strategy, requests, stop)
        if not burst:
            return False
        bursts.append(burst)
    say()
    demo.table_of_strategies(bursts)
    say("  ms per token  time of a request, held and served, over its prompt and answer tokens")
    say(f"  verdict       none: the client gave up after {LIMIT_S} s")
    say("  SLO met       share of the requests that met the promise, by the client's clock")
    say(demo.HELD)
    say()
    report_servers(bursts)
    report_learned(stack, "at last")
    report_engines(stack)
    say("  a, b, c       seconds of a step, of a prompt token, and what a cached token adds to a step")
    say("  KV tokens     the limit for the tokens on a server, found by trial: nobody told it")
    say("  off by        the predictions, from the time that it took: the median; P99: 1 of 100 is later\n"
        "                by more. cold: too few requests to predict, but tried beside the others")
    say("  withheld      not used, because requests waited for a slot inside the engine")
    say()
    demo.report_end(stack, bursts)
    return True


def prepare(stack):
    if not engines.available():
        raise demo.Failure(engines.WHY_NOT)
    if not (stack.build / "slo-spoa").exists():
        raise demo.Failure(f"{stack.build}/slo-spoa is missing; make run builds it")
    shutil.rmtree(stack.dir / "profiles")


def promise(conf):
    """The promise itself follows when the machine's speed is known."""
    del conf["profiles"]
    if METRICS:
        conf["engines"] = {"metrics": "http://{address}:{port}/metrics", "poll": "1s"}


if __name__ == "__main__":
    sys.exit(demo.main(RealStack(config=promise, pin=True, runtime_api=True, patient=False), prepare, show))
