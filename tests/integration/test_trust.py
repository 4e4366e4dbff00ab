"""Who may speak: unix sockets with mode, owner and group, users that may connect, and a secret."""
import os
import pathlib
import socket
import stat
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from lab import AgentAlone, end_line, failed  # noqa: E402
from stack import CONF, Process  # noqa: E402

SECRET = "s3cret-of-this-test"
NOBODY = 65534
# A HAProxy that speaks to the agent by unix sockets only, as a user of its own.
PROXY = """
global
    uid {user}
    gid {user}
ring slo_events
    format raw
    maxlen 1024
    size 65536
    timeout connect 1s
    timeout server 10s
    server agent unix@{dir}/events.sock
defaults
    mode http
    timeout connect 1s
    timeout client 60s
    timeout server 60s
frontend f
    bind 127.0.0.1:{port}
    option http-buffer-request
    filter spoe engine slo config {spoe}
    unique-id-format %{{+X}}o\\ %ci:%cp_%rt:%pid
    log ring@slo_events format raw local0
    log {dir}/log.sock format raw local0
    log-format "slo1 id=%ID be=%b srv=%s st=%ST tr=%Tr ta=%Ta bytes=%B ts=%tsc"
    http-request send-spoe-group slo slo-route
    http-request return status 200 content-type text/plain lf-string "%[var(txn.slo.verdict)]"
backend spoa
    mode tcp
    option spop-check
    server agent unix@{dir}/spop.sock check inter 100ms
"""
ROOT = os.geteuid() == 0


BUILD = pathlib.Path(os.environ.get("BUILD_DIR", ""))


class Hardened(unittest.TestCase):
    """Of the release build, which ships."""

    def readelf(self, *args):
        return subprocess.run(["readelf", "-W", *map(str, args)], capture_output=True, text=True, check=True).stdout

    def test_the_memory_of_what_ships_is_hardened(self):
        if BUILD.name != "release":
            self.skipTest("of the release build")
        for name in ("slo-spoa", "slo-replay", "slo-profile", "slo-ctl"):
            with self.subTest(name):
                self.assertRegex(self.readelf("-d", BUILD / name), r"Flags: NOW PIE")
                heads = self.readelf("-l", BUILD / name)
                self.assertRegex(heads, r"GNU_RELRO")
                self.assertRegex(heads, r"GNU_STACK .* RW ")
                self.assertNotRegex(heads, r"LOAD .* (RWE|WE) ")
        if os.uname().machine == "x86_64":
            # An object without the mark takes it from the program. Debian's own start files lack it, too.
            for path in sorted((BUILD / "agent").glob("**/*.o")):
                self.assertIn("IBT, SHSTK", self.readelf("-n", path), path)


class Trust(unittest.TestCase):
    def agent(self, change):
        lab = AgentAlone(config=change)
        self.addCleanup(lambda: lab.__exit__(Exception if failed(self) else None))
        return lab.start()

    def path(self, lab, name):
        return pathlib.Path(lab.config_file).parent / name

    def closed(self, lab, n=1):
        lab.until(lambda: lab.end_lines("closed") == n, f"{n} requests ended")

    def test_mode_owner_and_group_are_as_told(self):
        owner = NOBODY if ROOT else os.geteuid()

        def change(conf):
            conf["spop"]["listen"].append("unix:spop.sock")
            conf["spop"].update(mode="660", group=str(os.getegid()))
            conf["events"]["listen"] += [{"address": "unix:events.sock", "mode": "0640",
                                          "user": str(owner)}, "unixgram:log.sock"]
            conf["events"]["mode"] = "622"
        os.umask(0o077)  # of no importance where a mode is told
        self.addCleanup(os.umask, 0o022)
        lab = self.agent(change)
        seen = {n: self.path(lab, n).stat() for n in ("spop.sock", "events.sock", "log.sock")}
        self.assertEqual([0o660, 0o640, 0o622], [stat.S_IMODE(s.st_mode) for s in seen.values()])
        self.assertEqual(owner, seen["events.sock"].st_uid)
        self.assertEqual(os.geteuid(), seen["spop.sock"].st_uid)

    def test_end_lines_come_by_unix_streams_and_datagrams(self):
        lab = self.agent(lambda conf: conf["events"]["listen"].extend(["unix:e.sock",
                                                                       "unixgram:g.sock"]))
        with lab.peer() as p:
            for n in range(2):
                p.route(f"r{n}")
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(self.path(lab, "e.sock")))
            s.sendall(end_line("r0"))
        self.closed(lab)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            # As HAProxy's "log /path" writes it.
            s.sendto(b"<134>Nov 28 17:13:05 haproxy[16130]: " + end_line("r1"),
                     str(self.path(lab, "g.sock")))
        self.closed(lab, 2)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.sendto(b"x", str(self.path(lab, "g.sock")))
        lab.until(lambda: lab.end_lines("malformed") == 1, "a line that is none")

    def test_a_socket_that_was_left_behind_is_replaced(self):
        def change(conf):
            conf["events"]["listen"] += ["unix:e.sock", "unixgram:g.sock"]
        lab = AgentAlone(config=change)
        self.addCleanup(lambda: lab.__exit__(Exception if failed(self) else None))
        for name, kind in (("e.sock", socket.SOCK_STREAM), ("g.sock", socket.SOCK_DGRAM)):
            with socket.socket(socket.AF_UNIX, kind) as s:
                s.bind(str(self.path(lab, name)))
        lab.start()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.connect(str(self.path(lab, "g.sock")))

    @unittest.skipUnless(ROOT, "needs another user")
    def test_a_user_that_is_no_peer_is_refused(self):
        def change(conf):
            conf["spop"]["listen"].append("unix:spop.sock")
            conf["spop"].update(mode="666", peers=["root"])
            conf["events"]["listen"].append("unix:e.sock")
            conf["events"].update(mode="666", peers=[str(NOBODY)])
        lab = self.agent(change)
        self.path(lab, "").chmod(0o755)
        ask = ("import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); "
               "s.settimeout(60); s.sendall(sys.argv[2].encode()); sys.stdout.buffer.write(s.recv(1))")

        def told(name, user, text=""):
            """What comes first, or b"" from a connection that is closed."""
            out = subprocess.run([sys.executable, "-c", ask, str(self.path(lab, name)), text],
                                 user=user, capture_output=True, check=False)
            return out.stdout if not out.returncode else b""
        self.assertEqual(b"", told("spop.sock", NOBODY))
        lab.logged(rf"spop: user {NOBODY} \(pid \d+\) on unix:\S+spop\.sock is not among peers, its "
                   "connection is refused")
        self.assertEqual(b"", told("e.sock", 0, "x\n"))
        lab.logged(r"events: user 0 \(pid \d+\) on unix:\S+e\.sock is not among peers")
        with lab.peer() as p:  # a peer over TCP has no user
            self.assertEqual("route", p.route("r0")["verdict"])
        subprocess.run([sys.executable, "-c", ask.split("; s.settimeout")[0] +
                        "; s.sendall(sys.argv[2].encode())", str(self.path(lab, "e.sock")),
                        end_line("r0").decode()], user=NOBODY, check=True)
        self.closed(lab)

    @unittest.skipUnless(ROOT, "needs another user")
    def test_haproxy_of_another_user_comes_by_unix_sockets(self):
        def change(conf):
            for section in ("spop", "events"):
                conf[section].update(mode="660", group=str(NOBODY), peers=["root", str(NOBODY)])
            conf["spop"]["listen"].append("unix:spop.sock")
            conf["events"]["listen"] += ["unix:events.sock", "unixgram:log.sock"]
        lab = self.agent(change)
        directory = self.path(lab, "")
        directory.chmod(0o755)
        cfg = directory / "unix.cfg"
        cfg.write_text(PROXY.format(user=NOBODY, dir=directory, port=lab.port,
                                    spoe=CONF / "spoe-slo.cfg"))
        lab.ports.release()
        lab.proxy = Process([lab.haproxy, "-db", "-f", cfg], directory / "haproxy.log")

        def asked():
            with socket.create_connection(("127.0.0.1", lab.port), 60) as s:
                s.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
                          b"Connection: close\r\n\r\n{}")
                return b"".join(iter(lambda: s.recv(4096), b""))

        def routed():
            try:
                return asked().endswith(b"\r\nroute")
            except OSError:
                return False  # it does not listen yet
        lab.until(routed, "a request that was routed")
        # Its end line came twice, by the ring and as a datagram.
        lab.until(lambda: lab.end_lines("closed") >= 1 and lab.end_lines("duplicate") >= 1, "both")

    def test_without_the_secret_nothing_counts_over_tcp_and_udp(self):
        def change(conf):
            conf["spop"].update(secret=SECRET)
            conf["events"].update(secret=SECRET)
            conf["events"]["listen"] += ["unix:e.sock"]
        lab = self.agent(change)
        with lab.peer() as p:
            for wrong in ({}, {"secret": SECRET[:-1] + "x"}, {"secret": SECRET[:-1]},
                          {"secret": SECRET + "x"}, {"secret": ""}):
                answer = p.route("r0", **wrong)  # a stranger spoils no id
                self.assertEqual(("pass", "bad-request"), (answer["verdict"], answer["reason"]))
            self.assertEqual("route", p.route("r0", secret=SECRET)["verdict"])
            self.assertEqual("route", p.route("r1", secret=SECRET)["verdict"])
            self.assertEqual("route", p.route("r2", secret=SECRET)["verdict"])
        lab.ends("r0")
        lab.udp(end_line("r0"))
        lab.udp(end_line("r0", key=SECRET[:-1]))
        lab.udp(b"Server llama2-7b/l20-1 is DOWN, reason: forged\n")
        lab.until(lambda: lab.counter("unauthorized_total", listener="events") == 4, "refusals")
        self.assertEqual(5, lab.counter("unauthorized_total", listener="spop"))
        self.assertEqual(0, lab.end_lines("closed"))
        self.assertEqual(0, lab.counter("notices_total"))
        lab.logged(r"spop: 127\.0\.0\.1:\d+ asks without the secret of spop\.secret")
        lab.logged(r"events: .* sent an end line without the secret of events\.secret; it is dropped")
        lab.udp(end_line("r0", key=SECRET))
        with lab.event_connection() as s:
            s.sendall(end_line("r1", key=SECRET))
        self.closed(lab, 2)
        # A unix socket has its mode instead; HAProxy's notices count there.
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(self.path(lab, "e.sock")))
            s.sendall(end_line("r2") + b"Server llama2-7b/l20-1 is DOWN, reason: true\n")
        self.closed(lab, 3)
        lab.until(lambda: lab.counter("notices_total") == 1, "the notice")
        self.assertNotIn(SECRET, lab.agent.text())


if __name__ == "__main__":
    unittest.main()
