"""Several agents, each alone, in one group of one Redis; servers of a known size."""
import collections
import contextlib
import itertools
import struct

from lab import AgentAlone, PATIENCE, end_line, failed
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
        try:
            self.until(lambda: self.on(server) == (inflight, foreign), "", seconds)
        except TimeoutError:
            raise TimeoutError(f"{self.node}: {(inflight, foreign)} in flight and of others; it is "
                               f"{self.on(server)}, {self.cluster()}") from None

    def until(self, condition, what, seconds=10):
        def true():
            with contextlib.suppress(OSError):
                return condition()
            return False
        return wait_for(true, what, seconds * PATIENCE)

    def reads(self, *ids):
        """HAProxy's end lines, which have been read when this returns."""
        before = self.end_lines("malformed")
        with self.event_connection() as s:
            s.sendall(b"".join(map(end_line, ids)) + b"slo1 no end line\n")
            self.until(lambda: self.end_lines("malformed") > before, "end lines are read")

    def hears(self, *names):
        self.until(lambda: all(n in self.peers() and not self.peers()[n]["silent"] for n in names),
                   f"{self.node} hears {names}")


def packed(v):
    """As MessagePack, as far as messages need it."""
    if isinstance(v, int):
        if v < 0:
            return b"\xd3" + struct.pack(">q", v)
        return bytes([v]) if v < 128 else b"\xcf" + struct.pack(">Q", v)
    if isinstance(v, str):
        return b"\xd9" + bytes([len(v)]) + v.encode()
    return b"\xdc" + struct.pack(">H", len(v)) + b"".join(map(packed, v))


Mark = collections.namedtuple("Mark", "version life number now whole told")


def key_mark(redis, name, group=GROUP):
    """What an agent's key says of itself: six numbers as MessagePack."""
    value = redis("HGET", f"slo-spoa:{group}:leases:{name}", "") or b""
    numbers, at = [], 3 if value[:1] == b"\xdc" else 1  # after the array's own length
    while at < len(value):
        size = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}.get(value[at], 0)
        numbers.append(int.from_bytes(value[at + 1:at + 1 + size], "big") if size else value[at])
        at += 1 + size
    return Mark(*numbers) if numbers else None


def key_has(redis, name, requests, group=GROUP):
    """Waits until an agent's key has so many requests, and is up to all that it told: before, who reads the
    key of one that has stood still since it spoke, or is dead, has less."""
    def has():
        mark = key_mark(redis, name, group)
        return mark and mark.number == mark.told and redis("HLEN", f"slo-spoa:{group}:leases:{name}") == requests + 1
    wait_for(has, f"{requests} requests in the key of {name}", 10 * PATIENCE)


class Forged:
    """An agent that a test plays. Its messages say what the test wants."""

    def __init__(self, redis, name, life=1):
        self.redis, self.name, self.life = redis, name, life
        self.number, self.now = 0, 1000000

    def say(self, kind=0, records=(), number=None, cut=0):
        """cut: so many bytes of its end are missing."""
        channel = f"slo-spoa:{GROUP}:news"
        if kind == 0:  # where only who knows it listens
            self.is_heard()
            channel += ":" + self.name
        self.number = self.number + (kind < 2) if number is None else number
        message = packed([1, kind, self.name, self.life, self.number, self.now, list(records), []])
        self.redis("PUBLISH", channel, message[:len(message) - cut])
        self.redis("PING")  # Redis may reply before it writes to who listens, but not twice

    def is_heard(self):
        def heard():
            if self.redis("PUBSUB", "NUMSUB", f"slo-spoa:{GROUP}:news:{self.name}")[1] > 0:
                return True
            self.say(kind=2)
            return False
        wait_for(heard, f"somebody listens to {self.name}", 10 * PATIENCE)

    def lease(self, server="l20-1", load=1 << 29, age=0):
        return [MODEL, MODEL, server, "slo", load, self.now - age, 16, 8, -1, -1, 1, 0, 0]

    def end(self, request_id, *event):
        """The record that it is over. event: bytes of its first."""
        return [1, request_id, [1, 1 if event else 0, 16, 8, -1, 0, -1, MODEL, "l20-1", *event]]

    def placed(self, *ids, **kw):
        self.say(records=[[0, i, self.lease(**kw)] for i in ids])

    def key(self, *ids, whole=0, number=None, **kw):
        """What it would have written when it was at that number, at the last one if None."""
        key = f"slo-spoa:{GROUP}:leases:{self.name}"
        self.redis("DEL", key)
        for i in ids:
            self.redis("HSET", key, i, packed(self.lease(**kw)))
        self.redis("HSET", key, "", packed([1, self.life, self.number if number is None else number, self.now, whole,
                                               self.number]))
        self.redis("EXPIRE", key, 600)
        self.redis("SADD", f"slo-spoa:{GROUP}:agents", self.name)


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

    def joined(self, name, redis, **kw):
        """A node that heard all before it was ready. One on a machine that stood still gives Redis up."""
        for i in itertools.count():
            n = self.node(f"{name}{i or ''}", redis, **kw)
            if "Redis does not tell" not in n.agent.text():
                return n
            n.stop_agent()

    def place(self, node, *ids, **args):
        with node.peer() as p:
            for i in ids:
                self.assertEqual("route", p.route(i, model=MODEL, **args)["verdict"])
