"""What the agent costs. Everything runs on loopback on one machine, generators and origin on the
same cores as what is measured, so ratios say more than rates, and medians of ratios of neighbouring
runs more than either: run it on a quiet machine.

  direct   spop_load speaks SPOP to the null agent and to slo-spoa in turn. The null agent answers
           every frame with the same ACK and reads nothing but its head. The ACK sets what
           slo-spoa's sets, as constants (SHORT_ACK=1: the server only). Both get an end line for
           each answer; the null agent throws it away. Agent and generator have a core each: the
           kernel now and then puts both on one for a whole run, and that halves its rate.
  proxied  h2load asks four HAProxys in turn, each with the sample configuration:
             none   without the filter and its rule, so nobody is asked; end lines as ever
             null   asks the null agent, which names one server for all
             rota   asks another null agent, which names one server after the other: like none
                    and slo it spreads the requests over the fleet, and what that costs HAProxy
                    and origin (colder connections, more of them) is not the agent's part
             slo    asks slo-spoa
           But for none they differ in the agent's address only (none's agent throws end lines
           away, as the null agents do). Origin: another HAProxy that returns a small JSON
           answer. "in all" is the CPU time of HAProxy, agent, origin and h2load.

A run is short and there are many, in turn: the machine's own moods last for seconds.

The profiles are those of haproxy-conf with a hundred times the throughput, so that no request is
held: a wait is not a cost.

Environment: FULL=1 is the whole matrix. SECTIONS="direct h1-c64-2048 ..." picks some.
DAEMON=DIRECTORY is where slo-spoa is taken from (`make pgo`: build/pgo/release). OLD=DIRECTORY with
another one compares this one with that, direct only. ROUNDS, SECONDS_EACH."""
import contextlib
import json
import os
import pathlib
import re
import resource
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from lab import AgentAlone  # noqa: E402
from stack import CONF, FLEET, MODEL, ROOT, Ports, Process, Stack, wait_for  # noqa: E402

FULL = os.environ.get("FULL") == "1"
ROUNDS = int(os.environ.get("ROUNDS", "15"))
SECONDS = float(os.environ.get("SECONDS_EACH", "0.6"))
SECTIONS = os.environ.get("SECTIONS", "").split()
BUILD = pathlib.Path(os.environ.get("BUILD_DIR", ROOT / "build/release")).resolve()
OLD = os.environ.get("OLD")
TICK = os.sysconf("SC_CLK_TCK")
LEFT_OUT = re.compile(r"\s+(filter spoe|http-request send-spoe-group) ")  # of "none"


def cpu_seconds(pid):
    """User and system time of a process and of its children that run."""
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK + sum(cpu_seconds(int(c)) for c in children)


def spread(values):
    return f"{statistics.median(values):.2f} ({min(values):.2f}..{max(values):.2f})"


def turns(names):
    """The names in every order of a rotation, one a round."""
    for i in range(ROUNDS):
        at = i % len(names)
        yield names[at:] + names[:at]


def roomy(lab):
    for gpu in set(FLEET.values()):
        profile = json.loads((CONF / "profiles" / MODEL / f"{gpu}.json").read_text())
        profile["tputs"] = [[100 * t for t in row] for row in profile["tputs"]]
        lab.profile(gpu, profile)


class Bench:
    """The agents. All run all the time: idle ones cost next to nothing."""

    def __init__(self):
        self.cleanup = contextlib.ExitStack()
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="slo-spoa-bench-"))
        self.cleanup.callback(shutil.rmtree, self.dir)
        self.target = {}  # name -> SPOP, events, pid
        self.null("null", "l20-1")
        self.null("rota", ",".join(FLEET))
        if OLD:
            self.agent("old", build=OLD)
        self.slo = self.agent("slo", build=os.environ.get("DAEMON"))

    def null(self, name, servers):
        ports = Ports()
        spop, events = ports.take(), ports.take()
        ports.release()
        short = [] if os.environ.get("SHORT_ACK") == "1" else [MODEL]
        agent = Process([BUILD / "bench/null_agent", spop, events, servers, *short],
                        self.dir / f"{name}.log")
        self.cleanup.callback(agent.stop)
        self.target[name] = (spop, events, agent.child.pid)

    def agent(self, name, **kw):
        lab = AgentAlone(**kw)
        self.cleanup.callback(shutil.rmtree, lab.dir)
        self.cleanup.callback(lab.stop)
        roomy(lab)
        lab.start()
        self.target[name] = (lab.spop, lab.events, lab.agent.child.pid)
        return lab

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.cleanup.close()


# direct

CORES = sorted(os.sched_getaffinity(0))
AGENTS, GENERATOR = (CORES[:1], CORES[1:]) if len(CORES) > 1 else (CORES, CORES)


@contextlib.contextmanager
def a_core_each(bench):
    """For the agents. load() puts the generator on the others."""
    for cores in (AGENTS, CORES):
        for _, _, pid in bench.target.values():
            os.sched_setaffinity(pid, cores)
        if cores is AGENTS:
            yield


def load(target, seed, *args, seconds=SECONDS):
    spop, events, pid = target
    argv = [BUILD / "bench/spop_load", "--spop", spop, "--events", f"tcp:{events}", "--pid", pid,
            "--seed", seed, "--strategy", "slo", "--seconds", seconds, *args]
    out = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, check=True, timeout=120,
                         preexec_fn=lambda: os.sched_setaffinity(0, GENERATOR))
    run = json.loads(out.stdout)
    run["us"] = 1e6 * run["agent_cpu"] / run["ack_per_s"]
    return run


def direct_table(title, args, bench, seeds):
    names = [name for name in bench.target if name != "rota"]
    runs = {name: [] for name in names}
    for order in turns(names):
        for name in order:
            runs[name].append(load(bench.target[name], next(seeds), *args))
    print(f"\n{title}")
    print(f"  {'':6}{'ACK/s':>10}{'us/ACK of agent':>17}{'p50 us':>9}{'p99 us':>9}"
          f"{'agent CPU':>11}{'generator CPU':>15}")
    for name in names:
        m = {key: statistics.median(r[key] for r in runs[name]) for key in runs[name][0]}
        print(f"  {name:6}{m['ack_per_s']:10,.0f}{m['us']:17.2f}{m['p50_us']:9.0f}"
              f"{m['p99_us']:9.0f}{m['agent_cpu']:11.2f}{m['generator_cpu']:15.2f}")
    for name in names[1:]:
        for base in names[:names.index(name)]:
            pairs = list(zip(runs[name], runs[base]))
            print(f"  {name} / {base}: "
                  f"{spread([a['ack_per_s'] / b['ack_per_s'] for a, b in pairs])} of the ACK rate, "
                  f"{spread([a['us'] / b['us'] for a, b in pairs])} of the CPU time")
        if any(r["acks"] != r["route"] or r["unanswered"] for r in runs[name]):
            print(f"  NOT COMPARABLE: not every answer of {name} was a route")
    sys.stdout.flush()


def ledger_settles(lab):
    wait_for(lab.idle, "the ledger is empty", 30)


def direct(bench, seeds):
    for size in (90, 2048, 12288) if FULL else (90, 2048):
        direct_table(f"direct, 8 connections, window 16, body of {size} bytes, strategy slo, "
                     f"end lines over TCP, {ROUNDS} x {SECONDS} s",
                     ["--connections", 8, "--window", 16, "--size", size], bench, seeds)
    ledger_settles(bench.slo)


def allocations(seeds):
    """Of the daemon, preloaded with a counter; its first requests build what then stays."""
    with tempfile.TemporaryDirectory(prefix="slo-spoa-bench-") as d:
        file = pathlib.Path(d) / "count"
        lab = AgentAlone(wrap=["env", f"LD_PRELOAD={BUILD / 'bench/malloc_count.so'}",
                               f"MALLOC_COUNT={file}"])
        roomy(lab)
        try:
            lab.start()
            target = (lab.spop, lab.events, lab.agent.child.pid)
            load(target, next(seeds), seconds=3)
            before = struct.unpack("Q", file.read_bytes())[0]
            acks = load(target, next(seeds), seconds=2)["acks"]
            taken = struct.unpack("Q", file.read_bytes())[0] - before
        finally:
            lab.stop()
            shutil.rmtree(lab.dir)
    print(f"\nallocations of the daemon: {taken} for {acks:,} requests on 8 new connections")


# proxied

ORIGIN = """\
global
    maxconn 8000
    tune.bufsize 65536
defaults
    mode http
    option http-buffer-request
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend origin
    bind 127.0.0.1:{port}
    http-request return status 200 content-type application/json string '{answer}'
"""
ANSWER = json.dumps({"choices": [{"message": {"content": "the quick brown fox " * 10}}],
                     "usage": {"prompt_tokens": 20, "completion_tokens": 64}})


def chat(size):
    body = {"model": MODEL, "messages": [{"role": "user", "content": ""}]}
    room = max(0, size - len(json.dumps(body)))
    body["messages"][0]["content"] = ("the quick brown fox jumps over the lazy dog " * 400)[:room]
    return json.dumps(body)


class Proxy(Stack):
    """One HAProxy; of Stack it uses what looks inside."""

    def __init__(self, name, binary, target, port, origin, directory):
        self.dir = directory / name
        self.dir.mkdir()
        text = (CONF / "haproxy.cfg").read_text()
        if name == "none":
            text = "".join(line for line in text.splitlines(keepends=True)
                           if not LEFT_OUT.match(line))
        (self.dir / "haproxy.cfg").write_text(text)
        shutil.copy(CONF / "spoe-slo.cfg", self.dir)
        env = dict(os.environ, SLO_BIND=f"127.0.0.1:{port}", SLO_SPOP=f"127.0.0.1:{target[0]}",
                   SLO_EVENTS=f"127.0.0.1:{target[1]}", SLO_STATS=str(self.dir / "stats.sock"),
                   SLO_MAXCONN="2000", SLO_GLOBAL_MAXCONN="6000")
        for server in FLEET:
            env["SLO_" + server.upper().replace("-", "_")] = f"127.0.0.1:{origin}"
        self.port = port
        self.process = Process([binary, "-f", self.dir / "haproxy.cfg"], self.dir / "haproxy.log",
                               env=env)

    def ready(self):
        if not self.process.alive():
            raise RuntimeError(self.process.text())
        try:
            up = {r["svname"] for r in self.stat() if r["status"].startswith("UP")}
        except OSError:
            return False
        return set(FLEET) | {"agent"} <= up


def agent_of(bench, name):
    return bench.target["null" if name == "none" else name]


class Proxies:
    """HAProxys of one version in front of one origin."""

    def __init__(self, bench, binary):
        self.cleanup = contextlib.ExitStack()
        self.dir = pathlib.Path(tempfile.mkdtemp(dir=bench.dir))
        names = ("none", "null", "rota", "slo")
        ports = Ports()
        port = {name: ports.take() for name in names}
        origin = ports.take()
        ports.release()
        (self.dir / "origin.cfg").write_text(ORIGIN.format(port=origin, answer=ANSWER))
        self.origin = Process(["haproxy", "-f", self.dir / "origin.cfg"], self.dir / "origin.log")
        self.cleanup.callback(self.origin.stop)
        self.proxy = {}
        for name in names:
            self.proxy[name] = Proxy(name, binary, agent_of(bench, name), port[name], origin,
                                     self.dir)
            self.cleanup.callback(self.proxy[name].process.stop)

    def __enter__(self):
        try:
            for name, proxy in self.proxy.items():
                wait_for(proxy.ready, f"haproxy {name}", 20)
        except BaseException:
            self.cleanup.close()
            raise
        return self

    def __exit__(self, *_):
        self.cleanup.close()


def streams_of(clients):
    return 8 if clients <= 64 else 1


def h2load(port, http, clients, body, count):
    streams = ["--h1"] if http == "h1" else ["-m", str(streams_of(clients))]
    argv = ["h2load", "-t1", f"-c{clients}", *streams, f"-n{count}", "-d", body,
            "-H", "content-type: application/json", f"http://127.0.0.1:{port}/v1/chat/completions"]
    text = subprocess.run(argv, stdout=subprocess.PIPE, check=True, timeout=300).stdout.decode()
    if f"status codes: {count} 2xx" not in text:
        print("  NOT COMPARABLE: " + re.search(r"status codes: .*", text)[0])
    return float(re.search(r"finished in .*?, ([\d.]+) req/s", text)[1])


def generator_seconds():
    u = resource.getrusage(resource.RUSAGE_CHILDREN)  # of those that have ended
    return u.ru_utime + u.ru_stime


def proxied_run(proxy, agent_pid, origin_pid, http, clients, body, count):
    pids = [proxy.process.child.pid, agent_pid, origin_pid]

    def seconds():
        return [cpu_seconds(p) for p in pids] + [generator_seconds()]

    before = seconds()
    rate = h2load(proxy.port, http, clients, body, count)
    time.sleep(0.02)  # the last end lines
    us = [1e6 * (b - a) / count for a, b in zip(before, seconds())]
    return {"rate": rate, "haproxy": us[0], "agent": us[1], "all": sum(us)}


def proxied_table(title, bench, proxies, http, clients, size):
    body = proxies.dir / "body"
    body.write_text(chat(size))
    names = list(proxies.proxy)

    def run(name, count):
        return proxied_run(proxies.proxy[name], agent_of(bench, name)[2],
                           proxies.origin.child.pid, http, clients, body, count)

    # The first run warms up and tells how many requests take the time that we want.
    warm = {name: run(name, 4 * clients + 2000)["rate"] for name in names}
    count = max(4 * clients, int(SECONDS * warm["null"]))
    runs = {name: [] for name in names}
    before = bench.slo.counter("requests_total", verdict="route")
    for order in turns(names):
        for name in order:
            runs[name].append(run(name, count))
    routed = bench.slo.counter("requests_total", verdict="route") - before
    print(f"\n{title}, {ROUNDS} x {count} requests")
    for name in names:
        m = {key: statistics.median(r[key] for r in runs[name]) for key in runs[name][0]}
        print(f"  {name:5}{m['rate']:10,.0f} req/s{m['haproxy']:8.1f} us/req of HAProxy"
              f"{m['agent']:7.1f} of the agent{m['all']:8.1f} in all")
    for name, base in (("slo", "null"), ("slo", "rota"), ("slo", "none"), ("null", "none"),
                       ("rota", "none")):
        pairs = list(zip(runs[name], runs[base]))
        print(f"  {name} / {base}: {spread([a['rate'] / b['rate'] for a, b in pairs])} of the "
              f"request rate, {spread([a['all'] / b['all'] for a, b in pairs])} of all CPU time")
    if routed != ROUNDS * count:
        print(f"  NOT COMPARABLE: slo-spoa routed {routed:.0f} of {ROUNDS * count}")
    sys.stdout.flush()


def cells():
    every = [(h, c, s) for h in ("h1", "h2") for c in (64, 512) for s in (100, 2048, 12288)]
    short = [("h1", 64, 100), ("h1", 64, 2048), ("h2", 64, 2048), ("h1", 512, 2048)]
    wanted = [c for c in every if "{}-c{}-{}".format(*c) in SECTIONS]
    return wanted if SECTIONS else every if FULL else short


def versions():
    newer = ROOT / "build/hap/haproxy"
    for binary in ("haproxy", newer):
        text = subprocess.run([binary, "-v"], stdout=subprocess.PIPE, check=True).stdout.decode()
        yield binary, re.search(r"version (\d+\.\d+)", text)[1]


def proxied(bench):
    for binary, version in versions():
        with Proxies(bench, binary) as proxies:
            for http, clients, size in cells():
                streams = "" if http == "h1" else f" x {streams_of(clients)} streams"
                proxied_table(f"HAProxy {version}, {http}, {clients} connections{streams}, "
                              f"body of {size} bytes", bench, proxies, http, clients, size)
    ledger_settles(bench.slo)


def main():
    seeds = iter(range(1, 1 << 20))
    print(__doc__)
    with Bench() as bench:
        if not SECTIONS or "direct" in SECTIONS:
            with a_core_each(bench):
                direct(bench, seeds)
            allocations(seeds)
        if not OLD and cells():
            proxied(bench)


if __name__ == "__main__":
    main()
