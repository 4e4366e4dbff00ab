#!/usr/bin/python3
"""The published setting through real HAProxy, beside what slo-sim predicts for the same requests.

    real.py --build DIR [--out FILE] [--compress 10] [--seconds 600] [--seeds 1,2] [--strategies ...]
    real.py --build DIR [--out FILE] --again

HAProxy, the agent and the demo servers run in compressed time: the servers are so many times as
fast, arrivals come so many times as often, and profiles, target and queue_timeout are divided to
match. The client is open-loop: what arrives when is slo-sim's, written as a trace that both replay.
Writes FILE (REAL.md). HAPROXY chooses the binary. With --again the real runs are those FILE tells of,
and only the simulation beside them is made anew, in seconds: for when the core has changed.
"""
import argparse
import contextlib
import csv
import http.client
import json
import math
import os
import pathlib
import re
import resource
import shutil
import statistics
import subprocess
import sys
import threading
import time
import types

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))

from stack import CONF, MODEL, Stack, compressed  # noqa: E402

SLO, WARM_UP, QUEUE_TIMEOUT = 0.05, 60, 30  # seconds of the published setting
PUBLISHED, FLEET = "sharegpt-pub:7,bird:4", "a10=1,l20=4"
SIM_RUNS = 5
# name: (strategy of the agent, HAProxy's balance without one, headroom, what slo-sim calls it). The
# last one collapses and takes minutes to end: only the first seed is spent on it.
ROUTERS = {
    "slo, h 0.9": ("slo", None, 0.9, "slo"),
    "slo, h 1": ("slo", None, 1.0, "slo"),
    "slo-adaptive, h 0.9": ("slo-adaptive", None, 0.9, "slo-adaptive"),
    "slo-pack-load, h 0.9": ("slo-pack-load", None, 0.9, "slo-pack-load"),
    "least-request": ("least-request", None, 0.9, "least-request"),
    "leastconn": (None, "leastconn", 0.9, "least-request"),
    "roundrobin": (None, "roundrobin", 0.9, "round-robin"),
    "slo-least-load, h 0.9": ("slo-least-load", None, 0.9, "slo-least-load"),
}
ONCE = "slo-least-load, h 0.9"
MAXCONN = 3200  # of the frontend; HAProxy takes six times as many descriptors


def run(*argv):
    p = subprocess.run([str(a) for a in argv], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if p.returncode:
        raise SystemExit(f"{argv}: {p.stderr}")
    return p.stdout


def without_agent(text, balance):
    """haproxy.cfg asks and tells nobody, and balances so."""
    for cut in (r"^ *http-request send-spoe-group .*\n", r"^ *filter spoe .*\n", r"^ *log (?!-).*\n",
                r'^    server agent "\$\{SLO_EVENTS.*\n'):
        text, n = re.subn(cut, "", text, flags=re.M)
        assert n > 0
    text, n = re.subn("balance leastconn", f"balance {balance}", text)
    assert n == 1
    return text


class Real(Stack):
    """The shipped configuration, or that without an agent."""

    def __init__(self, balance, **kw):
        self.balance = balance
        super().__init__(fleet={"a10-1": "a10", **{f"l20-{i}": "l20" for i in range(1, 5)}},
                         maxconn=MAXCONN, **kw)

    def env(self):
        return {**super().env(), "SLO_SPOE_CFG": str(CONF / "spoe-slo.cfg")}

    def proxy_argv(self):
        text = (CONF / self.conf_name).read_text()
        if self.balance:
            text = without_agent(text, self.balance)
        path = self.dir / "haproxy.cfg"
        path.write_text(text)
        return [path if a == CONF / self.conf_name else a for a in super().proxy_argv()]

    def start(self):
        self.start_servers()
        if not self.balance:
            self.start_agent()
        self.start_proxy()
        return self


class Machine:
    """What else may have been slow: processors, and requests through HAProxy that need no work."""

    def __init__(self, port):
        self.port, self.over, self.took = port, threading.Event(), []
        self.thread = threading.Thread(target=self.probe)

    @staticmethod
    def cpu():
        fields = [int(v) for v in pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        return fields[3] + fields[4], sum(fields)

    def probe(self):
        while not self.over.wait(0.2):
            began = time.monotonic()
            with contextlib.suppress(OSError):
                conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
                conn.request("GET", "/health")
                conn.getresponse().read()
                conn.close()
            self.took.append(time.monotonic() - began)

    def __enter__(self):
        self.before = self.cpu()
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        idle, total = (a - b for a, b in zip(self.cpu(), self.before))
        self.idle = 100 * idle / max(1, total)


def children_seconds():
    """Processor time of all processes that we started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def percentile(values, share):
    """As slo-sim takes it: the smallest value that this share does not exceed."""
    ordered = sorted(values)
    return ordered[max(1, math.ceil(share * len(ordered))) - 1] if ordered else math.nan


def quantiles(values):
    return [percentile(values, p) for p in (0.5, 0.9, 0.99)]


class Outcome:
    """One run, seconds as if nothing were compressed."""

    def __init__(self, path, factor, machine):
        with open(path, encoding="ascii") as f:
            rows = [r for r in csv.DictReader(f) if float(r["t"]) >= WARM_UP]
        served = [r for r in rows if r["status"] == "200"]
        tpat = [factor * float(r["latency"]) / (int(r["input"]) + int(r["output"])) for r in served]
        self.offered = len(rows)
        self.met = 100 * sum(v <= SLO for v in tpat) / len(rows)
        self.rejected = 100 * sum(r["status"] == "429" for r in rows) / len(rows)
        self.failed = sum(r["status"] not in ("200", "429") for r in rows)
        self.tpat = quantiles(tpat)
        self.on_a10 = 100 * sum(r["server"] == "a10-1" for r in served) / max(1, len(served))
        self.late = percentile([float(r["late"]) for r in rows], 0.99)
        self.ours, self.idle, self.noop = machine.ours, machine.idle, quantiles(machine.took)


class Prediction:
    """What slo-sim says of the same requests, from several runs."""

    def __init__(self, reports, dumps):
        runs = [r["all"] for r in reports]
        self.met = statistics.fmean(r["met_percent"] for r in runs)
        self.met_range = [f(r["met_percent"] for r in runs) for f in (min, max)]
        self.tpat = [statistics.fmean(r["tpat"][p] for r in runs) for p in ("p50", "p90", "p99")]
        self.p99_range = [f(r["tpat"]["p99"] for r in runs) for f in (min, max)]
        self.rejected = statistics.fmean(100 * r["rejected"] / r["offered"] for r in runs)
        gpus = []
        for dump in dumps:
            with open(dump, encoding="ascii") as f:
                gpus += [r["gpu"] for r in csv.DictReader(f) if r["end"] == "served"]
        self.on_a10 = 100 * gpus.count("a10") / max(1, len(gpus))


class Experiment:
    def __init__(self, args):
        self.args, self.factor = args, args.compress
        self.work = args.build / "experiment" / "real"
        self.tools = args.build / "tests" / "sim"
        self.failed = 0
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True)

    def profiles(self):
        run(self.tools / "slo-sim-profile", "-m", MODEL, "--headroom", "1,0.9", "-o", self.work / "profiles")
        for path in (self.work / "profiles").glob("h*/*/*.json"):
            out = self.work / "compressed" / path.relative_to(self.work / "profiles")
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(json.dumps(compressed(json.loads(path.read_text()), self.factor)))

    def trace(self, seed):
        path = self.work / f"trace-{seed}.csv"
        run(self.tools / "slo-sim", "-w", PUBLISHED, "-t", self.args.seconds, "-s", seed,
            "--write-trace", path)
        return path

    def predict(self, trace, headroom, strategy):
        """Runs differ in what the predictor draws, and in whose turn it is at the first request:
        k requests of one token go before it, and those who balance by turns are k servers on."""
        reports, dumps = [], []
        for k in range(SIM_RUNS):
            turned, dump = self.work / "turned.csv", self.work / f"dump-{k}.csv"
            turned.write_text("0,1,1\n" * k + trace.read_text())
            out = run(self.tools / "slo-sim", "-m", MODEL, "-f", FLEET, "-w", f"trace:{turned}", "-t",
                      self.args.seconds, "-S", strategy, "-p", self.work / "profiles", "--headroom",
                      headroom, "--warm-up", WARM_UP, "-s", k + 1, "--json", "-", "--dump", dump)
            reports += json.loads(out)
            dumps.append(dump)
        return Prediction(reports, dumps)

    def measure(self, trace, seed, strategy, balance, headroom):
        def config(conf):
            conf["routing"].update(strategy=strategy or "slo", seed=seed,
                                   queue_timeout=f"{round(1000 * QUEUE_TIMEOUT / self.factor)}ms")

        out = self.work / f"requests-{seed}-{strategy or balance}-{headroom}.csv"
        stack = Real(balance, build=self.args.build, speed=self.factor, config=config,
                     profiles=self.work / "compressed" / f"h{round(100 * headroom)}",
                     server_args=["--mode", "prefill"])
        began, before = time.monotonic(), children_seconds()
        with stack, Machine(stack.port) as machine:
            # A busy machine must not take anybody down: what is compared knows no failures.
            stack.checks(False, *([] if balance else ["spoa/agent"]),
                         *(f"{MODEL}/{server}" for server in stack.fleet))
            run(self.args.build / "endurance" / "trace_load", "--port", stack.port, "--trace", trace,
                "--compress", self.factor, "--out", out)
        machine.ours = (children_seconds() - before) / (time.monotonic() - began)
        return Outcome(out, self.factor, machine)

    def run(self, seed):
        trace = self.trace(seed)
        for name in self.args.strategies:
            if name == ONCE and seed != self.args.seeds[0]:
                continue
            strategy, balance, headroom, simulated = ROUTERS[name]
            real = self.measure(trace, seed, strategy, balance, headroom)
            sim = self.predict(trace, headroom, simulated)
            self.failed += real.failed
            print(f"  seed {seed} {name:<22} met {real.met:6.2f} % (simulation {sim.met:6.2f}), P99 "
                  f"{real.tpat[2]:.4f} ({sim.tpat[2]:.4f}), failed {real.failed}, idle {real.idle:.0f} %, "
                  f"ours {real.ours:.2f} cores, no-op P99 {1000 * real.noop[2]:.1f} ms", flush=True)
            yield name, real, sim

    def again(self, seed, outcomes):
        trace = self.trace(seed)
        for name, real in outcomes.items():
            _, _, headroom, simulated = ROUTERS[name]
            yield name, real, self.predict(trace, headroom, simulated)


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def three(values):
    return " / ".join(f"{v:.4f}" for v in values)


def agrees(real, sim):
    return abs(real.met - sim.met) <= 3 and abs(real.tpat[2] / sim.tpat[2] - 1) <= 0.2


def main_table(results):
    return table(
        ["", "real: P50 / P90 / P99", "met %", "rejected %", "simulation: P50 / P90 / P99",
         "P99 of its runs", "met % (its runs)", "rejected %", "met, points", "P99", "agree"],
        [[name, three(r.tpat), f"{r.met:.2f}", f"{r.rejected:.2f}", three(s.tpat),
          "{:.4f}-{:.4f}".format(*s.p99_range), "{:.2f} ({:.2f}-{:.2f})".format(s.met, *s.met_range),
          f"{s.rejected:.2f}", f"{r.met - s.met:+.2f}", f"{100 * (r.tpat[2] / s.tpat[2] - 1):+.1f} %",
          "yes" if agrees(r, s) else "**no**"] for name, r, s in results])


def machine_table(results):
    def ms(values):
        return " / ".join(f"{1000 * v:.1f}" for v in values)
    return table(
        ["", "cores of all of ours", "CPU idle %", "no-op, ms: P50 / P90 / P99", "client late, ms: P99",
         "% on the A10: real", "simulation", "requests", "failed"],
        [[name, f"{r.ours:.2f}", f"{r.idle:.0f}", ms(r.noop), f"{1000 * r.late:.1f}", f"{r.on_a10:.1f}",
          f"{s.on_a10:.1f}", str(r.offered), str(r.failed)] for name, r, s in results])


def recorded(text):
    """The real runs that a REAL.md tells of, to the digits it has: seed, outcomes by name."""
    def numbers(cell):
        return [float(v) for v in cell.split(" / ")]

    def outcome(main, machine):
        return types.SimpleNamespace(
            tpat=numbers(main[1]), met=float(main[2]), rejected=float(main[3]), ours=float(machine[1]),
            idle=float(machine[2]), noop=[v / 1000 for v in numbers(machine[3])],
            late=float(machine[4]) / 1000, on_a10=float(machine[5]), offered=int(machine[7]),
            failed=int(machine[8]))

    for part in text.split("\n## Seed ")[1:]:
        rows = {}
        for line in part.splitlines():
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            rows.setdefault(cells[0], []).append(cells)
        yield int(part.split("\n", 1)[0]), {name: outcome(*rows[name]) for name in ROUTERS if name in rows}


HEAD = """# Through real HAProxy

Written by `make experiment-real`; do not edit. What is compared and why it differs is told in
[ANALYSIS.md](ANALYSIS.md#through-real-haproxy).

The published setting ({workloads}, {fleet}, prefill-first) through {version},
the agent and the demo servers, {factor:g} times as fast as life: {seconds:g} s of arrivals in {real:g} s,
the first {warm} not measured. Latencies are per token, in seconds of uncompressed time, and count from
the moment a request is due. *Simulation*: `slo-sim` with the very same arrivals and lengths, {runs} runs
that differ in what the predictor draws and in whose turn it is at the first request. *Agree*: SLO met
within 3 points and P99 within 20 %. `leastconn` and `roundrobin` are HAProxy without an agent. *No-op*: `GET /health` through
HAProxy meanwhile, in real milliseconds, as is by how much the client was late. *Cores of all of ours*:
HAProxy, agent, servers and client together; what else made the processors busy was not ours. Measured on
{cpus} processors, load average {load}.

Real runs: {now}.
Simulation: {now}.
"""


def now():
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())


def section(seed, results):
    return f"\n## Seed {seed}\n\n{main_table(results)}\n{machine_table(results)}"


def measured(experiment, args):
    sections = "".join(section(seed, list(experiment.run(seed))) for seed in args.seeds)
    version = " ".join(run(os.environ.get("HAPROXY", "haproxy"), "-v").split()[:3])
    return HEAD.format(workloads=PUBLISHED.replace(",", " + "), fleet=FLEET.replace(",", ", "),
                       version=version, factor=args.compress, seconds=args.seconds,
                       real=args.seconds / args.compress, warm=WARM_UP, runs=SIM_RUNS,
                       cpus=os.cpu_count(), load="%.1f" % os.getloadavg()[2], now=now()) + sections


def simulated_again(experiment, text):
    experiment.args.seconds = float(re.search(r"(\S+) s of arrivals", text)[1])
    head, n = re.subn(r"^Simulation: .*", f"Simulation: {now()}.", text.split("\n## Seed ")[0], flags=re.M)
    assert n == 1
    return head + "".join(section(seed, list(experiment.again(seed, outcomes)))
                          for seed, outcomes in recorded(text))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "REAL.md")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--compress", type=float, default=10)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seeds", default="1,2")
    parser.add_argument("--strategies", default="; ".join(ROUTERS), help="with semicolons")
    args = parser.parse_args()
    args.build = args.build.resolve()
    args.seeds = [int(s) for s in args.seeds.split(",")]
    args.strategies = [s.strip() for s in args.strategies.split(";")]
    experiment = Experiment(args)
    experiment.profiles()
    text = simulated_again(experiment, args.out.read_text()) if args.again else measured(experiment, args)
    args.out.write_text(text)
    print(f"  {args.out}")
    if experiment.failed:
        raise SystemExit(f"{experiment.failed} requests got neither a 200 nor a 429")


if __name__ == "__main__":
    main()
