"""What the cluster costs an agent, and how long a message takes: agents alone, and spop_load."""
import contextlib
import json
import os
import pathlib
import statistics
import subprocess
import time

from clusterlab import Node
from lab import AgentAlone
from rig import BUILD
from stack import FLEET, wait_for

TICK = os.sysconf("SC_CLK_TCK")
ROOM = 1000000  # nobody waits: a wait is no cost


def by_profile(config):
    """Room is what the profile says, however fast a made-up answer comes."""
    for model in config["models"].values():
        for d in model["deployments"].values():
            d["profile"] = "given"


def cpu(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def load(agent, seed, *more, seconds=1.0):
    argv = [BUILD / "bench/spop_load", "--spop", agent.spop, "--events", f"tcp:{agent.events}", "--pid",
            agent.agent.child.pid, "--seconds", seconds, "--seed", seed, "--strategy", "slo", *more]
    return json.loads(subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, check=True).stdout)


@contextlib.contextmanager
def group(url, n):
    nodes = [Node(f"n{i}", url, room=ROOM, fleet=FLEET, change=by_profile) for i in range(n)]
    with contextlib.ExitStack() as stack:
        for node in nodes:
            stack.callback(node.stop)
            node.start()
        for node in nodes:
            node.hears(*(m.node for m in nodes if m is not node))
        yield nodes


def compare(say, alone, on, other, redis, rounds, *load_args):
    """One after the other, in turn: what matters are ratios of neighbours. Returns that of the rates
    and that of what the agent itself takes; agents, Redis and the generator share the cores."""
    rates, us, others, servers = ([], []), ([], []), [], []
    m = statistics.median
    for i in range(rounds):
        for agent in [alone, on] if i % 2 else [on, alone]:
            which = int(agent is on)
            began = cpu(other.agent.child.pid), cpu(redis.process.child.pid)
            r = load(agent, i + 1, *load_args)
            rates[which].append(r["ack_per_s"])
            us[which].append(1e6 * r["agent_cpu"] / r["ack_per_s"])
            if agent is on:
                wait_for(lambda: on.idle() and other.idle(), "it has heard all", 60)
                others.append(1e6 * (cpu(other.agent.child.pid) - began[0]) / r["acks"])
                servers.append(1e6 * (cpu(redis.process.child.pid) - began[1]) / r["acks"])
    rate = m(b / a for a, b in zip(*rates))
    share = m(a / b for a, b in zip(*us))
    say(f"  ACKs/s off {m(rates[0]):.0f}, on {m(rates[1]):.0f}: {rate:.2f} of it; CPU per request off "
        f"{m(us[0]):.2f} us, on {m(us[1]):.2f} us: {1 / share:.2f} times; the agent that hears it {m(others):.2f} us, "
        f"Redis {m(servers):.2f} us ({rounds} rounds)")
    return rate, share


def cost(say, must, a_redis, scale):
    redis = a_redis()
    alone = AgentAlone(room=ROOM, config=by_profile)
    rounds = max(3, round(9 * scale))
    with group(redis.url, 2) as (on, other), contextlib.ExitStack() as stack:
        stack.callback(alone.stop)
        alone.start()
        say("a frame at a time, as HAProxy 3.2 asks; agents, Redis and generator share this machine's cores:")
        one = compare(say, alone, on, other, redis, rounds, "--connections", 1, "--window", 1, "--running", 2000)
        say("as many at a time as fit, far beyond what HAProxy asks:")
        together = compare(say, alone, on, other, redis, rounds, "--running", 2000)
        c = on.cluster()
        say(f"  {c['told']} messages told, {c['dropped']} records dropped, {c['rewrites']} rewrites")
        for name, (rate, share) in (("one at a time", one), ("many at a time", together)):
            must(rate >= 0.8, f"{name}: ACKs/s are 0.8 of those without, at least: {rate:.2f}")
            must(share >= 0.8, f"{name}: a request costs the agent 1.25 times as much, at most: {1 / share:.2f}")
        wait_for(lambda: on.idle() and other.idle(), "0 at the end", 60)
    redis.close()


def many(say, must, a_redis, scale):
    redis = a_redis()
    agents, rate, seconds = 16, 1000, max(3, 20 * scale)
    with group(redis.url, agents) as nodes:
        before = [cpu(n.agent.child.pid) for n in nodes], cpu(redis.process.child.pid)
        began = time.monotonic()
        count = round(rate / agents * seconds)
        loads = [subprocess.Popen([str(a) for a in (
            "/usr/bin/python3", pathlib.Path(__file__).with_name("paced.py"), n.spop, n.events, rate / agents,
            count, n.node)]) for n in nodes]
        for p in loads:
            if p.wait(seconds + 60):
                raise RuntimeError("paced.py")
        took = time.monotonic() - began
        used = [cpu(n.agent.child.pid) - b for n, b in zip(nodes, before[0])]
        p50 = max(n.cluster()["delay_p50_seconds"] for n in nodes)
        p99 = max(n.cluster()["delay_p99_seconds"] for n in nodes)
        gaps = sum(p["gaps"] for n in nodes for p in n.cluster()["peers"])
        say(f"{agents} agents, {count * agents / took:.0f} requests/s in all: P50 <= {1000 * p50:.1f} ms, P99 <= "
            f"{1000 * p99:.1f} ms (the worst agent), {gaps} gaps; CPU of an agent {100 * max(used) / took:.1f} %, "
            f"of Redis {100 * (cpu(redis.process.child.pid) - before[1]) / took:.1f} %")
        wait_for(lambda: all(n.idle() for n in nodes), "0 at the end", 60)
        must(gaps == 0, "nothing is missed")
    redis.close()


