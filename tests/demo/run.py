#!/usr/bin/env python3
"""Shows slo-spoa at work: five LLM servers, the agent and HAProxy, and real requests through them.

usage: run.py        (usually by "make run"; BUILD_DIR holds slo-spoa, DEMO_DIR tests/llm_server)

engines_demo.py shows the same with real engines.

On a terminal the stack stays up until Ctrl-C, unless ONCE=1. Exit status 0: every request was
answered and the agent's books are at 0 again.
"""
import json
import os
import pathlib
import random
import re
import shutil
import signal
import sys
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/support"))
import stack as harness

SPEED = 20
BURST_LIMIT_S = 30
BYTES_PER_TOKEN = 4  # as the demo servers count
CHAT_PROMPT_TOKENS = (280, 330, 370, 440)
CODE_PROMPT_TOKENS = (4100, 4500, 5000)
PULL = ("slo", "slo-pack-load")
PUSH = ("least-request", "slo-least-load")
SAMPLE = ("slo-adaptive",)  # last: its load is another
PATH = "/v1/chat/completions"
JSON = "content-type: application/json"


class Failure(Exception):
    """What the user is told, without a traceback; the logs are kept."""


class Stop:
    """A signal only sets a mark: none comes between the start of a process and the note of its
    pid."""

    def __init__(self):
        self.asked = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self.ask)

    def ask(self, *_):
        self.asked = True


def say(text=""):
    print(text, flush=True)


def number(value, decimals=0):
    return f"{value:,.{decimals}f}"


def quantile(values, q):
    return sorted(values)[min(len(values) - 1, int(q * len(values)))] if values else 0


# Requests


class Kind:
    """One body that is sent `requests` times, by `clients` at once."""

    def __init__(self, name, text, stream, http2, clients):
        ask = {"model": harness.MODEL, "max_tokens": 96}
        if stream:
            ask.update(stream=True, stream_options={"include_usage": True})
        ask["messages"] = [{"role": "user", "content": text}]
        self.name, self.body, self.http2 = name, json.dumps(ask), http2
        self.requests, self.clients = 40, clients
        # Short bodies only: HAProxy up to 3.0 lets a long one that is held block its connection.
        self.streams = 5 if name == "chat" else 1
        self.tokens = 0  # prompt and answer, as the server counts

    def command(self, url, strategy, body, log):
        argv = ["h2load", "-n", self.requests, "-t", 1, "-d", body, f"--log-file={log}",
                "-H", JSON, "-H", f"routing-strategy: {strategy}"]
        if self.http2:
            argv += ["-c", self.clients // self.streams, "-m", self.streams]
        else:
            argv += ["--h1", "-c", self.clients]
        return argv + [url + PATH]


def chat_text(tokens, rng):
    words = ("why does my train wait for the rain and how could we plan better days in town "
             "when all of it takes a long while").split()
    text = "Please answer in two sentences:"
    while len(text) < tokens * BYTES_PER_TOKEN:
        text += " " + rng.choice(words)
    return text


def code_text(tokens, index):
    """A piece of our own sources with a question."""
    source = "".join(p.read_text() for p in sorted((ROOT / "agent/core").rglob("*.c")))
    size = tokens * BYTES_PER_TOKEN
    start = index * size % max(1, len(source) - size)
    return source[start:start + size] + "\nWhich invariant does this code keep?"


def make_kinds():
    rng = random.Random(1)
    kinds = [Kind("chat", chat_text(tokens, rng), stream=i % 2, http2=i >= 2, clients=10)
             for i, tokens in enumerate(CHAT_PROMPT_TOKENS)]
    kinds += [Kind("code", code_text(tokens, i), stream=i % 2, http2=i >= 1, clients=20)
              for i, tokens in enumerate(CODE_PROMPT_TOKENS)]
    return kinds


def post(stack, body):
    request = urllib.request.Request(stack.url + PATH, body.encode(),
                                     {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.headers, answer.read().decode()
    except urllib.error.HTTPError as e:
        raise Failure(f"a single request was answered with {e.code}: "
                      f"{e.read().decode(errors='replace')}") from e


def count_tokens(answer):
    """From the usage in a whole answer, or in the last event before [DONE]."""
    if answer.startswith("data: "):
        answer = answer.strip().split("\n\n")[-2][len("data: "):]
    return json.loads(answer)["usage"]["total_tokens"]


# A burst


class Books:
    """What the agent says it has done so far."""

    def __init__(self, stack):
        model = stack.state()["models"][stack.model]
        self.servers = model["servers"]
        self.queued = model["queued"]
        self.decisions, self.outcomes = {}, {}
        for d in model["decisions"]:
            key = d["strategy"], d["verdict"]
            self.decisions[key] = self.decisions.get(key, 0) + d["requests"]
        for o in model["outcomes"]:
            self.outcomes[o["strategy"], o["verdict"]] = o["slo_met"], o["slo_missed"]
        metrics = stack.metrics()
        self.held_count = metric(metrics, "queue_seconds_count")
        self.held_sum = metric(metrics, "queue_seconds_sum")
        self.held = [(float(le), int(n)) for le, n in
                     re.findall(r'^slo_spoa_queue_seconds_bucket\{.*le="(.*)"\} (\d+)$', metrics,
                                re.MULTILINE)]


def metric(text, name):
    return sum(float(v) for v in re.findall(rf"^slo_spoa_{name}\{{.*\}} (\S+)$", text,
                                            re.MULTILINE))


class Burst:
    """All kinds at once with one strategy, and what came of it."""

    def __init__(self, stack, strategy, kinds):
        self.stack, self.strategy, self.kinds = stack, strategy, kinds
        self.requests = sum(k.requests for k in kinds)
        self.answered = 0
        self.per_token = []  # s
        self.took = 0.0
        self.most_held = 0
        self.before = self.after = None  # Books

    def run(self, stop):
        self.before = Books(self.stack)
        start = time.monotonic()
        running = []
        try:
            for i, k in enumerate(self.kinds):
                at = self.stack.dir / f"{self.strategy}-{i}"
                at.mkdir()
                (at / "body").write_text(k.body)
                argv = k.command(self.stack.url, self.strategy, at / "body", at / "log")
                running.append((k, at / "log", harness.Process(argv, at / "out")))
            self.watch([p for _, _, p in running], start + BURST_LIMIT_S, stop)
        finally:
            for _, _, p in running:
                p.stop()
        self.took = time.monotonic() - start
        for k, log, _ in running:
            self.read(k, log)
        if not stop.asked:
            self.settle()
            self.after = Books(self.stack)

    def watch(self, clients, deadline, stop):
        while any(p.alive() for p in clients):
            if stop.asked or time.monotonic() > deadline:
                return
            queued = self.stack.state()["models"][self.stack.model]["queued"]
            self.most_held = max(self.most_held, queued)
            time.sleep(0.02)

    def read(self, kind, log):
        """Lines of h2load: start in us since 1970, status, us to the end of the answer."""
        lines = log.read_text().splitlines() if log.exists() else []
        for _, status, us in (line.split("\t")[:3] for line in lines):
            if status == "200":
                self.answered += 1
                self.per_token.append(int(us) / 1e6 / kind.tokens)

    def settle(self):
        try:
            harness.wait_for(self.stack.idle, "the end of the burst")
        except TimeoutError as e:
            raise Failure(f"{self.strategy}: the agent still counts requests of a burst that "
                          f"is over: {self.stack.ledger()}") from e

    def rows(self):
        """One per verdict. The latency is that of all answers, and stands with the first."""
        a, b = self.before, self.after
        counts = {key: n - a.decisions.get(key, 0) for key, n in b.decisions.items()}
        for (strategy, verdict), n in counts.items():
            if n == 0:
                continue
            met, missed = (y - x for x, y in zip(a.outcomes.get((strategy, verdict), (0, 0)),
                                                 b.outcomes.get((strategy, verdict), (0, 0))))
            yield strategy, verdict, n, met, missed

    def longest_held(self):
        """An upper bound in s: the end of the last bucket that grew; 0 if nobody waited."""
        before = dict(self.before.held)
        grew = [(le, n - before.get(le, 0)) for le, n in self.after.held]
        total = grew[-1][1]
        for i, (le, n) in enumerate(grew):
            if n == total:
                return 0 if i == 0 else le
        return 0

    def mean_held(self):
        count = self.after.held_count - self.before.held_count
        return (self.after.held_sum - self.before.held_sum) / count if count else 0


# The report


def explain_start(stack, kinds):
    chat = [k for k in kinds if k.name == "chat"]
    code = [k for k in kinds if k.name == "code"]
    say("slo-spoa demo: HTTP requests through HAProxy to five modelled LLM servers.")
    say(f"Time runs {SPEED} times faster here, for servers, profiles and latency targets alike.")
    say()
    say(f"  HAProxy      {stack.url}  (haproxy-conf/haproxy.cfg)")
    say(f"  slo-spoa     http://127.0.0.1:{stack.http}/ (a page), /state.json, /metrics")
    say(f"  LLM servers  one A10 (a10-1), four L20 (l20-1 to l20-4); model {harness.MODEL}")
    say(f"  files, logs  {stack.dir}")
    say()
    mean = {name: sum(k.tokens for k in part) // len(part)
            for name, part in (("chat", chat), ("code", code))}
    say("The same burst for each strategy: "
        f"{sum(k.requests for k in chat)} chats of about {number(mean['chat'])} tokens and "
        f"{sum(k.requests for k in code)} questions\nabout code of "
        f"{number(mean['code'])}, from {sum(k.clients for k in kinds)} clients at once; "
        "HTTP/1.1 and HTTP/2, whole answers and streams.")
    say()


def target_ms(stack):
    path = next((stack.dir / "profiles").rglob("*.json"))
    return json.loads(path.read_text())["slos"]["tpat"] * 1e3


HELD = ("  held          kept by the agent until a server had room: the mean time of all requests, the\n"
        "                longest, and how many waited at once")


def table_of_strategies(bursts):
    say("                                      ms per token         SLO       held, s")
    say("strategy        verdict    requests      P50      P99      met    mean  longest  at once")
    for burst in bursts:
        latency = [f"{quantile(burst.per_token, q) * 1e3:8.2f}" for q in (.5, .99)]
        longest = burst.longest_held()
        held = [f"{burst.mean_held():7.2f}", f"{f'< {longest:g}' if longest else '0':>8}",
                f"{burst.most_held:8}"]
        for strategy, verdict, n, met, missed in burst.rows():
            share = f"{100 * met / (met + missed):6.1f} %" if met + missed else f"{'-':>8}"
            say(f"{strategy:15} {verdict:9} {n:9} {' '.join(latency)} {share} {' '.join(held)}")
            latency, held = [f"{'':8}"] * 2, []
    say()


def report_strategies(stack, bursts):
    table_of_strategies(bursts)
    target = target_ms(stack)
    say("  ms per token  time of a request, held and served, over its prompt and answer tokens; "
        f"the\n                target is {target:g} ms ({target * SPEED:g} ms at real speed)")
    say("  SLO met       share of the requests that met the target")
    say(HELD)
    say()


def report_servers(stack, bursts, before):
    pull = bursts[len(PULL) - 1].after.servers
    say("                                     peak load        most")
    say("server  GPU   requests     tokens     pull     push  at once")
    push = bursts[len(PULL + PUSH) - 1].after.servers
    now = bursts[-1].after.servers
    for name, s in now.items():
        say(f"{name:7} {s['deployment']:4} {s['requests'] - before.servers[name]['requests']:9} "
            f"{number(s['tokens'] - before.servers[name]['tokens']):>10} "
            f"{pull[name]['peak_load']:8.2f} {push[name]['peak_load']:8.2f} {s['peak_inflight']:8}")
    say()
    say("  tokens        of prompts and answers")
    say(f"  peak load     1 is what the profile allows. Pull ({', '.join(PULL)}) waits for room;\n"
        f"                push ({', '.join(PUSH)}) chooses at once, full or not.\n"
        f"                {', '.join(SAMPLE)}, the sample's, counts the share of the cache instead")
    say("  most at once  requests in flight on the server")
    say()


def report_end(stack, bursts):
    """Fails unless all is well."""
    asked, answered = sum(b.requests for b in bursts), sum(b.answered for b in bursts)
    if answered < asked:
        raise Failure(f"{asked - answered} of {number(asked)} requests failed")
    if not stack.idle():
        raise Failure(f"the agent's books are not at 0: {stack.ledger()}")
    say(f"{number(asked)} requests, {number(answered)} answered, 0 errors.")
    say("At the end nothing is held or in flight, and every load is 0.")


def offer(stack, stays):
    body = json.dumps({"model": stack.model, "max_tokens": 16,
                       "messages": [{"role": "user", "content": "Hello"}]})
    headers, _ = post(stack, body)
    say("\nA single request, and what HAProxy adds to the headers of its answer:\n")
    say(f"  curl -i {stack.url}{PATH} \\\n      -H '{JSON}' \\\n      -d '{body}'\n")
    say("  " + ", ".join(f"{k.lower()}: {v}" for k, v in headers.items()
                         if k.lower().startswith("x-slo-")))
    say("\nEverything stays up, to be tried. Ctrl-C ends it." if stays
        else "\nAll of it ends now; on a terminal it stays up, to be tried.")


# The run


def scaled(profile):
    """The profile of a server that is SPEED times as fast, and the targets with it."""
    p = dict(profile)
    p["tputs"] = [[v * SPEED for v in row] for row in p["tputs"]]
    for table in {"e2e", "ttft", "tpot"} & p.keys():
        p[table] = [[v / SPEED for v in row] for row in p[table]]
    p["slos"] = {k: v if k == "percentile" else v * SPEED if k == "tput" else v / SPEED
                 for k, v in p["slos"].items()}
    return p


def check_tools(stack):
    for tool in ("h2load", stack.haproxy):
        if not shutil.which(tool):
            raise Failure(f"{tool} is missing; sh tests/support/install-deps.sh run")
    for program in (stack.build / "slo-spoa", stack.demo):
        if not program.exists():
            raise Failure(f"{program} is missing; make run builds it")


def show(stack, stop):
    """False: the user stopped it."""
    kinds = make_kinds()
    for k in kinds:
        if stop.asked:
            return False
        k.tokens = count_tokens(post(stack, k.body)[1])
    harness.wait_for(stack.idle, "the end of the first requests")
    explain_start(stack, kinds)
    before = Books(stack)
    bursts = []
    for strategy in PULL + PUSH + SAMPLE:
        burst = Burst(stack, strategy, kinds)
        burst.run(stop)
        if stop.asked:
            return False
        say(f"  {strategy:15} {burst.answered} of {burst.requests} answered in {burst.took:.1f} s")
        bursts.append(burst)
    say()
    report_strategies(stack, bursts)
    report_servers(stack, bursts, before)
    report_end(stack, bursts)
    return True


def stay(stack, stop):
    while not stop.asked:
        for p in (stack.proxy, stack.agent, stack.servers):
            if not p.alive() and not stop.asked:
                raise Failure(f"{p.child.args[0]} has ended by itself: {p.text()[-500:]}")
        time.sleep(0.1)


def prepare(stack):
    check_tools(stack)
    for path in (stack.dir / "profiles").rglob("*.json"):
        path.write_text(json.dumps(scaled(json.loads(path.read_text()))))


def run(stack, stop, prepare, show):
    """False: the user stopped it before its end."""
    stays = sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("ONCE") != "1"
    prepare(stack)
    with stack:
        try:
            if not show(stack, stop):
                return False
            offer(stack, stays)
        except Exception:  # Ctrl-C reaches the children too, and what was asked of them breaks
            if not stop.asked:
                raise
            return False
        if stays:
            stay(stack, stop)
            say()
    return True


def main(stack, prepare, show):
    """The exit status. prepare(stack) comes before the start, show(stack, stop) after it."""
    stop = Stop()
    try:
        if run(stack, stop, prepare, show):
            return 0
    except (Failure, RuntimeError, OSError) as e:
        if not stop.asked:
            print(f"demo: {e}", file=sys.stderr)
            if not stack.servers:  # nothing was started, so there are no logs
                shutil.rmtree(stack.dir, ignore_errors=True)
            return 1
    finally:
        for p in (stack.proxy, stack.agent, stack.servers):
            if p:
                p.stop()  # does nothing, unless the orderly end failed
    shutil.rmtree(stack.dir, ignore_errors=True)
    say("\nStopped.")
    return 130


if __name__ == "__main__":
    sys.exit(main(harness.Stack(speed=SPEED, runtime_api=True, strategy=None, patient=False), prepare, show))
