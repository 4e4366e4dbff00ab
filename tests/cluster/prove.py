#!/usr/bin/python3
"""What several agents of one group do when it matters, with real HAProxy and Redis, in figures.

    prove.py WHAT... [--scale 1] [--seed 1] [--valkey]

    takeover   two hosts, one agent decides: killed with 200 streams running and 50 held
    active     two agents that decide, three times the demand that four servers can serve; beside it
               the same without "cluster"
    redis      the same while Redis is killed, stands still, restarts empty, is promoted elsewhere
    chaos      three hosts; agents, HAProxys and Redis are killed, stopped and restarted at random
    split      two hosts; one of them cannot reach Redis any more, while the connections stay
    cost       ACKs per second and CPU per request, with the cluster on and off
    many       16 agents, 1,000 requests/s in all: the delay of a message, and CPU

Exit status 0: what was promised holds. BUILD_DIR, HAPROXY and VALKEY_DIR choose what is run.
"""
import argparse
import json
import pathlib
import random
import signal
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "endurance"))

from hosts import SERVERS, SIZE, Hosts  # noqa: E402
from redislab import Redis, Sentinel, Valkey  # noqa: E402
from rig import Load, memory_of  # noqa: E402
from streams import Streams  # noqa: E402
import agents  # noqa: E402
from relay_tcp import Drop  # noqa: E402

args = None
failures = []


def say(text):
    print(text, flush=True)


def must(ok, what):
    say(f"  {'holds' if ok else 'FAILS'}: {what}")
    if not ok:
        failures.append(what)


def a_redis(**kw):
    return (Valkey if args.valkey else Redis)(**kw).start()


def errors(totals):
    """What clients noticed. Another server than the agent's choice, or none of its choice, is no
    error of theirs."""
    lost = totals["lost"]
    return lost["connect"] + lost["cut"] + lost["status"] + lost["late"]


# A

def takeover():
    running, held = round(200 * args.scale), round(50 * args.scale)
    redis = a_redis()
    room = running // len(SERVERS)
    with Hosts("haproxy-pair.cfg", redis.url, speed=2, room=room, patient=False) as hosts:
        one, two = hosts
        streams = Streams(hosts)
        streams.start(running)
        hosts.until(lambda: sum(two.here().values()) == running, "they run, and agent 2 knows")
        waiting = Streams(hosts)
        waiting.start(held)
        hosts.until(lambda: one.queued() == held, "they wait")
        background = Streams(hosts, tokens=2)
        began = time.monotonic()
        one.kill_agent()
        first = background.first_decision(two)
        say(f"active agent killed, {running} streams run, {held} are held: the first decision of the "
            f"other {1000 * (first - began):.0f} ms after")
        took = hosts.agree(20)
        there = hosts.there()
        say(f"  agent 2 and HAProxy agree {time.monotonic() - began:.2f} s after the kill ({took:.2f} s "
            f"waited): {there}")
        must(sum(there.values()) >= running + held, "what ran and what was held runs")
        began = time.monotonic()
        one.start_agent()
        ready, known = time.monotonic() - began, sum(one.here().values())
        say(f"active agent back: ready after {1000 * ready:.0f} ms with {known} requests charged")
        # What agent 1 held was balanced: nobody placed it, and HAProxy's counts tell of it.
        must(known >= running, "it knows what runs before it is ready")
        before = one.counter("requests_total")
        first = background.first_decision(one, before)
        say(f"  its first decision {1000 * (first - began):.0f} ms after its start")
        for s in (streams, waiting, background):
            s.stop()
        hosts.until_idle(60)
        bad = streams.bad + waiting.bad + background.bad
        must(not bad, f"no client error {bad[:3]}")
        must(all(h.idle() for h in hosts), "0 everywhere at the end")
    redis.close()


# B

class Watch(threading.Thread):
    """The largest number of requests on a server, by HAProxy, and how often it was too large. All
    HAProxys are asked one after the other, and all once more: where nothing began or ended at any of
    them in between, the sum is what ran at one moment; else a request that went and the one that came
    in its place may both be counted, so it is left out. The servers count, too, and miss no moment
    (Hosts.peaks())."""

    def __init__(self, hosts):
        super().__init__(daemon=True)
        self.hosts, self.samples, self.over, self.peak, self.on = hosts, 0, 0, 0, True
        self.moved = 0
        self.start()

    def run(self):
        while self.on:
            try:
                first, second = ([h.begun() for h in self.hosts] for _ in range(2))
            except (OSError, KeyError, IndexError):
                continue
            for name in SERVERS:
                if any(x[name] != y[name] for x, y in zip(first, second)):
                    self.moved += 1
                    continue
                n = sum(x[name][0] for x in first)
                self.samples += 1
                self.over += n > SIZE
                self.peak = max(self.peak, n)
            time.sleep(0.02)

    def stop(self):
        self.on = False
        self.join(5)


def answered(hosts, loads, n):
    hosts.until(lambda: all(l.totals.get("good", 0) >= n for l in loads), f"{n} answers from each host", 60)


def two_loads(hosts, seconds, rate=0):
    """Three times as many clients as there are places. They begin apart, each when the one before has
    answers: a crowd that comes to both agents in the same millisecond is not what is asked here."""
    clients = 3 * SIZE * len(SERVERS) // len(hosts)
    loads = []
    for h in hosts:
        loads.append(Load(h, seconds=seconds, seed=args.seed + h.number,
                          **({"rate": rate / len(hosts)} if rate else {"clients": clients})))
        answered(hosts, loads, 10)
    return loads


def told(hosts, totals, watch):
    sent = sum(t["sent"] for t in totals)
    overshoots = max(h.overshoots() for h in hosts)
    peaks = hosts.peaks()
    say(f"  {sent} requests in {max(t['seconds'] for t in totals):.1f} s, "
        f"{sum(errors(t) for t in totals)} client errors, "
        f"{sum(t['lost']['unrouted'] + t['lost']['misrouted'] for t in totals)} not where an agent chose")
    say(f"  in flight by HAProxy at most {watch.peak}, above {SIZE} in "
        f"{watch.over} of {watch.samples} samples ({100 * watch.over / max(1, watch.samples):.2f} %; in {watch.moved} more "
        f"something moved); by the servers at most {max(peaks.values())}")
    say(f"  decisions that overshot: {overshoots} ({100 * overshoots / max(1, sent):.2f} %)")
    return sent, overshoots, max(peaks.values())


def active_run(url):
    with Hosts("haproxy-active.cfg", url, speed=50, patient=False) as hosts:
        hosts.until(lambda: not url or all(p["visible"] for h in hosts
                                           for p in h.state()["cluster"]["peers"]), "they know each other")
        watch = Watch(hosts)
        seconds = 60
        loads = two_loads(hosts, seconds)
        wanted = round(10000 * args.scale)
        deadline = time.monotonic() + seconds
        while sum(l.totals.get("good", 0) for l in loads) < wanted and time.monotonic() < deadline:
            time.sleep(0.1)
        totals = [l.end() for l in loads]
        watch.stop()
        sent, overshoots, peak = told(hosts, totals, watch)
        hosts.until_idle(30)
        if url:
            delay = hosts[0].state()["cluster"]
            say(f"  delay of a message: P50 <= {1000 * delay['delay_p50_seconds']:.1f} ms, P99 <= "
                f"{1000 * delay['delay_p99_seconds']:.1f} ms; gaps "
                f"{sum(p['gaps'] for h in hosts for p in h.state()['cluster']['peers'])}")
        return sent, overshoots, max(peak, watch.peak), totals


def active():
    redis = a_redis()
    say("two agents, four servers of 8, 96 clients, with the cluster:")
    sent, overshoots, peak, totals = active_run(redis.url)
    must(peak <= SIZE + 1, f"in flight never above {SIZE} + 1: {peak}")
    must(sum(map(errors, totals)) == 0, "no client error")
    must(overshoots <= sent / 20, "at most one decision of twenty overshoots")
    say("the same without it:")
    active_run("")
    redis.close()


# Redis

SLACK = 2  # requests that may be on the wire, on one server


def differ(hosts):
    """The most by which a ledger and HAProxy differ on a server."""
    there = hosts.there()
    return max(abs(h.here()[name] - there[name]) for h in hosts.alive() for name in SERVERS)


def connected(hosts):
    return all(h.state()["cluster"]["connected"] for h in hosts)


def agreement(hosts, began, seconds=3.0):
    """Looks again and again for so long after `began`: when all were connected, when ledgers and
    HAProxy agreed first, and by how much they differed in the best look of the last half second,
    as while requests come and go the two are never asked at the same moment. None: never."""
    up = agreed = least = None
    while (now := time.monotonic() - began) < seconds:
        off = differ(hosts)
        up = now if up is None and connected(hosts) else up
        agreed = now if agreed is None and up is not None and off <= SLACK else agreed
        if now > seconds - 0.5:
            least = off if least is None else min(least, off)
    return up, agreed, least


def text(seconds):
    return "never" if seconds is None else f"{seconds:.2f} s"


def trouble(name, hosts, act):
    loads = two_loads(hosts, 120)
    answered(hosts, loads, 300)
    say(f"Redis {name}:")
    act()
    up, agreed, off = agreement(hosts, time.monotonic())
    totals = [l.end() for l in loads]
    say(f"  {sum(t['sent'] for t in totals)} requests; all connected after {text(up)}, ledgers are HAProxy's counts "
        f"after {text(agreed)}; from 2.5 to 3.0 s after they differ by {off}")
    must(sum(map(errors, totals)) == 0, f"no client error: {[t['lost'] for t in totals]}")
    must(up is not None, "all agents are connected within 3 s")
    must(agreed is not None and off is not None and off <= SLACK,
         "ledgers are HAProxy's counts within 3 s, but for what is on the wire")
    hosts.until_idle(30)


def redis():
    server = a_redis()
    with Hosts("haproxy-active.cfg", server.url, speed=20, patient=False) as hosts:
        def killed(seconds):
            server.kill()
            time.sleep(seconds)
            server.start()

        def stopped(seconds):
            server.stop()
            time.sleep(seconds)
            server.go()
        trouble("killed for 10 s, back empty", hosts, lambda: killed(10 * args.scale))
        trouble("stopped for 5 s", hosts, lambda: stopped(5 * args.scale))
        trouble("restarted empty at once", hosts, lambda: killed(0))
    server.close()
    one = a_redis()
    two = a_redis(args=["--replicaof", "127.0.0.1", str(one.port)])
    sentinel = Sentinel(one)
    sentinel.start()
    url = f"redis+sentinel://127.0.0.1:{sentinel.port}/llm"
    with Hosts("haproxy-active.cfg", url, speed=20, patient=False) as hosts:
        def promoted():
            one.kill()
            began = time.monotonic()
            hosts.until(lambda: two("ROLE")[0] == b"master" and
                        connected(hosts), "the other server", 30)
            say(f"  connected to the other one {time.monotonic() - began:.1f} s after")
        hosts.until(lambda: slaves(sentinel) == 1, "the Sentinel knows the replica", 30)
        trouble("killed, a replica promoted", hosts, promoted)
    for s in (sentinel, two, one):
        s.close()


def slaves(sentinel):
    fields = [f.decode() for f in sentinel("SENTINEL", "MASTER", "llm")]
    return int(dict(zip(fields[::2], fields[1::2]))["num-slaves"])


# Chaos

class Chaos:
    def __init__(self, hosts, server):
        self.hosts, self.server, self.rng = hosts, server, random.Random(args.seed)
        self.counts = {}

    def pause(self, low, high):
        time.sleep(self.rng.uniform(low, high))

    def agent_dies(self):
        h = self.rng.choice(self.hosts[:-1])  # the last one's memory is watched
        if not h.agent.alive():
            must(False, f"agent {h.number} lives until it is killed: {h.agent.text()[-1000:]}")
        h.kill_agent()
        self.pause(0.2, 4)
        h.start_agent()

    def agent_stands(self):
        h = self.rng.choice(self.hosts)
        h.agent.send(signal.SIGSTOP)
        self.pause(0.2, 3)
        h.agent.send(signal.SIGCONT)

    def proxy_reloads(self):
        self.rng.choice(self.hosts).reload_proxy()

    def proxy_dies(self):
        h = self.rng.choice(self.hosts)
        h.proxy.send(signal.SIGTERM)
        h.proxy.child.wait(10)
        self.pause(0.2, 2)
        h.start_proxy()

    def redis_dies(self):
        self.server.kill()
        self.pause(0.2, 5)
        self.server.start()

    def redis_stands(self):
        self.server.stop()
        self.pause(0.2, 5)
        self.server.go()

    def run(self, seconds):
        events = [self.agent_dies] * 3 + [self.agent_stands] * 2 + [self.proxy_reloads] + \
            [self.proxy_dies] + [self.redis_dies] * 2 + [self.redis_stands] * 2
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            event = self.rng.choice(events)
            self.counts[event.__name__] = self.counts.get(event.__name__, 0) + 1
            event()
            self.pause(0.5, 3)


def chaos():
    server = a_redis()
    seconds = 600 * args.scale
    with Hosts("haproxy-active.cfg", server.url, count=3, speed=50, patient=False) as hosts:
        loads = [Load(h, rate=40, seconds=seconds + 600, aborts=0.02, seed=args.seed + h.number) for h in hosts]
        answered(hosts, loads, 50)
        c = Chaos(hosts, server)
        c.run(seconds / 2)  # what is kept of the past is full then
        memory = memory_of(hosts[-1].agent.child.pid)
        c.run(seconds / 2)
        grown = memory_of(hosts[-1].agent.child.pid) - memory
        totals = [l.end() for l in loads]
        say(f"chaos for {seconds:.0f} s, seed {args.seed}: {c.counts}")
        say(f"  {sum(t['sent'] for t in totals)} requests, {sum(t['good'] for t in totals)} whole answers from the "
            f"agent's choice, others {[t['lost'] for t in totals]}")
        say(f"  memory of the agent that was never killed: {memory / 1e6:.1f} MB after half of the time, "
            f"{grown / 1e3:+.0f} KB in the other half")
        # What a HAProxy process that is gone may still serve stays charged for ten minutes.
        began = time.monotonic()
        try:
            hosts.until_idle(660)
            must(True, f"no lease is left, {time.monotonic() - began:.1f} s after the load")
        except TimeoutError as e:
            must(False, f"no lease is left: {e}")
        must(grown < 1e6, "memory is level")
        must(all(h.agent.alive() for h in hosts), "every agent lives")
    server.close()


# A split network

def split():
    server = a_redis()
    drop = Drop(server.port)
    with Hosts("haproxy-active.cfg", server.url, speed=20, patient=False) as hosts:
        two = hosts[1]
        two.config["cluster"]["redis"] = f"redis://127.0.0.1:{drop.port}/0"
        two.config_file.write_text(json.dumps(two.config))
        two.agent.send(signal.SIGHUP)
        hosts.until(lambda: all(h.state()["cluster"]["connected"] and len(h.state()["cluster"]["peers"]) == 1
                                for h in hosts), "both are there")
        loads = two_loads(hosts, 120)
        answered(hosts, loads, 200)
        drop.on = True  # its packets are lost, nothing is closed
        began = time.monotonic()
        hosts.until(lambda: hosts[0].state()["cluster"]["peers"][0]["silent"], "agent 1 notices", 20)
        say(f"split: agent 1 finds agent 2 silent after {time.monotonic() - began:.1f} s")
        hosts.until(lambda: not two.state()["cluster"]["connected"], "agent 2 notices", 30)
        say(f"  agent 2 gives its connection up after {time.monotonic() - began:.1f} s")
        cut = time.monotonic()
        hosts.until(lambda: differ(hosts) <= SLACK, "ledgers follow HAProxy's counts", 20)
        say(f"  both go on by HAProxy's counts: ledgers are those {time.monotonic() - cut:.2f} s after")
        drop.on = False
        began = time.monotonic()
        hosts.until(lambda: all(h.state()["cluster"]["connected"] and
                                not h.state()["cluster"]["peers"][0]["silent"] for h in hosts), "healed", 20)
        healed = time.monotonic() - began
        say(f"  healed {healed:.1f} s after the network")
        must(healed < 3, "both hear each other within 3 s")
        _, agreed, off = agreement(hosts, began)
        must(agreed is not None and off is not None and off <= SLACK,
             f"ledgers are HAProxy's counts {text(agreed)} after, and differ by {off} 3 s after")
        totals = [l.end() for l in loads]
        must(sum(map(errors, totals)) == 0, "no client error")
        hosts.until_idle(30)
    drop.close()
    server.close()


def cost():
    agents.cost(say, must, a_redis, args.scale)


def many():
    agents.many(say, must, a_redis, args.scale)


def main():
    global args
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    all_of = {f.__name__: f for f in (takeover, active, redis, chaos, split, cost, many)}
    p.add_argument("what", nargs="+", choices=[*all_of, "all"])
    p.add_argument("--scale", type=float, default=1)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--valkey", action="store_true")
    args = p.parse_args()
    for name in all_of if "all" in args.what else args.what:
        say(f"== {name}")
        all_of[name]()
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())


