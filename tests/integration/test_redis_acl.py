"""A user of Redis who may not do all that the agent asks: what is told, and that it is enough to do as told."""
import pathlib
import re
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from clusterlab import GROUP, ClusterCase  # noqa: E402
from lab import room_for  # noqa: E402

NEEDS = ("select", "subscribe", "unsubscribe", "publish", "pubsub", "ping", "hset", "hdel", "hget", "hscan", "del",
         "expire", "pttl", "sadd", "srem", "sscan")


class Denied(ClusterCase, unittest.TestCase):
    def user(self, without=(), channels=(f"&slo-spoa:{GROUP}:*",), more=()):
        """A Redis whose user `agent` lacks something."""
        self.server = self.redis()
        self.server("ACL", "SETUSER", "agent", "on", ">pw", "resetchannels", f"~slo-spoa:{GROUP}:*", *channels,
                    *(f"+{c}" for c in NEEDS if c not in without), *more)
        return f"redis://agent:pw@127.0.0.1:{self.server.port}/0"

    def warned(self, node, code, subject):
        """The warning as `slo-ctl doctor` says it."""
        def said():
            return [w["text"] for w in node.state()["warnings"] if (w["code"], w["subject"]) == (code, subject)]
        text = node.until(said, f"{code} {subject}: {node.state()['warnings']}", 20)[0]
        done = subprocess.run([node.build / "slo-ctl", "-s", node.dir / "ctl.sock", "doctor"], capture_output=True,
                              text=True, check=False)
        self.assertEqual(3, done.returncode, done.stderr)
        self.assertIn(text, done.stdout)
        node.until(lambda: text in node.agent.text(), "a line of the log")
        return text

    def follow(self, text):
        """Does what the warning says."""
        command = re.search(r"allow it: (ACL SETUSER .*)$", text)[1]
        self.assertEqual(b"OK", self.server(*command.split()))

    def control(self, conf):
        conf["control"] = {"listen": ["unix:ctl.sock"]}

    def pair(self, url):
        """a may do all, b what its user may."""
        a = self.node("a", self.server)
        return a, self.node("b", url, change=self.control)

    def works(self, a, b):
        self.place(a, "r1")
        b.holds(1, 1, seconds=20)
        self.place(b, "r2")
        a.holds(2, 1, seconds=20)
        a.ends("r1")
        b.ends("r2")
        a.holds(0, 0)
        b.holds(0, 0)

    def test_names_of_others_may_not_be_read(self):
        a, b = self.pair(self.user(without=("sscan",)))
        text = self.warned(b, "cluster-denied", "SSCAN")
        self.assertIn("cluster: Redis does not let user agent do SSCAN (NOPERM ", text)
        self.assertIn("so this agent does not hear of the requests of others; allow it: ", text)
        self.assertEqual(1, b.agent.text().count("do SSCAN"))  # however often it is tried
        self.assertNotIn("cluster: no Redis", b.agent.text())
        self.follow(text)
        self.works(a, b)
        b.until(lambda: "cluster-denied" not in [w["code"] for w in b.state()["warnings"]], "it is over")

    def test_channels_of_others_may_not_be_heard(self):
        """As it was granted for a version that had one channel."""
        a, b = self.pair(self.user(channels=(f"&slo-spoa:{GROUP}:news", f"&slo-spoa:{GROUP}:agent:*")))
        text = self.warned(b, "cluster-denied", "SUBSCRIBE or UNSUBSCRIBE")
        self.assertIn(f"&slo-spoa:{GROUP}:*", text)
        self.follow(text)
        self.works(a, b)

    def test_requests_may_not_be_written_down(self):
        a, b = self.pair(self.user(without=("hset", "hdel", "publish")))
        self.assertIn("others do not hear of all requests of this agent", self.warned(b, "cluster-denied", "PUBLISH"))
        text = self.warned(b, "cluster-denied", "HSET")
        self.place(b, "r0")
        began = b.cluster()["rewrites"]
        b.until(lambda: b.cluster()["told"] > 20, "signs of life")
        self.assertLess(b.cluster()["rewrites"] - began, 1000)
        b.ends("r0")
        self.follow(text)
        self.works(a, b)

    def test_keys_of_others_may_only_be_read(self):
        """A warning that one command sets is not taken back by another that is allowed."""
        self.server = self.redis()
        self.server("ACL", "SETUSER", "agent", "on", ">pw", "resetchannels", f"&slo-spoa:{GROUP}:*",
                    f"~slo-spoa:{GROUP}:agents", f"~slo-spoa:{GROUP}:leases:b", f"%R~slo-spoa:{GROUP}:*",
                    *(f"+{c}" for c in NEEDS))
        a, b = self.pair(f"redis://agent:pw@127.0.0.1:{self.server.port}/0")
        self.place(a, "r0")
        b.holds(1, 1, seconds=20)
        b.ends("r0")
        self.warned(b, "cluster-denied", "HSET, HDEL, DEL, EXPIRE, SADD or SREM")
        told = b.cluster()["told"]
        b.until(lambda: b.cluster()["told"] > told + 3, "signs of life")
        self.assertNotIn("cluster-denied: this warning is over", b.agent.text())

    def test_profiles_may_not_be_read(self):
        url = self.user(without=NEEDS, more=("~aibrix:*", "+select", "+scan"))
        self.server.put("l20", room_for(7, created=1.9e9))

        def profiles(conf):
            self.control(conf)
            del conf["cluster"]
            conf["profiles"]["redis"] = {"url": url, "refresh": "100ms"}
        a = self.node("a", self.server, change=profiles)
        text = self.warned(a, "redis-denied", "GETRANGE")
        self.assertIn("so no new profiles come from there", text)
        self.follow(text)
        a.until(lambda: a.state()["redis"]["keys_in_force"] == 1, "it is read")
        a.until(lambda: not a.state()["warnings"], "nothing is wrong")
        self.server("ACL", "SETUSER", "agent", "-scan")
        text = self.warned(a, "redis-denied", "SCAN")
        self.follow(text)
        a.until(lambda: not a.state()["warnings"], "nothing is wrong", 20)
        self.assertEqual(1, a.agent.text().count("let user agent do SCAN"))


if __name__ == "__main__":
    unittest.main()
