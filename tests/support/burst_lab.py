#!/usr/bin/python3
"""A burst through real HAProxy: what the agent does with the queue that it leaves behind.

    burst_lab.py --build DIR [--fleet sample|fast] [--strategy slo|slo-adaptive]
                 [--late serve|hold|reject] [--compress 4] [--after 100]

HAProxy, the agent and the demo servers run in compressed time, as for REAL.md. Requests of one size
come at 62 % of the capacity, for 8 s at 2.5 times the capacity, and then at 62 % again. Prints one line
of figures, in seconds as if nothing were compressed. HAPROXY chooses the binary.
"""
import argparse
import csv
import json
import pathlib
import random
import re
import subprocess
import tempfile
import threading
import time

from stack import CONF, MODEL, Stack, compressed, wait_for

FLEETS = {  # servers, input and output tokens of every request
    "sample": ({"a10-1": "a10", **{f"l20-{i}": "l20" for i in range(1, 5)}}, 256, 64),
    "fast": ({"h100-1": "h100", **{f"l20-{i}": "l20" for i in range(1, 9)}}, 512, 128),
}
TARGET, QUEUE_TIMEOUT = 5, 30  # seconds, end to end
BASE, PEAK, PEAK_SECONDS = 0.62, 2.5, 8  # of the capacity
MAXCONN = 3000
BUSY = 0.8  # of the requests that run at once on a server at its highest rate in time
NEARLY = 0.9  # of the most that were seen there: how many fit is measured, and changes by some


def measured(build, fleet, inputs, outputs):
    """Profiles of one cell, by gpu, of servers as the demo models them."""
    with tempfile.TemporaryDirectory() as out:
        subprocess.run([build / "tests/sim/slo-sim-profile", "-m", MODEL, "--mode", "prefill-first", "--seed", "1",
                        "--created", "1", "--headroom", "0.8", "--slo", f"e2e={TARGET}",
                        "--gpus", ",".join(sorted(set(fleet.values()))), "--inputs", str(inputs),
                        "--outputs", str(outputs), "--output", out], check=True, capture_output=True)
        return {gpu: json.loads(pathlib.Path(out, MODEL, f"{gpu}.json").read_text())
                for gpu in set(fleet.values())}


def arrivals(capacity, before, after):
    """Times of requests; the same for the same arguments."""
    draw, t, times = random.Random(1), 0.0, []
    while t < before + PEAK_SECONDS + after:
        times.append(t)
        peak = before <= t < before + PEAK_SECONDS
        t += draw.expovariate(capacity * (PEAK if peak else BASE))
    return times


class Burst(Stack):
    """The shipped configuration with the servers of that fleet and that strategy. learned: there are no
    profiles, the agent learns; kv: tokens in the cache of a server by gpu, as it is told then."""

    def __init__(self, fleet, strategy, late=None, compress=4, learned=False, kv=(), **kw):
        def config(conf):
            conf["routing"]["queue_timeout"] = f"{round(1000 * QUEUE_TIMEOUT / compress)}ms"
            if learned:
                conf["models"][MODEL]["slo"] = {"e2e": f"{round(1000 * TARGET / compress)}ms"}
                for gpu, d in conf["models"][MODEL]["deployments"].items():
                    d.update({"profile": "learned", **({"kv_tokens": kv[gpu]} if gpu in kv else {})})
            if late:
                conf["routing"]["late"] = late

        servers, self.inputs, self.outputs = FLEETS[fleet]
        self.compress = compress
        super().__init__(fleet=servers, speed=compress, config=config, maxconn=MAXCONN,
                         strategy=strategy, server_args=["--mode", "prefill"], **kw)
        self.client = self.build / "endurance/trace_load"
        profiles = measured(self.build, servers, self.inputs, self.outputs)
        self.capacity = sum(profiles[gpu]["tputs"][0][0] for gpu in servers.values())
        self.weight = {s: 1 / (profiles[g]["tputs"][0][0] * profiles[g]["e2e"][0][0]) for s, g in servers.items()}
        for gpu, p in ({} if learned else profiles).items():
            self.profile(gpu, compressed(p, compress))

    def env(self):
        return {**super().env(), "SLO_SPOE_CFG": str(CONF / "spoe-slo.cfg")}

    def proxy_argv(self):
        text = (CONF / self.conf_name).read_text()
        servers = "".join(f"    server {s} 127.0.0.1:{self.server_port[s]}\n" for s in self.fleet)
        text, n = re.subn(r'(^    server \S+ +"\$\{SLO_(?:A10|L20)_.*\n)+', servers, text, flags=re.M)
        if n != 1:
            raise ValueError("where are the servers of haproxy.cfg?")
        path = self.dir / "haproxy.cfg"
        path.write_text(text)
        return [path if a == CONF / self.conf_name else a for a in super().proxy_argv()]

    def start(self):
        super().start()
        self.checks(False, "spoa/agent", *(f"{MODEL}/{s}" for s in self.fleet))
        return self


class Watch(threading.Thread):
    """Looks at the agent until told to end. A page of state.json is of one moment."""

    def __init__(self, stack):
        super().__init__()
        self.stack, self.over = stack, threading.Event()
        self.looks = []  # at a queue: its length, and its servers by name
        self.emptied = time.monotonic()

    def look(self):
        model = self.stack.state()["models"][MODEL]
        if model["queued"]:
            self.looks.append((model["queued"], model["servers"]))
            self.emptied = time.monotonic()

    def run(self):
        while not self.over.wait(0.05):
            self.look()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()

    @property
    def used(self):
        return {v["deployment"] for _, servers in self.looks for v in servers.values() if v["inflight"]}

    @property
    def most(self):
        return max((queued for queued, _ in self.looks), default=0)

    def beside_room(self):
        """The looks at which requests waited and a server had room for one."""
        most = {}  # that ran on a server while requests waited: all are of one size, so it is full with them
        for _, servers in self.looks:
            for s, v in servers.items():
                most[s] = max(most.get(s, 0), v["inflight"])
        return [(queued, {s: (v["inflight"], round(v["load"], 3)) for s, v in servers.items()})
                for queued, servers in self.looks
                if any(v["usable"] and self.has_room(s, v, most[s]) for s, v in servers.items())]

    def has_room(self, server, v, most):
        weight = self.stack.weight[server]
        # A load of slo is the share of the highest rate in time. One of slo-adaptive is that of the cache,
        # of which such a profile tells nothing.
        if self.stack.strategy == "slo" and v["load"] + weight <= 1:
            return True
        return v["inflight"] < max(NEARLY * most, BUSY / weight)


class Outcome:
    """Times are seconds as if nothing were compressed, after the burst."""

    def __init__(self, rows, watch, compress, end, began):
        self.rows = [(float(r["t"]) - end, r["status"] == "200", compress * float(r["latency"])) for r in rows]
        self.refused = sum(r["status"] == "429" for r in rows)
        self.failed = sum(r["status"] not in ("200", "429") for r in rows)
        self.watch = watch
        self.emptied = (watch.emptied - began) * compress - end
        self.missed_last = max((t for t, served, took in self.rows if not self.met(served, took)), default=-end)

    @staticmethod
    def met(served, took):
        return served and took <= TARGET

    def share(self, start, end):
        """Percent in time of those that came then."""
        those = [self.met(served, took) for t, served, took in self.rows if start <= t < end]
        return 100 * sum(those) / len(those)


def run(stack, before, after):
    trace, out = stack.dir / "trace.csv", stack.dir / "answers.csv"
    times = arrivals(stack.capacity, before, after)
    trace.write_text("".join(f"{t:.6f},{stack.inputs},{stack.outputs}\n" for t in times))
    began = time.monotonic()
    with Watch(stack) as watch:
        subprocess.run([stack.client, "--port", str(stack.port), "--trace", trace, "--out", out, "--compress",
                        str(stack.compress), "--patience", "60"], check=True)
    wait_for(stack.idle, "every load 0, nothing queued")
    with open(out, encoding="ascii") as f:
        return Outcome(list(csv.DictReader(f)), watch, stack.compress, before + PEAK_SECONDS, began)


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--build", type=pathlib.Path, required=True)
    args.add_argument("--fleet", choices=FLEETS, default="sample")
    args.add_argument("--strategy", choices=("slo", "slo-adaptive"), default="slo-adaptive")
    args.add_argument("--late", choices=("serve", "hold", "reject"), default="serve")
    args.add_argument("--compress", type=float, default=4)
    args.add_argument("--before", type=float, default=20)
    args.add_argument("--after", type=float, default=100)
    args.add_argument("--learned", action="store_true", help="no profiles: the agent learns")
    args = args.parse_args()
    with Burst(args.fleet, args.strategy, args.late, args.compress, args.learned, build=args.build.resolve()) as stack:
        version = stack.runtime("show info").split("\nVersion: ", 1)[1].split("\n", 1)[0]
        o = run(stack, args.before, args.after)
    w, room = o.watch, o.watch.beside_room()
    print(f"HAProxy {version}, {args.fleet}, {args.strategy}, late {args.late}: {len(o.rows)} requests, "
          f"{o.failed} failed, {o.refused} refused; in time {o.share(-1e9, 1e9):.1f} %, "
          f"before {o.share(-1e9, -PEAK_SECONDS):.1f} %, "
          f"in the last third {o.share(args.after * 2 / 3, 1e9):.1f} %; last miss {o.missed_last:.1f} s after; "
          f"queue at most {w.most}, empty {o.emptied:.1f} s after; a server had room at {len(room)} of "
          f"{len(w.looks)} looks at a queue, used {sorted(w.used)} {room[:3]}", flush=True)


if __name__ == "__main__":
    main()
