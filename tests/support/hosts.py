"""Several hosts on one machine: each has a HAProxy with a file of haproxy-conf/, unchanged, and an
agent; all share the LLM servers and one Redis.

    with Hosts("haproxy-pair.cfg", redis.url) as hosts: ...
"""
import contextlib
import json
import time

from lab import Lab, PATIENCE
from stack import CONF, FLEET, MODEL, get, wait_for

SIZE = 8  # requests that a server holds
SERVERS = {f"l20-{i}": "l20" for i in range(1, 5)}


class Host(Lab):
    """The i-th of them, from 1. Others are known when all exist: then configure()."""

    def __init__(self, number, conf, speed, room=SIZE, **kw):
        self.number = number
        super().__init__(conf=conf, speed=speed, room=room, fleet=SERVERS, runtime_api=True, **kw)
        self.stats_tcp = self.ports.take()

    def configure(self, hosts, redis, change=None):
        """The shipped slo-spoa-pair.json, at our addresses."""
        self.hosts = hosts
        conf = json.loads((CONF / "slo-spoa-pair.json").read_text())
        conf.update({k: self.config[k] for k in ("spop", "events", "http")})
        del conf["snapshot"]  # the file of the machine's own agent
        conf["routing"]["strategy"] = self.strategy
        others = [h for h in hosts if h is not self]
        conf["haproxy"]["runtime_api"] = [f"unix:{self.dir}/stats.sock",
                                          *(f"127.0.0.1:{h.stats_tcp}" for h in others)]
        conf["models"][MODEL]["deployments"].pop("a10")
        for d in conf["models"][MODEL]["deployments"].values():
            d["profile"] = "given"  # however fast a server is, it holds so many
        conf["cluster"].update(redis=redis, name=f"node-{self.number}")
        if not redis:
            del conf["cluster"]
        if change:
            change(conf)
        self.config = conf
        self.config_file.write_text(json.dumps(conf, indent=2))

    def env(self):
        """Host 1 is the first for whom wants one; the next one is the other."""
        env, n = super().env(), len(self.hosts)
        other = self.hosts[self.number % n]
        env.update(SLO_STATS_TCP=f"127.0.0.1:{self.stats_tcp}",
                   SLO_SPOP_OWN=f"127.0.0.1:{self.spop}", SLO_SPOP_OTHER=f"127.0.0.1:{other.spop}")
        first, second = (self, other) if "active" in self.conf_name else self.hosts[:2]
        for i, h in (1, first), (2, second):
            env[f"SLO_SPOP_{i}"] = f"127.0.0.1:{h.spop}"
            env[f"SLO_EVENTS_{i}"] = f"127.0.0.1:{h.events}"
        return env

    def agents_up(self):
        """The names of agents that this HAProxy takes for up."""
        return {r["svname"] for r in self.stat() if r["pxname"] == "spoa" and r["status"].startswith("UP")}

    def proxy_ready(self):
        try:
            up = {r["svname"] for r in self.stat() if r["status"].startswith("UP")}
        except OSError:
            return False
        return set(self.fleet) <= up and len({n for n in up if n.startswith("agent")}) == 2

    def there(self):
        """What this HAProxy has on each server."""
        return {r["svname"]: int(r["scur"]) + int(r["qcur"]) for r in self.stat()
                if r["pxname"] == MODEL and r["svname"] in self.fleet}

    def begun(self):
        """The same, and how many it has had there so far."""
        return {r["svname"]: (int(r["scur"]) + int(r["qcur"]), int(r["stot"])) for r in self.stat()
                if r["pxname"] == MODEL and r["svname"] in self.fleet}

    def here(self):
        """What this agent has charged."""
        return {name: s["inflight"] for name, s in self.ledger().items()}

    def overshoots(self):
        return sum(s["overshoots"] for s in self.ledger().values())

    def kill_agent(self):
        self.agent.stop(9)


class Hosts(list):
    def __init__(self, conf, redis, count=2, speed=20, change=None, **kw):
        super().__init__(Host(i, conf, speed, **kw) for i in range(1, count + 1))
        for h in self:
            h.configure(self, redis, change)

    def __enter__(self):
        try:
            self[0].start_servers()
            for h in self:
                h.server_port = self[0].server_port
                h.start_agent(wait=False)
            for h in self:
                wait_for(lambda h=h: h.agent_ready() or not h.agent.alive(), "agent", 60)
            for h in self:
                h.ports.release()
                h.start_proxy()
            return self
        except BaseException:
            self.stop()
            raise

    def __exit__(self, kind, *_):
        bad = self.stop()
        for h in self:
            h.clear(kind or (RuntimeError if bad else None))
        if bad and not kind:
            raise bad[0]

    def stop(self):
        """All of them; what was wrong with them."""
        bad = []
        for h in reversed(self):
            try:
                h.stop()
            except (RuntimeError, TimeoutError) as e:
                bad.append(e)
        return bad

    def until(self, condition, what, seconds=30, step=0.02):
        def true():
            with contextlib.suppress(OSError, KeyError):
                return condition()
            return False
        return wait_for(true, what, seconds * PATIENCE, step=step)

    def there(self):
        """What all HAProxys have, by server."""
        counts = [h.there() for h in self if h.proxy and h.proxy.alive()]
        return {name: sum(c[name] for c in counts) for name in SERVERS}

    def alive(self):
        return [h for h in self if h.agent.alive()]

    def agree(self, seconds=10):
        """All ledgers are what all HAProxys have; how long that took."""
        began = time.monotonic()
        try:
            self.until(self.equal, "", seconds)
        except TimeoutError:
            raise TimeoutError(f"HAProxy has {self.there()}, the agents "
                               f"{[h.here() for h in self.alive()]}") from None
        return time.monotonic() - began

    def equal(self):
        before = self.there()
        return all(h.here() == before for h in self.alive()) and self.there() == before

    def until_idle(self, seconds=60):
        try:
            self.until(lambda: all(h.idle() for h in self.alive()), "", seconds)
        except TimeoutError:
            raise TimeoutError(f"not idle: HAProxy has {self.there()}, the agents " + "; ".join(
                f"{h.number}: {h.here()} {h.state()['cluster']['peers']}" for h in self.alive())) from None

    def peaks(self):
        """The most requests that each server had at a time."""
        return {name: self[0].server_stats(name)["peak_inflight"] for name in SERVERS}


__all__ = ["FLEET", "SIZE", "SERVERS", "Host", "Hosts", "get"]
