"""Agents of one group, when their Redis or Valkey fails, stands still or moves."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from clusterlab import ClusterCase  # noqa: E402
from redislab import VALKEY, Redis, Sentinel, Valkey  # noqa: E402


class RedisFails(ClusterCase, unittest.TestCase):
    kind = Redis

    def test_redis_restarts_empty(self):
        redis = self.redis(self.kind)
        a, b = self.node("a", redis), self.node("b", redis)
        self.place(a, "r1", "r2")
        self.place(b, "r3")
        b.holds(3, 2)
        redis.kill()
        a.logged(f"cluster: no Redis at redis://127.0.0.1:{redis.port}/\\d+: ")
        b.logged(f"cluster: no Redis at redis://127.0.0.1:{redis.port}/\\d+: ")
        self.place(a, "r4")
        a.ends("r1")
        self.assertEqual((3, 2), b.on())
        redis.start()
        b.holds(3, 2)
        a.holds(3, 1)
        b.until(lambda: b.peers()["a"]["leases"] == 2, "a's r2 and r4")
        a.ends("r2", "r4")
        b.ends("r3")
        for n in (a, b):
            n.holds(0, 0)

    def test_by_a_unix_socket(self):
        redis = self.redis(self.kind)
        a, b = self.node("a", f"unix://{redis.path}"), self.node("b", redis)
        a.logged(f"cluster: connected to unix:{redis.path}")
        b.logged(f"cluster: connected to 127.0.0.1:{redis.port}")
        self.place(a, "r1")
        b.holds(1, 1)

    def test_redis_loses_its_keys(self):
        redis = self.redis(self.kind)
        a, b = self.node("a", redis), self.node("b", redis)
        self.place(a, "r1", "r2")
        b.holds(2, 2)
        redis("FLUSHALL")
        a.logged("cluster: our key .* is gone from Redis")
        self.place(a, "r3")
        c = self.node("c", redis)
        c.holds(3, 3)
        b.holds(3, 3)

    def test_redis_stands_still(self):
        redis = self.redis(self.kind)
        a, b = self.node("a", redis, room=1000), self.node("b", redis, room=1000)
        self.place(a, "r1")
        b.holds(1, 1)
        redis.stop()
        # Nothing waits: all of these are answered while it stands.
        self.place(a, *(f"s{i}" for i in range(500)))
        a.ends(*(f"s{i}" for i in range(400)))
        a.holds(101, 0)
        redis.go()
        b.holds(101, 101)
        self.assertEqual(0, b.peers()["a"]["gaps"])
        c = self.joined("c", redis, room=1000)
        self.assertEqual((101, 101), c.on())


@unittest.skipUnless(VALKEY.exists(), "no Valkey: make valkey")
class ValkeyFails(RedisFails):
    kind = Valkey


class SentinelMoves(ClusterCase, unittest.TestCase):
    def test_the_server_is_promoted_elsewhere(self):
        one = self.redis()
        two = self.redis(args=["--replicaof", "127.0.0.1", str(one.port)])
        sentinel = Sentinel(one)
        self.addCleanup(sentinel.close)
        sentinel.start()
        url = f"redis+sentinel://127.0.0.1:1,127.0.0.1:{sentinel.port}/llm"
        a, b = self.node("a", url), self.node("b", url)
        self.place(a, "r1")
        b.holds(1, 1)
        a.until(lambda: b"slave" in b"".join(map(bytes, map(str.encode, map(str, two("ROLE"))))),
                "the replica follows")
        a.until(lambda: int(info(sentinel, "num-slaves")) == 1, "the Sentinel knows the replica", 30)
        one.kill()
        a.logged("cluster: connected to 127.0.0.1:%d" % two.port, 30)
        b.logged("cluster: connected to 127.0.0.1:%d" % two.port, 30)
        self.place(a, "r2")
        b.holds(2, 2)

    def test_a_server_that_became_a_replica_is_left(self):
        one, two = self.redis(), self.redis()
        a = self.node("a", one)
        self.place(a, "r1")
        one("REPLICAOF", "127.0.0.1", two.port)
        a.logged("cluster: no Redis at redis://127.0.0.1:[0-9/]+: (READONLY|MASTERDOWN|LOADING|its)")
        one("REPLICAOF", "NO", "ONE")
        b = self.node("b", one)
        b.holds(1, 1)


def info(sentinel, key):
    fields = [f.decode() if isinstance(f, bytes) else f for f in sentinel("SENTINEL", "MASTER", "llm")]
    return dict(zip(fields[::2], fields[1::2]))[key]


if __name__ == "__main__":
    unittest.main()
