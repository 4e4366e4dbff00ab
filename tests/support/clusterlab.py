"""Several agents, each alone, in one group of one Redis; servers of a known size."""
import contextlib

from lab import AgentAlone, PATIENCE, failed
from redislab import Redis
from stack import MODEL, wait_for

GROUP = "test"


class Node(AgentAlone):
    """An agent of the group."""

    def __init__(self, name, url, room=8, fleet=None, change=None, **kw):
        self.node = name

        def config(c):
            c["cluster"] = {"redis": url, "name": name, "group": GROUP}
            c["routing"]["queue_timeout"] = "60s"
            if change:
                change(c)
        super().__init__(room=room, fleet=fleet or {"l20-1": "l20"}, config=config, **kw)

    def cluster(self):
        return self.state()["cluster"]

    def peers(self):
        return {p["name"]: p for p in self.cluster()["peers"]}

    def on(self, server="l20-1"):
        """(requests, of which others placed)"""
        s = self.ledger()[server]
        return s["inflight"], s["foreign"]

    def holds(self, inflight, foreign, server="l20-1", seconds=10):
        self.until(lambda: self.on(server) == (inflight, foreign),
                   f"{self.node}: {inflight} in flight, {foreign} of others; it is {self.on(server)}",
                   seconds)

    def until(self, condition, what, seconds=10):
        def true():
            with contextlib.suppress(OSError):
                return condition()
            return False
        return wait_for(true, what, seconds * PATIENCE)

    def hears(self, *names):
        self.until(lambda: all(n in self.peers() and not self.peers()[n]["silent"] for n in names),
                   f"{self.node} hears {names}")


class ClusterCase:
    """Mixed into a TestCase."""

    def redis(self, kind=Redis, **kw):
        redis = kind(**kw)
        self.addCleanup(redis.close)
        return redis.start()

    def node(self, name, redis, start=True, **kw):
        n = Node(name, redis if isinstance(redis, str) else redis.url, **kw)
        self.addCleanup(lambda: n.__exit__(Exception if failed(self) else None))
        if start:
            n.start()
        return n

    def place(self, node, *ids, **args):
        with node.peer() as p:
            for i in ids:
                self.assertEqual("route", p.route(i, model=MODEL, **args)["verdict"])
